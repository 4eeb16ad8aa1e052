"""Sixty and more malformed files, each with all its complaints: file, line, path, what to do."""

from __future__ import annotations

import textwrap

import pytest

from proxy.config.load import parse
from proxy.errors import ConfigError

OURS = "it makes requests look like another client's; we always go by our own name"
SWITCH = "there is no disguise to switch off; take the line out"
LIST = "a list (each item on its own line, after a dash)"
URL = "must be a URL such as https://api.example.com/v1"
PROXY = "must be a URL that begins with http, https, socks5, socks5h, or the word direct"
NO_KEY = "holds a blank, a line break or a character that no key has"
STRATEGIES = "one of round-robin, weighted-round-robin, fill-first, quota-aware"

MALFORMED = {
    # unknown keys
    "typo": ("prot: 1", ["1: prot is not known; did you mean port?"]),
    "underscore": ("\nauth_dir: x", ["2: auth_dir is not known; did you mean auth-dir?"]),
    "capitals": ("Debug: true", ["1: Debug is not known; did you mean debug?"]),
    "wrong floor": ("secret-key: x", ["1: secret-key is not known; it belongs under remote-management"]),
    "nothing near": ("zzzzqqq: x", ["1: zzzzqqq is not known"]),
    "nested typo": ("tls:\n  enabled: true", ["2: tls.enabled is not known; did you mean enable?"]),
    "nested, nothing near": ("tls: {zz: 1}", ["1: tls.zz is not known; known here: enable, cert, key"]),
    "in a list": (
        "claude-api-key:\n  - api-key: a\n    baseurl: http://x",
        ["3: claude-api-key[0].baseurl is not known; did you mean base-url?"],
    ),
    # types
    "text for a number": ("port: abc", ["1: port must be a whole number, not a text"]),
    "quoted number": ('port: "8317"', ["1: port must be a whole number, not a quoted text"]),
    "octal": ("port: 0777", ["1: port must be a whole number, not the number 0777"]),
    "sexagesimal": ("port: 12:30", ["1: port must be a whole number, not a text"]),
    "underscored": ("port: 8_317", ["1: port must be a whole number, not a text"]),
    "fraction": ("port: 83.17", ["1: port must be a whole number, not the number 83.17"]),
    "list for a number": ("port: [1]", ["1: port must be a whole number, not a list"]),
    "object for a number": ("port: {a: 1}", ["1: port must be a whole number, not an object"]),
    "boolean for a number": ("request-retry: true", ["1: request-retry must be a whole number, not true"]),
    "huge": ("port: " + "9" * 5000, ["1: port must be a whole number, not a text"]),
    "text for a flag": ("debug: maybe", ["1: debug must be true or false, not a text"]),
    "number for a flag": ("debug: 1", ["1: debug must be true or false, not the number 1"]),
    "quoted flag": ("debug: 'true'", ["1: debug must be true or false, not a quoted text"]),
    "list for a text": ("host: [a]", ["1: host must be a text, not a list"]),
    "flag for a text": ("host: false", ["1: host must be a text, not false"]),
    "text for a list": ("api-keys: sk-secret", [f"1: api-keys must be {LIST}, not a text"]),
    "object for a list": ("claude-api-key:\n  api-key: a", [f"2: claude-api-key must be {LIST}, not an object"]),
    "text for an object": ("tls: yes please", ["1: tls must be an object with enable, cert, key, not a text"]),
    "list for an object": (
        "streaming: [1]",
        ["1: streaming must be an object with keepalive-seconds, bootstrap-retries, not a list"],
    ),
    "list for a map": ("oauth-model-alias: [a]", ["1: oauth-model-alias must be an object (key: value), not a list"]),
    "null in a list": (
        "api-keys:\n  - a\n  -",
        [
            (
                "3: api-keys[1] must be an object with api-key, key-hash, name, models, accounts, expires, networks, "
                "…, not nothing"
            )
        ],
    ),
    "list at the top": ("- a", ["1: the file must be key: value, not a list"]),
    "text at the top": ("just words", ["1: the file must be key: value, not a text"]),
    # ranges and forms
    "port beyond": ("port: 70000", ["1: port must be at most 65535, not 70000"]),
    "port below": ("port: -1", ["1: port must be at least 0, not -1"]),
    "weight beyond": (
        "claude-api-key:\n- api-key: a\n  weight: 1000001",
        ["3: claude-api-key[0].weight must be at most 1000000, not 1e+06"],
    ),
    "choice": (
        "routing: {strategy: roundrobin}",
        [f"1: routing.strategy must be {STRATEGIES}, not 'roundrobin'; did you mean round-robin?"],
    ),
    "choice, nothing near": ("log-format: 7", ["1: log-format must be one of auto, console, json, not '7'"]),
    "choice as a list": ("log-format: [json]", ["1: log-format must be one of auto, console, json, not a list"]),
    "time": (
        "routing: {session-affinity-ttl: soon}",
        ["1: routing.session-affinity-ttl must be a time such as 90s, 15m or 1h30m, not a text"],
    ),
    "time too short": (
        "routing: {session-affinity-ttl: 10ms}",
        ["1: routing.session-affinity-ttl must be at least 1, not 0.01"],
    ),
    "proxy scheme": ("proxy-url: ssh://user:hunter2@h", [f"1: proxy-url {PROXY}"]),
    "proxy without host": ("proxy-url: 'http://'", [f"1: proxy-url {PROXY}"]),
    "proxy port": ("proxy-url: http://h:99999", [f"1: proxy-url {PROXY}"]),
    "base-url scheme": ("claude-api-key: [{api-key: a, base-url: ftp://x}]", [f"1: claude-api-key[0].base-url {URL}"]),
    "base-url blank": (
        "claude-api-key: [{api-key: a, base-url: 'http://x y'}]",
        [f"1: claude-api-key[0].base-url {URL}"],
    ),
    "base-url with a query": (
        "claude-api-key: [{api-key: a, base-url: 'http://x/v1?key=1'}]",
        ["1: claude-api-key[0].base-url must end with the path: no ? and no #"],
    ),
    "base-url with a password": (
        "claude-api-key: [{api-key: a, base-url: 'http://u:p@x'}]",
        ["1: claude-api-key[0].base-url must not hold a user or password; keys belong into api-key"],
    ),
    "prefix with a slash": (
        "claude-api-key: [{api-key: a, prefix: a/b}]",
        ["1: claude-api-key[0].prefix must be one word of letters, digits and . _ - @ +, without a slash"],
    ),
    "key with a blank": ("api-keys: ['a b']", [f"1: api-keys[0] {NO_KEY}"]),
    "key with a line break": ('api-keys: ["a\\nb"]', [f"1: api-keys[0] {NO_KEY}"]),
    "key not ASCII": ("claude-api-key: [{api-key: schlüssel}]", [f"1: claude-api-key[0].api-key {NO_KEY}"]),
    "key empty": ("claude-api-key: [{api-key: ''}]", ["1: claude-api-key[0].api-key is empty"]),
    "origin": (
        "server: {cors-origins: ['*']}",
        ["1: server.cors-origins[0] must be an exact origin such as https://app.example.com: no path, no *"],
    ),
    "host with a star": (
        "server: {allowed-hosts: [a.example.com, '*.example.com']}",
        [
            (
                "1: server.allowed-hosts[1] must be a host name or address as browsers send it (proxy.example.com or "
                "proxy.example.com:8443), no *"
            )
        ],
    ),
    "header name": (
        "claude-api-key: [{api-key: a, headers: {'X Y': b}}]",
        ["1: claude-api-key[0].headers holds 'X Y', which is no name of a header"],
    ),
    "header of the connection": (
        "claude-api-key: [{api-key: a, headers: {Content-Length: 1}}]",
        ["1: claude-api-key[0].headers holds Content-Length, which belongs to the connection"],
    ),
    "header value": (
        'claude-api-key: [{api-key: a, headers: {X: "a\\r\\nY: b"}}]',
        ["1: claude-api-key[0].headers gives X a value that no header can have"],
    ),
    "header copied from the client": (
        "claude-api-key: [{api-key: a, headers: {X: $X-Client}}]",
        ["1: claude-api-key[0].headers asks to copy a client's header into X; that is not supported"],
    ),
    # what belongs together
    "TLS without files": (
        "tls:\n  enable: true",
        ["2: tls.cert is needed where tls.enable is true", "2: tls.key is needed where tls.enable is true"],
    ),
    "TLS with a faulty file": (
        "tls:\n  enable: true\n  cert: [x]\n  key: k",
        ["3: tls.cert must be a text, not a list"],
    ),
    "required": (
        "openai-compatibility:\n  - prefix: a\n",
        ["2: openai-compatibility[0] needs base-url", "2: openai-compatibility[0] needs name"],
    ),
    "required, null": ("claude-api-key:\n- api-key:", ["2: claude-api-key[0] needs api-key"]),
    "two of a name": (
        "openai-compatibility:\n- {name: a, base-url: http://x}\n- {name: a, base-url: http://y}",
        ["2: openai-compatibility has several entries named a; each needs its own name"],
    ),
    "rule without params": (
        "payload:\n  filter:\n    - models: []",
        ["3: payload.filter[0].params is needed: a rule without it does nothing"],
    ),
    "alias without alias": (
        "oauth-model-alias:\n  codex:\n    - name: a",
        ["3: oauth-model-alias.codex[0] needs alias"],
    ),
    "sample management key": (
        "remote-management:\n  secret-key: a-long-random-word",
        ["2: remote-management.secret-key is the word of the documentation, which everybody knows; make up your own"],
    ),
    # refused keys of the well-known system
    "disguise at the top": (
        "claude-header-defaults: {user-agent: x}",
        [f"1: claude-header-defaults is not supported: {OURS}"],
    ),
    "disguise off": ("disable-claude-cloak-mode: true", [f"1: disable-claude-cloak-mode is not supported: {SWITCH}"]),
    "disguise in a group": (
        "codex:\n  stream-bootstrap-buffering: true\n  identity-confuse: true",
        [f"3: codex.identity-confuse is not supported: {OURS}"],
    ),
    "disguise in an entry": (
        "claude-api-key:\n  - api-key: a\n    cloak:\n      mode: always",
        [f"3: claude-api-key[0].cloak is not supported: {OURS}"],
    ),
    "old clients' keys": (
        "auth:\n  providers: {}",
        ["1: auth is not supported: list the clients' keys under api-keys"],
    ),
    "rule with a condition": (
        "payload:\n  override:\n    - models:\n        - name: a\n          not-match: {b: c}\n      params: {x: 1}",
        [
            (
                "5: payload.override[0].models[0].not-match must be a list (each item on its own line, after a dash), "
                "not an object"
            )
        ],
    ),
    "raw rule": (
        "payload:\n  default-raw:\n    - params: {a: '{', b: '[1]', c: 2}",
        ["3: payload.default-raw[0].params has no JSON at a"],
    ),
    # many at once
    "everywhere": (
        """\
        port: x
        debug: 2
        claude-api-key:
          - api-key: "a b"
            weight: -1
          - {}
          - api-key: c
            models:
              - alias: d
        log-format: xml
        """,
        [
            "1: port must be a whole number, not a text",
            "2: debug must be true or false, not the number 2",
            f"4: claude-api-key[0].api-key {NO_KEY}",
            "5: claude-api-key[0].weight must be at least 0, not -1",
            "6: claude-api-key[1] needs api-key",
            "9: claude-api-key[2].models[0] needs name",
            "10: log-format must be one of auto, console, json, not 'xml'",
        ],
    ),
}


