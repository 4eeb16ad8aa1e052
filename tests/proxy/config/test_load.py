"""Files as they come: missing, strange, too large, and one that somebody brings from the well-known system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.load import BYTES_MAX, digest_of, load, parse
from proxy.config.schema import Config
from proxy.errors import ConfigError

BROUGHT = """\
# a file from another house
host: ""
port: 8317
tls:
  enable: false
  cert: ""
  key: ""
remote-management:
  allow-remote: false
  secret-key: "$2a$10$abcdefghijklmnopqrstuv"
  disable-control-panel: false
  panel-github-repository: "https://git.example.com/x/y"
auth-dir: "~/.cli-proxy-api"
api-keys:
  - "your-api-key-1"
  - "team-blue-7f3a"
debug: false
pprof:
  enable: false
  addr: "127.0.0.1:8316"
plugins: {enabled: false, dir: plugins}
commercial-mode: false
logging-to-file: false
logs-max-total-size-mb: 0
error-logs-max-files: 10
usage-statistics-enabled: false
proxy-url: "socks5://user:pass@192.0.2.1:1080/"
force-model-prefix: false
passthrough-headers: false
request-retry: 3
max-retry-credentials: 0
max-retry-interval: 30
disable-cooling: false
save-cooldown-status: false
transient-error-cooldown-seconds: 0
auth-auto-refresh-workers: 16
quota-exceeded:
  switch-project: true
  switch-preview-model: true
  antigravity-credits: true
routing:
  strategy: "wrr"
  session-affinity: false
  session-affinity-ttl: "30m"
ws-auth: false
nonstream-keepalive-interval: 0
streaming:
  keepalive-seconds: 0
  bootstrap-retries: 1
codex:
  stream-bootstrap-buffering: false
generative-language-api-key:
  - "AIza-plain"
gemini-api-key:
  - api-key: "AIza-1"
    prefix: "test"
    base-url: "https://generativelanguage.example.com"
    headers:
      X-Custom-Header: "custom-value"
    proxy-url: "direct"
    models:
      - name: "gemini-flash"
        alias: "flash"
        display-name: "Flash"
    excluded-models:
      - "gemini-pro"
      - "*-preview"
codex-api-key:
  - api-key: "sk-1"
    base-url: "https://codex.example.com"
    websockets: true
    priority: 10
    weight: 3
claude-api-key:
  - api-key: "sk-ant-1"
  - api-key: "sk-ant-2"
    base-url: "https://claude.example.com"
    models:
      - {name: "claude-a", alias: "a", thinking: {min: 1}}
      - {name: "claude-b", alias: "a", force-mapping: true}
openai-compatibility:
  - name: "openrouter"
    prefix: "or"
    base-url: "https://openrouter.ai/api/v1"
    disabled: false
    headers: {X-Title: "t"}
    support-prompt-cache-key: true
    api-key-entries:
      - api-key: "sk-or-1"
        proxy-url: "socks5://127.0.0.1:1"
        weight: 2
      - api-key: "sk-or-2"
    models:
      - name: "moonshot/kimi:free"
        alias: "kimi"
        image: true
vertex-api-key:
  - api-key: "vk-1"
    base-url: "https://vertex.example.com/api"
    models: [{name: "gemini-2.5-flash", alias: "vertex-flash"}]
xai-api-key:
  - api-key: "xai-1"
oauth-model-alias:
  claude:
    - {name: "claude-x-20990101", alias: "claude-x", fork: true, force-mapping: false}
oauth-excluded-models:
  gemini-cli: ["gemini-2.5-*", "*flash*"]
  vertex: []
payload:
  default:
    - models:
        - name: "gemini-*"
          protocol: "gemini"
      params:
        "generationConfig.thinkingConfig.thinkingBudget": 32768
  override:
    - models: [{name: "gpt-*", protocol: "codex"}]
      params: {"reasoning.effort": "high"}
  filter:
    - models: [{name: "gemini-2.5-pro"}]
      params: ["generationConfig.responseJsonSchema"]
