"""Servers that begin a refresh and are killed: each is a fork of this process, which has everything loaded.

A JSON line on standard input asks for one: what to refresh. Its process id comes back on standard output.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import msgspec

from auth.oidc import OidcClient
from auth.oidc_source import OwnLogin
from auth.seal import PLAIN


class Wanted(msgspec.Struct):
    data: str
    home: str
    issuer: str
    client_id: str
    digest: str


async def serve(wanted: Wanted) -> None:
    client = OidcClient(issuer=wanted.issuer, client_id=wanted.client_id)
    login = OwnLogin(id="one", home=wanted.home, client=client, seal=PLAIN, environment={})
    await login.renew(Path(wanted.data), wanted.digest)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        wanted = msgspec.json.decode(line, type=Wanted)
        server = os.fork()
        if server == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asyncio.run(serve(wanted))
            os._exit(0)
        sys.stdout.write(f"{server}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
