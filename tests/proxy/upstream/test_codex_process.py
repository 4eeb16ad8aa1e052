"""One Codex and the conversations in it, with a program that stands in for it."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from proxy.errors import Broken
from proxy.upstream import codex_process
from proxy.upstream.codex_process import Thread
from tests.pace import SECONDS_MAX
from tests.proxy.upstream.codex_stage import (
    CALL,
    TOOL,
    Reply,
    Stage,
    answered,
    assistant,
    said,
    user,
)


async def test_a_call_of_what_nobody_offered_ends_the_thread(stage: Stage) -> None:
    stage.backend.replies = [Reply(answered({**CALL, "name": "shell"}))]
    await stage.say(user("How is it?"), tools=[TOOL])
    assert (await stage.heard("turn/interrupt"))["params"]["threadId"] == "thread-1"


@pytest.mark.parametrize(("how", "why"), [("die", "ended"), ("ask nobody", "did not feel like it")])
async def test_a_codex_that_does_not_ask_is_another_account_s_chance(stage: Stage, how: str, why: str) -> None:
    with pytest.raises(Broken, match=why):
        await stage.codex.send(stage.call(user(how)))
    assert await stage.say(user("Who is there?"))


async def test_a_caller_that_leaves_ends_the_turn(stage: Stage) -> None:
    reply = Reply(said("Ahoy."), held=asyncio.Event())
    stage.backend.replies = [reply]
    answer = await stage.codex.send(stage.call(user("Who is there?")))
    assert await anext(answer.chunks())
    answer.abort()
    assert reply.is_aborted
    await stage.heard("turn/interrupt")
    assert stage.pool.capacity.active == 0


async def test_a_version_that_lacks_a_switch_is_refused(stage: Stage) -> None:
    stage.codex._starter._ours["LC_ALL"] = "0.100.1"
    with pytest.raises(Broken, match=r"version 0\.100\.1 cannot be set up"):
        await stage.codex.send(stage.call(user("Who is there?")))


async def test_a_thread_is_ready_when_its_turn_is_over_or_waits_for_all_its_results() -> None:
    thread = Thread(id="t", tools=frozenset({"tide"}), is_over=False, pending=frozenset({"c1", "c2"}))
    waiting = asyncio.create_task(thread.ready())
    for call in ("c1", "c2"):
        assert not thread.is_ready
        thread.parked[call] = f"q-{call}"
        thread.moved.set()
    assert await waiting
    thread.pending = frozenset()
    assert not thread.is_ready, "its turn goes on"
    thread.is_over = True
    assert thread.is_ready


async def test_a_thread_that_knows_something_else_is_never_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = Thread(id="t", tools=frozenset(), is_over=False)
    waiting = asyncio.create_task(thread.ready())
    await asyncio.sleep(0)
    thread.is_broken = True
    thread.moved.set()
    assert not await waiting
    monkeypatch.setattr(codex_process, "READY_SECONDS_MAX", 0.01)
    assert not await Thread(id="t", tools=frozenset(), is_over=False).ready(), "it does not come to its end"


async def test_what_is_let_go_while_it_waits_is_interrupted_and_forgotten(stage: Stage) -> None:
    stage.backend.replies = [Reply(answered(CALL))]
    await stage.say(user("How is it?"), tools=[TOOL])
    (process,) = stage.pool._processes.values()
    (kept,) = process.kept
    assert process.worker is not None
    process.worker.forget(kept.note)
    assert isinstance(kept.note, Thread)
    assert kept.note.is_broken
    assert (await stage.heard("turn/interrupt"))["params"]["threadId"] == kept.note.id
    assert (await stage.heard("thread/unsubscribe"))["params"]["threadId"] == kept.note.id


async def test_one_that_ends_takes_its_conversations_along(stage: Stage) -> None:
    await stage.say(user("One."))
    (process,) = stage.pool._processes.values()
    worker = process.worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    async with asyncio.timeout(SECONDS_MAX):
        while worker.is_alive:  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.01)
    assert await stage.say(user("One."), assistant("Ahoy."), user("Two."))
    assert stage.backend.asked[-1] == ("thread-1", [user("One."), assistant("Ahoy."), user("Two.")])
    assert [each.is_dead for each in stage.pool._processes.values()].count(False) == 1
