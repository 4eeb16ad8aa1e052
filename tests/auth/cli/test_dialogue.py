from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from auth.cli.dialogue import AGENT_CLIENT, APP_SERVER, ControlProtocol, Dialogue, Envelope, Refusal
from auth.cli.process import CliProcess, Ended
from auth.document import JsonValue

ENVELOPES: Mapping[str, Envelope] = {"control": ControlProtocol(), "app-server": APP_SERVER, "acp": AGENT_CLIENT}
CLI = """
import json, sys
kind = sys.argv[1]
def say(message):
    print(json.dumps(message), flush=True)
def answer(serial, result=None, error=None):
    if kind == "control":
        body = {"subtype": "success" if error is None else "error", "response": result, "error": error}
        say({"type": "control_response", "response": {"request_id": serial, **body}})
    else:
        say({"id": serial, **({"result": result} if error is None else {"error": {"code": 1, "message": error}})})
held = None
for line in sys.stdin:
    got = json.loads(line)
    serial = got.get("request_id") or got.get("id")
    body = got.get("request") or got.get("params") or {}
    name = body.get("subtype") or got.get("method")
    if name == "fail":
        answer(serial, error="it is so")
    elif name == "die":
        sys.exit("no more")
    elif name == "hold":
        held = serial
    elif name == "noise":
        print("Warning: not JSON"); print("[1, 2]"); print('"text"'); print("{broken", flush=True)
        say({"method": "event", "params": {"n": 1}} if kind != "control" else {"type": "event", "params": {"n": 1}})
        ask = {"id": "theirs", "method": "please/run", "params": {}}
        control = {"type": "control_request", "request_id": "theirs", "request": {"subtype": "x"}}
        say(ask if kind != "control" else control)
        refused = json.loads(sys.stdin.readline())
        answer(serial, {"refused": refused})
    elif name is not None:
        answer(serial, {"echo": body})
        if held:
            answer(held, {"late": True}); held = None
"""


class Talk:
    def __init__(self, dialogue: Dialogue, events: list[Mapping[str, JsonValue]]) -> None:
        self.ask = dialogue.ask
        self.events = events


@pytest.fixture(params=ENVELOPES)
async def talk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Talk]:
    process = await CliProcess.start([sys.executable, "-c", CLI, request.param], home=tmp_path)
    events: list[Mapping[str, JsonValue]] = []
    dialogue = Dialogue(process, ENVELOPES[request.param], on_event=events.append)
    yield Talk(dialogue, events)
    await dialogue.close()


async def test_a_question_and_its_answer(talk: Talk) -> None:
    result = await talk.ask("hello", {"a": 1})
    assert isinstance(result["echo"], dict)
    assert result["echo"]["a"] == 1


async def test_answers_may_come_in_any_order(talk: Talk) -> None:
    late = asyncio.create_task(talk.ask("hold", seconds=None))
    await asyncio.sleep(0)
    assert "echo" in await talk.ask("hello")
    assert await late == {"late": True}


async def test_an_error_is_the_clis_own(talk: Talk) -> None:
    with pytest.raises(Refusal, match=r"^it is so$"):
        await talk.ask("fail")


async def test_noise_is_passed_over_and_requests_to_us_are_refused(talk: Talk) -> None:
    result = await talk.ask("noise")
    assert "not offered" in str(result["refused"])
    assert "theirs" in str(result["refused"])
    assert [event.get("params") for event in talk.events] == [{"n": 1}]


async def test_the_end_ends_all_questions(talk: Talk) -> None:
    waiting = asyncio.create_task(talk.ask("hold", seconds=None))
    await asyncio.sleep(0)
    with pytest.raises(Ended, match=r"^no more$"):
        await talk.ask("die")
    with pytest.raises(Ended, match=r"^no more$"):
        await waiting
    with pytest.raises(Ended):
        await talk.ask("hello")


async def test_no_answer_in_time(talk: Talk) -> None:
    with pytest.raises(TimeoutError):
        await talk.ask("hold", seconds=0.05)


class Gone:
    """A process that ends while it is being written to."""

    def __init__(self) -> None:
        self.is_heard = asyncio.Event()

    async def write(self, _raw: bytes) -> None:
        self.is_heard.set()
        for _ in range(3):
            await asyncio.sleep(0)
        raise Ended("it takes nothing any more")

    async def line(self) -> bytes:
        await self.is_heard.wait()
        raise Ended("it is gone")

    async def close(self) -> None:
        pass


async def test_an_end_that_nobody_came_to_wait_for_is_told_once() -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    dialogue = Dialogue(cast("CliProcess", Gone()), APP_SERVER)
    with pytest.raises(Ended, match="takes nothing"):
        await dialogue.ask("initialize")
    assert dialogue.is_over
    await dialogue.close()
    gc.collect()
    assert complaints == []
