"""What an official CLI tells of its account without asking any model: who it is, its plan, what is left of its windows.

Claude Code tells it over its control protocol (``get_usage``) and with its status command, Codex over its app-server
(``account/read``, ``account/rateLimits/read``). Gemini CLI tells nothing that is worth starting it for.

Windows have the slots of the headers that tell the same in an answer, so that the younger reading takes the place of
the older (`proxy.dispatch.windows`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from auth.document import JsonValue
from auth.quota import DAY, HOUR, MINUTE, Window, window_name

_CLAUDE = "anthropic-ratelimit-unified-"
_CODEX = "x-codex-"


class Gauge(msgspec.Struct, frozen=True):
    """A window, as in `auth.quota.Window`. `resets_at`: Unix seconds."""

    slot: str
    seconds: float | None = None
    used: float | None = None
    resets_at: float | None = None
    models: str = "*"


class Survey(msgspec.Struct, frozen=True):
    """Empty: not told. `expires_at`: of the login, in Unix seconds."""

    email: str = ""
    organization: str = ""
    plan: str = ""
    expires_at: float | None = None
    gauges: tuple[Gauge, ...] = ()

    def windows(self, now: float, unix: float) -> list[Window]:
        """`now`: the clock of the windows; `unix`: the same moment. What has been reset since tells nothing."""
        return [
            Window(
                slot=each.slot,
                name=window_name(each.seconds) if each.seconds else each.slot,
                read_at=now,
                source="the official CLI",
                seconds=each.seconds,
                used=each.used,
                resets_at=None if each.resets_at is None else now + each.resets_at - unix,
                models=each.models,
                is_rejected=False,
            )
            for each in self.gauges
            if each.resets_at is None or unix < each.resets_at <= unix + 2 * (each.seconds or 31 * DAY)
        ]


# Claude Code


class _Limit(msgspec.Struct):
    """`utilization`: percent. `resets_at`: ISO 8601."""

    utilization: float | None = None
    resets_at: str | None = None
    display_name: str = ""


class _Limits(msgspec.Struct):
    five_hour: _Limit | None = None
    seven_day: _Limit | None = None
    seven_day_opus: _Limit | None = None
    seven_day_sonnet: _Limit | None = None
    model_scoped: list[_Limit] = []


class _Usage(msgspec.Struct):
    rate_limits: _Limits | None = None


def claude_gauges(usage: Mapping[str, JsonValue]) -> tuple[Gauge, ...]:
    """Of the answer to ``get_usage``; nothing where it is none."""
    try:
        limits = msgspec.convert(usage, _Usage).rate_limits or _Limits()
    except msgspec.ValidationError:
        return ()
    told = [
        ("5h", 5 * HOUR, "*", limits.five_hour),
        ("7d", 7 * DAY, "*", limits.seven_day),
        ("7d_opus", 7 * DAY, "*opus*", limits.seven_day_opus),
        ("7d_sonnet", 7 * DAY, "*sonnet*", limits.seven_day_sonnet),
    ]
    for each in limits.model_scoped:
        name = each.display_name.lower()
        if name.isalnum() and name.isascii():
            told.append((f"7d_{name}", 7 * DAY, f"*{name}*", each))
    return tuple(
        Gauge(f"{_CLAUDE}{slot}", seconds, _share(limit.utilization), _unix(limit.resets_at), models)
        for slot, seconds, models, limit in told
        if limit is not None and limit.utilization is not None
    )


# Codex


class _Window(msgspec.Struct, rename="camel"):
    used_percent: float | None = None
    window_duration_mins: float | None = None
    resets_at: float | None = None


class _Snapshot(msgspec.Struct, rename="camel"):
    limit_id: str | None = None
    normal_model_slug: str | None = None
    primary: _Window | None = None
    secondary: _Window | None = None


class _RateLimits(msgspec.Struct, rename="camel"):
    rate_limits: _Snapshot = msgspec.field(default_factory=_Snapshot)
    rate_limits_by_limit_id: dict[str, _Snapshot] | None = None


def codex_gauges(limits: Mapping[str, JsonValue]) -> tuple[Gauge, ...]:
    """Of the answer to ``account/rateLimits/read``; nothing where it is none. A limit beside the account's is of the
    model that it names; where it names none, nobody knows.
    """
    try:
        told = msgspec.convert(limits, _RateLimits)
    except msgspec.ValidationError:
        return ()
    others = (told.rate_limits_by_limit_id or {}).values()
    return tuple(
        _codex_gauges([told.rate_limits, *(each for each in others if each.limit_id != told.rate_limits.limit_id)])
    )


def _codex_gauges(snapshots: Iterable[_Snapshot]) -> Iterator[Gauge]:
    for number, snapshot in enumerate(snapshots):
        if number and not (snapshot.limit_id and snapshot.normal_model_slug):
            continue
        name, models = ("", "*") if not number else (f"{snapshot.limit_id}-", str(snapshot.normal_model_slug))
        for place, window in (("primary", snapshot.primary), ("secondary", snapshot.secondary)):
            if window is not None and window.used_percent is not None:
                seconds = window.window_duration_mins * MINUTE if window.window_duration_mins else None
                slot = f"{_CODEX}{name}{place}"
                yield Gauge(slot, seconds, _share(window.used_percent), window.resets_at, models)


def _share(percent: float | None) -> float | None:
    return max(0.0, percent / 100) if percent is not None and math.isfinite(percent) else None


def _unix(text: str | None) -> float | None:
    with contextlib.suppress(msgspec.ValidationError):
        return msgspec.convert(text, dt.datetime).timestamp() if text else None
    return None
