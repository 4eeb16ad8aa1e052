"""Content parts: what stands in a message's ``content`` and in a tool's ``output``.

Each element gives exactly one part, so that a ``content_index`` is a position among the parts. A kind without a word
in the hub becomes Opaque. `Residue.shape["part"]` keeps what means nothing elsewhere: the type where it is not the
usual one for its role, empty lists of annotations and logprobs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from proxy.hub.parts import CacheMark, CacheTime, Media, MediaKind, Opaque, Part, Refusal, Text
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.fields import Fields, residue_fields, residue_shape
from proxy.wire.openai_responses.losses import NAME

Content: TypeAlias = Text | Media | Refusal | Opaque

INPUT, OUTPUT = "input_text", "output_text"
"""The types of a text: what the caller says, and what the model says."""

_TTL_OF: Mapping[CacheTime, str] = {"5m": "30m", "30m": "30m", "1h": "12h", "12h": "12h"}
"""Cache times that this wire has, and the nearest for those it has not."""
_TIME_OF: Mapping[str, CacheTime] = {"30m": "30m", "12h": "12h"}
_MEDIA_KINDS: Mapping[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video"}
_EMPTY_MEANS_NOTHING = ("annotations", "logprobs")


def parse_content(value: JsonValue, path: str, native: str) -> Content:
    """`native`: the type of a text there, ``input_text`` or ``output_text``."""
    fields = Fields(value, wire=NAME, path=path)
    kind = fields.peek("type")
    parse = _PARSERS.get(kind) if isinstance(kind, str) else None
    part = parse(fields, native) if parse is not None else None
    return part or Opaque(wire=NAME, kind=str(kind), value=value)


def _text(fields: Fields, native: str) -> Text:
    shape = _part_shape(fields, native)
    return Text(
        text=fields.need_str("text"),
        cache=_cache(fields),
        residue=fields.residue(**({"part": shape} if shape else {})),
    )


def _refusal(fields: Fields, native: str) -> Refusal:
    del native
    fields.take("type")
    return Refusal(text=fields.need_str("refusal"), residue=fields.residue())


def _part_shape(fields: Fields, native: str) -> JsonObject:
    kind = fields.take("type")
    shape: JsonObject = {} if kind == native else {"type": kind}
    shape.update({key: fields.take(key) for key in _EMPTY_MEANS_NOTHING if fields.peek(key) == []})
    return shape


def _cache(fields: Fields) -> CacheMark | None:
    raw = fields.take_object("prompt_cache_breakpoint")
    if raw is None:
        return None
    mark = CacheMark(_TIME_OF.get(str(raw.get("ttl")), "default"))
    if breakpoint_of(mark) != raw:
        fields.give_back("prompt_cache_breakpoint", raw)
    return mark


def breakpoint_of(mark: CacheMark) -> JsonObject:
    ttl = _TTL_OF.get(mark.time)
    return {"mode": "explicit", "ttl": ttl} if ttl else {"mode": "explicit"}


def _image(fields: Fields, native: str) -> Media | None:
    del native
    fields.take("type")
    address = fields.take_str("image_url")
    return _media(fields, address, fields.take_str("file_id"), kind="image")


def _file(fields: Fields, native: str) -> Media | None:
    del native
    fields.take("type")
    data, address = fields.take_str("file_data"), fields.take_str("file_url")
    if data is not None and address is not None:
        return None
    is_bare = data is not None and split_data_url(data) is None
    return _media(fields, data or address, fields.take_str("file_id"), kind=None, is_bare=is_bare)


def _media(
    fields: Fields, address: str | None, file_id: str | None, *, kind: MediaKind | None, is_bare: bool = False
) -> Media | None:
    """None when there is not exactly one source: such a part is kept as it is. `kind` None: a file, of any kind."""
    if (address is None) == (file_id is None):
        return None
    split = split_data_url(address) if address is not None else None
    media_type, data = split or (None, address if is_bare else None)
    shape: JsonObject = {} if kind else {"type": "input_file"}
    if is_bare:
        shape["is_bare"] = True
    return Media(
        kind=kind or _MEDIA_KINDS.get((media_type or "").partition("/")[0], "document"),
        media_type=media_type or None,
        data=data,
        url=address if data is None else None,
        file_id=file_id,
        name=fields.take_str("filename"),
        detail=fields.take_str("detail"),
        origin=NAME if file_id is not None else None,
        cache=_cache(fields),
        residue=fields.residue(**({"part": shape} if shape else {})),
    )


def split_data_url(address: str) -> tuple[str, str] | None:
    """``data:image/png;base64,AAAA`` → its type and data; None for anything that could not be put together again."""
    head, comma, data = address.partition(";base64,")
    if not comma or not head.startswith("data:") or ";" in head or "," in head:
        return None
    return head[5:], data


_PARSERS: Mapping[str, Callable[[Fields, str], Content | None]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
}


def render_content(part: Part, native: str) -> JsonObject:
    """The part as this wire writes it; `native` as above. Opaque must be this wire's own."""
    fields = residue_fields(part.residue, NAME)
    for key in residue_item_keys(part.residue):
        fields.pop(key, None)
    shape = residue_shape(part.residue, NAME, "part")
    kept = shape if isinstance(shape, dict) else {}
    match part:
        case Text(text=text):
            body: JsonObject = {"type": native, "text": text}
        case Refusal(text=text):
            body = {"type": "refusal", "refusal": text}
        case Media():
            return {**_render_media(part, kept), **_render_cache(part), **fields}
        case Opaque(value=dict() as value):
            return value
        case _:
            raise AssertionError(f"{type(part).__name__} is no content")
    return {**body, **_render_cache(part), **kept, **fields}


def residue_item_keys(residue: Residue | None) -> JsonObject:
    """The fields that belong to the item around the part: our key → the item's."""
    keys = residue_shape(residue, NAME, "item_keys")
    return keys if isinstance(keys, dict) else {}


def _render_cache(part: Part) -> JsonObject:
    return {"prompt_cache_breakpoint": breakpoint_of(part.cache)} if part.cache is not None else {}


def _render_media(media: Media, kept: JsonObject) -> JsonObject:
    data = media.data
    if data is not None and "is_bare" not in kept:
        data = f"data:{media.media_type or ''};base64,{data}"
    if media.kind == "image" and kept.get("type") != "input_file":
        body: JsonObject = {"type": "input_image", "image_url": data or media.url, "file_id": media.file_id}
    else:
        body = {"type": "input_file", "file_data": data, "file_url": media.url, "file_id": media.file_id}
    body.update({"filename": media.name, "detail": media.detail})
    return {key: value for key, value in body.items() if value is not None}
