from __future__ import annotations

import asyncio

import pytest

from proxy.server.head import HeadReader
from proxy.server.intake import READ_AHEAD_BYTES, Intake
from proxy.server.visit import BrokenBody

PIECE = READ_AHEAD_BYTES // 4


class Sender:
    """Of a body with a length, or of a chunked one."""

    def __init__(self, line: bytes) -> None:
        self.is_held = False
        reader = HeadReader()
        head = reader.read(b"POST / HTTP/1.1\r\nHost: h\r\n" + line + b"\r\n\r\n")
        self.intake = Intake(head.length, reader, self.hold, self.go_on)

    def hold(self) -> None:
        self.is_held = True

    def go_on(self) -> None:
        self.is_held = False


async def read(intake: Intake) -> bytes:
    whole = b""
    while part := await intake.readany():
        whole += part
    return whole


async def test_a_body_ends_where_its_length_says() -> None:
    intake = Sender(b"Content-Length: 5").intake
    assert intake.feed(b"hel") == b""
    assert not intake.is_eof()
    assert intake.feed(b"loGET / ") == b"GET / "
    assert intake.is_eof()
    assert await read(intake) == b"hello"
    assert await intake.readany() == b""


async def test_whoever_waits_is_told() -> None:
    intake = Sender(b"Content-Length: 4").intake
    reading = asyncio.create_task(read(intake))
    for letter in b"abcd":
        await asyncio.sleep(0)
        intake.feed(bytes([letter]))
    assert await reading == b"abcd"


async def test_a_body_that_nobody_reads_is_held_up_and_goes_on() -> None:
    sender = Sender(b"Content-Length: %d" % (20 * PIECE))
    got = 0
    for _ in range(20):
        if sender.is_held:
            got += len(await sender.intake.readany())
        assert not sender.is_held
        sender.intake.feed(bytes(PIECE))
        assert sender.intake._size <= READ_AHEAD_BYTES + PIECE
    while data := await sender.intake.readany():
        got += len(data)
    assert got == 20 * PIECE
    assert not sender.is_held


async def test_what_is_not_chunked_breaks_after_what_was() -> None:
    intake = Sender(b"Transfer-Encoding: chunked").intake
    intake.feed(b"3\r\nabc\r\n")
    intake.feed(b"zz\r\n")
    assert await intake.readany() == b"abc"
    with pytest.raises(BrokenBody):
        await intake.readany()


async def test_the_end_of_the_connection_ends_the_waiting() -> None:
    intake = Sender(b"Content-Length: 4").intake
    reading = asyncio.create_task(intake.readany())
    await asyncio.sleep(0)
    intake.fail(ConnectionResetError())
    with pytest.raises(ConnectionResetError):
        await reading
