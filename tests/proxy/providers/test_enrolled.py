from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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
from proxy.providers.enrolled import NO_PROJECT, NO_TOKEN, Enrolled, account_id, from_files, secrets_of


def file(**fields: JsonValue) -> AccountFile:
    found = interpret({key.replace("_", "-"): value for key, value in fields.items()})
    assert isinstance(found, AccountFile), found
    return found


def groq(key: str = "", **more: JsonValue) -> AccountFile:
    keyed: dict[str, JsonValue] = {"api_key": key} if key else {}
    return file(type="openai-compatibility", name="groq", base_url="http://127.0.0.1:1/v1", **keyed, **more)


def enrol(text: str = "", tokens: Mapping[str, Token | str] = MappingProxyType({}), **files: AccountFile) -> Enrolled:
    config = parse(text.encode()).config
    providers, credentials = from_config(config)
    named = {f"{name}.json": each for name, each in files.items()}
    return from_files(named, providers=providers, credentials=credentials, proxy_url=config.proxy_url, tokens=tokens)


def test_a_file_is_the_credential_that_an_entry_would_be() -> None:
    text = (
        "proxy-url: socks5://127.0.0.1:1\n"
        "claude-api-key: [{api-key: k, base-url: 'http://127.0.0.1:2/', prefix: p, priority: 3, weight: 4,"
        " models: [{name: a, alias: b}], excluded-models: [c], headers: {X-Y: z}}]\n"
    )
    entry = from_config(parse(text.encode()).config)[1][0]
    same = file(
        type="claude-api-key", api_key="k", base_url="http://127.0.0.1:2/", prefix="p", priority=3, weight=4,
        models=[{"name": "a", "alias": "b"}], excluded_models=["c"], headers={"X-Y": "z"}, label=entry.label,
    )  # fmt: skip
    assert enrol("proxy-url: socks5://127.0.0.1:1\n", a=same).credentials["a.json"] == entry


def test_the_same_key_in_both_places_is_one_account() -> None:
    mine = file(type="gemini-api-key", api_key="k")
    found = enrol("gemini-api-key: [k]\n", a=mine)
    assert found.credentials == {}
    assert found.unused == {"a.json": "is the same account as in config.yaml, which counts"}
    found = enrol(a=mine, b=file(type="gemini-api-key", api_key="k", label="again"))
    assert list(found.credentials) == ["a.json"]
    assert found.unused == {"b.json": "is the same account as in a.json, which counts"}


def test_a_key_at_two_addresses_and_two_projects_of_one_address_are_two() -> None:
    first = file(type="claude-api-key", api_key="k")
    second = file(type="claude-api-key", api_key="k", base_url="http://127.0.0.1:2")
    assert account_id(first) != account_id(second)
    service: dict[str, JsonValue] = {"client_email": "a@b", "private_key": "k", "project_id": "p"}
    third = file(type="vertex", service_account=service)
    fourth = file(type="vertex", service_account=service, project_id="q")
    assert account_id(third) != account_id(fourth)
    assert account_id(third) == account_id(file(type="vertex", service_account=service, project_id="p", label="x"))
    assert account_id(third) != account_id(file(type="vertex", service_account=service, location="global"))


def test_files_of_one_name_are_one_provider() -> None:
    found = enrol(a=groq("k", models=[{"name": "m"}]), b=groq("l", models=[{"name": "n", "alias": "o"}]))
    assert [(each.name, [model.id for model in each.models], each.families) for each in found.providers] == [
        ("groq", ["m", "n"], ())
    ]
    assert {each.provider for each in found.credentials.values()} == {"groq"}
    assert [each.families for each in enrol(a=groq("k"), b=groq("l", models=[{"name": "n"}])).providers] == [("*",)]


def test_a_provider_of_the_configuration_takes_the_file_s_key() -> None:
    text = "openai-compatibility: [{name: groq, base-url: 'http://127.0.0.1:2/v1', models: [{name: m}]}]\n"
    found = enrol(text, a=groq("k"))
    assert found.providers == ()
    assert found.credentials["a.json"].base_url == "http://127.0.0.1:1/v1"


def test_a_provider_is_never_called_like_one_that_is_known() -> None:
    found = enrol(a=file(type="openai-compatibility", name="openai", base_url="http://127.0.0.1:1/v1"))
    assert [each.name for each in found.providers] == ["openai-compatible"]
    assert found.credentials["a.json"].secret is None


