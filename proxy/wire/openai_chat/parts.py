"""Content parts: what stands in a message's `content` when it is a list. Vendors' own kinds are read, too."""

from __future__ import annotations

import base64
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from proxy.errors import Malformed
from proxy.hub.parts import CacheMark, CacheTime, Media, MediaKind, Opaque, Part, Refusal, Text, Thinking
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.base import json_type
from proxy.wire.fields import Fields
from proxy.wire.openai_chat.words import NAME

MARKS = ("prompt_cache_breakpoint", "cache_control")
"""How a cache mark is written: OpenAI's own, and Anthropic's as gateways take it."""
_TIMES: Mapping[JsonValue, CacheTime] = {"5m": "5m", "30m": "30m", "1h": "1h", "12h": "12h"}

AUDIO_TYPES: Mapping[str, str] = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_SIGNS: tuple[tuple[str, str], ...] = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi0", "application/pdf"),
)
"""How base64 of a known kind of file begins."""


class Source(NamedTuple):
    """Where a file is. `shape`: what a data URL said beyond its type and its data."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    shape: Mapping[str, JsonValue] = {}


def source_of(url: str) -> Source:
    """A URL of any scheme; a data URL is taken apart."""
    if url[:5].lower() != "data:":
        return Source(url=url)
    head, _, data = url.partition(",")
    media_type = head[5:].split(";")[0].lower() or None
    if head.endswith(";base64"):
        return Source(media_type, data, shape={} if head == f"data:{media_type};base64" else {"head": head})
    return Source(media_type, base64.b64encode(unquote_to_bytes(data)).decode(), shape={"url": url})


def url_of(media: Media, shape: Mapping[str, JsonValue]) -> str:
    if media.data is None:
        return media.url or ""
    whole, head = shape.get("url"), shape.get("head")
    if isinstance(whole, str):
        return whole
    if not isinstance(head, str):
        head = f"data:{media.media_type or sniffed(media.data)};base64"
    return f"{head},{media.data}"


def sniffed(data: str) -> str:
    return next((media_type for sign, media_type in _SIGNS if data.startswith(sign)), "application/octet-stream")


def kind_of(media_type: str | None) -> MediaKind:
    family = (media_type or "").partition("/")[0]
    kinds: Mapping[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video"}
    return kinds.get(family, "document")


def take_mark(fields: Fields) -> tuple[CacheMark | None, JsonObject]:
    """The cache mark, and how it was written."""
    for key in MARKS:
        value = fields.peek(key)
        if isinstance(value, dict):
            fields.take(key)
            return CacheMark(_TIMES.get(value.get("ttl"), "default")), {key: value}
    return None, {}


def parse_content(value: JsonValue, path: str, known: Container[str] | None = None) -> tuple[list[Part], str]:
    """The parts, and the form they were written in: ``string``, ``list`` or ``null``. Kinds that are not `known` (None:
    all are) are Opaque.
    """
    if value is None:
        return [], "null"
    if isinstance(value, str):
        return ([Text(text=value)] if value else []), "string"
    if not isinstance(value, list):
        raise Malformed(f"{path} must be a string or an array, not {json_type(value)}", path=path)
    return [parse_part(item, f"{path}[{index}]", known) for index, item in enumerate(value)], "list"


def parse_part(value: JsonValue, path: str, known: Container[str] | None = None) -> Part:
    if isinstance(value, str):  # some clients mix bare strings in
        return Text(text=value)
    fields = Fields(value, wire=NAME, path=path)
    kind = fields.peek("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None or (known is not None and kind not in known):
        if not isinstance(kind, str):
            raise Malformed(f"{path}.type is required and must be a string", path=f"{path}.type")
        return Opaque(wire=NAME, kind=kind, value=value)
    fields.take("type")
    mark, written = take_mark(fields)
    part, shape = read(fields)
    if written:
        shape["mark"] = written
    return replace(part, cache=mark, residue=fields.residue(**shape))


def _text(fields: Fields) -> tuple[Part, JsonObject]:
    return Text(text=fields.need_str("text")), {}


def _refusal(fields: Fields) -> tuple[Part, JsonObject]:
    return Refusal(text=fields.need_str("refusal")), {"in": "content"}


def _thinking(fields: Fields) -> tuple[Part, JsonObject]:
    """Mistral's: a list of text parts inside. `closed` says whether it ended."""
    path = fields.at("thinking")
    value = fields.need_list("thinking")
    parts, _ = parse_content(value, path)
    text = "".join(part.text for part in parts if isinstance(part, Text))
    shape: JsonObject = {"block": value, "closed": fields.take("closed")}
    return Thinking(sections=(text,) if text else (), origin=NAME), shape


