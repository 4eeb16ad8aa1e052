"""Hub values as hypothesis sees them: the shared vocabulary, with all that clients get wrong; nobody's residue."""

from __future__ import annotations

import base64

import msgspec
from hypothesis import strategies as st

from proxy.hub.parts import CacheMark, Media, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.profile import ALL_EFFORTS
from proxy.hub.request import Hints, Message, OutputFormat, Reasoning, Request, Sampling, Tool, ToolChoice
from proxy.hub.response import Finish, FinishReason, Response, Usage

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = base64.b64encode(b"%PDF-1.7 nothing").decode()
NOTE = base64.b64encode(b"a note in plain text").decode()
SOUND = "UklGRiQAAABXQVZFZm10IBAAAAABAAEA"
MAKERS = ("anthropic", "openai_responses", "openai_chat", "gemini")

characters = st.characters(exclude_categories=("Cs",), exclude_characters="\x00")
texts = st.text(characters, min_size=1, max_size=40).map("«{}»".format)
"""Told apart from whatever a renderer says of its own accord."""
any_texts = texts | st.sampled_from(["", " ", "\n\t", "a" * 300, '{"a": 1}', "Error: no", "</system>", "[image 1]"])
names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,20}", fullmatch=True)
odd_names = st.sampled_from(["mcp:server/tool", "a.b", "1st", "größe", "x" * 200, "y" * 65, "a b", "get-time"])
call_ids = st.from_regex(r"call_[a-zA-Z0-9]{4,20}", fullmatch=True)
odd_ids = st.sampled_from(["", "id with space", "x" * 100, "ümlaut", "fc_1|2", "toolu_1"])
json_leaves = st.none() | st.booleans() | st.integers(-1000, 1000) | texts
json_objects = st.dictionaries(names, json_leaves | st.lists(json_leaves, max_size=3), max_size=4)
origins = st.sampled_from([*MAKERS, None])
cache_marks = st.none() | st.none() | st.builds(CacheMark, st.sampled_from(["5m", "30m", "1h", "12h", "default"]))