SERVICE: dict[str, JsonValue] = {"client_email": "a", "private_key": "secret-key", "project_id": "p"}


def test_a_service_account_asks_in_its_project_with_its_token() -> None:
    mine = file(type="vertex", service_account=SERVICE, location="europe-west4", priority=2)
    found = enrol("", {"a.json": Token(access=Secret("access"))}, a=mine)
    credential = found.credentials["a.json"]
    (provider,) = found.providers
    called = call_for(Candidate(provider, credential, "gemini-3"), "generate", b"{}", is_stream=True, client={})
    assert called.url == (
        "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"
        "/publishers/google/models/gemini-3:streamGenerateContent?alt=sse"
    )
    assert dict(called.headers)["authorization"] == "Bearer access"
    assert "x-goog-api-key" not in dict(called.headers)
    assert credential.priority == 2
    assert [secret.reveal() for secret in secrets_of(mine)] == ["secret-key"]


def test_a_service_account_without_a_token_says_why() -> None:
    files = {name: file(type="vertex", service_account=SERVICE, location=name) for name in "ab"}
    found = enrol("", {"b.json": "no token for a: its clock"}, **files)
    assert (found.credentials, found.providers) == ({}, ())
    assert found.unused == {"a.json": NO_TOKEN, "b.json": "no token for a: its clock"}


def test_its_models_are_listed() -> None:
    found = enrol(
        a=file(type="claude-api-key", api_key="k", models=[{"name": "x", "alias": "mine"}], prefix="t"),
        b=groq("k", models=[{"name": "m"}]),
        c=file(type="codex-api-key", api_key="k", disabled=True),
    )
    snapshot = Snapshot.of(parse(b"").config, providers=found.providers, credentials=found.credentials.values())
    assert [model.id for model in snapshot.catalogue.models()] == ["m", "mine", "t/mine"]


def login(kind: str, **more: JsonValue) -> AccountFile:
    return file(type=kind, home=f"{kind}-0123456789ab", account="uuid-1", **more)


@pytest.mark.parametrize(("kind", "account"), [("claude-code", ""), ("codex", "acct-1")])
def test_a_login_is_served_with_the_token_of_its_home(kind: str, account: str) -> None:
    token = Token(access=Secret("access"), account_id=account)
    found = enrol("proxy-url: http://127.0.0.1:1\n", {"a.json": token}, a=login(kind, label="mine", prefix="p"))
    credential = found.credentials["a.json"]
    assert credential.secret == Secret("access")
    assert (credential.provider, credential.label, credential.prefix) == (kind, "mine", "p")
    assert credential.proxy_url == "http://127.0.0.1:1"
    assert dict(credential.headers) == ({"chatgpt-account-id": account} if account else {})
    (provider,) = found.providers
    assert provider.name == kind
    assert provider.own_cli
    assert ("authorization", "Bearer access") in provider.authorize(credential)


def test_a_login_without_a_token_says_why() -> None:
    found = enrol("", {"a.json": "log in again"}, a=login("claude-code"), b=login("codex"))
    assert found.credentials == {}
    assert found.unused == {"a.json": "log in again", "b.json": NO_TOKEN}


def test_gemini_s_login_pays_with_its_project() -> None:
    token = Token(access=Secret("access"))
    found = enrol("", {"a.json": token}, a=login("gemini-cli", project_id="harbour-1"))
    assert found.credentials["a.json"].project == "harbour-1"
    assert enrol("", {"a.json": token}, a=login("gemini-cli")).unused == {"a.json": NO_PROJECT}


def test_a_new_token_is_the_same_account() -> None:
    first, second = (
        enrol("", {"a.json": Token(access=Secret(each))}, a=login("claude-code")).credentials["a.json"] for each in "xy"
    )
    assert first.id == second.id


def test_a_key_may_be_asked_with_by_a_cli() -> None:
    direct, by_cli = groq("k1"), groq("k2", cli="opencode", models=[{"name": "big"}])
    found = enrol(a=direct, b=by_cli, c=groq("k3", cli="qwen"))
    assert [provider.name for provider in found.providers] == ["groq", "groq-by-opencode", "groq-by-qwen"]
    assert [provider.cli_executor for provider in found.providers] == ["", "opencode", "qwen"]
    assert [provider.families for provider in found.providers] == [("*",), (), ("*",)]
    assert found.credentials["b.json"].provider == "groq-by-opencode"
    assert found.lacking == frozenset(), "it has all that it needs"