@pytest.mark.parametrize(("text", "complaints"), MALFORMED.values(), ids=MALFORMED)
def test_every_complaint_comes_at_once_and_with_its_line(text: str, complaints: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(textwrap.dedent(text).encode())
    assert caught.value.message.splitlines() == [f"config.yaml:{complaint}" for complaint in complaints]


def test_there_are_sixty() -> None:
    assert len(MALFORMED) >= 60


def test_a_complaint_never_repeats_a_secret() -> None:
    secret = "sk-live-0123456789"
    places = [
        f"api-keys: {secret}",
        f"port: {secret}",
        f"debug: {secret}",
        f"claude-api-key: [{{api-key: '{secret} '}}]",
        f"claude-api-key: {{api-key: {secret}}}",
        f"proxy-url: ssh://user:{secret}@host",
        f"claude-api-key: [{{api-key: a, base-url: 'http://{secret}@x'}}]",
        f'claude-api-key: [{{api-key: a, headers: {{Authorization: "{secret}\\n"}}}}]',
        f"routing: {{session-affinity-ttl: {secret}}}",
        f"remote-management: {secret}",
        f"payload: [{secret}]",
    ]
    for text in places:
        with pytest.raises(ConfigError) as caught:
            parse(text.encode())
        assert secret not in caught.value.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12345", "12345"),
        ("1.50", "1.50"),
        ("0x1F", "0x1F"),
        ("2020-01-02", "2020-01-02"),
        ("'true'", "true"),
        ("on", "on"),
    ],
)
def test_a_key_is_taken_as_it_is_written(text: str, value: str) -> None:
    [key] = parse(f"api-keys: [{text}]".encode()).config.api_keys
    assert key.api_key.reveal() == value


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172800), ("1500ms", 1.5)]
)
def test_times(text: str, seconds: float) -> None:
    assert parse(f"routing: {{session-affinity-ttl: {text}}}".encode()).config.routing.session_affinity_ttl == seconds


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("Yes", True), ("on", True), ("FALSE", False), ("no", False)]
)
def test_flags(text: str, value: bool) -> None:
    assert parse(f"debug: {text}".encode()).config.debug is value


