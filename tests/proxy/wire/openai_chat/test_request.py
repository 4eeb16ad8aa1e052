from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Malformed, Untranslatable
from proxy.hub.parts import Media, Opaque, Text, ToolCall, ToolResult
from proxy.hub.profile import Profile
from proxy.hub.request import Message, Request, Sampling, Tool, ToolChoice
from proxy.hub.residue import Residue
from proxy.wire.openai_chat import WIRE


def test_law_2_a_request_comes_back_as_it_was(recordings: list[Any], able: Profile) -> None:
    faults = []
    requests = [each for each in recordings if each.request and "messages" in each.request]
    for each in requests:
        body = {"model": "m", **each.request}
        rendered = WIRE.render_request(WIRE.parse_request(body), able)
        if rendered.body != body or rendered.losses:
            faults.append((each.name, rendered.losses))
    assert faults == []
    assert len(requests) > 200


PLAIN = Profile(maker="openai_chat", replays_reasoning_text=True)
EVERYTHING: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "developer", "content": "Be brief.", "name": "boss"},
        {"role": "system", "content": [{"type": "text", "text": "And kind."}, {"type": "text", "text": "Always."}]},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "look", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
                {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
                {"type": "image_url", "image_url": "data:image/png;base64,iVBORw0KGgo="},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}},
                {"type": "of_tomorrow", "what": [1, 2]},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "reasoning_content": "I must look.",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{ }"}},
                {"id": "call_2", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "a cat", "name": "look"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "a"}]},
        {"role": "system", "content": "The clock strikes."},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}]},
        {"role": "assistant", "content": "", "audio": {"id": "audio_1"}},
        {"role": "user", "content": ""},
        {"role": "assistant", "content": "Once", "prefix": True},
    ],
    "tools": [
        {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}, "strict": True}},
        {"type": "custom", "custom": {"name": "shell", "description": "d", "format": {"type": "text"}}},
        {"type": "openrouter:web_search", "parameters": {"max_uses": 2}},
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "look"}}]},
    },
    "parallel_tool_calls": False,
    "web_search_options": {"search_context_size": "low"},
    "max_completion_tokens": 100,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 4,
    "seed": 1,
    "stop": "END",
    "n": 2,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    "logprobs": True,
    "top_logprobs": 3,
    "logit_bias": {"50256": -100},
    "reasoning_effort": "high",
    "verbosity": "low",
    "service_tier": "flex",
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "metadata": {"a": "b"},
    "user": "u",
    "store": True,
    "modalities": ["text", "audio"],
    "audio": {"voice": "ash", "format": "wav"},
    "prediction": {"type": "content", "content": "x"},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "stream": True,
    "stream_options": {"include_usage": True},
    "of_tomorrow": {"a": None},
}


def test_everything_at_once_comes_back(able: Profile) -> None:
    rendered = WIRE.render_request(WIRE.parse_request(EVERYTHING), able)
    assert rendered.body == EVERYTHING
    assert rendered.losses == ()


