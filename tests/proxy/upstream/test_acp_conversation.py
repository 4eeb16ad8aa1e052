"""What is expected of a conversation in an ACP CLI, and where it stands."""

from __future__ import annotations

import asyncio
from typing import Any

from proxy.errors import Broken
from proxy.upstream.acp_conversation import Conversation
from proxy.upstream.acp_script import Called, Fate


def conversation(**more: Any) -> Conversation:
    return Conversation(key="k", tools=(), instructions="", model="m", edition=0, **more)


def result(words: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}]}


async def test_results_are_taken_one_by_one_and_only_the_first_call_waits() -> None:
    talk = conversation(asking=asyncio.create_task(asyncio.Event().wait()))  # type: ignore[arg-type]
    first = asyncio.create_task(talk.carry_out("tide", {}))
    assert await talk.ready(for_results=True)
    talk.carried_out([Called("mcp_tide"), Called("mcp_wind")], [result("low"), result("calm")])
    assert await first == result("low")
    assert await talk.carry_out("tide", {}) == result("calm")
    assert talk.asking is not None
    talk.asking.cancel()


async def test_calls_that_come_in_another_order_get_their_own_results() -> None:
    talk = conversation()
    calls = [
        Called("api_tide", "1", {"at": "Kiel"}),
        Called("api_tide", "2", {"at": "Rome"}),
        Called("api_wind", "3", {}),
    ]
    wind, rome = (asyncio.create_task(talk.carry_out(*each)) for each in (("wind", {}), ("tide", {"at": "Rome"})))
    assert await talk.ready(for_results=False), "nothing is under way"
    talk.carried_out(calls, [result("high"), result("low"), result("calm")])
    assert await talk.carry_out("tide", {"at": "Kiel"}) == result("high")
    assert (await wind, await rome) == (result("calm"), result("low"))


async def test_a_prompt_can_be_said_when_none_is_under_way() -> None:
    talk = conversation()
    assert await talk.ready(for_results=False)
    assert not await talk.ready(for_results=True), "it waits for nothing"
    talk.let_go()
    assert not await talk.ready(for_results=False)


async def test_a_call_of_a_conversation_that_was_let_go_is_nobody_s() -> None:
    talk = conversation()
    call = asyncio.create_task(talk.carry_out("tide", {}))
    await asyncio.sleep(0)
    talk.let_go()
    assert (await call)["isError"] is True


async def test_a_request_is_expected_once() -> None:
    talk = conversation(expected=b"canned")
    waiting = asyncio.create_task(talk.has_asked())
    await asyncio.sleep(0)
    assert talk.taken() == b"canned"
    await waiting
    assert talk.taken() is None
    assert not talk.is_broken


async def test_a_step_that_led_to_no_request_breaks_it() -> None:
    talk = conversation(expected=Fate.IS_REFUSED)
    talk.fail(Broken("it had nothing to ask"))
    assert talk.is_broken
    await talk.has_asked()


def test_it_is_a_server_of_the_caller_s_tools() -> None:
    tool: dict[str, Any] = {"name": "tides", "inputSchema": {"type": "object"}}
    talk = Conversation(key="k", tools=(tool,), instructions="", model="m", edition=0)
    told = talk.served("initialize", {"protocolVersion": "2025-06-18"})
    assert (told["protocolVersion"], told["capabilities"]) == ("2025-06-18", {"tools": {}})
    assert talk.served("tools/list", {}) == {"tools": [tool]}
    assert talk.served("prompts/list", {}) == {}
