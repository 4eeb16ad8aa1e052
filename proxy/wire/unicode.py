r"""Surrogate pairs that an upstream cut in two.

JSON may write an emoji as ``\ud83d\ude00``, and a stream may put the halves into two deltas. A half alone is no
character and cannot be encoded: it is held until the other comes.
"""

from __future__ import annotations

import re

_LONE = re.compile("[\ud800-\udfff]")
_PAIR = re.compile("([\ud800-\udbff])([\udc00-\udfff])")


def _joined(match: re.Match[str]) -> str:
    return (match[1] + match[2]).encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def well_formed(text: str) -> str:
    """Pairs joined, lone halves replaced by U+FFFD."""
    if _LONE.search(text) is None:
        return text
    return _LONE.sub("\ufffd", _PAIR.sub(_joined, text))


class SurrogateJoiner:
    """One per open part: `feed` gives the text that can be sent now, `finish` what was held in vain (U+FFFD or "")."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        if self._held:
            text, self._held = self._held + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return well_formed(text)

    def finish(self) -> str:
        held, self._held = self._held, ""
        return "\ufffd" if held else ""
