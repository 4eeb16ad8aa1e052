"""A call that was said on a WebSocket, before a provider that takes them, and before one that does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from proxy.dispatch.frames import payloads
from proxy.errors import Broken, Silent, Unreachable
from proxy.upstream.base import Answer, Call, Deadlines, Spoken
from proxy.upstream.http import HttpUpstream
from proxy.upstream.line import Line
from proxy.upstream.sockets import DEAF_SECONDS, SocketUpstream
from tests.pace import SECONDS_MAX
from tests.socket_vendor import Asked, Close, Hold, SocketVendor, Step, error, messages

LIMITS = b'{"type":"codex.rate_limits","rate_limits":{"primary":{"used_percent":40.0,"window_minutes":300}}}'


class Time:
    """On the test's clock."""

    now = 1000.0


@pytest.fixture
async def vendor() -> AsyncIterator[SocketVendor]:
    async with SocketVendor() as vendor:
        yield vendor


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def upstream(time: Time) -> AsyncIterator[SocketUpstream]:
    upstream = SocketUpstream(HttpUpstream(), now=lambda: time.now)
    yield upstream
    await upstream.close()


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    yield line
    line.close()


def call(vendor: SocketVendor, line: Line, *, previous: str = "", is_prewarm: bool = False, **fields: Any) -> Call:
    body = {"model": "m", "input": "Hi", **fields}
    said = {"type": "response.create", **body, **({"generate": False} if is_prewarm else {})}
    headers = (("authorization", "Bearer key-one"), ("User-Agent", "harbour/1"))
    return Call(
        method="POST",
        url=f"{vendor.url}/v1/responses",
        headers=(*headers, ("content-type", "application/json")),
        body=msgspec.json.encode({**body, "stream": True}),
        spoken=Spoken(
            line=line,
            headers=headers,
            message=msgspec.json.encode(said),
            previous=previous,
            is_prewarm=is_prewarm,
        ),
    )


async def told(answer: Answer) -> list[Any]:
    """All its events."""
    data = b"".join([chunk async for chunk in answer.chunks()])
    await answer.release()
    return [msgspec.json.decode(each) for each in payloads(data)]


async def asked(upstream: SocketUpstream, request: Call) -> Any:
    """The answer as the last event has it."""
    return (await told(await upstream.send(request)))[-1]["response"]


async def refused(upstream: SocketUpstream, request: Call) -> tuple[int, str]:
    answer = await upstream.send(request)
    body = msgspec.json.decode(await answer.read(10_000))
    await answer.release()
    return answer.status, body["error"]["code"]


async def cut(asked: Asked) -> None:
    """The provider has noticed that nobody wants the rest."""
    async with asyncio.timeout(SECONDS_MAX):
        await asked.is_cut.wait()


