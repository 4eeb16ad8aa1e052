from __future__ import annotations

import asyncio

from proxy.dispatch.clock import Clock
from proxy.dispatch.waiting import Ticket, WaitingRoom

MODEL = "m"


async def for_ever(_seconds: float) -> None:
    await asyncio.Event().wait()


CLOCK = Clock(sleep=for_ever)


class Bank:
    """So many seats; whoever is woken takes one, if it may."""

    def __init__(self, seats: int = 0) -> None:
        self.room = WaitingRoom()
        self.seats = seats
        self.served: list[str] = []
        self.looked: list[str] = []

    async def wait(self, name: str, *, client: str = "", is_bound: bool = False) -> None:
        ticket = Ticket(client or name, is_bound=is_bound)
        self.room.enter(MODEL, ticket)
        is_served = False
        try:
            while not is_served:
                await ticket.sleep(60.0, CLOCK)
                self.looked.append(name)
                if self.seats and not is_bound:
                    self.seats -= 1
                    is_served = True
                else:
                    self.room.pass_on(MODEL, ticket)
        finally:
            self.room.leave(MODEL, ticket, is_served=is_served)
        self.served.append(name)


async def settled() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


async def test_one_seat_serves_the_first_who_came() -> None:
    bank = Bank()
    waiting = [asyncio.create_task(bank.wait(name, client="same")) for name in "abc"]
    await settled()
    bank.seats = 1
    bank.room.wake()
    await settled()
    assert bank.served == ["a"]
    assert bank.looked == ["a", "b"]  # there might have been more
    bank.seats = 2
    bank.room.wake()
    await asyncio.gather(*waiting)
    assert bank.served == ["a", "b", "c"]
    assert len(bank.room) == 0
    assert not bank.room.has_line(MODEL)


async def test_T36_clients_take_turns_however_many_requests_one_has() -> None:
    bank = Bank()
    crowd = [("greedy", f"g{n}") for n in range(40)] + [("modest", f"m{n}") for n in range(4)]
    waiting = [asyncio.create_task(bank.wait(name, client=client)) for client, name in crowd]
    await settled()
    bank.seats = 8
    bank.room.wake()
    await settled()
    assert sorted(bank.served) == ["g0", "g1", "g2", "g3", "m0", "m1", "m2", "m3"]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert len(bank.room) == 0


async def test_who_cannot_use_the_chance_passes_it_on() -> None:
    bank = Bank()
    waiting = [asyncio.create_task(bank.wait(name, is_bound=name in "ab")) for name in "abc"]
    await settled()
    bank.seats = 1
    bank.room.wake()
    await settled()
    assert bank.looked[:3] == ["a", "b", "c"]
    assert bank.served == ["c"]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_when_there_is_nothing_only_one_looks() -> None:
    bank = Bank()
    waiting = [asyncio.create_task(bank.wait(str(n))) for n in range(50)]
    await settled()
    bank.room.wake()
    await settled()
    assert len(bank.looked) == 1
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_who_is_called_and_gone_leaves_the_chance_to_the_next() -> None:
    bank = Bank(seats=1)
    first, second = asyncio.create_task(bank.wait("a")), asyncio.create_task(bank.wait("b"))
    await settled()
    bank.room.wake()
    first.cancel()  # before it has looked
    await settled()
    assert bank.served == ["b"]
    await asyncio.gather(first, second, return_exceptions=True)


async def test_one_who_has_waited_long_enough_looks_by_itself() -> None:
    room = WaitingRoom()
    ticket = Ticket("a")
    room.enter(MODEL, ticket)
    await ticket.sleep(1.0, Clock(sleep=lambda _seconds: asyncio.sleep(0)))
    assert not ticket.is_woken
    room.leave(MODEL, ticket, is_served=False)
    assert not room.has_line(MODEL)
