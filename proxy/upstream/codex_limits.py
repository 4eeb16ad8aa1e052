"""What Codex's backend tells on a WebSocket beside an answer: how much of its windows an account has used.

Over HTTP the same stands in the answer's headers, so that is what becomes of it. Shape: ``{"type":
"codex.rate_limits", "metered_limit_name": "codex", "rate_limits": {"primary": {"used_percent": 40.0, "window_minutes":
300, "reset_at": 1700009000}, "secondary": …}}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

_LIMITS = re.compile(rb'"type"\s*:\s*"codex\.rate_limits"')
_HEAD_BYTES = 256
_NAME = re.compile(r"[a-z0-9-]{1,40}")
_SLOTS = ("primary", "secondary")


class _Window(msgspec.Struct):
    used_percent: float | None = None
    window_minutes: float | None = None
    reset_at: float | None = None


class _Limits(msgspec.Struct):
    rate_limits: dict[str, _Window | None] = {}
    metered_limit_name: str | None = None


_limits = msgspec.json.Decoder(_Limits).decode


def is_limits(message: bytes) -> bool:
    return _LIMITS.search(message, 0, _HEAD_BYTES) is not None


def headers_of(message: bytes) -> dict[str, str]:
    """Nothing where it cannot be read: limits are news, no part of the answer."""
    try:
        limits = _limits(message)
    except ValueError:
        return {}
    return dict(_headers(limits))


def _headers(limits: _Limits) -> Iterator[tuple[str, str]]:
    name = (limits.metered_limit_name or "").lower().replace("_", "-")
    head = f"x-codex-{name}" if name not in {"", "codex"} and _NAME.fullmatch(name) else "x-codex"
    for slot in _SLOTS:
        window = limits.rate_limits.get(slot)
        if window is None or window.used_percent is None:
            continue
        yield f"{head}-{slot}-used-percent", f"{window.used_percent:g}"
        if window.window_minutes is not None:
            yield f"{head}-{slot}-window-minutes", f"{window.window_minutes:.0f}"
        if window.reset_at is not None:
            yield f"{head}-{slot}-reset-at", f"{window.reset_at:.0f}"
