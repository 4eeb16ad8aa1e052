"""How a process of this program runs: its event loop, and when garbage is looked for."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

try:
    import uvloop
except ImportError:  # not on Windows
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    new_event_loop = uvloop.new_event_loop

COLLECTIONS = (20_000, 5, 3)
"""Of garbage in cycles, which a request leaves next to nothing of: after so many new objects, and so on upwards. A
connection that is closed and a reload leave some: with 20 and 20 they were let grow to tens of megabytes (`make soak`).
"""


def settle() -> None:
    """What stands now stands for good: looking for garbage among it takes a tenth of a second each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTIONS)
