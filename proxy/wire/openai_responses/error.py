"""Errors, as OpenAI tells them: in an envelope, as the ``error`` of a failed response, or as a WebSocket frame."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from proxy.errors import Kind
from proxy.hub.events import Failure
from proxy.hub.residue import JsonObject


class _Words(NamedTuple):
    """`type` of the envelope, and the `code` where the upstream gave none that clients of this wire know."""

    type: str
    code: str | None = None


_WORDS: Mapping[Kind, _Words] = {
    "invalid_request": _Words("invalid_request_error"),
    "authentication": _Words("authentication_error", "invalid_api_key"),
    "permission": _Words("permission_error"),
    "not_found": _Words("not_found_error"),
    "too_large": _Words("invalid_request_error", "request_too_large"),
    "context_length": _Words("invalid_request_error", "context_length_exceeded"),
    "rate_limit": _Words("rate_limit_error", "rate_limit_exceeded"),
    "quota": _Words("insufficient_quota", "insufficient_quota"),
    "overloaded": _Words("server_error", "server_is_overloaded"),
    "timeout": _Words("server_error", "timeout"),
    "unavailable": _Words("server_error"),
    "server": _Words("server_error"),
    "stream_corrupt": _Words("server_error"),
}
_ACTED_UPON: frozenset[Kind] = frozenset({"context_length", "rate_limit", "overloaded"})
"""Kinds by whose code clients decide whether to compact or to wait: always told in these words."""
_STREAM_CODES: Mapping[Kind, str] = {
    "invalid_request": "invalid_prompt",
    "authentication": "invalid_prompt",
    "permission": "invalid_prompt",
    "not_found": "invalid_prompt",
    "too_large": "invalid_prompt",
}
"""Within a stream: the code of what is useless to repeat. Any other is `server_error`, and clients try again."""
_CUT: frozenset[Kind] = frozenset({"stream_corrupt", "timeout"})
"""For an answer that comes to no end the API has no code of its own, and clients try again."""
_KNOWN_TYPES = frozenset({words.type for words in _WORDS.values()} | {"usage_limit_reached", "usage_not_included"})
_TRY_AGAIN = re.compile(r"try again in", re.IGNORECASE)


def code_of(failure: Failure) -> str | None:
    words = _WORDS[failure.kind]
    return words.code if failure.kind in _ACTED_UPON else failure.code or words.code


def render_error(failure: Failure) -> JsonObject:
    error: JsonObject = {
        "message": failure.message,
        "type": failure.type if failure.type in _KNOWN_TYPES else _WORDS[failure.kind].type,
        "param": failure.path,
        "code": code_of(failure),
    }
    if failure.kind == "quota" and failure.retry_after_seconds is not None:
        # The Codex CLI knows an exhausted account by this type, and then does not ask again before the time.
        error["type"] = "usage_limit_reached"
        error["resets_in_seconds"] = round(failure.retry_after_seconds)
    if failure.kind == "quota" and failure.resets_at is not None:
        error["resets_at"] = round(failure.resets_at)
    return {"error": error}


def render_error_frame(failure: Failure) -> JsonObject:
    """On a WebSocket there is no status line, and no header: Codex reads ``headers`` for how long to wait."""
    frame: JsonObject = {"type": "error", "status": failure.status, **render_error(failure)}
    if failure.retry_after_seconds is not None:
        frame["headers"] = {"retry-after": str(max(1, math.ceil(failure.retry_after_seconds)))}
    return frame


def stream_error(failure: Failure) -> JsonObject:
    """The ``error`` of a failed response. Clients read the time to wait from its text."""
    message = failure.message
    wait = failure.retry_after_seconds
    if failure.kind == "rate_limit" and wait is not None and _TRY_AGAIN.search(message) is None:
        message = f"{message.rstrip('.')}. Please try again in {wait:g}s."
    code = "server_error" if failure.kind in _CUT else code_of(failure)
    return {"code": code or _STREAM_CODES.get(failure.kind, "server_error"), "message": message}
