"""Errors, in Google's envelope (`google.rpc.Status` as JSON)."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.errors import Kind
from proxy.hub.events import Failure
from proxy.hub.residue import JsonObject, JsonValue

_TYPE = "type.googleapis.com/google.rpc."

_STATUSES: Mapping[Kind, str] = {
    "invalid_request": "INVALID_ARGUMENT",
    "authentication": "UNAUTHENTICATED",
    "permission": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "too_large": "INVALID_ARGUMENT",
    "context_length": "INVALID_ARGUMENT",
    "rate_limit": "RESOURCE_EXHAUSTED",
    "quota": "RESOURCE_EXHAUSTED",
    "overloaded": "UNAVAILABLE",
    "timeout": "DEADLINE_EXCEEDED",
    "unavailable": "UNAVAILABLE",
    "server": "INTERNAL",
    "stream_corrupt": "INTERNAL",
}
_WAITED_FOR: Mapping[Kind, str] = {"rate_limit": "RATE_LIMIT_EXCEEDED", "quota": "QUOTA_EXHAUSTED"}
"""Reasons by which Gemini CLI decides between waiting as long as RetryInfo says and giving up at once."""
_DOMAIN = "cloudcode-pa.googleapis.com"
"""It reads those reasons of this domain only."""
_TOO_LONG = "exceeds the maximum number of tokens"
"""What Gemini's clients look for before they compact."""


def render_error(failure: Failure) -> JsonObject:
    error: JsonObject = {
        "code": failure.status,
        "message": _message(failure),
        "status": _own(failure, "status") or _STATUSES[failure.kind],
    }
    details = _own(failure, "details")
    if details is None:
        details = _details(failure) or None
    if details is not None:
        error["details"] = details
    return {"error": error}


def _message(failure: Failure) -> str:
    if failure.kind == "context_length" and _TOO_LONG not in failure.message:
        return f"The input token count {_TOO_LONG} allowed. {failure.message}"
    return failure.message


def _own(failure: Failure, key: str) -> JsonValue:
    """A Google upstream's own words: which quota it was tells a client whether waiting helps."""
    raw = failure.raw[0] if isinstance(failure.raw, list) and failure.raw else failure.raw
    error = raw.get("error") if isinstance(raw, dict) else None
    if not isinstance(error, dict) or error.get("code") != failure.status or not isinstance(error.get("status"), str):
        return None
    return error.get(key)


def _details(failure: Failure) -> list[JsonValue]:
    details: list[JsonValue] = []
    if failure.retry_after_seconds is not None:
        delay = f"{failure.retry_after_seconds:.3f}".rstrip("0").rstrip(".")
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{delay}s"})
    if failure.path is not None:
        violation: JsonObject = {"field": failure.path, "description": failure.message}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    known = _WAITED_FOR.get(failure.kind) if failure.retry_after_seconds is not None else None
    if known is not None:
        details.append({"@type": f"{_TYPE}ErrorInfo", "reason": known, "domain": _DOMAIN})
    elif failure.code is not None:
        details.append({"@type": f"{_TYPE}ErrorInfo", "reason": failure.code.upper()})
    return details
