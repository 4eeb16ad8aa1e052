"""Conversations over a WebSocket: several lanes, and a dispatcher that plays what a test tells it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import pytest

from proxy.config.client_keys import RateLimits, Rates
from proxy.dispatch.inquiry import AttemptRecord, Inquiry, Outcome, Refused, Report, Tie
from proxy.errors import Untranslatable
from proxy.hub.events import Failure, PartDelta, PartEnd, PartStart, ResponseEnd, ResponseStart
from proxy.hub.parts import Part, Text, ToolCall
from proxy.hub.response import Finish, Usage
from proxy.server import lanes
from proxy.server.compaction import ASK, FOUND
from proxy.wire.base import Reply
from proxy.wire.table import wire_named
from tests.pace import SECONDS_MAX, quickest

if TYPE_CHECKING:
    from tests.proxy.server.conftest import House, Open

KEY, OTHER = "sk-a-long-random-word-1", "sk-a-long-random-word-2"
PATH = "/v1/responses"
ENDS = {"response.completed", "response.incomplete", "response.failed", "error", "response.steer.failed"}
ENDED = "response.completed"
CODEX = {"user_agent": "codex_exec/0.169.0 (Debian)", "originator": "codex_exec"}
OVERLOADED = Failure(kind="overloaded", status=529, message="too much", retry_after_seconds=2.2)


class Client:
    """One connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, **fields: Any) -> None:
        message = {"type": "response.create", "model": "big", **fields}
        await self.socket.send_str(msgspec.json.encode(message).decode())

    async def take(self) -> Any:
        async with asyncio.timeout(SECONDS_MAX):
            return await self.socket.receive_json(loads=msgspec.json.decode)

    async def until_end(self) -> list[Any]:
        """The events up to the end of one answer, or to a refusal."""
        events: list[Any] = []
        while not events or events[-1]["type"] not in ENDS:
            events.append(await self.take())
        return events

    async def ask(self, **fields: Any) -> Any:
        """The response as the last event has it, or the refusal."""
        await self.say(**fields)
        last = (await self.until_end())[-1]
        return last.get("response", last)

    async def close_code(self) -> int | None:
        async with asyncio.timeout(SECONDS_MAX):
            while (await self.socket.receive()).type not in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}:
                pass
        return self.socket.close_code


@asynccontextmanager
async def connected(house: House, path: str = PATH, **headers: str) -> AsyncIterator[Client]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with house.session.ws_connect(house.url + path, headers=named) as socket:
        yield Client(socket)


def frames(inquiry: Inquiry, *parts: Part, reason: Any = "stop") -> list[bytes]:
    """An answer of these parts, as a translation gives it."""
    reply = Reply(model=inquiry.model, request_id=inquiry.request_id, framing=inquiry.framing)
    renderer = wire_named("openai_responses").stream_renderer(reply)
    told = [renderer.feed(ResponseStart(id="x", model="m"))]
    for index, part in enumerate(parts):
        told.append(renderer.feed(PartStart(index, Text(text="") if isinstance(part, Text) else part)))
        if isinstance(part, Text):
            told.append(renderer.feed(PartDelta(index, part.text)))
        told.append(renderer.feed(PartEnd(index, part)))
    told.append(renderer.feed(ResponseEnd(finish=Finish(reason), usage=Usage(input_uncached=3, output=2))))
    return [each for each in told if each]


