"""How long: every form in which providers say when a limit ends.

Headers and bodies first, text last. Of several rejected windows the latest reset counts; a window that is not rejected
says nothing. What lies in the past, is no number or is not finite is ignored; what exceeds its window is cut to it.
Pure: `now` is Unix seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from proxy.hub.events import Failure
from proxy.hub.residue import JsonObject, JsonValue

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
WINDOW_SECONDS: Mapping[str, float] = {
    "minute": MINUTE,
    "hour": HOUR,
    "5-hour": 5 * HOUR,
    "daily": DAY,
    "weekly": 7 * DAY,
    "monthly": 31 * DAY,
}
LONGEST = 31 * DAY
SLACK = 1.05
"""A stated time may exceed its window by so much: clocks differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """`seconds` from now. `window`: its length as a word of `WINDOW_SECONDS`, empty when not told. `is_model_only`: the
    limit is of one model, not of the account. `source`: where it was read, for whoever doubts it.
    """

    seconds: float
    source: str
    window: str = ""
    is_model_only: bool = False


def read_reset(headers: Mapping[str, str], failure: Failure, now: float) -> Reset | None:
    """The one that counts, or None when nothing was said."""
    lowered = {name.lower(): value for name, value in headers.items()}
    # A window that the provider names is the truth even where a Retry-After says less (Google's per-day quota).
    for source in (_named_windows, _plain_hints, _text_hint):
        found = [kept for each in source(lowered, failure, now) if (kept := _bounded(each)) is not None]
        if found:
            return max(found, key=lambda each: each.seconds)
    return None


def _bounded(reset: Reset) -> Reset | None:
    if not math.isfinite(reset.seconds) or reset.seconds <= 0:
        return None
    limit = WINDOW_SECONDS.get(reset.window, LONGEST) * SLACK
    return reset if reset.seconds <= limit else replace(reset, seconds=limit, source=f"{reset.source}, cut")


def _named_windows(headers: Mapping[str, str], failure: Failure, now: float) -> Iterator[Reset]:
    yield from _anthropic_unified(headers, now)
    yield from _codex_windows(headers, now)
    yield from _codex_body(failure, now)
    yield from _google_daily(failure, now)


def _plain_hints(headers: Mapping[str, str], failure: Failure, now: float) -> Iterator[Reset]:
    yield from _retry_after(headers, now)
    yield from _openai_windows(headers, now)
    yield from _anthropic_windows(headers, now)
    yield from _google_details(failure, now)


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


# OpenAI and those who speak like it


_OPENAI_RESET = re.compile(r"x-ratelimit-(?:reset-([a-z-]+)|reset)")


def _openai_windows(headers: Mapping[str, str], now: float) -> Iterator[Reset]:
    """``x-ratelimit-reset-tokens: 6m0s``, counted where nothing remains. Without a unit: seconds, or a date in
    seconds or milliseconds since 1970 (OpenRouter).
    """
    for name, value in headers.items():
        match = _OPENAI_RESET.fullmatch(name)
        if match and number(headers.get(name.replace("reset", "remaining"), "")) <= 0:
            yield Reset(seconds=from_now(value, now), source=name)


_CODEX_USED = re.compile(r"x-codex-(?:.+-)?(primary|secondary)-used-percent")
_CODEX_WINDOWS = {300: "5-hour", 1440: "daily", 10080: "weekly"}


def _codex_windows(headers: Mapping[str, str], now: float) -> Iterator[Reset]:
    """``x-codex-primary-used-percent`` and its siblings. A window is known by its minutes, not by its slot."""
    for name, value in headers.items():
        if not _CODEX_USED.fullmatch(name) or not number(value) >= 100:
            continue
        stem = name.removesuffix("used-percent")
        minutes = number(headers.get(f"{stem}window-minutes", ""))
        window = _CODEX_WINDOWS.get(int(minutes), "monthly" if minutes > 10080 else "") if minutes > 0 else ""
        at = number(headers.get(f"{stem}reset-at", ""))
        after = at - now if math.isfinite(at) else number(headers.get(f"{stem}reset-after-seconds", ""))
        yield Reset(seconds=after, source=stem.rstrip("-"), window=window)


def _codex_body(failure: Failure, now: float) -> Iterator[Reset]:
    for layer in _objects(failure.raw):
        if "resets_at" in layer:
            yield Reset(seconds=from_now(layer["resets_at"], now), source="resets_at")
        if "resets_in_seconds" in layer:
            yield Reset(seconds=number(layer["resets_in_seconds"]), source="resets_in_seconds")


# Anthropic

_UNIFIED_STATUS = re.compile(r"anthropic-ratelimit-unified-(?:(.+)-)?status")
_UNIFIED_WINDOWS = {"5h": ("5-hour", False), "7d": ("weekly", False), "": ("", False), "overage": ("monthly", True)}
"""Window and whether it is of a model only. Others (``7d_oi``, ``7d_opus``) are weekly windows of some models."""


def _anthropic_unified(headers: Mapping[str, str], now: float) -> Iterator[Reset]:
    rejected: dict[str, Reset] = {}
    for name, value in headers.items():
        match = _UNIFIED_STATUS.fullmatch(name)
        if match is None or value != "rejected":
            continue
        claim = match[1] or ""
        window, is_model_only = _UNIFIED_WINDOWS.get(claim, ("weekly" if claim.startswith("7d") else "", True))
        seconds = from_now(headers.get(name.removesuffix("status") + "reset", ""), now)
        rejected[claim] = Reset(seconds=seconds, source=name, window=window, is_model_only=is_model_only)
    # The nameless one repeats the window that counts, and overage says nothing beside a window that is full.
    for claim in ("", "overage"):
        if len(rejected) > 1:
            rejected.pop(claim, None)
    yield from rejected.values()


