from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.hub.parts import CacheMark, Opaque, Part, Text, Thinking, ToolCall, ToolResult
from proxy.hub.profile import Profile
from proxy.hub.request import Message, Request, Role, Tool
from proxy.hub.residue import JsonValue, Residue
from proxy.wire.anthropic import WIRE, with_breakpoints

if TYPE_CHECKING:
    from collections.abc import Iterator

PROFILE = Profile(maker="anthropic", has_cache_marks=True)


def said(role: Role, *parts: Part) -> Message:
    return Message(role=role, parts=parts)


def conversation(turns: int) -> Request:
    messages: list[Message] = [said("user", Text(text="question 0"))]
    for number in range(turns):
        messages += [
            said("assistant", ToolCall(id=f"c{number}", name="f"), Text(text="a moment")),
            said("tool", ToolResult(call_id=f"c{number}", parts=(Text(text="result"),))),
            said("user", Text(text=f"question {number + 1}")),
        ]
    return Request(
        model="m",
        instructions=(Text(text="one"), Text(text="two")),
        messages=tuple(messages),
        tools=(Tool(name="f"), Tool(name="g")),
    )


def marked(value: JsonValue, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        if "cache_control" in value:
            yield path
        for key, each in value.items():
            yield from marked(each, f"{path}.{key}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from marked(each, f"{path}[{index}]")


def body(request: Request) -> dict[str, JsonValue]:
    rendered = WIRE.render_request(with_breakpoints(request), PROFILE)
    assert rendered.losses == ()
    return rendered.body


def bare(value: JsonValue) -> JsonValue:
    """Without marks, and with text always as blocks: what is cached."""
    if isinstance(value, dict):
        kept = {key: bare(each) for key, each in value.items() if key != "cache_control"}
        content = kept.get("content")
        return {**kept, "content": [{"type": "text", "text": content}]} if isinstance(content, str) else kept
    return [bare(each) for each in value] if isinstance(value, list) else value


def test_the_ends_of_tools_system_and_the_last_two_turns_are_marked() -> None:
    assert list(marked(body(conversation(2)))) == [
        ".system[1]",
        ".messages[2].content[1]",
        ".messages[4].content[1]",
        ".tools[1]",
    ]
    assert list(marked(body(conversation(0)))) == [".system[1]", ".messages[0].content[0]", ".tools[1]"]


def test_the_last_turns_mark_is_the_next_requests_second_last() -> None:
    before, after = set(marked(body(conversation(3)))), set(marked(body(conversation(4))))
    assert ".messages[6].content[1]" in before & after


def test_the_prefix_stays_as_it_is() -> None:
    before, after = bare(body(conversation(3))), bare(body(conversation(4)))
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    old, new = before["messages"], after["messages"]
    assert isinstance(old, list)
    assert isinstance(new, list)
    assert new[: len(old)] == old
    assert (before["system"], before["tools"]) == (after["system"], after["tools"])


def test_the_same_request_gets_the_same_marks() -> None:
    assert with_breakpoints(conversation(3)) == with_breakpoints(conversation(3))
    assert with_breakpoints(with_breakpoints(conversation(3))) == with_breakpoints(conversation(3))


def test_a_client_that_marks_knows_what_it_wants() -> None:
    inner = ToolResult(call_id="1", parts=(Text(text="x", cache=CacheMark()),))
    for request in (
        Request(model="m", messages=(said("user", Text(text="a", cache=CacheMark())),)),
        Request(model="m", messages=(said("tool", inner),)),
        Request(model="m", tools=(Tool(name="f", cache=CacheMark()),)),
        Request(model="m", instructions=(Text(text="a", cache=CacheMark()),)),
        Request(
            model="m",
            messages=(said("user", Text(text="a")),),
            residue=Residue(wire="anthropic", fields={"cache_control": {"type": "ephemeral"}}),
        ),
    ):
        assert with_breakpoints(request) is request


def test_bug_70_deferred_tools_bear_no_mark() -> None:
    deferred = Tool(name="g", residue=Residue(wire="anthropic", fields={"defer_loading": True}))
    hosted = Opaque(wire="anthropic", kind="mcp_toolset", value={"type": "mcp_toolset", "defer_loading": True})
    tools = with_breakpoints(Request(model="m", tools=(Tool(name="f"), deferred, hosted))).tools
    assert [tool.cache for tool in tools] == [CacheMark(), None, None]
    assert with_breakpoints(Request(model="m", tools=(deferred,))).tools == (deferred,)


def test_only_what_can_bear_a_mark_does() -> None:
    parts = (Text(text="a"), Text(text=" "))
    request = Request(model="m", messages=(said("user", *parts), said("assistant", Thinking(sections=("x",)))))
    (first, second) = with_breakpoints(request).messages
    assert [part.cache for part in first.parts] == [CacheMark(), None]
    assert second == request.messages[1]
    empty = Request(model="m", messages=(said("user", Text(text="")),))
    assert with_breakpoints(empty) == empty
