"""Hub values as hypothesis sees them: the shared vocabulary only, nobody's residue."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from proxy.hub.parts import Media, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import Hints, Message, OutputFormat, Reasoning, Request, Sampling, Tool, ToolChoice
from proxy.hub.response import Finish, Response, Usage

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=40).filter(
    lambda text: bool(text.strip())
)
names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,20}", fullmatch=True)
call_ids = st.from_regex(r"call_[a-zA-Z0-9]{4,20}", fullmatch=True)
json_leaves = st.none() | st.booleans() | st.integers(-1000, 1000) | texts
json_objects = st.dictionaries(names, json_leaves | st.lists(json_leaves, max_size=3), max_size=4)
schemas = st.fixed_dictionaries(
    {
        "type": st.just("object"),
        "properties": st.dictionaries(
            names,
            st.sampled_from(
                [
                    {"type": "string", "description": "a word"},
                    {"type": "integer", "minimum": 0},
                    {"type": "array", "items": {"type": "string"}},
                    {"type": "string", "enum": ["red", "blue"]},
                    {"type": "object", "properties": {"deep": {"type": "boolean"}}},
                ]
            ),
            max_size=3,
        ),
    }
)


@st.composite
def tools(draw: st.DrawFn) -> tuple[Tool, ...]:
    chosen = draw(st.lists(names, unique=True, max_size=3))
    return tuple(
        Tool(name=name, description=draw(st.none() | texts), schema=draw(st.none() | schemas)) for name in chosen
    )


images = st.builds(Media, kind=st.just("image"), media_type=st.just("image/png"), data=st.just(PIXEL))
user_parts = st.lists(st.builds(Text, text=texts) | images, min_size=1, max_size=3).map(tuple)


@st.composite
def tool_rounds(draw: st.DrawFn, name: str) -> tuple[Message, Message]:
    """An assistant's turn with calls, and the turn that answers each."""
    ids = draw(st.lists(call_ids, min_size=1, max_size=3, unique=True))
    said: list[Part] = draw(st.lists(st.builds(Text, text=texts), max_size=1))
    calls = [ToolCall(id=call_id, name=name, arguments=dumped(draw(json_objects))) for call_id in ids]
    results = [
        ToolResult(call_id=call_id, parts=(Text(text=draw(texts)),), name=name, is_error=draw(st.booleans()))
        for call_id in ids
    ]
    return Message(role="assistant", parts=(*said, *calls)), Message(role="tool", parts=tuple(results))


def dumped(value: object) -> str:
    return msgspec.json.encode(value).decode()


@st.composite
def requests(draw: st.DrawFn) -> Request:
    offered = draw(tools())
    messages = [Message(role="user", parts=draw(user_parts))]
    for _ in range(draw(st.integers(0, 2))):
        if offered and draw(st.booleans()):
            messages.extend(draw(tool_rounds(draw(st.sampled_from(offered)).name)))
        else:
            messages.append(Message(role="assistant", parts=(Text(text=draw(texts)),)))
        messages.append(Message(role="user", parts=draw(user_parts)))
    return Request(
        model="a-model",
        instructions=draw(st.lists(st.builds(Text, text=texts), max_size=2).map(tuple)),
        messages=tuple(messages),
        tools=offered,
        tool_choice=draw(choices(offered)),
        sampling=draw(samplings),
        reasoning=draw(st.none() | st.builds(Reasoning, effort=st.sampled_from(["low", "medium", "high"]))),
        output=draw(st.none() | st.builds(OutputFormat, kind=st.just("json_schema"), schema=schemas, name=names)),
        hints=draw(st.builds(Hints, user=st.none() | names)),
        is_stream=draw(st.booleans()),
    )


def choices(offered: tuple[Tool, ...]) -> st.SearchStrategy[ToolChoice | None]:
    if not offered:
        return st.none()
    name = st.sampled_from([tool.name for tool in offered])
    return (
        st.none()
        | st.builds(
            ToolChoice, mode=st.sampled_from(["auto", "none", "required"]), is_parallel=st.none() | st.booleans()
        )
        | st.builds(ToolChoice, mode=st.just("named"), names=st.tuples(name))
    )


samplings = st.builds(
    Sampling,
    max_output_tokens=st.none() | st.integers(16, 4096),
    temperature=st.none() | st.sampled_from([0.0, 0.5, 1.0]),
    top_p=st.none() | st.sampled_from([0.1, 0.9]),
    top_k=st.none() | st.integers(1, 40),
    stop=st.lists(names, max_size=3).map(tuple),
    seed=st.none() | st.integers(0, 1000),
    presence_penalty=st.none() | st.sampled_from([0.5]),
    frequency_penalty=st.none() | st.sampled_from([0.5]),
)

usages = st.builds(
    Usage,
    input_uncached=st.integers(0, 10_000),
    cache_read=st.integers(0, 10_000),
    cache_write=st.just(0),
    output=st.integers(0, 10_000),
    reasoning=st.integers(0, 10_000),
)


@st.composite
def responses(draw: st.DrawFn) -> Response:
    parts: list[Part] = []
    if draw(st.booleans()):
        parts.append(Thinking(sections=(draw(texts),)))
    body = draw(st.sampled_from(["text", "calls", "both", "refusal"]))
    if body in {"text", "both"}:
        parts.append(Text(text=draw(texts)))
    if body == "refusal":
        parts.append(Refusal(text=draw(texts)))
    if body in {"calls", "both"}:
        ids = draw(st.lists(call_ids, min_size=1, max_size=3, unique=True))
        parts += [ToolCall(id=each, name=draw(names), arguments=dumped(draw(json_objects))) for each in ids]
    reason = "tool_calls" if body in {"calls", "both"} else draw(st.sampled_from(["stop", "length"]))
    if body == "refusal":
        reason = "refusal"
    return Response(
        id="answer-1",
        model="a-model",
        created=1_700_000_000,
        parts=tuple(parts),
        finish=Finish(reason),
        usage=draw(usages),
    )
