"""The program with several workers, as a user would start it, in front of a vendor of ours; and connections of which it
is known which process has them.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.faults.running import Running, started

SECONDS_MAX = 60.0
FREE, LIMITED, MANAGEMENT = "a-free-client-key", "a-limited-client-key", "a-management-key-of-ours"
KEYS = ("sk-account-one", "sk-account-two")


async def until(is_true: Callable[[], object], what: str) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    while not is_true():
        assert time.monotonic() - began < SECONDS_MAX, what
        await asyncio.sleep(0.002)
    return time.monotonic() - began


@dataclass
class Vendor:
    """Speaks OpenAI Chat Completions. `limited`: the key that has used up its minute. `asked`: with which keys."""

    limited: str = ""
    asked: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        key = request.headers["authorization"].removeprefix("Bearer ")
        body = msgspec.json.decode(await request.read())
        self.asked.append(key)
        if key == self.limited:
            told = {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}
            return web.json_response({"error": told}, status=429, headers={"retry-after": "120"})
        if body.get("stream"):
            return await self._stream(request)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        return web.json_response({**answer, "usage": usage}, headers=self.headers)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """The second half when it may."""
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for text, finish in (("hel", None), ("lo", "stop")):
            choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}
            chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
            await response.write(b"data: " + msgspec.json.encode(chunk) + b"\n\n")
            await self.go_on.wait()
        await response.write(b"data: [DONE]\n\n")
        return response


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Connection:
    """One of a client's. `holder`: the process that has it at the other end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.port = writer.get_extra_info("sockname")[1]
        self.server = writer.get_extra_info("peername")[1]

    @property
    def holder(self) -> int | None:
        """None: nobody has taken it yet."""
        inode = _inode(self.server, self.port)
        for process in Path("/proc").iterdir():
            if inode and process.name.isdigit() and f"socket:[{inode}]" in _open_files(process):
                return int(process.name)
        return None

    async def held(self) -> int:
        await until(lambda: self.holder, "nobody takes the connection")
        found = self.holder
        assert found is not None
        return found

    def send(self, method: str, path: str, content: object = None, **headers: str) -> None:
        body = b"" if content is None else content if isinstance(content, bytes) else msgspec.json.encode(content)
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.server}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join((*lines, "Content-Type: application/json", "", "")).encode() + body)

    def ask(self, key: str = FREE, model: str = "m", **more: object) -> None:
        """A chat."""
        headers = {str(name): str(more.pop(name)) for name in [*more] if name.startswith("x_")}
        content = {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}
        self.send("POST", "/v1/chat/completions", content, authorization=f"Bearer {key}", **headers)

    async def answer(self) -> Answer:
        async with asyncio.timeout(SECONDS_MAX):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = b""
            if "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
            else:
                while size := int(await self.reader.readline(), 16):
                    body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readline()
            return Answer(int(first.split()[1]), headers, body)

    async def asked(self, key: str = FREE, model: str = "m", **more: object) -> Answer:
        self.ask(key, model, **more)
        return await self.answer()

    async def got(self, path: str, key: str = MANAGEMENT) -> Any:
        self.send("GET", path, authorization=f"Bearer {key}")
        answer = await self.answer()
        return answer.json if answer.headers["content-type"].startswith("application/json") else answer.body.decode()

    async def close(self) -> None:
        self.writer.transport.abort()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def _inode(server: int, client: int) -> str:
    """Of the server's end of a connection on this machine; empty: there is none, or nobody has taken it."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        cells = line.split()
        ports = [int(each.partition(":")[2], 16) for each in cells[1:3]]
        if ports == [server, client] and cells[9] != "0":
            return cells[9]
    return ""


def _open_files(process: Path) -> set[str]:
    found = set()
    with suppress(OSError):
        for each in (process / "fd").iterdir():
            with suppress(OSError):
                found.add(str(each.readlink()))
    return found


@dataclass
class Stage:
    folder: Path
    vendor: Vendor
    running: Running
    trusting: ssl.SSLContext | None = None
    connections: list[Connection] = field(default_factory=list)

    @property
    def owner(self) -> int:
        return self.running.process.pid

    @property
    def port(self) -> int:
        return int(self.running.url.rpartition(":")[2])

    @property
    def followers(self) -> dict[int, int]:
        """Number → process, as the log has told last."""
        told = [line for line in self.running.log if line["event"] == "worker.started"]
        return dict(sorted((line["worker"], line["pid"]) for line in told))

    async def connect(self) -> Connection:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trusting))
        self.connections.append(connection)
        return connection

    async def connected_to(self, pid: int) -> Connection:
        """The kernel spreads them by chance."""
        while True:
            connection = await self.connect()
            if await connection.held() == pid:
                return connection
            await connection.close()

    def rows(self) -> list[tuple[Any, ...]]:
        """Of the ledger: id, status and credential of each request."""
        file = self.folder / "accounts" / "state" / "usage.sqlite"
        if not file.exists():
            return []
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as ledger, suppress(sqlite3.OperationalError):
            return ledger.execute("SELECT request_id, status, credential FROM request").fetchall()
        return []

    def lines(self) -> list[str]:
        """Ids of the requests to models that the log has told of."""
        lines = [line for line in self.running.log if line["event"] == "request.finished"]
        return [line["request_id"] for line in lines if line["route"].startswith("/v1/")]


def config(base_url: str, more: str = "", workers: int = 3) -> str:
    return f"""
workers: {workers}
auth-dir: accounts
log-format: json
remote-management: {{secret-key: {MANAGEMENT}}}
api-keys:
  - {{api-key: {FREE}, name: free}}
  - {{api-key: {LIMITED}, name: limited, requests-per-minute: 1000}}
openai-compatibility:
  - {{name: vendor, base-url: "{base_url}", models: [{{name: m}}],
     api-key-entries: [{{api-key: {KEYS[0]}}}, {{api-key: {KEYS[1]}}}]}}
  - {{name: narrow, base-url: "{base_url}", models: [{{name: m, alias: counted}}],
     api-key-entries: [{{api-key: sk-account-narrow, concurrency: 1}}]}}
{more}"""


@asynccontextmanager
async def staged(
    folder: Path, more: str = "", *, workers: int = 3, trusting: ssl.SSLContext | None = None
) -> AsyncIterator[Stage]:
    """When all are there. `trusting`: with TLS."""
    vendor = Vendor()
    application = web.Application(client_max_size=1 << 26)
    application.router.add_post("/v1/chat/completions", vendor.answer)
    async with TestServer(application) as server:
        (folder / "config.yaml").write_text(config(str(server.make_url("/v1")), more, workers))
        async with started(folder) as running:
            stage = Stage(folder, vendor, running, trusting)
            await running.logged("management.key_hashed")
            if workers > 1:
                await running.logged("worker.started", count=workers - 1)
            try:
                yield stage
            finally:
                vendor.go_on.set()
                for connection in stage.connections:
                    await connection.close()


def requests_in(metrics: str) -> float:
    """To models, as Prometheus would read it."""
    found = re.findall(r'^proxy_requests_total\{route="/v1/[^}]*\} (\S+)$', metrics, re.MULTILINE)
    return sum(map(float, found))
