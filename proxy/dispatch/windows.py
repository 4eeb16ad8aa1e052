"""Usage windows as providers tell them in passing: in the headers of every answer, in the bodies of refusals.

=================================================  =====================================================================
``anthropic-ratelimit-unified-5h-*``, ``-7d-*`` …  a subscription's windows: status, utilization (a share), reset
``anthropic-ratelimit-requests-*``, ``-tokens-*``  an API key's, of the model: limit, remaining, reset (RFC 3339)
``x-ratelimit-*-requests``, ``-tokens`` …          OpenAI's and its likes': limit, remaining, reset; some name a length
``x-codex-primary-*``, ``-secondary-*``            a ChatGPT account's: used-percent, window-minutes, reset-at
``QuotaFailure`` in a Google error                 a quota of the project and model that is used up
=================================================  =====================================================================

A window is called by its length where that is told, else by what it counts. Pure; `Window` has the caller's clock.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from auth.quota import DAY, HOUR, MINUTE, Window, window_name
from proxy.dispatch.amounts import bounded, from_now, number, until_pacific_midnight
from proxy.hub.events import Failure
from proxy.hub.residue import JsonObject, JsonValue

PREFIXES = ("anthropic-ratelimit-", "x-ratelimit-", "x-codex-")
SUBSCRIPTIONS = ("anthropic-ratelimit-unified-", "x-codex-")
"""Begin the slots of windows that are an account's: hours and days long, and worth planning with."""


@dataclass(slots=True, kw_only=True)
class Moment:
    """`now`: by the clock of the windows; `unix`: the same moment. `model`: the upstream's, that was asked."""

    now: float
    unix: float
    model: str

    def after(self, seconds: float, length: float | None = None) -> float | None:
        """None: not told. No later than a window of that length allows."""
        if not math.isfinite(seconds):
            return None
        return self.now + (bounded(seconds, length) or 0.0)


def read_windows(headers: Mapping[str, str], moment: Moment) -> list[Window]:
    lowered = {low: value for name, value in headers.items() if (low := name.lower()).startswith(PREFIXES)}
    if not lowered:
        return []
    return [window for reader in _READERS for window in reader(lowered, moment)]


def read_quota_failures(failure: Failure, moment: Moment) -> Iterator[Window]:
    """Google's. A quota per day is gone until midnight in California, one per minute for a minute."""
    for layer in objects(failure.raw):
        quota = layer.get("quotaId")
        if not isinstance(quota, str):
            continue
        for word, seconds in (("perday", until_pacific_midnight(moment.unix)), ("perminute", MINUTE)):
            if word in quota.lower():
                yield Window(
                    slot=quota,
                    name=window_name(DAY if word == "perday" else MINUTE),
                    read_at=moment.now,
                    source=quota,
                    seconds=DAY if word == "perday" else MINUTE,
                    used=1.0,
                    resets_at=moment.now + seconds,
                    models=_exactly(moment.model),
                    is_rejected=True,
                )


def _exactly(model: str) -> str:
    """A wildcard that fits this name alone."""
    return re.sub(r"([*?\[])", r"[\1]", model.lower())


# Anthropic

_UNIFIED = re.compile(r"(anthropic-ratelimit-unified-((5h|7d)(?:_([a-z0-9_]+))?))-status")
_FAMILIES = frozenset({"opus", "sonnet", "haiku", "fable"})
_UNIFIED_SECONDS = {"5h": 5 * HOUR, "7d": 7 * DAY}


def _unified(headers: Mapping[str, str], moment: Moment) -> Iterator[Window]:
    """``7d_opus`` limits the models with that in their name; other suffixes (``7d_oi``) at least the one asked."""
    for name, status in headers.items():
        match = _UNIFIED.fullmatch(name)
        if match is None:
            continue
        slot, length, family = match[1], match[3], match[4]
        models = "*"
        if family:
            is_name = family in _FAMILIES or family in moment.model.lower()
            models = f"*{family}*" if is_name else _exactly(moment.model)
        yield Window(
            slot=slot,
            name=window_name(_UNIFIED_SECONDS[length]),
            read_at=moment.now,
            source=slot,
            seconds=_UNIFIED_SECONDS[length],
            used=_share(number(headers.get(f"{slot}-utilization", ""))),
            resets_at=moment.after(from_now(headers.get(f"{slot}-reset", ""), moment.unix), _UNIFIED_SECONDS[length]),
            models=models,
            is_rejected=status == "rejected",
        )


