from __future__ import annotations

from proxy.hub.pairing import STUB, paired, with_unique_ids
from proxy.hub.parts import Part, Text, ToolCall, ToolResult
from proxy.hub.request import Message


def said(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def call(call_id: str) -> ToolCall:
    return ToolCall(id=call_id, name="look")


def result(call_id: str, text: str = "done") -> ToolResult:
    return ToolResult(call_id=call_id, parts=(Text(text=text),))


def tool(*results: ToolResult) -> Message:
    return Message(role="tool", parts=results)


def user(text: str) -> Message:
    return Message(role="user", parts=(Text(text=text),))


def transcript(messages: list[Message]) -> list[str]:
    lines = []
    for placed in paired(messages)[0]:
        for part in placed.message.parts:
            match part:
                case Text(text=text):
                    lines.append(f"{placed.message.role}: {text}")
                case ToolCall(id=call_id):
                    lines.append(f"call {call_id}")
                case ToolResult(call_id=call_id, parts=(Text(text=text),)):
                    lines.append(f"result {call_id}: {text}")
    return lines


def test_results_come_in_the_order_of_their_calls_and_before_other_text() -> None:
    messages = [said(call("a"), call("b")), user("meanwhile"), tool(result("b", "B")), tool(result("a", "A"))]
    assert transcript(messages) == ["call a", "call b", "result a: A", "result b: B", "user: meanwhile"]
    assert paired(messages)[1] == []


def test_a_call_without_a_result_gets_a_stub() -> None:
    assert transcript([said(call("a")), user("go on")]) == ["call a", f"result a: {STUB}", "user: go on"]


def test_orphans_and_repetitions_are_dropped_with_a_loss() -> None:
    messages = [tool(result("gone")), said(call("a")), tool(result("a", "first"), result("a", "again"))]
    assert transcript(messages) == ["call a", "result a: first"]
    assert [loss.path for loss in paired(messages)[1]] == ["messages[0].content[0]", "messages[2].content[1]"]


def test_an_id_that_is_used_again_pairs_turn_by_turn() -> None:
    messages = [
        said(call("a")), tool(result("a", "1"), result("a", "1 again")),
        said(call("a")), tool(result("a", "2")),
        said(call("a")), user("stop"),
    ]  # fmt: skip
    assert transcript(messages) == [
        "call a", "result a: 1", "call a", "result a: 2", "call a", f"result a: {STUB}", "user: stop",
    ]  # fmt: skip
    assert len(paired(messages)[1]) == 1


def test_each_part_keeps_its_path() -> None:
    placed, _ = paired([user("hi"), said(Text(text="so"), call("a")), tool(result("a"))])
    assert [(each.path, each.paths) for each in placed] == [
        ("messages[0]", ("messages[0].content[0]",)),
        ("messages[1]", ("messages[1].content[0]", "messages[1].content[1]")),
        ("messages[1]", ("messages[2].content[0]",)),
    ]


def test_two_calls_of_one_id_in_one_turn_take_a_result_each() -> None:
    messages = [said(call("a"), call("a")), tool(result("a", "1"), result("a", "2"))]
    assert transcript(messages) == ["call a", "call a", "result a: 1", "result a: 2"]


def test_ids_that_are_used_again_or_empty_get_others_that_stay() -> None:
    history = [
        said(call("call_0"), call("")),
        tool(result("call_0", "one"), result("", "two")),
        said(call("call_0")),
        tool(result("call_0", "three")),
    ]
    parts = [part for each in with_unique_ids(paired(history)[0]) for part in each.message.parts]
    calls = [part.id for part in parts if isinstance(part, ToolCall)]
    assert calls[0] == "call_0"
    assert len({*calls, ""}) == 4
    assert [part.call_id for part in parts if isinstance(part, ToolResult)] == calls
    again = [part for each in with_unique_ids(paired(history)[0]) for part in each.message.parts]
    assert again == parts
