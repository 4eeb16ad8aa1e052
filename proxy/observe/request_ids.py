"""Fresh ids of requests: of chance alone, 96 bits each, drawn by the hundred (a draw asks the system, which takes
longer than all else that is done with an id).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

ID_CHARACTERS = 24
AT_ONCE = 128


class RequestIds:
    """`vouch`: told of each, and gives it back (`proxy.observe.scrub.Scrubber.vouch`)."""

    def __init__(self, vouch: Callable[[str], str] = str) -> None:
        self._vouch = vouch
        self._left: list[str] = []

    def next(self) -> str:
        if not self._left:
            drawn = secrets.token_hex(ID_CHARACTERS // 2 * AT_ONCE)
            self._left = [drawn[at : at + ID_CHARACTERS] for at in range(0, len(drawn), ID_CHARACTERS)]
        return self._vouch(self._left.pop())