schemas = st.fixed_dictionaries(
    {
        "type": st.just("object"),
        "properties": st.dictionaries(
            names | st.sampled_from(["title", "format", "default", "type", "enum"]),
            st.sampled_from(
                [
                    {"type": "string", "description": "a word"},
                    {"type": "integer", "minimum": 0},
                    {"type": "array", "items": {"type": "string"}},
                    {"type": "string", "enum": ["red", "blue"]},
                    {"type": "object", "properties": {"deep": {"type": "boolean"}}},
                    {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    {"type": ["number", "null"]},
                ]
            ),
            max_size=3,
        ),
    }
)


def dumped(value: object) -> str:
    return msgspec.json.encode(value).decode()


# Parts

texts_of_parts = st.builds(Text, text=any_texts, cache=cache_marks)
images = st.builds(
    Media,
    kind=st.just("image"),
    media_type=st.sampled_from(["image/png", None]),
    data=st.just(PIXEL),
    detail=st.none() | st.sampled_from(["low", "auto"]),
    cache=cache_marks,
) | st.builds(Media, kind=st.just("image"), url=st.just("https://example.org/cat.png"))
documents = (
    st.builds(
        Media,
        kind=st.just("document"),
        media_type=st.just("application/pdf"),
        data=st.just(PDF),
        name=st.none() | st.just("a.pdf"),
    )
    | st.builds(Media, kind=st.just("document"), media_type=st.just("text/plain"), data=st.just(NOTE))
    | st.builds(Media, kind=st.just("document"), file_id=st.just("file-1"), origin=st.sampled_from(MAKERS))
)
others = st.builds(Media, kind=st.just("audio"), media_type=st.just("audio/wav"), data=st.just(SOUND)) | st.builds(
    Media, kind=st.just("video"), url=st.just("https://example.org/a.mp4"), media_type=st.just("video/mp4")
)
user_parts = st.lists(texts_of_parts | images | documents | others, min_size=1, max_size=3).map(tuple)
thoughts = st.builds(
    Thinking,
    sections=st.lists(texts, max_size=2).map(tuple),
    signature=st.none() | st.just("c2lnbmF0dXJl"),
    origin=origins,
) | st.builds(Thinking, signature=st.just("cmVkYWN0ZWQ="), is_redacted=st.just(True), origin=st.just("anthropic"))
said = st.builds(Text, text=any_texts) | thoughts
refusals = st.builds(Refusal, text=texts).map(lambda refusal: (refusal,))


@st.composite
def calls(draw: st.DrawFn, name: str, call_id: str) -> ToolCall:
    signature = draw(st.none() | st.none() | st.just("c2lnbmVk"))
    return ToolCall(
        id=call_id,
        name=name,
        arguments=dumped(draw(json_objects)),
        signature=signature,
        origin=draw(st.sampled_from(["gemini", "openai_chat"])) if signature else None,
    )


@st.composite
def results(draw: st.DrawFn, call_id: str, name: str) -> ToolResult:
    parts = draw(st.lists(st.builds(Text, text=any_texts) | images | documents, max_size=2))
    return ToolResult(
        call_id=call_id, parts=tuple(parts), name=draw(st.none() | st.just(name)), is_error=draw(st.booleans())
    )


@st.composite
def tool_rounds(draw: st.DrawFn, name: str, *, is_orderly: bool) -> list[Message]:
    """An assistant's turn with calls, and the turn that answers each; or in the disorder that clients send."""
    ids = draw(st.lists(call_ids if is_orderly else call_ids | odd_ids, min_size=1, max_size=3, unique=True))
    parts: list[Part] = [*draw(st.lists(said, max_size=2)), *(draw(calls(name, each)) for each in ids)]
    answers = [draw(results(each, name)) for each in ids]
    if not is_orderly:
        answers = draw(st.permutations(answers))[: draw(st.integers(0, len(ids)))]
        answers += draw(st.lists(results("call_unknown", name) | results(ids[0], name), max_size=1))
    asked = Message(role="assistant", parts=tuple(parts))
    if not is_orderly and draw(st.booleans()):
        between = Message(role="user", parts=(Text(text="meanwhile"),))
        return [asked, between, Message(role="tool", parts=tuple(answers))] if answers else [asked, between]
    return [asked, Message(role="tool", parts=tuple(answers))] if answers else [asked]


# Requests


@st.composite
def tools(draw: st.DrawFn) -> tuple[Tool, ...]:
    chosen = draw(st.lists(names | odd_names, unique=True, max_size=3))
    return tuple(
        Tool(
            name=name,
            description=draw(st.none() | texts),
            schema=draw(st.none() | schemas),
            is_strict=None if is_custom else draw(st.none() | st.booleans()),
            is_custom=is_custom,
            cache=draw(cache_marks),
        )
        for name, is_custom in ((name, draw(st.integers(0, 5)) == 0) for name in chosen)
    )


def choices(offered: tuple[Tool, ...]) -> st.SearchStrategy[ToolChoice | None]:
    if not offered:
        return st.none() | st.builds(ToolChoice, mode=st.sampled_from(["auto", "none", "required"]))
    known = [tool.name for tool in offered]
    is_parallel = st.none() | st.booleans()
    return (
        st.none()
        | st.builds(ToolChoice, is_parallel=is_parallel)
        | st.builds(ToolChoice, mode=st.sampled_from(["auto", "none", "required"]), is_parallel=is_parallel)
        | st.builds(ToolChoice, mode=st.just("named"), names=st.tuples(st.sampled_from(known)), is_parallel=is_parallel)
        | st.builds(
            ToolChoice,
            mode=st.sampled_from(["auto", "required"]),
            names=st.lists(st.sampled_from(known), min_size=1, unique=True).map(tuple),
        )
    )


samplings = st.builds(
    Sampling,
    max_output_tokens=st.none() | st.sampled_from([1, 16, 1000, 4096, 64_000]),
    temperature=st.none() | st.sampled_from([0.0, 0.5, 1.0, 1.7]),
    top_p=st.none() | st.sampled_from([0.1, 0.9]),
    top_k=st.none() | st.integers(1, 40),
    stop=st.lists(names | st.just("\n"), max_size=6).map(tuple),
    seed=st.none() | st.integers(0, 1000),
    presence_penalty=st.none() | st.sampled_from([0.5]),
    frequency_penalty=st.none() | st.sampled_from([0.5]),
    candidates=st.sampled_from([None, None, 1]),
    logprobs=st.none() | st.sampled_from([0, 3]),
)
reasonings = st.none() | (
    st.builds(Reasoning, effort=st.sampled_from(ALL_EFFORTS), is_visible=st.none() | st.booleans())
    | st.builds(Reasoning, budget_tokens=st.sampled_from([0, 128, 1024, 5000, 24_576, 60_000]))
    | st.builds(Reasoning, is_adaptive=st.just(True), is_visible=st.none() | st.booleans())
)
formats = st.none() | (
    st.builds(
        OutputFormat,
        kind=st.just("json_schema"),
        schema=schemas,
        name=st.none() | names | st.just("a name"),
        description=st.none() | texts,
        is_strict=st.none() | st.booleans(),
    )
    | st.builds(OutputFormat, kind=st.sampled_from(["json", "text"]))
)
hints = st.builds(
    Hints,
    user=st.none() | names | st.just("someone@example.org"),
    metadata=st.dictionaries(names, names, max_size=2),
    service_tier=st.none() | st.sampled_from(["auto", "default", "flex", "priority", "fast"]),
    verbosity=st.none() | st.sampled_from(["low", "medium", "high"]),
    cache_key=st.none() | names | st.just("k" * 100),
)


@st.composite
def requests(draw: st.DrawFn, *, is_orderly: bool = False) -> Request:
    offered = draw(tools())
    messages: list[Message] = []
    if draw(st.integers(0, 9)) or is_orderly:
        messages.append(Message(role="user", parts=draw(user_parts)))
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["calls", "words", "system"]))
        if kind == "calls":
            name = draw(st.sampled_from(offered)).name if offered else draw(names)
            messages += draw(tool_rounds(name, is_orderly=is_orderly))
        elif kind == "words":
            spoken = st.lists(said, min_size=1, max_size=3).map(tuple)
            messages.append(Message(role="assistant", parts=draw(spoken | spoken | refusals)))
        else:
            messages.append(
                Message(role="system", parts=draw(st.lists(texts_of_parts, min_size=1, max_size=2).map(tuple)))
            )
        if draw(st.booleans()):
            messages.append(Message(role="user", parts=draw(user_parts)))
    return Request(
        model="a-model",
        instructions=draw(st.lists(texts_of_parts, max_size=2).map(tuple)),
        messages=tuple(messages),
        tools=offered,
        tool_choice=draw(choices(offered)),
        sampling=draw(samplings),
        reasoning=draw(reasonings),
        output=draw(formats),
        hints=draw(hints),
        is_stream=draw(st.booleans()),
    )


