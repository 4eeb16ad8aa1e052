"""What messages and answers are made of.

Each part has an `origin`: the maker of whatever only its maker can read (a signature, an encrypted thought). A maker
is named like a wire (``anthropic``, ``openai_responses``, ``gemini``) or like a provider that signs in its own way.
A renderer writes such things only for the same maker, or tagged (`proxy.hub.names.tag`) for a client that will
bring them back.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Literal, TypeAlias

from proxy.hub.residue import JsonValue, Residue
from proxy.hub.values import dataclass

MediaKind: TypeAlias = Literal["image", "document", "audio", "video"]
CacheTime: TypeAlias = Literal["5m", "30m", "1h", "12h", "default"]


@dataclass(frozen=True, slots=True)
class CacheMark:
    """The prompt up to and including the part that carries it is worth caching."""

    time: CacheTime = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    text: str
    signature: str | None = None
    """Gemini signs visible text, too. That never makes it thinking."""
    origin: str | None = None
    cache: CacheMark | None = None
    residue: Residue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """Reasoning. `sections` is what may be shown, in order (OpenAI summarises in several); often empty.

    `signature` proves or encrypts it for its maker. `is_redacted`: there is only the encrypted form.
    """

    sections: tuple[str, ...] = ()
    signature: str | None = None
    is_redacted: bool = False
    origin: str | None = None
    cache: CacheMark | None = None
    residue: Residue | None = None

    @property
    def text(self) -> str:
        return "\n\n".join(self.sections)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """The model asks the caller to run a tool.

    `arguments` is JSON text of an object (``{}`` when there are none), exactly as the model wrote it; free text where
    `is_custom` (OpenAI's custom tools).
    """

    id: str
    name: str
    arguments: str = "{}"
    is_custom: bool = False
    signature: str | None = None
    """Gemini signs calls."""
    origin: str | None = None
    cache: CacheMark | None = None
    residue: Residue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """Exactly one of `data` (base64 text), `url` and `file_id` is set. A `file_id` belongs to `origin`."""

    kind: MediaKind
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    name: str | None = None
    detail: str | None = None
    """``low``, ``high``, ``auto``, ``original``: how closely an image is looked at."""
    origin: str | None = None
    cache: CacheMark | None = None
    residue: Residue | None = None

    @property
    def plain_text(self) -> str | None:
        """What a plain-text document says, for wires that have it as text; None for other media."""
        if self.data is None or not (self.media_type or "").startswith("text/"):
            return None
        try:
            return base64.b64decode(self.data).decode("utf-8", "replace")
        except binascii.Error:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    text: str
    origin: str | None = None
    cache: CacheMark | None = None
    residue: Residue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """Something of one wire that the hub has no word for: a hosted tool's call, its definition, a new kind of item.

    `value` is the wire's own JSON, whole. `kind` is its type there (``web_search_call``). At home it is rendered as it
    came; abroad it is a `Loss`, or refused by name.
    """

    wire: str
    kind: str
    value: JsonValue
    origin: str | None = None
    cache: CacheMark | None = None
    residue: Residue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What the caller's tool gave. `parts`: Text and Media (and Opaque at home)."""

    call_id: str
    parts: tuple[Text | Media | Opaque, ...] = ()
    is_error: bool = False
    name: str | None = None
    """Gemini names the function again; elsewhere it follows from the call."""
    origin: str | None = None
    cache: CacheMark | None = None
    residue: Residue | None = None


Part: TypeAlias = Text | Thinking | ToolCall | ToolResult | Media | Refusal | Opaque
"""Anything a message can hold."""

NO_FIELDS: Mapping[str, JsonValue] = {}
