"""The driver, with a program that stands in for Codex; the real one is in tests/backends."""

from __future__ import annotations

import asyncio
import itertools
import os
import stat
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from multidict import CIMultiDict

from proxy.errors import Broken, Unreachable, UpstreamError
from proxy.upstream import codex_turn
from proxy.upstream.base import Answer, Call, CliAccount
from proxy.upstream.cli_choice import Room
from proxy.upstream.cli_pool import CliPool
from proxy.upstream.cli_traces import CliTraces
from proxy.upstream.codex import Codex

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


@dataclass(eq=False)
class Reply:
    """`proxy.upstream.base.Answer`. `held`: set, and the rest comes."""

    pieces: tuple[bytes, ...]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: CIMultiDict({"content-type": "text/event-stream"}))
    held: asyncio.Event | None = None
    is_aborted: bool = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        for piece in self.pieces:
            yield piece
            if self.held is not None:
                await self.held.wait()
            if self.is_aborted:
                raise Broken("cut")

    async def read(self, bytes_max: int) -> bytes:
        return b"".join(self.pieces)[:bytes_max]

    async def release(self) -> None:
        pass

    def abort(self) -> None:
        self.is_aborted = True
        if self.held is not None:
            self.held.set()


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
        """What the stand-in was told, by the one process that there is."""
        (file,) = (self.folder / "state").rglob("told.jsonl")
        return [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]

    async def heard(self, method: str) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while True:
                for message in self.told():
                    if message.get("method") == method:
                        return message
                await asyncio.sleep(0.01)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
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


async def test_an_answer_comes_as_the_backend_says_it(stage: Stage) -> None:
    reply = stage.backend.replies[0]
    assert isinstance(reply, Reply)
    assert await stage.say(user("Who is there?")) == b"".join(reply.pieces)
    assert stage.backend.asked == [("thread-1", [user("Who is there?")])]
    start = await stage.heard("thread/start")
    assert start["params"]["ephemeral"] is True


async def test_whoever_wants_it_whole_gets_it_whole(stage: Stage) -> None:
    answer = await stage.codex.send(stage.call(user("Who is there?"), stream=False))
    assert answer.headers["content-type"] == "application/json"
    whole = msgspec.json.decode(await answer.read(10_000))
    assert (whole["output"], whole["usage"]) == ([assistant("Ahoy.")], {"input_tokens": 3})
    stage.backend.replies = [Reply(frames({"type": "response.created"}))]
    answer = await stage.codex.send(stage.call(user("And now?"), stream=False))
    with pytest.raises(Broken, match="cut off"):
        await answer.read(10_000)


async def test_a_conversation_goes_on_where_it_was_left(stage: Stage) -> None:
    await stage.say(user("One."))
    await stage.say(user("One."), {"role": "assistant", "content": "Ahoy."}, {"role": "user", "content": "Two."})
    await stage.say(user("Another."))
    assert stage.backend.asked == [
        ("thread-1", [user("One.")]),
        ("thread-1", [user("One."), assistant("Ahoy."), user("Two.")]),
        ("thread-4", [user("Another.")]),
    ]
    assert stage.pool.capacity.warm == 1


CALL = {"type": "function_call", "call_id": "c1", "name": "tide", "arguments": "{}"}
TOOL = {"type": "function", "name": "tide", "parameters": {"type": "object"}}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "low"}


async def test_results_go_to_the_turn_that_waits_for_them(stage: Stage) -> None:
    stage.backend.replies = [Reply(answered(CALL)), Reply(said("It is low."))]
    await stage.say(user("How is it?"), tools=[TOOL])
    await stage.say(user("How is it?"), CALL, RESULT, tools=[TOOL])
    assert stage.backend.asked[1] == ("thread-1", [user("How is it?"), CALL, RESULT])
    assert [each.get("method") for each in stage.told()].count("turn/start") == 1


async def test_results_with_something_more_are_told_anew(stage: Stage) -> None:
    stage.backend.replies = [Reply(answered(CALL)), Reply(said("It is low."))]
    await stage.say(user("How is it?"), tools=[TOOL])
    await stage.say(user("How is it?"), CALL, RESULT, user("Sure?"), tools=[TOOL])
    thread, items = stage.backend.asked[1]
    assert thread != "thread-1"
    assert items == [user("How is it?"), CALL, RESULT, user("Sure?")]


async def test_a_call_of_what_nobody_offered_ends_the_thread(stage: Stage) -> None:
    stage.backend.replies = [Reply(answered({**CALL, "name": "shell"}))]
    await stage.say(user("How is it?"), tools=[TOOL])
    assert (await stage.heard("turn/interrupt"))["params"]["threadId"] == "thread-1"


async def test_the_backend_s_refusal_is_the_caller_s(stage: Stage) -> None:
    stage.backend.replies = [Reply((b'{"error":{}}',), status=429, headers=CIMultiDict({"retry-after": "7"}))]
    answer = await stage.codex.send(stage.call(user("Who is there?")))
    assert (answer.status, answer.headers["retry-after"], await answer.read(99)) == (429, "7", b'{"error":{}}')
    assert len(stage.backend.asked) == 1
    stage.backend.replies = [Unreachable("nobody is there")]
    with pytest.raises(Unreachable):
        await stage.codex.send(stage.call(user("Who is there?")))


