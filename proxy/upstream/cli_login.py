"""What a CLI that asks for others gets of the account's login: always the token that the request names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from proxy.upstream.base import Call

LOOKS_MAX = 20
LOOK_SECONDS = 0.05
"""CLIs write their file in place, so for a moment it may be torn."""
_SCHEME = "Bearer "


def bearer(call: Call) -> str:
    """The account's token; empty: the call names none."""
    value = next((value for name, value in call.headers if name.lower() == "authorization"), "")
    return value.removeprefix(_SCHEME)


async def saved_login(path: Path, cut: Callable[[bytes], bytes]) -> bytes:
    """`cut`: what of it is for the CLI; raises `ValueError` where the file is none. Raises that, or `OSError`."""
    for _ in range(LOOKS_MAX - 1):
        try:
            return cut(await asyncio.to_thread(path.read_bytes))
        except ValueError:
            await asyncio.sleep(LOOK_SECONDS)
    return cut(await asyncio.to_thread(path.read_bytes))
