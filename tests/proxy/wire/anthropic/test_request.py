from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Malformed, Untranslatable
from proxy.hub.names import tag
from proxy.hub.parts import CacheMark, Media, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.profile import Profile
from proxy.hub.request import Message, Reasoning, Request, Role, Sampling, Tool, ToolChoice
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.anthropic import WIRE, with_breakpoints

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.proxy.wire.anthropic.conftest import Recording

PLAIN = Profile(maker="anthropic")
BUDGET = Profile(maker="anthropic", thinking="budget", budget_tokens_max=60_000)
ADAPTIVE = Profile(maker="anthropic", must_think_adaptively=True, has_prefill=False, sampling=frozenset({"stop"}))


def body(*messages: JsonValue, **more: JsonValue) -> JsonObject:
    return {"model": "m", "max_tokens": 100, "messages": list(messages) or [{"role": "user", "content": "Hi"}], **more}


def asked(*messages: Message, **more: object) -> Request:
    return replace(Request(model="m", messages=messages or (said("user", Text(text="Hi")),)), **more)  # type: ignore[arg-type]


def said(role: Role, *parts: Part) -> Message:
    return Message(role=role, parts=parts)


def sent(request: Request, profile: Profile = PLAIN) -> JsonObject:
    return WIRE.render_request(request, profile).body


def lost(request: Request, profile: Profile = PLAIN) -> list[tuple[str, str]]:
    return [(loss.path, loss.what) for loss in WIRE.render_request(request, profile).losses]


# L2


def test_every_recorded_request_comes_back_as_it_was(recordings: list[Recording], able: Profile) -> None:
    assert [each.name for each in recordings if each.request and not comes_back(each.request, able)] == []


def test_every_captured_request_comes_back_as_it_was(
    captured_requests: list[tuple[str, JsonObject]], able: Profile
) -> None:
    assert [name for name, request in captured_requests if not comes_back(request, able)] == []


def comes_back(request: JsonObject, profile: Profile) -> bool:
    parsed = WIRE.parse_request(request)
    is_count = "max_tokens" not in request
    again = (WIRE.render_count_request if is_count else WIRE.render_request)(parsed, profile)
    return again.body == request and again.losses == () and not again.names.sent


def test_recorded_counts_come_back_as_they_were(counts: list[Recording], able: Profile) -> None:
    assert [each.name for each in counts if each.request and not comes_back(each.request, able)] == []


@pytest.mark.parametrize(
    "request_body",
    [
        body(system=""),
        body(system=[]),
        body(system=[{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]),
        body(stream=False),
        body(tools=[], stop_sequences=[]),
        body(metadata={}, output_config={}),
        body(metadata={"user_id": "u1", "more": 1}),
        body(metadata={"user_id": '{"device_id": "d", "session_id": "s"}'}),
        body(service_tier="standard_only", speed="fast"),
        body(service_tier="new_tier"),
        body(speed="fast"),
        body(temperature=1, top_p=None),
        body(thinking={"type": "enabled", "budget_tokens": 2048}, max_tokens=4096),
        body(thinking={"type": "adaptive", "display": "updates", "block_binding": {"x": 1}}),
        body(thinking={"type": "between_tools"}),
        body(thinking={"type": "disabled"}, output_config={"effort": "low"}),
        body(thinking={"type": "of_tomorrow"}),
        body(output_config={"effort": "of_tomorrow", "task_budget": {"total": 5}}),
        body(output_format={"type": "json_schema", "schema": {"type": "object"}, "name": "n"}),
        body(context_management={"edits": [{"type": "clear_thinking_20251015"}]}, thinking={"type": "adaptive"}),
        body(cache_control={"type": "ephemeral"}, container="c1", mcp_servers=[{"name": "x"}]),
        body(thread={"type": "continue", "id": "t1"}),
        body({"role": "user", "content": [], "extra": 1}),
        body({"role": "user", "content": ""}, {"role": "user", "content": [{"type": "text", "text": " "}]}),
        body({"role": "assistant", "content": "prefill "}),
        body({"role": "system", "content": "now"}, {"role": "system", "output_config": {"effort": "low"}}),
        body(
            {
                "role": "user",
                "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "new": 1}}],
            }
        ),
        body({"role": "user", "content": [{"type": "text", "text": "a", "cache_control": None, "citations": None}]}),
        body({"role": "user", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": {}}]}),
        body(tools=[{"type": "custom", "name": "f", "input_schema": {"type": "object"}, "defer_loading": True}]),
        body(tools=[{"type": "web_search_20250305", "name": "web_search", "cache_control": {"type": "ephemeral"}}]),
        body(tools=[{"name": "f", "strict": False}], tool_choice={"type": "any", "disable_parallel_tool_use": False}),
        body(tools=[{"name": "f"}], tool_choice={"type": "tool", "name": "f"}),
        body(tools=[{"name": "f"}], tool_choice={"type": "none"}),
    ],
)
def test_a_request_comes_back_as_it_was(request_body: JsonObject, able: Profile) -> None:
    assert WIRE.render_request(WIRE.parse_request(request_body), able).body == request_body


RESULTS: list[JsonObject] = [
    {"type": "tool_result", "tool_use_id": "t"},
    {"type": "tool_result", "tool_use_id": "t", "content": None},
    {"type": "tool_result", "tool_use_id": "t", "content": ""},
    {"type": "tool_result", "tool_use_id": "t", "content": [], "is_error": False},
    {"type": "tool_result", "tool_use_id": "t", "content": "x", "is_error": True, "toolset_name": "browser"},
    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x"}]},
    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "f"}]},
    {
        "type": "tool_result",
        "tool_use_id": "t",
        "content": [{"type": "image", "source": {"type": "url", "url": "https://x"}}],
    },
]