_ANTHROPIC = re.compile(r"(anthropic-ratelimit-((?!unified)[a-z-]+))-remaining")


def _anthropic(headers: Mapping[str, str], moment: Moment) -> Iterator[Window]:
    for name, remaining in headers.items():
        match = _ANTHROPIC.fullmatch(name)
        if match:
            yield _counted(
                match[1],
                match[2],
                remaining,
                headers.get(f"{match[1]}-limit", ""),
                headers.get(f"{match[1]}-reset", ""),
                moment,
            )


# OpenAI and those who speak like it

_OPENAI = re.compile(r"x-ratelimit-remaining(-[a-z-]+)?")
_LENGTHS = {"minute": MINUTE, "hour": HOUR, "day": DAY, "month": 31 * DAY}


def _openai(headers: Mapping[str, str], moment: Moment) -> Iterator[Window]:
    """``x-ratelimit-remaining-requests``; OpenRouter's have no word behind it, Cerebras' name the length, too."""
    for name, remaining in headers.items():
        match = _OPENAI.fullmatch(name)
        if match:
            tail = match[1] or ""
            yield _counted(
                f"x-ratelimit{tail}",
                tail.strip("-") or "requests",
                remaining,
                headers.get(f"x-ratelimit-limit{tail}", ""),
                headers.get(f"x-ratelimit-reset{tail}", ""),
                moment,
            )


def _counted(slot: str, counts: str, remaining: str, limit: str, reset: str, moment: Moment) -> Window:
    left, most = number(remaining), number(limit)
    word, _, unit = counts.rpartition("-")
    seconds = _LENGTHS.get(unit)
    what = (word if seconds is not None else counts).replace("-", " ")
    used = 1.0 if left <= 0 else 1 - left / most if most > 0 else math.nan
    return Window(
        slot=slot,
        name=what if seconds is None else f"{window_name(seconds)} {what}",
        read_at=moment.now,
        source=slot,
        seconds=seconds,
        used=_share(used),
        resets_at=moment.after(from_now(reset, moment.unix), seconds),
        models=_exactly(moment.model),
    )


# Codex

_CODEX = re.compile(r"(x-codex-(?:(.+)-)?(?:primary|secondary))-used-percent")


def _codex(headers: Mapping[str, str], moment: Moment) -> Iterator[Window]:
    """A window is known by its minutes, not by its slot. Those with a name are of some models only."""
    for name, percent in headers.items():
        match = _CODEX.fullmatch(name)
        if match is None:
            continue
        slot, limited = match[1], match[2]
        minutes = number(headers.get(f"{slot}-window-minutes", ""))
        seconds = minutes * MINUTE if minutes > 0 and math.isfinite(minutes) else None
        at = number(headers.get(f"{slot}-reset-at", ""))
        after = at - moment.unix if math.isfinite(at) else number(headers.get(f"{slot}-reset-after-seconds", ""))
        yield Window(
            slot=slot,
            name=slot.removeprefix("x-codex-") if seconds is None else window_name(seconds),
            read_at=moment.now,
            source=slot,
            seconds=seconds,
            used=_share(number(percent) / 100),
            resets_at=moment.after(after, seconds),
            models=_exactly(moment.model) if limited else "*",
        )


_READERS = (_unified, _anthropic, _openai, _codex)


def _share(value: float) -> float | None:
    """None for what is no share."""
    return max(0.0, value) if math.isfinite(value) else None


def objects(value: JsonValue, depth: int = 8) -> Iterator[JsonObject]:
    """Every object inside, outermost first."""
    inner: Iterable[JsonValue] = ()
    if depth and isinstance(value, dict):
        yield value
        inner = value.values()
    elif depth and isinstance(value, list):
        inner = value
    for each in inner:
        yield from objects(each, depth - 1)
