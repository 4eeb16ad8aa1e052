"""T07: a hundred thousand guesses at the management key, over HTTP: the loop is never late for them, and who has the
key gets in within a second, although the process has not seen it before; also where nothing is known of it at all, from
an address that is none of theirs, and from one of theirs as soon as it is proved at the machine. The short form is some
hundred guesses; ``make faults`` has them all.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
import bcrypt
import msgspec

from management import key_ring
from tests.faults.guessers import PEERS
from tests.faults.running import started
from tests.faults.watched import Found

ROUNDS = int(os.environ.get("PROXY_FAULT_ROUNDS", "2"))
GUESSES = 200 * ROUNDS
PER_SECOND = 1000
LATE_SECONDS_MAX = 0.02
OWNER_SECONDS_MAX = 1.0
PAUSE_SECONDS = 1.0
IDLE_SECONDS = 2.0
QUIET = 1.2
"""A machine that has little else to do takes so much longer for what needs a core."""
ROOT = Path(__file__).parents[2]
KEY = "the-management-key-of-the-owner"


async def guessing(url: str, guesses: int) -> asyncio.subprocess.Process:
    port = str(aiohttp.client.URL(url).port)
    command = (sys.executable, "-m", "tests.faults.guessers", port, str(guesses), str(PER_SECOND))
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)


async def crowd(url: str) -> dict[str, int]:
    process = await guessing(url, GUESSES)
    assert process.stdout is not None
    told = await process.stdout.read()
    assert await process.wait() == 0
    return msgspec.json.decode(told, type=dict[str, int])


async def visit(url: str, *, amid: bool = False) -> float:
    """Seconds until the owner is let in, on a connection of his own; `amid`: from where the guessers are."""
    headers = {"Authorization": f"Bearer {KEY}", **({"X-Forwarded-For": "127.0.0.1"} if amid else {})}
    connector = aiohttp.TCPConnector(local_addr=(PEERS[0] if amid else "127.0.0.1", 0))
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        began = time.monotonic()
        async with session.get(f"{url}/v0/management/version") as answer:
            assert answer.status == 200, await answer.text()
        return time.monotonic() - began


async def visits(url: str, until: asyncio.Event) -> list[float]:
    waited = []
    while not until.is_set():
        waited.append(await visit(url))
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE_SECONDS):
                await until.wait()
    return sorted(waited)


async def stood(folder: Path, *eyes: str) -> tuple[Found, list[float], dict[str, int], list[float]]:
    """What was found, when the server was idle, then under siege, then not any more; what the guessers were told; and
    how long the owner waited each time.
    """
    file = folder / "found.json"
    async with started(folder, "--sandbox", module=("tests.faults.watched", *eyes, str(file))) as server:
        times = [time.monotonic()]
        await asyncio.sleep(IDLE_SECONDS)
        times.append(time.monotonic())
        over = asyncio.Event()
        visiting = asyncio.create_task(visits(server.url, over))
        told = await crowd(server.url)
        times.append(time.monotonic())
        over.set()
        waited = await visiting
        assert await server.stop(signal.SIGTERM) == 0
    return msgspec.json.decode(file.read_bytes(), type=Found), times, told, waited


def check(found: Found, times: list[float], told: dict[str, int], waited: list[float]) -> None:
    idle, late = found.late_p99(*times[:2]), found.late_p99(*times[1:])
    facts = {
        "told": told, "seconds": times[2] - times[1], "weighed": len(found.weighed), "visits": len(waited),
        "longest": waited[-3:], "late p99": late, "idle": idle, "stretch": found.stretch,
    }  # fmt: skip
    logging.getLogger(__name__).info("found: %s", facts)
    assert sum(told.values()) == GUESSES
    assert told["401"] > 0
    assert told.get("refused", 0) <= 10 + GUESSES / 100
    assert late[1] <= LATE_SECONDS_MAX, facts
    is_quiet = found.stretch < QUIET
    assert waited[-1] <= OWNER_SECONDS_MAX * (1.0 if is_quiet else 2 * found.stretch), facts
    assert not is_quiet or late[0] <= LATE_SECONDS_MAX, facts


def configured(folder: Path, stored: str) -> None:
    text = f"remote-management:\n  allow-remote: true\n  secret-key: '{stored}'\n"
    (folder / "config.yaml").write_text(f"auth-dir: {folder / 'accounts'}\nlog-format: json\n{text}")


async def test_T07_a_hundred_thousand_guesses(tmp_path: Path) -> None:
    configured(tmp_path, key_ring.hashed(KEY))
    async with started(tmp_path, "--sandbox") as server:
        await visit(server.url)
        assert await server.stop() == 0
    found, times, told, waited = await stood(tmp_path)
    check(found, times, told, waited)
    assert set(told) <= {"401", "gone", "refused"}
    guessed = [each for each in found.weighed if each.key != KEY]
    assert len(guessed) <= GUESSES / 2**10 * 3 + 10, "of those that could be right"


async def test_T07_the_first_use_of_a_hash_that_was_made_elsewhere(tmp_path: Path) -> None:
    """Each visit of the owner's is that. He is at no address of the crowd's."""
    configured(tmp_path, bcrypt.hashpw(KEY.encode(), bcrypt.gensalt(key_ring.ROUNDS, prefix=b"2a")).decode())
    found, times, told, waited = await stood(tmp_path, "--unlearned")
    check(found, times, told, waited)
    assert set(told) <= {"401", "429", "gone", "refused"}


async def test_T07_who_proves_the_key_at_the_machine_gets_in_from_amid_the_crowd(tmp_path: Path) -> None:
    """Of a hash that was made elsewhere, and whose key was never used."""
    configured(tmp_path, bcrypt.hashpw(KEY.encode(), bcrypt.gensalt(key_ring.ROUNDS, prefix=b"2a")).decode())
    file = tmp_path / "found.json"
    async with started(tmp_path, "--sandbox", module=("tests.faults.watched", str(file))) as server:
        guessers = await guessing(server.url, 1_000_000)
        try:
            await server.logged("management.refused")
            proving = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "proxy", "--config", str(tmp_path / "config.yaml"), "keys", "prove"),
                cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            await proving.communicate(f"{KEY}\n".encode())
            assert proving.returncode == 0
            waited = [await visit(server.url, amid=True) for _ in range(3)]
            assert guessers.returncode is None, "they go on"
        finally:
            guessers.kill()
            await guessers.wait()
        assert await server.stop(signal.SIGTERM) == 0
    found = msgspec.json.decode(file.read_bytes(), type=Found)
    assert max(waited) <= OWNER_SECONDS_MAX * (1.0 if found.stretch < QUIET else 2 * found.stretch), waited