@pytest.mark.parametrize("result", RESULTS)
def test_a_tool_result_comes_back_as_it_was(result: JsonObject, able: Profile) -> None:
    request_body = body({"role": "user", "content": [result, {"type": "text", "text": "and"}, result]})
    assert WIRE.render_request(WIRE.parse_request(request_body), able).body == request_body


DOCUMENTS: list[JsonObject] = [
    {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
    {"type": "text", "media_type": "text/plain", "data": "plain \u00e9"},
    {"type": "content", "content": "one"},
    {"type": "content", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
    {"type": "content", "content": [{"type": "image", "source": {}}]},
    {"type": "url", "url": "https://example.com/a.pdf"},
    {"type": "file", "file_id": "file_1"},
    {"type": "of_tomorrow", "x": 1},
]


@pytest.mark.parametrize("source", DOCUMENTS)
def test_a_document_comes_back_as_it_was(source: JsonObject, able: Profile) -> None:
    block: JsonValue = {
        "type": "document",
        "source": source,
        "title": "T",
        "context": "C",
        "citations": {"enabled": True},
    }
    request_body = body({"role": "user", "content": [block]})
    assert WIRE.render_request(WIRE.parse_request(request_body), able).body == request_body


# Parse


def test_a_users_turn_with_results_is_several_messages() -> None:
    request_body = body(
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                {
                    "type": "tool_result",
                    "tool_use_id": "b",
                    "content": [{"type": "text", "text": "2"}],
                    "is_error": True,
                },
                {"type": "text", "text": "go on", "cache_control": {"type": "ephemeral"}},
            ],
        }
    )
    first, second = WIRE.parse_request(request_body).messages
    assert first.role == "tool"
    assert [(part.call_id, part.is_error) for part in first.parts if isinstance(part, ToolResult)] == [
        ("a", False),
        ("b", True),
    ]
    assert second.role == "user"
    assert second.parts == (Text(text="go on", cache=CacheMark()),)


def test_text_documents_and_search_results_can_be_read_elsewhere() -> None:
    content: list[JsonValue] = [
        {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "Hi"}},
        {"type": "search_result", "source": "https://x", "title": "S", "content": [{"type": "text", "text": "found"}]},
    ]
    document, found = WIRE.parse_request(body({"role": "user", "content": content})).messages[0].parts
    assert isinstance(document, Media)
    assert (document.kind, document.media_type, document.data, document.name) == ("document", "text/plain", "SGk=", "T")
    assert isinstance(found, Text)
    assert found.text == "found"
    assert found.residue is not None
    assert found.residue.fields == {"source": "https://x", "title": "S"}