class Answers:
    """Plays the dispatcher: each inquiry gets its parts; `gates` hold an answer up after its first frames, `closed` are
    the models whose answers were closed. `is_prewarmed`: it can be told to generate nothing.
    """

    is_prewarmed = False

    def __init__(self, house: House) -> None:
        self.parts: tuple[Part, ...] = (Text(text="Hi"),)
        self.headers: tuple[tuple[str, str], ...] = ()
        self.gates: dict[str, asyncio.Event] = {}
        self.closed: dict[str, float] = {}
        self.begun = asyncio.Event()
        self.under_way: set[str] = set()
        self.report: Callable[[Inquiry], Report] = lambda inquiry: Report(
            request_id=inquiry.request_id, model_asked=inquiry.model
        )
        self.inquiries = house.dispatcher.inquiries
        house.dispatcher.answer = self.answer

    async def answer(self, inquiry: Inquiry) -> Outcome:
        if inquiry.said is not None and inquiry.said.is_prewarm and not self.is_prewarmed:
            self.inquiries.remove(inquiry)
            failure = Failure.of(Untranslatable("is asked over HTTP"))
            raise Refused(failure, Report(request_id=inquiry.request_id, model_asked=inquiry.model))
        return Outcome(status=200, headers=self.headers, body=self._body(inquiry), report=self.report(inquiry))

    async def _body(self, inquiry: Inquiry) -> AsyncIterator[bytes]:
        told = frames(inquiry, *self.parts)
        try:
            self.under_way.add(inquiry.model)
            yield told[0]
            self.begun.set()
            if gate := self.gates.get(inquiry.model):
                await gate.wait()
            for each in told[1:]:
                yield each
        finally:
            self.closed[inquiry.model] = time.monotonic()

    def body(self, index: int = -1) -> Any:
        return msgspec.json.decode(self.inquiries[index].body)


@pytest.fixture
async def answers(house: House) -> Answers:
    return Answers(house)


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not is_so():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


class TestAnAnswer:
    async def test_each_event_is_a_message(self, house: House, answers: Answers) -> None:
        async with connected(house) as client:
            await client.say(input="Hello", temperature=1.0, store=False)
            events = await client.until_end()
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert [event["type"].removeprefix("response.") for event in events] == [
            "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
            "output_text.done", "content_part.done", "output_item.done", "completed",
        ]  # fmt: skip
        assert answers.body() == {
            "model": "big", "input": "Hello", "temperature": 1.0, "store": False, "stream": True,
        }  # fmt: skip

    async def test_the_inquiry_is_that_of_a_post_without_the_handshake(self, open_house: Open) -> None:
        house = await open_house(keys=[KEY])
        answers = Answers(house)
        async with connected(
            house,
            Authorization=f"Bearer {KEY}",
            openai_beta="responses_websockets=2026-02-06, other=1",
            session_id="s-1",
            x_request_id="mine",
            x_proxy_strict="1",
        ) as client:
            await client.ask(input="a")
            await client.ask(input="b")
        first, second = answers.inquiries
        assert (first.wire, first.operation, first.framing, first.is_stream) == (
            "openai_responses", "generate", "frames", True,
        )  # fmt: skip
        assert (first.client, first.is_strict, first.tie) == ("client 0", True, None)
        assert first.headers["OpenAI-Beta"] == "other=1"
        assert first.headers["session-id"] == "s-1"
        names = {name.lower() for name in first.headers}
        assert not names & {"authorization", "upgrade", "connection"}
        assert not [name for name in names if name.startswith("sec-websocket-")]
        assert len({first.request_id, second.request_id, "mine"}) == 3, "ids of answers are made of them"

    async def test_a_refusal_is_an_error_frame_with_its_headers(self, house: House, answers: Answers) -> None:
        async def refuse(inquiry: Inquiry) -> Outcome:
            raise Refused(OVERLOADED, Report(request_id=inquiry.request_id, model_asked="big"))

        house.dispatcher.answer = refuse
        async with connected(house) as client:
            refusal = await client.ask(input="a", stream_id="lane")
            assert (refusal["type"], refusal["status"], refusal["stream_id"]) == ("error", 529, "lane")
            assert refusal["headers"] == {"retry-after": "3"}
            assert refusal["error"]["code"] == "server_is_overloaded"
            house.dispatcher.answer = answers.answer
            assert (await client.ask(input="a"))["status"] == "completed"

    async def test_a_fault_of_ours_ends_the_connection_with_a_word(self, house: House) -> None:
        async def fail(_inquiry: Inquiry) -> Outcome:
            raise ZeroDivisionError

        house.dispatcher.answer = fail
        async with connected(house) as client:
            await client.say(input="a")
            error = await client.take()
            assert (error["type"], error["status"], error["error"]["code"]) == ("error", 500, "internal_error")
            assert await client.close_code() == 1011
        assert "request.failed" in [line["event"] for line in house.log()]

    async def test_it_is_logged_and_counted_as_a_request(self, house: House, answers: Answers) -> None:
        answers.report = lambda inquiry: Report(
            request_id=inquiry.request_id,
            model_asked=inquiry.model,
            provider="p",
            usage=Usage(output=2),
            attempts=[AttemptRecord(provider="p", credential="c", model="m", status=200)],
        )
        async with connected(house) as client:
            await client.ask(input="a")
            await client.ask(previous_response_id="nope")
            assert (await house.get("/health?detail=1")).json["requests_in_flight"] == 1, "this one"
            assert house.app.metrics.registry.get_sample_value("proxy_requests_in_flight") == 0
        await eventually(lambda: not house.app.exchanges)
        house.app.books.flush()
        lines = [line for line in house.log() if line.get("route") != "/health"]
        first, second, last = sorted(lines, key=lambda line: line["event"] == "websocket.closed")
        assert (first["event"], first["route"], first["status"]) == (
            "request.finished", "/v1/responses (WebSocket)", 200,
        )  # fmt: skip
        assert first["tokens"] == {"output": 2}
        assert (second["status"], second["model"]) == (400, "big")
        assert last["event"] == "websocket.closed"
        labels = {"route": "/v1/responses (WebSocket)", "status": "2xx"}
        assert house.app.metrics.registry.get_sample_value("proxy_requests_total", labels) == 1
        assert house.app.metrics.registry.get_sample_value("proxy_requests_in_flight") == 0


