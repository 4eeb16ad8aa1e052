"""What is known of an account beside its file: its usage windows, as a running server has last written them down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from auth.memory_file import MemoryFile
from auth.pool import Pool
from auth.quota import Window
from auth.standing import ALL_MODELS, Standing
from proxy.dispatch.windows import SUBSCRIPTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One window. `resets_at`: RFC 3339; empty: nobody says."""

    name: str
    used_percent: float | None
    resets_at: str = ""
    models: str = "*"

    def __str__(self) -> str:
        share = "?" if self.used_percent is None else f"{self.used_percent:.0f}"
        which = "" if self.models == "*" else f" {self.models.strip('*')}"
        until = "" if not self.resets_at else f" (until {self.resets_at[:16].replace('T', ' ')} UTC)"
        return f"{self.name}{which} {share} %{until}"


def usages(folder: Path, *, unix: float) -> Mapping[str, tuple[Usage, ...]]:
    """By account's id, the subscriptions' windows that are not over yet. `folder`: the auth-dir."""
    found: dict[str, tuple[Usage, ...]] = {}
    for account, window in _remembered(folder, unix).quotas.all():
        if window.slot.startswith(SUBSCRIPTIONS):
            found[account] = (*found.get(account, ()), share_of(window, unix))
    return found


def resting(folder: Path, *, unix: float) -> Mapping[str, str]:
    """By account's id, why it is not asked for any model, and until when."""
    standings = _remembered(folder, unix).standings(0.0)
    return {account: _told(standing, unix) for (account, model), standing in standings if model == ALL_MODELS}


def _told(standing: Standing, unix: float) -> str:
    until = (
        "" if standing.until is None else datetime.fromtimestamp(standing.until + unix, UTC).isoformat(" ", "minutes")
    )
    return f"{standing.state}: {standing.why}{until and ' (until '}{until}{until and ')'}"


def _remembered(folder: Path, unix: float) -> Pool:
    pool = Pool()
    memory = MemoryFile(
        folder, pool, monotonic=lambda: 0.0, unix=lambda: unix, is_wanted=lambda: False, tell=lambda _complaint: None
    )
    memory.read()
    return pool


def share_of(window: Window, unix: float) -> Usage:
    """The pool's clock was 0 at `unix`."""
    at = None if window.resets_at is None else datetime.fromtimestamp(window.resets_at + unix, UTC)
    return Usage(
        name=window.name,
        used_percent=None if window.used is None else round(100 * window.used, 1),
        resets_at="" if at is None else at.isoformat(timespec="seconds"),
        models=window.models,
    )
