"""One call as a turn of Codex's, with a program that stands in for it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from multidict import CIMultiDict

from proxy.errors import Broken, Unreachable, UpstreamError
from proxy.upstream import codex_turn
from tests.proxy.upstream.codex_stage import (
    CALL,
    RESULT,
    TOOL,
    Reply,
    Stage,
    answered,
    assistant,
    frames,
    said,
    user,
)


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


async def test_a_caller_that_does_not_wait_for_the_beginning_ends_the_turn(stage: Stage) -> None:
    asking = asyncio.create_task(stage.codex.send(stage.call(user("fall silent"))))
    await stage.heard("turn/start")
    asking.cancel()
    await asyncio.wait([asking])
    await stage.heard("turn/interrupt")
    assert stage.pool.capacity.active == 0
