"""Frames of one stream are alike but for a few words: one that is like the last is known without being looked through.

What stands before and behind the words of a frame in which nothing was found is remembered. A frame with the same
before and behind, and without a quote in between, holds nothing either (0.3 µs; looking through 280 bytes takes 2.3).
"""

from __future__ import annotations

WORDS = b'"content":"'
"""Where the words of OpenAI's deltas begin; the other wires' frames are told apart by their first bytes."""
_QUOTE = b'"'
_END = b"\n\n"


class Sameness:
    """`fits`, and where it does not, and nothing was found: `learn`. Frames are without their ends."""

    __slots__ = ("_after", "_before", "_end", "_least")

    def __init__(self) -> None:
        self._before = self._after = self._end = b""
        self._least = 0

    def is_one(self, block: bytes) -> bool:
        """Whether it is a single frame with its end, and fits."""
        before, end = self._before, self._end
        if not (before and block.startswith(before) and block.endswith(end)):
            return False
        start, stop = len(before), len(block) - len(end)
        if start > stop or block.find(_QUOTE, start, stop) >= 0:
            return False
        return block.find(b"\n", start, stop) < 0 and block.find(b"\r", start, stop) < 0

    def fits(self, frame: bytes) -> bool:
        """Nothing fits, too: it holds nothing."""
        before, after = self._before, self._after
        return not frame or (
            bool(before)
            and frame.startswith(before)
            and frame.endswith(after)
            and len(frame) >= self._least
            and frame.find(_QUOTE, len(before), len(frame) - len(after)) < 0
        )

    def learn(self, frame: bytes) -> None:
        start = frame.find(WORDS) + len(WORDS)
        end = frame.find(_QUOTE, start)
        is_simple = start >= len(WORDS) and end >= 0 and frame.find(b"\\", start, end) < 0
        self._before, self._after = (frame[:start], frame[end:]) if is_simple else (b"", b"")
        self._end = self._after + _END
        self._least = len(self._before) + len(self._after)