def test_signatures_come_back_to_their_makers() -> None:
    content: list[JsonValue] = [
        {"type": "thinking", "thinking": "a", "signature": "own"},
        {"type": "thinking", "thinking": "b", "signature": tag("openai_responses", "enc")},
        {"type": "thinking", "thinking": "c", "signature": tag("deepseek", "")},
        {"type": "redacted_thinking", "data": tag("openai_responses", "red")},
        {"type": "text", "text": "t"},
        {"type": "thinking", "thinking": "", "signature": "px1.gemini.text.s1"},
        {"type": "thinking", "thinking": "", "signature": "px1.gemini.call.s2"},
        {"type": "tool_use", "id": "1", "name": "f", "input": {}},
        {"type": "tool_use", "id": "2", "name": "f", "input": {}},
    ]
    (message,) = WIRE.parse_request(body({"role": "assistant", "content": content})).messages
    assert message.parts == (
        Thinking(sections=("a",), signature="own", origin="anthropic"),
        Thinking(sections=("b",), signature="enc", origin="openai_responses"),
        Thinking(sections=("c",), origin="deepseek"),
        Thinking(signature="red", is_redacted=True, origin="openai_responses"),
        Text(text="t", signature="s1", origin="gemini"),
        ToolCall(id="1", name="f", signature="s2", origin="gemini"),
        ToolCall(id="2", name="f"),
    )


def test_settings_are_read() -> None:
    request = WIRE.parse_request(
        body(
            temperature=0.5,
            top_k=3,
            stop_sequences=["a"],
            thinking={"type": "adaptive", "display": "summarized"},
            output_config={"effort": "max", "format": {"type": "json_schema", "schema": {"type": "object"}}},
            metadata={"user_id": "u"},
            service_tier="standard_only",
            stream=True,
            tools=[{"name": "f"}],
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
        )
    )
    assert request.sampling == Sampling(max_output_tokens=100, temperature=0.5, top_k=3, stop=("a",))
    assert request.reasoning == Reasoning(effort="max", is_adaptive=True, is_visible=True)
    assert request.output is not None
    assert (request.output.kind, request.output.schema) == ("json_schema", {"type": "object"})
    assert (request.hints.user, request.hints.service_tier, request.is_stream) == ("u", "default", True)
    assert request.tool_choice == ToolChoice(mode="required", is_parallel=False)


def test_a_clients_devices_and_sessions_are_nobodys_business() -> None:
    for told in ('{"device_id": "d"}', "user_abc_account__session_1-2"):
        request = WIRE.parse_request(body(metadata={"user_id": told}))
        assert request.hints.user is None
        assert request.residue is not None
        assert request.residue.fields["metadata"] == {"user_id": told}


def test_the_route_may_name_the_model() -> None:
    request_body: JsonObject = {"messages": [{"role": "user", "content": "Hi"}]}
    request = WIRE.parse_request(request_body, model="from-route", is_stream=True)
    assert (request.model, request.is_stream) == ("from-route", True)


@pytest.mark.parametrize(
    ("request_body", "path"),
    [
        ({"messages": []}, "model"),
        (body(messages=5), "messages"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": []}, "messages"),
        (body("Hi"), "messages[0]"),
        (body({"content": "Hi"}), "messages[0].role"),
        (body({"role": "tool", "content": "Hi"}), "messages[0].role"),
        (body({"role": "user"}), "messages[0].content"),
        (body({"role": "user", "content": 4}), "messages[0].content"),
        (body({"role": "user", "content": ["Hi"]}), "messages[0].content[0]"),
        (body({"role": "user", "content": [{"text": "Hi"}]}), "messages[0].content[0].type"),
        (body({"role": "user", "content": [{"type": "text"}]}), "messages[0].content[0].text"),
        (body({"role": "user", "content": [{"type": "tool_result"}]}), "messages[0].content[0].tool_use_id"),
        (
            body({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [4]}]}),
            "messages[0].content[0].content[0]",
        ),
        (
            body({"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": "x"}]}),
            "messages[0].content[0].input",
        ),
        (body(system=4), "system"),
        (body(tools={}), "tools"),
        (body(tools=["f"]), "tools[0]"),
        (body(tools=[{"description": "x"}]), "tools[0].name"),
        (body(tools=[{"type": 5}]), "tools[0].type"),
        (body(tool_choice="auto"), "tool_choice"),
        (body(tool_choice={"type": "sometimes"}), "tool_choice.type"),
        (body(tool_choice={"type": "tool"}), "tool_choice.name"),
        (body(max_tokens="many"), "max_tokens"),
        (body(temperature="hot"), "temperature"),
        (body(stop_sequences=["a", 5]), "stop_sequences[1]"),
        (body(thinking="yes"), "thinking"),
        (body(thinking={"type": "enabled"}), "thinking.budget_tokens"),
        (body(stream="yes"), "stream"),
        (body(metadata=[]), "metadata"),
        (body(output_config=[]), "output_config"),
    ],
)
def test_a_fault_has_its_path(request_body: JsonObject, path: str) -> None:
    with pytest.raises(Malformed) as caught:
        WIRE.parse_request(request_body)
    assert caught.value.path == path
    assert path in caught.value.message


