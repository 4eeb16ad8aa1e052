from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from auth.secret import Secret
from proxy.errors import Broken, Silent, Unreachable
from proxy.observe.record import Recorder
from proxy.observe.recording import Fault, Frame, Pairs, Recording, Request, Response, load
from proxy.observe.scrub import MARK, Scrubber
from proxy.upstream.base import Answer, Call, Deadlines
from proxy.upstream.recorded import RecordedUpstream
from proxy.upstream.replay import ReplayUpstream

KEY = "correct-horse-battery-staple"
SSE: Pairs = (("Content-Type", "text/event-stream"),)
STREAM = Response(headers=SSE, frames=(Frame(data=b"data: 1\n\n"), Frame(data=b"data: [DONE]\n\n")), is_streamed=True)
WHOLE = Response(
    status=429,
    headers=(("Content-Type", "application/json"), ("Retry-After", "3")),
    frames=(Frame(data=b'{"error":{}}'),),
)
CALL = Call(
    method="POST",
    url=f"https://api.example.com/v1/chat?key={KEY}&alt=sse",
    headers=(("Authorization", f"Bearer {KEY}"), ("Content-Type", "application/json")),
    body=b'{"model":"m"}',
    deadlines=Deadlines(head=0.2, idle=0.2),
)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    writer = Recorder(tmp_path / "recordings", Scrubber([Secret(KEY)]))
    yield writer
    writer.close()


@pytest.fixture
async def replay() -> AsyncIterator[ReplayUpstream]:
    upstream = ReplayUpstream([])
    yield upstream
    await upstream.close()


def queue(upstream: ReplayUpstream, response: Response, fault: Fault | None = None) -> None:
    upstream.deck.add(Recording(request=Request(path="/v1/chat"), response=response, fault=fault))


async def drain(answer: Answer) -> None:
    async for _ in answer.chunks():
        pass


def written(recorder: Recorder, tmp_path: Path) -> list[Recording]:
    recorder.close()
    return load(tmp_path / "recordings")


async def test_what_is_recorded_plays_the_same(recorder: Recorder, replay: ReplayUpstream, tmp_path: Path) -> None:
    upstream = RecordedUpstream(replay, recorder)
    queue(replay, STREAM)
    queue(replay, WHOLE)
    answer = await upstream.send(CALL)
    assert b"".join([chunk async for chunk in answer.chunks()]) == STREAM.body
    await answer.release()
    answer = await upstream.send(CALL)
    assert (answer.status, await answer.read(99), answer.headers["retry-after"]) == (429, WHOLE.body, "3")
    answer.abort()
    first, second = recordings = written(recorder, tmp_path)
    assert first.request == Request(
        path="/v1/chat",
        query=(("key", MARK), ("alt", "sse")),
        headers=(("Host", "api.example.com"), ("Authorization", MARK), ("Content-Type", "application/json")),
        body=CALL.body,
    )
    assert (first.response.body, first.response.is_streamed, first.fault) == (STREAM.body, True, None)
    assert (second.response, second.fault) == (WHOLE, None)

    again = ReplayUpstream(recordings, pace=0)
    assert await (await again.send(CALL)).read(99) == STREAM.body
    assert (await again.send(CALL)).status == 429
    await again.close()


async def test_failures_are_recorded_as_faults_that_fail_again(
    recorder: Recorder, replay: ReplayUpstream, tmp_path: Path
) -> None:
    upstream = RecordedUpstream(replay, recorder)
    queue(replay, STREAM, Fault(kind="refuse"))
    queue(replay, STREAM, Fault(kind="stall"))
    queue(replay, STREAM, Fault(kind="cut", after_bytes=12))
    for expected in (Unreachable, Silent):
        with pytest.raises(expected):
            await upstream.send(CALL)
    with pytest.raises(Broken):
        await (await upstream.send(CALL)).read(99)
    queue(replay, STREAM, Fault(kind="stall", after_bytes=12))
    answer = await upstream.send(CALL)
    with pytest.raises(Silent):
        await drain(answer)
    recordings = written(recorder, tmp_path)
    assert [recording.fault for recording in recordings] == [
        Fault(kind="refuse"),
        Fault(kind="stall"),
        Fault(kind="cut", after_bytes=0),
        Fault(kind="stall", after_bytes=12),
    ]
    again = ReplayUpstream(recordings, pace=0)
    for expected in (Unreachable, Silent):
        with pytest.raises(expected):
            await again.send(CALL)
    for expected in (Broken, Silent):
        with pytest.raises(expected):
            await (await again.send(CALL)).read(99)
    await again.close()


async def test_a_client_that_went(recorder: Recorder, replay: ReplayUpstream, tmp_path: Path) -> None:
    upstream = RecordedUpstream(replay, recorder)
    queue(replay, STREAM, Fault(kind="stall"))
    task = asyncio.create_task(upstream.send(CALL))
    await replay.server.received(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    queue(replay, STREAM, Fault(kind="stall", after_bytes=3))
    answer = await upstream.send(CALL)
    async for _ in answer.chunks():
        break
    answer.abort()
    assert [recording.fault for recording in written(recorder, tmp_path)] == [
        Fault(kind="stall"),
        Fault(kind="cut", after_bytes=3),
    ]
    await upstream.close()
