"""One part of the hub's → one `Part` of Gemini's, for an upstream or for a client."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.hub import custom
from proxy.hub.loss import Loss
from proxy.hub.names import NameMap
from proxy.hub.parts import Media, MediaKind, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.profile import Profile
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.base import loads
from proxy.wire.fields import residue_fields, residue_losses, residue_shape
from proxy.wire.gemini.words import NAME, nested, overlaid, sealed

_MEDIA_TYPES: Mapping[MediaKind, str] = {
    "image": "image/jpeg",
    "document": "application/pdf",
    "audio": "audio/mpeg",
    "video": "video/mp4",
}
"""Gemini wants a type; these stand where nobody told one."""
_MAGIC: Mapping[str, str] = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi": "application/pdf",
}
"""How base64 of these files begins."""
_SUFFIXES: Mapping[str, str] = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
    "pdf": "application/pdf", "txt": "text/plain", "mp3": "audio/mpeg", "wav": "audio/wav", "mp4": "video/mp4",
}  # fmt: skip


class PartWriter:
    """`profile`: the upstream's; None when a client is told. `is_home`: what is written was read from this wire.

    `written` is None for what says nothing here; whatever that loses is in `losses`.
    """

    def __init__(
        self, *, profile: Profile | None, losses: list[Loss], is_home: bool, names: NameMap | None = None
    ) -> None:
        self._profile = profile
        self._losses = losses
        self._is_home = is_home
        self._names = names or NameMap()
        self.spilled: list[JsonObject] = []
        """Media of tool results for an upstream that takes none there: they follow the results."""

    def written(self, part: Part, path: str) -> JsonObject | None:
        self._losses.extend(residue_losses(part.residue, NAME, path))
        if part.cache is not None:
            self.lose(f"{path}.cache_control", "cache mark", "gemini caches implicitly")
        match part:
            case Text():
                return self._text(part, path)
            case Thinking():
                return self._thinking(part, path)
            case ToolCall():
                return self._call(part, path)
            case ToolResult():
                return self._result(part, path)
            case Media():
                return _with_residue(self._media(part, path), part.residue)
            case Refusal():
                self.lose(path, "refusal mark", "gemini has plain text only")
                return {"text": part.text} if part.text else None
            case Opaque():
                return self._opaque(part, path)

    def lose(self, path: str, what: str, why: str) -> None:
        self._losses.append(Loss(path, what, why))

    def signature(self, part: Text | Thinking | ToolCall, path: str) -> str | None:
        """In the form that may go to the reader. A client is told whose a thought is, signed or not: what comes back
        without that word would be taken for Gemini's own.
        """
        if self._profile is None and isinstance(part, Thinking) and part.origin not in {None, NAME}:
            return sealed(part.origin, ("!" if part.is_redacted else "") + (part.signature or ""))
        if part.signature is None:
            bypass = residue_shape(part.residue, NAME, "bypass")
            return bypass if isinstance(bypass, str) else None
        if self._profile is None:
            return sealed(part.origin, part.signature)
        if part.origin == self._profile.maker:
            return part.signature
        self.lose(f"{path}.signature", "signature", f"only {part.origin or 'its maker'} reads it")
        return None

    def _text(self, part: Text, path: str) -> JsonObject | None:
        shape = residue_shape(part.residue, NAME, "text")
        signature = self.signature(part, path)
        if not part.text and signature is None and shape is None:
            return None
        body: JsonObject = {} if shape == "absent" and not part.text else {"text": part.text}
        if residue_shape(part.residue, NAME, "thought") is False:
            body["thought"] = False
        return _finished(body, signature, part.residue)

    def _thinking(self, part: Thinking, path: str) -> JsonObject | None:
        profile = self._profile
        if profile is not None and part.origin != profile.maker and not (self._is_home and part.origin is None):
            self.lose(path, "thinking", f"only {part.origin or 'its maker'} reads it, and it must not become text")
            return None
        shape = residue_shape(part.residue, NAME, "text")
        if not part.sections and part.signature is None and shape is None:
            return None
        body: JsonObject = {"text": part.text} if part.sections or shape != "absent" else {}
        return _finished({**body, "thought": True}, self.signature(part, path), part.residue)

    def _call(self, part: ToolCall, path: str) -> JsonObject:
        call: JsonObject = {"name": self._names.to_upstream(part.name), "args": self._arguments(part, path)}
        if call["args"] == {} and residue_shape(part.residue, NAME, "args") == "absent":
            del call["args"]
        if part.id and self._has_id(part.residue):
            call["id"] = part.id
        return _finished({"functionCall": call}, self.signature(part, path), part.residue)

    def _has_id(self, residue: Residue | None) -> bool:
        if self._profile is not None and not self._profile.has_call_ids:
            return False
        return residue_shape(residue, NAME, "id") != "absent"

    def _arguments(self, part: ToolCall, path: str) -> JsonObject:
        if part.is_custom:
            return custom.wrapped(part.arguments)
        value = json_of(part.arguments) if part.arguments.strip() else {}
        if isinstance(value, dict):
            return value
        self.lose(f"{path}.arguments", "arguments", f"they are no JSON object: they go as {custom.FIELD!r} in one")
        return custom.wrapped(part.arguments)

    def _result(self, part: ToolResult, path: str) -> JsonObject:
        body: JsonObject = {}
        if part.name and residue_shape(part.residue, NAME, "name") != "absent":
            body["name"] = self._names.to_upstream(part.name)
        if part.call_id and self._has_id(part.residue):
            body["id"] = part.call_id
        spills = self._profile is not None and not self._profile.has_media_in_results and not self._is_home
        texts: list[str] = []
        media: list[JsonValue] = []
        for index, item in enumerate(part.parts):
            where = f"{path}.content[{index}]"
            plain = item.text if isinstance(item, Text) else None
            if spills and isinstance(item, Media):
                plain = item.plain_text
            if plain is not None:
                self._losses.extend(residue_losses(item.residue, NAME, where))
                texts.append(plain)
            elif (written := self.written(item, where)) is not None:
                note = written.get("text") if isinstance(item, Media) else None  # it cannot be shown
                if isinstance(note, str):
                    texts.append(note)
                elif spills and isinstance(item, Media):
                    texts.append(self._spilled(item, written, f"{index + 1} of the result of {part.call_id}", where))
                else:
                    media.append(written)
        body["response"] = self._response(part, "\n".join(texts))
        if not body["response"] and residue_shape(part.residue, NAME, "response") == "absent":
            del body["response"]
        if media or residue_shape(part.residue, NAME, "parts") == "empty":
            body["parts"] = media
        return _with_residue({"functionResponse": body}, part.residue)

    def _spilled(self, media: Media, written: JsonObject, which: str, path: str) -> str:
        """Announced where it stood, and labelled where it comes, so that it stays with its own result."""
        self.lose(path, media.kind, "this model takes text as a result only: it follows the results")
        label = f"{media.kind} {which}"
        self.spilled.extend(({"text": f"[{label}]"}, written))
        return f"[{label}: it follows the results]"

    def _response(self, part: ToolResult, text: str) -> JsonObject:
        """As it was written at home; else an object as it is, and anything else as ``result`` or ``error``."""
        form = residue_shape(part.residue, NAME, "response")
        key = residue_shape(part.residue, NAME, "key")
        if form in {"absent", "empty"} and not text:
            return {}
        if form == "text" and isinstance(key, str):
            return {key: text}
        value = json_of(text)
        if form == "json" and isinstance(key, str):
            return {key: value}
        if part.is_error:
            return {"error": text}
        return value if isinstance(value, dict) and value else {"result": text}

    def _media(self, part: Media, path: str) -> JsonObject:
        profile = self._profile
        if profile is not None and not self._is_home:
            why = _unreadable(part, profile)
            if why is not None:
                self.lose(path, part.kind, why)
                return {"text": f"[{part.kind} left out: {why}]"}
            if part.detail in {"low", "high", "original"}:
                self.lose(f"{path}.detail", "detail", "gemini looks at all media of a request equally closely")
        name: JsonObject = {"displayName": part.name} if part.name is not None else {}
        if part.data is not None:
            media_type: JsonObject = {"mimeType": self._media_type(part)} if self._needs_type(part) else {}
            return {"inlineData": {**media_type, "data": part.data, **name}}
        uri: JsonObject = {"fileUri": part.file_id or part.url or ""}
        return {"fileData": {**({"mimeType": self._media_type(part)} if self._needs_type(part) else {}), **uri, **name}}

    def _needs_type(self, part: Media) -> bool:
        return part.media_type is not None or not self._is_home

    def _media_type(self, part: Media) -> str:
        if part.media_type is not None:
            return part.media_type
        if part.data is not None:
            found = next((name for start, name in _MAGIC.items() if part.data.startswith(start)), None)
        else:
            found = _SUFFIXES.get((part.url or "").partition("?")[0].rpartition(".")[2].lower())
        return found or _MEDIA_TYPES[part.kind]

    def _opaque(self, part: Opaque, path: str) -> JsonObject | None:
        if part.wire == NAME and isinstance(part.value, dict):
            return dict(part.value)  # its keys may be respelled later
        self.lose(path, part.kind, f"only {part.wire} knows it")
        return None


def json_of(text: str) -> JsonValue:
    """The JSON that `text` is; None where it is none."""
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return None


def _unreadable(part: Media, profile: Profile) -> str | None:
    if part.kind not in profile.media:
        return f"this model reads no {part.kind}"
    if part.file_id is not None and part.origin != profile.maker:
        return f"the file lies with {part.origin or 'another provider'}"
    if part.url is not None and not profile.takes_media_url:
        return "this model opens no URLs"
    return None


def _finished(body: JsonObject, signature: str | None, residue: Residue | None) -> JsonObject:
    if signature is not None:
        body["thoughtSignature"] = signature
    return _with_residue(body, residue)


def _with_residue(body: JsonObject, residue: Residue | None) -> JsonObject:
    fields = residue_fields(residue, NAME)
    return overlaid(body, nested(fields)) if fields else body