RICH = body(
    {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "b", "signature": "px1.gemini.call.s"},
            {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "c"}], "is_error": False},
            {
                "type": "document",
                "title": "d",
                "source": {"type": "content", "content": [{"type": "text", "text": "e"}]},
            },
            {"type": "search_result", "source": "f", "title": "g", "content": [{"type": "text", "text": "h"}]},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        ],
    },
    {"role": "system", "content": "i"},
    system=[{"type": "text", "text": "j"}],
    tools=[
        {"name": "f", "input_schema": {"type": "object"}, "strict": True},
        {"type": "bash_20250124", "name": "bash"},
    ],
    tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    thinking={"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
    output_config={"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    context_management={"edits": [{"type": "clear_thinking_20251015"}]},
    metadata={"user_id": "k"},
    service_tier="auto",
    stop_sequences=["l"],
    temperature=0.5,
    thread={"type": "continue", "id": "m"},
    stream=True,
)
JUNK: list[JsonValue] = [
    None, True, -1, 1.5, 10**30, "", "x", [], {}, [None], ["a"], [[]], {"type": 5}, {"type": "text"}, {"type": []},
]  # fmt: skip


def places(value: JsonValue) -> Iterator[tuple[dict[str, JsonValue] | list[JsonValue], str | int]]:
    keys: list[str | int] = list(value) if isinstance(value, dict) else []
    keys = list(range(len(value))) if isinstance(value, list) else keys
    for key in keys:
        assert isinstance(value, dict | list)
        yield value, key
        yield from places(value[key])  # type: ignore[index]


@given(st.data())
def test_whatever_stands_anywhere_it_is_read_or_refused_with_its_path(data: st.DataObject) -> None:
    request_body = msgspec.json.decode(msgspec.json.encode(RICH))
    for _ in range(data.draw(st.integers(1, 2))):
        holder, key = data.draw(st.sampled_from(list(places(request_body))))
        holder[key] = deepcopy(data.draw(st.sampled_from(JUNK)))  # type: ignore[index]
    outcome: Request | Malformed
    try:
        outcome = with_breakpoints(WIRE.parse_request(request_body))
    except Malformed as error:
        outcome = error
    if isinstance(outcome, Malformed):
        assert outcome.path
        assert outcome.path in outcome.message
        return
    for profile in (PLAIN, BUDGET, ADAPTIVE):
        assert WIRE.render_request(outcome, profile).body["messages"] is not None


# Render what came from elsewhere


def test_a_simple_request() -> None:
    request = asked(instructions=(Text(text="Be brief."),), is_stream=True)
    assert sent(request) == {
        "model": "m",
        "max_tokens": 8192,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    }
    assert lost(request) == []


def test_bug_54_max_tokens() -> None:
    assert sent(asked(sampling=Sampling(max_output_tokens=7)))["max_tokens"] == 7
    profile = replace(PLAIN, max_output_tokens=64_000)
    assert sent(asked(), profile)["max_tokens"] == 64_000
    too_many = asked(sampling=Sampling(max_output_tokens=100_000))
    assert sent(too_many, profile)["max_tokens"] == 64_000
    assert lost(too_many, profile) == [("max_tokens", "100000 tokens")]


def test_a_whole_turn_with_tools() -> None:
    request = asked(
        said("user", Text(text="Weather?")),
        said("assistant", Text(text="Let me see."), ToolCall(id="c1", name="get", arguments='{"city": "Oslo"}')),
        said("tool", ToolResult(call_id="c1", parts=(Text(text="rain"),), name="get")),
        said("user", Text(text="And?")),
        tools=(Tool(name="get", description="d", schema={"type": "object", "properties": {}}),),
    )
    rendered = sent(request)
    assert rendered["messages"] == [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "c1", "name": "get", "input": {"city": "Oslo"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "rain"},
                {"type": "text", "text": "And?"},
            ],
        },
    ]
    assert rendered["tools"] == [
        {"name": "get", "description": "d", "input_schema": {"type": "object", "properties": {}}}
    ]