def test_what_it_says_is_understood() -> None:
    request = WIRE.parse_request(EVERYTHING)
    assert [part.text for part in request.instructions if isinstance(part, Text)] == [
        "Be brief.",
        "And kind.",
        "Always.",
    ]
    assert [message.role for message in request.messages] == [
        "user", "assistant", "tool", "system", "assistant", "assistant", "user", "assistant",
    ]  # fmt: skip
    assert request.sampling == Sampling(
        max_output_tokens=100, temperature=0.5, top_p=0.9, top_k=4, stop=("END",), seed=1, presence_penalty=0.1,
        frequency_penalty=0.2, candidates=2, logprobs=3,
    )  # fmt: skip
    assert request.is_stream
    assert [type(tool).__name__ for tool in request.tools] == ["Tool", "Tool", "Opaque", "Opaque"]
    assert request.tool_choice is not None
    assert (request.tool_choice.mode, request.tool_choice.names) == ("auto", ("look",))


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"messages": [{"role": "user", "content": "x"}]}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": []}, "messages"),
        ({"model": "m", "messages": ["x"]}, "messages[0]"),
        ({"model": "m", "messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"model": "m", "messages": [{"role": "user", "content": 4}]}, "messages[0].content"),
        ({"model": "m", "messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        ({"model": "m", "messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        (
            {"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0].image_url",
        ),
        ({"model": "m", "messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"model": "m", "messages": [{"role": "user", "content": "x"}], "temperature": "hot"}, "temperature"),
        ({"model": "m", "messages": [{"role": "user", "content": "x"}], "tool_choice": "maybe"}, "tool_choice"),
        (
            {
                "model": "m",
                "messages": [{"role": "user", "content": "x"}],
                "tools": [{"type": "function", "function": {}}],
            },
            "tools[0].function.name",
        ),
    ],
)
def test_a_fault_has_its_path(body: dict[str, Any], path: str) -> None:
    with pytest.raises(Malformed) as caught:
        WIRE.parse_request(body)
    assert caught.value.path == path
    assert path in caught.value.message


def test_model_and_stream_may_come_from_the_route() -> None:
    request = WIRE.parse_request({"messages": [{"role": "user", "content": "x"}]}, model="m", is_stream=True)
    assert (request.model, request.is_stream) == ("m", True)


def asked(**more: Any) -> Request:
    return Request(model="m", messages=(Message(role="user", parts=(Text(text="hi"),)),), **more)


def test_nothing_is_added_that_was_not_asked_for() -> None:
    body = WIRE.render_request(asked(), Profile(maker="openai_chat")).body
    assert body == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def test_bug_60_usage_is_always_asked_of_an_upstream() -> None:
    body = WIRE.render_request(asked(is_stream=True), Profile(maker="openai_chat")).body
    assert body["stream_options"] == {"include_usage": True}


def test_bug_50_an_empty_system_and_empty_texts_are_dropped() -> None:
    request = Request(
        model="m",
        instructions=(Text(text=""),),
        messages=(Message(role="user", parts=(Text(text=""), Text(text="hi"), Text(text=" "))),),
    )
    body = WIRE.render_request(request, Profile(maker="openai_chat")).body
    texts = [{"type": "text", "text": "hi"}, {"type": "text", "text": " "}]
    assert body["messages"] == [{"role": "user", "content": texts}]


def test_fields_of_another_wire_are_lost_by_name() -> None:
    request = replace(asked(), residue=Residue(wire="gemini", fields={"safetySettings": [1], "none": None}))
    losses = WIRE.render_request(request, Profile(maker="openai_chat")).losses
    assert [loss.path for loss in losses] == ["safetySettings"]


def test_state_of_another_wires_server_is_refused() -> None:
    state = Opaque(wire="openai_responses", kind="previous_response_id", value="resp_1")
    with pytest.raises(Untranslatable) as caught:
        WIRE.render_request(asked(state=(state,)), Profile(maker="openai_chat"))
    assert caught.value.path == "previous_response_id"


def test_more_than_one_answer_is_refused_across_wires_and_asked_for_at_home(able: Profile) -> None:
    with pytest.raises(Untranslatable) as caught:
        WIRE.render_request(asked(sampling=Sampling(candidates=2)), able)
    assert caught.value.path == "n"
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "n": 3}
    assert WIRE.render_request(WIRE.parse_request(body), able).body == body


def test_a_field_that_the_upstream_does_not_take_is_a_loss_at_home(able: Profile) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "store": True, "verbosity": "low"}
    rendered = WIRE.render_request(WIRE.parse_request(body), replace(able, extras=frozenset()))
    assert rendered.body == {"model": "m", "messages": body["messages"]}
    assert [loss.path for loss in rendered.losses] == ["store", "verbosity"]


def test_the_legacy_functions_come_back(able: Profile) -> None:
    body = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
            {"role": "function", "name": "look", "content": "a cat"},
        ],
        "functions": [{"name": "look", "parameters": {"type": "object"}}],
        "function_call": {"name": "look"},
    }
    request = WIRE.parse_request(body)
    assert WIRE.render_request(request, able).body == body
    call, result = request.messages[1].parts[0], request.messages[2].parts[0]
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    assert call.id == result.call_id
    assert request.tool_choice is not None
    assert (request.tool_choice.names, request.tool_choice.is_parallel) == (("look",), False)


def test_bug_26_calls_without_ids_get_their_own_results() -> None:
    """Some vendors send empty ids, and their clients send them back."""
    calls = [{"id": "", "type": "function", "function": {"name": "look", "arguments": "{}"}}] * 2
    results = [{"role": "tool", "tool_call_id": "", "content": content} for content in "ab"]
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": calls}, *results],
    }
    request = WIRE.parse_request(body)
    ids = [part.id for part in request.messages[1].parts if isinstance(part, ToolCall)]
    answered = [part.call_id for part in request.messages[2].parts if isinstance(part, ToolResult)]
    assert ids == answered
    assert len(set(ids)) == 2
    assert WIRE.parse_request(body) == request


