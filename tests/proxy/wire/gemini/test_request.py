from __future__ import annotations

import copy
from typing import Any

import pytest
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import Malformed, Untranslatable
from proxy.hub.parts import CacheMark, Media, Opaque, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import Hints, Message, OutputFormat, Reasoning, Request, Sampling, Tool, ToolChoice
from proxy.hub.residue import Residue
from proxy.wire.base import refuse_foreign_state
from proxy.wire.gemini import WIRE
from proxy.wire.gemini.envelope import unwrap_request
from tests.proxy.wire.gemini.conftest import Recording
from tests.proxy.wire.gemini.exchanges import asked, upstream, user

CONTENTS = [{"role": "user", "parts": [{"text": "hi"}]}]


def read(**body: Any) -> Request:
    return WIRE.parse_request({"contents": CONTENTS, **body}, model="m", is_stream=False)


def there_and_back(body: dict[str, Any]) -> Any:
    return WIRE.render_request(WIRE.parse_request(body, model="m"), upstream()).body


class TestLaw2:
    """A request comes out as it went in."""

    def test_every_recorded_request(self, recordings: list[Recording]) -> None:
        failures = []
        for recording in recordings:
            if recording.request is None or recording.status == 400:
                continue
            before = copy.deepcopy(recording.request)
            request = WIRE.parse_request(recording.request, model="m")
            for _ in range(2):  # rendering changes nothing in the hub
                rendered = WIRE.render_request(request, upstream())
                if rendered.body != before or rendered.losses or recording.request != before:
                    failures.append(recording.name)
        assert failures == []

    def test_every_captured_request_of_a_cli(self, cli_requests: list[tuple[str, Any]]) -> None:
        failures = []
        for name, body in cli_requests:
            inner = unwrap_request(body).body if "request" in body else body
            if there_and_back(inner) != inner:
                failures.append(name)
        assert failures == []

    @pytest.mark.parametrize(
        "body",
        [
            {"contents": []},
            {"contents": [{"parts": [{"text": "no role"}]}]},
            {"contents": [{"role": "user"}]},
            {"contents": [{"role": "function", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}]},
            {"contents": [{"role": "user", "parts": [{"functionResponse": {"name": "f"}}, {"text": "and"},
                                                     {"functionResponse": {"id": "1", "name": "g", "parts": []}}]}]},
            {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f"}}, {}]}]},
            {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "args": None, "new": True}}]}]},
            {"contents": [{"role": "model", "parts": [{"thoughtSignature": "cw=="}, {"text": "", "thought": True}]}]},
            {"contents": [{"role": "model", "parts": [{"text": "x", "thought": False}, {"text": ""}]}]},
            {"contents": [{"role": "user", "parts": [{"executableCode": {"code": "1", "language": "PYTHON"}}]}]},
            {"contents": CONTENTS, "systemInstruction": {"role": "system", "parts": []}},
            {"contents": CONTENTS, "systemInstruction": "be kind", "generationConfig": {}, "toolConfig": {}},
            {"contents": CONTENTS, "systemInstruction": {"parts": [{"text": ""}]}, "model": "models/m"},
            {"contents": CONTENTS, "tools": [], "toolConfig": {"functionCallingConfig": {}}},
            {"contents": CONTENTS, "tools": [{"functionDeclarations": [], "googleSearch": {}}, {"codeExecution": {}}]},
            {"contents": CONTENTS, "tools": [
                {"functionDeclarations": [{"name": "f", "behavior": "BLOCKING"}]},
                {"functionDeclarations": [{"name": "g", "parameters": {"type": "OBJECT"}}]}]},
            {"contents": CONTENTS, "toolConfig": {
                "functionCallingConfig": {"mode": "validated", "allowedFunctionNames": []},
                "retrievalConfig": {"languageCode": "de"}}},
            *({"contents": CONTENTS, "generationConfig": config} for config in (
                {"thinkingConfig": {}, "stopSequences": []},
                {"thinkingConfig": {"thinkingBudget": -1, "thinkingLevel": "low"}},
                {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING"}},
                {"responseMimeType": "text/plain", "responseLogprobs": False, "logprobs": 3},
                {"responseSchema": {"type": "STRING", "nullable": True}},
                {"speechConfig": {"languageCode": "de"}, "candidateCount": 3},
            )),
            {"contents": CONTENTS, "serviceTier": "FLEX", "cachedContent": "c/1", "labels": {"a": "b"}, "store": None,
             "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]},
        ],
    )  # fmt: skip
    def test_ways_of_writing(self, body: dict[str, Any]) -> None:
        before = copy.deepcopy(body)
        assert there_and_back(body) == before
        assert body == before

    @settings(max_examples=100, deadline=None)
    @given(
        st.fixed_dictionaries(
            {"contents": st.lists(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "role": st.sampled_from(["user", "model"]),
                        "parts": st.lists(
                            st.sampled_from([
                                {"text": "a"}, {"text": "b", "thought": True}, {"text": "", "thoughtSignature": "cw=="},
                                {"functionCall": {"name": "f", "args": {"a": 1.5}}},
                                {"function_call": {"name": "g", "id": "1"}, "thought_signature": "cw=="},
                                {"functionResponse": {"name": "f", "response": {"output": "x"}}},
                                {"function_response": {"name": "g", "id": "1", "response": {"a": [1]}}},
                                {"inline_data": {"mime_type": "image/png", "data": "AA=="}},
                                {"fileData": {"fileUri": "gs://a/b.pdf"}, "videoMetadata": {"fps": 1}},
                                {"newThing": {"x": None}}, {},
                            ]),
                            max_size=4,
                        ),
                    },
                ),
                max_size=4,
            )},
            optional={
                "tools": st.sampled_from([[{"google_search": {}}], {"functionDeclarations": [{"name": "f"}]}]),
                "system_instruction": st.sampled_from([{"parts": {"text": "s"}}, {"parts": []}]),
                "someNewField": st.sampled_from([{}, [], 1, None, "x"]),
            },
        )
    )  # fmt: skip
    def test_any_history(self, body: dict[str, Any]) -> None:
        assert there_and_back(copy.deepcopy(body)) == body


