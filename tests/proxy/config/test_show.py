from __future__ import annotations

import pytest

from proxy.config.load import parse
from proxy.config.schema import Config
from proxy.config.show import as_yaml, duration_text, plain

FULL = b"""
api-keys: [s3cret]
remote-management: {secret-key: s3cret}
proxy-url: http://user:s3cret@h:1
routing: {session-affinity-ttl: 90m, strategy: ff}
claude-api-key: [{api-key: s3cret, proxy-url: socks5://h, headers: {X-Key: s3cret}, models: [{name: a, alias: b}]}]
oauth-excluded-models: {codex: [x]}
payload: {override: [{params: {a: [1, {b: null}]}}]}
"""


def test_secrets_are_masked_and_the_rest_is_there() -> None:
    shown = plain(parse(FULL).config)
    assert "s3cret" not in str(shown)
    assert shown["proxy-url"] == "http://•••@h:1"
    (key,) = shown["api-keys"]
    assert (key["api-key"], key["name"], key["strict"]) == ("•••", "", False)
    assert shown["routing"] == {
        "strategy": "fill-first",
        "session-affinity": True,
        "session-affinity-ttl": "1h30m",
        "prefix-affinity": False,
        "fallbacks": {},
    }
    [key] = shown["claude-api-key"] if isinstance(shown["claude-api-key"], list) else []
    assert isinstance(key, dict)
    assert key["headers"] == {"X-Key": "•••"}
    assert key["models"] == [{"name": "a", "alias": "b"}]
    assert shown["payload"] == {
        "default": [],
        "default-raw": [],
        "override": [{"models": [], "params": {"a": [1, {"b": None}]}}],
        "override-raw": [],
        "filter": [],
    }


def test_what_is_shown_without_secrets_is_a_config_again() -> None:
    text = as_yaml(
        parse(b"port: 1\nrouting: {session-affinity-ttl: 1500ms}\noauth-excluded-models: {codex: [x]}").config
    )
    again = parse(text.encode()).config
    assert (again.port, again.routing.session_affinity_ttl) == (1, 1.5)
    assert parse(as_yaml(Config()).encode()).config == Config()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (3600, "1h"), (5400, "1h30m"), (86461, "1d1m1s"), (1.5, "1.5s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
