"""Parts → content blocks for an upstream. The way in is `blocks`."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping

from proxy.hub import custom
from proxy.hub.loss import Loss
from proxy.hub.names import IdMap, NameMap
from proxy.hub.parts import CacheMark, CacheTime, Media, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.profile import Profile
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.anthropic.blocks import NAME
from proxy.wire.arguments import is_readable
from proxy.wire.base import loads
from proxy.wire.fields import residue_fields, residue_losses, residue_shape

BREAKPOINTS_MAX = 4
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
TEXT_TYPES = re.compile(r"text/.*|application/(json|xml|yaml|x-yaml|javascript|x-ndjson|toml)|.*\+(json|xml)")
NO_SIGNATURE = "thinking goes back only to whoever signed it"

_LEGAL_ID = re.compile(r"[A-Za-z0-9_-]+")
_ID_CHARS_MAX = 256
_MAGIC: Mapping[str, str] = {
    "/9j/": "image/jpeg",
    "iVBORw0KGgo": "image/png",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi": "application/pdf",
}
"""How base64 of these files begins: a declared type may be wrong, and is refused then."""
_TTL: Mapping[CacheTime, str | None] = {"default": None, "5m": "5m", "30m": "5m", "1h": "1h", "12h": "1h"}


def as_input(call: ToolCall) -> JsonObject:
    """The call's arguments as an object. What is none (free text, broken JSON, a list) is wrapped in one."""
    given = _object_in(call)
    if given is None and not call.is_custom and is_readable(call):
        return {custom.FIELD: loads(call.arguments)}
    return custom.wrapped(call.arguments) if given is None else given


def _object_in(call: ToolCall) -> JsonObject | None:
    if call.is_custom:
        return None
    if not call.arguments.strip():
        return {}
    try:
        value = loads(call.arguments)
    except (ValueError, RecursionError):
        return None
    return {} if value is None else value if isinstance(value, dict) else None


def text_block(part: Text) -> JsonObject:
    fields = residue_fields(part.residue, NAME)
    found = residue_shape(part.residue, NAME, "search_result")
    if found is not None:
        return {"type": "search_result", **fields, "content": found}
    return {"type": "text", "text": part.text, **fields}


