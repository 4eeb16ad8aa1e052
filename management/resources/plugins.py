"""Plugins, as panels of the other system ask for them: there are none, and none can be installed."""

from __future__ import annotations

from management.refusal import Refusal
from management.routes import ANY, Ask, Method, Reply, Route, Schema

WHY = "this server has no plugins: nothing is loaded into it"
_NONE = {"plugins_enabled": False, "plugins_dir": "", "plugins": []}


async def list_plugins(_ask: Ask) -> Reply:
    return Reply(body=_NONE)


async def list_store(_ask: Ask) -> Reply:
    return Reply(body={**_NONE, "sources": []})


async def refuse(_ask: Ask) -> Reply:
    raise Refusal(404, WHY, code="plugin_not_found")


_OBJECT: Schema = {"type": "object"}
_CHANGES: tuple[tuple[Method, str], ...] = (
    ("DELETE", "/plugins/{id}"),
    ("PATCH", "/plugins/{id}/enabled"),
    ("GET", "/plugins/{id}/config"),
    ("PUT", "/plugins/{id}/config"),
    ("PATCH", "/plugins/{id}/config"),
    ("POST", "/plugin-store/{id}/install"),
)

ROUTES = (
    Route(method="GET", path="/plugins", handler=list_plugins, sentence="None: there are no plugins.", reply=_OBJECT),
    Route(method="GET", path="/plugin-store", handler=list_store, sentence="None, and no sources.", reply=_OBJECT),
    *(
        Route(
            method=method,
            path=path,
            handler=refuse,
            sentence="There is no such plugin.",
            body=ANY if method in {"PUT", "PATCH", "POST"} else None,
            statuses=(404,),
            is_noted=False,
        )
        for method, path in _CHANGES
    ),
)
