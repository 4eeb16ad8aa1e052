"""What this wire calls things, and how its signatures travel."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence

from proxy.hub.names import tag, untag
from proxy.hub.parts import Part, ToolCall
from proxy.hub.residue import JsonObject, JsonValue
from proxy.hub.response import Finish, FinishReason

NAME = "gemini"

BYPASS = "skip_thought_signature_validator"
"""Google's documented stand-in for the signature of a call that Gemini did not make."""
_BYPASSES = frozenset({BYPASS, "context_engineering_is_the_way_to_go"})

_REASONS: Mapping[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "LANGUAGE": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "MODEL_ARMOR": "refusal",
    "ESCALATION": "refusal",
    "IMAGE_SAFETY": "refusal",
    "IMAGE_PROHIBITED_CONTENT": "refusal",
    "IMAGE_RECITATION": "refusal",
    "IMAGE_OTHER": "refusal",
    "TOO_MANY_TOOL_CALLS": "paused",
    "MALFORMED_FUNCTION_CALL": "malformed_call",
    "UNEXPECTED_TOOL_CALL": "malformed_call",
    "MALFORMED_RESPONSE": "malformed_call",
}
_NUMBERS: Sequence[str] = (
    "FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER",
)  # fmt: skip
"""Enums may be written as numbers. Beyond these, Vertex and the Developer API count differently."""

_WORDS: Mapping[FinishReason, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "refusal": "SAFETY",
    "paused": "TOO_MANY_TOOL_CALLS",
    "malformed_call": "MALFORMED_FUNCTION_CALL",
    "other": "OTHER",
}

_BEATEN_BY_CALLS: frozenset[FinishReason] = frozenset({"stop", "paused", "malformed_call", "other"})


def finish_of(raw: JsonValue, parts: Sequence[Part]) -> Finish:
    """A call that is there beats the upstream's word, unless the answer was cut or blocked."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = _NUMBERS[raw] if 0 <= raw < len(_NUMBERS) else "OTHER"
    word = raw.upper() if isinstance(raw, str) else None
    reason = _REASONS.get(word, "other") if word is not None else "stop"
    if reason in _BEATEN_BY_CALLS and any(isinstance(part, ToolCall) for part in parts):
        reason = "tool_calls"
    return Finish(reason, word)


def finish_word(finish: Finish, *, is_home: bool) -> str:
    return finish.raw if is_home and finish.raw is not None else _WORDS[finish.reason]


def is_bypass(signature: str) -> bool:
    return signature in _BYPASSES


_TAGGED = b64encode(b"px1.")[:5].decode()  # five characters: the sixth depends on what follows


def sealed(origin: str | None, signature: str) -> str:
    """A signature for a client. Another maker's is tagged, and in base64, because `thoughtSignature` is bytes: the
    official SDKs refuse anything else.
    """
    if origin in {None, NAME}:
        return signature
    return b64encode(tag(str(origin), signature).encode("utf-8", "surrogatepass")).decode()


def unsealed(signature: str) -> tuple[str, str]:
    """The maker and the signature. SDKs write base64 in either alphabet, whichever it came in."""
    if not signature.startswith(_TAGGED):
        return NAME, signature
    standard = signature.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        text = b64decode(standard + "=" * (-len(standard) % 4)).decode("utf-8", "surrogatepass")
    except (binascii.Error, UnicodeDecodeError):
        return NAME, signature
    origin, blob = untag(text, NAME)
    return (origin, blob) if blob != text else (NAME, signature)


def nested(fields: Mapping[str, JsonValue]) -> JsonObject:
    """Residue fields of inner objects bear a dotted name (``functionCall.willContinue``): one `Loss` each, abroad."""
    body: JsonObject = {}
    for key, value in fields.items():
        head, dot, tail = key.partition(".")
        inner = body.setdefault(head, {}) if dot and head in _HOLDERS else None
        if isinstance(inner, dict):
            inner[tail] = value
        else:
            body[key] = value
    return {key: nested(value) if key in _HOLDERS and isinstance(value, dict) else value for key, value in body.items()}


_HOLDERS = frozenset({
    "systemInstruction", "generationConfig", "thinkingConfig", "toolConfig", "functionCallingConfig", "functionCall",
    "functionResponse", "inlineData", "fileData",
})  # fmt: skip


def flattened(prefix: str, fields: Mapping[str, JsonValue]) -> JsonObject:
    return {f"{prefix}.{key}": value for key, value in fields.items()}


def overlaid(body: JsonObject, extra: Mapping[str, JsonValue]) -> JsonObject:
    """`body` with `extra` in it, objects going into objects. `body` is changed."""
    for key, value in extra.items():
        held = body.get(key)
        if isinstance(held, dict) and isinstance(value, dict):
            overlaid(held, value)
        else:
            body[key] = value
    return body
