"""Reasoning in assistant messages, in the vendors' ways: `reasoning_content` (deepseek, kimi, zai, xai, alibaba),
`reasoning` (groq, cerebras, openrouter) and `reasoning_details` (openrouter), which alone has room for signatures.

A signature of ours is the text of the whole `reasoning_details`: its maker wants them back as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from typing import TypeAlias

from proxy.hub.names import tag, untag
from proxy.hub.parts import Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.base import dumps, loads
from proxy.wire.fields import Fields
from proxy.wire.openai_chat.words import NAME

TEXT_KEYS = ("reasoning_content", "reasoning")
DETAILS = "reasoning_details"
KEYS = (*TEXT_KEYS, DETAILS)
_DETAIL_TEXTS = ("text", "summary")
_BLOBS = ("signature", "data")
_ENCRYPTED = "reasoning.encrypted"

_FORMATS: Mapping[str, str] = {
    "anthropic": "anthropic-claude-v1",
    "openai_responses": "openai-responses-v1",
    "gemini": "google-gemini-v1",
}
"""What OpenRouter calls the makers' signatures."""

Details: TypeAlias = list[JsonObject]
CallSignatures: TypeAlias = dict[str, tuple[str, str]]
"""Signatures of tool calls, by call id: origin and blob."""


def take_thinking(fields: Fields, *, origin: str, is_client: bool) -> tuple[list[Thinking], CallSignatures]:
    """All reasoning of one message. From a client, blobs may be another maker's, and tagged; those of calls come with
    the ids of the calls.
    """
    call_ids = [call.get("id") for call in details_of(fields.peek("tool_calls"))]
    written: JsonObject = {}
    for key in TEXT_KEYS:
        if fields.peek(key):
            written[key] = fields.take_str(key)
    if details_of(fields.peek(DETAILS)):
        written[DETAILS] = fields.take_list(DETAILS)
    details = details_of(written.get(DETAILS))
    if is_client:
        parts, signatures = _sorted(details, call_ids)
    else:
        parts, signatures = [], {}
    own = [detail for detail in details if not is_client or _maker(detail)[0] == NAME]
    text = next((text for key in TEXT_KEYS if isinstance(text := written.get(key), str)), None)
    if own or (written and not parts):
        parts.insert(0, native(own, text if not parts else None, origin=origin))
    if parts:
        shapes: list[JsonObject] = [written, *({} for _ in parts[1:])]
        parts = [
            replace(part, residue=Residue(wire=NAME, shape={"written": shape}))
            for part, shape in zip(parts, shapes, strict=True)
        ]
    return parts, signatures


def native(details: Details, text: str | None, *, origin: str) -> Thinking:
    """One thought, whatever the number of its details."""
    sections = (text,) if text else tuple(told for detail in details if (told := detail_text(detail)))
    return Thinking(
        sections=sections,
        signature=sealed(details),
        is_redacted=bool(details) and not sections,
        origin=origin,
    )


def details_of(value: JsonValue) -> Details:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def detail_text(detail: JsonObject) -> str:
    return next((text for key in _DETAIL_TEXTS if isinstance(text := detail.get(key), str)), "")


def sealed(details: Details) -> str | None:
    """None where nothing needs to come back."""
    return dumps(details).decode() if count_blobs(details) else None


def unsealed(thinking: Thinking) -> Details:
    """The details of a signature, of this wire's or of another's making."""
    try:
        details = details_of(loads(thinking.signature or ""))
    except (ValueError, RecursionError):
        details = []
    if details:
        return details
    is_encrypted = thinking.is_redacted or not thinking.text
    return [_detail(thinking.text, thinking.signature, is_encrypted=is_encrypted)] if thinking.signature else []


def _maker(detail: JsonObject, native: str = NAME) -> tuple[str, str | None]:
    blob = next((blob for key in _BLOBS if isinstance(blob := detail.get(key), str)), None)
    return untag(blob, native) if blob is not None else (native, None)


def count_blobs(details: Details) -> int:
    return sum(isinstance(detail.get(key), str) for detail in details for key in _BLOBS)


def _sorted(details: Details, call_ids: Container[JsonValue]) -> tuple[list[Thinking], CallSignatures]:
    """The tagged ones: each is a thought of its maker's, or the signature of the call whose id it bears."""
    parts: list[Thinking] = []
    signatures: CallSignatures = {}
    for detail in details:
        origin, blob = _maker(detail)
        if origin == NAME or blob is None:
            continue
        text, call_id = detail_text(detail), detail.get("id")
        if isinstance(call_id, str) and call_id in call_ids:
            signatures[call_id] = (origin, blob)
        else:
            parts.append(
                Thinking(
                    sections=(text,) if text else (),
                    signature=blob,
                    is_redacted=detail.get("type") == _ENCRYPTED,
                    origin=origin,
                )
            )
    return parts, signatures


def _detail(text: str, blob: str | None, *, is_encrypted: bool, **more: JsonValue) -> JsonObject:
    """A signed thought may have no text to show (Anthropic's ``display: omitted``), and is not an encrypted one."""
    if is_encrypted:
        return {"type": _ENCRYPTED, "data": blob, **more}
    return {"type": "reasoning.text", "text": text, **({"signature": blob} if blob is not None else {}), **more}


def details_for_client(part: Thinking | ToolCall, index: int) -> Details:
    """For a client that knows `reasoning_details`. Blobs of other makers are tagged."""
    blob = part.signature
    if blob is not None and part.origin not in {NAME, None}:
        blob = tag(part.origin or NAME, blob)
    more: JsonObject = {"format": _FORMATS.get(part.origin or "", "unknown"), "index": index}
    if isinstance(part, ToolCall):
        return [_detail("", blob, is_encrypted=True, id=part.id, **more)] if blob is not None else []
    if part.origin in {NAME, None} and part.signature is not None:
        return unsealed(part)
    return [_detail(part.text, blob, is_encrypted=part.is_redacted, **more)] if part.text or blob is not None else []


def mapped(details: Details, native: str, blob_of: Callable[[str, str], str | None]) -> Details:
    """The details with each blob as `blob_of(origin, blob)` has it; those without one lose it, or go with it. Blobs
    without a tag are `native`'s.
    """
    kept: Details = []
    for detail in details:
        origin, blob = _maker(detail, native)
        if blob is None:
            kept.append(detail)
            continue
        key = next(key for key in _BLOBS if isinstance(detail.get(key), str))
        allowed = blob_of(origin, blob)
        if allowed is not None:
            kept.append({**detail, key: allowed})
        elif detail_text(detail):
            kept.append({name: value for name, value in detail.items() if name != key})
    return kept


class DetailJoiner:
    """`reasoning_details` that come in pieces: those of one type and index, one after the other, are one."""

    __slots__ = ("_details", "_pieces")

    def __init__(self) -> None:
        self._details: Details = []
        self._pieces: list[dict[str, list[str]]] = []

    def feed(self, detail: JsonObject) -> None:
        last = self._details[-1] if self._details else None
        if last is None or any(last.get(key) != detail.get(key) for key in ("type", "index")):
            self._details.append({})
            self._pieces.append({})
        held, pieces = self._details[-1], self._pieces[-1]
        for key, value in detail.items():
            if key in _DETAIL_TEXTS and isinstance(value, str):
                pieces.setdefault(key, []).append(value)
                held[key] = ""
            elif value is not None or key not in held:
                held[key] = value

    def finish(self) -> Details:
        for held, pieces in zip(self._details, self._pieces, strict=True):
            held.update({key: "".join(texts) for key, texts in pieces.items()})
        return self._details
