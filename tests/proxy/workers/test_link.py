from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass, field

import msgspec
import pytest

from proxy.workers.link import Link
from proxy.workers.messages import Ask, FromFollower, FromOwner, Handover, Leave, Message, Parcel, Said
from tests.pace import SECONDS_MAX

SIZES = [0, 1, 1000, 300_000, 20_000_000]


@dataclass
class End:
    """What has come there."""

    link: Link[Message] = field(init=False)
    came: list[tuple[Message, socket.socket | None]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, message: Message, brought: socket.socket | None) -> None:
        self.came.append((message, brought))
        self.news.set()

    async def messages(self, count: int) -> list[Message]:
        async with asyncio.timeout(SECONDS_MAX):
            while len(self.came) < count:
                self.news.clear()
                await self.news.wait()
        return [message for message, _ in self.came]


def joined() -> tuple[End, End]:
    """The owner's, and the follower's."""
    ends = End(), End()
    for end, made, kinds in zip(ends, socket.socketpair(), (FromFollower, FromOwner), strict=True):
        decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(kinds)
        end.link = Link(made, decoder, take=end.take, lose=end.lost.set)
    return ends


async def test_messages_come_in_order_whatever_their_size() -> None:
    owner, follower = joined()
    for number, size in enumerate(SIZES):
        follower.link.tell(Parcel(lines=b"x" * size, in_flight=number))
        follower.link.tell(Said(number=number))
    await owner.messages(2 * len(SIZES))
    told = [message for message, _ in owner.came if isinstance(message, Parcel)]
    assert [(len(each.lines), each.in_flight) for each in told] == [(size, at) for at, size in enumerate(SIZES)]
    assert [message.number for message, _ in owner.came if isinstance(message, Said)] == [*range(len(SIZES))]
    owner.link.tell(Ask(number=7))
    assert await follower.messages(1) == [Ask(number=7)]
    owner.link.close()
    follower.link.close()


async def test_a_socket_goes_along_with_its_own_message() -> None:
    owner, follower = joined()
    theirs = []
    for number in range(50):
        near, far = socket.socketpair()
        theirs.append(near)
        follower.link.tell(Handover(data=bytes([number]) * (number * 10_000)), far.fileno())
        far.close()
        follower.link.tell(Said(number=number))
    await owner.messages(100)
    for number, (near, (message, brought)) in enumerate(zip(theirs, owner.came[::2], strict=True)):
        assert isinstance(message, Handover)
        assert brought is not None
        assert not os.get_inheritable(brought.fileno())
        near.sendall(bytes([number]))
        assert (brought.recv(10), message.data) == (bytes([number]), bytes([number]) * (number * 10_000))
        near.close()
        brought.close()
    owner.link.close()
    follower.link.close()


async def test_the_other_end_is_gone() -> None:
    owner, follower = joined()
    follower.link.close()
    async with asyncio.timeout(SECONDS_MAX):
        await owner.lost.wait()
    assert owner.link.is_closed
    owner.link.tell(Leave())  # to nobody
    await owner.link.empty()
    follower.link.close()


async def test_what_was_said_last_is_heard_though_nobody_listens_any_more() -> None:
    owner, follower = joined()
    owner.link.tell(Ask(number=1))  # which it never reads
    for number in range(200):
        follower.link.tell(Said(number=number))
    await follower.link.empty()
    follower.link.close()
    owner.link.tell(Ask(number=2))
    owner.link.tell(Ask(number=3))
    assert len(await owner.messages(200)) == 200
    async with asyncio.timeout(SECONDS_MAX):
        await owner.lost.wait()


async def test_who_does_not_listen_is_known_and_nothing_stays_open() -> None:
    near, far = socket.socketpair()
    end = End()
    end.link = Link(near, msgspec.msgpack.Decoder(FromFollower), take=end.take, lose=end.lost.set)
    assert not end.link.is_full
    for _ in range(7):
        end.link.tell(Parcel(lines=b"x" * 10_000_000))
    assert end.link.is_full
    waiting = asyncio.create_task(end.link.empty())
    left, right = socket.socketpair()
    end.link.tell(Handover(data=b""), right.fileno())
    right.close()
    end.link.close()
    await waiting
    left.settimeout(5)
    assert left.recv(1) == b"", "the copy that waited is closed, too"
    left.close()
    far.close()


async def test_a_closed_descriptor_is_the_senders_fault() -> None:
    owner, follower = joined()
    with pytest.raises(OSError, match="Bad file descriptor"):
        follower.link.tell(Handover(data=b""), 1_000_000)
    owner.link.close()
    follower.link.close()