class TestAConversation:
    async def test_an_answer_comes_as_events(self, upstream: SocketUpstream, vendor: SocketVendor, line: Line) -> None:
        answer = await upstream.send(call(vendor, line))
        assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
        events = await told(answer)
        assert [event["type"] for event in events][:: len(events) - 1] == ["response.created", "response.completed"]
        (said,) = vendor.asked
        assert (said.socket, said.body) == (1, {"type": "response.create", "model": "m", "input": "Hi"})

    async def test_it_stays_on_its_socket(self, upstream: SocketUpstream, vendor: SocketVendor, line: Line) -> None:
        first = await asked(upstream, call(vendor, line, store=False))
        assert line.knows(first["id"])
        second = await asked(upstream, call(vendor, line, previous=first["id"]))
        assert line.knows(second["id"])
        assert [each.socket for each in vendor.asked] == [1, 1]

    async def test_a_prewarm(self, upstream: SocketUpstream, vendor: SocketVendor, line: Line) -> None:
        warm = await asked(upstream, call(vendor, line, is_prewarm=True))
        assert warm["output"] == []
        await asked(upstream, call(vendor, line, previous=warm["id"]))
        assert [each.socket for each in vendor.asked] == [1, 1]

    async def test_the_handshake(self, upstream: SocketUpstream, vendor: SocketVendor, line: Line) -> None:
        await asked(upstream, call(vendor, line))
        (headers,) = vendor.handshakes
        connection = {"host", "connection", "upgrade"}
        assert [
            (name, value)
            for name, value in headers
            if name.lower() not in connection and not name.lower().startswith("sec-websocket-")
        ] == [("authorization", "Bearer key-one"), ("User-Agent", "harbour/1")]

    async def test_answers_beside_each_other_have_a_socket_each(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line
    ) -> None:
        answers = [await upstream.send(call(vendor, line)) for _ in range(3)]
        assert [each.socket for each in vendor.asked] == [1, 2, 3]
        for answer in answers:
            await told(answer)
        await asked(upstream, call(vendor, line))
        assert vendor.asked[-1].socket in {1, 2, 3}, "a socket that rests is used again"

    async def test_lines_never_share_one(self, upstream: SocketUpstream, vendor: SocketVendor, line: Line) -> None:
        other = Line()
        mine = await asked(upstream, call(vendor, line))
        await asked(upstream, call(vendor, other))
        assert [each.socket for each in vendor.asked] == [1, 2]
        assert not other.knows(mine["id"])
        other.close()

    async def test_nor_do_accounts(self, upstream: SocketUpstream, vendor: SocketVendor, line: Line) -> None:
        mine = call(vendor, line)
        assert mine.spoken is not None
        spoken = replace(mine.spoken, headers=(("authorization", "Bearer key-two"),))
        await asked(upstream, mine)
        await asked(upstream, replace(mine, spoken=spoken))
        assert [(each.socket, each.key) for each in vendor.asked] == [(1, "key-one"), (2, "key-two")]

    async def test_what_is_told_of_limits_becomes_headers(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line
    ) -> None:
        vendor.headers = {"x-codex-secondary-used-percent": "7"}
        vendor.plays = lambda _asked: [LIMITS, *messages(response_id="resp_1")[:-1], LIMITS, *messages(response_id="r")]
        answer = await upstream.send(call(vendor, line))
        assert answer.headers["x-codex-primary-used-percent"] == "40"
        assert answer.headers["x-codex-secondary-used-percent"] == "7"
        assert "codex.rate_limits" not in {event["type"] for event in await told(answer)}
        vendor.plays = lambda _asked: messages(response_id="resp_2")
        later = await upstream.send(call(vendor, line))
        assert later.headers["x-codex-primary-window-minutes"] == "300", "told too late for the answer before"
        await told(later)

    async def test_messages_of_several_lines(self, upstream: SocketUpstream, vendor: SocketVendor, line: Line) -> None:
        vendor.plays = lambda _asked: [each.replace(b",", b",\r\n ") for each in messages(response_id="r")]
        assert (await asked(upstream, call(vendor, line)))["status"] == "completed"

    async def test_what_is_said_between_answers_is_dropped(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line
    ) -> None:
        vendor.plays = lambda _asked: [*messages(response_id="r"), LIMITS, b'{"type":"response.afterthought"}']
        assert (await asked(upstream, call(vendor, line)))["status"] == "completed"
        events = await told(await upstream.send(call(vendor, line)))
        assert [event["type"] for event in events][-1] == "response.completed"


