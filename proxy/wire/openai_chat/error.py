"""Errors: ``{"error": {"message", "type", "param", "code"}}``, as a body and in the middle of a stream."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.errors import Kind
from proxy.hub.events import Failure
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.fault import read_fault

_WORDS: Mapping[Kind, tuple[str, str | None]] = {
    "invalid_request": ("invalid_request_error", None),
    "authentication": ("authentication_error", "invalid_api_key"),
    "permission": ("permission_error", None),
    "not_found": ("not_found_error", None),
    "too_large": ("invalid_request_error", "request_too_large"),
    "context_length": ("invalid_request_error", "context_length_exceeded"),
    "rate_limit": ("rate_limit_error", "rate_limit_exceeded"),
    "quota": ("insufficient_quota", "insufficient_quota"),
    "overloaded": ("server_error", "server_is_overloaded"),
    "timeout": ("server_error", "timeout"),
    "unavailable": ("server_error", None),
    "server": ("server_error", None),
    "stream_corrupt": ("server_error", "stream_corrupt"),
}
"""Type and code by kind. Clients look at the code: they compact the conversation on ``context_length_exceeded``."""


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    return read_fault(status, headers, body)


def render_error(failure: Failure) -> JsonObject:
    """What came in this wire goes as it came; another's, or one of ours, in this wire's words."""
    own = _own(failure.raw)
    if own is not None:
        return own
    kind, code = _WORDS[failure.kind]
    if failure.raw is None and failure.code is not None:
        code = failure.code
    if failure.kind == "not_found" and failure.raw is not None:
        code = "model_not_found"
    return {"error": {"message": failure.message, "type": kind, "param": failure.path, "code": code}}


def _own(raw: JsonValue) -> JsonObject | None:
    """Told from Anthropic's by its outer `type`, and from Google's by its `status`."""
    error = raw.get("error") if isinstance(raw, dict) and raw.get("type") != "error" else None
    if not isinstance(error, dict) or not isinstance(error.get("message"), str) or isinstance(error.get("status"), str):
        return None
    absent: JsonObject = {"type": None, "param": None, "code": None}
    return {"error": {**absent, **error}}
