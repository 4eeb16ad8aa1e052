from __future__ import annotations

import pytest

from proxy.hub.names import tag
from proxy.hub.parts import Opaque, Thinking, ToolCall
from proxy.hub.residue import JsonObject
from proxy.hub.response import Response
from proxy.wire.openai_responses import WIRE
from proxy.wire.openai_responses.items import Place, parse_item
from tests.proxy.wire.openai_responses.told import MAKER, REPLY, only

CLIENT = Place("input[0]")
ANSWER = Place("output[0]", 0, "xai")


def thinking(item: JsonObject, place: Place = CLIENT) -> Thinking:
    (part,) = parse_item({"type": "reasoning", **item}, place)
    assert isinstance(part, Thinking)
    return part


@pytest.mark.parametrize(
    ("item", "sections"),
    [
        ({"summary": []}, ()),
        ({"summary": [{"type": "summary_text", "text": "a"}]}, ("a",)),
        ({"summary": [], "content": [{"type": "reasoning_text", "text": "raw"}]}, ("raw",)),
        (
            {
                "summary": [{"type": "summary_text", "text": "a"}],
                "content": [{"type": "reasoning_text", "text": "raw"}],
            },
            ("raw",),
        ),
        ({"summary": [{"type": "new", "text": "a"}]}, ()),
        ({"content": None}, ()),
        ({}, ()),
    ],
)
def test_sections_are_what_the_model_shows(item: JsonObject, sections: tuple[str, ...]) -> None:
    part = thinking(item, ANSWER)
    assert part.sections == sections
    answer = Response(id="i", model="m", parts=(part,))
    written = only(WIRE.render_response(answer, REPLY).body["output"])
    assert written == {"type": "reasoning", **item}


def test_whose_thoughts_they_are() -> None:
    assert thinking({"encrypted_content": "blob"}, ANSWER).origin == "xai"
    own = thinking({"encrypted_content": "blob"})
    assert (own.origin, own.signature) == (MAKER, "blob")
    foreign = thinking({"encrypted_content": tag("anthropic", "sig")})
    assert (foreign.origin, foreign.signature, foreign.is_redacted) == ("anthropic", "sig", False)


@pytest.mark.parametrize("is_redacted", [False, True])
def test_another_makers_thoughts_return_as_they_went(is_redacted: bool) -> None:
    """Bugs 2, 3, 12 and 17: the blob to the byte, with its maker, and the kind of block that it stands for."""
    sections = () if is_redacted else ("let me see",)
    part = Thinking(sections=sections, signature="EqoB+/=", is_redacted=is_redacted, origin="anthropic")
    item = only(WIRE.render_response(Response(id="i", model="m", parts=(part,)), REPLY).body["output"])
    (message,) = WIRE.parse_request({"model": "m", "input": [item]}).messages
    (back,) = message.parts
    assert isinstance(back, Thinking)
    assert (back.sections, back.signature, back.is_redacted, back.origin) == (
        sections,
        "EqoB+/=",
        is_redacted,
        "anthropic",
    )


def test_arguments_that_are_an_object() -> None:
    item: JsonObject = {"type": "function_call", "call_id": "c", "name": "f", "arguments": {"a": 1}}
    (call,) = parse_item(item, CLIENT)
    assert isinstance(call, ToolCall)
    assert call.arguments == '{"a":1}'


def test_results_in_an_answer_belong_to_the_provider() -> None:
    (part,) = parse_item({"type": "function_call_output", "call_id": "c", "output": "x"}, ANSWER)
    assert isinstance(part, Opaque)


WRAPPER: JsonObject = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "c",
    "name": "multi_tool_use.parallel",
    "arguments": '{"tool_uses":[{"recipient_name":"functions.f","parameters":{"a":1}},{"recipient_name":"g"}]}',
}


def test_bug_36_calls_in_a_wrapper_are_expanded() -> None:
    calls = [part for part in parse_item(WRAPPER, ANSWER) if isinstance(part, ToolCall)]
    assert [(call.id, call.name, call.arguments) for call in calls] == [("c_0", "f", '{"a":1}'), ("c_1", "g", "{}")]
    answer = Response(id="i", model="m", parts=tuple(calls))
    assert WIRE.render_response(answer, REPLY).body["output"] == [WRAPPER]


@pytest.mark.parametrize("arguments", ["{", "{}", '{"tool_uses":[1]}', '{"tool_uses":[{}]}'])
def test_bug_36_a_wrapper_that_cannot_be_read_is_a_call(arguments: str) -> None:
    (call,) = parse_item({**WRAPPER, "arguments": arguments}, ANSWER)
    assert isinstance(call, ToolCall)
    assert call.name == "multi_tool_use.parallel"
