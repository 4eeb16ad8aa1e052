"""The judges see what they are there for: each thing that is taken away, added or broken is complained of."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from proxy.hub.loss import Loss
from proxy.hub.parts import Media, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import Hints, Message, OutputFormat, Reasoning, Request, Sampling, Tool, ToolChoice
from proxy.wire.table import wire_named
from tests.laws.comparison import differences
from tests.laws.essence import of_request
from tests.laws.recordings import Recording, own
from tests.laws.strategies import PIXEL
from tests.laws.targets import ABLE, Target, able
from tests.laws.validity import JUDGES
from tests.laws.validity.streams import GRAMMARS

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
REQUEST = Request(
    model="m",
    instructions=(Text(text="Be brief."),),
    messages=(
        Message(role="user", parts=(Text(text="Look."), Media(kind="image", media_type="image/png", data=PIXEL))),
        Message(
            role="assistant",
            parts=(
                Text(text="I look."),
                ToolCall(id="call_1", name="look", arguments='{"city":"Oslo"}'),
                ToolCall(id="call_2", name="look", arguments='{"city":"Rome"}'),
            ),
        ),
        Message(
            role="tool",
            parts=(
                ToolResult(call_id="call_1", parts=(Text(text="a cat"),)),
                ToolResult(call_id="call_2", parts=(Text(text="a dog"),), is_error=True),
            ),
        ),
        Message(role="user", parts=(Text(text="And now?"),)),
    ),
    tools=(Tool(name="look", description="Looks.", schema=dict(SCHEMA)), Tool(name="now")),
    tool_choice=ToolChoice(mode="required"),
    sampling=Sampling(max_output_tokens=99, temperature=0.5, stop=("END",), seed=7),
    reasoning=Reasoning(effort="high"),
    output=OutputFormat(kind="json_schema", schema=dict(SCHEMA), name="answer"),
    hints=Hints(user="u"),
)


def without_message(index: int) -> Request:
    return replace(REQUEST, messages=REQUEST.messages[:index] + REQUEST.messages[index + 1 :])


def with_parts(index: int, *parts: Any) -> Request:
    changed = replace(REQUEST.messages[index], parts=parts)
    return replace(REQUEST, messages=(*REQUEST.messages[:index], changed, *REQUEST.messages[index + 1 :]))


def parts(index: int) -> tuple[Any, ...]:
    return REQUEST.messages[index].parts


CHANGED: dict[str, Request] = {
    "instructions": replace(REQUEST, instructions=()),
    "a user's turn": without_message(3),
    "an image": with_parts(0, parts(0)[0]),
    "another image": with_parts(0, parts(0)[0], replace(parts(0)[1], data="AAAA")),
    "a call": with_parts(1, *parts(1)[:2]),
    "other arguments": with_parts(1, *parts(1)[:2], replace(parts(1)[2], arguments="{}")),
    "the order of calls": with_parts(1, parts(1)[0], parts(1)[2], parts(1)[1]),
    "crossed results": with_parts(
        2, *(replace(each, call_id=other) for each, other in zip(parts(2), ("call_2", "call_1"), strict=True))
    ),
    "an error flag": with_parts(2, parts(2)[0], replace(parts(2)[1], is_error=False)),
    "a result": with_parts(2, parts(2)[0]),
    "an added text": with_parts(3, Text(text="And now?"), Text(text="Tell me all.")),
    "a role": replace(REQUEST, messages=(*REQUEST.messages[:3], replace(REQUEST.messages[3], role="assistant"))),
    "a tool": replace(REQUEST, tools=REQUEST.tools[:1]),
    "an added tool": replace(REQUEST, tools=(*REQUEST.tools, Tool(name="more"))),
    "the order of tools": replace(REQUEST, tools=REQUEST.tools[::-1]),
    "a description": replace(REQUEST, tools=(replace(REQUEST.tools[0], description=None), REQUEST.tools[1])),
    "a schema": replace(REQUEST, tools=(replace(REQUEST.tools[0], schema={"type": "object"}), REQUEST.tools[1])),
    "added strictness": replace(REQUEST, tools=(replace(REQUEST.tools[0], is_strict=True), REQUEST.tools[1])),
    "a choice": replace(REQUEST, tool_choice=None),
    "the parallel switch": replace(REQUEST, tool_choice=ToolChoice(mode="required", is_parallel=False)),
    "a limit": replace(REQUEST, sampling=replace(REQUEST.sampling, max_output_tokens=None)),
    "a temperature": replace(REQUEST, sampling=replace(REQUEST.sampling, temperature=0.6)),
    "stops": replace(REQUEST, sampling=replace(REQUEST.sampling, stop=())),
    "a seed": replace(REQUEST, sampling=replace(REQUEST.sampling, seed=None)),
    "an effort": replace(REQUEST, reasoning=Reasoning(effort="low")),
    "thinking": replace(REQUEST, reasoning=None),
    "a format": replace(REQUEST, output=None),
    "a user": replace(REQUEST, hints=Hints()),
    "streaming": replace(REQUEST, is_stream=True),
}
TARGET = ABLE[0]


@pytest.mark.parametrize("what", CHANGED)
def test_what_changed_in_silence_is_seen_and_what_a_loss_names_is_not(what: str) -> None:
    before, after = of_request(REQUEST), of_request(CHANGED[what])
    assert differences(before, before, (), TARGET) == []
    assert differences(before, after, (), TARGET) != []


def test_a_loss_excuses_what_it_names_and_nothing_else() -> None:
    before, after = of_request(REQUEST), of_request(CHANGED["an image"])
    assert differences(before, after, (Loss("messages[0].content[1]", "image", "why"),), TARGET) == []
    assert differences(before, after, (Loss("messages[0].content[1].detail", "detail", "why"),), TARGET) != []
    assert differences(before, after, (Loss("messages[0].content[0]", "text", "why"),), TARGET) != []


def test_thinking_that_is_lost_in_silence_is_seen() -> None:
    thought = replace(REQUEST, messages=(Message(role="assistant", parts=(Thinking(sections=("hm",)),)),))
    assert differences(of_request(thought), of_request(replace(thought, messages=())), (), TARGET) != []


# Requests that upstreams refuse


def body_for(name: str) -> tuple[Any, Target]:
    wire = wire_named(name)
    target = Target(name, wire, able(wire))
    body = wire.render_request(REQUEST, target.profile).body
    assert list(JUDGES[name](body, target.profile)) == []
    return copy.deepcopy(body), target


def broken(name: str, change: Callable[[Any], object]) -> list[str]:
    body, target = body_for(name)
    change(body)
    return list(JUDGES[name](body, target.profile))


REFUSED: list[tuple[str, Callable[[Any], object]]] = [
    ("anthropic", lambda body: body.pop("max_tokens")),
    ("anthropic", lambda body: body["messages"].pop(0)),
    ("anthropic", lambda body: body["messages"][0].update(content=" ")),
    ("anthropic", lambda body: body["messages"][1]["content"].append({"type": "thinking", "signature": ""})),
    ("anthropic", lambda body: body["messages"][1]["content"].pop()),
    ("anthropic", lambda body: body["messages"][2]["content"].reverse()),
    ("anthropic", lambda body: body["messages"][1]["content"][1].update(id="a b")),
    ("anthropic", lambda body: body.update(thinking={"type": "enabled", "budget_tokens": 99})),
    ("anthropic", lambda body: body.update(seed=7)),
    ("anthropic", lambda body: body.pop("tools")),
    ("anthropic", lambda body: body["tools"][0].update(input_schema={"type": "string"})),
    ("anthropic", lambda body: body["tools"][0].update(name="a.b")),
    ("openai_chat", lambda body: body["messages"].pop(3)),
    ("openai_chat", lambda body: body["messages"].insert(3, {"role": "user", "content": "x"})),
    ("openai_chat", lambda body: body["messages"][1].update(content=[])),
    ("openai_chat", lambda body: body["messages"][2]["tool_calls"][0].update(id="x" * 65)),
    ("openai_chat", lambda body: body.update(stop=list("abcde"))),
    ("openai_chat", lambda body: body.update(top_logprobs=2)),
    ("openai_chat", lambda body: body["response_format"]["json_schema"].update(name="a name")),
    ("openai_chat", lambda body: body.pop("tools")),
    ("openai_chat", lambda body: body.update(thinking={})),
    ("openai_responses", lambda body: body.update(max_output_tokens=1)),
    ("openai_responses", lambda body: body["tools"][0].pop("strict")),
    ("openai_responses", lambda body: body["input"].pop(2)),
    ("openai_responses", lambda body: body["input"].append({"type": "reasoning", "summary": []})),
    ("openai_responses", lambda body: body.update(stop=["a"])),
    ("openai_responses", lambda body: body.update(input=[])),
    ("gemini", lambda body: body["contents"].pop(0)),
    ("gemini", lambda body: body["contents"][0].update(parts=[])),
    ("gemini", lambda body: body["contents"][1]["parts"].pop()),
    ("gemini", lambda body: body["contents"][0]["parts"].append({"text": "", "inlineData": {}})),
    ("gemini", lambda body: body["generationConfig"].update(stopSequences=list("abcdef"))),
    ("gemini", lambda body: body["generationConfig"]["thinkingConfig"].update(thinkingBudget=1, thinkingLevel="LOW")),
    ("gemini", lambda body: body["tools"][-1]["functionDeclarations"][0].update(name="1st")),
    ("gemini", lambda body: body["tools"][-1]["functionDeclarations"][0].update(parametersJsonSchema={"if": {}})),
    ("gemini", lambda body: body["toolConfig"].update(functionCallingConfig={"allowedFunctionNames": ["look"]})),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change"), REFUSED, ids=[f"{name}-{at}" for at, (name, _) in enumerate(REFUSED)])
def test_what_an_upstream_refuses_is_complained_of(name: str, change: Callable[[Any], object]) -> None:
    assert broken(name, change) != []


# Streams that clients do not understand


def stream_of(name: str) -> bytes:
    found: list[Recording] = [
        each for each in own() if each.wire.name == name and each.name.endswith("tools.stream.json")
    ]
    return found[0].sse


SPOILT: list[tuple[str, Callable[[list[bytes]], object]]] = [
    ("anthropic", lambda frames: frames.pop()),
    ("anthropic", lambda frames: frames.insert(1, frames[0])),
    ("anthropic", lambda frames: frames.pop(2)),
    ("anthropic", lambda frames: frames.pop(6)),
    ("anthropic", lambda frames: frames.__setitem__(3, frames[3].replace(b"thinking_delta", b"text_delta"))),
    ("anthropic", lambda frames: frames.__setitem__(3, frames[3].replace(b'"index": 0', b'"index": 1'))),
    ("openai_chat", lambda frames: frames.pop()),
    ("openai_chat", lambda frames: frames.pop(0)),
    ("openai_chat", lambda frames: frames.pop(10)),
    ("openai_chat", lambda frames: frames.pop(5)),
    ("openai_chat", lambda frames: frames.__setitem__(3, frames[3].replace(b"chatcmpl-01", b"chatcmpl-02"))),
    ("openai_responses", lambda frames: frames.pop()),
    ("openai_responses", lambda frames: frames.pop(3)),
    ("openai_responses", lambda frames: frames.__setitem__(4, frames[4].replace(b"Milan", b"Turin"))),
    ("openai_responses", lambda frames: frames.__setitem__(8, frames[8].replace(b"rs_02", b"rs_03"))),
    ("gemini", lambda frames: frames.pop()),
    ("gemini", lambda frames: frames.append(frames[-1])),
    ("gemini", lambda frames: frames.__setitem__(1, frames[1].replace(b"g-01", b"g-02"))),
]


@pytest.mark.parametrize(("name", "change"), SPOILT, ids=[f"{name}-{at}" for at, (name, _) in enumerate(SPOILT)])
def test_what_a_client_does_not_understand_is_complained_of(name: str, change: Callable[[list[bytes]], object]) -> None:
    frames = [frame for frame in stream_of(name).replace(b"\r\n", b"\n").split(b"\n\n") if frame]
    change(frames)
    assert list(GRAMMARS[name](b"\n\n".join(frames))) != []


@pytest.mark.parametrize("name", ["openai_chat", "openai_responses"])
def test_a_good_stream_is_not_complained_of(name: str) -> None:
    assert list(GRAMMARS[name](stream_of(name))) == []
