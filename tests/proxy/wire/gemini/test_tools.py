from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Untranslatable
from proxy.hub.parts import CacheMark, Opaque, ToolCall, ToolResult
from proxy.hub.request import Message, OutputFormat, Tool, ToolChoice
from proxy.hub.residue import Residue
from proxy.wire.gemini import WIRE
from tests.proxy.wire.gemini.exchanges import asked, upstream, user

LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
CONTENTS = [{"role": "user", "parts": [{"text": "hi"}]}]
F = Tool(name="f", schema={"type": "object", "properties": {}})


def read_choice(**calling: Any) -> ToolChoice | None:
    body: Any = {"contents": CONTENTS, "toolConfig": {"functionCallingConfig": calling}}
    choice = WIRE.parse_request(body, model="m").tool_choice
    return None if choice is None else ToolChoice(mode=choice.mode, names=choice.names, is_parallel=choice.is_parallel)


def written(*tools: Tool | Opaque, choice: ToolChoice | None = None, **profile: Any) -> Any:
    return WIRE.render_request(asked(tools=tools, tool_choice=choice), upstream(**profile)).body


def declared(tool: Tool, **profile: Any) -> Any:
    return written(tool, **profile)["tools"][0]["functionDeclarations"][0]


class TestParse:
    def test_functions_and_hosted_tools_one_by_one(self) -> None:
        declarations = [
            {"name": "f", "description": "d", "parametersJsonSchema": {"type": "object", "title": "T"}},
            {"name": "g", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}}},
            {"name": "h", "behavior": "BLOCKING"},
        ]
        body: Any = {"contents": CONTENTS, "tools": [{"google_search": {}}, {"functionDeclarations": declarations}]}
        search, f, g, h = WIRE.parse_request(body, model="m").tools
        assert search == Opaque(wire="gemini", kind="googleSearch", value={"googleSearch": {}}, origin="gemini")
        assert isinstance(f, Tool)
        assert isinstance(g, Tool)
        assert isinstance(h, Tool)
        assert (f.name, f.description, f.schema) == ("f", "d", {"type": "object", "title": "T"})
        assert g.schema == {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}
        assert h.schema is None
        assert h.residue is not None
        assert h.residue.fields == {"behavior": "BLOCKING"}

    @pytest.mark.parametrize(
        ("calling", "choice"),
        [
            ({"mode": "AUTO"}, ToolChoice(mode="auto")),
            ({"mode": "none"}, ToolChoice(mode="none")),
            ({"mode": "ANY"}, ToolChoice(mode="required")),
            ({"mode": "any", "allowedFunctionNames": ["f"]}, ToolChoice(mode="named", names=("f",))),
            ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, ToolChoice(mode="required", names=("f", "g"))),
            ({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, ToolChoice(mode="auto", names=("f",))),
            ({"mode": "MODE_UNSPECIFIED"}, ToolChoice()),
        ],
    )
    def test_choice(self, calling: Any, choice: ToolChoice) -> None:
        assert read_choice(**calling) == choice