class TestTheStateOfATurn:
    """Its vendor's, which it tells Codex with the handshake; ours was over before it was asked."""

    async def test_codex_is_told_it_by_an_event(self, house: House, answers: Answers) -> None:
        answers.headers = (("content-type", "text/event-stream"), ("x-codex-turn-state", "s-1"))
        async with connected(house, **CODEX) as client:
            await client.say(input="a", stream_id="lane")
            first, second, *_ = await client.until_end()
        assert first == {
            "type": "response.metadata", "headers": {"x-codex-turn-state": "s-1"}, "stream_id": "lane",
        }  # fmt: skip
        assert second["type"] == "response.created"

    async def test_nobody_else_is(self, house: House, answers: Answers) -> None:
        answers.headers = (("x-codex-turn-state", "s-1"),)
        async with connected(house) as client:
            await client.say(input="a")
            assert "response.metadata" not in [each["type"] for each in await client.until_end()]

    async def test_over_http_it_goes_on_as_its_message_has_it(self, house: House, answers: Answers) -> None:
        """Not as the handshake had it: that turn may be over."""
        async with connected(house, x_codex_turn_state="s-0", **CODEX) as client:
            await client.ask(input="a", client_metadata={"x-codex-turn-state": "s-1"})
            await client.ask(input="b", client_metadata={"turn_id": "t"})
        first, second = answers.inquiries
        assert first.headers.getall("x-codex-turn-state") == ["s-1"]
        assert "x-codex-turn-state" not in second.headers
        assert first.said.headers["x-codex-turn-state"] == "s-0"


async def test_a_model_that_cannot_make_a_conversation_shorter_is_asked_for_notes(
    house: House, answers: Answers
) -> None:
    play = answers.answer

    async def answer(inquiry: Inquiry) -> Outcome:
        if b'"compaction_trigger"' in inquiry.body:
            answers.inquiries.remove(inquiry)
            failure = Failure.of(Untranslatable("nobody else knows it", code="unsupported_state"))
            raise Refused(failure, Report(request_id=inquiry.request_id, model_asked=inquiry.model))
        return await play(inquiry)

    house.dispatcher.answer = answer
    async with connected(house) as client:
        first = await client.ask(input="hello", store=False)
        made = await client.ask(
            input=[{"type": "compaction_trigger"}], previous_response_id=first["id"], store=False, tools=[]
        )
        (item,) = made["output"]
        await client.ask(input=[item, {"role": "user", "content": "and?"}], store=False)
        await client.ask(input="and then?", previous_response_id=made["id"], store=False)
    _, asked, later, after = [json_of(each) for each in answers.inquiries]
    assert [item["type"], made["status"]] == ["compaction", "completed"]
    assert asked["input"][0]["content"] == "hello"
    assert asked["input"][-1]["content"][0]["text"] == ASK
    assert (asked["tool_choice"], "previous_response_id" in asked) == ("none", False)
    assert later["input"][0]["content"][0]["text"] == after["input"][0]["content"][0]["text"] == f"{FOUND}Hi"
    assert len(after["input"]) == 2