@pytest.mark.parametrize("short", [("rr", "round-robin"), ("wrr", "weighted-round-robin"), ("ff", "fill-first")])
def test_short_words(short: tuple[str, str]) -> None:
    assert parse(f"routing: {{strategy: {short[0]}}}".encode()).config.routing.strategy == short[1]


def test_a_lone_text_stands_for_the_key_of_an_entry() -> None:
    config = parse(b"claude-api-key: [a, {api-key: b, weight: 2}]\napi-keys: [c]").config
    assert [(key.api_key.reveal(), key.weight) for key in config.claude_api_key] == [("a", 1), ("b", 2)]
    assert config.api_keys[0].api_key.reveal() == "c"


def test_a_key_without_a_value_stands_for_the_default() -> None:
    config = parse(b"port:\ntls:\napi-keys: ~\nclaude-api-key: [{api-key: a, headers: }]").config
    assert (config.port, config.tls.enable, config.api_keys) == (8317, False, ())
    assert dict(config.claude_api_key[0].headers) == {}


def test_values_of_a_rule_are_any_json() -> None:
    text = b"payload: {override: [{params: {a.b: [1, 2.5, true, ~, x, {y: 'no'}], c: no}}]}"
    [rule] = parse(text).config.payload.override
    assert dict(rule.params) == {"a.b": [1, 2.5, True, None, "x", {"y": "no"}], "c": "no"}
