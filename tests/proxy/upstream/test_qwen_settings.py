"""Qwen Code's settings: all that a caller asks, and nothing that it would fill in."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.upstream.acp_profile import Place
from proxy.upstream.base import Call
from proxy.upstream.qwen_settings import OWN_TOOLS, PROFILE

PLACE = Place(relay="http://127.0.0.1:1/key", key="key", instructions="/x/instructions.md", talks="/x/talks")


def settings(**body: Any) -> dict[str, Any]:
    told = {"model": "big", "messages": [{"role": "user", "content": "Who?"}], **body}
    turn = PROFILE.read(Call(method="POST", url="", body=msgspec.json.encode(told), model="vendor/big"))
    return dict(msgspec.json.decode(turn.settings))


def test_what_is_asked_besides_goes_into_the_body() -> None:
    told = settings(seed=7, tool_choice="required")
    (entry,) = told["modelProviders"]["openai"]
    assert (entry["id"], told["model"]) == ("vendor/big", {"name": "vendor/big"})
    assert entry["generationConfig"]["samplingParams"] == {"max_tokens": None, "seed": 7, "tool_choice": "required"}
    assert entry["generationConfig"]["maxRetries"] == 0
    variables = PROFILE.variables(PLACE)
    assert variables[entry["baseUrl"].strip("${}")] == PLACE.relay
    assert variables[entry["envKey"]] == "key"


def test_what_it_would_fill_in_is_spelled_so_that_it_does_not() -> None:
    (entry,) = settings(stop=["$HOME"])["modelProviders"]["openai"]
    assert entry["generationConfig"]["samplingParams"]["stop"] == ["${RELAY_DOLLAR}HOME"]
    assert PROFILE.variables(PLACE)["RELAY_DOLLAR"] == "$"


def test_nothing_of_its_own_is_left() -> None:
    alike: Any = PROFILE.files[".qwen/settings.json"]
    assert {*alike["tools"]["disabled"]} >= {*OWN_TOOLS, "run_shell_command", "read_file", "loop_wakeup"}
    assert alike["disableAllHooks"] is True