async def test_what_codex_does_not_take_is_told_with_its_reason(stage: Stage) -> None:
    answer = await stage.codex.send(stage.call({"type": "unheard_of"}))
    told = msgspec.json.decode(await answer.read(1000))
    assert (answer.status, told["error"]["type"]) == (400, "invalid_request_error")
    assert "not a valid response item" in told["error"]["message"]


@pytest.mark.parametrize(("how", "why"), [("die", "ended"), ("ask nobody", "did not feel like it")])
async def test_a_codex_that_does_not_ask_is_another_account_s_chance(stage: Stage, how: str, why: str) -> None:
    with pytest.raises(Broken, match=why):
        await stage.codex.send(stage.call(user(how)))
    assert await stage.say(user("Who is there?"))


async def test_a_codex_that_falls_silent_is_not_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codex_turn, "ASKED_SECONDS_MAX", 0.1)
    with pytest.raises(UpstreamError, match="in time"):
        await stage.codex.send(stage.call(user("fall silent")))
    assert (await stage.heard("turn/interrupt"))["params"]["threadId"] == "thread-1"


async def test_where_it_cannot_go_on_it_begins_anew(stage: Stage) -> None:
    """What makes it ask nobody is new; the history in a new thread holds it, too, so that the fault is told."""
    await stage.say(user("One."))
    with pytest.raises(Broken, match="asked nobody"):
        await stage.codex.send(stage.call(user("One."), assistant("Ahoy."), user("ask nobody")))
    methods = [each.get("method") for each in stage.told()]
    assert methods.count("thread/start") == 2


async def test_a_caller_that_leaves_ends_the_turn(stage: Stage) -> None:
    reply = Reply(said("Ahoy."), held=asyncio.Event())
    stage.backend.replies = [reply]
    answer = await stage.codex.send(stage.call(user("Who is there?")))
    assert await anext(answer.chunks())
    answer.abort()
    assert reply.is_aborted
    await stage.heard("turn/interrupt")
    assert stage.pool.capacity.active == 0


async def test_a_caller_that_does_not_wait_for_the_beginning_ends_the_turn(stage: Stage) -> None:
    asking = asyncio.create_task(stage.codex.send(stage.call(user("fall silent"))))
    await asyncio.wait([asking], timeout=0.5)
    while not [*(stage.folder / "state").rglob("told.jsonl")]:  # noqa: ASYNC110 - the stand-in is just starting
        await asyncio.sleep(0.05)
    await stage.heard("turn/start")
    asking.cancel()
    await asyncio.wait([asking])
    await stage.heard("turn/interrupt")
    assert stage.pool.capacity.active == 0


async def test_a_conversation_is_resumed_by_its_name(stage: Stage) -> None:
    await stage.say(user("One."), session="abc")
    await stage.say(user("Two."), session="abc")
    assert stage.backend.asked[1] == ("thread-1", [user("One."), assistant("Ahoy."), user("Two.")])
    await stage.say(user("Three."), session="def")
    assert stage.backend.asked[2][1] == [user("Three.")]


async def test_what_stands_in_its_folder(stage: Stage) -> None:
    await stage.say(user("Who is there?"))
    (home,) = (stage.folder / "state").rglob("home")
    assert msgspec.json.decode((home / "auth.json").read_bytes())["tokens"]["refresh_token"] == ""
    assert (home / "installation_id").read_text() == "the-same-installation"
    assert {(home / name).stat().st_mode & 0o777 for name in ("auth.json", "config.toml", "models.json")} == {0o600}
    assert [*(home.parent / "empty").iterdir()] == []


async def test_a_version_that_lacks_a_switch_is_refused(stage: Stage) -> None:
    stage.codex._starter._ours["LC_ALL"] = "0.100.1"
    with pytest.raises(Broken, match=r"version 0\.100\.1 cannot be set up"):
        await stage.codex.send(stage.call(user("Who is there?")))


async def test_who_has_no_codex_is_told_how_to_get_it(stage: Stage) -> None:
    (stage.folder / "bin" / "codex").unlink()
    with pytest.raises(Broken, match="proxy cli install codex"):
        await stage.codex.send(stage.call(user("Who is there?")))


async def test_an_account_without_its_login_serves_nobody(stage: Stage) -> None:
    (stage.folder / "home" / "auth.json").write_bytes(b"{}")
    with pytest.raises(Broken, match="holds no tokens"):
        await stage.codex.send(stage.call(user("Who is there?")))


async def test_what_is_no_request_is_told_so(stage: Stage) -> None:
    call = stage.call()
    answer = await stage.codex.send(Call(method="POST", url=call.url, body=b"[]", account=call.account))
    assert answer.status == 400
    with pytest.raises(Broken, match="no login"):
        await stage.codex.send(Call(method="POST", url=call.url, body=call.body))
