"""``python -m proxy.workers 5 1.2.3``: a follower, as the owner starts it. The first word is the file descriptor of its
link, the second the owner's version. It dies with the owner.
"""

from __future__ import annotations

import asyncio
import ctypes
import signal
import sys

from proxy import __version__
from proxy.running import new_event_loop
from proxy.workers.follower import follow
from proxy.workers.messages import UPGRADED

_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG (prctl(2))."""


def main() -> None:
    descriptor, version = sys.argv[1:3]
    if version != __version__:
        sys.exit(UPGRADED)
    for number in (signal.SIGINT, signal.SIGTERM):  # a terminal and a supervisor tell all; the owner says what to do
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(follow(int(descriptor)))


if __name__ == "__main__":
    main()
