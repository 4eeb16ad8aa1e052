from __future__ import annotations

import pytest

from auth.secret import Secret
from proxy.config.client_keys import Budget, ClientKey, Rates, expiry, hash_of, key_hash, moment_of, network
from proxy.config.load import parse
from proxy.errors import ConfigError

KEY = "a-long-and-random-word"
HASH = hash_of(KEY)


def keys(text: str) -> tuple[ClientKey, ...]:
    return parse(text.encode()).config.api_keys


def complaints(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode())
    return [line.removeprefix("config.yaml:") for line in caught.value.message.splitlines()]


def test_a_key_with_everything() -> None:
    [key] = keys(
        f"""
api-keys:
  - key-hash: {HASH}
    name: laptop
    models: ["claude-*", gpt-5.5]
    accounts: ["team-*"]
    expires: 2027-01-31
    networks: [10.0.0.0/8, "::1"]
    requests-per-minute: 60
    tokens-per-minute: 100000
    concurrency: 4
    budgets: [{{per: day, tokens: 1000000}}, {{per: month, dollars: 12.5}}, {{per: week, quota-percent: 20}}]
    strict: true
"""
    )
    assert (key.hash, key.api_key, key.shown_name) == (HASH, Secret(""), "laptop")
    assert key.budgets == (
        Budget(per="day", tokens=1_000_000),
        Budget(per="month", dollars=12.5),
        Budget(per="week", quota_percent=20),
    )
    assert (key.models, key.accounts, key.networks) == (("claude-*", "gpt-5.5"), ("team-*",), ("10.0.0.0/8", "::1"))


def test_plain_keys_stay_plain() -> None:
    [key] = keys(f"api-keys: [{KEY}]")
    assert key == ClientKey(api_key=Secret(KEY))
    assert (key.hash, key.shown_name) == (HASH, f"key-{HASH[7:15]}")


def test_a_key_and_its_own_hash_agree() -> None:
    assert keys(f"api-keys: [{{api-key: {KEY}, key-hash: {HASH}}}]")[0].hash == HASH


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("api-keys:\n  - name: a", "2: api-keys[0].api-key is needed, or key-hash in its place"),
        (
            f"api-keys:\n  - api-key: other\n    key-hash: {HASH}",
            "3: api-keys[0].key-hash is not the hash of api-key: write one of them",
        ),
        (
            "api-keys:\n  - key-hash: 8b4f",
            "2: api-keys[0].key-hash must be sha256: and 64 hexadecimal digits, as `proxy keys hash` prints it",
        ),
        (
            "api-keys:\n  - api-key: a\n    expires: soon",
            "3: api-keys[0].expires must be a date such as 2027-01-31, or a time such as 2027-01-31T18:00:00Z",
        ),
        (
            "api-keys:\n  - api-key: a\n    networks: ['::1/8']",
            "3: api-keys[0].networks[0] must be an address or a network such as 10.0.0.0/8: ::1/8 has host bits set",
        ),
        ("api-keys:\n  - api-key: a\n    models: ['']", "3: api-keys[0].models[0] is empty"),
        ("api-keys:\n  - api-key: a\n    concurrency: -1", "3: api-keys[0].concurrency must be at least 0, not -1"),
        (
            "api-keys:\n  - api-key: a\n    budgets:\n      - per: day",
            (
                "4: api-keys[0].budgets[0].per needs tokens, dollars or quota-percent beside it: "
                "a budget without them does nothing"
            ),
        ),
        (
            "api-keys:\n  - api-key: a\n    budgets:\n      - {per: year, tokens: 1}",
            "4: api-keys[0].budgets[0].per must be one of day, week, month, not 'year'",
        ),
        (
            "api-keys:\n  - api-key: a\n    budgets:\n      - {dollars: a few}",
            "4: api-keys[0].budgets[0].dollars must be a number, not a text",
        ),
        (
            "api-keys:\n  - api-key: a\n    budgets:\n      - {quota-percent: 101}",
            "4: api-keys[0].budgets[0].quota-percent must be at most 100, not 101",
        ),
        (
            "api-keys:\n  - {api-key: a, name: x}\n  - {api-key: b, name: x}",
            "2: api-keys has several entries named x; each needs its own name",
        ),
        (
            "api-keys:\n  - {api-key: a, name: x}\n  - {api-key: a, name: y}",
            "2: api-keys has the key of x several times; each needs its own",
        ),
    ],
)
def test_a_faulty_key_is_told_with_its_line(text: str, complaint: str) -> None:
    assert complaint in complaints(text)


def test_budgets_that_no_ledger_remembers_are_worth_a_warning() -> None:
    loaded = parse(
        f"usage-statistics-enabled: false\napi-keys: [{{api-key: {KEY}, budgets: [{{tokens: 1}}]}}]".encode()
    )
    assert loaded.warnings == (
        "config.yaml:1: usage-statistics-enabled is false: what is used of budgets is forgotten at each restart",
    )


def test_a_hash_of_the_documentations_key_is_seen_through() -> None:
    loaded = parse(f"api-keys: [{{key-hash: '{hash_of('your-api-key-1')}'}}]".encode())
    assert ["until you make up your own" in each for each in loaded.warnings] == [True]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2027-01-31", 1801353600.0),
        ("2027-01-31T12:00:00Z", 1801396800.0),
        ("2027-01-31T12:00:00+02:00", 1801389600.0),
        ("2027-01-31 12:00", 1801396800.0),
        ("soon", None),
    ],
)
def test_moments_are_in_utc_unless_they_say_otherwise(text: str, moment: float | None) -> None:
    assert moment_of(text) == moment
    assert (expiry(text) is None) == (moment is not None)


def test_checks_take_the_empty_text_for_none() -> None:
    assert (expiry(""), key_hash("")) == (None, None)
    assert [bool(network(each)) for each in ("10.0.0.1", "fd00::/8", "home", "10.0.0.0/33")] == [
        False,
        False,
        True,
        True,
    ]


def test_rates_are_true_when_they_limit_something() -> None:
    assert not Rates()
    assert Rates(concurrency=1)
