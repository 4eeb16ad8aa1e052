from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from proxy.hub.events import (
    Event,
    Failure,
    Heartbeat,
    OpaqueEvent,
    PartDelta,
    PartEnd,
    PartStart,
    ResponseEnd,
    ResponseStart,
)
from proxy.hub.fold import Fold, explode
from proxy.hub.parts import Media, Opaque, Refusal, Text, Thinking, ToolCall
from proxy.hub.request import Reasoning, Request, Tool
from proxy.hub.residue import Residue
from proxy.hub.response import Finish, FinishReason, Response, Usage
from proxy.wire.base import Reply
from proxy.wire.openai_chat import WIRE

REPLY = Reply(model="m", request_id="r1", created=7)
START = ResponseStart(id="up", model="upstream")


def written(*events: Event, reply: Reply = REPLY) -> bytes:
    renderer = WIRE.stream_renderer(reply)
    return b"".join(renderer.feed(event) for event in events) + renderer.finish()


def chunks(data: bytes) -> list[Any]:
    lines = [line[6:] for line in data.split(b"\n\n") if line.startswith(b"data: ")]
    return [line.decode() if line == b"[DONE]" else msgspec.json.decode(line) for line in lines]


def deltas(data: bytes) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(data) if chunk != "[DONE]" and chunk["choices"]]


def end(reason: FinishReason = "stop", usage: Usage | None = None) -> ResponseEnd:
    return ResponseEnd(finish=Finish(reason, "raw"), usage=usage)


def of(*parts: Any, reason: FinishReason = "stop", reply: Reply = REPLY) -> list[Any]:
    response = Response(id="up", model="upstream", parts=parts, finish=Finish(reason))
    return deltas(written(*explode(response), reply=reply))