class TestParse:
    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({}, "contents"),
            ({"contents": "hello"}, "contents"),
            ({"contents": ["hello"]}, "contents[0]"),
            ({"contents": [{"role": "assistant", "parts": []}]}, "contents[0].role"),
            ({"contents": [{"parts": [{"text": 1}]}]}, "contents[0].parts[0].text"),
            ({"contents": [{"parts": [{"functionCall": {}}]}]}, "contents[0].parts[0].functionCall.name"),
            ({"contents": [{"parts": [{"functionCall": {"name": "f", "args": []}}]}]},
             "contents[0].parts[0].functionCall.args"),
            ({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png"}}]}]},
             "contents[0].parts[0].inlineData.data"),
            ({"contents": CONTENTS, "generationConfig": {"topK": 1.5}}, "generationConfig.topK"),
            ({"contents": CONTENTS, "tools": [{"functionDeclarations": [{}]}]},
             "tools[0].functionDeclarations[0].name"),
            ({"contents": CONTENTS, "systemInstruction": 5}, "systemInstruction"),
        ],
    )  # fmt: skip
    def test_faults_are_named(self, body: dict[str, Any], path: str) -> None:
        with pytest.raises(Malformed) as caught:
            WIRE.parse_request(body, model="m")
        assert caught.value.path == path

    def test_the_model_comes_from_the_route_or_the_body(self) -> None:
        assert WIRE.parse_request({"contents": CONTENTS, "model": "models/x"}).model == "x"
        assert WIRE.parse_request({"contents": CONTENTS, "model": "models/x"}, model="y").model == "y"
        with pytest.raises(Malformed, match="model is required"):
            WIRE.parse_request({"contents": CONTENTS})

    def test_a_model_that_was_mapped_is_named_in_the_body_too(self) -> None:
        request = WIRE.parse_request({"contents": CONTENTS, "model": "models/alias"}, model="real")
        assert WIRE.render_request(request, upstream()).body["model"] == "models/real"

    def test_settings(self) -> None:
        request = read(
            generationConfig={"temperature": 0.5, "topP": 1, "topK": 4.0, "maxOutputTokens": 9, "seed": 1,
                              "candidateCount": 2, "stopSequences": ["x"], "presencePenalty": 0.1,
                              "frequencyPenalty": 0.2, "responseLogprobs": True, "logprobs": 3},
            serviceTier="standard",
        )  # fmt: skip
        assert request.sampling == Sampling(
            max_output_tokens=9, temperature=0.5, top_p=1, top_k=4, stop=("x",), seed=1, presence_penalty=0.1,
            frequency_penalty=0.2, candidates=2, logprobs=3,
        )  # fmt: skip
        assert request.hints == Hints(service_tier="default")

    def test_formats(self) -> None:
        assert read(generationConfig={"responseMimeType": "application/json"}).output.kind == "json"
        output = read(
            generationConfig={"responseMimeType": "application/json", "responseSchema": {"type": "STRING"}}
        ).output
        assert output is not None
        assert (output.kind, output.schema) == ("json_schema", {"type": "string"})

    def test_only_this_wires_fields_are_residue(self) -> None:
        request = read(labels={"a": "b"}, generationConfig={"speechConfig": {}, "topP": 1}, toolConfig={"new": 1})
        assert request.residue is not None
        assert request.residue.fields == {
            "labels": {"a": "b"},
            "generationConfig.speechConfig": {},
            "toolConfig.new": 1,
        }

    def test_what_asks_nothing_of_another_wire_is_no_residue(self) -> None:
        body: Any = {"contents": CONTENTS, "generationConfig": {"responseModalities": ["TEXT"]},
                     "toolConfig": {"includeServerSideToolInvocations": True}}  # fmt: skip
        request = WIRE.parse_request(body, model="m")
        assert request.residue is not None
        assert request.residue.fields == {}
        assert WIRE.render_request(request, upstream()).body == body
        residue = read(generationConfig={"responseModalities": ["TEXT", "IMAGE"]}).residue
        assert residue is not None
        assert residue.fields == {"generationConfig.responseModalities": ["TEXT", "IMAGE"]}

    def test_a_cached_prompt_is_state_that_only_google_keeps(self) -> None:
        request = read(cached_content="cachedContents/1", continuationToken="t")
        assert [(thing.kind, thing.value) for thing in request.state] == [
            ("cachedContent", "cachedContents/1"), ("continuationToken", "t"),
        ]  # fmt: skip
        with pytest.raises(Untranslatable, match="cachedContent"):
            refuse_foreign_state(request, "anthropic")
        body = WIRE.render_request(request, upstream()).body
        assert body == {"contents": CONTENTS, "cached_content": "cachedContents/1", "continuationToken": "t"}
        kept = Opaque(wire="openai_responses", kind="previous_response_id", value="resp_1")
        with pytest.raises(Untranslatable, match="previous_response_id"):
            WIRE.render_request(asked(state=(kept,)), upstream())

    def test_a_count_may_hold_a_whole_request(self) -> None:
        inner = {"model": "models/x", "contents": CONTENTS, "system_instruction": {"parts": [{"text": "s"}]}}
        request = WIRE.parse_request({"generateContentRequest": inner})
        assert request.model == "x"
        assert request.instructions == (Text(text="s"),)
        assert WIRE.render_count_request(request, upstream()).body == {"generateContentRequest": inner}


