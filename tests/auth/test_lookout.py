from __future__ import annotations

import asyncio
from pathlib import Path

from auth.lookout import Lookout
from tests.pace import SECONDS_MAX


async def test_a_look_that_fails_is_told_and_is_not_the_last(tmp_path: Path) -> None:
    path, loop = tmp_path / "file", asyncio.get_running_loop()
    told: list[str] = []
    looks: asyncio.Queue[None] = asyncio.Queue()

    async def look() -> None:
        looks.put_nowait(None)
        raise ValueError("a defect")

    loop.set_exception_handler(lambda _loop, context: told.append(str(context["exception"])))
    lookout = Lookout(path, loop=loop, signature=lambda: None, is_whole=lambda: True, look=look, poll_seconds=None)
    lookout.start()
    try:
        async with asyncio.timeout(SECONDS_MAX):
            await looks.get()
            path.touch()
            await looks.get()
    finally:
        await lookout.close()
    assert told[0] == "a defect"