def test_a_stream_as_a_transcript() -> None:
    text = Text(text="hi")
    data = written(
        START, PartStart(0, Text(text="")), PartDelta(0, "h"), PartDelta(0, "i"), PartEnd(0, text),
        end(usage=Usage(input_uncached=1, output=2)),
    )  # fmt: skip
    head = {"id": "chatcmpl-r1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    first, *_, finish, usage, done = chunks(data)
    assert first == {
        **head,
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
        "usage": None,
    }
    assert deltas(data)[1:-1] == [{"content": "h"}, {"content": "i"}]
    assert finish == {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None}
    assert usage == {
        **head,
        "choices": [],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
    assert done == "[DONE]"


def test_usage_is_told_only_where_it_was_asked_for() -> None:
    data = written(START, end(usage=Usage(input_uncached=1, output=2)), reply=replace(REPLY, has_usage=False))
    assert b"usage" not in data


def test_calls_interleave_by_index_as_they_come() -> None:
    one, two = ToolCall(id="x", name="look", arguments=""), ToolCall(id="y", name="see", arguments="")
    data = written(
        START, PartStart(3, one), PartStart(5, two), PartDelta(5, '{"b"'), PartDelta(3, '{"a":1}'), PartDelta(5, ":2}"),
        PartEnd(3, replace(one, arguments='{"a":1}')), PartEnd(5, replace(two, arguments='{"b":2}')), end("tool_calls"),
    )  # fmt: skip
    function = {"name": "look", "arguments": ""}
    assert deltas(data)[1] == {"tool_calls": [{"index": 0, "id": "x", "type": "function", "function": function}]}
    assert [delta["tool_calls"][0] for delta in deltas(data)[3:6]] == [
        {"index": 1, "function": {"arguments": '{"b"'}},
        {"index": 0, "function": {"arguments": '{"a":1}'}},
        {"index": 1, "function": {"arguments": ":2}"}},
    ]
    assert chunks(data)[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_arguments_that_came_at_once_are_told_at_the_end() -> None:
    call = ToolCall(id="x", name="look", arguments="")
    data = written(START, PartStart(0, call), PartEnd(0, replace(call, arguments="{}")), end("tool_calls"))
    assert deltas(data)[2] == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}


def test_sections_of_a_thought_are_apart() -> None:
    told = of(Thinking(sections=("a", "", "b")), Thinking(sections=("c",)), Text(text="d"))
    assert "".join(delta.get("reasoning_content", "") for delta in told) == "a\n\nb\n\nc"


def test_texts_that_touch_are_one_and_others_are_apart() -> None:
    told = of(Text(text="a"), Text(text="b"), ToolCall(id="x", name="f"), Text(text="c"))
    assert "".join(delta.get("content") or "" for delta in told) == "ab\n\nc"


def test_a_stream_says_what_the_whole_answer_says() -> None:
    parts = (
        Thinking(sections=("a", "b")), Text(text="c"), Thinking(sections=("d",)), Text(text="e"), Text(text="f"),
        ToolCall(id="x", name="g", arguments='{"h":"é"}'), Refusal(text="i"),
    )  # fmt: skip
    response = Response(id="up", model="u", parts=parts, finish=Finish("tool_calls"))
    parser = WIRE.stream_parser(maker="openai_chat")
    fold = Fold()
    for event in [*parser.feed(written(*explode(response))), *parser.finish()]:
        fold.feed(event)
    body: Any = WIRE.render_response(response, REPLY).body
    message: dict[str, Any] = body["choices"][0]["message"]
    told = {"content": "", "reasoning_content": "", "refusal": ""}
    for part in fold.finish().parts:
        match part:
            case Text(text=text):
                told["content"] += text
            case Thinking(text=text):
                told["reasoning_content"] += text
            case Refusal(text=text):
                told["refusal"] += text
            case _:
                assert isinstance(part, ToolCall)
                assert part.arguments == message["tool_calls"][0]["function"]["arguments"]
    assert told == {key: message[key] for key in told}


def test_bug_65_an_error_ends_the_stream_without_done() -> None:
    failure = Failure(kind="overloaded", message="busy", status=529)
    renderer = WIRE.stream_renderer(REPLY)
    renderer.feed(START)
    assert chunks(renderer.feed(failure)) == [
        {"error": {"message": "busy", "type": "server_error", "param": None, "code": "server_is_overloaded"}}
    ]
    assert renderer.feed(end()) == b""
    assert renderer.finish() == b""


def test_a_heartbeat_is_a_comment() -> None:
    assert written(Heartbeat()) == b": ping\n\n"


def test_bug_45_a_hosted_tools_call_is_a_loss() -> None:
    renderer = WIRE.stream_renderer(REPLY)
    searched = Opaque(wire="anthropic", kind="server_tool_use", value={})
    renderer.feed(START)
    assert renderer.feed(PartStart(0, searched)) == b""
    assert renderer.feed(PartEnd(0, searched)) == b""
    for _ in range(2):
        assert renderer.feed(OpaqueEvent("anthropic", "strange", {})) == b""
    assert [loss.what for loss in renderer.losses] == ["server_tool_use", "strange"]


def test_what_another_wire_says_of_a_part_is_a_loss() -> None:
    renderer = WIRE.stream_renderer(REPLY)
    cited = Text(text="", residue=Residue(wire="anthropic", fields={"citations": [1]}))
    for event in (START, PartStart(0, Text(text="")), PartEnd(0, cited)):
        renderer.feed(event)
    assert [loss.path for loss in renderer.losses] == ["content[0].citations"]


def test_images_come_at_once() -> None:
    image = Media(kind="image", media_type="image/png", data="AAAA")
    block = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert of(image)[1] == {"images": [block]}


def test_the_client_of_old_functions_gets_one_in_the_old_form() -> None:
    tools = (Tool(name="f", residue=Residue(wire="openai_chat", shape={"in": "functions"})),)
    reply = replace(REPLY, request=Request(model="m", tools=tools))
    told = of(
        ToolCall(id="1", name="f", arguments='{"a":1}'), ToolCall(id="2", name="f"), reason="tool_calls", reply=reply
    )
    assert told[1:] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": '{"a":1}'}},
        {},
    ]


def test_a_custom_tools_text_is_unwrapped_as_it_comes() -> None:
    reply = replace(REPLY, request=Request(model="m", tools=(Tool(name="sh", is_custom=True),)))
    call = ToolCall(id="x", name="sh", arguments="")
    data = written(
        START, PartStart(0, call), PartDelta(0, '{"input":"l'), PartDelta(0, 's"}'),
        PartEnd(0, replace(call, arguments='{"input":"ls"}')), end("tool_calls"), reply=reply,
    )  # fmt: skip
    assert deltas(data)[1:4] == [
        {"tool_calls": [{"index": 0, "id": "x", "type": "custom", "custom": {"name": "sh", "input": ""}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "l"}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "s"}}]},
    ]


