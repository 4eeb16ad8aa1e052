"""Codex."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.clients.base import Access, Client, Edit, Launch, Values, home
from proxy.hub.residue import JsonObject
from proxy.providers import openai
from proxy.wire.base import dumps

NAME = "proxy"
"""Of the provider in its configuration. Not ``openai``: then it would ask for a compaction that few upstreams have."""
KEY_VARIABLE = "PROXY_KEY"


def _provider(access: Access) -> dict[str, str]:
    return {"name": NAME, "base_url": f"{access.url}/v1", "wire_api": "responses"}


def _model(access: Access) -> dict[str, str | int]:
    if access.model is None:
        return {}
    told: dict[str, str | int] = {"model": access.model.id}
    if access.model.context_tokens is not None:
        told["model_context_window"] = access.model.context_tokens
    return told


def _toml(value: str | int) -> str:
    """JSON's texts and numbers are TOML's."""
    return dumps(value).decode()


def _launch(access: Access) -> Launch:
    table = {**_provider(access), "env_key": KEY_VARIABLE}
    inline = ",".join(f"{name}={_toml(value)}" for name, value in table.items())
    settings = {"model_provider": _toml(NAME), f"model_providers.{NAME}": f"{{{inline}}}"}
    settings |= {name: _toml(value) for name, value in _model(access).items()}
    return Launch(
        arguments=tuple(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
        environment={KEY_VARIABLE: access.key.reveal()},
    )


def _edits(access: Access, environment: Mapping[str, str]) -> tuple[Edit, ...]:
    path = home(environment, "CODEX_HOME", ".codex") / "config.toml"
    table: JsonObject = {**_provider(access), "experimental_bearer_token": access.key.reveal()}
    values: Values = {
        ("model_provider",): NAME,
        **{(name,): value for name, value in _model(access).items()},
        ("model_providers", NAME): table,
    }
    return (Edit(path=path, format="toml", values=values),)


CLIENT = Client(
    name="codex",
    title="Codex",
    program="codex",
    package="@openai/codex",
    families=openai.PROVIDER.families,
    launch=_launch,
    edits=_edits,
    probe=("exec", "--skip-git-repo-check", "Say the word ready."),
)
