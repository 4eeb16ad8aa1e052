from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from proxy.config.account_files import KINDS, LOGINS, AccountFile, AccountKey, account_schema, interpret
from proxy.config.settings import JsonValue, settings_of

ACCOUNT: dict[str, JsonValue] = {
    "type": "claude-api-key",
    "api-key": "sk-ant-mine",
    "label": "work",
    "note": "pays for the night runs",
    "base-url": "https://api.example.com",
    "proxy-url": "socks5://127.0.0.1:1080",
    "prefix": "team",
    "priority": 2,
    "weight": 3,
    "models": [{"name": "claude-x", "alias": "mine"}],
    "excluded-models": ["*-preview"],
    "headers": {"X-Team": "blue"},
    "disabled": True,
}
SERVICE: dict[str, JsonValue] = {
    "type": "vertex",
    "service-account": {"client_email": "a@b", "private_key": "k", "project_id": "p"},
}
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "accounts.md"


def read(fields: dict[str, JsonValue]) -> AccountFile:
    file = interpret(fields)
    assert isinstance(file, AccountFile), file
    return file


def test_a_file_has_the_settings_of_the_config() -> None:
    settings = read(ACCOUNT).settings
    assert isinstance(settings, AccountKey)
    assert settings.api_key.reveal() == "sk-ant-mine"
    assert (settings.label, settings.prefix, settings.priority, settings.weight) == ("work", "team", 2, 3)
    assert (settings.models[0].alias, settings.excluded_models, settings.disabled) == ("mine", ("*-preview",), True)
    assert (settings.headers, settings.proxy_url) == ({"X-Team": "blue"}, "socks5://127.0.0.1:1080")


def test_the_well_known_system_writes_underscores() -> None:
    assert read({key.replace("-", "_") if key != "type" else key: value for key, value in ACCOUNT.items()}) == read(
        ACCOUNT
    )


def test_unknown_members_are_nobody_s_fault() -> None:
    file = read({**ACCOUNT, "theirs": {"any": ["thing"]}, "prioritty": 7})
    assert file.settings == read(ACCOUNT).settings
    assert file.hints == ("has 'prioritty', which is not known; did you mean priority?",)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "needs type: one of claude-api-key"),
        ({"type": 7}, "needs type"),
        ({"type": "claude-key"}, "did you mean claude-api-key?"),
        ({"type": "nonsense"}, "has a type that is not known: one of claude-api-key, "),
        ({"type": "claude-api-key"}, "needs api-key"),
        ({"type": "claude-api-key", "api-key": ""}, "api-key is empty"),
        ({"type": "claude-api-key", "api-key": "a b"}, "api-key holds a blank"),
        ({"type": "claude-api-key", "api-key": ["k"]}, "api-key must be a text, not a list"),
        ({**ACCOUNT, "priority": "2"}, "priority must be a whole number, not a quoted text"),
        ({**ACCOUNT, "weight": -1}, "weight must be at least 0"),
        ({**ACCOUNT, "disabled": "yes"}, "disabled must be true or false"),
        ({**ACCOUNT, "base-url": "file:///etc/passwd"}, "base-url must be a URL"),
        ({**ACCOUNT, "headers": {"Host": "x"}}, "headers holds Host, which belongs to the connection"),
        ({**ACCOUNT, "label": "a\nb"}, "label must be one line"),
        ({**ACCOUNT, "models": [{"alias": "x"}]}, "models[0] needs name"),
        ({**ACCOUNT, "api_key": "other"}, "says api-key twice"),
        ({"type": "openai-compatibility", "name": "groq"}, "needs base-url"),
        ({"type": "openai-compatibility", "base-url": "http://127.0.0.1:1/v1"}, "needs name"),
        ({"type": "vertex"}, "needs service-account"),
        ({"type": "vertex", "service-account": {"project_id": "p"}}, "service-account lacks client_email, private_key"),
    ],
)
def test_each_fault_is_told(fields: dict[str, JsonValue], words: str) -> None:
    told = interpret(fields)
    assert isinstance(told, str)
    assert words in told
    assert "sk-ant-mine" not in told


@pytest.mark.parametrize("kind", LOGINS)
def test_another_program_s_login_stays_with_it(kind: str) -> None:
    told = interpret({"type": kind, "access_token": "secret", "refresh_token": "secret"})
    assert "one holder" in str(told)
    assert "secret" not in str(told)


def test_T19_no_secret_is_printed() -> None:
    printed = repr(read(ACCOUNT)) + repr(read({**SERVICE, "note": "n"}))
    assert "sk-ant-mine" not in printed
    assert "private_key" not in printed


@pytest.mark.parametrize("fields", [ACCOUNT, SERVICE, {**ACCOUNT, "theirs": 1}])
def test_the_schema_takes_what_is_good(fields: dict[str, JsonValue]) -> None:
    jsonschema.Draft202012Validator(account_schema()).validate(fields)


@pytest.mark.parametrize(
    "fields", [{}, {"type": "claude"}, {**ACCOUNT, "priority": "x"}, {"type": "claude-api-key"}, {"type": "vertex"}]
)
def test_the_schema_refuses_what_is_not(fields: dict[str, JsonValue]) -> None:
    assert not jsonschema.Draft202012Validator(account_schema()).is_valid(fields)


def test_the_documentation_names_every_member_and_kind() -> None:
    text = DOCUMENTATION.read_text()
    words = {setting.key for group in KINDS.values() for setting in settings_of(group)}
    assert {word for word in {*words, *KINDS} if f"`{word}`" not in text} == set()
