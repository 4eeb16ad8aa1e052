from __future__ import annotations

from pathlib import Path

import pytest

from auth.document import JsonValue
from proxy.config.account_files import AccountFile, interpret
from proxy.config.load import parse
from proxy.dispatch.snapshot import Snapshot
from proxy.errors import ConfigError
from proxy.providers import claude_code
from proxy.providers.enrolled import from_files
from proxy.providers.table import PROVIDERS


def test_rules_are_of_a_kind_of_account() -> None:
    text = b"oauth-request-scoped-errors:\n  claude: [{status: 400, match: [x], action: continue}]\n"
    config = parse(text).config
    ((rule,),) = config.oauth_request_scoped_errors.values()
    assert (rule.status, rule.match, rule.action) == (400, ("x",), "continue")
    snapshot = Snapshot.of(config, providers=[claude_code.PROVIDER])
    rules = {each.name: each.error_rules for each in snapshot.providers}
    assert rules.pop("claude-code") == (rule,)
    assert set(rules.values()) == {()}, "keys are no accounts"


def test_a_key_and_an_account_have_rules_of_their_own() -> None:
    rule = "{status: 400, match: [x], action: continue}"
    text = f"""
claude-api-key: [{{api-key: sk-ant-of-a-key-0001, request-scoped-errors: [{rule}]}}, {{api-key: sk-ant-of-a-key-0002}}]
openai-compatibility: [{{name: groq, base-url: "https://example.com/v1", request-scoped-errors: [{rule}]}}]
"""
    own = [each.error_rules for each in Snapshot.of(parse(text.encode()).config).credentials]
    assert [[rule.action for rule in each] for each in own] == [["continue"], [], ["continue"]]  # type: ignore[attr-defined]
    fields: dict[str, JsonValue] = {
        "type": "claude-api-key",
        "api-key": "sk-ant-of-a-key-0003",
        "request_scoped_errors": [{"status": 400, "match-regexr": ["x"], "action": "stop"}],
    }
    file = interpret(fields)
    assert isinstance(file, AccountFile)
    found = from_files({"a.json": file}, providers=PROVIDERS, credentials=(), proxy_url="", tokens={}, homes=Path("h"))
    assert [rule.match_regexr for rule in found.credentials["a.json"].error_rules] == [("x",)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "rule", ["{action: stop}", "{status: 99, action: stop}", "{status: 400, action: go}",
    "{status: 400, match-regexr: ['('], action: stop}", "{status: 400, match: [''], action: stop}"],
)  # fmt: skip
def test_a_rule_that_cannot_be_is_refused(rule: str) -> None:
    with pytest.raises(ConfigError):
        parse(f"oauth-request-scoped-errors: {{codex: [{rule}]}}".encode())