def _url_inside(key: str, fields: Fields) -> tuple[str, Fields | None]:
    """``{"url": …}`` as OpenAI has it, or a bare string as Mistral does."""
    value = fields.peek(key)
    if isinstance(value, str):
        fields.take(key)
        return value, None
    inner = fields.take_fields(key)
    if inner is None:
        raise Malformed(f"{fields.at(key)} is required", path=fields.at(key))
    return inner.need_str("url"), inner


def _linked(key: str, kind: MediaKind) -> Callable[[Fields], tuple[Part, JsonObject]]:
    def read(fields: Fields) -> tuple[Part, JsonObject]:
        url, inner = _url_inside(key, fields)
        source = source_of(url)
        detail = inner.take_str("detail") if inner is not None else None
        shape: JsonObject = {"as": key, "is_bare": inner is None, **source.shape}
        keep_inner(fields, key, inner)
        is_image = kind == "image"
        media = Media(
            kind=kind if is_image or kind == "video" else kind_of(source.media_type),
            media_type=source.media_type,
            data=source.data,
            url=source.url,
            detail=detail,
        )
        return media, shape

    return read


def _audio(fields: Fields) -> tuple[Part, JsonObject]:
    inner = fields.take_fields("input_audio")
    if inner is None:
        raise Malformed(f"{fields.at('input_audio')} is required", path=fields.at("input_audio"))
    data, form = inner.need_str("data"), inner.take_str("format")
    keep_inner(fields, "input_audio", inner)
    source = source_of(data)
    shape: JsonObject = {"as": "input_audio", "format": form}
    if source.data is not None:  # not what the documentation says, but clients do it
        shape.update({"is_data_url": True, **source.shape})
    media_type = AUDIO_TYPES.get(form, f"audio/{form}") if form else source.media_type
    return Media(kind="audio", media_type=media_type, data=source.data or data), shape


def _file(fields: Fields) -> tuple[Part, JsonObject]:
    inner = fields.take_fields("file")
    if inner is None:
        raise Malformed(f"{fields.at('file')} is required", path=fields.at("file"))
    name, data, file_id = inner.take_str("filename"), inner.take_str("file_data"), inner.take_str("file_id")
    keep_inner(fields, "file", inner)
    if file_id is not None:
        if data is not None:
            fields.give_back("file_data", data)
        return Media(kind="document", file_id=file_id, name=name, origin=NAME), {"as": "file"}
    if data is None:
        raise Malformed(f"{fields.at('file')} needs file_data or file_id", path=fields.at("file"))
    source = source_of(data)
    if source.url is not None and "://" not in source.url[:12]:  # base64 without a data URL around it
        media_type = sniffed(data)
        return Media(kind=kind_of(media_type), media_type=media_type, data=data, name=name), {"as": "file", "url": data}
    media = Media(
        kind=kind_of(source.media_type), media_type=source.media_type, data=source.data, url=source.url, name=name
    )
    return media, {"as": "file", **source.shape}


def keep_inner(fields: Fields, key: str, inner: Fields | None) -> None:
    """What nobody took of the object under `key` goes back to its place."""
    left = inner.residue() if inner is not None else None
    if left is not None:
        fields.give_back(key, dict(left.fields))


_READERS: Mapping[str, Callable[[Fields], tuple[Part, JsonObject]]] = {
    "text": _text,
    "refusal": _refusal,
    "thinking": _thinking,
    "image_url": _linked("image_url", "image"),
    "video_url": _linked("video_url", "video"),
    "file_url": _linked("file_url", "document"),
    "document_url": _linked("document_url", "document"),
    "input_audio": _audio,
    "file": _file,
}