def json_of(inquiry: Inquiry) -> Any:
    return msgspec.json.decode(inquiry.body)


class TestMessages:
    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ("", "invalid_json"),
            ("{", "invalid_json"),
            ('{"type":"response.create"}', "invalid_model"),
            ('{"type":"response.cancel","response_id":"r"}', "unknown_event"),
            ('{"type":"response.create","model":"m","background":true}', "unsupported"),
            ('{"type":"response.create","model":"m","input":1}', None),
            ('{"type":"response.create","model":"m","store":1}', None),
        ],
    )
    async def test_what_is_malformed_is_told_and_the_connection_goes_on(
        self, house: House, answers: Answers, message: str, code: str | None
    ) -> None:
        async with connected(house) as client:
            await client.socket.send_str(message)
            refusal = await client.take()
            assert (refusal["type"], refusal["status"]) == ("error", 400)
            assert refusal["error"]["type"] == "invalid_request_error"
            assert refusal["error"]["code"] == code
            assert (await client.ask(input="a"))["status"] == "completed"
        assert len(answers.inquiries) == 1

    async def test_that_an_answer_was_heard_is_answered_by_nothing(self, house: House, answers: Answers) -> None:
        async with connected(house) as client:
            first = await client.ask(input="a")
            await client.socket.send_str(f'{{"type":"response.processed","response_id":"{first["id"]}"}}')
            assert (await client.ask(input="b"))["status"] == "completed"
        assert len(answers.inquiries) == 2

    async def test_a_refusal_names_its_lane_as_far_as_it_can_be_read(self, house: House) -> None:
        async with connected(house) as client:
            await client.socket.send_str('{"type":"nonsense","stream_id":"a"}')
            assert (await client.take())["stream_id"] == "a"

    async def test_too_many_at_once_are_refused_by_name(
        self, house: House, answers: Answers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lanes, "WAITING_MAX", 2)
        answers.gates["big"] = asyncio.Event()
        async with connected(house) as client:
            await client.say(input="0")
            await answers.begun.wait()
            for number in range(3):
                await client.say(input=f"{number}", stream_id=None)
            events = [await client.take()]
            while events[-1]["type"] != "error":
                events.append(await client.take())
            assert (events[-1]["status"], events[-1]["error"]["code"]) == (429, "rate_limit_exceeded")
            assert "2 requests wait" in events[-1]["error"]["message"]

    async def test_an_answer_cannot_be_steered(self, house: House, answers: Answers) -> None:
        answers.gates["big"] = asyncio.Event()
        async with connected(house) as client:
            await client.say(input="a")
            response_id = (await client.take())["response"]["id"]
            for steered, code in ((response_id, "steering_not_supported"), ("other", "response_not_found")):
                await client.say(type="response.steer", previous_response_id=steered, input="faster")
                failed = (await client.until_end())[-1]
                assert failed["error"]["code"] == code
                assert failed["steer"] == {"previous_response_id": steered, "input": "faster"}


