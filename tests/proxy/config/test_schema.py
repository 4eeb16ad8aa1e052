from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from auth.secret import Secret
from proxy.config.load import parse
from proxy.config.schema import Config
from proxy.config.settings import Group, GroupOf, Kind, ListOf, MapOf, Setting, settings_of

WELL_KNOWN = """
host port tls.enable tls.cert tls.key auth-dir proxy-url debug request-retry max-retry-interval max-retry-credentials
remote-management.allow-remote remote-management.secret-key quota-exceeded.switch-project
quota-exceeded.switch-preview-model routing.strategy routing.session-affinity routing.session-affinity-ttl api-keys
generative-language-api-key gemini-api-key claude-api-key codex-api-key vertex-api-key openai-compatibility
logging-to-file request-log usage-statistics-enabled streaming.keepalive-seconds streaming.bootstrap-retries
payload.default payload.default-raw payload.override payload.override-raw payload.filter oauth-model-alias
oauth-excluded-models
claude-api-key.api-key claude-api-key.base-url claude-api-key.proxy-url claude-api-key.prefix claude-api-key.priority
claude-api-key.weight claude-api-key.models.name claude-api-key.models.alias claude-api-key.excluded-models
claude-api-key.headers openai-compatibility.name openai-compatibility.prefix openai-compatibility.base-url
openai-compatibility.api-key-entries.api-key openai-compatibility.api-key-entries.proxy-url
openai-compatibility.api-key-entries.weight openai-compatibility.models.name openai-compatibility.headers
openai-compatibility.priority openai-compatibility.disabled
"""
SETTINGS_MAX = 150


def inner_group(kind: Kind) -> type[Group] | None:
    match kind:
        case GroupOf(group, _):
            return group
        case ListOf(item) | MapOf(item):
            return inner_group(item)
        case _:
            return None


def every_setting(group: type[Group] = Config, path: str = "") -> Iterator[tuple[str, Setting]]:
    for setting in settings_of(group):
        yield f"{path}{setting.key}", setting
        if inner := inner_group(setting.kind):
            yield from every_setting(inner, f"{path}{setting.key}.")


SETTINGS = dict(every_setting())


@pytest.mark.parametrize("path", WELL_KNOWN.split())
def test_every_key_of_the_well_known_system_that_we_promise(path: str) -> None:
    assert path in SETTINGS


@pytest.mark.parametrize("path", SETTINGS)
def test_every_setting_has_a_sentence(path: str) -> None:
    sentence = SETTINGS[path].sentence
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert len(sentence) < 120


def test_there_are_not_too_many() -> None:
    """Of those that differ; five lists of keys share theirs."""
    assert len({(id(setting.sentence), path.rpartition(".")[2]) for path, setting in SETTINGS.items()}) < SETTINGS_MAX


@pytest.mark.parametrize("path", [path for path, setting in SETTINGS.items() if inner_group(setting.kind)])
def test_groups_are_frozen_and_named_only(path: str) -> None:
    group = inner_group(SETTINGS[path].kind)
    assert group is not None
    assert dataclasses.is_dataclass(group)
    assert group.__dataclass_params__.frozen  # type: ignore[attr-defined]  # not in the type stubs
    assert all(field.kw_only for field in dataclasses.fields(group))


def test_the_defaults_are_those_that_we_tell() -> None:
    config = Config()
    assert (config.host, config.port, config.tls.enable) == ("127.0.0.1", 8317, False)
    assert (config.request_retry, config.max_retry_interval, config.max_retry_credentials) == (3, 30, 0)
    assert (config.routing.strategy, config.routing.session_affinity, config.routing.session_affinity_ttl) == (
        "round-robin",
        True,
        3600,
    )
    assert config.server.body_bytes_max == 64 * 1024 * 1024
    assert (config.strict, config.cache_breakpoints) == (False, True)
    assert config.remote_management.secret_key == Secret("")


def test_a_config_never_prints_a_secret() -> None:
    text = """
    api-keys: [{api-key: s3cret}]
    remote-management: {secret-key: s3cret}
    proxy-url: http://user:s3cret@h
    claude-api-key: [{api-key: s3cret, proxy-url: 'http://user:s3cret@h', headers: {Authorization: s3cret}}]
    openai-compatibility:
      - name: a
        base-url: http://x
        api-key-entries: [{api-key: s3cret, proxy-url: 'socks5://user:s3cret@h'}]
        headers: {X-Key: s3cret}
    """
    config = parse(text.encode()).config
    assert "s3cret" not in f"{config!r} {config}"
    assert config.claude_api_key[0].headers == {"Authorization": "s3cret"}
