"""How much an account is worth asking under ``quota-aware``: what would expire unused is spent first.

::

    score    = urgency × headroom × warmth − load                    rounded to hundredths; equals take turns
    urgency  = 1 + the share of its window that has gone by          1 … 2; of several windows the highest
    headroom = 1 − reserve − used                                    of several windows the lowest; unknown: ½
    warmth   = 1.1 where it served within 5 minutes, else 1          only where its windows are known
    load     = ½ × requests under way ÷ the most it may have         16 where there is no limit

Windows of an hour and more are planned with. Shorter ones count in their last quarter: headroom × 4 × what is left.
Unknown is not zero, and not full: an account that never told is worth half a one. Published in docs/routing.md. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from auth.quota import HOUR, Window

UNKNOWN_HEADROOM = 0.5
WARM = 1.1
WARM_SECONDS = 300.0
LOAD = 0.5
CONCURRENCY = 16
LAST_QUARTER = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """`at_most`: 0: any number. `idle_seconds`: since it last served; None: it has not."""

    in_flight: int = 0
    at_most: int = 0
    idle_seconds: float | None = None


def score(windows: Iterable[Window], *, reserve: float, load: Load, now: float) -> float:
    """`windows`: those that are current and limit the model. `reserve`: a share."""
    planned: list[float] = []
    urgency, last_quarter = 1.0, 1.0
    for window in windows:
        if window.used is None and not window.is_rejected:
            continue
        left = 0.0 if window.is_rejected else max(0.0, 1.0 - reserve - (window.used or 0.0))
        if window.seconds is None or window.seconds < HOUR:
            last_quarter = min(last_quarter, left * LAST_QUARTER)
            continue
        planned.append(left)
        if window.resets_at is not None:
            ahead = min(1.0, max(0.0, (window.resets_at - now) / window.seconds))
            urgency = max(urgency, 2.0 - ahead)
    headroom = min(planned, default=UNKNOWN_HEADROOM) * last_quarter
    is_warm = bool(planned) and load.idle_seconds is not None and load.idle_seconds <= WARM_SECONDS
    return round(
        urgency * headroom * (WARM if is_warm else 1.0) - LOAD * load.in_flight / (load.at_most or CONCURRENCY), 2
    )
