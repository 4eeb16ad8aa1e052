"""Errors as each vendor tells them, and what its SDK makes of a status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import anthropic
import msgspec
import openai
from google.genai import errors as genai_errors

from proxy.hub.residue import JsonObject
from proxy.observe.recording import Recording
from tests.contract.stage import VENDORS, whole

SAID = "the tide is wrong"


def _openai(status: int) -> JsonObject:
    kinds = {429: "rate_limit_error", 500: "server_error", 529: "server_error"}
    codes = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded", 500: "server_error"}
    kind = kinds.get(status, "invalid_request_error")
    return {"error": {"message": SAID, "type": kind, "param": None, "code": codes.get(status)}}


def _anthropic(status: int) -> JsonObject:
    kinds = {
        400: "invalid_request_error",
        401: "authentication_error",
        404: "not_found_error",
        429: "rate_limit_error",
        500: "api_error",
        529: "overloaded_error",
    }
    return {"type": "error", "error": {"type": kinds[status], "message": SAID}, "request_id": "req_011Tide"}


def _gemini(status: int) -> JsonObject:
    words = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        529: "UNAVAILABLE",
    }
    return {"error": {"code": status, "message": SAID, "status": words[status]}}


_BODIES: Mapping[str, Callable[[int], JsonObject]] = MappingProxyType({
    "openai_chat": _openai,
    "openai_responses": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
})  # fmt: skip


def refusal(wire: str, status: int, *, is_stream: bool, retry_after: int | None = None) -> Recording:
    vendor = VENDORS[wire]
    headers = [("Retry-After", str(retry_after))] if retry_after is not None else []
    body = msgspec.json.encode(_BODIES[wire](status))
    told = whole(vendor.path, body, status=status, headers=headers)
    if is_stream and vendor.stream_path:
        return replace(told, request=replace(told.request, path=f"*{vendor.stream_path}"))
    return told


_OPENAI: Mapping[int, type[Exception]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    529: openai.InternalServerError,
}
ERRORS: Mapping[str, Mapping[int, type[Exception]]] = {
    "openai_chat": _OPENAI,
    "openai_responses": _OPENAI,
    "anthropic": {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
        529: anthropic.OverloadedError,
    },
    "gemini": {
        **dict.fromkeys((400, 401, 404, 429), genai_errors.ClientError),
        **dict.fromkeys((500, 529), genai_errors.ServerError),
    },
}
"""By the client's format and the status: what its SDK raises."""
SDK_ERRORS = (openai.APIError, anthropic.APIError, genai_errors.APIError)


def status_of(error: BaseException) -> int:
    if isinstance(error, genai_errors.APIError):
        return error.code
    assert isinstance(error, openai.APIStatusError | anthropic.APIStatusError)
    return error.status_code


def retry_after_of(error: BaseException) -> str | None:
    assert isinstance(error, SDK_ERRORS)
    response = getattr(error, "response", None)
    assert response is not None
    told: str | None = response.headers.get("retry-after")
    return told