def test_bug_54_the_limit_is_written_as_the_upstream_knows_it() -> None:
    request = asked(sampling=Sampling(max_output_tokens=9))
    old = WIRE.render_request(request, Profile(maker="openai_chat")).body
    new = WIRE.render_request(request, Profile(maker="openai_chat", extras=frozenset({"max_completion_tokens"}))).body
    assert (old["max_tokens"], new["max_completion_tokens"]) == (9, 9)
    assert "max_completion_tokens" not in old
    assert "max_tokens" not in new


def test_bug_70_the_same_request_gives_the_same_bytes(able: Profile) -> None:
    first = WIRE.render_request(WIRE.parse_request(EVERYTHING), able).body
    assert list(first) == list(WIRE.render_request(WIRE.parse_request(EVERYTHING), able).body)


def test_bug_69_stream_options_are_this_wires_own_affair() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True, "stream_options": {}}
    residue = WIRE.parse_request(body).residue
    assert residue is not None
    assert residue.fields == {}


def test_what_a_peer_lost_on_the_way_from_claude() -> None:
    """top_p beside temperature, top_k, a choice of none, a document, white space, the parallel switch."""
    request = Request(
        model="m",
        messages=(
            Message(
                role="user",
                parts=(Text(text=" \n"), Media(kind="document", media_type="application/pdf", data="JVBERi0=")),
            ),
        ),
        tools=(Tool(name="look"),),
        tool_choice=ToolChoice(mode="none", is_parallel=False),
        sampling=Sampling(temperature=0.2, top_p=0.9, top_k=3),
    )
    rendered = WIRE.render_request(request, Profile(maker="openai_chat", extras=frozenset({"parallel_switch"})))
    assert rendered.losses == ()
    assert rendered.body == {
        "model": "m",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": " \n"},
                    {
                        "type": "file",
                        "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "file.pdf"},
                    },
                ],
            }
        ],
        "tools": [{"type": "function", "function": {"name": "look"}}],
        "tool_choice": "none",
        "parallel_tool_calls": False,
        "temperature": 0.2,
        "top_p": 0.9,
        "top_k": 3,
    }


KEYS = (
    *(
        "content",
        "tool_calls",
        "tool_call_id",
        "function",
        "custom",
        "id",
        "type",
        "name",
        "arguments",
        "input",
        "text",
    ),
    *("image_url", "url", "file", "file_data", "input_audio", "data", "reasoning", "reasoning_details", "signature"),
    *("tools", "tool_choice", "functions", "response_format", "json_schema", "stop", "n", "effort", "max_tokens"),
)
WORDS = (
    "text",
    "image_url",
    "file",
    "function",
    "custom",
    "data:image/png;base64,AA",
    "px1.gemini.s",
    "{}",
    "json_schema",
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=25,
)
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
strange = st.dictionaries(st.sampled_from(KEYS), anything, max_size=5)


@given(message=strange, role=st.sampled_from(ROLES), more=strange)
def test_whatever_comes_is_understood_or_refused_with_a_path(message: Any, role: str, more: Any) -> None:
    messages = [{"role": "user", "content": "x"}, {**message, "role": role}]
    fault = None
    try:
        request = WIRE.parse_request({**more, "model": "m", "messages": messages})
    except Malformed as error:
        fault = error
    if fault is not None:
        assert fault.path
        return
    body = WIRE.render_request(request, PLAIN).body
    assert WIRE.render_request(WIRE.parse_request(body), PLAIN).body == body