class TestMemory:
    async def test_only_what_is_new_has_to_be_said(self, house: House, answers: Answers) -> None:
        async with connected(house) as client:
            first = await client.ask(input="one", store=False)
            second = await client.ask(input=[{"role": "user", "content": "two"}], previous_response_id=first["id"])
            await client.ask(input="three", previous_response_id=second["id"])
            await client.ask(input="another", previous_response_id=first["id"])
        texts = [
            item["content"] if isinstance(item["content"], str) else item["content"][0]["text"]
            for item in answers.body(2)["input"]
        ]
        assert texts == ["one", "Hi", "two", "Hi", "three"]
        assert "previous_response_id" not in answers.body(2)
        assert len(answers.body(3)["input"]) == 3, "a conversation may fork"

    async def test_bug_71_a_tools_output_resolves_on_the_socket(self, house: House, answers: Answers) -> None:
        answers.parts = (ToolCall(id="call_1", name="look", arguments='{"at":"x"}'),)
        async with connected(house) as client:
            called = await client.ask(input="Look!", store=False)
            output = {"type": "function_call_output", "call_id": "call_1", "output": "a tree"}
            await client.ask(input=[output], previous_response_id=called["id"], store=False)
        kinds = [item["type"] for item in answers.body()["input"]]
        assert kinds == ["message", "function_call", "function_call_output"]
        assert answers.body()["input"][1]["call_id"] == "call_1"

    async def test_a_prewarm_is_answered_here_and_remembered(self, house: House, answers: Answers) -> None:
        """As Codex begins: the developer's words first, and nothing generated."""
        async with connected(house) as client:
            await client.say(input=[{"role": "developer", "content": "Be brief."}], generate=False, store=False)
            events = await client.until_end()
            assert [each["type"] for each in events] == ["response.created", "response.in_progress", ENDED]
            assert (events[-1]["response"]["output"], events[-1]["response"]["status"]) == ([], "completed")
            assert not answers.inquiries
            await client.ask(
                input=[{"role": "user", "content": "Hi"}], previous_response_id=events[-1]["response"]["id"]
            )
        assert [item["role"] for item in answers.body()["input"]] == ["developer", "user"]
        assert "generate" not in answers.body()

    async def test_a_prewarm_reaches_a_provider_that_can_be_prepared(self, house: House, answers: Answers) -> None:
        answers.is_prewarmed, answers.parts = True, ()
        async with connected(house) as client:
            warm = await client.ask(input="a", generate=False, store=False)
        (asked,) = answers.inquiries
        assert asked.said is not None
        assert (asked.said.is_prewarm, "generate" in asked.said.members) == (True, True)
        assert b"generate" not in asked.body
        assert warm["output"] == []

    async def test_whose_requests_are_counted_has_its_prewarms_answered_here(self, open_house: Open) -> None:
        house = await open_house(limits=RateLimits(ip=Rates(requests_per_minute=1)))
        answers = Answers(house)
        answers.is_prewarmed = True
        async with connected(house) as client:
            for _ in range(3):
                assert (await client.ask(input="a", generate=False))["output"] == []
            assert not answers.inquiries
            assert (await client.ask(input="b"))["status"] == "completed", "and they do not count"

    async def test_a_prewarm_may_be_empty(self, house: House, answers: Answers) -> None:
        async with connected(house) as client:
            warm = await client.ask(input=[], generate=False)
            await client.ask(input="x", previous_response_id=warm["id"])
        assert len(answers.body()["input"]) == 1

    async def test_an_unknown_answer_is_told_in_the_words_that_clients_know(self, house: House) -> None:
        async with connected(house) as client:
            refusal = await client.ask(input="x", previous_response_id="resp_other")
        assert (refusal["type"], refusal["status"]) == ("error", 400)
        assert refusal["error"]["code"] == "previous_response_not_found"
        assert refusal["error"]["param"] == "previous_response_id"

    async def test_T21_what_is_not_stored_is_known_to_its_connection_only(self, house: House, answers: Answers) -> None:
        async with connected(house) as client, connected(house) as stranger:
            mine = await client.ask(input="secret", store=False)
            assert (await stranger.ask(previous_response_id=mine["id"]))["type"] == "error"
            assert (await client.ask(previous_response_id=mine["id"]))["status"] == "completed"
        await eventually(lambda: not house.app.exchanges)
        async with connected(house) as again:
            assert (await again.ask(previous_response_id=mine["id"]))["type"] == "error"
        assert len(answers.inquiries) == 2

    async def test_T21_what_is_stored_is_known_to_its_key_only(self, open_house: Open) -> None:
        house = await open_house(keys=[KEY, OTHER])
        Answers(house)
        async with connected(house, x_api_key=KEY) as client:
            mine = await client.ask(input="secret")
        async with connected(house, x_api_key=OTHER) as stranger:
            assert (await stranger.ask(previous_response_id=mine["id"]))["type"] == "error"
        async with connected(house, x_api_key=KEY) as again:
            assert (await again.ask(previous_response_id=mine["id"]))["status"] == "completed"

    async def test_bug_71_a_broken_answer_leaves_no_trace(self, house: House, answers: Answers) -> None:
        async def break_off(inquiry: Inquiry) -> Outcome:
            reply = Reply(model="big", request_id=inquiry.request_id, framing="frames")
            renderer = wire_named("openai_responses").stream_renderer(reply)
            told = frames(inquiry, Text(text="Hi"))[:3]
            renderer.feed(ResponseStart(id="x", model="m"))

            async def body() -> AsyncIterator[bytes]:
                for each in (*told, renderer.feed(OVERLOADED)):
                    yield each

            report = Report(request_id=inquiry.request_id, model_asked="big", failure=OVERLOADED)
            return Outcome(status=200, headers=(), body=body(), report=report)

        async with connected(house) as client:
            good = await client.ask(input="one", store=False)
            size = house.app.archive.size
            house.dispatcher.answer = break_off
            broken = await client.ask(input="two", previous_response_id=good["id"], store=False)
            assert broken["status"] == "failed"
            assert house.app.archive.size == size
            house.dispatcher.answer = answers.answer
            assert (await client.ask(previous_response_id=broken["id"]))["type"] == "error"
            again = await client.ask(input="two", previous_response_id=good["id"], store=False)
            assert again["status"] == "completed"

    async def test_bug_71_an_answer_is_remembered_before_its_end_is_told(self, house: House, answers: Answers) -> None:
        """On another lane the next request may be quicker than whatever is left to do for the first."""
        is_closing = asyncio.Event()

        class Slow:
            def __init__(self, inquiry: Inquiry) -> None:
                self._chunks = iter(frames(inquiry, Text(text="Hi")))

            def __aiter__(self) -> Slow:
                return self

            async def __anext__(self) -> bytes:
                if (chunk := next(self._chunks, None)) is None:
                    is_closing.set()
                    await asyncio.Event().wait()
                    raise StopAsyncIteration
                return chunk

        async def answer(inquiry: Inquiry) -> Outcome:
            if inquiry.model != "slow":
                return await answers.answer(inquiry)
            report = Report(request_id=inquiry.request_id, model_asked="slow")
            return Outcome(status=200, headers=(), body=Slow(inquiry), report=report)

        house.dispatcher.answer = answer
        async with connected(house) as client:
            first = await client.ask(model="slow", input="one", stream_id="a")
            await is_closing.wait()
            second = await client.ask(input="two", stream_id="b", previous_response_id=first["id"])
            assert second["status"] == "completed"


