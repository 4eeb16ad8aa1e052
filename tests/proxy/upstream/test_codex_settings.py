from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from proxy.upstream import codex_settings as settings

FOLDER = Path('/data/state/clis/a "strange" folder')


def test_the_settings_leave_nothing_of_codex_s_own_in_reach() -> None:
    said = tomllib.loads(settings.config(FOLDER, relay="http://127.0.0.1:9/key"))
    assert said["openai_base_url"] == "http://127.0.0.1:9/key/codex"
    assert said["chatgpt_base_url"] == "http://127.0.0.1:9/key/backend-api"
    assert said["model_catalog_json"] == str(FOLDER / "models.json")
    assert (said["web_search"], said["approval_policy"], said["sandbox_mode"]) == ("disabled", "never", "read-only")
    assert not any(said["features"].values())
    assert {"shell_tool", "unified_exec", "hooks", "plugins", "view_image"} <= said["features"].keys()
    assert not said["tools"]["experimental_request_user_input"]["enabled"]
    assert not said["analytics"]["enabled"]


def test_it_reaches_nobody_but_the_relay() -> None:
    seen = settings.variables(FOLDER, proxy="http://127.0.0.1:9")
    assert {seen[name] for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")} == {"http://127.0.0.1:9"}
    assert seen["NO_PROXY"] == "127.0.0.1"
    assert {seen["CODEX_HOME"], seen["CODEX_SQLITE_HOME"]} == {str(FOLDER)}


def test_models_take_the_caller_s_words_and_tools_as_they_are() -> None:
    bundled = {
        "models": [
            {
                "slug": "gpt-6-sol",
                "tool_mode": "code_mode_only",
                "apply_patch_tool_type": "freeform",
                "base_instructions": "You are Codex.",
                "truncation_policy": {"mode": "tokens", "limit": 10000},
                "use_responses_lite": True,
            }
        ]
    }
    (model,) = msgspec.json.decode(settings.models(msgspec.json.encode(bundled)))["models"]
    assert (model["slug"], model["use_responses_lite"]) == ("gpt-6-sol", True)
    assert (model["tool_mode"], model["apply_patch_tool_type"], model["base_instructions"]) == (None, None, "")
    assert model["truncation_policy"]["limit"] == settings.TOKENS_MAX
    assert model["experimental_supported_tools"] == []


@pytest.mark.parametrize("told", [b"", b"[]", b'{"models": 1}', b"error: unrecognized subcommand"])
def test_what_is_no_list_of_models(told: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        settings.models(told)


def test_a_login_is_served_without_what_could_renew_it() -> None:
    saved = {"auth_mode": "chatgpt", "tokens": {"access_token": "at", "refresh_token": "rt", "account_id": "a"}, "x": 1}
    served = msgspec.json.decode(settings.login(msgspec.json.encode(saved), ""))
    assert served == {**saved, "tokens": {"access_token": "at", "refresh_token": "", "account_id": "a"}}


@pytest.mark.parametrize("saved", [b"", b"{}", b'{"tokens": null}', b'{"tokens": "x"}'])
def test_what_is_no_login(saved: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        settings.login(saved, "")


@pytest.mark.parametrize(
    ("user_agent", "is_refused"),
    [
        ("proxy/0.169.0 (Debian 12.0.0; x86_64) unknown (proxy; 1)", False),
        ("proxy/0.170.3-alpha.1 (Mac OS)", False),
        ("proxy/1.0.0", False),
        ("proxy/0.168.9 (Debian)", True),
        ("proxy", True),
        ("", True),
    ],
)
def test_versions(user_agent: str, is_refused: bool) -> None:
    why = settings.refusal(user_agent)
    assert (why is not None) == is_refused
    if is_refused and "0.168" in user_agent:
        assert why == "version 0.168.9 cannot be set up to ask for others; 0.169.0 and later can"