class PartWriter:
    """Collects `losses`, and in `marked` the blocks that bear a cache mark, in the prompt's order.

    `is_home`: the request was this wire's own, and is written as it came where the profile allows.
    """

    def __init__(self, profile: Profile, names: NameMap, *, is_home: bool) -> None:
        self._profile = profile
        self._names = names
        self._is_home = is_home
        self._ids = IdMap(_LEGAL_ID, _ID_CHARS_MAX, prefix="toolu_")
        self.losses: list[Loss] = []
        self.marked: list[tuple[JsonObject, str]] = []

    def lose(self, path: str, what: str, why: str) -> None:
        self.losses.append(Loss(path, what, why))

    def write(self, part: Part, path: str) -> JsonObject | None:
        """None: there is nothing to write, or nothing that may be."""
        self.losses.extend(residue_losses(part.residue, NAME, path))
        block: JsonObject | None
        match part:
            case Text() | Refusal():
                block = self._text(part, path)
            case Thinking():
                block = self._thinking(part, path)
            case ToolCall():
                block = self._call(part, path)
            case ToolResult():
                block = self._result(part, path)
            case Media():
                block = self._media(part, path)
            case Opaque():
                block = self._opaque(part, path)
        if block is not None:
            self.mark(block, part.cache, path)
        elif part.cache is not None:
            self.lose(f"{path}.cache_control", "cache mark", "there is nothing to bear it")
        return block

    def mark(self, block: JsonObject, cache: CacheMark | None, path: str) -> None:
        """Writes the mark, where the model knows such and the block may bear one."""
        if cache is None:
            return
        if not self._profile.has_cache_marks:
            self.lose(f"{path}.cache_control", "cache mark", "this model takes none")
        elif block.get("defer_loading") is True or block.get("type") in {"thinking", "redacted_thinking"}:
            self.lose(f"{path}.cache_control", "cache mark", "it may not stand here")
        else:
            ttl = _TTL[cache.time]
            if ttl is not None and ttl != cache.time:
                self.lose(f"{path}.cache_control.ttl", f"cache time {cache.time}", f"{ttl} is the nearest it knows")
            block["cache_control"] = {"type": "ephemeral"} if ttl is None else {"type": "ephemeral", "ttl": ttl}
            self.marked.append((block, path))

    def limit_marks(self, allowed: int = BREAKPOINTS_MAX) -> None:
        """More than four are refused. The first ones keep what conversations share, the last ones this conversation."""
        head = allowed // 2
        for block, path in self.marked[head : max(head, len(self.marked) - (allowed - head))]:
            del block["cache_control"]
            self.lose(f"{path}.cache_control", "cache mark", f"a request may bear {BREAKPOINTS_MAX}")

    def _text(self, part: Text | Refusal, path: str) -> JsonObject | None:
        if not self._is_home and not part.text.strip():
            if part.text:
                self.lose(path, "white space", "a text block must hold more than that")
            return None
        if isinstance(part, Refusal):
            self.lose(path, "refusal", "it is told as plain text")
            return {"type": "text", "text": part.text}
        if part.signature is not None:
            self.lose(f"{path}.signature", f"signature by {part.origin}", "this wire signs no text")
        return text_block(part)

    def _thinking(self, part: Thinking, path: str) -> JsonObject | None:
        fields = residue_fields(part.residue, NAME)
        if part.signature is not None and part.origin == self._profile.maker:
            if part.is_redacted:
                return {"type": "redacted_thinking", "data": part.signature, **fields}
            return {"type": "thinking", "thinking": part.text, "signature": part.signature, **fields}
        if part.text and self._profile.replays_reasoning_text:
            return {"type": "thinking", "thinking": part.text, "signature": "", **fields}
        if part.text or part.signature:
            self.lose(path, "thinking", NO_SIGNATURE)
        return None

    def _call(self, part: ToolCall, path: str) -> JsonObject:
        if part.signature is not None:
            self.lose(f"{path}.signature", f"signature by {part.origin}", "this wire signs no calls")
        if not part.is_custom and _object_in(part) is None:
            self.lose(f"{path}.arguments", "arguments", f"they are no object: they go as {custom.FIELD!r} in one")
        block: JsonObject = {
            "type": "tool_use",
            "id": self._ids.to_upstream(part.id),
            "name": self._names.to_upstream(part.name),
            "input": as_input(part),
        }
        return {**block, **residue_fields(part.residue, NAME)}

    def _result(self, part: ToolResult, path: str) -> JsonObject:
        block: JsonObject = {"type": "tool_result", "tool_use_id": self._ids.to_upstream(part.call_id)}
        content = self._result_content(part, path)
        if content is not None:
            block["content"] = content
        if part.is_error or residue_shape(part.residue, NAME, "is_error") is False:
            block["is_error"] = part.is_error
        return {**block, **residue_fields(part.residue, NAME)}

    def _result_content(self, part: ToolResult, path: str) -> JsonValue:
        """A string where the client wrote one, or where there is but one plain text; "" rather than nothing."""
        if not part.parts and self._is_home:
            shape = residue_shape(part.residue, NAME, "content")
            is_told = shape == "absent" or "content" in residue_fields(part.residue, NAME)
            return None if is_told else []
        blocks: list[JsonValue] = []
        for index, inner in enumerate(part.parts):
            block = self._inside(inner, f"{path}.content[{index}]")
            if block is not None:
                blocks.append(block)
        if residue_shape(part.residue, NAME, "content") == "string" or not self._is_home:
            match blocks:
                case []:
                    return ""
                case [{"type": "text", "text": str(text), **extra}] if not extra:
                    return text
        return blocks

    def _inside(self, part: Text | Media | Opaque, path: str) -> JsonObject | None:
        if isinstance(part, Media) and not self._profile.has_media_in_results:
            return self.leave_out(part, path, "it takes only text as a tool's result")
        return self.write(part, path)

    def _opaque(self, part: Opaque, path: str) -> JsonObject | None:
        if part.wire == NAME and isinstance(part.value, dict):
            return dict(part.value)
        self.lose(path, part.kind, f"only {part.wire} knows it")
        return None

    # Media

    def leave_out(self, part: Media, path: str, why: str) -> JsonObject:
        """A text in its place: else the model would answer as if nothing had been there."""
        self.lose(path, part.kind, why)
        return {"type": "text", "text": f"[{part.kind} left out: {why}]"}

    def _media(self, part: Media, path: str) -> JsonObject:
        source = self._source(part)
        if isinstance(source, str):
            return self.leave_out(part, path, source)
        block: JsonObject = {"type": part.kind, "source": source}
        if part.detail not in {None, "auto"}:
            self.lose(f"{path}.detail", f"detail {part.detail}", "this wire has no such switch")
        if part.name is not None and part.kind == "document":
            block["title"] = part.name
        elif part.name is not None:
            self.lose(f"{path}.name", "file name", "images have none here")
        return {**block, **residue_fields(part.residue, NAME)}

    def _source(self, part: Media) -> JsonObject | str:
        """The source, or why there can be none."""
        if part.kind not in {"image", "document"} or part.kind not in self._profile.media:
            return f"it reads no {part.kind}"
        told = residue_shape(part.residue, NAME, "source")
        if isinstance(told, dict):
            return told
        if part.file_id is not None:
            is_known = part.origin == self._profile.maker
            return {"type": "file", "file_id": part.file_id} if is_known else f"the file lies at {part.origin}"
        if part.url is not None:
            if self._profile.takes_media_url and part.url.startswith(("https://", "http://")):
                return {"type": "url", "url": part.url}
            return "it fetches no such address"
        return self._data_source(part, part.data or "")

    def _data_source(self, part: Media, data: str) -> JsonObject | str:
        media_type = part.media_type or ""
        if not self._is_home:
            found = next((known for magic, known in _MAGIC.items() if data.startswith(magic)), None)
            media_type = found or media_type.split(";")[0].strip().lower().replace("image/jpg", "image/jpeg")
            if part.kind == "image" and media_type not in IMAGE_TYPES:
                return f"it reads no {media_type or 'image of unknown type'}"
            if part.kind == "document" and media_type != "application/pdf":
                text = _decoded(data) if TEXT_TYPES.fullmatch(media_type) else None
                if text is None:
                    return f"it reads no {media_type or 'file of unknown type'}"
                return {"type": "text", "media_type": "text/plain", "data": text}
        return {"type": "base64", "media_type": media_type, "data": data}


def _decoded(data: str) -> str | None:
    try:
        return base64.b64decode(data).decode()
    except ValueError:
        return None


def joined_text(parts: Iterable[Part]) -> str:
    return "\n\n".join(part.text for part in parts if isinstance(part, Text | Refusal))