async def test_T21_nobody_hears_what_was_said_to_another(house: House, answers: Answers) -> None:
    """Forty connections at once; every third leaves in the middle of an answer."""

    async def echo(inquiry: Inquiry) -> Outcome:
        said = msgspec.json.decode(inquiry.body)["input"]
        words = (
            [item["content"] for item in said if isinstance(item["content"], str)] if isinstance(said, list) else said
        )
        told = frames(inquiry, Text(text=f"heard {words}"))

        async def body() -> AsyncIterator[bytes]:
            for each in told:
                await asyncio.sleep(0)
                yield each

        report = Report(request_id=inquiry.request_id, model_asked=inquiry.model)
        return Outcome(status=200, headers=(), body=body(), report=report)

    async def visit(number: int) -> None:
        canary, last = f"canary-{number:03}", None
        async with connected(house) as client:
            for turn in range(4):
                await client.say(input=f"{canary}.{turn}", previous_response_id=last, store=False, stream_id=canary)
                if number % 3 == 0 and turn == 2:
                    await client.take()
                    return
                events = await client.until_end()
                heard = msgspec.json.encode(events)
                assert heard.count(b"canary-") == heard.count(canary.encode())
                assert f"{canary}.{turn}".encode() in heard
                last = events[-1]["response"]["id"]

    house.dispatcher.answer = echo
    await asyncio.gather(*(visit(number) for number in range(40)))
    await eventually(lambda: not house.app.exchanges)
    assert (len(house.app.archive), house.app.archive.size) == (0, 0)
    assert answers.inquiries


