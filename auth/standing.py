"""Where a credential stands for one model, and what puts it there: words that the pool and whoever decides share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["ready", "cooling", "probing", "broken", "disabled", "busy", "reserved", "spent"]
"""busy: it has as many requests under way as it may · reserved: what is left of a window is kept for its owner · spent:
a window is full, and its provider goes on for money.
"""
Key: TypeAlias = tuple[str, str]
"""A credential's id and a model, or `ALL_MODELS`."""
ALL_MODELS = "*"

TRANSIENT_SECONDS_MAX = 60.0
GUESS_SECONDS_MAX = 15 * 60.0
STATED_SECONDS_MAX = 32 * 86400.0
"""Longer than any window there is: what exceeds it is no reset time."""
JITTERED_SECONDS_MIN = 60.0
UNNAMED = "?"
"""A usage window that its provider did not name: whatever reading shows room in all of them, shows it in this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """What an attempt has shown of its credential.

    `seconds`: how long to leave it alone; the upstream's own word where `is_stated`, else a first guess that doubles
    with each repetition. None: not by time, until somebody acts (`broken`). `is_transient`: the provider's fault or
    the network's rather than the account's: such a cooldown is short, and never takes the last one. `window`: the slot
    of the usage window that is full (`auth.quota.Window`), or `UNNAMED`; empty: it is not about a window. `is_quota`: a
    window or a balance is used up. `is_refused`: its key, its login or its permission was, which no time is known to
    mend.
    """

    model: str
    """Or `ALL_MODELS`."""
    why: str
    seconds: float | None
    is_stated: bool = False
    is_transient: bool = False
    is_quota: bool = False
    is_refused: bool = False
    window: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """`until`: when that ends by itself; None: it does not. `is_remembered`: known from before a restart only."""

    state: State
    why: str = ""
    until: float | None = None
    is_transient: bool = False
    is_remembered: bool = False
    is_quota: bool = False
    is_refused: bool = False


READY = Standing("ready")
DISABLED = Standing("disabled", "disabled by the operator")


def cooldown_seconds(setback: Setback, step: int, chance: float) -> float:
    """A stated time of a minute or more gets up to 5 % more (30 s at most), so that not all come back in the same
    instant; what is told in seconds is obeyed to the second. A guess doubles with each step up to its limit, half of it
    by chance.
    """
    assert setback.seconds is not None
    if setback.is_stated:
        stated = min(setback.seconds, STATED_SECONDS_MAX)
        return stated + (min(30.0, stated * 0.05) * chance if stated >= JITTERED_SECONDS_MIN else 0.0)
    limit = TRANSIENT_SECONDS_MAX if setback.is_transient else GUESS_SECONDS_MAX
    guess: float = setback.seconds * 2.0 ** min(step - 1, 20)
    return min(limit, guess) * (0.5 + chance / 2)
