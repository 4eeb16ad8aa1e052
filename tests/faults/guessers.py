"""A crowd at a server's door, in a process of its own: ``python -m tests.faults.guessers PORT GUESSES PER_SECOND``.

Each guess comes on a connection of its own, from one of twenty addresses of this machine, with a forged forwarding
header. Some wait for their answer; most have no patience, and are back at once with the next guess. Writes JSON: how
many there were of each status.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import suppress

import msgspec

PEERS = [f"127.0.0.{number}" for number in range(2, 22)]
AT_A_TIME = 600
"""Beside the owner there is room for no more than a thousand connections."""
PATIENT_PART = 10
"""One of so many waits for its answer: seconds."""
IMPATIENT_SECONDS = 0.05


async def guess(port: int, number: int, told: Counter[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(PEERS[number % len(PEERS)], 0))
    try:
        writer.write(
            f"GET /v0/management/version HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Forwarded-For: 127.0.0.1\r\n"
            f"Authorization: Bearer guess {number}\r\n\r\n".encode()
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(None if number % PATIENT_PART == 0 else IMPATIENT_SECONDS):
                told[(await reader.readline()).split()[1].decode()] += 1
                return
        told["gone"] += 1
    finally:
        writer.transport.abort()


async def crowd(port: int, guesses: int, per_second: float) -> Counter[str]:
    told: Counter[str] = Counter()
    room = asyncio.Semaphore(AT_A_TIME)
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def one(number: int) -> None:
        try:
            await guess(port, number, told)
        except (OSError, IndexError):
            told["refused"] += 1
        finally:
            room.release()

    async with asyncio.TaskGroup() as group:
        for number in range(guesses):
            await room.acquire()
            await asyncio.sleep(max(0.0, began + number / per_second - loop.time()))
            group.create_task(one(number))
    return told


if __name__ == "__main__":
    found = asyncio.run(crowd(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
    sys.stdout.buffer.write(msgspec.json.encode(found))