@pytest.mark.parametrize(
    "part",
    [
        Thinking(sections=("Hm",)),
        Thinking(sections=("Hm",), signature="sig", origin="gemini"),
        Thinking(signature="enc", is_redacted=True, origin="openai_responses"),
        Thinking(sections=("Hm",), signature="sig"),
    ],
)
def test_bug_04_no_thinking_block_without_its_own_signature(part: Thinking) -> None:
    request = asked(said("user", Text(text="a")), said("assistant", part, Text(text="b")), said("user", Text(text="c")))
    assert sent(request)["messages"] == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    assert lost(request) == [("messages[1].content[0]", "thinking")]


def test_bug_02_its_own_signed_thinking_is_sent_byte_for_byte() -> None:
    signed = Thinking(sections=("Hm \u00e9\n",), signature="EqQB+/=", origin="anthropic")
    redacted = Thinking(signature="opaque", is_redacted=True, origin="anthropic")
    request = asked(said("user", Text(text="a")), said("assistant", signed, redacted, Text(text="b")), said("user"))
    messages = sent(request)["messages"]
    assert isinstance(messages, list)
    assert messages[1] == {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm \u00e9\n", "signature": "EqQB+/="},
            {"type": "redacted_thinking", "data": "opaque"},
            {"type": "text", "text": "b"},
        ],
    }


def test_bug_03_home_requests_lose_other_makers_thinking_too() -> None:
    content: JsonValue = [
        {"type": "thinking", "thinking": "x", "signature": tag("gemini", "sig")},
        {"type": "text", "text": "b"},
    ]
    request = WIRE.parse_request(body({"role": "assistant", "content": content}))
    assert sent(request)["messages"] == [{"role": "assistant", "content": [{"type": "text", "text": "b"}]}]
    gemini = replace(PLAIN, maker="gemini")
    back: JsonValue = [{"type": "thinking", "thinking": "x", "signature": "sig"}, {"type": "text", "text": "b"}]
    assert sent(request, gemini)["messages"] == [{"role": "assistant", "content": back}]


def test_bug_19_thoughts_and_calls_keep_their_order() -> None:
    parts: tuple[Part, ...] = (
        Thinking(sections=("one",), signature="s1", origin="anthropic"),
        ToolCall(id="1", name="f"),
        Thinking(sections=("two",), signature="s2", origin="anthropic"),
        ToolCall(id="2", name="f"),
    )
    request = asked(said("user", Text(text="a")), said("assistant", *parts), said("user", Text(text="b")))
    messages = sent(request)["messages"]
    assert isinstance(messages, list)
    assert isinstance(messages[1], dict)
    content = messages[1]["content"]
    assert isinstance(content, list)
    told = [(block["type"], block.get("id") or block.get("signature")) for block in content if isinstance(block, dict)]
    assert told == [("thinking", "s1"), ("tool_use", "1"), ("thinking", "s2"), ("tool_use", "2")]


def test_bug_18_unsigned_thinking_for_those_who_want_it_back() -> None:
    request = asked(said("assistant", Thinking(sections=("Hm",)), Text(text="b")), said("user", Text(text="c")))
    messages = sent(request, replace(PLAIN, replays_reasoning_text=True))["messages"]
    assert isinstance(messages, list)
    assert messages[1] == {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "Hm", "signature": ""}, {"type": "text", "text": "b"}],
    }


def test_bug_21_a_turn_of_mere_thinking_is_no_turn() -> None:
    request = asked(
        said("user", Text(text="a")), said("assistant", Thinking(sections=("Hm",))), said("user", Text(text="b"))
    )
    assert sent(request)["messages"] == [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]


def test_bug_07_a_forced_choice_and_thinking_are_not_sent_together() -> None:
    request = asked(
        tools=(Tool(name="f"),), tool_choice=ToolChoice(mode="required"), reasoning=Reasoning(budget_tokens=2000)
    )
    rendered = sent(request, BUDGET)
    assert (rendered["thinking"], rendered["tool_choice"]) == ({"type": "disabled"}, {"type": "any"})
    assert lost(request, BUDGET) == [("reasoning", "thinking")]
    rendered = sent(replace(request, reasoning=Reasoning(effort="high")), ADAPTIVE)
    assert (rendered["thinking"], rendered["tool_choice"]) == ({"type": "adaptive"}, {"type": "auto"})
    assert lost(replace(request, reasoning=Reasoning(effort="high")), ADAPTIVE) == [("tool_choice", "tool choice any")]


