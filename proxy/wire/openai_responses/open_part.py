"""A part between its start and its end: what was said of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from proxy.hub.parts import Part, Refusal, Text, Thinking, ToolCall
from proxy.wire.unicode import SurrogateJoiner


class OpenPart:
    """Keeps the fragments, and joins them once: linear in the length of the part."""

    __slots__ = ("_chunks", "_joiner", "_kind", "_part")

    def __init__(self, part: Part) -> None:
        self._part = part
        self._chunks: dict[int, list[str]] = {}
        self._joiner = SurrogateJoiner()
        self._kind = ""

    def feed(self, delta: str, section: int, kind: str) -> str:
        """What can be told of it now. The first `kind` of thoughts that a part tells is the one that counts: some
        models tell them raw and in summary.
        """
        self._kind = self._kind or kind
        if kind != self._kind:
            return ""
        text = self._joiner.feed(delta)
        if text:
            self._chunks.setdefault(section, []).append(text)
        return text

    def _said(self, section: int = 0) -> str:
        return "".join(self._chunks.get(section, ()))

    def missing(self, finished: Part) -> Iterator[tuple[int, str]]:
        """Section and text of what the finished part holds and no delta told."""
        match finished:
            case Text(text=text) | Refusal(text=text) | ToolCall(arguments=text):
                whole: tuple[str, ...] = (text,)
            case Thinking(sections=sections):
                whole = sections
            case _:
                return
        for section, text in enumerate(whole):
            said = self._said(section)
            if len(said) < len(text) and text.startswith(said):
                yield section, text[len(said) :]

    def so_far(self) -> Part:
        rest = self._joiner.finish()
        match self._part:
            case Text() | Refusal():
                return replace(self._part, text=self._said() + rest)
            case ToolCall():
                return replace(self._part, arguments=self._said() + rest)
            case Thinking():
                sections = [self._said(number) for number in range(max(self._chunks, default=-1) + 1)]
                return replace(self._part, sections=tuple(sections))
            case _:
                return self._part