class TestWrite:
    @pytest.mark.parametrize(
        ("choice", "calling"),
        [
            (ToolChoice(mode="auto"), {"mode": "AUTO"}),
            (ToolChoice(mode="none"), {"mode": "NONE"}),
            (ToolChoice(mode="none", names=("f",)), {"mode": "NONE"}),
            (ToolChoice(mode="required"), {"mode": "ANY"}),
            (ToolChoice(mode="named", names=("f",)), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
            (ToolChoice(mode="required", names=("f", "g")), {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}),
            (ToolChoice(mode="auto", names=("f",)), {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
        ],
    )
    def test_bug_40_choice(self, choice: ToolChoice, calling: Any) -> None:
        assert written(F, choice=choice)["toolConfig"] == {"functionCallingConfig": calling}

    def test_bug_38_parallel_off_is_told_as_a_loss(self) -> None:
        rendered = WIRE.render_request(asked(tools=(F,), tool_choice=ToolChoice(is_parallel=False)), upstream())
        assert "toolConfig" not in rendered.body
        assert [loss.path for loss in rendered.losses] == ["parallel_tool_calls"]
        assert not WIRE.render_request(asked(tools=(F,), tool_choice=ToolChoice(is_parallel=True)), upstream()).losses

    def test_strict_tools_are_validated_and_force_nothing(self) -> None:
        strict = Tool(name="g", is_strict=True)
        for choice, mode in (
            (None, "VALIDATED"), (ToolChoice(mode="auto"), "VALIDATED"), (ToolChoice(mode="required"), "ANY"),
            (ToolChoice(is_parallel=True), "VALIDATED"), (ToolChoice(mode="none"), "NONE"),
        ):  # fmt: skip
            rendered = WIRE.render_request(asked(tools=(F, strict), tool_choice=choice), upstream())
            assert rendered.body["toolConfig"] == {"functionCallingConfig": {"mode": mode}}
            assert rendered.losses == ()
        rendered = WIRE.render_request(asked(tools=(strict,)), upstream(has_strict_schema=False))
        assert "toolConfig" not in rendered.body
        assert [loss.path for loss in rendered.losses] == ["tools[0].strict"]

    def test_bug_39_no_choice_without_functions(self) -> None:
        rendered = WIRE.render_request(asked(tool_choice=ToolChoice(mode="required")), upstream())
        assert "toolConfig" not in rendered.body
        assert [loss.path for loss in rendered.losses] == ["tool_choice"]
        assert not WIRE.render_request(asked(tool_choice=ToolChoice(mode="auto")), upstream()).losses

    def test_capital_types_of_json_schema_fields_are_everybodys_in_small(self) -> None:
        """Google's own CLI writes them so."""
        body: Any = {"contents": CONTENTS, "tools": [{"functionDeclarations": [
            {"name": "f", "parametersJsonSchema": {"type": "OBJECT", "properties": {"n": {"type": ["INTEGER"]}}}},
        ]}]}  # fmt: skip
        request = WIRE.parse_request(body, model="m")
        (tool,) = request.tools
        assert isinstance(tool, Tool)
        assert tool.schema == {"type": "object", "properties": {"n": {"type": ["integer"]}}}
        assert WIRE.render_request(request, upstream()).body["tools"] == body["tools"]

    def test_a_tool_without_parameters_has_none(self) -> None:
        assert declared(Tool(name="f")) == {"name": "f"}

    def test_an_empty_object_stays(self) -> None:
        assert declared(F)["parametersJsonSchema"] == {"type": "object", "properties": {}}
        assert declared(Tool(name="f", schema={}))["parametersJsonSchema"] == {"type": "object"}
        assert declared(Tool(name="f", schema={}), has_full_schema=False)["parameters"] == {"type": "OBJECT"}

    def test_bug_42_other_wires_keys_are_stripped_and_told(self) -> None:
        residue = Residue(wire="anthropic", fields={"defer_loading": True, "input_examples": [{}]})
        tool = Tool(name="f", cache=CacheMark(), residue=residue)
        rendered = WIRE.render_request(asked(tools=(tool,)), upstream())
        assert rendered.body["tools"] == [{"functionDeclarations": [{"name": "f"}]}]
        assert [loss.path for loss in rendered.losses] == [
            "tools[0].defer_loading",
            "tools[0].input_examples",
            "tools[0].cache_control",
        ]

    def test_bug_43_a_custom_tool_is_a_function_of_one_text(self) -> None:
        schema = declared(Tool(name="patch", is_custom=True))["parametersJsonSchema"]
        assert schema["properties"] == {"input": {"type": "string"}}

    def test_bug_46_one_cleaner_for_all_clients(self) -> None:
        schema: Any = {"type": "object", "properties": {"n": {"type": ["array", "null"]}, "k": {"const": "x"}},
                       "required": ["k"], "if": {}, "then": {}}  # fmt: skip
        parameters = declared(Tool(name="f", schema=schema), has_full_schema=False)["parameters"]
        assert parameters["properties"]["n"]["nullable"] is True
        assert parameters["properties"]["k"] == {"type": "STRING", "enum": ["x"]}
        assert parameters["required"] == ["k"]

    def test_defect_const_survives_in_both_dialects(self) -> None:
        """5.1: const was dropped."""
        tool = Tool(name="f", schema={"type": "object", "properties": {"k": {"const": "x"}}})
        assert declared(tool)["parametersJsonSchema"]["properties"]["k"] == {"enum": ["x"]}

    def test_bug_47_values_of_numbers_and_local_references(self) -> None:
        schema: Any = {"$defs": {"N": {"type": "integer", "enum": [1, 2]}}, "type": "object",
                       "properties": {"n": {"$ref": "#/$defs/N"}}}  # fmt: skip
        tool = Tool(name="f", schema=schema)
        assert declared(tool)["parametersJsonSchema"] == schema
        rendered = WIRE.render_request(asked(tools=(tool,)), upstream(has_full_schema=False))
        body: Any = rendered.body
        number = body["tools"][0]["functionDeclarations"][0]["parameters"]["properties"]["n"]
        assert number == {"type": "INTEGER", "description": "One of: 1, 2"}
        assert [loss.path for loss in rendered.losses] == ["tools[0].parameters.properties.n.enum"]


class TestNames:
    def test_bug_41_illegal_names_are_mapped_and_come_back(self) -> None:
        names = ["get weather!", "get_weather", "9lives", "x" * 200, "mcp.server:tool-1"]
        turns = (user("x"), Message(role="assistant", parts=(ToolCall(id="1", name="get weather!"),)),
                 Message(role="tool", parts=(ToolResult(call_id="1", name="get weather!"),)))  # fmt: skip
        request = asked(*turns, tools=tuple(Tool(name=name) for name in names),
                        tool_choice=ToolChoice(mode="named", names=("get weather!",)))  # fmt: skip
        rendered = WIRE.render_request(request, upstream())
        body: Any = rendered.body
        sent = [each["name"] for each in body["tools"][0]["functionDeclarations"]]
        assert all(LEGAL.fullmatch(name) for name in sent)
        assert len(set(sent)) == len(names)
        assert [rendered.names.to_client(name) for name in sent] == names
        assert sent[1] == "get_weather"
        assert sent[4] == "mcp.server:tool-1"
        assert body["contents"][1]["parts"][0]["functionCall"]["name"] == sent[0]
        assert body["contents"][2]["parts"][0]["functionResponse"]["name"] == sent[0]
        assert body["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"] == [sent[0]]

    @given(st.lists(st.text(min_size=1, max_size=140), max_size=5, unique=True))
    def test_any_names(self, names: list[str]) -> None:
        rendered = WIRE.render_request(asked(tools=tuple(Tool(name=name) for name in names)), upstream())
        body: Any = rendered.body
        sent = [each["name"] for each in body["tools"][0]["functionDeclarations"]] if names else []
        assert all(LEGAL.fullmatch(name) for name in sent)
        assert [rendered.names.to_client(name) for name in sent] == names


class TestHosted:
    def test_abroad_by_intent(self) -> None:
        search = Opaque(
            wire="anthropic", kind="web_search_20250305",
            value={"type": "web_search_20250305", "name": "web_search", "max_uses": 3, "allowed_domains": []},
        )  # fmt: skip
        code = Opaque(wire="openai_responses", kind="code_interpreter", value={"type": "code_interpreter"})
        request = asked(tools=(F, search, code))
        rendered = WIRE.render_request(request, upstream(hosted_tools=frozenset({"web_search", "code_execution"})))
        body: Any = rendered.body
        assert body["tools"][:2] == [{"googleSearch": {}}, {"codeExecution": {}}]
        assert body["toolConfig"] == {"includeServerSideToolInvocations": True}
        assert [loss.path for loss in rendered.losses] == ["tools[1].max_uses"]

    @pytest.mark.parametrize("kind", ["web_search_20250305", "computer_20250124", "mcp"])
    def test_bug_45_what_has_no_equal_is_refused_by_name(self, kind: str) -> None:
        with pytest.raises(Untranslatable, match=kind) as caught:
            written(F, Opaque(wire="anthropic", kind=kind, value={"type": kind}))
        assert caught.value.path == "tools[1]"

    def test_models_that_do_not_mix(self) -> None:
        search = Opaque(wire="anthropic", kind="web_search_20250305", value={})
        profile: Any = {"mixes_tools": False, "hosted_tools": frozenset({"web_search"})}
        assert written(search, **profile)["tools"] == [{"googleSearch": {}}]
        with pytest.raises(Untranslatable) as caught:
            written(F, search, **profile)
        assert caught.value.path == "tools[1]"

    def test_a_format_beside_hosted_tools_only(self) -> None:
        search = Opaque(wire="anthropic", kind="web_search", value={})
        request = asked(tools=(search,), output=OutputFormat(kind="json"))
        profile = upstream(mixes_tools=False, hosted_tools=frozenset({"web_search"}))
        assert WIRE.render_request(request, profile).body["generationConfig"] == {
            "responseMimeType": "application/json"
        }


def test_grouping_is_given_up_when_the_tools_have_changed() -> None:
    body: Any = {
        "contents": CONTENTS,
        "tools": [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}, {"codeExecution": {}}],
    }
    request = WIRE.parse_request(body, model="m")
    for kept in (request.tools[1:], request.tools[:2], (*request.tools, F), request.tools[::-1]):
        changed = asked(tools=kept, residue=request.residue)
        tools: Any = WIRE.render_request(changed, upstream()).body["tools"]
        names = [each["name"] for entry in tools for each in entry.get("functionDeclarations", [])]
        assert names == [tool.name for tool in kept if isinstance(tool, Tool)]
