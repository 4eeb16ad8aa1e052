"""What a client is told when nobody serves it: why, account by account, and when it is worth coming back.

Accounts by their label only; what an upstream said of an account's key or balance stays with the operator's log.
Shaped so that clients do the sensible thing (official-clis.md §3.6): seconds are waited for by all of them; of a limit
for hours they are told in the words by which each of them knows that asking again is useless.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from auth.quota import HOUR
from proxy.dispatch.decision import Decision, PassedOver
from proxy.hub.events import Failure

LINES_MAX = 20
PATIENCE_SECONDS = 60.0
"""Official clients wait so long by themselves; beyond it they are told not to try again (clients.md §6)."""
BUSY_SECONDS = 2.0
"""When everybody has as much under way as may be: about so long a request takes to make room."""
EXHAUSTED = "accounts_exhausted"
NO_ACCOUNT = "no_account"
CLIENT_LIMIT = "client_rate_limit"
CLIENT_BUDGET = "client_budget_exhausted"
"""The client key's own, in the server (`proxy.server.limits`)."""
_LIMITS = frozenset({EXHAUSTED, CLIENT_LIMIT, CLIENT_BUDGET})
_OBEDIENT = ("opencode/",)
"""User agents that sleep for as long as a 429 tells them, be it hours, and repeat it for minutes when it tells nothing;
whether a message says *rate limit* counts as much as the status.
"""


def exhausted(decision: Decision, model: str, *, unix: float) -> Failure:
    """Nobody is left. 429 where a limit will end, 503 where a fault may, or where somebody has to act."""
    wait = None if decision.returns_at is None else max(0.0, decision.returns_at - decision.now)
    if decision.is_busy:
        wait = min(wait or BUSY_SECONDS, BUSY_SECONDS)
    is_limited = decision.is_busy or any(not each.is_transient for each in decision.returning)
    is_long = wait is not None and wait > PATIENCE_SECONDS
    headline = f"no account can serve {model} now:"
    resets_at = None
    if wait is not None and is_long and _first(decision).is_quota:
        resets_at = unix + wait
        # Qwen Code stops at the words quota, exceeded and will reset.
        headline = f"Quota exceeded: no account can serve {model} now; the first will reset at {date(resets_at)}:"
    return Failure(
        kind=("quota" if is_long else "rate_limit") if is_limited else "unavailable",
        status=429 if is_limited else 503,
        code=EXHAUSTED if is_limited else NO_ACCOUNT,
        message="\n".join((headline, *_lines(decision))),
        retry_after_seconds=wait,
        resets_at=resets_at,
    )


def unswitched(tired: PassedOver, *, now: float, unix: float) -> Failure:
    """The account whose turn it was has used up its quota, and no other may be asked instead."""
    wait = None if tired.returns_at is None else max(0.0, tired.returns_at - now)
    headline = "Quota exceeded, and quota-exceeded.switch-project lets no other account serve this request:"
    return Failure(
        kind="quota",
        status=429,
        code=EXHAUSTED,
        message=f"{headline}\n{_line(tired, now)}",
        retry_after_seconds=wait,
        resets_at=None if wait is None else unix + wait,
    )


def together(failures: list[Failure]) -> Failure:
    """Of a model and then of those that were to go on in its place: the first one's, with the others' words."""
    first = failures[0]
    waits = [each.retry_after_seconds for each in failures if each.retry_after_seconds is not None]
    message = "\n".join(dict.fromkeys(each.message for each in failures))
    return replace(first, message=message, retry_after_seconds=min(waits, default=None))


def _first(decision: Decision) -> PassedOver:
    """To return."""
    return min(decision.returning, key=lambda each: math.inf if each.returns_at is None else each.returns_at)


def _lines(decision: Decision) -> Iterator[str]:
    for each in decision.passed_over[:LINES_MAX]:
        yield _line(each, decision.now)
    if len(decision.passed_over) > LINES_MAX:
        yield f"- and {len(decision.passed_over) - LINES_MAX} more"


def _line(each: PassedOver, now: float) -> str:
    word = "asked again" if each.is_refused else "back"
    when = "" if each.returns_at is None else f"; {word} in {spoken(each.returns_at - now)}"
    return f"- {each.candidate.credential.label}: {each.why}{when}"


def date(unix: float) -> str:
    return datetime.fromtimestamp(math.ceil(unix), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def spoken(seconds: float) -> str:
    """``12 s``, ``5 min``, ``2 h 39 min``, ``3 d 4 h``: rounded up."""
    whole = max(1, math.ceil(seconds))
    if whole < 120:
        return f"{whole} s"
    minutes = -(-whole // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def for_client(failure: Failure, client: Mapping[str, str]) -> Failure:
    """`client`: its headers. Whoever obeys to the hour is told by a status that nobody waits for, in one line."""
    wait = failure.retry_after_seconds
    agent = client.get("user-agent", "").lower()
    if wait is None or wait <= PATIENCE_SECONDS or not any(each in agent for each in _OBEDIENT):
        return failure
    if failure.code not in _LIMITS:
        return replace(failure, retry_after_seconds=None)
    headline = failure.message.partition("\n")[0].removesuffix(":")
    return replace(failure, status=402, retry_after_seconds=None, message=f"{headline} (in {spoken(wait)})")


def retry_headers(failure: Failure, wire: str) -> Iterator[tuple[str, str]]:
    """A true Retry-After, and for the official SDKs whether there is any point in obeying it. `wire`: the client's."""
    wait = failure.retry_after_seconds
    if wait is not None:
        yield "retry-after", str(max(1, math.ceil(wait)))
    if failure.code in {NO_ACCOUNT, *_LIMITS} and (wait is None or wait > PATIENCE_SECONDS):
        yield "x-should-retry", "false"
    if wire == "anthropic" and failure.code in _LIMITS and failure.kind == "quota" and failure.resets_at is not None:
        # Claude Code with a subscription's token shows its user when the limit ends; these are the pool's values.
        claim = "five_hour" if wait is not None and wait <= 5 * HOUR else "seven_day"
        yield "anthropic-ratelimit-unified-status", "rejected"
        yield "anthropic-ratelimit-unified-reset", str(math.ceil(failure.resets_at))
        yield "anthropic-ratelimit-unified-representative-claim", claim
