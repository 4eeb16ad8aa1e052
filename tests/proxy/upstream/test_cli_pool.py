from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
import structlog

from proxy.errors import Unreachable
from proxy.upstream import cli_pool
from proxy.upstream.base import CliAccount
from proxy.upstream.cli_choice import Home, Room, Seats, Wish
from proxy.upstream.cli_pool import Busy, Capacity, Claim, CliPool
from proxy.upstream.cli_worker import Kind

HARBOUR = CliAccount(id="harbour", home=Path("harbour"))
QUAY = CliAccount(id="quay", home=Path("quay"))
SECONDS = 20.0


@dataclass(eq=False)
class Program:
    """A CLI that does nothing."""

    pid: int
    account: str
    is_alive: bool = True
    is_closed: bool = False
    bytes: int = 0
    forgotten: list[object] = field(default_factory=list)

    def memory_bytes(self) -> int:
        return self.bytes

    def forget(self, note: object) -> None:
        self.forgotten.append(note)

    async def close(self) -> None:
        assert not self.is_closed, "closed once only"
        self.is_closed = True


class Machine:
    """`programs`: all that were ever started. `hurdle`: awaited by each start."""

    def __init__(self, room: Room) -> None:
        self.now = 0.0
        self.programs: list[Program] = []
        self.hurdle: Callable[[], Awaitable[None]] | None = None
        log = cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())
        self.pool = CliPool(clock=lambda: self.now, log=log, room=room)

    async def start(self, account: CliAccount, _variant: str) -> Program:
        if self.hurdle is not None:
            await self.hurdle()
        program = Program(pid=len(self.programs) + 1, account=account.id)
        self.programs.append(program)
        return program

    def kind(self, *, has_spares: bool = False, **seats: int) -> Kind[Program]:
        return Kind(name="a-cli", start=self.start, seats=Seats(**seats), has_spares=has_spares)

    async def claim(
        self, kind: Kind[Program], *said: bytes, account: CliAccount = HARBOUR, seconds: float = SECONDS
    ) -> Claim[Program]:
        wish = Wish(home=Home(kind=kind.name, account=account.id), said=said)
        return await self.pool.claim(kind, account, wish, seconds=seconds)


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    machine = Machine(Room(processes_max=3, account_processes_max=2))
    yield machine
    await machine.pool.close()
    assert all(program.is_closed for program in machine.programs)


async def test_a_kept_conversation_is_continued_in_its_process_with_its_note(machine: Machine) -> None:
    kind = machine.kind()
    claim = await machine.claim(kind, b"hello")
    assert claim.kept is None
    claim.keep(said=[b"hello", b"ahoy"], note="the note")
    again = await machine.claim(kind, b"hello", b"ahoy", b"how are you")
    assert again.worker is claim.worker
    assert again.kept is not None
    assert again.kept.note == "the note"
    again.leave()


async def test_a_conversation_is_continued_once(machine: Machine) -> None:
    kind = machine.kind()
    (await machine.claim(kind, b"hello")).keep(said=[b"hello", b"ahoy"])
    one = await machine.claim(kind, b"hello", b"ahoy", b"left")
    two = await machine.claim(kind, b"hello", b"ahoy", b"right")
    assert (one.kept is None, two.kept is None) == (False, True)
    assert one.worker is not two.worker
    one.leave()
    two.leave()


async def test_a_process_that_has_had_its_conversation_is_closed(machine: Machine) -> None:
    claim = await machine.claim(machine.kind(), b"hello")
    claim.leave()
    await asyncio.sleep(0)
    assert machine.pool.capacity == Capacity(active=0, warm=0, max=3, queued=0)
    claim.leave()
    claim.drop()
    claim.keep(said=[b"hello"])


async def test_a_process_with_several_seats_serves_several_at_once_and_is_dropped_as_one(machine: Machine) -> None:
    kind = machine.kind(at_once=2, conversations_max=10)
    one, two = [await machine.claim(kind, b"hello") for _ in range(2)]
    assert one.worker is two.worker
    three = await machine.claim(kind, b"hello")
    assert three.worker is not one.worker
    one.drop()
    two.keep(said=[b"hello", b"ahoy"])
    four = await machine.claim(kind, b"hello", b"ahoy", b"how are you")
    assert four.kept is None
    three.leave()
    four.leave()


async def test_who_finds_no_room_waits_in_line_and_a_full_account_keeps_no_other_waiting(machine: Machine) -> None:
    kind = machine.kind()
    first, second = [await machine.claim(kind, b"hello") for _ in range(2)]
    order: list[str] = []

    async def ask(name: str) -> None:
        claim = await machine.claim(kind, b"hello")
        order.append(name)
        claim.leave()

    waiting = [asyncio.create_task(ask(name)) for name in ("one", "two")]
    await asyncio.sleep(0)
    assert machine.pool.capacity.queued == 2
    other = await machine.claim(kind, b"hello", account=QUAY)
    first.leave()
    await asyncio.gather(*waiting)
    assert order == ["one", "two"]
    second.leave()
    other.leave()