"""


def test_a_file_of_the_well_known_system_loads() -> None:
    loaded = parse(BROUGHT.encode())
    config = loaded.config
    assert (config.host, config.auth_dir, config.usage_statistics_enabled) == ("", "~/.cli-proxy-api", False)
    assert (config.routing.strategy, config.routing.session_affinity_ttl) == ("weighted-round-robin", 1800)
    assert [key.api_key.reveal() for key in config.api_keys] == ["your-api-key-1", "team-blue-7f3a"]
    assert config.generative_language_api_key[0].api_key.reveal() == "AIza-plain"
    assert dict(config.gemini_api_key[0].headers) == {"X-Custom-Header": "custom-value"}
    assert config.gemini_api_key[0].excluded_models == ("gemini-pro", "*-preview")
    assert (config.codex_api_key[0].priority, config.codex_api_key[0].weight) == (10, 3)
    assert [model.alias for model in config.claude_api_key[1].models] == ["a", "a"]
    [router] = config.openai_compatibility
    assert [(key.api_key.reveal(), key.weight) for key in router.api_key_entries] == [("sk-or-1", 2), ("sk-or-2", 1)]
    assert router.models[0].name == "moonshot/kimi:free"
    assert config.oauth_model_alias["claude"][0].fork
    assert config.oauth_excluded_models == {"gemini-cli": ("gemini-2.5-*", "*flash*"), "vertex": ()}
    assert config.payload.default[0].params == {"generationConfig.thinkingConfig.thinkingBudget": 32768}
    assert config.payload.filter[0].params == ("generationConfig.responseJsonSchema",)


def test_each_of_its_keys_that_is_not_used_is_named() -> None:
    warnings = parse(BROUGHT.encode()).warnings
    named = [warning.split(" ")[1] for warning in warnings]
    assert named == [
        "remote-management.disable-control-panel",
        "remote-management.panel-github-repository",
        "api-keys[0].api-key",
        "pprof",
        "plugins",
        "commercial-mode",
        "passthrough-headers",
        "disable-cooling",
        "save-cooldown-status",
        "transient-error-cooldown-seconds",
        "auth-auto-refresh-workers",
        "quota-exceeded.antigravity-credits",
        "ws-auth",
        "nonstream-keepalive-interval",
        "codex",
        "gemini-api-key[0].models[0].display-name",
        "claude-api-key[1].models[0].thinking",
        "claude-api-key[1].models[1].force-mapping",
        "openai-compatibility[0].support-prompt-cache-key",
        "openai-compatibility[0].models[0].image",
        "oauth-model-alias.claude[0].force-mapping",
    ]
    assert all(warning.startswith("config.yaml:") and warning.split(":")[1].isdigit() for warning in warnings)


@pytest.mark.parametrize("raw", [b"", b"# nothing\n", b"---\n", b"~", b"{}", b"\xef\xbb\xbf", b"\r\n"])
def test_an_empty_file_stands_for_the_defaults(raw: bytes) -> None:
    loaded = parse(raw)
    assert (loaded.config, loaded.warnings, loaded.digest) == (Config(), (), digest_of(raw))


def test_a_missing_file_is_an_error_unless_it_may_be(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    with pytest.raises(ConfigError, match=rf"^{path}: there is no such file$"):
        load(path)
    assert load(path, is_optional=True).config == Config()
    assert load(path, is_optional=True).digest == digest_of(b"")


def test_complaints_call_the_file_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("\nport: x\n")
    with pytest.raises(ConfigError, match=rf"^{path}:2: port must be"):
        load(path)


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes("\ufeffport: 1\r\nhost: é.example\r\n".encode())
    config = load(path).config
    assert (config.port, config.host) == (1, "é.example")


def test_no_text_file() -> None:
    with pytest.raises(ConfigError, match=r"^config\.yaml:2: is no UTF-8$"):
        parse(b"port: 1\nhost: \xff\n")


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder; a container mount of a file that does not exist makes one"):
        load(tmp_path)


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="is no regular file"):
        load(path)


def test_a_giant_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"#" * (BYTES_MAX + 1))
    with pytest.raises(ConfigError, match=f"is larger than {BYTES_MAX} bytes"):
        load(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.touch(0o000)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        load(path)


WORDS = st.sampled_from(
    ["port", "tls", "api-keys", "claude-api-key", "headers", "payload", "params", "routing", "codex"]
)
SIGNS = st.text(alphabet="ab:-#[]{},&*!|>'\"%@`?~ \n\t\r\\xuU0123456789.<=\u2028\x85é\ufeff", max_size=40)
LINES = st.lists(
    st.tuples(st.sampled_from(["", "  ", "    ", "- ", "  - "]), WORDS, st.sampled_from([": ", ":"]), SIGNS)
)
TEXTS = SIGNS | LINES.map(lambda lines: "\n".join("".join(parts) for parts in lines))


def outcome(raw: bytes) -> Config | list[str]:
    try:
        return parse(raw).config
    except ConfigError as error:
        return error.message.splitlines()


@given(st.binary(max_size=60) | TEXTS.map(str.encode))
def test_whatever_stands_in_the_file_it_is_a_config_or_complaints(raw: bytes) -> None:
    found = outcome(raw)
    assert isinstance(found, Config) or all(line.startswith("config.yaml:") for line in found)
