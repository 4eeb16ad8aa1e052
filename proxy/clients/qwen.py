"""Qwen Code. It has no model of its own any more: it is told one."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.clients.base import Access, Client, Edit, Launch, home
from proxy.hub.residue import JsonValue


def _environment(access: Access) -> dict[str, str]:
    told = {"OPENAI_BASE_URL": f"{access.url}/v1", "OPENAI_API_KEY": access.key.reveal()}
    return told if access.model is None else {**told, "OPENAI_MODEL": access.model.id}


def _launch(access: Access) -> Launch:
    return Launch(arguments=("--auth-type", "openai"), environment=_environment(access))


def _edits(access: Access, environment: Mapping[str, str]) -> tuple[Edit, ...]:
    values: dict[tuple[str, ...], JsonValue] = {("security", "auth", "selectedType"): "openai"}
    values |= {("env", name): value for name, value in _environment(access).items()}
    if access.model is not None:
        values["model", "name"] = access.model.id
    return (Edit(path=home(environment, "QWEN_HOME", ".qwen") / "settings.json", format="json", values=values),)


CLIENT = Client(
    name="qwen",
    title="Qwen Code",
    program="qwen",
    package="@qwen-code/qwen-code",
    launch=_launch,
    edits=_edits,
    probe=("-p", "Say the word ready."),
)
