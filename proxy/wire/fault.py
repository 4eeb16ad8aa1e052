"""What an upstream says when something went wrong, in whatever shape: its own envelope, another's, HTML, nothing.

Providers stand behind gateways, and gateways behind others: an Anthropic endpoint answers with nginx's HTML, an OpenAI
one with FastAPI's ``detail``, Code Assist with JSON inside a JSON string. So all wires read errors here, and each
renders its own.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime

from proxy.errors import Kind
from proxy.hub.events import Failure
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.base import loads_upstream

TEXT_CHARS_MAX = 500
"""What is quoted of a body that is no JSON."""
NESTING_MAX = 4
"""Errors inside JSON strings inside errors: how deep."""

STATUS: Mapping[Kind, int] = {
    "invalid_request": 400,
    "authentication": 401,
    "permission": 403,
    "not_found": 404,
    "too_large": 413,
    "context_length": 400,
    "rate_limit": 429,
    "quota": 429,
    "overloaded": 529,
    "timeout": 504,
    "unavailable": 503,
    "server": 500,
    "stream_corrupt": 502,
}
"""The status of an error that came inside a 200."""

_KIND_OF_STATUS: Mapping[int, Kind] = {
    401: "authentication",
    402: "quota",
    403: "permission",
    404: "not_found",
    408: "timeout",
    413: "too_large",
    429: "rate_limit",
    500: "server",
    502: "unavailable",
    503: "unavailable",
    504: "timeout",
    524: "timeout",
    529: "overloaded",
}

_KIND_OF_WORD: Mapping[str, Kind] = {
    # Told by `code`, `type`, `status`, or the `reason` of an ErrorInfo.
    "context_length_exceeded": "context_length",
    "too_many_prompt_tokens": "context_length",
    "insufficient_quota": "quota",
    "usage_limit_reached": "quota",
    "usage_not_included": "quota",
    "billing_error": "quota",
    "billing_hard_limit_reached": "quota",
    "quota_exhausted": "quota",
    "invalid_api_key": "authentication",
    "api_key_invalid": "authentication",
    "authentication_error": "authentication",
    "unauthenticated": "authentication",
    "model_not_found": "not_found",
    "not_found_error": "not_found",
    "not_found": "not_found",
    "permission_error": "permission",
    "permission_denied": "permission",
    "request_too_large": "too_large",
    "overloaded_error": "overloaded",
    "server_is_overloaded": "overloaded",
    "model_capacity_exhausted": "overloaded",
    "slow_down": "overloaded",
    "unavailable": "overloaded",
    "rate_limit_error": "rate_limit",
    "rate_limit_exceeded": "rate_limit",
    "too_many_requests": "rate_limit",
    "resource_exhausted": "rate_limit",
    "timeout_error": "timeout",
    "deadline_exceeded": "timeout",
    "api_error": "server",
    "server_error": "server",
    "internal_server_error": "server",
    "internal": "server",
    "invalid_request_error": "invalid_request",
    "invalid_argument": "invalid_request",
    "failed_precondition": "invalid_request",
}
_VAGUE: frozenset[Kind] = frozenset({"invalid_request", "server"})
"""Kinds that a status or a better word may overrule (OpenAI calls a bad key `invalid_request_error`)."""

_TOO_LONG = re.compile(
    r"prompt is too long|context_length_exceeded|maximum context length|context window"
    r"|exceeds the maximum number of tokens|input (token count|is too long)|too many (input|prompt) tokens",
    re.IGNORECASE,
)
_BAD_KEY = re.compile(r"incorrect api key|invalid (x-)?api[ -]key|api key not valid", re.IGNORECASE)
_DAILY = re.compile(r"PerDay|per day|daily", re.IGNORECASE)
_DELAY = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)(ms|s))?", re.IGNORECASE)
_TRY_AGAIN = re.compile(rf"(?:try again|retry) in {_DELAY.pattern}", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)


def read_fault(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """An error answer. `headers` in any case; a status below 400 means that the error came inside a success."""
    try:
        value = loads_upstream(body)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict | list):
        return fault_of(value, status=status, headers=headers)
    text = value if isinstance(value, str) else plain_text(body.decode("utf-8", "replace"))
    return replace(fault_of({"message": text} if text else {}, status=status, headers=headers), raw=None)


def fault_of(value: JsonValue, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> Failure:
    """The same for JSON that is already read, as in the middle of a stream. `status` None: it follows from the kind."""
    layers = list(_layers(value, NESTING_MAX))
    lowered = {name.lower(): text for name, text in (headers or {}).items()}
    speaker = next((layer for layer in reversed(layers) if _message(layer)), layers[-1] if layers else {})
    message = _message(speaker)
    told = status if status is not None and status >= 400 else _status(layers)
    kind = _kind(layers, message or "", told)
    status = told or STATUS[kind]
    return Failure(
        kind=kind,
        message=message or f"the upstream answered with status {status} and no explanation",
        status=status,
        code=_word(speaker, "code") or next(_reasons(speaker), None),
        type=_word(speaker, "type", "status"),
        path=_word(speaker, "param"),
        retry_after_seconds=_retry_after(lowered, layers, message or ""),
        request_id=lowered.get("request-id") or lowered.get("x-request-id") or _request_id(layers),
        raw=value,
    )


def plain_text(text: str) -> str:
    """What a human would read in an HTML page (its title, if it has one), or the text itself; not too much of it."""
    if "<" in text and ">" in text:
        title = _TITLE.search(text)
        text = html.unescape(title[1] if title else _TAG.sub(" ", text))
    text = " ".join(text.split())
    return text if len(text) <= TEXT_CHARS_MAX else text[:TEXT_CHARS_MAX] + "…"


def _layers(value: JsonValue, depth: int) -> Iterator[JsonObject]:
    """The objects that speak of the error, outermost first."""
    if isinstance(value, list):
        value = next((item for item in value if isinstance(item, dict)), None)
    if isinstance(value, str):
        value = _nested(value)
    if not isinstance(value, dict) or not depth:
        return
    yield value
    for key in ("response", "error", "detail", "errors", "message"):
        inner = value.get(key)
        if isinstance(inner, dict | list) or (isinstance(inner, str) and inner.lstrip()[:1] in {"{", "["}):
            yield from _layers(inner, depth - 1)


def _nested(text: str) -> JsonValue:
    try:
        return loads_upstream(text.encode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None


def _message(layer: JsonObject) -> str | None:
    for key in ("message", "msg", "error", "detail", "error_description", "errorMessage"):
        text = layer.get(key)
        if isinstance(text, str) and text.strip() and not isinstance(_nested(text), dict | list):
            return text
    return None


def _word(layer: JsonObject, *keys: str) -> str | None:
    """The first word under one of `keys`; numbers are statuses, not words, and ``error`` says nothing."""
    words = (layer.get(key) for key in keys)
    return next((word for word in words if isinstance(word, str) and word not in {"", "error"}), None)


def _request_id(layers: list[JsonObject]) -> str | None:
    return next((word for layer in layers if (word := _word(layer, "request_id"))), None)


def _status(layers: list[JsonObject]) -> int | None:
    for layer in reversed(layers):
        for key in ("status", "code", "status_code"):
            number = layer.get(key)
            if isinstance(number, int) and not isinstance(number, bool) and 400 <= number <= 599:
                return number
    return None


def _words(layers: list[JsonObject]) -> Iterator[str]:
    for layer in reversed(layers):
        yield from _reasons(layer)  # finer than Google's status
        yield from (word for key in ("code", "type", "status") if (word := _word(layer, key)))


def _reasons(layer: JsonObject) -> Iterator[str]:
    return (reason for detail in _details(layer) if isinstance(reason := detail.get("reason"), str))


def _details(layer: JsonObject) -> list[JsonObject]:
    details = layer.get("details")
    return [item for item in details if isinstance(item, dict)] if isinstance(details, list) else []


def _kind(layers: list[JsonObject], message: str, status: int | None) -> Kind:
    kinds = [kind for word in _words(layers) if (kind := _KIND_OF_WORD.get(word.lower().replace("-", "_")))]
    by_status = _KIND_OF_STATUS.get(status or 0)
    precise = next((kind for kind in kinds if kind not in _VAGUE), None)
    if (precise or "invalid_request") in {"invalid_request", "too_large"} and _TOO_LONG.search(message):
        return "context_length"
    if precise == "rate_limit" and any(_DAILY.search(str(detail)) for layer in layers for detail in _details(layer)):
        return "quota"
    if precise is None and _BAD_KEY.search(message):
        return "authentication"
    if precise or by_status:
        return precise or by_status or "server"
    return kinds[0] if kinds else "invalid_request" if status is not None and status < 500 else "server"


def _retry_after(headers: Mapping[str, str], layers: list[JsonObject], message: str) -> float | None:
    """In seconds: from headers, else from the body, else from its text."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = _number(headers.get(name))
        if seconds is not None:
            return seconds * unit
    dated = _until(headers.get("retry-after"), headers.get("date"))
    if dated is not None:
        return dated
    for layer in reversed(layers):
        for candidate in (layer.get("resets_in_seconds"), layer.get("retry_after"), layer.get("retry_after_seconds")):
            seconds = _number(candidate)
            if seconds is not None:
                return seconds
        for detail in _details(layer):
            metadata = detail.get("metadata")
            reset = metadata.get("quotaResetDelay") if isinstance(metadata, dict) else None  # Code Assist
            for delay in (detail.get("retryDelay"), reset):
                if isinstance(delay, str) and (seconds := _duration(_DELAY.fullmatch(delay))) is not None:
                    return seconds
    return _duration(_TRY_AGAIN.search(message))


def _duration(match: re.Match[str] | None) -> float | None:
    """``2h39m``, ``12.5s``, ``540ms`` in seconds."""
    if match is None or not any(match.groups()):
        return None
    hours, minutes, number, unit_name = match.groups()
    last = float(number or 0) * (0.001 if unit_name == "ms" else 1.0)
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + last


def _number(value: JsonValue) -> float | None:
    """A finite number that is not negative, also when it is written as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _until(retry_after: str | None, date: str | None) -> float | None:
    """Retry-After as an HTTP date, measured from the answer's own Date: nobody's clock but the upstream's counts."""
    if not retry_after or not date:
        return None
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - parsedate_to_datetime(date)).total_seconds())
    except (TypeError, ValueError):
        return None