def test_signatures_go_to_clients_that_know_details() -> None:
    thought = Thinking(sections=("hm",), signature="sig", origin="anthropic")
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "reasoning": {"effort": "low"}}
    told = of(thought, Text(text="so"), reply=replace(REPLY, request=WIRE.parse_request(body)))
    details = [delta["reasoning_details"] for delta in told if "reasoning_details" in delta]
    assert [detail["signature"] for detail in details[0]] == ["px1.anthropic.sig"]
    assert "sig" not in str(of(thought, Text(text="so")))


def test_thoughts_that_the_client_does_not_want_are_not_shown() -> None:
    reply = replace(REPLY, request=Request(model="m", reasoning=Reasoning(is_visible=False)))
    assert of(Thinking(sections=("a",)), Text(text="b"), reply=reply)[1:] == [{"content": "b"}, {}]


def test_at_home_ids_reasons_usage_and_further_choices_stay() -> None:
    second = {"index": 1, "delta": {"content": "two"}, "finish_reason": None}
    stream: list[dict[str, Any]] = [
        {"id": "a", "created": 1, "model": "up", "choices": [{"index": 0, "delta": {"content": "one"}}]},
        {"id": "a", "choices": [second]},
        {"id": "a", "choices": [{"index": 0, "delta": {}, "finish_reason": "eos"}], "citations": ["u"]},
        {"id": "a", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "cost": 3}},
    ]
    parser = WIRE.stream_parser(maker="openai_chat")
    data = b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in stream)
    told = chunks(written(*parser.feed(data), *parser.finish()))
    assert {chunk["id"] for chunk in told if chunk != "[DONE]"} == {"a"}
    assert second in [chunk["choices"][0] for chunk in told[:-2]]
    assert told[-3]["choices"][0]["finish_reason"] == "eos"
    assert told[-3]["citations"] == ["u"]
    assert told[-2]["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "cost": 3}


def test_every_recorded_stream_goes_through(recordings: list[Any]) -> None:
    """Parsed, rendered and parsed again, it says the same."""
    for each in recordings:
        if each.sse is None:
            continue
        first = WIRE.stream_parser(maker="openai_chat")
        events = [*first.feed(each.sse.encode()), *first.finish()]
        if isinstance(events[-1], Failure):
            continue
        second = WIRE.stream_parser(maker="openai_chat")
        again = [*second.feed(written(*events)), *second.finish()]
        folds = [Fold(), Fold()]
        for fold, told in zip(folds, (events, again), strict=True):
            for event in told:
                fold.feed(event)
        before, after = (fold.finish() for fold in folds)
        assert [replace(part, residue=None) for part in after.parts] == [
            replace(part, residue=None) for part in before.parts
        ], each.name
        assert (after.finish, after.usage) == (before.finish, before.usage), each.name


def test_texts_of_one_kind_follow_each_other_however_they_come() -> None:
    events: list[Event] = [
        PartStart(0, Thinking()),
        PartStart(1, Thinking()),
        PartDelta(1, "two"),
        PartStart(2, Text(text="")),
        PartDelta(0, "one"),
        PartDelta(2, "said"),
        PartEnd(1, Thinking(sections=("two",))),
        PartDelta(0, "!"),
        PartEnd(0, Thinking(sections=("one!",))),
        PartEnd(2, Text(text="said")),
    ]
    assert deltas(written(START, *events, end()))[1:-1] == [
        {"reasoning_content": "one"},
        {"content": "said"},
        {"reasoning_content": "!"},
        {"reasoning_content": "\n\ntwo"},
    ]