def test_bug_55_sampling_only_where_it_is_taken() -> None:
    sampling = Sampling(temperature=0.3, top_p=0.9, top_k=5, stop=("x",))
    rendered = sent(asked(sampling=sampling))
    assert [rendered[key] for key in ("temperature", "top_p", "top_k", "stop_sequences")] == [0.3, 0.9, 5, ["x"]]
    rendered = sent(asked(sampling=sampling), ADAPTIVE)
    assert rendered.keys() == {"model", "max_tokens", "messages", "stop_sequences"}
    assert [path for path, _ in lost(asked(sampling=sampling), ADAPTIVE)] == ["temperature", "top_p", "top_k"]


@pytest.mark.parametrize(("arguments", "count"), [('{"a": 1}', 0), ("", 0), ("null", 0), ("[1]", 1), ('{"a": ', 1)])
def test_bug_35_arguments_that_are_no_object_are_told(arguments: str, count: int) -> None:
    call = said("assistant", ToolCall(id="c", name="f", arguments=arguments))
    answered = said("user", ToolResult(call_id="c", name="f", parts=(Text(text="1"),)))
    told = [("messages[1].content[0].arguments", "arguments")]
    assert lost(asked(said("user", Text(text="Hi")), call, answered)) == told * count


def test_sampling_beside_thinking() -> None:
    sampling = Sampling(temperature=0.3, top_p=0.99, top_k=5, max_output_tokens=9000)
    request = asked(sampling=sampling, reasoning=Reasoning(budget_tokens=2000))
    rendered = sent(request, BUDGET)
    assert "temperature" not in rendered
    assert "top_k" not in rendered
    assert rendered["top_p"] == 0.99
    assert lost(request, BUDGET) == [("temperature", "temperature 0.3"), ("top_k", "top_k 5")]


def test_what_has_no_setting_here_is_lost_by_name() -> None:
    sampling = Sampling(
        temperature=1.7, seed=1, presence_penalty=0.5, frequency_penalty=0.5, logprobs=3, stop=(" ", "x")
    )
    request = asked(sampling=sampling)
    assert lost(request) == [
        ("temperature", "temperature 1.7"),
        ("stop", "stop sequence"),
        ("seed", "seed"),
        ("presence_penalty", "presence_penalty"),
        ("frequency_penalty", "frequency_penalty"),
        ("logprobs", "logprobs"),
    ]
    assert (sent(request)["temperature"], sent(request)["stop_sequences"]) == (1.0, ["x"])


def test_several_answers_are_refused() -> None:
    with pytest.raises(Untranslatable, match="one answer a request") as caught:
        sent(asked(sampling=Sampling(candidates=2)))
    assert caught.value.path == "n"
    assert lost(asked(sampling=Sampling(candidates=1))) == []


def test_the_other_wires_fields_are_lost_by_name() -> None:
    request = asked(
        Message(
            role="user",
            parts=(Text(text="Hi", residue=Residue(wire="openai_chat", fields={"extra": 1})),),
            residue=Residue(wire="openai_chat", fields={"name": "Ada"}),
        ),
        residue=Residue(wire="openai_chat", fields={"logit_bias": {"1": 5}, "stream_options": {}}),
    )
    assert lost(request) == [
        ("logit_bias", "logit_bias"),
        ("messages[0].name", "name"),
        ("messages[0].content[0].extra", "extra"),
    ]


def test_state_of_another_wires_server_is_refused() -> None:
    state = Opaque(wire="openai_responses", kind="previous_response_id", value="resp_1")
    with pytest.raises(Untranslatable, match="previous_response_id"):
        sent(asked(state=(state,)))


def test_media_that_cannot_be_read_leave_a_word() -> None:
    """In every turn: a refusal would end an agent's conversation, whose tool gave a picture, for good."""
    audio = Media(kind="audio", media_type="audio/wav", data="UklG")
    request = asked(said("user", Text(text="What is this?"), audio))
    assert sent(request)["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "text", "text": "[audio left out: it reads no audio]"},
            ],
        }
    ]
    assert lost(request) == [("messages[0].content[1]", "audio")]


