"""What a client is told when nobody serves it: why, account by account, and when it is worth coming back.

Accounts by their label only; what an upstream said of an account's key or balance stays with the operator's log.
"""

from __future__ import annotations

import math

from proxy.dispatch.decision import Decision, PassedOver
from proxy.hub.events import Failure

LINES_MAX = 20
PATIENCE_SECONDS = 60.0
"""Official clients wait so long by themselves; beyond it they are told not to try again (clients.md §6)."""


def exhausted(decision: Decision, model: str) -> Failure:
    """Nobody is left. 429 where a limit will end, 503 where a fault may, or where somebody has to act."""
    wait = None if decision.returns_at is None else max(0.0, decision.returns_at - decision.now)
    lines = [_line(each, decision.now) for each in decision.passed_over[:LINES_MAX]]
    if len(decision.passed_over) > LINES_MAX:
        lines.append(f"- and {len(decision.passed_over) - LINES_MAX} more")
    is_limited = any(each.returns_at is not None and not each.is_transient for each in decision.passed_over)
    message = "\n".join((f"no account can serve {model} now:", *lines))
    if not is_limited:
        return Failure(kind="unavailable", status=503, code="no_account", message=message, retry_after_seconds=wait)
    return Failure(
        kind="quota" if wait is not None and wait > PATIENCE_SECONDS else "rate_limit",
        status=429,
        code="accounts_exhausted",
        message=message,
        retry_after_seconds=wait,
    )


def _line(each: PassedOver, now: float) -> str:
    when = "" if each.returns_at is None else f"; back in {spoken(each.returns_at - now)}"
    return f"- {each.candidate.credential.label}: {each.why}{when}"


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


def retry_headers(failure: Failure) -> tuple[tuple[str, str], ...]:
    """A true Retry-After, and for the official SDKs whether there is any point in obeying it."""
    headers = []
    wait = failure.retry_after_seconds
    if wait is not None:
        headers.append(("retry-after", str(max(1, math.ceil(wait)))))
    if failure.code in {"no_account", "accounts_exhausted"} and (wait is None or wait > PATIENCE_SECONDS):
        headers.append(("x-should-retry", "false"))
    return tuple(headers)
