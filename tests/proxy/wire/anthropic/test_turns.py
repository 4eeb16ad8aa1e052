from __future__ import annotations

from proxy.hub.loss import Loss
from proxy.hub.pairing import FILLER, STUB
from proxy.hub.parts import Part, Text, ToolCall, ToolResult
from proxy.hub.profile import Profile
from proxy.hub.request import Message, Request, Role
from proxy.hub.residue import JsonValue
from proxy.wire.anthropic import WIRE
from proxy.wire.anthropic.turns import foreign_turns


def said(role: Role, *parts: Part) -> Message:
    return Message(role=role, parts=parts)


def call(call_id: str) -> ToolCall:
    return ToolCall(id=call_id, name="f")


def result(call_id: str, text: str = "x") -> ToolResult:
    return ToolResult(call_id=call_id, parts=(Text(text=text),))


def turns(*messages: Message) -> list[tuple[str, list[str]]]:
    """Each turn in short."""
    return [
        (turn.role, [short(part) for _, part in turn.parts])
        for turn in foreign_turns(messages, [], has_mid_system=False)
    ]


def short(part: Part) -> str:
    match part:
        case Text(text=text):
            return text
        case ToolCall(id=call_id):
            return f"call {call_id}"
        case ToolResult(call_id=call_id, parts=(Text(text=text),)):
            return f"result {call_id}: {text}"
        case _:
            return type(part).__name__


def lost(*messages: Message) -> list[str]:
    losses: list[Loss] = []
    foreign_turns(messages, losses, has_mid_system=False)
    return [loss.path for loss in losses]


ASK = said("user", Text(text="ask"))


def test_bug_30_results_come_first_and_in_the_order_of_the_calls() -> None:
    history = (
        ASK,
        said("assistant", call("a"), call("b")),
        said("user", Text(text="wait")),
        said("tool", result("b"), result("a")),
    )
    assert turns(*history) == [
        ("user", ["ask"]),
        ("assistant", ["call a", "call b"]),
        ("user", ["result a: x", "result b: x", "wait"]),
    ]
    assert lost(*history) == []


def test_bug_31_turns_merge_and_orphans_and_doubles_are_dropped() -> None:
    history = (
        ASK,
        said("user", Text(text="more")),
        said("assistant", Text(text="so")),
        said("assistant", call("a")),
        said("tool", result("a", "first")),
        said("tool", result("a", "second"), result("z")),
        said("assistant", Text(text="done")),
    )
    assert turns(*history) == [
        ("user", ["ask", "more"]),
        ("assistant", ["so", "call a"]),
        ("user", ["result a: first"]),
        ("assistant", ["done"]),
    ]
    assert lost(*history) == ["messages[5].content[0]", "messages[5].content[1]"]


def test_a_call_without_a_result_gets_a_stub() -> None:
    history = (ASK, said("assistant", call("a"), call("b")), said("tool", result("b")))
    assert turns(*history)[2] == ("user", [f"result a: {STUB}", "result b: x"])
    assert turns(ASK, said("assistant", call("a")))[2] == ("user", [f"result a: {STUB}"])


def test_bug_28_ids_that_are_used_again_become_unique() -> None:
    history = (
        ASK,
        said("assistant", call("same"), call("same")),
        said("tool", result("same", "one"), result("same", "two")),
        said("assistant", call("same")),
        said("tool", result("same", "three")),
    )
    told = turns(*history)
    ids = [short.removeprefix("call ") for role, parts in told if role == "assistant" for short in parts]
    assert ids[0] == "same"
    assert len(set(ids)) == 3
    answers = [short for role, parts in told if role == "user" for short in parts if short.startswith("result")]
    assert answers == [f"result {call_id}: {text}" for call_id, text in zip(ids, ("one", "two", "three"), strict=True)]
    assert turns(*history) == told


def test_bug_26_empty_ids_too() -> None:
    _, (_, (made,)), (_, (answer,)) = turns(ASK, said("assistant", call("")), said("tool", result("")))
    assert made != "call "
    assert answer == f"result {made.removeprefix('call ')}: x"


def rendered(*messages: Message) -> JsonValue:
    return WIRE.render_request(Request(model="m", messages=messages), Profile(maker="anthropic")).body["messages"]


def test_the_first_turn_is_the_users() -> None:
    filler = {"role": "user", "content": FILLER}
    assert rendered(said("assistant", Text(text="Hello"))) == [filler, {"role": "assistant", "content": "Hello"}]
    assert rendered() == rendered(said("user", Text(text=" "))) == [filler]
    assert rendered(said("user", Text(text="")), said("assistant", Text(text="a")), ASK) == [
        filler,
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "ask"},
    ]
    assert rendered(said("system", Text(text="s"))) == [{"role": "user", "content": "<system>\ns\n</system>"}]


def test_bug_27_illegal_ids_are_mapped_and_still_match() -> None:
    odd = "functions.get_weather:0"
    messages = rendered(ASK, said("assistant", call(odd)), said("tool", result(odd)))
    assert isinstance(messages, list)
    made, answer = (message["content"] for message in messages[1:] if isinstance(message, dict))
    assert isinstance(made, list)
    assert isinstance(answer, list)
    assert isinstance(made[0], dict)
    assert isinstance(answer[0], dict)
    assert str(made[0]["id"]).startswith("toolu_")
    assert made[0]["id"] == answer[0]["tool_use_id"]


def test_bug_32_a_turn_of_calls_has_no_empty_text() -> None:
    messages = rendered(ASK, said("assistant", Text(text=""), call("a")), said("tool", result("a")))
    assert isinstance(messages, list)
    assert messages[1] == {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}],
    }


def test_bug_49_an_empty_result_is_sent_as_empty_text() -> None:
    for empty in (ToolResult(call_id="a"), ToolResult(call_id="a", parts=(Text(text=""),))):
        messages = rendered(ASK, said("assistant", call("a")), said("tool", empty))
        assert isinstance(messages, list)
        assert messages[2] == {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "a", "content": ""}],
        }


def test_bug_50_empty_text_is_dropped_and_white_space_is_told() -> None:
    history = (
        said("user", Text(text="a"), Text(text="")),
        said("assistant", Text(text=" \n")),
        said("user", Text(text="b")),
    )
    request = Request(model="m", instructions=(Text(text=""),), messages=history)
    out = WIRE.render_request(request, Profile(maker="anthropic"))
    assert out.body == {
        "model": "m",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
    }
    assert [(loss.path, loss.what) for loss in out.losses] == [("messages[1].content[0]", "white space")]


def test_a_blank_system_text_in_mid_conversation_says_nothing() -> None:
    assert rendered(ASK, said("system", Text(text=" "))) == [{"role": "user", "content": "ask"}]