class TestTies:
    @staticmethod
    def relayed(inquiry: Inquiry) -> Report:
        return Report(request_id=inquiry.request_id, model_asked="big", is_relay=True, credential="key-1")

    async def test_a_connection_stays_with_its_account(self, house: House, answers: Answers) -> None:
        """It alone can read its encrypted thoughts."""
        answers.report = self.relayed
        async with connected(house) as client:
            first = await client.ask(input="one", store=False)
            await client.ask(input="two", store=False, previous_response_id=first["id"])
        assert [each.tie for each in answers.inquiries] == [None, Tie("key-1")]
        assert len(answers.body()["input"]) == 3

    async def test_what_the_provider_stores_goes_on_there(self, house: House, answers: Answers) -> None:
        answers.report = self.relayed
        async with connected(house) as client:
            first = await client.ask(input="one")
            await client.ask(input="two", previous_response_id=first["id"])
        assert answers.inquiries[1].tie == Tie("key-1", is_hard=True)
        assert answers.body() == {
            "model": "big", "input": "two", "previous_response_id": first["id"], "stream": True,
        }  # fmt: skip

    @pytest.mark.parametrize("kind", ["quota", "server", "invalid_request"])
    async def test_and_elsewhere_when_that_account_has_to_rest(self, house: House, answers: Answers, kind: Any) -> None:
        async def answer(inquiry: Inquiry) -> Outcome:
            if inquiry.tie is not None and inquiry.tie.is_hard:
                failure = Failure(kind=kind, status=429, message="x", code="accounts_exhausted")
                raise Refused(failure, Report(request_id=inquiry.request_id, model_asked="big"))
            return await answers.answer(inquiry)

        house.dispatcher.answer = answer
        answers.report = self.relayed
        async with connected(house) as client:
            first = await client.ask(input="one")
            second = await client.ask(input="two", previous_response_id=first["id"])
        if kind == "invalid_request":
            assert second["type"] == "error"
            return
        assert second["status"] == "completed"
        assert len(answers.body()["input"]) == 3
        assert "previous_response_id" not in answers.body()


class TestLanes:
    async def test_each_event_names_its_lane(self, house: House, answers: Answers) -> None:
        async with connected(house) as client:
            await client.say(input="a", stream_id='a"}')
            assert {event["stream_id"] for event in await client.until_end()} == {'a"}'}
            await client.say(input="a")
            assert not any("stream_id" in event for event in await client.until_end())
            await client.say(input="a", stream_id="b", generate=False)
            assert {event["stream_id"] for event in await client.until_end()} == {"b"}
        assert all(b"stream_id" not in inquiry.body for inquiry in answers.inquiries)

    async def test_lanes_do_not_wait_for_each_other(self, house: House, answers: Answers) -> None:
        answers.gates["held"] = asyncio.Event()
        async with connected(house) as client:
            await client.say(model="held", input="1", stream_id="a")
            await client.say(model="next", input="2", stream_id="a")
            await client.say(model="free", input="3", stream_id="b")
            events = [await client.take()]
            while events[-1]["type"] != ENDED:
                events.append(await client.take())
            assert events[-1]["stream_id"] == "b"
            assert [inquiry.model for inquiry in answers.inquiries] == ["held", "free"]
            answers.gates["held"].set()
            ends = [await client.until_end(), await client.until_end()]
            assert [end[-1]["response"]["model"] for end in ends] == ["held", "next"]

    async def test_a_lane_may_go_on_from_another(self, house: House, answers: Answers) -> None:
        async with connected(house) as client:
            first = await client.ask(input="one", stream_id="a", store=False)
            second = await client.ask(input="two", stream_id="b", previous_response_id=first["id"])
        assert second["status"] == "completed"
        assert len(answers.body()["input"]) == 3


