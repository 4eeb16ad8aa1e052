"""The program, as it is, but that the collector of cycles comes only when it is called: ``python -m
tests.faults.collected`` and what the program takes.

Each SIGUSR1 calls it; a line of the log, ``garbage.found``, says how many objects of each of our own classes it met.
"""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Iterator

import msgspec

from proxy.__main__ import main

OURS = ("proxy.", "auth.", "management.")


def names() -> Iterator[str]:
    """Of what only the collector can free."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    for each in gc.garbage:
        if type(each).__module__.startswith(OURS):
            yield f"{type(each).__module__}.{type(each).__qualname__}"
    gc.garbage.clear()
    gc.collect()


def tell(*_signal: object) -> None:
    line = {"event": "garbage.found", "names": Counter(names())}
    os.write(2, msgspec.json.encode(line) + b"\n")


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, tell)
    gc.disable()
    main()
