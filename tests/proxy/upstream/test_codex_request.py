from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.hub.residue import JsonObject
from proxy.upstream.codex_request import Turn, calls_of, can_be_parked, digest, read_turn, results, said_in


def turn(**body: Any) -> Turn:
    return read_turn(msgspec.json.encode({"model": "gpt-5.5", "input": "hello", **body}))


def user(text: str) -> JsonObject:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def test_what_a_thread_and_a_turn_are_begun_with() -> None:
    asked = turn(
        instructions="You are the harbour master.",
        stream=True,
        reasoning={"effort": "high", "summary": "auto"},
        service_tier="flex",
        text={"verbosity": "high", "format": {"type": "json_schema", "schema": {"type": "object"}, "strict": True}},
        tools=[
            {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False},
            {"type": "function", "name": "tides", "description": "High and low."},
            {"type": "web_search"},
        ],
    )
    assert asked.is_stream
    assert asked.items == (user("hello"),)
    assert asked.thread["baseInstructions"] == "You are the harbour master."
    assert asked.thread["serviceTier"] == "flex"
    assert asked.thread["config"] == {
        "model_verbosity": "high",
        "web_search": "live",
        "model_reasoning_summary": "auto",
    }
    assert asked.thread["dynamicTools"] == [
        {"type": "function", "name": "weather", "description": "", "inputSchema": {"type": "object"}},
        {
            "type": "function",
            "name": "tides",
            "description": "High and low.",
            "inputSchema": {"type": "object", "properties": {}},
        },
    ]
    assert asked.tools == {"weather", "tides"}
    assert asked.turn == {"input": [], "effort": "high", "outputSchema": {"type": "object"}}


def test_a_thread_can_do_nothing_but_answer() -> None:
    thread = turn().thread
    assert (thread["ephemeral"], thread["approvalPolicy"], thread["sandbox"], thread["environments"]) == (
        True,
        "never",
        "read-only",
        [],
    )
    assert thread["config"] == {"model_reasoning_summary": "none"}
    assert "serviceTier" not in thread


def test_messages_as_codex_takes_them() -> None:
    asked = turn(
        input=[
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "Ahoy."},
            {"type": "reasoning", "encrypted_content": "x"},
        ]
    )
    assert [(item.get("role"), item.get("content")) for item in asked.items] == [
        ("developer", [{"type": "input_text", "text": "Be short."}]),
        ("user", [{"type": "input_text", "text": "hello"}]),
        ("assistant", [{"type": "output_text", "text": "Ahoy."}]),
        (None, None),
    ]


def test_what_is_new_stands_behind_what_was_said() -> None:
    history: list[Any] = [
        {"role": "user", "content": "hello"},
        {"type": "reasoning", "encrypted_content": "x"},
        {"role": "assistant", "content": "Ahoy."},
        {"role": "user", "content": "more"},
    ]
    asked = turn(input=history)
    assert (len(asked.items), len(asked.said)) == (4, 3)
    assert asked.new_items(2) == (user("more"),)
    assert asked.new_items(0) == asked.items
    assert asked.said[:2] == turn(input=[history[0], history[2]]).said, "thoughts are not repeated by everybody"


