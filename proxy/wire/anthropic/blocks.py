"""Content blocks → parts. The way back for an upstream is `parts`, for a client `answer`.

A block that the hub has no word for becomes `Opaque`, whole: hosted tools' calls and results, compactions, new kinds.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

from proxy.errors import Malformed
from proxy.hub.names import untag
from proxy.hub.parts import CacheMark, CacheTime, Media, MediaKind, Opaque, Part, Text, Thinking, ToolCall, ToolResult
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.base import dumps, json_type
from proxy.wire.fields import Fields

NAME = "anthropic"

OF_CALL = "call."
OF_TEXT = "text."
"""Before the blob of a thinking block without text that carries another maker's signature: of the call after it, of
the text before it."""

_INSIDE = frozenset({"text", "image", "document", "search_result"})
_CACHE_TIMES: Mapping[JsonValue, CacheTime] = {None: "default", "5m": "5m", "1h": "1h"}


def take_cache(fields: Fields) -> CacheMark | None:
    """A cache_control that we know; another one stays where it is."""
    value = fields.peek("cache_control")
    if not isinstance(value, dict) or value.get("type") != "ephemeral" or not value.keys() <= {"type", "ttl"}:
        return None
    time = value.get("ttl")
    if not isinstance(time, str | None) or time not in _CACHE_TIMES or ("ttl" in value and time is None):
        return None
    fields.take("cache_control")
    return CacheMark(_CACHE_TIMES[time])


def opaque(value: JsonObject, path: str, origin: str | None) -> Opaque:
    """The block as it came, but for its cache mark, which the hub does know."""
    fields = Fields(value, wire=NAME, path=path)
    cache = take_cache(fields)
    kind = value.get("type")
    if not isinstance(kind, str):
        raise Malformed(f"{path}.type is required and must be a string", path=f"{path}.type")
    rest = fields.residue()
    return Opaque(wire=NAME, kind=kind, value=dict(rest.fields) if rest else {}, origin=origin, cache=cache)


class BlockReader:
    """`maker` is whose signatures and file ids the blocks carry; None in a client's request, where each says so itself
    (`proxy.hub.names.untag`).
    """

    __slots__ = ("_maker",)

    def __init__(self, maker: str | None = None) -> None:
        self._maker = maker

    @property
    def origin(self) -> str:
        return self._maker or NAME

    def read(self, value: JsonValue, path: str) -> Part:
        """Raises `Malformed` with the path."""
        if not isinstance(value, dict):
            raise Malformed(f"{path} must be an object, not {json_type(value)}", path=path)
        kind = value.get("type")
        reader = self._readers.get(kind) if isinstance(kind, str) else None
        part = reader(self, Fields(value, wire=NAME, path=path)) if reader else None
        return part or opaque(value, path, self.origin)

    def read_inside(self, value: JsonValue, path: str) -> Text | Media | Opaque:
        """What stands in a tool's result."""
        if isinstance(value, dict) and str(value.get("type")) not in _INSIDE:
            return opaque(value, path, self.origin)
        part = self.read(value, path)
        assert isinstance(part, Text | Media | Opaque)
        return part

    def _blob(self, blob: str | None) -> tuple[str | None, str | None]:
        """Its maker, and the blob as the maker knows it. An empty one is none."""
        if not blob:
            return None, None
        origin, own = (self._maker, blob) if self._maker else untag(blob, NAME)
        return origin, own or None

    def _text(self, fields: Fields) -> Part:
        fields.take("type")
        return Text(text=fields.need_str("text"), cache=take_cache(fields), residue=fields.residue())

    def _search_result(self, fields: Fields) -> Part | None:
        """Text that says where it was found; the source travels as residue."""
        content = fields.peek("content")
        texts = _plain_texts(content)
        if texts is None:
            return None
        fields.take("type")
        fields.take("content")
        cache = take_cache(fields)
        return Text(text="\n".join(texts), cache=cache, residue=fields.residue(search_result=content))

    def _thinking(self, fields: Fields) -> Part:
        fields.take("type")
        text = fields.take_str("thinking")
        shape: JsonObject = {} if "signature" in fields else {"signature": "absent"}
        origin, signature = self._blob(fields.take_str("signature"))
        return Thinking(
            sections=(text,) if text else (),
            signature=signature,
            origin=origin or self._maker,
            cache=take_cache(fields),
            residue=fields.residue(**shape),
        )

    def _redacted_thinking(self, fields: Fields) -> Part:
        fields.take("type")
        origin, signature = self._blob(fields.need_str("data"))
        cache = take_cache(fields)
        return Thinking(signature=signature, is_redacted=True, origin=origin, cache=cache, residue=fields.residue())

    def _tool_use(self, fields: Fields) -> Part:
        fields.take("type")
        call_id = (fields.take_str("id") or "") if self._maker else fields.need_str("id")
        name = fields.need_str("name")
        arguments = fields.take_str("input") if self._maker and isinstance(fields.peek("input"), str) else None
        if arguments is None:
            value = fields.take_object("input")
            arguments = "{}" if value is None else dumps(value).decode()
        cache = take_cache(fields)
        return ToolCall(id=call_id, name=name, arguments=arguments, cache=cache, residue=fields.residue())

    def _tool_result(self, fields: Fields) -> Part:
        fields.take("type")
        call_id = fields.need_str("tool_use_id")
        shape: JsonObject = {}
        parts: tuple[Text | Media | Opaque, ...] = ()
        content = fields.peek("content")
        if isinstance(content, str):
            parts, shape["content"] = (Text(text=content),), "string"
            fields.take("content")
        elif content is not None:
            path = fields.at("content")
            items = fields.take_list("content") or []
            parts = tuple(self.read_inside(item, f"{path}[{index}]") for index, item in enumerate(items))
        elif "content" not in fields:
            shape["content"] = "absent"
        is_error = fields.take_bool("is_error")
        if is_error is False:
            shape["is_error"] = False
        cache = take_cache(fields)
        residue = fields.residue(**shape)
        return ToolResult(call_id=call_id, parts=parts, is_error=bool(is_error), cache=cache, residue=residue)

    def _image(self, fields: Fields) -> Part | None:
        return self._media("image", fields)

    def _document(self, fields: Fields) -> Part | None:
        return self._media("document", fields)

    def _media(self, kind: MediaKind, fields: Fields) -> Part | None:
        source = fields.peek("source")
        media = self._sourced(kind, source) if isinstance(source, dict) else None
        if media is None:
            return None
        fields.take("type")
        fields.take("source")
        name = fields.take_str("title") if kind == "document" else None
        cache = take_cache(fields)
        shape = dict(media.residue.shape) if media.residue else {}
        return replace(media, name=name, cache=cache, residue=fields.residue(**shape))

    def _sourced(self, kind: MediaKind, source: JsonObject) -> Media | None:
        """None when the source says something that we do not know."""
        keys = source.keys() - {"type"}
        match source:
            case {"type": "base64", "media_type": str(media_type), "data": str(data)} if len(keys) == 2:
                return Media(kind=kind, media_type=media_type, data=data)
            case {"type": "url", "url": str(url)} if len(keys) == 1:
                return Media(kind=kind, url=url)
            case {"type": "file", "file_id": str(file_id)} if len(keys) == 1:
                origin, own = self._blob(file_id)
                return Media(kind=kind, file_id=own, origin=origin) if own else None
            case {"type": "text", "data": str(text)} if keys <= {"data", "media_type"}:
                return _text_document(text, source)
            case {"type": "content", "content": content} if len(keys) == 1:
                texts = [content] if isinstance(content, str) else _plain_texts(content)
                return None if texts is None else _text_document("\n\n".join(texts), source)
            case _:
                return None

    _readers: ClassVar[Mapping[str, Callable[[BlockReader, Fields], Part | None]]] = {
        "text": _text,
        "search_result": _search_result,
        "thinking": _thinking,
        "redacted_thinking": _redacted_thinking,
        "tool_use": _tool_use,
        "tool_result": _tool_result,
        "image": _image,
        "document": _document,
    }


def _text_document(text: str, source: JsonObject) -> Media:
    """Elsewhere a text file; at home the source as it was."""
    data = base64.b64encode(text.encode("utf-8", "replace")).decode()
    residue = Residue(wire=NAME, shape={"source": source})
    return Media(kind="document", media_type="text/plain", data=data, residue=residue)


def _plain_texts(content: JsonValue) -> list[str] | None:
    """The texts, when there is nothing but text."""
    if not isinstance(content, list):
        return None
    texts = [item.get("text") for item in content if isinstance(item, dict) and item.get("type") == "text"]
    strings = [text for text in texts if isinstance(text, str)]
    return strings if len(strings) == len(content) else None
