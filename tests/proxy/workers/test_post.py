from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import FilteringBoundLogger

from proxy.workers import post
from proxy.workers.messages import UPGRADED, FromFollower, Message, Papers, Parcel, Placed
from proxy.workers.post import Post
from tests.pace import SECONDS_MAX


class Owner:
    """Counts who is lost."""

    def __init__(self) -> None:
        self.lost = 0
        log: FilteringBoundLogger = structlog.get_logger()
        self.post = Post(2, greet=self.greet, brief=list, take=self.take, lose=self.lose, log=log)
        self.has_lost, self.has_greeted = asyncio.Event(), asyncio.Event()

    def greet(self) -> Iterable[Message]:
        self.has_greeted.set()
        yield Papers(number=1, config=b"", host="127.0.0.1", port=1)

    def take(self, who: Post, message: FromFollower, brought: object) -> None:
        pass

    def lose(self, who: Post) -> None:
        assert who is self.post
        self.lost += 1
        if self.lost == 3:
            self.has_lost.set()


def test_T24_followers_get_what_they_need_of_the_environment_and_find_the_same_program() -> None:
    ours = {"PATH": "/bin", "MANAGEMENT_PASSWORD": "secret", "PROXY_SEAL_KEY": "secret", "PYTHONPATH": "/more"}
    sources = str(Path(post.__file__).parents[2])
    assert post._environment(ours) == {"PATH": "/bin", "PYTHONPATH": f"{sources}{os.pathsep}/more"}


@pytest.mark.parametrize(
    ("code", "words"),
    [(1, "it ended with code 1"), (-9, "it was killed by signal 9"), (UPGRADED, "another one now: restart")],
)
def test_the_log_says_why_one_is_gone(code: int, words: str) -> None:
    assert words in post._reason(code)


async def test_who_dies_is_replaced_after_longer_and_longer_times(monkeypatch: pytest.MonkeyPatch) -> None:
    async def started(descriptor: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)", pass_fds=(descriptor,))

    monkeypatch.setattr(post, "_started", started)
    monkeypatch.setattr(post, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(post, "AGAIN_SECONDS_MAX", 0.03)
    owner = Owner()
    with capture_logs() as logs:
        owner.post.start()
        async with asyncio.timeout(SECONDS_MAX):
            await owner.has_lost.wait()
        await owner.post.close()
    assert [(line["event"], line["why"]) for line in logs[:2]] == [("worker.died", "it ended with code 7")] * 2
    assert [line["again_in_seconds"] for line in logs[:2]] == [0.02, 0.03]


async def test_one_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = asyncio.Semaphore(0)

    async def started(_descriptor: int) -> asyncio.subprocess.Process:
        tries.release()
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(post, "_started", started)
    monkeypatch.setattr(post, "AGAIN_SECONDS", 0.01)
    owner = Owner()
    with capture_logs() as logs:
        owner.post.start()
        async with asyncio.timeout(SECONDS_MAX):
            for _ in range(3):
                await tries.acquire()
        await owner.post.close()
    assert logs[0]["why"] == "it cannot be started: Cannot allocate memory"


async def test_one_that_hangs_is_killed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def started(descriptor: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import time; time.sleep(1000)", pass_fds=(descriptor,)
        )

    monkeypatch.setattr(post, "_started", started)
    owner = Owner()
    owner.post.start()
    async with asyncio.timeout(SECONDS_MAX):
        await owner.has_greeted.wait()
        await owner.post.close()
    assert owner.lost == 1


async def test_one_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def started(descriptor: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import time; time.sleep(1000)", pass_fds=(descriptor,)
        )

    monkeypatch.setattr(post, "_started", started)
    monkeypatch.setattr(post, "AGAIN_SECONDS", 60.0)
    owner = Owner()
    with capture_logs() as logs:
        owner.post.start()
        async with asyncio.timeout(SECONDS_MAX):
            await owner.has_greeted.wait()
            while not owner.lost:
                owner.post.tell(Parcel(lines=b"x" * 10_000_000))
                await asyncio.sleep(0)
        await owner.post.close()
    assert logs[0]["why"] == "it was killed by signal 9"


async def test_what_would_be_good_to_know_comes_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, "AT_ONCE", 10)
    owner = Owner()
    told = []

    def brief() -> Iterable[Message]:
        for number in range(100):
            told.append(number)
            yield Placed(key=b"k", credential="a", model="m", expires_at=number)

    owner.post._brief = brief
    owner.post.start()
    async with asyncio.timeout(SECONDS_MAX):
        await owner.has_greeted.wait()
        seen = set()
        while len(told) < 100:
            seen.add(len(told))
            await asyncio.sleep(0)
    assert len(seen) >= 9, "others had their turn"
    await owner.post.close()
