"""How a limit is told: as a refusal that says which it was and when it ends, and in the headers of each format.

==================  ====================================================================================
OpenAI, and others  ``x-ratelimit-limit-requests``, ``-remaining-``, ``-reset-`` (``1m30s``), ``-tokens``
Anthropic           ``anthropic-ratelimit-requests-limit``, ``-remaining``, ``-reset`` (RFC 3339), ``-tokens-``
all                 ``x-proxy-budget: month tokens 1200/100000, day dollars 0.25/2``
==================  ====================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from proxy.dispatch.refusal import CLIENT_BUDGET, CLIENT_LIMIT, date, spoken
from proxy.hub.events import Failure
from proxy.server.meters import Excess, Kind, Reading
from proxy.server.sliding import SECONDS
from proxy.server.spending import Amount, Balance

Headers = tuple[tuple[str, str], ...]

_WHO: Mapping[Kind, str] = {"key": "this client key", "ip": "this address", "session": "this conversation"}


def over_limit(excess: Excess, tokens: int) -> Failure:
    """`tokens`: what the request is believed to take. Coding CLIs wait for a minute, and not for the second more that a
    slot may take.
    """
    who, limit = _WHO[excess.kind], excess.limit
    wait = None if excess.wait is None else min(excess.wait, float(SECONDS))
    when = "" if wait is None else f"; try again in {spoken(wait)}"
    if excess.what == "concurrency":
        message = f"rate limit: {who} may have {limit} requests under way at a time, and has{when}"
    elif excess.what == "requests":
        message = f"rate limit: {who} may make {limit} requests a minute, and has{when}"
    elif wait is None:
        message = (
            f"this request is believed to take {tokens} tokens, and {who} may use {limit} a minute: "
            "ask for less, or raise tokens-per-minute"
        )
    else:
        message = f"rate limit: {who} may use {limit} tokens a minute, and {tokens} more do not fit now{when}"
    return Failure(kind="rate_limit", status=429, code=CLIENT_LIMIT, message=message, retry_after_seconds=wait)


def over_budget(balance: Balance, more: Amount, unix: float) -> Failure:
    """`more`: what the request is believed to take."""
    left = "is used up"
    if balance.left > 0:
        believed = f"{more.tokens} tokens" if balance.unit == "tokens" else f"${more.dollars:.4f}"
        left = f"has {_amount(balance, balance.left)} left, and this request is believed to take {believed}"
    whole = f"{_amount(balance, balance.limit)} a {balance.per}"
    resets_at = balance.resets_at
    # Qwen Code stops at the words quota, exceeded and will reset.
    when = "" if resets_at is None else f"; it will reset at {date(resets_at)}"
    return Failure(
        kind="quota",
        status=429,
        code=CLIENT_BUDGET,
        message=f"Quota exceeded: this client key's budget of {whole} {left}{when}",
        retry_after_seconds=None if resets_at is None else max(0.0, resets_at - unix),
        resets_at=resets_at,
    )


def unpriced(provider: str, model: str) -> Failure:
    return Failure(
        kind="invalid_request",
        status=400,
        code="model_unpriced",
        message=f"this client key's budget is in money, and prices.yaml has no price for {model} of {provider}; "
        "add one, or ask for a model that has one",
    )


def limit_headers(readings: Iterable[Reading], wire: str, unix: float) -> Iterator[tuple[str, str]]:
    """Of several limits of one kind, the one with the least left."""
    tightest: dict[str, Reading] = {}
    for reading in readings:
        known = tightest.get(reading.what)
        if known is None or reading.remaining < known.remaining:
            tightest[reading.what] = reading
    for what, reading in tightest.items():
        if wire == "anthropic":
            yield f"anthropic-ratelimit-{what}-limit", str(reading.limit)
            yield f"anthropic-ratelimit-{what}-remaining", str(reading.remaining)
            yield f"anthropic-ratelimit-{what}-reset", date(unix + reading.reset)
        else:
            yield f"x-ratelimit-limit-{what}", str(reading.limit)
            yield f"x-ratelimit-remaining-{what}", str(reading.remaining)
            yield f"x-ratelimit-reset-{what}", _duration(reading.reset)


def budget_header(balances: Iterable[Balance]) -> tuple[str, str]:
    told = (f"{each.per} {each.unit} {_plain(each.used)}/{_plain(each.limit)}" for each in balances)
    return "x-proxy-budget", ", ".join(told)


def _duration(seconds: float) -> str:
    """``1m30s``, as OpenAI writes it; rounded up."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _plain(amount: float) -> str:
    return f"{amount:.4f}".rstrip("0").rstrip(".")


def _amount(balance: Balance, amount: float) -> str:
    if balance.unit == "quota":
        return f"{_plain(amount)} % of its accounts' windows"
    return f"{amount:.0f} tokens" if balance.unit == "tokens" else f"${_plain(amount)}"