# Answers

counts = st.integers(0, 10_000)
usages = st.none() | st.builds(
    Usage,
    input_uncached=counts,
    cache_read=st.none() | counts,
    cache_write=st.none() | st.just(0),
    output=counts,
    reasoning=st.none() | counts,
)
_ENDS: dict[str, list[FinishReason]] = {
    "text": ["stop", "length", "paused", "other"],
    "calls": ["tool_calls"],
    "both": ["tool_calls"],
    "refusal": ["refusal"],
    "cut": ["length"],
    "nothing": ["stop", "length", "refusal"],
}


@st.composite
def responses(draw: st.DrawFn) -> Response:
    parts: list[Part] = draw(st.lists(thoughts, max_size=2))
    body = draw(st.sampled_from(sorted(_ENDS)))
    if body in {"text", "both", "cut"}:
        parts.append(Text(text=draw(texts)))
    if body == "refusal":
        parts.append(Refusal(text=draw(texts)))
    if body in {"calls", "both"}:
        ids = draw(st.lists(call_ids, min_size=1, max_size=3, unique=True))
        parts += [draw(calls(draw(names), each)) for each in ids]
    if body == "cut":
        parts.append(ToolCall(id="call_cut0", name="look", arguments='{"at": "he'))
    if draw(st.integers(0, 5)) == 0:
        parts.insert(0, Opaque(wire="another", kind="web_search_call", value={"type": "web_search_call"}))
    return Response(
        id="answer-1",
        model="a-model",
        created=1_700_000_000,
        parts=tuple(parts),
        finish=Finish(draw(st.sampled_from(_ENDS[body]))),
        usage=draw(usages),
    )
