from __future__ import annotations

import pytest

from auth.credential import Credential
from auth.secret import Secret
from proxy.providers.base import Provider
from proxy.providers.sandbox import PROVIDERS as SIMULATED
from proxy.providers.table import PROVIDERS
from proxy.wire.table import wire_named

ALL = (*PROVIDERS, *SIMULATED)


def test_names_are_unique() -> None:
    assert len({provider.name for provider in ALL}) == len(ALL)


@pytest.mark.parametrize("provider", ALL, ids=lambda provider: provider.name)
def test_each_speaks_a_wire_that_stands_and_generates(provider: Provider) -> None:
    assert wire_named(provider.wire)
    assert "generate" in provider.endpoints
    assert not provider.base_url.endswith("/")
    assert all(endpoint.path.startswith("/") for endpoint in provider.endpoints.values())
    assert provider.models
    assert len({model.id for model in provider.models}) == len(provider.models)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_each_sends_the_key_in_one_header(provider: Provider) -> None:
    credential = Credential(id="c", provider=provider.name, label="c", secret=Secret("the-key"))
    ((name, value),) = provider.authorize(credential)
    assert name in {"authorization", "x-api-key", "x-goog-api-key"}
    assert value.removeprefix("Bearer ") == "the-key"
    assert provider.authorize(Credential(id="c", provider=provider.name, label="c")) == ()


def test_signatures_go_back_to_whoever_the_profile_calls_their_maker() -> None:
    for provider in PROVIDERS:
        assert provider.profile(provider.models[0].id).maker == (provider.maker or provider.wire)


def test_vertex_takes_no_call_ids() -> None:
    profiles = {provider.name: provider.profile("gemini-3.8-flash") for provider in PROVIDERS}
    assert (profiles["gemini"].has_call_ids, profiles["vertex"].has_call_ids) == (True, False)
