"""What is answered here with a JSON object, and no model is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import TypeAlias

from proxy.hub.residue import JsonObject
from proxy.server import code_assist, codex, models, routes
from proxy.server.answer import Answer
from proxy.server.app import App, Edition
from proxy.wire.base import dumps

Headers: TypeAlias = Mapping[str, str]

OWN_ANSWERS: Mapping[routes.Kind, Callable[[App, Edition, routes.Match, Headers], JsonObject]] = MappingProxyType(
    {
        "index": lambda _app, _edition, _match, _headers: {"message": "proxy", "endpoints": [*routes.endpoints()]},
        "models": lambda _app, edition, match, _headers: models.render_list(match.route.wire, edition.listing),
        "model": lambda _app, edition, match, _headers: models.render_one(
            match.route.wire, edition.listing, match.model or ""
        ),
        "codex_models": lambda _app, edition, _match, _headers: codex.catalogue(edition.listing),
        "codex_usage": lambda app, edition, _match, _headers: codex.usage(
            edition.seen(app.status.accounts()), app.now()
        ),
        "codex_account": lambda _app, _edition, _match, headers: codex.account(headers),
        "code_assist": lambda _app, edition, match, _headers: code_assist.answer(match.model or "", edition.listing),
        "idle": lambda _app, _edition, _match, _headers: {},
    }
)
"""By the route's kind. The edition is what the client sees of it, the headers are its own."""
_LISTS: frozenset[routes.Kind] = frozenset({"models", "model", "codex_models"})


def own_answer(content: JsonObject, kind: routes.Kind, headers: Headers) -> Answer:
    """A list of models has a mark (RFC 9110 §8.8.3), and is not told again to whoever shows it: some clients ask for it
    at each start. `headers`: the request's.
    """
    body = dumps(content)
    if kind not in _LISTS:
        return Answer(200, {"Content-Type": "application/json"}, body)
    mark = f'"{sha256(body).hexdigest()[:32]}"'
    fields = {"ETag": mark, "Cache-Control": "private, no-cache"}
    known = {each.strip().removeprefix("W/") for each in headers.get("if-none-match", "").split(",")}
    if mark in known or "*" in known:
        return Answer(304, fields, b"")
    return Answer(200, {"Content-Type": "application/json", **fields}, body)
