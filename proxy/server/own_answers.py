"""What is answered here with a JSON object, and no model is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from proxy.hub.residue import JsonObject
from proxy.server import code_assist, codex, models, routes
from proxy.server.app import App, Edition

OWN_ANSWERS: Mapping[routes.Kind, Callable[[App, Edition, routes.Match], JsonObject]] = MappingProxyType(
    {
        "index": lambda _app, _edition, _match: {"message": "proxy", "endpoints": [*routes.endpoints()]},
        "models": lambda _app, edition, match: models.render_list(match.route.wire, edition.listing),
        "model": lambda _app, edition, match: models.render_one(match.route.wire, edition.listing, match.model or ""),
        "codex_models": lambda _app, edition, _match: codex.catalogue(edition.listing),
        "codex_usage": lambda app, edition, _match: codex.usage(edition.seen(app.status.accounts()), app.now()),
        "code_assist": lambda _app, edition, match: code_assist.answer(match.model or "", edition.listing),
        "idle": lambda _app, _edition, _match: {},
    }
)
"""By the route's kind. The edition is what the client sees of it."""
