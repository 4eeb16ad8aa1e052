"""Scripted quotas, told as each vendor tells them: in headers while they last, in a 429 when they are used up."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TypeAlias

from proxy.hub.residue import JsonObject
from proxy.providers.sandbox.accounts import ALLOWANCES, Allowance

_FREE = Allowance()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Where one quota stands. `reset_seconds` from now; `reset_at` in Unix seconds."""

    limit: int
    remaining: int
    reset_seconds: float
    reset_at: float
    is_exceeded: bool
    model: str


class Quotas:
    """Counts requests in fixed windows. `monotonic` and `unix` are the sandbox's clocks."""

    def __init__(self, monotonic: Callable[[], float], unix: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._unix = unix
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}

    def take(self, account: str, model: str) -> Reading | None:
        """One request; None where there is no limit. What is refused is not counted."""
        allowance = ALLOWANCES.get((account, model), _FREE)
        if not allowance.requests:
            return None
        now = self._monotonic()
        began, used = self._windows.get((account, model), (now, 0))
        if now - began >= allowance.seconds:
            began, used = now, 0
        is_exceeded = used >= allowance.requests
        used += not is_exceeded
        self._windows[account, model] = (began, used)
        left = began + allowance.seconds - now
        return Reading(
            limit=allowance.requests,
            remaining=allowance.requests - used,
            reset_seconds=left,
            reset_at=self._unix() + left,
            is_exceeded=is_exceeded,
            model=model,
        )


Telling: TypeAlias = Callable[[Reading], tuple[dict[str, str], JsonObject]]
"""Headers, and the body of the 429."""


def _anthropic(reading: Reading) -> tuple[dict[str, str], JsonObject]:
    headers = {
        "anthropic-ratelimit-requests-limit": str(reading.limit),
        "anthropic-ratelimit-requests-remaining": str(reading.remaining),
        "anthropic-ratelimit-requests-reset": _rfc3339(reading.reset_at),
    }
    if reading.is_exceeded:
        headers["retry-after"] = str(math.ceil(reading.reset_seconds))
    message = f"This request would exceed the simulated account's limit of {reading.limit} requests a minute."
    return headers, {"type": "error", "error": {"type": "rate_limit_error", "message": message}}


def _openai(reading: Reading) -> tuple[dict[str, str], JsonObject]:
    headers = {
        "x-ratelimit-limit-requests": str(reading.limit),
        "x-ratelimit-remaining-requests": str(reading.remaining),
        "x-ratelimit-reset-requests": f"{reading.reset_seconds:.3f}s",
    }
    message = (
        f"Rate limit reached for {reading.model} in the simulated organization on requests per min (RPM): "
        f"Limit {reading.limit}. Please try again in {reading.reset_seconds:.3f}s."
    )
    error: JsonObject = {"message": message, "type": "requests", "param": None, "code": "rate_limit_exceeded"}
    return headers, {"error": error}


def _gemini(reading: Reading) -> tuple[dict[str, str], JsonObject]:
    delay = f"{math.ceil(reading.reset_seconds)}s"
    violation: JsonObject = {
        "quotaMetric": "sandbox.invalid/generate_content_requests",
        "quotaId": "GenerateRequestsPerMinutePerProjectPerModel",
        "quotaDimensions": {"model": reading.model},
        "quotaValue": str(reading.limit),
    }
    error: JsonObject = {
        "code": 429,
        "message": f"The simulated project's quota for {reading.model} is exceeded. Please retry in {delay}.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
        ],
    }
    return {}, {"error": error}


def _claude(reading: Reading) -> tuple[dict[str, str], JsonObject]:
    """A subscription's, near the end of its five hours."""
    status = "rejected" if reading.is_exceeded else "allowed"
    reset = str(math.ceil(reading.reset_at))
    window = "anthropic-ratelimit-unified-5h"
    headers = {
        "anthropic-ratelimit-unified-status": status,
        "anthropic-ratelimit-unified-reset": reset,
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
        f"{window}-status": status,
        f"{window}-utilization": f"{1 - reading.remaining / reading.limit:.4g}",
        f"{window}-reset": reset,
    }
    message = "This request would exceed the simulated account's limit. Please try again later."
    return headers, {"type": "error", "error": {"type": "rate_limit_error", "message": message}}


def _codex(reading: Reading) -> tuple[dict[str, str], JsonObject]:
    reset = math.ceil(reading.reset_at)
    headers = {
        "x-codex-primary-used-percent": f"{100 - 100 * reading.remaining / reading.limit:.4g}",
        "x-codex-primary-window-minutes": "300",
        "x-codex-primary-reset-at": str(reset),
    }
    error: JsonObject = {
        "type": "usage_limit_reached",
        "message": "The simulated usage limit has been reached",
        "plan_type": "simulated",
        "resets_at": reset,
    }
    return headers, {"error": error}


TELLINGS: Mapping[str, Telling] = MappingProxyType(
    {"anthropic": _anthropic, "openai_responses": _openai, "openai_chat": _openai, "gemini": _gemini}
)
"""By wire: a key's limit."""
SUBSCRIPTIONS: Mapping[str, Telling] = MappingProxyType({**TELLINGS, "anthropic": _claude, "openai_responses": _codex})
"""By wire: a subscription's, where there are any."""


def _rfc3339(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
