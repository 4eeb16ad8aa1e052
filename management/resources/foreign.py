"""What panels of the other system ask for that is no setting here: they are told what holds, and why it stays so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from management.refusal import Refusal, absent
from management.routes import ANY, Ask, Method, Reply, Route
from proxy.config.settings import JsonValue


@dataclass(frozen=True, slots=True)
class Foreign:
    """`value`: what holds here, in the other system's terms."""

    value: JsonValue
    why: str


SETTINGS: Mapping[str, Foreign] = {
    "ws-auth": Foreign(value=True, why="WebSockets ask for a client key as everything else does"),
    "interactions-api-key": Foreign([], "this server has no such provider"),
}


def _routes(name: str, foreign: Foreign) -> Iterator[Route]:
    async def get(_ask: Ask) -> Reply:
        return Reply(body={name: foreign.value})

    async def refuse(ask: Ask) -> Reply:
        sent = await ask.json()
        if foreign.value in (
            (sent.get("value", ...), sent.get("items", ...), sent) if isinstance(sent, dict) else (sent,)
        ):
            return Reply()  # a panel that puts back all that it has read
        raise Refusal(409, f"{name} cannot be changed: {foreign.why}")

    async def remove(_ask: Ask) -> Reply:
        raise absent()

    yield Route(
        method="GET",
        path=f"/{name}",
        handler=get,
        reply={"type": "object"},
        sentence=f"Always the same here: {foreign.why}.",
    )
    if isinstance(foreign.value, list | dict):
        yield Route(
            method="DELETE",
            path=f"/{name}",
            handler=remove,
            sentence="There is nothing to remove.",
            statuses=(404,),
            is_noted=False,
        )
    changes: tuple[Method, ...] = ("PUT", "PATCH")
    for method in changes:
        yield Route(
            method=method,
            path=f"/{name}",
            handler=refuse,
            sentence="Refused, with the reason, unless it is what holds anyway.",
            body=ANY,
            statuses=(409, 413),
            is_noted=False,
        )


ROUTES = tuple(route for name, foreign in SETTINGS.items() for route in _routes(name, foreign))
