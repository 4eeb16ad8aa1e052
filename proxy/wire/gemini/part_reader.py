"""One `Part` of Gemini's → one part of the hub's, for requests and answers alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import ClassVar

from proxy.hub.parts import Media, MediaKind, Opaque, Part, Text, Thinking, ToolCall, ToolResult
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.base import dumps
from proxy.wire.fields import Fields
from proxy.wire.gemini.words import NAME, flattened, is_bypass, unsealed

_FILE_ID = re.compile(r"gs://|https://generativelanguage\.googleapis\.com/\S*\bfiles/")
"""Files that only Google opens."""
_VIDEO_PAGE = re.compile(r"https?://(www\.|m\.)?(youtube\.com|youtu\.be)/", re.IGNORECASE)
_KIND_OF_SUFFIX: Mapping[str, MediaKind] = {
    "png": "image", "jpg": "image", "jpeg": "image", "gif": "image", "webp": "image", "heic": "image",
    "mp3": "audio", "wav": "audio", "flac": "audio", "ogg": "audio", "m4a": "audio",
    "mp4": "video", "mov": "video", "webm": "video", "mpeg": "video",
}  # fmt: skip

_PLAIN_KEYS = ("output", "result", "error")
"""A response with one of these alone is a wrapping. ``output`` and ``error`` are documented, ``result`` is custom."""


def media_kind(media_type: str | None, uri: str = "") -> MediaKind:
    match (media_type or "").partition("/")[0].lower():
        case "image" | "audio" | "video" as kind:
            return kind
        case "":
            if _VIDEO_PAGE.match(uri):
                return "video"
            return _KIND_OF_SUFFIX.get(uri.partition("?")[0].rpartition(".")[2].lower(), "document")
        case _:
            return "document"


class PartReader:
    """`maker`: who wrote the answer; None for a client's request, whose signatures tell their makers themselves.

    Calls and results may come without an id: theirs is empty then, and whoever knows the turn gives them one.
    """

    def __init__(self, *, maker: str | None) -> None:
        self._maker = maker

    def read(self, value: JsonValue, path: str) -> Part:
        """Raises `Malformed`. What the hub has no word for is Opaque."""
        fields = Fields(value, wire=NAME, path=path)
        body = value if isinstance(value, dict) else {}
        kinds = [key for key, item in body.items() if item is not None and key not in _BESIDE]
        if not kinds and (body.get("thought") is not None or body.get("thoughtSignature") is not None):
            return self._text(fields)
        if len(kinds) == 1 and kinds[0] in self._readers:
            return self._readers[kinds[0]](self, fields)
        return Opaque(wire=NAME, kind=kinds[0] if kinds else "part", value=value, origin=self._maker or NAME)

    def _text(self, fields: Fields) -> Part:
        text, is_thought = fields.take_str("text"), fields.take_bool("thought")
        origin, signature, shape = self._signature(fields)
        if text is None or (not text and (is_thought or signature is None)):
            shape["text"] = "absent" if text is None else "empty"
        if is_thought:
            is_redacted = signature is not None and signature.startswith("!")
            return Thinking(
                sections=(text,) if text else (),
                signature=signature[1:] if signature is not None and is_redacted else signature,
                is_redacted=is_redacted,
                origin=origin,
                residue=fields.residue(**shape),
            )
        if is_thought is False:
            shape["thought"] = False
        return Text(text=text or "", signature=signature, origin=origin, residue=fields.residue(**shape))

    def _signature(self, fields: Fields) -> tuple[str | None, str | None, JsonObject]:
        """Maker, signature, shape. A stand-in is no signature."""
        signature = fields.take_str("thoughtSignature")
        if signature is None or self._maker is not None:
            return self._maker, signature, {}
        if is_bypass(signature):
            return None, None, {"bypass": signature}
        origin, blob = unsealed(signature)
        return origin, blob or None, {}

    def _call(self, fields: Fields) -> Part:
        inner = Fields(fields.take("functionCall"), wire=NAME, path=fields.at("functionCall"))
        name, args, call_id = inner.need_str("name"), inner.take_object("args"), inner.take_str("id")
        origin, signature, shape = self._signature(fields)
        if args is None:
            shape["args"] = "absent"
        if call_id is None:
            shape["id"] = "absent"
        return ToolCall(
            id=call_id or "",
            name=name,
            arguments=str(dumps(args or {}), "utf-8"),
            signature=signature,
            origin=origin,
            residue=_residue(fields, "functionCall", inner, shape),
        )

    def _result(self, fields: Fields) -> Part:
        inner = Fields(fields.take("functionResponse"), wire=NAME, path=fields.at("functionResponse"))
        call_id, name, response = inner.take_str("id"), inner.take_str("name"), inner.take_object("response")
        texts, is_error, shape = _output(response)
        parts: list[Text | Media | Opaque] = [Text(text=text) for text in texts]
        at, listed = inner.at("parts"), inner.take_list("parts")
        for index, value in enumerate(listed or ()):
            part = self.read(value, f"{at}[{index}]")
            if not isinstance(part, Media | Opaque):
                part = Opaque(wire=NAME, kind="part", value=value, origin=NAME)
            parts.append(part)
        if listed == []:
            shape["parts"] = "empty"
        if call_id is None:
            shape["id"] = "absent"
        if not name:
            shape["name"] = "absent"
        return ToolResult(
            call_id=call_id or "",
            parts=tuple(parts),
            is_error=is_error,
            name=name or None,
            origin=self._maker,
            residue=_residue(fields, "functionResponse", inner, shape),
        )

    def _blob(self, fields: Fields) -> Part:
        inner = Fields(fields.take("inlineData"), wire=NAME, path=fields.at("inlineData"))
        media_type, data, name = inner.take_str("mimeType"), inner.need_str("data"), inner.take_str("displayName")
        return Media(
            kind=media_kind(media_type),
            media_type=media_type,
            data=data,
            name=name,
            origin=self._maker,
            residue=_residue(fields, "inlineData", inner, {}),
        )

    def _file(self, fields: Fields) -> Part:
        inner = Fields(fields.take("fileData"), wire=NAME, path=fields.at("fileData"))
        media_type, uri, name = inner.take_str("mimeType"), inner.need_str("fileUri"), inner.take_str("displayName")
        is_ours = _FILE_ID.match(uri) is not None
        return Media(
            kind=media_kind(media_type, uri),
            media_type=media_type,
            url=None if is_ours else uri,
            file_id=uri if is_ours else None,
            name=name,
            origin=self._maker or (NAME if is_ours else None),
            residue=_residue(fields, "fileData", inner, {}),
        )

    _readers: ClassVar[Mapping[str, Callable[[PartReader, Fields], Part]]] = {
        "text": _text,
        "functionCall": _call,
        "functionResponse": _result,
        "inlineData": _blob,
        "fileData": _file,
    }


def joined_thoughts(parts: Iterable[Part]) -> Iterator[Part]:
    """A client brings back another maker's thought as it was streamed: in pieces, and behind them the mark that says
    whose it is. What was signed must come back whole. Gemini's own pieces stay as they are.
    """
    pieces: list[Thinking] = []
    for part in parts:
        if isinstance(part, Thinking) and part.origin is None:
            pieces.append(part)
            continue
        if pieces and isinstance(part, Thinking) and part.origin != NAME:
            text = "".join(piece.text for piece in (*pieces, part))
            yield replace(part, sections=(text,) if text else (), residue=None)
        else:
            yield from (*pieces, part)
        pieces = []
    yield from pieces


_BESIDE = frozenset({
    "thought", "thoughtSignature", "partMetadata", "mediaResolution", "videoMetadata", "mediaProcessing",
    "speechMetadata",
})  # fmt: skip
"""Keys that say more of a part, and never make one."""


def _residue(fields: Fields, prefix: str, inner: Fields, shape: JsonObject) -> Residue | None:
    outer_left, inner_left = fields.residue(), inner.residue()
    left: JsonObject = dict(outer_left.fields) if outer_left is not None else {}
    if inner_left is not None:
        left.update(flattened(prefix, inner_left.fields))
    return Residue(wire=NAME, fields=left, shape=shape) if left or shape else None


def _output(response: JsonObject | None) -> tuple[list[str], bool, JsonObject]:
    """What a tool gave, as text; whether that is an error; how it was written."""
    if response is None:
        return [], False, {"response": "absent"}
    if not response:
        return [], False, {"response": "empty"}
    key = next(iter(response))
    if len(response) > 1 or key not in _PLAIN_KEYS:
        return [str(dumps(response), "utf-8")], False, {"response": "whole"}
    value = response[key]
    if isinstance(value, str):
        return [value], key == "error", {"response": "text", "key": key}
    return [str(dumps(value), "utf-8")], key == "error", {"response": "json", "key": key}
