"""Real peers on 127.0.0.1: egress proxies, and certificates that nobody trusts unless told to."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxy.observe.recording import Recording
from proxy.upstream.http import AiohttpUpstream, HttpUpstream
from proxy.upstream.replay import Deck
from proxy.upstream.replay_server import ReplayServer
from tests.proxy.upstream.codex_stage import Stage, staged


def pytest_asyncio_loop_factories(config: object, item: object) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:  # noqa: ARG001 - a hook
    """Everything here runs on both loops: uvloop is what serves, where it exists."""
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Certificate:
    file: Path
    server: ssl.SSLContext


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Self-signed, for 127.0.0.1 and no other name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return Certificate(file, server)


@pytest.fixture
def is_trusted(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `usefixtures`, so that it comes before `upstream`, which then trusts the certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))


@pytest.fixture(params=[HttpUpstream, AiohttpUpstream], ids=["direct", "aiohttp"])
async def upstream(request: pytest.FixtureRequest) -> AsyncIterator[AiohttpUpstream]:
    """Straight to the provider, and as through an egress proxy: no caller may see the difference."""
    http: AiohttpUpstream = request.param()
    yield http
    await http.close()


@pytest.fixture
async def play() -> AsyncIterator[Callable[..., Awaitable[ReplayServer]]]:
    """A `ReplayServer` that plays the given recordings."""
    async with AsyncExitStack() as stack:

        async def start(*recordings: Recording, tls: ssl.SSLContext | None = None) -> ReplayServer:
            return await stack.enter_async_context(ReplayServer(Deck(recordings), tls=tls))

        yield start


@dataclass
class Egress:
    """A proxy that says what was asked of it. `targets`: host:port or, for plain HTTP, the request line."""

    kind: str
    port: int = 0
    targets: list[str] = field(default_factory=list)
    answer: bytes = b""
    """Said instead of connecting."""
    is_silent: bool = False

    def url(self, userinfo: str = "me:p%40ss") -> str:
        return f"{self.kind}://{userinfo}@127.0.0.1:{self.port}"


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _join(client: Streams, server: Streams) -> None:
    await asyncio.gather(_relay(client[0], server[1]), _relay(server[0], client[1]))


async def _http(egress: Egress, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
    egress.targets.append(target)
    expected = b"Proxy-Authorization: Basic " + base64.b64encode(b"me:p@ss")
    if egress.answer or expected not in head:
        writer.write(egress.answer or b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        return
    if method == "CONNECT":
        host, port = target.split(":")
        server = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    else:
        host, port = target.removeprefix("http://").split("/")[0].split(":")
        server = await asyncio.open_connection(host, int(port))
        server[1].write(head)
    await _join((reader, writer), server)


async def _socks5(egress: Egress, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """RFC 1928, and RFC 1929 for the password."""
    _, methods = await reader.readexactly(2)
    assert 2 in await reader.readexactly(methods)
    writer.write(b"\x05\x02")
    _, length = await reader.readexactly(2)
    user = await reader.readexactly(length)
    (length,) = await reader.readexactly(1)
    is_known = (user, await reader.readexactly(length)) == (b"me", b"p@ss")
    writer.write(b"\x01\x00" if is_known else b"\x01\x01")
    if not is_known:
        return
    _, _, _, kind = await reader.readexactly(4)
    if kind == 3:
        (length,) = await reader.readexactly(1)
        host = (await reader.readexactly(length)).decode()
    else:
        host = str(ipaddress.IPv4Address(await reader.readexactly(4)))
    port = int.from_bytes(await reader.readexactly(2), "big")
    egress.targets.append(f"{host}:{port}")
    if egress.answer:
        writer.write(egress.answer)
        return
    server = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
    await _join((reader, writer), server)


@pytest.fixture
async def egress(certificate: Certificate) -> AsyncIterator[Callable[[str], Awaitable[Egress]]]:
    """Starts an egress proxy: http, https or socks5."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()

    async def start(kind: str) -> Egress:
        peer = Egress(kind)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            with suppress(asyncio.CancelledError, OSError, EOFError):
                if peer.is_silent:
                    await asyncio.Event().wait()
                await (_socks5 if kind == "socks5" else _http)(peer, reader, writer)
            writer.close()

        tls = certificate.server if kind == "https" else None
        servers.append(await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls))
        peer.port = servers[-1].sockets[0].getsockname()[1]
        return peer

    yield start
    for server in servers:
        server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Of Codex."""
    async with staged(tmp_path) as stage:
        yield stage
