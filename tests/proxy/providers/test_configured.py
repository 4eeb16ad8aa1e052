from __future__ import annotations

from typing import Any

from auth.secret import Secret
from proxy.config.provider_keys import CompatibleKey, CompatibleProvider, ModelAlias, ProviderKey
from proxy.config.schema import Config
from proxy.providers.configured import from_config


def key(text: str, **fields: Any) -> ProviderKey:
    return ProviderKey(api_key=Secret(text), **fields)


def compatible(name: str, *keys: str, **fields: Any) -> CompatibleProvider:
    entries = tuple(CompatibleKey(api_key=Secret(each)) for each in keys)
    return CompatibleProvider(name=name, base_url="https://h/v1/", api_key_entries=entries, **fields)


def test_each_list_has_its_provider() -> None:
    _, credentials = from_config(
        Config(
            claude_api_key=(key("a"),),
            codex_api_key=(key("b"),),
            gemini_api_key=(key("c"),),
            generative_language_api_key=(key("d"),),
            vertex_api_key=(key("e"),),
            xai_api_key=(key("g"),),
            openai_compatibility=(compatible("groq", "f"),),
        )
    )
    assert [(each.provider, each.label) for each in credentials] == [
        ("anthropic", "anthropic key 1"),
        ("openai", "openai key 1"),
        ("gemini", "gemini key 1"),
        ("gemini", "gemini key 2"),
        ("vertex", "vertex key 1"),
        ("x-ai", "x-ai key 1"),
        ("groq", "groq key 1"),
    ]


def test_a_key_of_xai_goes_to_xai_whatever_else_is_called_so() -> None:
    providers, credentials = from_config(
        Config(xai_api_key=(key("a"),), openai_compatibility=(compatible("xai", "b"),))
    )
    where = {each.name: each.base_url for each in providers}
    assert [(where[each.provider], each.base_url) for each in credentials] == [
        ("https://api.x.ai/v1", None),
        ("https://h/v1", None),
    ]


def test_ids_are_stable_unique_and_tell_nothing_of_the_key() -> None:
    def ids(*keys: ProviderKey) -> list[str]:
        return [each.id for each in from_config(Config(claude_api_key=keys))[1]]

    one, two = key("sk-ant-secret"), key("sk-ant-other")
    assert ids(one, two) == list(reversed(ids(two, one)))
    assert all("secret" not in each and each.startswith("claude-api-key-") for each in ids(one, two))
    elsewhere = key("sk-ant-secret", base_url="https://h")
    assert len(set(ids(one, elsewhere, one))) == 3


def test_the_settings_of_a_key() -> None:
    entry = key(
        "k", base_url="https://h/", proxy_url="direct", prefix="team", priority=3, weight=2,
        concurrency=4, reserve_percent=20,
        excluded_models=("*-preview",), headers={"X-A": "b"},
        models=(ModelAlias(name="m1", alias="x"), ModelAlias(name="m2", alias="x"), ModelAlias(name="m3")),
    )  # fmt: skip
    credential = from_config(Config(claude_api_key=(entry,), proxy_url="http://p:1"))[1][0]
    assert credential.base_url == "https://h"
    assert credential.proxy_url == "direct"
    assert (credential.prefix, credential.priority, credential.weight) == ("team", 3, 2)
    assert (credential.concurrency, credential.reserve_percent) == (4, 20)
    assert credential.models == {"x": ("m1", "m2"), "m3": ("m3",)}
    assert credential.excluded_models == ("*-preview",)
    assert credential.headers == {"X-A": "b"}


def test_the_general_egress_proxy_holds_for_keys_without_their_own() -> None:
    config = Config(claude_api_key=(key("k"),), openai_compatibility=(compatible("x", "k"),), proxy_url="http://p:1")
    assert {each.proxy_url for each in from_config(config)[1]} == {"http://p:1"}


def test_a_local_server_needs_no_key() -> None:
    config = Config(openai_compatibility=(compatible("ollama", models=(ModelAlias(name="m"),)),))
    providers, (credential,) = from_config(config)
    provider = providers[-1]
    assert (credential.id, credential.label, credential.secret) == ("ollama-keyless", "ollama", None)
    assert provider.authorize(credential) == ()
    assert provider.base_url == "https://h/v1"
    assert [model.id for model in provider.models] == ["m"]
    assert provider.families == ()


def test_each_key_of_an_entry_has_limits_of_its_own() -> None:
    entries = (
        CompatibleKey(api_key=Secret("a"), concurrency=2),
        CompatibleKey(api_key=Secret("b"), reserve_percent=30),
    )
    config = Config(
        openai_compatibility=(CompatibleProvider(name="x", base_url="https://h/v1", api_key_entries=entries),)
    )
    assert [(each.concurrency, each.reserve_percent) for each in from_config(config)[1]] == [(2, 0), (0, 30)]


def test_an_entry_without_models_takes_any_name() -> None:
    providers, _ = from_config(Config(openai_compatibility=(compatible("x", "k"),)))
    assert providers[-1].families == ("*",)


def test_an_entry_may_bear_the_name_of_a_provider_that_we_know() -> None:
    providers, (credential,) = from_config(Config(openai_compatibility=(compatible("openai", "k"),)))
    assert credential.provider == "openai-compatible"
    assert len({provider.name for provider in providers}) == len(providers)


def test_a_disabled_entry_stays_visible() -> None:
    _, (credential,) = from_config(Config(openai_compatibility=(compatible("x", "k", disabled=True),)))
    assert credential.is_disabled
