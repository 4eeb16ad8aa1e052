"""Servers, and others who ask for a refresh, to be killed: each is a fork of this process, which has everything loaded.

A JSON line on standard input asks for one. Its process id comes back on standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import msgspec

from auth.refresh import Kept, run_child
from proxy.__main__ import main as proxy


class Wanted(msgspec.Struct, kw_only=True):
    """`told`: where its output goes. Either a server of this `config`, or one that asks for another token than the one
    of `digest`, of `login` in the auth-dir `data`.
    """

    environment: dict[str, str]
    told: str
    config: str = ""
    data: str = ""
    login: dict[str, object] = {}
    digest: str = ""


def live(wanted: Wanted) -> None:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    told = os.open(wanted.told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    for output in (1, 2):
        os.dup2(told, output)
    os.environ.clear()
    os.environ.update(wanted.environment)
    if wanted.config:
        sys.argv = ["proxy", "--config", wanted.config, "--port", "0"]
        with contextlib.suppress(SystemExit):
            proxy()
    else:
        login = msgspec.convert(wanted.login, Kept)
        asyncio.run(run_child(Path(wanted.data), login, wanted.digest))


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        pid = os.fork()
        if pid == 0:
            live(msgspec.json.decode(line, type=Wanted))
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
