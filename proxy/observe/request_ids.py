"""Fresh ids of requests: when, to the millisecond, and 52 bits of chance, in hex.

What is made later sorts later, so that the ledger's index of them grows at its end: of pure chance each row was another
page of it to write. Chance is drawn by the hundred (a draw asks the system, which takes longer than all else that is
done with an id).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

ID_CHARACTERS = 24
TIME_CHARACTERS = 11
AT_ONCE = 128

_CHANCE = ID_CHARACTERS - TIME_CHARACTERS


class RequestIds:
    """`vouch`: told of each, and gives it back (`proxy.observe.scrub.Scrubber.vouch`). `now`: Unix seconds."""

    def __init__(self, vouch: Callable[[str], str] = str, now: Callable[[], float] = time.time) -> None:
        self._vouch = vouch
        self._now = now
        self._left: list[str] = []

    def next(self) -> str:
        if not self._left:
            drawn = secrets.token_hex(_CHANCE * AT_ONCE // 2)
            self._left = [drawn[at : at + _CHANCE] for at in range(0, len(drawn), _CHANCE)]
        return self._vouch(f"{int(self._now() * 1000):0{TIME_CHARACTERS}x}{self._left.pop()}")