async def test_an_idle_conversation_of_another_account_makes_room(machine: Machine) -> None:
    kind = machine.kind()
    kept = await machine.claim(kind, b"hello", account=QUAY)
    kept.keep(said=[b"hello", b"ahoy"])
    claims = [await machine.claim(kind, b"hello") for _ in range(2)]
    elsewhere = CliAccount(id="elsewhere", home=Path("elsewhere"))
    claims.append(await machine.claim(kind, b"hello", account=elsewhere))
    await asyncio.sleep(0)
    assert kept.worker.is_closed
    assert [claim.worker.account for claim in claims] == ["harbour", "harbour", "elsewhere"]
    for claim in claims:
        claim.leave()


async def test_nobody_waits_longer_than_they_said(machine: Machine) -> None:
    kind = machine.kind()
    claims = [await machine.claim(kind, b"hello") for _ in range(2)]
    with pytest.raises(Busy, match="2 of one account, 3 of all"):
        await machine.claim(kind, b"hello", seconds=0.01)
    assert machine.pool.capacity.queued == 0
    for claim in claims:
        claim.leave()


async def test_who_has_a_seat_waits_for_its_process_as_long_as_that_takes_to_start(machine: Machine) -> None:
    """It is told what is amiss where it does not start: `Kind.start` has limits of its own."""
    has_time = asyncio.Event()

    async def start() -> None:
        await has_time.wait()

    machine.hurdle = start
    claiming = asyncio.create_task(machine.claim(machine.kind(), b"hello", seconds=0.01))
    await asyncio.wait([claiming], timeout=0.1)
    assert not claiming.done()
    has_time.set()
    (await claiming).leave()


async def test_a_full_line_is_closed(machine: Machine) -> None:
    machine.pool.room = Room(processes_max=1, queue_max=1)
    kind = machine.kind()
    claim = await machine.claim(kind, b"hello")
    waiting = asyncio.create_task(machine.claim(kind, b"hello"))
    await asyncio.sleep(0)
    with pytest.raises(Busy, match="already wait"):
        await machine.claim(kind, b"hello")
    waiting.cancel()
    await asyncio.wait([waiting])
    assert machine.pool.capacity.queued == 0
    claim.leave()


async def test_whoever_leaves_while_a_process_starts_leaves_no_process_taken(machine: Machine) -> None:
    begun, may_go_on = asyncio.Event(), asyncio.Event()

    async def hurdle() -> None:
        begun.set()
        await may_go_on.wait()

    machine.hurdle = hurdle
    asking = asyncio.create_task(machine.claim(machine.kind(), b"hello"))
    await begun.wait()
    asking.cancel()
    await asyncio.wait([asking])
    may_go_on.set()
    assert machine.pool.capacity.active == 0


async def test_what_cannot_be_started_is_told_to_who_asked_and_leaves_nothing(machine: Machine) -> None:
    for error in (Unreachable("no such program"), OSError("nobody foresaw that")):

        async def hurdle(error: Exception = error) -> None:
            raise error

        machine.hurdle = hurdle
        with pytest.raises(type(error), match=str(error)):
            await machine.claim(machine.kind(), b"hello")
        assert machine.pool.capacity == Capacity(active=0, warm=0, max=3, queued=0)


async def test_spares_follow_demand(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_pool, "SPARE_DELAY_SECONDS", 0)
    kind = machine.kind(has_spares=True)
    claim = await machine.claim(kind, b"hello")
    async with asyncio.timeout(SECONDS):
        while machine.pool.capacity.warm < 2:  # noqa: ASYNC110 - nobody tells when a spare is there
            await asyncio.sleep(0)
    spare = await machine.claim(kind, b"hello")
    assert spare.worker is machine.programs[1]
    claim.leave()
    spare.leave()
    machine.now += 10
    machine.pool.look()
    assert machine.pool.capacity.warm == 2
    machine.now += 1000
    machine.pool.look()
    assert machine.pool.capacity.warm == 0


async def test_silent_conversations_dead_processes_and_fat_ones_go(machine: Machine) -> None:
    kind = machine.kind(at_once=1, conversations_max=100)
    silent = await machine.claim(kind, b"hello")
    silent.keep(said=[b"hello", b"ahoy"], note="the note")
    machine.now += 601
    machine.pool.look()
    assert silent.worker.forgotten == ["the note"]
    assert machine.pool.capacity.warm == 1
    machine.programs[0].bytes = 2 * 1024**3
    machine.pool.look()
    assert machine.pool.capacity.warm == 0
    dead = await machine.claim(kind, b"hello")
    dead.keep(said=[b"hello", b"ahoy"])
    dead.worker.is_alive = False
    again = await machine.claim(kind, b"hello", b"ahoy", b"how are you")
    assert again.kept is None
    assert again.worker is not dead.worker
    again.leave()
    machine.pool.look()
    assert machine.pool.capacity.warm == 1


async def test_at_the_end_nobody_is_left_waiting(machine: Machine) -> None:
    kind = machine.kind()
    claims = [await machine.claim(kind, b"hello") for _ in range(2)]
    waiting = asyncio.create_task(machine.claim(kind, b"hello"))
    await asyncio.sleep(0)
    await machine.pool.close()
    with pytest.raises(Busy, match="shutting down"):
        await waiting
    with pytest.raises(Busy):
        await machine.claim(kind, b"hello")
    for claim in claims:
        claim.leave()