class TestRenderForeign:
    def test_all_settings(self) -> None:
        request = asked(
            instructions=(Text(text="one"), Text(text=""), Text(text="two")),
            tools=(Tool(name="f", description="d", schema={"type": "object"}),),
            tool_choice=ToolChoice(mode="required"),
            sampling=Sampling(max_output_tokens=5, temperature=1, top_p=0.5, top_k=3, stop=("s",), seed=7,
                              presence_penalty=1, frequency_penalty=-1, logprobs=0),
            output=OutputFormat(kind="json_schema", schema={"type": "object"}, name="n", is_strict=True),
            hints=Hints(service_tier="fast"),
            is_stream=True,
        )  # fmt: skip
        rendered = WIRE.render_request(request, upstream(extras=frozenset({"service_tier"})))
        assert rendered.losses == ()
        assert rendered.body == {
            "systemInstruction": {"parts": [{"text": "one"}, {"text": "two"}]},
            "contents": CONTENTS,
            "tools": [{"functionDeclarations": [
                {"name": "f", "description": "d", "parametersJsonSchema": {"type": "object"}},
            ]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
            "generationConfig": {
                "maxOutputTokens": 5, "temperature": 1, "topP": 0.5, "topK": 3, "seed": 7, "presencePenalty": 1,
                "frequencyPenalty": -1, "stopSequences": ["s"], "responseLogprobs": True,
                "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
            },
            "serviceTier": "priority",
        }  # fmt: skip

    def test_nothing_is_added_that_nobody_asked_for(self) -> None:
        assert WIRE.render_request(asked(), upstream()).body == {"contents": CONTENTS}

    def test_what_has_no_place_is_a_loss(self) -> None:
        mark = Residue(wire="anthropic", fields={"citations": {"enabled": True}, "nothing": None}, shape={"a": 1})
        request = asked(
            Message(role="user", parts=(Text(text="hi", cache=CacheMark(), residue=mark),)),
            hints=Hints(user="u", metadata={"a": "b"}, service_tier="flex", verbosity="low", cache_key="k"),
            residue=Residue(wire="openai_chat", fields={"logit_bias": {"1": 2}}),
            tool_choice=ToolChoice(is_parallel=False),
            tools=(Tool(name="f"),),
        )
        paths = [loss.path for loss in WIRE.render_request(request, upstream()).losses]
        assert paths == [
            "logit_bias", "messages[0].content[0].citations", "messages[0].content[0].cache_control",
            "parallel_tool_calls", "service_tier", "user", "metadata", "verbosity", "prompt_cache_key",
        ]  # fmt: skip

    def test_a_profile_limits_sampling(self) -> None:
        request = asked(sampling=Sampling(temperature=1.5, top_k=3, max_output_tokens=99, stop=tuple("abcdefg")))
        profile = upstream(sampling=frozenset({"temperature", "stop"}), temperature_max=1.0, max_output_tokens=50)
        rendered = WIRE.render_request(request, profile)
        assert rendered.body["generationConfig"] == {
            "maxOutputTokens": 50, "temperature": 1.0, "stopSequences": ["a", "b", "c", "d", "e"],
        }  # fmt: skip
        assert [loss.path for loss in rendered.losses] == ["max_tokens", "temperature", "top_k", "stop"]

    def test_several_answers_are_refused_with_the_path(self) -> None:
        with pytest.raises(Untranslatable) as caught:
            WIRE.render_request(asked(sampling=Sampling(candidates=2)), upstream())
        assert caught.value.path == "n"
        assert WIRE.render_request(asked(sampling=Sampling(candidates=1)), upstream()).losses == ()

    @pytest.mark.parametrize("service_tier", ["auto", "default", None])
    def test_the_usual_tier_says_nothing(self, service_tier: str | None) -> None:
        rendered = WIRE.render_request(asked(hints=Hints(service_tier=service_tier)), upstream())
        assert (rendered.body, rendered.losses) == ({"contents": CONTENTS}, ())

    def test_a_schema_that_the_model_cannot_take_is_asked_for_in_words(self) -> None:
        output = OutputFormat(kind="json_schema", schema={"type": "string"})
        for profile, config in (
            (upstream(has_json_schema=False), {"responseMimeType": "application/json"}),
            (upstream(mixes_tools=False), None),
        ):
            rendered = WIRE.render_request(asked(output=output, tools=(Tool(name="f"),)), profile)
            assert rendered.body.get("generationConfig") == config
            assert '{"type":"string"}' in rendered.body["systemInstruction"]["parts"][0]["text"]
            assert [loss.path for loss in rendered.losses] == ["response_format"]

    def test_the_subset_of_openapi_where_the_model_knows_no_more(self) -> None:
        schema = {"type": ["string", "null"], "$schema": "x"}
        request = asked(
            output=OutputFormat(kind="json_schema", schema=schema, description="d"),
            tools=(Tool(name="f", schema={"type": "object", "properties": {"a": schema}}),),
        )
        body: Any = WIRE.render_request(request, upstream(has_full_schema=False)).body
        assert body["generationConfig"]["responseSchema"] == {"type": "STRING", "nullable": True, "description": "d"}
        assert body["tools"][0]["functionDeclarations"][0]["parameters"] == {
            "type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}},
        }  # fmt: skip

    def test_the_same_request_gives_the_same_bytes(self) -> None:
        call = ToolCall(id="c", name="a.b c", arguments='{"z":1,"a":2}')
        request = asked(user("x"), Message(role="assistant", parts=(call,)), tools=(Tool(name="a.b c"), Tool(name="z")))
        first, second = (WIRE.render_request(request, upstream()).body for _ in range(2))
        assert str(first) == str(second)


def test_googles_sdk_knows_everything_that_we_write() -> None:
    """Its types forbid unknown keys."""
    request = asked(
        Message(role="user", parts=(Text(text="hi"), Media(kind="image", data="AA=="), Media(kind="image", url="https://e/x"))),
        Message(role="assistant", parts=(ToolCall(id="1", name="f", signature="c2ln", origin="gemini"),)),
        Message(role="tool", parts=(ToolResult(call_id="1", parts=(Text(text="r"), Media(kind="image", data=""))),)),
        instructions=(Text(text="s"),),
        tools=(Tool(name="f", description="d", schema={"type": "object"}), Tool(name="g"),
               Opaque(wire="anthropic", kind="web_search", value={})),
        tool_choice=ToolChoice(mode="required", names=("f", "g")),
        sampling=Sampling(max_output_tokens=5, temperature=1, stop=("x",), logprobs=2),
        reasoning=Reasoning(effort="low", is_visible=True),
        output=OutputFormat(kind="json_schema", schema={"type": "object"}),
    )  # fmt: skip
    for has_full_schema in (True, False):
        profile = upstream(hosted_tools=frozenset({"web_search"}), has_full_schema=has_full_schema)
        body: Any = WIRE.render_request(request, profile).body
        assert set(body) == {"systemInstruction", "contents", "tools", "toolConfig", "generationConfig"}
        for content in [body["systemInstruction"], *body["contents"]]:
            types.Content.model_validate(content)
        for tool in body["tools"]:
            types.Tool.model_validate(tool)
        types.ToolConfig.model_validate(body["toolConfig"])
        types.GenerationConfig.model_validate(body["generationConfig"])


class TestBugs:
    def test_bug_50_empty_system_and_text_are_dropped(self) -> None:
        request = asked(Message(role="user", parts=(Text(text=""), Text(text="x"))), instructions=(Text(text=""),))
        rendered = WIRE.render_request(request, upstream())
        assert rendered.body == {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}
        assert rendered.losses == ()

    def test_bug_51_system_instruction_in_both_spellings(self) -> None:
        for key in ("systemInstruction", "system_instruction"):
            assert read(**{key: {"parts": [{"text": "a"}, {"text": "b"}]}}).instructions == (
                Text(text="a"),
                Text(text="b"),
            )

    def test_bug_53_json_formats_reach_the_upstream(self) -> None:
        body: Any = WIRE.render_request(asked(output=OutputFormat(kind="json")), upstream()).body
        assert body["generationConfig"] == {"responseMimeType": "application/json"}

    def test_bug_54_max_tokens_reach_the_upstream(self) -> None:
        body: Any = WIRE.render_request(asked(sampling=Sampling(max_output_tokens=7)), upstream()).body
        assert body["generationConfig"] == {"maxOutputTokens": 7}

    def test_bug_70_tools_keep_their_order(self) -> None:
        tools = tuple(Tool(name=name) for name in ("b", "a", "d", "c"))
        body: Any = WIRE.render_request(asked(tools=tools), upstream()).body
        assert [each["name"] for each in body["tools"][0]["functionDeclarations"]] == ["b", "a", "d", "c"]

    def test_bug_72_another_wires_context_management_is_dropped_and_told(self) -> None:
        residue = Residue(wire="anthropic", fields={"context_management": {"edits": []}})
        rendered = WIRE.render_request(asked(residue=residue), upstream())
        assert rendered.body == {"contents": CONTENTS}
        assert [loss.what for loss in rendered.losses] == ["context_management"]

    def test_defect_every_system_part_survives(self) -> None:
        """5.1: only the first part of systemInstruction was read."""
        request = read(systemInstruction={"parts": [{"text": "a"}, {"text": "b"}]})
        foreign = Request(model="m", instructions=request.instructions, messages=request.messages)
        body: Any = WIRE.render_request(foreign, upstream()).body
        assert body["systemInstruction"]["parts"] == [{"text": "a"}, {"text": "b"}]

    def test_defect_gemini_clients_settings_are_all_read(self) -> None:
        """5.1: thinkingBudget, seed, penalties, the JSON type and allowedFunctionNames were dropped."""
        request = read(
            generationConfig={"seed": 1, "presencePenalty": 2, "responseMimeType": "application/json",
                              "thinkingConfig": {"thinkingBudget": 5}},
            toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a", "b"]}},
        )  # fmt: skip
        assert request.residue is not None
        assert request.residue.fields == {}
        assert request.sampling.seed == 1
        assert request.reasoning is not None
        assert request.reasoning.budget_tokens == 5
        assert request.tool_choice is not None
        assert request.tool_choice.names == ("a", "b")


def _may_say(role: str, part: Any) -> bool:
    return isinstance(part, {"tool": ToolResult, "assistant": Text | Thinking | ToolCall | Opaque}.get(role, Text))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["user", "assistant", "tool", "system"]),
            st.lists(
                st.sampled_from([
                    Text(text="a"), Text(text=""), Thinking(sections=("t",), signature="s", origin="anthropic"),
                    ToolCall(id="1", name="f g"), ToolCall(id="2", name="h", arguments="{", origin="openai_chat"),
                    ToolResult(call_id="1", parts=(Text(text="r"),)), ToolResult(call_id="2"), ToolResult(call_id="9"),
                    Opaque(wire="openai_responses", kind="web_search_call", value={}),
                ]),
                max_size=3,
            ),
        ),
        max_size=6,
    )
)  # fmt: skip
def test_any_foreign_history_becomes_a_legal_one(turns: list[tuple[Any, list[Any]]]) -> None:
    """Every call is answered in the very next content, one result a call, in order; no content and no part is empty."""
    messages = [
        Message(role=role, parts=tuple(part for part in parts if _may_say(role, part))) for role, parts in turns
    ]
    rendered = WIRE.render_request(asked(*messages), upstream(needs_call_signature=True))
    contents: Any = rendered.body["contents"]
    assert contents
    assert contents[0]["role"] == "user"
    for content, following in zip(contents, [*contents[1:], None], strict=True):
        assert content["parts"]
        assert all(part for part in content["parts"])
        calls = [part for part in content["parts"] if "functionCall" in part]
        results = [part for part in (following or {"parts": []})["parts"] if "functionResponse" in part]
        if calls:
            assert content["role"] == "model"
            assert "thoughtSignature" in calls[0]
            assert [part["functionCall"]["name"] for part in calls] == [
                part["functionResponse"]["name"] for part in results
            ]


