"""A request in OpenAI Chat's words, as an ACP CLI is told it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.hub.residue import JsonObject
from proxy.upstream.acp_script import Called, Fate, Results, Say, Step, Turn
from proxy.upstream.base import Call
from proxy.upstream.chat_answer import canned
from proxy.upstream.chat_request import APART, Dialect, asked, digest, read_turn, resumed, said

PIXEL = "iVBORw0KGgo="
WHO: dict[str, Any] = {"role": "user", "content": "Who is there?"}
AHOY: dict[str, Any] = {"role": "assistant", "content": "Ahoy."}
CALLED: dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": each, "type": "function", "function": {"name": f"api_{each}", "arguments": '{"at": "Kiel"}'}}
        for each in ("tides", "wind")
    ],
}
CALLS = tuple(Called(f"api_{each}", each, {"at": "Kiel"}) for each in ("tides", "wind"))


def settings(model: str, instructions: str, rest: JsonObject) -> bytes:
    return msgspec.json.encode([model, instructions, rest])


DIALECT = Dialect(prefix="api_", settings=settings, schema={"$schema": "x"}, no_instructions=" ")


def turn(*messages: dict[str, Any], **more: Any) -> Turn:
    body = {"model": "big", "messages": [*messages], **more}
    call = Call(method="POST", url="https://models.test/v1", body=msgspec.json.encode(body), model="big")
    return read_turn(call, DIALECT)


def told(*texts: str) -> Say:
    return Say(tuple({"type": "text", "text": text} for text in texts))


def result(call: str, text: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": text}


def shown(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


def test_a_question_is_one_step() -> None:
    assert turn(WHO).steps(0, ()) == (Step(told("Who is there?"), Fate.GOES_ON),)
    assert not turn(WHO).is_stream
    assert turn(WHO, stream=True).is_stream


def test_what_the_model_said_before_is_heard_from_us() -> None:
    steps = turn(WHO, AHOY, WHO).steps(0, ())
    assert steps == (Step(told("Who is there?"), canned(AHOY)), Step(told("Who is there?"), Fate.GOES_ON))
    assert turn(WHO, AHOY, WHO).steps(2, ()) == steps[1:]


def test_results_are_told_in_the_order_of_their_calls() -> None:
    parts = [{"type": "text", "text": "lo"}, {"type": "text", "text": "w"}]
    asking = turn(WHO, CALLED, result("wind", "calm"), result("tides", parts))
    last = asking.steps(0, ())[-1]
    assert last == Step(Results(CALLS, (shown("low"), shown("calm"))), Fate.GOES_ON)
    assert asking.steps(2, CALLS) == (last,)


def test_words_beside_results_are_a_prompt_of_their_own() -> None:
    steps = turn(WHO, CALLED, result("tides", "low"), result("wind", "calm"), WHO, AHOY, WHO).steps(2, CALLS)
    assert steps == (
        Step(Results(CALLS, (shown("low"), shown("calm"))), Fate.IS_REFUSED),
        Step(told("Who is there?"), canned(AHOY)),
        Step(told("Who is there?"), Fate.GOES_ON),
    )


@pytest.mark.parametrize(
    "messages",
    [(), (AHOY,), (WHO, AHOY), (WHO, CALLED, WHO), (WHO, CALLED, result("tides", "low")), (WHO, AHOY, result("x", ""))],
)
def test_what_does_not_fit_together_is_refused(messages: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(ValueError, match="messages"):
        turn(*messages).steps(0, ())


@pytest.mark.parametrize("words", ["/help", " /init", "\n/compact", "\ufeff/x"])
def test_what_the_cli_would_take_for_a_command_is_set_apart(words: str) -> None:
    parts = [{"type": "text", "text": words[:2]}, {"type": "text", "text": words[2:]}]
    (step,) = turn({"role": "user", "content": parts}).steps(0, ())
    assert step.told == told(APART + words[:2], words[2:])
    (step,) = turn({"role": "user", "content": f"at {words}"}).steps(0, ())
    assert step.told == told(f"at {words}")


def test_files_are_told_as_they_are() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
    ]
    (step,) = turn({"role": "user", "content": parts}).steps(0, ())
    assert isinstance(step.told, Say)
    assert [(each["type"], each["mimeType"], each["data"]) for each in step.told.blocks] == [
        ("image", "image/png", PIXEL), ("image", "application/pdf", "aGk="), ("audio", "audio/wav", "aGk="),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="image_url"):
        turn({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}).steps(0, ())


def test_what_the_model_says_in_two_messages_is_one() -> None:
    (first, _) = turn(WHO, AHOY, CALLED, result("tides", ""), result("wind", "")).steps(0, ())
    assert first.then == canned({**AHOY, "tool_calls": CALLED["tool_calls"]})


def test_all_else_that_is_asked_is_for_the_settings() -> None:
    tool = {"type": "function", "function": {"name": "api_tides", "description": "d", "parameters": {"required": []}}}
    system = [{"role": "system", "content": "Be kind."}, {"role": "developer", "content": "Be brief."}]
    asking = turn(*system, WHO, tools=[tool], seed=7, stream=True, stream_options={"include_usage": True})
    assert asking.tools == (
        {"name": "tides", "description": "d", "inputSchema": {"required": [], "type": "object", "$schema": "x"}},
    )
    assert asking.instructions == "Be kind.\n\nBe brief."
    assert msgspec.json.decode(asking.settings) == ["big", "Be kind.\n\nBe brief.", {"seed": 7}]
    assert turn(WHO).instructions == " "
    others = [turn(WHO), turn(WHO, tools=[tool]), turn(WHO, seed=7), turn(system[0], WHO), asking]
    assert len({each.terms for each in others}) == len(others)
    assert turn(AHOY, WHO, seed=7).terms == turn(WHO, seed=7).terms


def test_an_answer_and_what_a_client_sends_back_of_it_are_alike() -> None:
    call = {"id": "other", "type": "function", "function": {"name": "api_tides", "arguments": '{"at":"Kiel"}'}}
    heard = {**CALLED, "reasoning_content": "Hm.", "content": "", "tool_calls": [CALLED["tool_calls"][0]]}
    assert digest([heard]) == digest([{"role": "assistant", "tool_calls": [call]}])
    assert digest([heard]) != digest([{"role": "assistant", "content": "x", "tool_calls": [call]}])
    one, two = {"type": "text", "text": "Who is"}, {"type": "text", "text": " there?"}
    assert turn({"role": "user", "content": [one, two]}).said == turn(WHO).said


def test_a_conversation_is_resumed_behind_its_instructions() -> None:
    system = {"role": "system", "content": "Be kind."}
    body = msgspec.json.encode({"model": "big", "messages": [system, WHO]})
    before = said(body, [AHOY])
    assert before == [WHO, AHOY]
    assert msgspec.json.decode(resumed(body, before))["messages"] == [system, WHO, AHOY, WHO]
    told_all = msgspec.json.encode({"messages": [WHO, AHOY, WHO]})
    assert resumed(told_all, before) == told_all


def test_what_a_cli_s_own_request_says_of_itself() -> None:
    system = {"role": "system", "content": "Be kind.\nIts own: yes.\nIts own: x"}
    body = msgspec.json.encode({"model": "big", "messages": [system, WHO]})
    found = asked(body, {"x-session": "s1"}, session="x-session", until="\nIts own: ")
    assert (found.conversation, found.model, found.instructions) == ("s1", "big", "Be kind.\nIts own: yes.")
    tools = [{"type": "function", "function": {"name": "api_tide"}}, {"type": "web_search"}]
    bare = asked(msgspec.json.encode({"model": "big", "messages": [WHO], "tools": tools}), {}, session="x-session")
    assert (bare.conversation, bare.instructions, bare.tools) == ("", "", {"api_tide", "web_search"})
    with pytest.raises(ValueError, match="messages"):
        asked(b'{"model": "big"}', {}, session="x-session")
