"""A request is cut to what Gemini CLI can say, and each cut is named."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.errors import Untranslatable
from proxy.hub.profile import Profile
from proxy.providers.gemini_by_cli import limits, profile

WHO: dict[str, Any] = {"role": "user", "parts": [{"text": "Who is there?"}]}


def functions(*names: str) -> list[dict[str, Any]]:
    return [{"functionDeclarations": [{"name": name} for name in names]}]


def names_in(body: dict[str, Any]) -> list[str]:
    return [function["name"] for function in body["tools"][0]["functionDeclarations"]]


def test_nearly_everything_is_said_as_it_is() -> None:
    body: dict[str, Any] = {
        "contents": [WHO, {"role": "model", "parts": [{"text": "Ahoy."}]}, WHO],
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "generationConfig": {"temperature": 1, "thinkingConfig": {"thinkingBudget": 3}},
        "safetySettings": [{"category": "x"}],
        "labels": {"a": "b"},
    }
    before = {**body}
    assert limits(body).losses == ()
    assert body == before


def test_both_of_google_s_spellings_are_read() -> None:
    body: dict[str, Any] = {
        "contents": WHO,
        "system_instruction": "Be kind.",
        "generation_config": {"max_output_tokens": 3},
        "tools": [{"function_declarations": [{"name": "tides", "parameters": {"type": "OBJECT"}}]}],
    }
    assert limits(body).losses == ()
    assert body == {
        "contents": [WHO],
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "generationConfig": {"maxOutputTokens": 3},
        "tools": [{"functionDeclarations": [{"name": "mcp_tides", "parametersJsonSchema": {"type": "object"}}]}],
    }


def test_what_is_left_out_is_named() -> None:
    body: dict[str, Any] = {"contents": [WHO], "cachedContent": "cachedContents/1", "store": False, "model": "models/x"}
    losses = limits(body).losses
    assert [loss.path for loss in losses] == ["cachedContent"]
    assert body == {"contents": [WHO]}


def test_tools_go_by_the_names_that_the_model_sees() -> None:
    long = "a" * 80
    call = {"functionCall": {"name": "tides", "args": {}}}
    answer = {"functionResponse": {"name": "tides", "response": {"result": "low"}}}
    body: dict[str, Any] = {
        "contents": [WHO, {"role": "model", "parts": [call]}, {"role": "user", "parts": [answer]}],
        "tools": functions("tides", "read_file", "read_file_", "mcp__a__b", "a b", long),
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["tides", "read_file"]}},
    }
    limited = limits(body)
    told = names_in(body)
    assert told[:4] == ["mcp_tides", "mcp_read_file__", "mcp_read_file_", "mcp_mcp__a__b"]
    assert all(len(name) < 64 for name in told)
    assert len({*told}) == len(told)
    assert [limited.names.to_client(name) for name in told] == [
        "tides", "read_file", "read_file_", "mcp__a__b", "a b", long,
    ]  # fmt: skip
    assert body["contents"][1]["parts"][0]["functionCall"]["name"] == "mcp_tides"
    assert body["contents"][2]["parts"][0]["functionResponse"]["name"] == "mcp_tides"
    calling = body["toolConfig"]["functionCallingConfig"]
    assert calling["allowedFunctionNames"] == ["mcp_tides", "mcp_read_file__"]
    assert limited.losses == ()


def test_hosted_tools_are_refused() -> None:
    with pytest.raises(Untranslatable, match="googleSearch"):
        limits({"contents": [WHO], "tools": [{"googleSearch": {}}]})


def test_calls_of_tools_that_are_not_offered_any_more_are_told_in_words() -> None:
    body: dict[str, Any] = {
        "contents": [
            WHO,
            {"role": "model", "parts": [{"functionCall": {"name": "tides", "args": {"place": "Kiel"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "tides", "response": {"result": "low"}}}]},
        ]
    }
    losses = limits(body).losses
    assert [loss.path for loss in losses] == ["messages[1].content", "messages[2].content"]
    assert body["contents"][1]["parts"] == [{"text": '[tides called with {"place":"Kiel"}]'}]
    assert body["contents"][2]["parts"] == [{"text": '[tides answered {"result":"low"}]'}]


def test_an_answer_to_go_on_from_is_lost_and_a_model_never_speaks_first() -> None:
    ahoy: dict[str, Any] = {"role": "model", "parts": [{"text": "Ahoy."}]}
    body: dict[str, Any] = {"contents": [ahoy, WHO, ahoy]}
    assert [loss.path for loss in limits(body).losses] == ["messages[2]"]
    assert body["contents"] == [{"role": "user", "parts": [{"text": " "}]}, ahoy, WHO]


def test_parts_that_nobody_can_say_are_lost_and_thoughts_are_the_model_s_own() -> None:
    body: dict[str, Any] = {
        "contents": [
            {"role": "user", "parts": [{"fileData": {"fileUri": "gs://x"}}, {"text": "What is it?"}]},
            {"role": "model", "parts": [{"text": "Hm.", "thought": True}, {"executableCode": {"code": "1"}}]},
            WHO,
        ]
    }
    assert [loss.path for loss in limits(body).losses] == ["messages[0].content[0]", "messages[1].content[1]"]
    assert [content["parts"] for content in body["contents"]] == [
        [{"text": "What is it?"}], [{"text": " "}], WHO["parts"],
    ]  # fmt: skip


def test_instructions_are_text_and_no_variables() -> None:
    words = "${AgentSkills} ${HOME} ${read_file_ToolName}"
    body: dict[str, Any] = {
        "contents": [WHO],
        "systemInstruction": {"parts": [{"text": words}, {"inlineData": {"data": "aGk="}}]},
    }
    assert [loss.path for loss in limits(body).losses] == ["instructions[0]", "instructions[1]"]
    told, nothing = body["systemInstruction"]["parts"]
    assert told["text"] == "$\u200b{AgentSkills} ${HOME} $\u200b{read_file_ToolName}"
    assert nothing["text"] == ""


def test_a_model_can_do_less_when_the_cli_asks_it() -> None:
    able = Profile(maker="gemini", takes_media_url=True, hosted_tools=frozenset({"web_search"}))
    asked = profile(able)
    assert not asked.takes_media_url
    assert not asked.has_prefill
    assert asked.hosted_tools == frozenset()
    assert asked.sampling == able.sampling
