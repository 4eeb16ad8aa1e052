"""Whom the tokens of own OIDC clients are for: a provider that we know, asked with a token in place of a key; or an API
of any other name, in one of our wires.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from proxy.config.account_files import OidcLogin
from proxy.providers import anthropic, gemini, openai, vertex
from proxy.providers.base import Provider, bearer
from proxy.providers.configured import compatible_name
from proxy.providers.openai_compatible import provider_named

KNOWN: Mapping[str, Provider] = {
    "gemini": replace(gemini.PROVIDER, name="gemini-oidc", authorize=bearer, official=()),
    "vertex": vertex.ACCOUNT,
    "openai": replace(openai.PROVIDER, name="openai-oidc", authorize=bearer, official=()),
    "anthropic": replace(anthropic.PROVIDER, name="anthropic-oidc", authorize=bearer, official=()),
}
_OTHERS: Mapping[str, Provider] = {
    "openai-responses": openai.PROVIDER,
    "anthropic": anthropic.PROVIDER,
    "gemini": gemini.PROVIDER,
}
PROJECT_HEADER = "x-goog-user-project"
"""Whose quota a person's token uses at the Gemini API (Google's OAuth quickstart for it)."""


def is_compatible(login: OidcLogin) -> bool:
    """Files and entries of ``openai-compatibility`` of the same name are the same provider."""
    return login.provider not in KNOWN and login.wire not in _OTHERS


def provider_of(login: OidcLogin) -> Provider:
    if login.provider in KNOWN:
        return KNOWN[login.provider]
    base_url = login.base_url.rstrip("/")
    if login.wire in _OTHERS:
        return replace(
            _OTHERS[login.wire],
            name=f"{login.provider}-{login.wire}",
            base_url=base_url,
            authorize=bearer,
            official=(),
            models=(),
            families=("*",),
        )
    return provider_named(compatible_name(login.provider), base_url, tuple(model.name for model in login.models))


def base_url_of(login: OidcLogin) -> str | None:
    if login.provider == "vertex":
        return vertex.place_of(login.project_id, login.location, login.base_url)
    return login.base_url.rstrip("/") or None


def headers_of(login: OidcLogin) -> Mapping[str, str]:
    project = {PROJECT_HEADER: login.project_id} if login.provider == "gemini" and login.project_id else {}
    return {**project, **login.headers}