words = st.sampled_from([
    "contents", "role", "parts", "text", "thought", "thoughtSignature", "inlineData", "mimeType", "data", "fileData",
    "fileUri", "functionCall", "functionResponse", "name", "args", "response", "id", "executableCode", "tools",
    "functionDeclarations", "parameters", "parametersJsonSchema", "googleSearch", "toolConfig", "functionCallingConfig",
    "mode", "allowedFunctionNames", "generationConfig", "thinkingConfig", "thinkingBudget", "thinkingLevel", "topP",
    "responseSchema", "responseMimeType", "responseModalities", "stopSequences", "systemInstruction", "serviceTier",
    "cachedContent", "model", "generateContentRequest", "new",
])  # fmt: skip
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(-1, 1)
    | st.sampled_from(["", "user", "model", "AUTO", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(words, anything, max_size=5), st.lists(st.dictionaries(words, anything, max_size=3), max_size=3))
def test_whatever_a_client_sends_is_read_or_refused_with_a_path(body: Any, parts: Any) -> None:
    pathless: list[bool] = []
    for value in (body, {**body, "contents": [{"role": "user", "parts": parts}, {"role": "model", "parts": parts}]}):
        try:
            request = WIRE.parse_request(value, model="m")
        except Malformed as error:
            pathless.append(error.path is None)
            continue
        assert WIRE.render_request(request, upstream()).body
        foreign = Request(model="m", messages=request.messages, tools=request.tools, tool_choice=request.tool_choice)
        assert WIRE.render_request(foreign, upstream(has_full_schema=False)).body
    assert not any(pathless)
