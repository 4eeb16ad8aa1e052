from __future__ import annotations

import pytest

from proxy.config.load import parse
from proxy.dispatch.snapshot import Snapshot
from proxy.errors import ConfigError
from proxy.providers import claude_code


def test_rules_are_of_a_kind_of_account() -> None:
    text = b"oauth-request-scoped-errors:\n  claude: [{status: 400, match: [x], action: continue}]\n"
    config = parse(text).config
    ((rule,),) = config.oauth_request_scoped_errors.values()
    assert (rule.status, rule.match, rule.action) == (400, ("x",), "continue")
    snapshot = Snapshot.of(config, providers=[claude_code.PROVIDER])
    rules = {each.name: each.error_rules for each in snapshot.providers}
    assert rules.pop("claude-code") == (rule,)
    assert set(rules.values()) == {()}, "keys are no accounts"


@pytest.mark.parametrize(
    "rule", ["{action: stop}", "{status: 99, action: stop}", "{status: 400, action: go}",
    "{status: 400, match-regexr: ['('], action: stop}", "{status: 400, match: [''], action: stop}"],
)  # fmt: skip
def test_a_rule_that_cannot_be_is_refused(rule: str) -> None:
    with pytest.raises(ConfigError):
        parse(f"oauth-request-scoped-errors: {{codex: [{rule}]}}".encode())