def test_media_stand_in_a_users_turn_only() -> None:
    image = Media(kind="image", data="iVBORw0KGgo=")
    request = asked(
        said("user", Text(text="Draw.")),
        said("assistant", image),
        said("user", Text(text="Bluer.")),
        instructions=(Text(text="s"), image),
    )
    messages = sent(request)["messages"]
    assert isinstance(messages, list)
    assert messages[1] == {
        "role": "assistant",
        "content": "[image left out: an assistant's turn holds none in this wire]",
    }
    assert lost(request) == [("instructions[1]", "image"), ("messages[1].content[0]", "image")]


@pytest.mark.parametrize(
    ("effort", "profile", "kept", "count"),
    [
        ("high", Profile(maker="anthropic", thinking="budget", efforts=()), {}, 1),
        ("high", Profile(maker="anthropic", thinking="none"), {}, 1),
        ("xhigh", Profile(maker="anthropic"), {"effort": "high"}, 1),
        ("low", Profile(maker="anthropic"), {"effort": "low"}, 0),
        ("of a newer model", Profile(maker="anthropic"), {"effort": "of a newer model"}, 0),
    ],
)
def test_an_effort_beside_thinking_that_is_off(effort: str, profile: Profile, kept: JsonObject, count: int) -> None:
    asks = WIRE.parse_request(body(thinking={"type": "disabled"}, output_config={"effort": effort}))
    assert sent(asks, profile)["output_config"] == kept
    assert [path for path, _ in lost(asks, profile)] == ["reasoning.effort"] * count


def test_bug_72_clearing_thoughts_where_there_are_none() -> None:
    edits: JsonValue = [{"type": "clear_thinking_20251015", "keep": "all"}, {"type": "clear_tool_uses_20250919"}]
    request = WIRE.parse_request(body(context_management={"edits": edits, "x": 1}, thinking={"type": "disabled"}))
    assert sent(request)["context_management"] == {"edits": [{"type": "clear_tool_uses_20250919"}], "x": 1}
    request = WIRE.parse_request(body(context_management={"edits": [{"type": "clear_thinking_20251015"}]}))
    assert "context_management" not in sent(request)
    assert lost(request) == [("context_management.edits", "clear_thinking")]


# Prefill and mid-conversation system text


def test_a_prefill_is_kept_where_it_is_taken() -> None:
    request = asked(said("user", Text(text="a")), said("assistant", Text(text="Sure: ")))
    assert sent(request)["messages"] == [{"role": "user", "content": "a"}, {"role": "assistant", "content": "Sure:"}]
    assert lost(request) == []


def test_a_prefill_is_asked_for_where_it_is_refused() -> None:
    request = asked(said("user", Text(text="a")), said("assistant", Text(text="Sure:")))
    messages = sent(request, ADAPTIVE)["messages"]
    assert isinstance(messages, list)
    assert [message["role"] for message in messages if isinstance(message, dict)] == ["user", "assistant", "user"]
    assert lost(request, ADAPTIVE) == [("messages[1]", "prefill")]


def test_system_text_in_mid_conversation(able: Profile) -> None:
    request = asked(
        said("user", Text(text="a")),
        said("assistant", Text(text="b")),
        said("system", Text(text="c")),
        said("user", Text(text="d")),
    )
    assert sent(request, able)["messages"] == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "system", "content": "c"},
        {"role": "user", "content": "d"},
    ]
    messages = sent(request)["messages"]
    assert isinstance(messages, list)
    assert messages[2] == {
        "role": "user",
        "content": [{"type": "text", "text": "<system>\nc\n</system>"}, {"type": "text", "text": "d"}],
    }
    assert lost(request) == [("messages[2].content[0]", "system role")]


def test_a_home_request_keeps_results_first_when_system_text_must_move() -> None:
    call: JsonValue = [{"type": "tool_use", "id": "1", "name": "f", "input": {}}]
    result: JsonValue = [{"type": "tool_result", "tool_use_id": "1", "content": "x"}]
    request = WIRE.parse_request(
        body(
            {"role": "assistant", "content": call},
            {"role": "system", "content": "s"},
            {"role": "user", "content": result},
        )
    )
    messages = sent(request)["messages"]
    assert isinstance(messages, list)
    last = messages[-1]
    assert isinstance(last, dict)
    assert isinstance(last["content"], list)
    assert [block["type"] for block in last["content"] if isinstance(block, dict)] == ["tool_result", "text"]


