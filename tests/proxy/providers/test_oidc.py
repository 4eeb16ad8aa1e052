from __future__ import annotations

import pytest

from auth.secret import Secret
from auth.tokens import Token
from proxy.config.account_files import AccountFile, interpret
from proxy.config.load import parse
from proxy.config.settings import JsonValue
from proxy.dispatch.decision import Candidate
from proxy.dispatch.outgoing import call_for
from proxy.dispatch.snapshot import Snapshot
from proxy.providers.configured import from_config
from proxy.providers.enrolled import Enrolled, account_id, from_files, secrets_of

VERTEX = "https://aiplatform.googleapis.com/v1"


def login(provider: str, **more: JsonValue) -> AccountFile:
    fields: dict[str, JsonValue] = {
        "type": "oidc", "home": "oidc-0123456789ab", "account": "ada", "issuer": "https://login.example",
        "client-id": "c", "client-secret": "s3cret", "provider": provider,
        **{name.replace("_", "-"): value for name, value in more.items()},
    }  # fmt: skip
    found = interpret(fields)
    assert isinstance(found, AccountFile), found
    return found


def enrol(text: str = "", **files: AccountFile) -> Enrolled:
    config = parse(text.encode()).config
    providers, credentials = from_config(config)
    named = {f"{name}.json": file for name, file in files.items()}
    tokens = {name: Token(access=Secret("access")) for name in named}
    return from_files(named, providers=providers, credentials=credentials, proxy_url="", tokens=tokens)


@pytest.mark.parametrize(
    ("provider", "more", "model", "url", "headers"),
    [
        (
            "gemini", {"project_id": "p"}, "gemini-3",
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-3:generateContent",
            {"x-goog-user-project": "p"},
        ),
        (
            "vertex", {"project_id": "p", "location": "global"}, "gemini-3",
            f"{VERTEX}/projects/p/locations/global/publishers/google/models/gemini-3:generateContent", {},
        ),
        ("openai", {}, "gpt-5", "https://api.openai.com/v1/responses", {}),
        ("anthropic", {}, "claude-x", "https://api.anthropic.com/v1/messages", {"anthropic-version": "2023-06-01"}),
        ("gate", {"base_url": "https://ai.example/v1/"}, "m", "https://ai.example/v1/chat/completions", {}),
        (
            "gate", {"base_url": "https://ai.example", "wire": "anthropic", "headers": {"X-Team": "blue"}}, "m",
            "https://ai.example/v1/messages", {"x-team": "blue"},
        ),
        (
            "gate", {"base_url": "https://ai.example", "wire": "gemini"}, "m",
            "https://ai.example/v1beta/models/m:generateContent", {},
        ),
    ],
)  # fmt: skip
def test_whom_the_token_is_for(
    provider: str, more: dict[str, JsonValue], model: str, url: str, headers: dict[str, str]
) -> None:
    found = enrol(a=login(provider, **more))
    (named,) = found.providers
    credential = found.credentials["a.json"]
    called = call_for(Candidate(named, credential, model), "generate", b"{}", is_stream=False, client={})
    sent = dict(called.headers)
    assert called.url == url
    assert sent["authorization"] == "Bearer access"
    assert not {"x-api-key", "x-goog-api-key"} & sent.keys()
    assert headers.items() <= sent.items()
    assert (credential.provider, named.executor, called.executor) == (named.name, "http", "http")


def test_any_client_may_ask_with_it() -> None:
    found = enrol(
        a=login("gate", base_url="https://ai.example/v1", models=[{"name": "m", "alias": "mine"}], prefix="t")
    )
    snapshot = Snapshot.of(parse(b"").config, providers=found.providers, credentials=found.credentials.values())
    assert [model.id for model in snapshot.catalogue.models()] == ["mine", "t/mine"]
    assert [provider.own_cli for provider in found.providers] == [""]


def test_keys_and_logins_of_one_name_are_one_provider() -> None:
    key = interpret(
        {"type": "openai-compatibility", "name": "gate", "base-url": "https://ai.example/v1", "api-key": "k"}
    )
    assert isinstance(key, AccountFile)
    found = enrol(a=key, b=login("gate", base_url="https://ai.example/v1"))
    assert [provider.name for provider in found.providers] == ["gate"]
    assert {each.provider for each in found.credentials.values()} == {"gate"}
    text = "openai-compatibility: [{name: gate, base-url: 'http://127.0.0.1:2/v1', models: [{name: m}]}]\n"
    assert enrol(text, a=login("gate", base_url="https://ai.example/v1")).providers == ()


def test_a_name_that_is_known_is_not_taken() -> None:
    names = [provider.name for each in ("gemini", "openai", "anthropic") for provider in enrol(a=login(each)).providers]
    assert names == ["gemini-oidc", "openai-oidc", "anthropic-oidc"]
    both = enrol(a=login("openai"), b=login("openai", base_url="https://other.example/v1"))
    assert [provider.name for provider in both.providers] == ["openai-oidc"]
    assert both.credentials["b.json"].base_url == "https://other.example/v1"


def test_which_logins_are_the_same_account() -> None:
    first = login("gemini")
    assert account_id(first) == account_id(login("gemini", label="x", home="oidc-ffffffffffff", client_secret="new"))
    assert account_id(first) != account_id(login("openai"))
    assert account_id(first) != account_id(login("gemini", account="grace"))
    assert [secret.reveal() for secret in secrets_of(first)] == ["s3cret"]


def test_without_a_token_it_says_why() -> None:
    providers, credentials = from_config(parse(b"").config)
    found = from_files(
        {"a.json": login("gemini")}, providers=providers, credentials=credentials, proxy_url="",
        tokens={"a.json": "log in again"},
    )  # fmt: skip
    assert (found.credentials, found.providers, found.unused) == ({}, (), {"a.json": "log in again"})
