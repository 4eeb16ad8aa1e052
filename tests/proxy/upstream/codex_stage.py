"""The driver of Codex with a program that stands in for it, and a backend that answers as a test says."""

from __future__ import annotations

import asyncio
import itertools
import os
import stat
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog
from multidict import CIMultiDict

from proxy.errors import UpstreamError
from proxy.upstream.base import Answer, Call, CliAccount
from proxy.upstream.cli_choice import Room
from proxy.upstream.cli_pool import CliPool
from proxy.upstream.cli_traces import CliTraces
from proxy.upstream.codex import Codex
from tests.pace import SECONDS_MAX
from tests.proxy.upstream.reply import Reply

STAND_IN = Path(__file__).with_name("codex_stand_in.py")
LOGIN = {"access_token": "at-harbour", "refresh_token": "rt-harbour", "account_id": "harbour"}
_numbers = itertools.count(1)


def frames(*events: Mapping[str, Any]) -> tuple[bytes, ...]:
    return tuple(b"event: %s\ndata: %s\n\n" % (e["type"].encode(), msgspec.json.encode(e)) for e in events)


def said(text: str) -> tuple[bytes, ...]:
    return answered({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})


def answered(*items: Mapping[str, Any]) -> tuple[bytes, ...]:
    done = [{"type": "response.output_item.done", "item": item} for item in items]
    response = {"id": f"resp_{next(_numbers)}", "status": "completed", "output": [], "usage": {"input_tokens": 3}}
    return frames({"type": "response.created"}, *done, {"type": "response.completed", "response": response})


class Backend:
    """`proxy.upstream.base.Upstream`. `replies`: in turn; the last one again and again."""

    def __init__(self) -> None:
        self.replies: list[Reply | UpstreamError] = []
        self.asked: list[tuple[str, list[Any]]] = []
        """The thread, and what was said in it."""

    async def send(self, call: Call) -> Answer:
        headers = CIMultiDict(call.headers)
        self.asked.append((headers["thread-id"], msgspec.json.decode(call.body)["input"]))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, UpstreamError):
            raise reply
        return reply if reply.held is not None else Reply(reply.pieces, reply.status, reply.headers)

    async def close(self) -> None:
        pass


@dataclass(eq=False)
class Stage:
    folder: Path
    backend: Backend
    pool: CliPool
    codex: Codex

    def call(self, *items: Any, session: str = "", **body: Any) -> Call:
        told = {"model": "gpt-5.5", "input": [*items], "stream": True, **body}
        return Call(
            method="POST",
            url="https://chatgpt.test/backend-api/codex/responses",
            headers=(("authorization", "Bearer at-harbour"), ("chatgpt-account-id", "harbour")),
            body=msgspec.json.encode(told),
            account=CliAccount(id="codex-1", home=self.folder / "home"),
            session=session,
            is_resuming=bool(session),
        )

    async def say(self, *items: Any, **more: Any) -> bytes:
        answer = await self.codex.send(self.call(*items, **more))
        told = b"".join([piece async for piece in answer.chunks()])
        await answer.release()
        return told

    def told(self) -> list[dict[str, Any]]:
        """What the stand-in was told so far, by the one process that there is."""
        files = [*(self.folder / "state").rglob("told.jsonl")]
        assert len(files) <= 1
        whole, _, _ = b"".join(file.read_bytes() for file in files).rpartition(b"\n")
        return [msgspec.json.decode(line) for line in whole.splitlines()]

    async def heard(self, method: str) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                for message in self.told():
                    if message.get("method") == method:
                        return message
                await asyncio.sleep(0.01)


@asynccontextmanager
async def staged(tmp_path: Path) -> AsyncIterator[Stage]:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "codex.py"
    program.write_text(f"#!{sys.executable} -S\n{STAND_IN.read_text()}")
    program.chmod(stat.S_IRWXU)
    (tmp_path / "bin" / "codex").symlink_to(program)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "auth.json").write_bytes(msgspec.json.encode({"tokens": LOGIN}))
    (tmp_path / "home" / "installation_id").write_text("the-same-installation")
    backend, traces = Backend(), CliTraces(tmp_path / "state")
    backend.replies = [Reply(said("Ahoy."))]
    pool = CliPool(clock=time.monotonic, log=structlog.get_logger(), room=Room())
    ours = {"PATH": f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin", "SECRET": "of the server"}
    codex = Codex(pool, backend, data=tmp_path, traces=traces, ours=ours, clock=time.monotonic)
    yield Stage(tmp_path, backend, pool, codex)
    await pool.close()
    await codex.close()
    assert [*(tmp_path / "state" / "clis").glob("cli-*")] == []


def user(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def assistant(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


CALL = {"type": "function_call", "call_id": "c1", "name": "tide", "arguments": "{}"}
TOOL = {"type": "function", "name": "tide", "parameters": {"type": "object"}}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "low"}
