"""OpenCode: one provider that lists all our models, each spoken to in its vendor's own format where OpenCode can."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from proxy.clients.base import Access, Client, Edit, Launch, Offer, Values, home
from proxy.hub.residue import JsonObject
from proxy.providers import anthropic, openai
from proxy.wire.base import dumps

NAME = "proxy"
KEY_VARIABLE = "PROXY_KEY"
_NATIVE = ((anthropic.PROVIDER.families, "@ai-sdk/anthropic"), (openai.PROVIDER.families, "@ai-sdk/openai"))
"""What it carries over Chat Completions loses the model's thoughts between the steps of a turn."""


def _model(offer: Offer) -> JsonObject:
    told: JsonObject = {"name": offer.id}
    if offer.context_tokens is not None and offer.output_tokens is not None:
        told["limit"] = {"context": offer.context_tokens, "output": offer.output_tokens}
    for families, package in _NATIVE:
        if any(fnmatchcase(offer.id, family) for family in families):
            told["provider"] = {"npm": package}
    return told


def _provider(access: Access, key: str) -> JsonObject:
    offers = (*access.offers, *([access.model] if access.model is not None else []))
    return {
        "npm": "@ai-sdk/openai-compatible",
        "name": NAME,
        "options": {"baseURL": f"{access.url}/v1", "apiKey": key},
        "models": {offer.id: _model(offer) for offer in offers},
    }


def _models(access: Access) -> dict[str, str]:
    """The second is for titles and the like."""
    return {} if access.model is None else dict.fromkeys(("model", "small_model"), f"{NAME}/{access.model.id}")


def _launch(access: Access) -> Launch:
    content: JsonObject = {"provider": {NAME: _provider(access, f"{{env:{KEY_VARIABLE}}}")}, **_models(access)}
    return Launch(
        environment={"OPENCODE_CONFIG_CONTENT": dumps(content).decode(), KEY_VARIABLE: access.key.reveal()},
    )


def _edits(access: Access, environment: Mapping[str, str]) -> tuple[Edit, ...]:
    path = home(environment, "XDG_CONFIG_HOME", ".config") / "opencode" / "opencode.json"
    values: Values = {
        ("provider", NAME): _provider(access, access.key.reveal()),
        **{(key,): name for key, name in _models(access).items()},
    }
    return (Edit(path=path, format="json", values=values),)


CLIENT = Client(
    name="opencode",
    title="OpenCode",
    program="opencode",
    package="opencode-ai",
    launch=_launch,
    edits=_edits,
    probe=("run", "Say the word ready."),
)
