"""Errors: parse any, render our own envelope."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.errors import Kind
from proxy.hub.events import Failure
from proxy.hub.residue import JsonObject
from proxy.wire.fault import read_fault

_TYPES: Mapping[Kind, str] = {
    "invalid_request": "invalid_request_error",
    "authentication": "authentication_error",
    "permission": "permission_error",
    "not_found": "not_found_error",
    "too_large": "request_too_large",
    "context_length": "invalid_request_error",
    "rate_limit": "rate_limit_error",
    "quota": "rate_limit_error",
    "overloaded": "overloaded_error",
    "timeout": "timeout_error",
    "unavailable": "api_error",
    "server": "api_error",
    "stream_corrupt": "api_error",
}
_OVERFLOW = "prompt is too long"
"""What clients look for before they compact the conversation."""


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    return read_fault(status, headers, body)


def render_error(failure: Failure) -> JsonObject:
    """The message keeps the upstream's words, and names the path to the fault, for which there is no other room."""
    kind = "billing_error" if failure.kind == "quota" and failure.status == 402 else _TYPES[failure.kind]
    message = failure.message
    if failure.kind == "context_length" and _OVERFLOW not in message.lower():
        message = f"{_OVERFLOW}: {message}"
    if failure.path and failure.path not in message:
        message = f"{failure.path}: {message}"
    body: JsonObject = {"type": "error", "error": {"type": kind, "message": message}}
    if failure.request_id is not None:
        body["request_id"] = failure.request_id
    return body