# Thinking in a turn that goes on


def loop(*thinking: Part) -> Request:
    return asked(
        said("user", Text(text="a")),
        said("assistant", *thinking, ToolCall(id="1", name="f")),
        said("tool", ToolResult(call_id="1", parts=(Text(text="x"),))),
        reasoning=Reasoning(budget_tokens=2000),
        sampling=Sampling(max_output_tokens=9000),
    )


def test_a_budget_is_not_sent_for_a_turn_that_began_without_thinking() -> None:
    assert sent(loop(), BUDGET)["thinking"] == {"type": "disabled"}
    assert lost(loop(), BUDGET) == [("reasoning", "thinking")]
    signed = Thinking(sections=("Hm",), signature="s", origin="anthropic")
    assert sent(loop(signed), BUDGET)["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    effort = replace(loop(), reasoning=Reasoning(effort="high"))
    assert sent(effort, ADAPTIVE)["thinking"] == {"type": "adaptive"}


# Cache marks


def test_cache_marks_are_kept_where_they_are_taken(able: Profile) -> None:
    request = asked(
        said("user", Text(text="a", cache=CacheMark("1h"))),
        instructions=(Text(text="s", cache=CacheMark()),),
        tools=(Tool(name="f", cache=CacheMark("5m")),),
    )
    rendered = sent(request, able)
    assert rendered["system"] == [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]
    assert rendered["messages"] == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        }
    ]
    assert [path for path, _ in lost(request)] == [
        "tools[0].cache_control",
        "instructions[0].cache_control",
        "messages[0].content[0].cache_control",
    ]


def test_at_most_four_marks_are_written(able: Profile) -> None:
    parts = tuple(Text(text=str(number), cache=CacheMark()) for number in range(7))
    request = asked(said("user", *parts))
    message = sent(request, able)["messages"]
    assert isinstance(message, list)
    content = message[0]["content"] if isinstance(message[0], dict) else None
    assert isinstance(content, list)
    marked = [block["text"] for block in content if isinstance(block, dict) and "cache_control" in block]
    assert marked == ["0", "1", "5", "6"]
    assert len(lost(request, able)) == 3


def test_the_automatic_mark_counts_too(able: Profile) -> None:
    marked: JsonValue = [{"type": "text", "text": str(n), "cache_control": {"type": "ephemeral"}} for n in range(4)]
    request = WIRE.parse_request(body({"role": "user", "content": marked}, cache_control={"type": "ephemeral"}))
    assert len(lost(request, able)) == 1


def test_other_wires_cache_times(able: Profile) -> None:
    request = asked(said("user", Text(text="a", cache=CacheMark("12h")), Text(text="b", cache=CacheMark("30m"))))
    assert [what for _, what in lost(request, able)] == ["cache time 12h", "cache time 30m"]


def test_bug_70_no_mark_on_a_deferred_tool(able: Profile) -> None:
    tools: JsonValue = [{"name": "f", "defer_loading": True, "cache_control": {"type": "ephemeral"}}]
    request = WIRE.parse_request(body(tools=tools))
    assert sent(request, able)["tools"] == [{"name": "f", "defer_loading": True}]
    assert lost(request, able) == [("tools[0].cache_control", "cache mark")]


# Counting


def test_a_count_request_holds_the_prompt_only() -> None:
    request = asked(
        instructions=(Text(text="s"),),
        tools=(Tool(name="f"),),
        sampling=Sampling(max_output_tokens=9000, temperature=0.5, stop=("x",)),
        reasoning=Reasoning(budget_tokens=2000),
        is_stream=True,
    )
    assert WIRE.render_count_request(request, BUDGET).body.keys() == {
        "model",
        "system",
        "messages",
        "tools",
        "thinking",
    }


def test_the_same_request_gives_the_same_body() -> None:
    request = asked(
        said("user", Refusal(text="No.")),
        said("assistant", ToolCall(id="odd id!", name="odd name!", arguments="{")),
        said("tool", ToolResult(call_id="odd id!")),
    )
    first, second = WIRE.render_request(request, PLAIN), WIRE.render_request(request, PLAIN)
    assert first == second
    assert str(first.body) == str(second.body)