def test_what_was_said_before_stands_in_front_of_what_is_new() -> None:
    whole = turn(input=[{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Ahoy."}])
    assert (whole.has_history, turn().has_history) == (True, False)
    goes_on = turn(input="more").after(whole.items)
    assert goes_on.said[:2] == whole.said
    assert goes_on.new_items(2) == (user("more"),)
    assert goes_on.terms == whole.terms


@pytest.mark.parametrize(
    "other",
    [
        {"instructions": "Be long."},
        {"model": "gpt-5.4"},
        {"reasoning": {"effort": "high"}},
        {"reasoning": {"summary": "auto"}},
        {"text": {"verbosity": "high"}},
        {"service_tier": "flex"},
        {"tools": [{"type": "function", "name": "weather"}]},
        {"tools": [{"type": "web_search"}]},
    ],
)
def test_other_terms_are_another_thread(other: dict[str, Any]) -> None:
    assert turn().terms != turn(**other).terms


def test_a_schema_is_of_its_turn() -> None:
    wanted = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert turn().terms == turn(text=wanted, stream=True).terms


@pytest.mark.parametrize(
    ("written", "sent_back"),
    [
        (
            {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "phase": "final"}
            | {"content": [{"type": "output_text", "text": "Ahoy.", "annotations": [], "logprobs": []}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Ahoy."}]},
        ),
        (
            {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": '{ "b": 1, "a": 2 }'},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":2,"b":1}'},
        ),
        (
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "broken", "namespace": "functions"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "broken", "status": "completed"},
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:x"}]},
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_image", "image_url": "data:x", "detail": "auto"}],
            },
        ),
    ],
)
def test_what_comes_back_is_known_again(written: JsonObject, sent_back: JsonObject) -> None:
    assert digest(written) == digest(sent_back)


def test_what_was_edited_is_not() -> None:
    calls: list[JsonObject] = [
        {"type": "function_call", "call_id": call, "name": name, "arguments": arguments}
        for call in ("c", "d")
        for name in ("f", "g")
        for arguments in ("{}", '{"a":1}')
    ]
    told = [result("c", output) for output in ("a", "b", [{"type": "input_text", "text": "c"}])]
    said = [*calls, *told, user("a"), user("b")]
    assert len({digest(item) for item in said}) == len(said)


CALLS: list[JsonObject] = [
    {"type": "reasoning", "encrypted_content": "x"},
    {"type": "function_call", "call_id": "a", "name": "weather", "arguments": "{}"},
    {"type": "function_call", "call_id": "b", "name": "tides", "arguments": '{"at":"Kiel"}'},
]


def result(call: str, output: Any = "rain") -> JsonObject:
    return {"type": "function_call_output", "call_id": call, "output": output}


def test_calls_that_wait_for_their_results() -> None:
    assert calls_of(CALLS) == ("a", "b")
    assert can_be_parked(CALLS, {"weather", "tides"})
    assert can_be_parked(CALLS[:1], ())
    assert not can_be_parked(CALLS, {"weather"}), "Codex answers itself what it does not know"
    broken: JsonObject = {"type": "function_call", "call_id": "a", "name": "weather", "arguments": "{"}
    assert not can_be_parked([broken], {"weather"})
    custom: JsonObject = {"type": "custom_tool_call", "call_id": "a", "name": "weather", "input": "x"}
    assert not can_be_parked([custom], {"weather"})


def test_results_for_the_calls_that_wait() -> None:
    told = results([result("b", "low"), result("a")], {"a", "b"})
    assert told is not None
    assert told["a"] == {"contentItems": [{"type": "inputText", "text": "rain"}], "success": True}
    assert told["b"] == {"contentItems": [{"type": "inputText", "text": "low"}], "success": True}


@pytest.mark.parametrize(
    "items",
    [
        [],
        [result("a")],
        [result("a"), result("a")],
        [result("a"), result("b"), result("c")],
        [result("a"), result("b"), user("And now?")],
        [result("a"), result("b", [{"type": "input_text", "text": "low"}])],
    ],
)
def test_anything_else_is_told_anew(items: list[JsonObject]) -> None:
    assert results(items, {"a", "b"}) is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"'])
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_turn(body)


def test_what_a_client_read_in_pieces_is_what_was_said() -> None:
    """Gemini's users send back a message for each chunk of a stream."""
    asked = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Who is there?"}]}

    def said(*texts: str) -> dict[str, Any]:
        parts = [{"type": "output_text", "text": text} for text in texts]
        return {"type": "message", "role": "assistant", "content": parts}

    thought = {"type": "reasoning", "summary": []}
    whole = said_in([asked, thought, said("Ahoy there."), asked])
    assert said_in([asked, said("Ahoy"), said(" there."), asked]) == whole
    assert said_in([asked, said("Ahoy", " there."), asked]) == whole
    assert said_in([asked, said("Ahoy"), asked, said(" there."), asked]) != whole
    call = {"type": "function_call", "name": "tide", "arguments": "{}", "call_id": "c"}
    assert len(said_in([asked, said("Ahoy"), call, said("there")])) == 4
