"""A request is cut to what OpenCode and Qwen Code can say, and each cut is named."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.errors import Untranslatable
from proxy.providers.base import Provider
from proxy.providers.chat_by_cli import ASKERS, by_cli
from proxy.providers.openai_compatible import provider_named
from proxy.upstream.acp import PROFILES

WHO: dict[str, Any] = {"role": "user", "content": "Who is there?"}
AHOY: dict[str, Any] = {"role": "assistant", "content": "Ahoy."}
ROOM = 63


def provider(cli: str = "opencode") -> Provider:
    return by_cli(provider_named("groq", "https://models.test/v1", ("big",)), cli)


def cut(body: dict[str, Any], cli: str = "opencode") -> tuple[list[str], dict[str, str]]:
    """What was lost, and under which names tools go."""
    limits = provider(cli).cli_limits
    assert limits is not None
    limited = limits(body)
    return [loss.path for loss in limited.losses], dict(limited.names.sent)


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}, **more}}


def called(*calls: tuple[str, str]) -> dict[str, Any]:
    """(name, arguments) of each; the name is the id, too."""
    made = [{"id": name, "type": "function", "function": {"name": name, "arguments": raw}} for name, raw in calls]
    return {"role": "assistant", "content": None, "tool_calls": made}


def result(call: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": text}


def test_each_of_them_is_an_executor() -> None:
    assert {*ASKERS} == {profile.name for profile in PROFILES} - {"gemini-cli"}
    for cli in ASKERS:
        asked = provider(cli)
        assert (asked.cli_executor, bool(asked.own_cli)) == (cli, True)
        assert [*asked.endpoints] == ["generate"], "a CLI can be asked for answers only"
        assert asked.official[0][1] == asked.official[0][1].lower()


def test_nearly_everything_is_said_as_it_is() -> None:
    body: dict[str, Any] = {
        "messages": [{"role": "system", "content": "Be kind."}, WHO, AHOY, WHO],
        "temperature": 1,
        "seed": 7,
        "stop": ["END"],
        "max_tokens": 5,
        "response_format": {"type": "json_object"},
        "n": 1,
        "tool_choice": "auto",
    }
    before = {key: value for key, value in body.items() if key not in {"n", "tool_choice"}}
    assert cut(body) == ([], {})
    assert body == before


def test_what_it_has_no_words_for_is_named() -> None:
    body: dict[str, Any] = {"messages": [WHO], "n": 2, "prediction": {"content": "x"}, "modalities": ["text", "audio"]}
    assert sorted(cut(body)[0]) == ["modalities", "n", "prediction"]
    assert body == {"messages": [WHO]}


@pytest.mark.parametrize(
    ("choice", "kept", "lost"),
    [
        ("auto", ["tide", "wind"], []),
        ("none", [], []),
        ("required", ["tide", "wind"], ["tool_choice"]),
        ({"type": "function", "function": {"name": "wind"}}, ["wind"], ["tool_choice"]),
    ],
)
def test_opencode_lets_the_model_choose_its_tool(choice: Any, kept: list[str], lost: list[str]) -> None:
    body: dict[str, Any] = {"messages": [WHO], "tools": [tool("tide"), tool("wind")], "tool_choice": choice}
    losses, names = cut(body)
    assert (losses, [*names]) == (lost, kept)
    assert "tool_choice" not in body


def test_qwen_code_is_told_which_tool_to_choose() -> None:
    body: dict[str, Any] = {"messages": [WHO], "tools": [tool("wind", strict=True)]}
    body["tool_choice"] = {"type": "function", "function": {"name": "wind"}}
    assert cut(body, "qwen") == (["tools[0].strict"], {"wind": "mcp__api__wind"})
    assert body["tool_choice"]["function"]["name"] == body["tools"][0]["function"]["name"] == "mcp__api__wind"


def test_tools_go_by_names_that_fit() -> None:
    long = "a" * 80
    body: dict[str, Any] = {
        "messages": [WHO, called(("sea tide", "{}"), (long, "{}")), result("sea tide", "low"), result(long, "x")],
        "tools": [tool("sea tide"), tool(long), tool("bash")],
    }
    losses, names = cut(body)
    assert losses == []
    assert names["bash"] == "api_bash"
    assert max(map(len, names.values())) <= ROOM
    assert [call["function"]["name"] for call in body["messages"][1]["tool_calls"]] == [names["sea tide"], names[long]]


def test_a_call_that_the_cli_would_answer_itself_is_told_in_words() -> None:
    said = called(("gone", '{"a": 1}'), ("tide", "{torn"), ("wind", "{}"))
    results = [result("gone", "nothing"), result("tide", "low"), result("wind", "calm")]
    body: dict[str, Any] = {"messages": [WHO, said, *results], "tools": [tool("tide"), tool("wind")]}
    assert cut(body)[0] == ["messages[1].tool_calls"]
    assert body["messages"][1]["content"] == '[gone called with {"a": 1}]\n[tide called with {torn]'
    assert [call["id"] for call in body["messages"][1]["tool_calls"]] == ["wind"]
    assert body["messages"][2:] == [
        {"role": "user", "content": "[gone answered nothing]"},
        {"role": "user", "content": "[tide answered low]"},
        results[2],
    ]


def test_it_begins_with_the_user_and_ends_with_the_user() -> None:
    system = {"role": "system", "content": "Be kind."}
    body: dict[str, Any] = {"messages": [system, AHOY, WHO, system, WHO, AHOY]}
    assert cut(body)[0] == ["messages[3]"]
    marked = {"role": "user", "content": "<system>\nBe kind.\n</system>"}
    assert body["messages"] == [system, {"role": "user", "content": " "}, AHOY, WHO, marked, WHO]


@pytest.mark.parametrize(
    "more", [{"functions": [{"name": "x"}]}, {"tools": [{"type": "web_search"}]}, {"tools": [{"type": "custom"}]}]
)
def test_what_it_cannot_offer_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(Untranslatable, match="OpenCode"):
        cut({"messages": [WHO], **more})


def test_what_a_model_can_do_is_what_the_cli_can_say() -> None:
    profile = provider().cli_profile
    assert profile is not None
    known = profile("big")
    assert {known.takes_media_url, known.has_prefill, known.has_custom_tools, bool(known.hosted_tools)} == {False}