class TestTheEnd:
    @pytest.mark.parametrize("is_abrupt", [True, False])
    async def test_a_client_that_leaves_takes_its_answers_along(
        self, house: House, answers: Answers, is_abrupt: bool
    ) -> None:
        answers.gates["big"] = answers.gates["other"] = asyncio.Event()

        async def leave() -> float:
            for each in (answers.inquiries, answers.under_way, answers.closed):
                each.clear()
            async with connected(house) as client:
                await client.say(input="a")
                await client.say(input="b", model="other", stream_id="x")
                await client.say(input="c", model="never")
                await eventually(lambda: len(answers.under_way) == 2)
                left_at = time.monotonic()
                if is_abrupt:
                    connection = client.socket._response.connection
                    assert connection is not None
                    assert connection.transport is not None
                    connection.transport.abort()
                else:
                    await client.socket.close()
            await eventually(lambda: len(answers.closed) == 2)
            return max(answers.closed.values()) - left_at

        assert await quickest(leave, 0.1) <= 0.1
        await eventually(lambda: not house.app.exchanges)
        assert [inquiry.model for inquiry in answers.inquiries] == ["big", "other"]
        assert len(house.app.archive) == 0
        statuses = [line["status"] for line in house.log() if line["event"] == "request.finished"]
        assert statuses
        assert {*statuses} == {499}

    async def test_a_client_that_leaves_while_an_account_is_looked_for(self, house: House) -> None:
        is_looking, is_given_up = asyncio.Event(), asyncio.Event()

        async def look(_inquiry: Inquiry) -> Outcome:
            is_looking.set()
            try:
                await asyncio.Event().wait()
            finally:
                is_given_up.set()
            raise AssertionError

        async def leave() -> float:
            is_looking.clear()
            is_given_up.clear()
            async with connected(house) as client:
                await client.say(input="a")
                await is_looking.wait()
                left_at = time.monotonic()
            async with asyncio.timeout(SECONDS_MAX):
                await is_given_up.wait()
            return time.monotonic() - left_at

        house.dispatcher.answer = look
        assert await quickest(leave, 0.5) <= 0.5

    async def test_when_the_server_goes_answers_end_and_nothing_new_begins(self, open_house: Open) -> None:
        house = await open_house(drain_seconds=5)
        answers = Answers(house)
        answers.gates["big"] = asyncio.Event()
        async with connected(house) as idle, connected(house) as client:
            await client.say(input="a")
            await answers.begun.wait()
            drain = asyncio.create_task(house.listener.drain())
            assert await idle.close_code() == 1001
            await client.say(input="b", stream_id="x")
            events = [await client.take()]
            while events[-1]["type"] != "error":
                events.append(await client.take())
            assert (events[-1]["status"], events[-1]["stream_id"]) == (503, "x")
            answers.gates["big"].set()
            assert (await client.until_end())[-1]["type"] == ENDED
            assert await client.close_code() == 1001
            await drain

    async def test_when_its_time_is_over_each_answer_is_ended_with_a_word(self, open_house: Open) -> None:
        house = await open_house(drain_seconds=0)
        answers = Answers(house)
        answers.gates["big"] = answers.gates["other"] = asyncio.Event()
        async with connected(house) as client:
            await client.say(input="a")
            created = await client.take()
            await client.say(input="b", model="other", stream_id="x")
            await eventually(lambda: len(answers.inquiries) == 2)
            assert (await client.take())["type"] == "response.in_progress"
            for _ in range(2):
                await client.take()
            drain = asyncio.create_task(house.listener.drain())
            failed = [await client.take(), await client.take()]
            assert {each["type"] for each in failed} == {"response.failed"}
            assert {each.get("stream_id") for each in failed} == {None, "x"}
            mine = next(each for each in failed if "stream_id" not in each)
            assert mine["response"]["id"] == created["response"]["id"]
            assert mine["sequence_number"] == 2
            assert "shutting down" in mine["response"]["error"]["message"]
            assert await client.close_code() == 1001
            await drain
        assert len(answers.closed) == 2

    async def test_a_slow_reader_stops_the_upstream(self, house: House) -> None:
        given = 0

        async def pour(inquiry: Inquiry) -> Outcome:
            async def body() -> AsyncIterator[bytes]:
                nonlocal given
                while True:
                    given += 1
                    yield b'{"type":"x","text":"%b"}\n' % (b"x" * 60_000)

            report = Report(request_id=inquiry.request_id, model_asked="big")
            return Outcome(status=200, headers=(), body=body(), report=report)

        house.dispatcher.answer = pour
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port, limit=1024)
        key = "MDEyMzQ1Njc4OWFiY2RlZg=="
        writer.write(
            f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{house.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        message = b'{"type":"response.create","model":"big","input":""}'
        writer.write(bytes([0x81, 0x80 | len(message)]) + b"\0\0\0\0" + message)
        await reader.readuntil(b"\r\n\r\n")
        last = -1
        while not given or given != last:
            last = given
            await asyncio.sleep(0.1)
        assert 0 < given < 400, "what nobody reads is not fetched either"
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()
