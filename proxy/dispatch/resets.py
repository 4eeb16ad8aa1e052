"""How long: when the limit ends that a refusal speaks of.

Windows that the provider names come first, plain hints next, text last. Of several windows that are used up the latest
reset counts; a window with room says nothing. What lies in the past, is no number or is not finite is ignored; what
exceeds its window is cut to it. Pure: `now` is Unix seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from auth.quota import DAY, HOUR, MINUTE, Window
from proxy.dispatch.amounts import bounded, from_now, http_date, number
from proxy.dispatch.windows import SUBSCRIPTIONS, Moment, objects, read_quota_failures, read_windows
from proxy.hub.events import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """`seconds` from now. `window`: what it is called, where it is longer than a burst; `length`: its seconds. `slot`:
    where readings of it are told (`auth.quota.Window`). `is_model_only`: the limit is of one model, not of the account.
    `source`: where it was read, for whoever doubts it; `is_cut`: and what it said there, which nobody would believe.
    """

    seconds: float
    source: str
    window: str = ""
    length: float | None = None
    slot: str = ""
    is_model_only: bool = False
    is_cut: bool = False


def read_reset(headers: Mapping[str, str], failure: Failure, now: float, model: str = "") -> Reset | None:
    """The one that counts, or None when nothing was said. `model`: the upstream's, that was asked."""
    lowered = {name.lower(): value for name, value in headers.items()}
    moment = Moment(now=now, unix=now, model=model)
    full = [_of(window, now) for window in read_windows(lowered, moment) if window.is_full]
    named = [each for each in full if each.slot.startswith(SUBSCRIPTIONS)]
    # A window that the provider names is the truth even where a Retry-After says less (Google's per-day quota).
    for source in (
        (*(named or _claims(lowered, now)), *_codex_body(failure, now), *_google_daily(failure, moment)),
        (*_retry_after(lowered, now), *full, *_google_details(failure, now)),
        _text_hint(failure),
    ):
        found = [kept for each in source if (kept := _bounded(each)) is not None]
        if found:
            return max(found, key=lambda each: each.seconds)
    return None


def _of(window: Window, now: float) -> Reset:
    is_long = window.slot.startswith(SUBSCRIPTIONS) or (window.seconds or 0.0) >= HOUR
    return Reset(
        seconds=0.0 if window.resets_at is None else window.resets_at - now,
        source=window.source,
        window=window.name if is_long and window.seconds else "",
        length=window.seconds,
        slot=window.slot,
        is_model_only=window.models != "*",
    )


def _bounded(reset: Reset) -> Reset | None:
    seconds = bounded(reset.seconds, reset.length)
    if seconds is None or seconds == reset.seconds:
        return None if seconds is None else reset
    return replace(reset, seconds=seconds, source=f"{reset.source} said {reset.seconds:.0f} s, cut", is_cut=True)


_CLAIMS = {"anthropic-ratelimit-unified": False, "anthropic-ratelimit-unified-overage": True}
"""What a subscription may be refused by without a window of its own, and whether that is for one model only."""


def _claims(headers: Mapping[str, str], now: float) -> Iterator[Reset]:
    """Counted where no window is full: the nameless claim repeats the window that counts, and overage says nothing
    beside a full one.
    """
    for claim, is_model_only in _CLAIMS.items():
        if headers.get(f"{claim}-status") == "rejected":
            seconds = from_now(headers.get(f"{claim}-reset", ""), now)
            yield Reset(seconds=seconds, source=claim, is_model_only=is_model_only)
            return


# Retry-After, in all its forms


def _retry_after(headers: Mapping[str, str], now: float) -> Iterator[Reset]:
    if "retry-after-ms" in headers:
        yield Reset(seconds=number(headers["retry-after-ms"]) / 1000, source="retry-after-ms")
    value = headers.get("retry-after", "")
    moment = http_date(value)
    if moment is not None:
        sent = http_date(headers.get("date", ""))
        yield Reset(seconds=moment - (now if sent is None else sent), source="retry-after")
        return
    for each in value.split(","):
        yield Reset(seconds=number(each), source="retry-after")


# Bodies


def _codex_body(failure: Failure, now: float) -> Iterator[Reset]:
    for layer in objects(failure.raw):
        if "resets_at" in layer:
            yield Reset(seconds=from_now(layer["resets_at"], now), source="resets_at")
        if "resets_in_seconds" in layer:
            yield Reset(seconds=number(layer["resets_in_seconds"]), source="resets_in_seconds")


def _google_daily(failure: Failure, moment: Moment) -> Iterator[Reset]:
    """A quota per day is gone until midnight in California, whatever RetryInfo says."""
    for window in read_quota_failures(failure, moment):
        if window.seconds == DAY:
            yield _of(window, moment.now)


def _google_details(failure: Failure, now: float) -> Iterator[Reset]:
    is_told = False
    per_minute = ""
    for layer in objects(failure.raw):
        for key in ("retryDelay", "quotaResetDelay", "quotaResetTimeStamp"):
            if isinstance(layer.get(key), str):
                is_told = True
                yield Reset(seconds=from_now(layer[key], now), source=key, is_model_only=True)
        quota = layer.get("quotaId")
        if isinstance(quota, str) and "perminute" in quota.lower():
            per_minute = quota
    if per_minute and not is_told:
        yield Reset(seconds=MINUTE, source=per_minute, length=MINUTE, slot=per_minute, is_model_only=True)


# Text

_TEXT = re.compile(
    r"(?:try again|retry|resets?|available(?: again)?|wait)\s*(?:in|after|for)?\s+"
    r"(?:about\s+)?((?:\d+(?:\.\d+)?\s*(?:milliseconds?|seconds?|minutes?|hours?|days?|ms|s|m|h|d)\b[\s,]*)+)",
    re.IGNORECASE,
)
_TEXT_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s*(milliseconds?|ms|days?|d|hours?|h|minutes?|m|seconds?|s)", re.IGNORECASE)
_TEXT_UNITS = {"ms": 0.001, "m": MINUTE, "s": 1.0, "h": HOUR, "d": DAY}


def _text_hint(failure: Failure) -> Iterator[Reset]:
    """``Please try again in 1.5s``, ``Resets in 2h39m``, ``retry after 20 seconds``."""
    match = _TEXT.search(re.sub(r"(\d[smhd])(?=\d)", r"\1 ", failure.message))
    if match:
        yield Reset(seconds=sum(_piece(*piece) for piece in _TEXT_PIECE.findall(match[1])), source="its text")


def _piece(amount: str, unit: str) -> float:
    unit = unit.lower()
    if unit.startswith("milli"):
        return float(amount) * 0.001
    return float(amount) * _TEXT_UNITS[unit if unit == "ms" else unit[0]]
