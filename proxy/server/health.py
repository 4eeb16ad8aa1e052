"""Is it alive, may it be sent requests, and how is everybody?"""

from __future__ import annotations

from dataclasses import asdict

from proxy import __version__
from proxy.hub.residue import JsonObject, JsonValue
from proxy.server.app import App, Edition

_UNUSABLE = frozenset({"broken", "disabled"})
"""States from which no account comes back by itself."""
_NOTHING = (None, 0, ())
"""What goes without saying."""


def readiness(app: App) -> str:
    """``ready``, or why not. A cooling account comes back, so it counts."""
    if app.is_draining:
        return "draining"
    if all(account.state in _UNUSABLE for account in app.status.accounts()):
        return "no credentials"
    return "ready"


def detail(app: App, edition: Edition | None = None) -> JsonObject:
    """For loopback and keyed clients only: it names accounts by their labels. `edition`: of a client that sees only
    some of them.
    """
    seen = app.status.accounts() if edition is None else edition.seen(app.status.accounts())
    accounts: list[JsonValue] = [
        {key: value for key, value in asdict(account).items() if value not in _NOTHING} for account in seen
    ]
    workers = app.workers
    return {
        "status": readiness(app),
        "version": __version__,
        "uptime_seconds": round(app.now() - app.started_at, 3),
        "requests_in_flight": sum(exchange.under_way for exchange in app.exchanges)
        + len(app.rides)
        + (0 if workers is None else workers.in_flight),
        "workers": {"asked": 1, "running": 1}
        if workers is None
        else {"asked": workers.asked, "running": workers.running},
        "config_error": app.status.reload_error(),
        "accounts": accounts,
        "quarantined": [asdict(each) for each in app.status.quarantined()] if edition is None else [],
        **({"clis": app.clis()} if app.clis is not None and edition is None else {}),
    }