class TestWithoutASocket:
    @pytest.mark.parametrize("status", [426, 404, 405, 400, 501, 200])
    async def test_it_goes_over_http(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line, time: Time, status: int
    ) -> None:
        vendor.refuses = status
        for _ in range(2):
            assert (await asked(upstream, call(vendor, line)))["status"] == "completed"
        assert [(each.socket, each.body["stream"]) for each in vendor.asked] == [(0, True), (0, True)]
        assert len(vendor.handshakes) == 1, "it is not asked for a socket each time"
        vendor.refuses, time.now = None, time.now + DEAF_SECONDS
        await asked(upstream, call(vendor, line))
        assert vendor.asked[-1].socket == 2

    @pytest.mark.parametrize("status", [401, 403, 429, 503])
    async def test_a_refusal_of_the_moment_is_told_by_http_and_not_remembered(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line, status: int
    ) -> None:
        vendor.refuses = status
        vendor.plays = lambda _asked: [error(status, "usage_limit_reached", headers={"retry-after": "7"})]
        answer = await upstream.send(call(vendor, line))
        assert (answer.status, answer.headers["retry-after"]) == (status, "7")
        await answer.release()
        vendor.refuses = None
        await upstream.send(call(vendor, line))
        assert [each.socket for each in vendor.asked] == [0, 2]

    async def test_a_prewarm_cannot_be_said(self, upstream: SocketUpstream, vendor: SocketVendor, line: Line) -> None:
        vendor.refuses = 426
        assert await refused(upstream, call(vendor, line, is_prewarm=True)) == (426, "websocket_not_served")
        assert vendor.asked == []

    async def test_nobody_is_there(self, upstream: SocketUpstream, vendor: SocketVendor, line: Line) -> None:
        with pytest.raises(Unreachable, match="nothing was sent"):
            await upstream.send(replace(call(vendor, line), url="http://127.0.0.1:1/v1/responses"))

    async def test_somebody_in_between_swallows_handshakes(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("proxy.upstream.sockets.HANDSHAKE_SECONDS", 0.05)
        vendor.swallows = True
        slow = replace(call(vendor, line), deadlines=Deadlines(connect=0.05))
        for _ in range(2):
            assert (await asked(upstream, slow))["status"] == "completed"
        assert [each.socket for each in vendor.asked] == [0, 0]
        assert len(vendor.handshakes) == 1

    async def test_whoever_never_spoke_on_one_goes_over_http(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line
    ) -> None:
        await asked(upstream, replace(call(vendor, line), spoken=None))
        assert (vendor.asked[0].socket, vendor.handshakes) == (0, [])

    async def test_an_address_that_is_none(self, upstream: SocketUpstream, vendor: SocketVendor, line: Line) -> None:
        with pytest.raises(Unreachable):
            await upstream.send(replace(call(vendor, line), url="no address"))


class TestWhatGoesWrong:
    async def test_an_error_that_comes_first_has_its_status_and_headers(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line
    ) -> None:
        vendor.plays = lambda _asked: [error(429, "usage_limit_reached", headers={"retry-after": 9, "set-cookie": "x"})]
        answer = await upstream.send(call(vendor, line))
        assert (answer.status, answer.headers["retry-after"]) == (429, "9")
        assert "set-cookie" not in answer.headers
        assert msgspec.json.decode(await answer.read(1000))["error"]["code"] == "usage_limit_reached"
        await answer.release()
        vendor.plays = lambda _asked: messages(response_id="r")
        await asked(upstream, call(vendor, line))
        assert [each.socket for each in vendor.asked] == [1, 1], "the socket is as good as before"

    @pytest.mark.parametrize("status", [None, 99, "x"])
    async def test_an_error_without_a_proper_status(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line, status: object
    ) -> None:
        vendor.plays = lambda _asked: [msgspec.json.encode({"type": "error", "status": status, "error": {}})]
        answer = await upstream.send(call(vendor, line))
        assert answer.status in {200, 502}
        answer.abort()

    async def test_an_error_in_the_middle_ends_the_answer(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line
    ) -> None:
        vendor.plays = lambda _asked: [*messages(response_id="r")[:2], error(500, "server_error")]
        events = await told(await upstream.send(call(vendor, line)))
        assert [event["type"] for event in events] == ["response.created", "response.in_progress", "error"]

    async def test_an_answer_that_is_cut(self, upstream: SocketUpstream, vendor: SocketVendor, line: Line) -> None:
        vendor.plays = lambda _asked: [*messages(response_id="r")[:3], Close(0)]
        with pytest.raises(Broken):
            await told(await upstream.send(call(vendor, line)))
        vendor.plays = lambda _asked: messages(response_id="r2")
        assert (await asked(upstream, call(vendor, line)))["id"] == "r2"
        assert [each.socket for each in vendor.asked] == [1, 2]

    async def test_a_new_socket_that_closes_without_a_word(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line
    ) -> None:
        vendor.plays = lambda _asked: [Close(1011)]
        with pytest.raises(Broken):
            await upstream.send(call(vendor, line))

    @pytest.mark.parametrize("code", [1002, 1003, 1007, 1008])
    async def test_a_socket_that_is_for_something_else(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line, code: int
    ) -> None:
        vendor.plays = lambda asked: [Close(code)] if asked.socket else messages(response_id="r")
        for _ in range(2):
            assert (await asked(upstream, call(vendor, line)))["id"] == "r"
        assert [each.socket for each in vendor.asked] == [1, 0, 0]

    @pytest.mark.parametrize("step", [Close(1000), Close(0), error(400, "websocket_connection_limit_reached")])
    async def test_an_old_one_that_does_is_replaced(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line, step: Step
    ) -> None:
        """It had been open for too long."""
        first = await asked(upstream, call(vendor, line))
        vendor.plays = lambda asked: [step] if asked.socket == 1 else messages(response_id="again")
        assert (await asked(upstream, call(vendor, line)))["id"] == "again"
        assert [each.socket for each in vendor.asked] == [1, 1, 2]
        assert not line.knows(first["id"])

    @pytest.mark.parametrize("step", [Close(1000), error(400, "websocket_connection_limit_reached")])
    async def test_what_only_it_knew_is_forgotten(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line, step: Step
    ) -> None:
        first = await asked(upstream, call(vendor, line))
        vendor.plays = lambda _asked: [step]
        told = await refused(upstream, call(vendor, line, previous=first["id"]))
        assert told == (400, "previous_response_not_found")
        assert await refused(upstream, call(vendor, line, previous="resp_elsewhere")) == told

    async def test_too_large_for_a_message_goes_over_http(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line
    ) -> None:
        vendor.plays = lambda asked: [Close(1009)] if asked.socket else messages(response_id="large")
        assert (await asked(upstream, call(vendor, line)))["id"] == "large"
        assert [each.socket for each in vendor.asked] == [1, 0]

    @pytest.mark.parametrize("steps", [[], messages(response_id="r")[:2]])
    async def test_silence(self, upstream: SocketUpstream, vendor: SocketVendor, line: Line, steps: list[Step]) -> None:
        vendor.plays = lambda _asked: [*steps, Hold()]
        impatient = replace(call(vendor, line), deadlines=Deadlines(head=0.1, idle=0.1))
        with pytest.raises(Silent):
            await told(await upstream.send(impatient))
        await cut(vendor.asked[0])

    async def test_a_client_that_goes_ends_the_answer(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line
    ) -> None:
        vendor.plays = lambda _asked: [*messages(response_id="r")[:2], Hold()]
        answer = await upstream.send(call(vendor, line))
        answer.abort()
        await cut(vendor.asked[0])

    async def test_one_that_goes_before_the_first_word_does_too(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line
    ) -> None:
        begun = asyncio.Event()

        def plays(_asked: Asked) -> list[Step]:
            begun.set()
            return [Hold()]

        vendor.plays = plays
        task = asyncio.create_task(upstream.send(call(vendor, line)))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await cut(vendor.asked[0])

    async def test_a_line_that_is_closed_ends_all_of_its_sockets(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line
    ) -> None:
        vendor.plays = lambda _asked: [*messages(response_id="r")[:2], Hold()]
        for _ in range(2):
            await upstream.send(call(vendor, line))
        line.close()
        for each in vendor.asked:
            await cut(each)

    async def test_garbage_is_passed_on_for_others_to_judge(
        self, upstream: SocketUpstream, vendor: SocketVendor, line: Line
    ) -> None:
        vendor.plays = lambda _asked: [b'"type":"error" nonsense', b'{"type":"response.completed"', Close(1000)]
        answer = await upstream.send(call(vendor, line))
        with pytest.raises(Broken):
            [chunk async for chunk in answer.chunks()]
