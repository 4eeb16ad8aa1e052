"""Signatures travel in `reasoning_details`, to clients that know them, and back to their maker only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from proxy.hub.parts import Text, Thinking, ToolCall
from proxy.hub.profile import Profile
from proxy.hub.request import Request
from proxy.hub.response import Finish, Response
from proxy.wire.base import Reply
from proxy.wire.fields import Fields
from proxy.wire.openai_chat import WIRE
from proxy.wire.openai_chat.reasoning import details_for_client, take_thinking

THOUGHTS = (
    Thinking(sections=("first",), signature="sig-1", origin="anthropic"),
    Thinking(signature="sig-2", is_redacted=True, origin="anthropic"),
)
CALL = ToolCall(id="c1", name="look", signature="sig-3", origin="gemini")


def asked(*history: dict[str, Any], **more: Any) -> Request:
    return WIRE.parse_request({"model": "m", "messages": [{"role": "user", "content": "x"}, *history], **more})


def message(request: Request | None) -> dict[str, Any]:
    response = Response(id="a", model="m", parts=(*THOUGHTS, Text(text="so"), CALL), finish=Finish("tool_calls"))
    body: Any = WIRE.render_response(response, Reply(model="m", request_id="r", request=request)).body
    told: dict[str, Any] = body["choices"][0]["message"]
    return told


def test_clients_in_general_get_no_signatures() -> None:
    for request in (None, asked()):
        assert "sig-" not in str(message(request))
        assert message(request)["reasoning_content"] == "first"


def test_a_client_that_knows_details_gets_them_tagged_and_brings_them_back() -> None:
    told = message(asked(reasoning={"effort": "low"}))
    assert told["reasoning_details"] == [
        {
            "type": "reasoning.text",
            "text": "first",
            "signature": "px1.anthropic.sig-1",
            "format": "anthropic-claude-v1",
            "index": 0,
        },
        {"type": "reasoning.encrypted", "data": "px1.anthropic.sig-2", "format": "anthropic-claude-v1", "index": 1},
        {
            "type": "reasoning.encrypted",
            "data": "px1.gemini.sig-3",
            "id": "c1",
            "format": "google-gemini-v1",
            "index": 2,
        },
    ]
    parts = asked(told).messages[1].parts
    assert [replace(part, residue=None) for part in parts] == [*THOUGHTS, Text(text="so"), CALL]


def test_bug_2_signed_details_go_back_as_they_came(able: Profile) -> None:
    """Through a client of another wire, which has room for one blob only."""
    details = [
        {"type": "reasoning.summary", "summary": "hm", "format": "openai-responses-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "gAAA", "id": "rs_1", "format": "openai-responses-v1", "index": 0},
    ]
    choice = {"message": {"content": "so", "reasoning": "hm", "reasoning_details": details}, "finish_reason": "stop"}
    thought = WIRE.parse_response({"choices": [choice]}, maker="openrouter").parts[0]
    assert isinstance(thought, Thinking)
    assert (thought.sections, thought.origin) == (("hm",), "openrouter")
    brought = Thinking(sections=("hm",), signature=thought.signature, origin="openrouter")
    request = replace(
        asked(),
        messages=(*asked().messages, replace(asked().messages[0], role="assistant", parts=(brought, Text(text="so")))),
    )
    body: Any = WIRE.render_request(replace(request, residue=None), replace(able, maker="openrouter")).body
    assert body["messages"][1]["reasoning_details"] == details
    elsewhere: Any = WIRE.render_request(replace(request, residue=None), able)
    assert "gAAA" not in str(elsewhere.body)
    assert [loss.path for loss in elsewhere.losses] == ["messages[1].content[0].signature"]


def test_bug_3_details_of_another_maker_are_dropped_at_home(able: Profile) -> None:
    details = [{"type": "reasoning.text", "text": "hm", "signature": "px1.anthropic.sig"}]
    request = asked({"role": "assistant", "content": "so", "reasoning_details": details})
    answer: Any = WIRE.render_request(request, able)
    assert answer.body["messages"][1]["reasoning_details"] == [{"type": "reasoning.text", "text": "hm"}]
    assert [loss.path for loss in answer.losses] == ["messages[1].content[0].signature"]
    native: Any = WIRE.render_request(request, replace(able, maker="anthropic")).body
    assert native["messages"][1]["reasoning_details"][0]["signature"] == "sig"


def test_bug_5_one_thought_for_all_details_of_a_message() -> None:
    details = [{"type": "reasoning.summary", "summary": text, "index": index} for index, text in enumerate("abc")]
    parts = WIRE.parse_response(
        {"choices": [{"message": {"content": "x", "reasoning_details": details}}]}, maker="m"
    ).parts
    thoughts = [part for part in parts if isinstance(part, Thinking)]
    assert [thought.sections for thought in thoughts] == [("a", "b", "c")]
    assert thoughts[0].signature is None


def test_bug_20_a_text_that_is_told_twice_is_one_thought() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "signature": "s"}]
    message = {"content": "x", "reasoning": "hm", "reasoning_content": "hm", "reasoning_details": details}
    thought = WIRE.parse_response({"choices": [{"message": message}]}, maker="m").parts[0]
    assert isinstance(thought, Thinking)
    assert thought.sections == ("hm",)


def test_upstreams_that_take_no_thoughts_back_get_none(able: Profile) -> None:
    request = asked({"role": "assistant", "content": "so", "reasoning_content": "hm"})
    answer: Any = WIRE.render_request(request, replace(able, replays_reasoning_text=False))
    assert answer.body["messages"][1] == {"role": "assistant", "content": "so"}
    assert [loss.path for loss in answer.losses] == ["messages[1].content[0]"]


def test_a_signed_thought_without_a_text_comes_back_as_one() -> None:
    """Anthropic's ``display: omitted``: it is not the redacted kind, and would be refused as that."""
    for is_redacted in (False, True):
        thought = Thinking(signature="sig", is_redacted=is_redacted, origin="anthropic")
        (detail,) = details_for_client(thought, 0)
        fields = Fields({"reasoning_details": [detail]}, wire="openai_chat")
        (back,), _ = take_thinking(fields, origin="openai_chat", is_client=True)
        assert (back.signature, back.is_redacted, back.origin) == ("sig", is_redacted, "anthropic")
