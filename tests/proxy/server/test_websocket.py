"""The transport: raw sockets that break the rules, and real clients that keep them."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from proxy.server import responses_socket, websocket
from proxy.server.websocket import protocol_for
from tests.pace import SECONDS_MAX

if TYPE_CHECKING:
    from tests.proxy.server.conftest import House, Open

KEY = "sk-a-long-random-word-1"
NONCE = base64.b64encode(b"0123456789abcdef").decode()
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
PATH = "/v1/responses"


class Peer:
    """A WebSocket client that does as it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(
        self, opcode: int, payload: bytes = b"", *, is_last: bool = True, size: int | None = None, rsv: int = 0
    ) -> None:
        """Masked with zeros, which change nothing. `size`: as it is announced."""
        size = len(payload) if size is None else size
        head = bytes([(0x80 if is_last else 0) | rsv | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += b"\xfe" + struct.pack("!H", size)
        else:
            head += b"\xff" + struct.pack("!Q", size)
        self.writer.write(head + b"\0\0\0\0" + payload)

    async def take(self) -> tuple[int, bytes]:
        async with asyncio.timeout(SECONDS_MAX):
            first, size = await self.reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0x0F, await self.reader.readexactly(size)

    async def frame(self) -> Any:
        opcode, payload = await self.take()
        assert opcode == TEXT
        return msgspec.json.decode(payload)

    async def close_code(self) -> int:
        opcode, payload = await self.take()
        assert opcode == CLOSE
        return int(struct.unpack("!H", payload[:2])[0])

    async def is_cut(self) -> bool:
        """Whatever is said before."""
        async with asyncio.timeout(SECONDS_MAX):
            with suppress(ConnectionError):
                await self.reader.read()
        return True


Connect = Callable[..., Awaitable[Peer]]


def handshake(house: House, path: str = PATH, **headers: str | None) -> bytes:
    fields: dict[str, str | None] = {
        "Host": f"127.0.0.1:{house.port}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": NONCE,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value is not None]
    return f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    writers: list[asyncio.StreamWriter] = []

    async def start(house: House, **headers: str | None) -> Peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writers.append(writer)
        writer.write(handshake(house, **headers))
        async with asyncio.timeout(SECONDS_MAX):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        return Peer(reader, writer)

    yield start
    for writer in writers:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def refused(house: House, data: bytes) -> tuple[int, bytes, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    try:
        writer.write(data)
        async with asyncio.timeout(SECONDS_MAX):
            head = await reader.readuntil(b"\r\n\r\n")
            size = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            return int(head.split()[1]), head, msgspec.json.decode(await reader.readexactly(int(size)))
    finally:
        writer.close()
        await writer.wait_closed()


class TestHandshake:
    async def test_it_is_answered_as_the_rfc_has_it(self, house: House) -> None:
        head = await house.raw(handshake(house, Sec_WebSocket_Extensions="permessage-deflate"), until_closed=False)
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        lines = {line.split(b": ")[0].lower(): line.split(b": ")[1] for line in head.splitlines()[1:-1]}
        assert lines[b"sec-websocket-accept"] == b"BACScCJPNqyz+UBoqMH89VmURoA="
        assert lines[b"x-request-id"] == b"made-1"
        assert b"sec-websocket-extensions" not in lines

    @pytest.mark.parametrize(
        "path",
        [PATH, "/v1/v1/responses", "/backend-api/codex/responses", "/openai/v1/responses", "/v1/responses/?x=1"],
    )
    async def test_however_the_base_url_was_written(self, house: House, path: str) -> None:
        assert (await house.raw(handshake(house, path), until_closed=False)).startswith(b"HTTP/1.1 101 ")

    @pytest.mark.parametrize(
        "headers",
        [
            {"Upgrade": None},  # as nginx passes it on, when it was not told otherwise
            {"Connection": None, "Upgrade": None},
            {"Connection": "keep-alive"},
            {"Upgrade": "h2c"},
            {"Sec_WebSocket_Version": "8"},
            {"Sec_WebSocket_Version": None},
        ],
    )
    async def test_where_there_is_none_to_be_had_the_client_goes_over_to_http(
        self, house: House, headers: dict[str, str | None]
    ) -> None:
        status, head, body = await refused(house, handshake(house, **headers))
        assert status == 426
        assert b"upgrade: websocket" in head.lower()
        assert b"sec-websocket-version: 13" in head.lower()
        assert body["error"]["code"] == "websocket_not_served"

    @pytest.mark.parametrize("nonce", ["", "x", "????", base64.b64encode(b"short").decode(), NONCE + "AAAA"])
    async def test_a_broken_nonce_is_refused(self, house: House, nonce: str) -> None:
        status, _, body = await refused(house, handshake(house, Sec_WebSocket_Key=nonce))
        assert (status, body["error"]["code"]) == (400, "invalid_handshake")

    async def test_http_1_0_has_no_websockets(self, house: House) -> None:
        data = handshake(house).replace(b"HTTP/1.1", b"HTTP/1.0")
        assert (await house.raw(data)).startswith(b"HTTP/1.0 426 ")

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1:1", "127.0.0.1.evil.example"])
    async def test_T03_a_rebound_page_gets_no_socket(self, house: House, host: str) -> None:
        status, _, body = await refused(house, handshake(house, Host=host))
        assert (status, body["error"]["code"]) == (421, "host_not_allowed")

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
    @pytest.mark.parametrize("keys", [(), (KEY,)])
    async def test_T04_a_web_page_gets_no_socket_not_even_with_a_key(
        self, open_house: Open, origin: str, keys: Sequence[str]
    ) -> None:
        """Browsers ask for no permission beforehand, as they do for other requests."""
        house = await open_house(keys=keys)
        status, _, body = await refused(house, handshake(house, Origin=origin, Authorization=f"Bearer {KEY}"))
        assert (status, body["error"]["code"]) == (403, "foreign_origin")

    async def test_a_page_that_is_allowed_gets_one(self, open_house: Open, connect: Connect) -> None:
        house = await open_house(keys=[KEY], cors_origins=("https://app.example",))
        await connect(house, Origin="https://app.example", Authorization=f"Bearer {KEY}")
        await connect(house, Origin=f"http://127.0.0.1:{house.port}", x_api_key=KEY)

    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ({}, "missing_api_key"),
            ({"Authorization": "Bearer sk-some-other-word"}, "invalid_api_key"),
            ({"Sec_WebSocket_Protocol": "realtime, openai-insecure-api-key.sk-some-other-word"}, "invalid_api_key"),
        ],
    )
    async def test_without_its_key_nobody_gets_in(self, open_house: Open, headers: dict[str, str], code: str) -> None:
        house = await open_house(keys=[KEY])
        status, _, body = await refused(house, handshake(house, **headers))
        assert (status, body["error"]["code"]) == (401, code)

    async def test_a_key_may_stand_in_the_subprotocol_and_never_comes_back(
        self, open_house: Open, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        house = await open_house(keys=[KEY])
        for offered, chosen in (
            (f"realtime, openai-insecure-api-key.{KEY}, openai-beta.x-v1", b"sec-websocket-protocol: realtime"),
            (f"openai-insecure-api-key.{KEY}", None),
        ):
            head = await house.raw(handshake(house, Sec_WebSocket_Protocol=offered), until_closed=False)
            assert head.startswith(b"HTTP/1.1 101 ")
            assert KEY.encode() not in head
            assert (chosen in head.lower()) if chosen else (b"sec-websocket-protocol" not in head.lower())
        heard = "".join(capfd.readouterr()) + caplog.text + house.written.getvalue().decode()
        assert KEY not in heard

    async def test_while_the_server_goes_nobody_new_gets_in(self, house: House) -> None:
        house.app.is_draining = True
        assert (await house.raw(handshake(house))).startswith(b"HTTP/1.1 503 ")


def test_the_first_protocol_that_is_no_key_is_spoken() -> None:
    assert protocol_for({}) is None
    assert protocol_for({"sec-websocket-protocol": "openai-insecure-api-key.x , a, b"}) == "a"


class TestFrames:
    async def test_pings_are_answered(self, house: House, connect: Connect) -> None:
        peer = await connect(house)
        peer.send(PING, b"hello")
        assert await peer.take() == (PONG, b"hello")

    async def test_silence_is_filled_with_pings(
        self, open_house: Open, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(responses_socket, "PING_SECONDS", 0.02)
        peer = await connect(await open_house(keepalive_seconds=0))
        assert await peer.take() == (PING, b"")

    @pytest.mark.parametrize(("code", "answered"), [(1000, 1000), (1001, 1001), (3000, 3000), (4999, 4999)])
    async def test_a_close_is_answered_with_its_code(
        self, house: House, connect: Connect, code: int, answered: int
    ) -> None:
        peer = await connect(house)
        peer.send(CLOSE, struct.pack("!H", code) + b"bye")
        assert await peer.close_code() == answered
        assert await peer.is_cut()

    async def test_a_close_without_a_code_is_a_normal_one(self, house: House, connect: Connect) -> None:
        peer = await connect(house)
        peer.send(CLOSE)
        assert await peer.close_code() == 1000

    @pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
    async def test_F6_codes_that_stand_for_no_close_frame_are_a_breach(
        self, house: House, connect: Connect, code: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(websocket, "QUIET_SECONDS", 0.01)
        peer = await connect(house)
        peer.send(CLOSE, struct.pack("!H", code))
        assert await peer.close_code() == 1002
        assert await peer.is_cut()

    @pytest.mark.parametrize(
        ("frames", "code"),
        [
            ([(3, b"", True, 0)], 1002),  # no such opcode
            ([(TEXT, b"x", True, 0x40)], 1002),  # compressed, which was not agreed on
            ([(0, b"x", True, 0)], 1002),  # goes on from nothing
            ([(TEXT, b"x", False, 0), (TEXT, b"y", True, 0)], 1002),
            ([(PING, b"x", False, 0)], 1002),  # a control frame in parts
            ([(PING, b"x" * 126, True, 0)], 1002),
            ([(CLOSE, b"x", True, 0)], 1002),
            ([(TEXT, b"\xff\xfe", True, 0)], 1007),
            ([(TEXT, b"\xf0\x9f", False, 0), (0, b"{}", True, 0)], 1007),
        ],
    )
    async def test_breaches_end_the_connection_with_their_code(
        self, house: House, connect: Connect, frames: Any, code: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(websocket, "QUIET_SECONDS", 0.01)
        peer = await connect(house)
        for opcode, payload, is_last, rsv in frames:
            peer.send(opcode, payload, is_last=is_last, rsv=rsv)
        assert await peer.close_code() == code
        assert await peer.is_cut()
        assert not house.dispatcher.inquiries

    async def test_a_message_may_come_in_parts_with_pings_between_them(self, house: House, connect: Connect) -> None:
        peer = await connect(house)
        peer.send(TEXT, b'{"type":"response.create",', is_last=False)
        peer.send(PING, b"1")
        peer.send(0, b'"model":"\xc3', is_last=False)
        peer.send(0, b'\xa4","generate":false}')
        assert await peer.take() == (PONG, b"1")
        await peer.take()
        assert house.dispatcher.inquiries[0].model == "ä"

    async def test_bytes_are_refused_and_the_connection_goes_on(self, house: House, connect: Connect) -> None:
        peer = await connect(house)
        peer.send(BINARY, b"{}")
        error = await peer.frame()
        assert (error["type"], error["status"], error["error"]["code"]) == ("error", 400, "invalid_message")
        peer.send(PING, b"x")
        assert await peer.take() == (PONG, b"x")

    @pytest.mark.parametrize("is_announced", [True, False])
    async def test_bug_71_too_large_is_told_before_the_close(
        self, open_house: Open, connect: Connect, is_announced: bool
    ) -> None:
        """And can be read, though the client is in the middle of sending."""
        house = await open_house(body_bytes_max=1000)
        peer = await connect(house)
        if is_announced:
            peer.send(TEXT, b" " * 70_000, size=100_000)
        else:
            for number in range(3):
                peer.send(TEXT if number == 0 else 0, b" " * 400, is_last=False)
        error = await peer.frame()
        assert (error["status"], error["error"]["code"]) == (413, "request_too_large")
        assert "1000 bytes" in error["error"]["message"]
        assert await peer.close_code() == 1009
        peer.writer.write(b" " * 20_000)

    async def test_as_large_as_allowed_is_allowed(self, open_house: Open, connect: Connect) -> None:
        house = await open_house(body_bytes_max=1000)
        peer = await connect(house)
        message = b'{"type":"response.create","model":"m","generate":false}'
        peer.send(TEXT, message + b" " * (1000 - len(message)))
        await peer.take()
        assert [each.model for each in house.dispatcher.inquiries] == ["m"]
        peer.send(TEXT, message + b" " * (1001 - len(message)))
        while b'"status":413' not in (await peer.take())[1]:
            pass  # the rest of the first answer

    async def test_whoever_lingers_is_let_go(
        self, open_house: Open, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(websocket, "QUIET_SECONDS", 0.01)
        peer = await connect(await open_house(body_bytes_max=100))
        peer.send(TEXT, size=1000)
        await peer.frame()
        assert await peer.close_code() == 1009
        assert await peer.is_cut()


class TestPresence:
    async def test_T33_who_says_nothing_any_more_not_even_pong_is_cut(
        self, open_house: Open, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(responses_socket, "SILENCE_SECONDS_MAX", 0.1)
        monkeypatch.setattr(responses_socket, "PING_SECONDS", 0.03)
        house = await open_house(keepalive_seconds=0)
        peer = await connect(house)
        assert await peer.is_cut()

    async def test_T33_who_answers_pings_and_asks_nothing_is_sent_away_after_a_while(
        self, open_house: Open, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(responses_socket, "IDLE_SECONDS_MAX", 0.1)
        monkeypatch.setattr(responses_socket, "PING_SECONDS", 0.03)
        house = await open_house(keepalive_seconds=0)
        peer = await connect(house)
        while (taken := await peer.take())[0] == PING:
            peer.send(PONG)
        assert taken == (CLOSE, struct.pack("!H", 1001))
        peer.send(CLOSE, struct.pack("!H", 1001))
        assert await peer.is_cut()

    async def test_T33_an_open_connection_counts(self, open_house: Open, connect: Connect) -> None:
        house = await open_house(connections_max=1)
        await connect(house)
        assert (await house.raw(b"")).startswith(b"HTTP/1.1 503 ")


class TestRealClients:
    async def test_websockets(self, house: House) -> None:
        async with websockets.connect(f"ws://127.0.0.1:{house.port}{PATH}") as socket:
            await socket.send("{")
            assert msgspec.json.decode(await socket.recv())["error"]["code"] == "invalid_json"
            await (await socket.ping())
        assert socket.close_code == 1000

    async def test_websockets_reads_why_its_message_was_too_large(self, open_house: Open) -> None:
        house = await open_house(body_bytes_max=10_000)
        async with websockets.connect(f"ws://127.0.0.1:{house.port}{PATH}") as socket:
            await socket.send("x" * 3_000_000)
            assert msgspec.json.decode(await socket.recv())["status"] == 413
            with pytest.raises(ConnectionClosed) as raised:
                await socket.recv()
        assert raised.value.rcvd is not None
        assert raised.value.rcvd.code == 1009

    async def test_aiohttp(self, house: House) -> None:
        async with house.session.ws_connect(house.url + PATH, compress=15) as socket:
            await socket.send_str("[]")
            assert (await socket.receive_json())["error"]["code"] == "invalid_json"
            await socket.ping()
            await socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)
        assert socket.close_code == 1001

    async def test_a_refusal_can_be_read(self, open_house: Open) -> None:
        house = await open_house(keys=[KEY])
        with pytest.raises(InvalidStatus) as raised:
            await websockets.connect(f"ws://127.0.0.1:{house.port}{PATH}")
        assert raised.value.response.status_code == 401
