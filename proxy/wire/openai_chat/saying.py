"""An assistant's message on its way out: the mirror of `assistant`. Histories and answers differ in few points, which
`Saying` leaves to those who write them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from proxy.hub.parts import Media, Opaque, Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.fields import residue_losses
from proxy.wire.openai_chat.assistant import written_arguments
from proxy.wire.openai_chat.blocks import Blocks
from proxy.wire.openai_chat.reasoning import DETAILS, count_blobs, details_of, mapped
from proxy.wire.openai_chat.words import NAME, own_fields, own_shape, shape_of

GAP = "\n\n"
"""Between texts, and between thoughts, that something else stood between."""


class Saying(ABC):
    """Writes one message after the other. `message` gives it without its role."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.out: JsonObject = {}
        self.content: list[tuple[Part, str]] = []
        self.calls: list[JsonValue] = []

    @abstractmethod
    def blob(self, origin: str, blob: str) -> str | None:
        """A maker's blob as the reader may have it; None: not at all."""

    @abstractmethod
    def foreign_thinking(self, part: Thinking, path: str) -> None:
        """Thinking that did not come in this wire."""

    @abstractmethod
    def reasoning_text(self, part: Thinking, path: str) -> bool:
        """Whether the text of this wire's own reasoning is to be written."""

    @abstractmethod
    def call(self, part: ToolCall, path: str) -> None:
        """Ends in `add_call`, or in a loss."""

    @abstractmethod
    def foreign_media(self, part: Media, path: str) -> None: ...

    def message(self, parts: Sequence[Part], paths: Sequence[str], form: JsonValue = None) -> JsonObject:
        self.out, self.content, self.calls = {}, [], []
        for part, path in zip(parts, paths, strict=True):
            self._part(part, path)
        self._write_content(parts, form)
        if self.calls:
            self.out["tool_calls"] = self.calls
        return self.out

    def _part(self, part: Part, path: str) -> None:
        place = shape_of(part.residue, "in")
        match part:
            case Thinking():
                self._thinking(part, path)
            case ToolCall():
                self.call(part, path)
            case Refusal(text=text) if place is None:
                self.blocks.losses.extend(residue_losses(part.residue, NAME, path))
                self.out["refusal"] = f"{self.out.get('refusal', '')}{text}"
            case Media() if place == "audio":
                self.out["audio"] = self._audio(part)
            case Media() | Opaque() if place == "images":
                block = self.blocks.block(part, path)
                self._append("images", [block] if block is not None else [])
            case Media() if part.residue is None or part.residue.wire != NAME:
                self.foreign_media(part, path)
            case Opaque(wire=wire, kind="tool_call", value=value) if wire == NAME:
                self.calls.append(value)
            case Opaque(wire=wire, kind=kind) if wire != NAME:
                self.blocks.lose(path, kind, f"only {wire} knows it")
            case _:
                self.content.append((part, path))

    def _append(self, key: str, items: Sequence[JsonValue]) -> None:
        have = self.out.get(key)
        if items:
            self.out[key] = [*(have if isinstance(have, list) else []), *items]

    def _audio(self, media: Media) -> JsonObject:
        left = own_fields(media.residue)
        if media.data is None:
            return {**left, "id": media.file_id}
        file_id = shape_of(media.residue, "id")
        return {**left, "data": media.data, **({"id": file_id} if file_id is not None else {})}

    def _write_content(self, parts: Sequence[Part], form: JsonValue) -> None:
        is_marked = any(part.cache is not None for part, _ in self.content)
        if form == "list" or any(not isinstance(part, Text) for part, _ in self.content) or is_marked:
            held = [part for part, _ in self.content]
            self.out["content"] = self.blocks.content(held, [path for _, path in self.content], form)
            return
        for part, path in self.content:
            self.blocks.losses.extend(residue_losses(part.residue, NAME, path))
        text = joined(parts)
        if text or form == "string":
            self.out["content"] = text

    def _thinking(self, part: Thinking, path: str) -> None:
        shape = own_shape(part.residue)
        written = shape.get("written")
        if "block" in shape:
            if self.reasoning_text(part, path):
                self.content.append((part, path))
        elif isinstance(written, dict):
            self._written(part, path, written)
        else:
            self.blocks.losses.extend(residue_losses(part.residue, NAME, path))
            self.foreign_thinking(part, path)

    def _written(self, part: Thinking, path: str, written: JsonObject) -> None:
        told = details_of(written.get(DETAILS))
        details = mapped(told, part.origin or NAME, self.blob)
        if count_blobs(details) < count_blobs(told):
            self.blocks.lose(f"{path}.signature", "signature", "only its maker can read it")
        if details:
            self.out[DETAILS] = list(details)
        texts = {key: value for key, value in written.items() if key != DETAILS}
        if texts and self.reasoning_text(part, path):
            self.out.update(texts)

    def add_call(self, call: ToolCall, *, call_id: str, name: str) -> None:
        """With the way of writing that this wire's own calls came in."""
        shape = own_shape(call.residue)
        if "wrapped" in shape:
            self.calls.extend([shape["wrapped"]] if shape["wrapped"] is not None else [])
            return
        key = "custom" if call.is_custom else "function"
        left = own_fields(call.residue)
        inner_left = left.pop(key, None)
        inner: JsonObject = {**inner_left} if isinstance(inner_left, dict) else {}
        inner["name"] = name
        inner.update({"input": call.arguments} if call.is_custom else written_arguments(call))
        if shape.get("in") == "function_call":
            self.out["function_call"] = {**left, **inner}
            return
        head: JsonObject = {"id": shape.get("id", call_id), "type": shape.get("type", key)}
        made: JsonObject = {**left, **{name: value for name, value in head.items() if value is not None}, key: inner}
        if "index" in shape:
            made["index"] = shape["index"]
        self._sign(call, made)
        self.calls.append(made)

    def _sign(self, call: ToolCall, made: JsonObject) -> None:
        """``extra_content.google.thought_signature`` where it came so, or where Google itself reads it."""
        extra = shape_of(call.residue, "extra_content")
        if call.signature is None:
            return
        blob = self.blob(call.origin or NAME, call.signature) if isinstance(extra, dict) else self.google_blob(call)
        if blob is None:
            return
        extra = extra if isinstance(extra, dict) else {}
        google = extra.get("google")
        made["extra_content"] = {**extra, "google": {**(google if isinstance(google, dict) else {}), SIGNED: blob}}

    @abstractmethod
    def google_blob(self, call: ToolCall) -> str | None:
        """The signature of a call that did not come in this wire, for Google's OpenAI endpoint."""


SIGNED = "thought_signature"


def joined(parts: Sequence[Part]) -> str:
    """Texts that touch are one (citations cut them); those with something else between them are apart."""
    pieces: list[str] = []
    is_apart = False
    for part in parts:
        if not isinstance(part, Text):
            is_apart = True
        elif part.text:
            pieces.extend((GAP, part.text) if is_apart and pieces else (part.text,))
            is_apart = False
    return "".join(pieces)
