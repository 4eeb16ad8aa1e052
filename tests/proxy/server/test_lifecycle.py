from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from proxy.config.schema import Tls
from proxy.dispatch.inquiry import Inquiry, Outcome, Report
from proxy.errors import ConfigError
from proxy.server import lifecycle
from proxy.server.lifecycle import Listener, serve, tls_context
from tests.certificates import write_certificate
from tests.pace import SECONDS_MAX

if TYPE_CHECKING:
    from tests.proxy.server.conftest import House, Open

FRAME = b'data: {"n":1}\n\n'


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits in vain waits for longer than a test lasts."""
    for name in ("FAREWELL_SECONDS", "LAST_WORDS_SECONDS"):
        monkeypatch.setattr(lifecycle, name, 3600.0)


class Endless:
    """One frame, then nothing until `go_on`, then another."""

    def __init__(self, house: House, *, content_type: str = "text/event-stream") -> None:
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.is_aborted = False
        self._content_type = content_type
        house.dispatcher.answer = self.answer

    async def answer(self, inquiry: Inquiry) -> Outcome:
        return Outcome(
            status=200,
            headers=(("content-type", self._content_type),),
            body=self.frames(),
            report=Report(request_id=inquiry.request_id, model_asked=inquiry.model),
        )

    async def frames(self) -> AsyncIterator[bytes]:
        yield FRAME
        self.began.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.is_aborted = True
            raise
        yield FRAME


async def post(house: House, *, is_stream: bool = True) -> tuple[aiohttp.ClientResponse, bytes]:
    content = b'{"model":"big","stream":%s}' % (b"true" if is_stream else b"false")
    async with house.session.post(
        f"{house.url}/v1/messages", data=content, headers={"Content-Type": "application/json"}
    ) as response:
        return response, await response.read()


class TestDrain:
    async def test_what_runs_finishes_and_nobody_new_comes_in(self, house: House) -> None:
        endless = Endless(house)
        port = house.port
        running = asyncio.create_task(post(house))
        await endless.began.wait()
        draining = asyncio.create_task(house.listener.drain())
        while house.listener.addresses:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        with pytest.raises(OSError, match="Connect"):
            await asyncio.open_connection("127.0.0.1", port)
        endless.go_on.set()
        assert (await running)[1] == FRAME * 2
        async with asyncio.timeout(SECONDS_MAX):
            await draining
        assert not house.app.exchanges

    async def test_readiness_first_while_a_load_balancer_is_there(self, house: House) -> None:
        assert (await house.get("/readyz")).status == 200
        draining = asyncio.create_task(house.listener.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        answer = await house.get("/v1/models")
        assert answer.status == 200, "whoever was sent here meanwhile is served"
        assert answer.headers["Connection"] == "close"
        told = await house.get("/readyz")
        assert (told.status, told.json) == (503, {"status": "draining"})
        async with asyncio.timeout(SECONDS_MAX):
            await draining

    async def test_a_stream_that_does_not_end_is_told_so(self, open_house: Open) -> None:
        house = await open_house(drain_seconds=0)
        endless = Endless(house)
        running = asyncio.create_task(post(house))
        await endless.began.wait()
        async with asyncio.timeout(SECONDS_MAX):
            await house.listener.drain()
        body = (await running)[1]
        assert body.startswith(FRAME + b'event: error\ndata: {"type":"error"')
        assert b"shutting down" in body
        assert endless.is_aborted
        assert house.log()[-1]["error"] == "the server is shutting down; try again"

    async def test_a_whole_answer_that_does_not_come_is_a_503(self, open_house: Open) -> None:
        house = await open_house(drain_seconds=0)
        endless = Endless(house, content_type="application/json")
        running = asyncio.create_task(post(house, is_stream=False))
        await endless.began.wait()
        await house.listener.drain()
        response, _ = await running
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"

    async def test_idle_connections_are_closed(self, house: House) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % house.port)
        await reader.readuntil(b'{"status":"ok"}')
        await house.listener.drain()
        async with asyncio.timeout(SECONDS_MAX):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


class TestServe:
    async def start(self, house: House) -> tuple[asyncio.Task[None], str]:
        urls: asyncio.Queue[Sequence[str]] = asyncio.Queue()
        serving = asyncio.create_task(serve(house.app, host="127.0.0.1", port=0, when_listening=urls.put_nowait))
        async with asyncio.timeout(SECONDS_MAX):
            (url,) = await urls.get()
        return serving, url

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_a_signal_ends_it(self, house: House, number: signal.Signals) -> None:
        serving, url = await self.start(house)
        async with house.session.get(f"{url}/healthz") as response:
            assert response.status == 200
        signal.raise_signal(number)
        async with asyncio.timeout(SECONDS_MAX):
            await serving
        assert house.app.is_draining

    async def test_a_second_signal_means_now(self, house: House) -> None:
        endless = Endless(house)
        serving, url = await self.start(house)
        async with house.session.post(f"{url}/v1/messages", json={"model": "big", "stream": True}) as response:
            await endless.began.wait()
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0.05)
            assert not serving.done()
            signal.raise_signal(signal.SIGTERM)
            async with asyncio.timeout(SECONDS_MAX):
                await serving
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        assert endless.is_aborted

    async def test_a_port_that_is_taken(self, house: House) -> None:
        with pytest.raises(ConfigError, match=rf"cannot listen on 127.0.0.1, port {house.port}: .*--port") as raised:
            await serve(house.app, host="127.0.0.1", port=house.port)
        assert "Traceback" not in raised.value.message


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A certificate for 127.0.0.1 that signs itself."""
    folder = tmp_path_factory.mktemp("tls")
    write_certificate(folder)
    return Tls(enable=True, cert=str(folder / "cert.pem"), key=str(folder / "key.pem"))


class TestTls:
    async def test_it_serves_https(self, open_house: Open, tls: Tls) -> None:
        house = await open_house(tls=tls)
        (url,) = house.listener.urls
        assert url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=tls.cert)
        async with house.session.get(f"{url}/healthz", ssl=trusting) as response:
            assert await response.json() == {"status": "ok"}
        async with house.session.post(
            f"{url}/v1/chat/completions", ssl=trusting, json={"model": "big", "stream": True}
        ) as response:
            assert (await response.read()).count(b"data:") == 2

    async def test_old_tls_and_plain_http_get_nothing(self, open_house: Open, tls: Tls) -> None:
        house = await open_house(tls=tls)
        old = ssl.create_default_context(cafile=tls.cert)
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        async with house.session.get(f"https://127.0.0.1:{house.port}/healthz", ssl=old) as response:
            assert response.status == 200
        with pytest.raises(aiohttp.ClientError):
            await house.get("/healthz")

    def test_what_is_wrong_with_the_files(self, tls: Tls, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"tls.cert: there is no file"):
            tls_context(Tls(enable=True, cert=str(tmp_path / "no"), key=tls.key))
        with pytest.raises(ConfigError, match="cannot be used"):
            tls_context(Tls(enable=True, cert=tls.cert, key=tls.cert))


async def test_a_listener_says_where_it_listens(house: House) -> None:
    assert house.listener.urls == [f"http://127.0.0.1:{house.port}"]
    assert Listener(house.app, host="", port=0).urls == []