_ANTHROPIC_RESET = re.compile(r"anthropic-ratelimit-((?!unified)[a-z-]+)-reset")


def _anthropic_windows(headers: Mapping[str, str], now: float) -> Iterator[Reset]:
    """``anthropic-ratelimit-input-tokens-reset``, RFC 3339, counted where nothing remains."""
    for name, value in headers.items():
        match = _ANTHROPIC_RESET.fullmatch(name)
        if match and number(headers.get(f"anthropic-ratelimit-{match[1]}-remaining", "")) <= 0:
            yield Reset(seconds=from_now(value, now), source=name)


# Google


def _google_daily(failure: Failure, now: float) -> Iterator[Reset]:
    """A quota per day is gone until midnight in California, whatever RetryInfo says."""
    for layer in _objects(failure.raw):
        quota = layer.get("quotaId")
        if isinstance(quota, str) and "perday" in quota.lower():
            yield Reset(seconds=until_pacific_midnight(now), source=quota, window="daily", is_model_only=True)


def _google_details(failure: Failure, now: float) -> Iterator[Reset]:
    is_told = False
    per_minute = ""
    for layer in _objects(failure.raw):
        for key in ("retryDelay", "quotaResetDelay", "quotaResetTimeStamp"):
            if isinstance(layer.get(key), str):
                is_told = True
                yield Reset(seconds=from_now(layer[key], now), source=key, is_model_only=True)
        quota = layer.get("quotaId")
        if isinstance(quota, str) and "perminute" in quota.lower():
            per_minute = quota
    if per_minute and not is_told:
        yield Reset(seconds=MINUTE, source=per_minute, window="minute", is_model_only=True)


# Text

_TEXT = re.compile(
    r"(?:try again|retry|resets?|available(?: again)?|wait)\s*(?:in|after|for)?\s+"
    r"(?:about\s+)?((?:\d+(?:\.\d+)?\s*(?:milliseconds?|seconds?|minutes?|hours?|days?|ms|s|m|h|d)\b[\s,]*)+)",
    re.IGNORECASE,
)
_TEXT_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s*(milliseconds?|ms|days?|d|hours?|h|minutes?|m|seconds?|s)", re.IGNORECASE)
_TEXT_UNITS = {"ms": 0.001, "mi": MINUTE, "m": MINUTE, "s": 1.0, "h": HOUR, "d": DAY}


def _text_hint(_headers: Mapping[str, str], failure: Failure, _now: float) -> Iterator[Reset]:
    """``Please try again in 1.5s``, ``Resets in 2h39m``, ``retry after 20 seconds``."""
    match = _TEXT.search(re.sub(r"(\d[smhd])(?=\d)", r"\1 ", failure.message))
    if match:
        yield Reset(seconds=sum(_piece(*piece) for piece in _TEXT_PIECE.findall(match[1])), source="its text")


def _piece(amount: str, unit: str) -> float:
    unit = unit.lower()
    if unit.startswith("milli"):
        return float(amount) * 0.001
    return float(amount) * _TEXT_UNITS[unit if unit == "ms" else unit[0]]


# Numbers and dates


def number(value: JsonValue) -> float:
    """NaN for whatever is none: a comparison with it is false, and `_bounded` drops it."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)(ms|s))?"
)


def duration(value: str) -> float:
    """``6m0s``, ``20ms``, ``1h2m3.5s``, ``34.07s``. NaN for anything else."""
    match = _DURATION.fullmatch(value.strip())
    if match is None or not any(match.groups()):
        return math.nan
    days, hours, minutes, last, unit = match.groups()
    seconds = float(last or 0) * (0.001 if unit == "ms" else 1.0)
    return float(days or 0) * DAY + float(hours or 0) * HOUR + float(minutes or 0) * MINUTE + seconds


def from_now(value: JsonValue, now: float) -> float:
    """Seconds from now: a duration, a number of seconds, a date since 1970 in seconds or milliseconds, RFC 3339."""
    plain = number(value)
    if not math.isnan(plain):
        if plain > 1e11:
            return plain / 1000 - now
        return plain - now if plain > 1e9 else plain
    if not isinstance(value, str):
        return math.nan
    try:
        return datetime.fromisoformat(value.strip()).timestamp() - now
    except (ValueError, OverflowError):
        return duration(value)


def http_date(value: str) -> float | None:
    """The three formats of RFC 9110 §5.6.7, in Unix seconds."""
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def until_pacific_midnight(now: float) -> float:
    """Google's days end at 00:00 in Los Angeles. By rule, as not every machine has a database of time zones: summer
    time (UTC−7) from the second Sunday of March, 10:00 UTC, to the first of November, 09:00 UTC.
    """
    moment = datetime.fromtimestamp(now, UTC)
    begins = _sunday(moment.year, 3, 2) + timedelta(hours=10)
    ends = _sunday(moment.year, 11, 1) + timedelta(hours=9)
    local = moment - timedelta(hours=7 if begins <= moment < ends else 8)
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - local).total_seconds()


def _sunday(year: int, month: int, nth: int) -> datetime:
    first = datetime(year, month, 1, tzinfo=UTC)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (nth - 1))


def until_month_ends(now: float) -> float:
    moment = datetime.fromtimestamp(now, UTC)
    following = (moment.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (following - moment).total_seconds()


def _objects(value: JsonValue, depth: int = 8) -> Iterator[JsonObject]:
    """Every object inside, outermost first."""
    if depth and isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner, depth - 1)
    elif depth and isinstance(value, list):
        for inner in value:
            yield from _objects(inner, depth - 1)
