"""Content parts on their way out, to an upstream or to a client: the mirror of `parts`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, TypeAlias

from proxy.hub.loss import Loss
from proxy.hub.parts import CacheMark, Media, MediaKind, Opaque, Part, Refusal, Text, Thinking
from proxy.hub.profile import Profile
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.fields import residue_losses
from proxy.wire.openai_chat.parts import MARKS, url_of
from proxy.wire.openai_chat.words import CACHE_MARKS_MAX, NAME, own_fields, own_shape, shape_of

_TIMES: Mapping[str, str] = {"5m": "30m", "30m": "30m", "1h": "12h", "12h": "12h"}
"""Cache times that OpenAI has, by the ones that others have."""
_AUDIO_FORMATS: Mapping[str, str] = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}

Writer: TypeAlias = "Callable[[Blocks, Media, str], JsonObject | None]"
"""Of media, as they stand at a path."""


def _linked(key: str) -> Writer:
    def write(_blocks: Blocks, media: Media, _path: str) -> JsonObject | None:
        shape = own_shape(media.residue)
        url = url_of(media, shape)
        if shape.get("is_bare"):
            return {"type": key, key: url}
        values: JsonObject = {"url": url}
        if media.detail is not None:
            values["detail"] = media.detail
        return _nested(media, key, values)

    return write


class Blocks:
    """Writes parts for a reader that has `profile`. Collects what it could not say in `losses`.

    `is_home`: the request came in this wire, so that its own ways of writing are kept.
    """

    def __init__(self, profile: Profile, *, is_home: bool, losses: list[Loss]) -> None:
        self.profile = profile
        self.is_home = is_home
        self.losses = losses
        self._marks = 0

    def lose(self, path: str, what: str, why: str) -> None:
        self.losses.append(Loss(path, what, why))

    def content(self, parts: Sequence[Part], paths: Sequence[str], form: JsonValue = None) -> JsonValue:
        """A string where that says it all, else a list. `form`: how the client wrote it."""
        blocks = [block for part, path in zip(parts, paths, strict=True) if (block := self.block(part, path))]
        if form == "null" and not blocks:
            return None
        texts = [text for block in blocks if isinstance(text := block.get("text"), str) and _is_plain(block)]
        if len(texts) == len(blocks) and (form != "list" or not self.profile.has_text_lists):
            if len(texts) <= 1:
                return "".join(texts)
            if not self.profile.has_text_lists:
                return "\n\n".join(texts)
        return list(blocks)

    def block(self, part: Part, path: str) -> JsonObject | None:
        """None: it cannot be said here, and the loss is noted; or it is an empty text, which upstreams refuse."""
        self.losses.extend(residue_losses(part.residue, NAME, path))
        block = self._block(part, path)
        if block is not None:
            block = {**own_fields(part.residue), **block}
            self._mark(part, block, path)
        elif part.cache is not None:
            self.lose(f"{path}.cache_control", "cache mark", "there is nothing to bear it")
        return block

    def _block(self, part: Part, path: str) -> JsonObject | None:
        match part:
            case Text(text=text):
                return {"type": "text", "text": text} if text or self.is_home else None
            case Refusal(text=text):
                return {"type": "refusal", "refusal": text}
            case Media():
                return self._media_block(part, path)
            case Opaque(wire=wire, kind=kind, value=value):
                if wire == NAME and isinstance(value, dict):
                    return dict(value)
                self.lose(path, kind, f"only {wire} knows it")
            case Thinking():
                closed = shape_of(part.residue, "closed")
                ending: JsonObject = {"closed": closed} if closed is not None else {}
                return {"type": "thinking", "thinking": shape_of(part.residue, "block"), **ending}
            case _:
                self.lose(path, type(part).__name__, "it has no place in a content list")
        return None

    def _mark(self, part: Part, block: JsonObject, path: str) -> None:
        if part.cache is None:
            return
        if not self.profile.has_cache_marks:
            self.lose(f"{path}.cache_control", "cache mark", "the upstream caches without being told")
        elif self._marks >= CACHE_MARKS_MAX:
            self.lose(f"{path}.cache_control", "cache mark", f"the upstream takes {CACHE_MARKS_MAX} at most")
        else:
            self._marks += 1
            block.update(mark_of(part.cache, shape_of(part.residue, "mark")))

    def _media_block(self, media: Media, path: str) -> JsonObject | None:
        if media.kind not in self.profile.media and media.plain_text is None:
            return self._without(media, path, media.kind, "the model does not read it")
        if media.file_id is not None and media.origin not in {self.profile.maker, None}:
            return self._without(media, path, "file id", f"it belongs to {media.origin}")
        if media.url is not None and not self.profile.takes_media_url:
            return self._without(media, path, f"{media.kind} url", "the upstream does not fetch files")
        carrier = shape_of(media.residue, "as")
        write = self._writers.get(carrier) if isinstance(carrier, str) else None
        return (write or self._natural(media))(self, media, path)

    def _without(self, media: Media, path: str, what: str, why: str) -> JsonObject:
        """A word in its place: else the model would answer as if nothing had been there."""
        self.lose(path, what, why)
        return {"type": "text", "text": f"[{media.kind} left out: {why}]"}

    def _natural(self, media: Media) -> Writer:
        carriers: Mapping[MediaKind, str] = {"image": "image_url", "audio": "input_audio", "video": "video_url"}
        return self._writers["file" if media.file_id else carriers.get(media.kind, "file")]

    def _input_audio(self, media: Media, path: str) -> JsonObject | None:
        form = shape_of(media.residue, "format") or _AUDIO_FORMATS.get(media.media_type or "")
        if media.data is None or (form is None and media.residue is None):
            return self._without(
                media, path, f"audio ({media.media_type or 'by url'})", "this wire takes wav and mp3 data"
            )
        data = media.data
        if shape_of(media.residue, "is_data_url"):
            data = url_of(media, own_shape(media.residue))
        return _nested(media, "input_audio", {"data": data} if form is None else {"data": data, "format": form})

    def _file(self, media: Media, path: str) -> JsonObject | None:
        is_own = shape_of(media.residue, "as") == "file"
        if media.file_id is not None:
            values: JsonObject = {"file_id": media.file_id}
        elif not is_own and (text := media.plain_text) is not None:
            return {"type": "text", "text": f"{media.name}:\n\n{text}" if media.name else text}
        elif not is_own and media.data is None:
            return self._without(media, path, f"{media.kind} url", "this wire takes a file's data, not its address")
        else:
            values = {"file_data": url_of(media, own_shape(media.residue))}
        if media.name is not None:
            values["filename"] = media.name
        elif not is_own and media.file_id is None:
            values["filename"] = f"file.{(media.media_type or 'application/pdf').rpartition('/')[2]}"
        return _nested(media, "file", values)

    _writers: ClassVar[Mapping[str, Writer]] = {
        "image_url": _linked("image_url"),
        "video_url": _linked("video_url"),
        "file_url": _linked("file_url"),
        "document_url": _linked("document_url"),
        "input_audio": _input_audio,
        "file": _file,
    }


def mark_of(mark: CacheMark, written: JsonValue) -> JsonObject:
    """As it was written here, else OpenAI's own."""
    if isinstance(written, dict):
        return dict(written)
    time = _TIMES.get(mark.time)
    return {MARKS[0]: {"mode": "explicit", "ttl": time} if time else {"mode": "explicit"}}


def _is_plain(block: JsonObject) -> bool:
    return block.get("type") == "text" and len(block) == 2


def _nested(media: Media, key: str, values: JsonObject) -> JsonObject:
    left = own_fields(media.residue).get(key)
    return {"type": key, key: {**left, **values} if isinstance(left, dict) else values}
