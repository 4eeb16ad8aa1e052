from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import structlog
from multidict import CIMultiDict

from proxy.config.schema import Config
from proxy.dispatch.clock import Clock
from proxy.dispatch.failover import Dispatcher
from proxy.dispatch.inquiry import Inquiry, Refused
from proxy.dispatch.snapshot import Snapshot
from proxy.errors import Broken, Unreachable
from proxy.upstream.base import Call

MODELS = ("claude-opus-5", "claude-sonnet-5")
FRAMES = 12
STREAMS = 1_500


def sse(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode({"type": kind, **fields}) + b"\n\n"


START = sse(
    "message_start",
    message={
        "id": "m", "type": "message", "role": "assistant", "model": "x", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    },
)  # fmt: skip
OPEN = sse("content_block_start", index=0, content_block={"type": "text", "text": ""})
END = (
    sse("content_block_stop", index=0)
    + sse("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": FRAMES})
    + sse("message_stop")
)
LIMITED = msgspec.json.encode({"type": "error", "error": {"type": "rate_limit_error", "message": "m"}})
OVERLOADED = sse("error", error={"type": "overloaded_error", "message": "Overloaded"})


class Chaos:
    """Six upstreams with eight keys each. Echoes the request's canary in numbered pieces, and fails in every way."""

    def __init__(self) -> None:
        self.chance = random.Random(11)  # noqa: S311 - chaos, not secrets
        self.calls = 0
        self.spoilt = 0
        self.failed = 0
        """Before any content."""
        self.open = 0
        self.is_down: set[str] = set()

    async def send(self, call: Call) -> ChaosAnswer:
        self.calls += 1
        await asyncio.sleep(0)
        if call.url.split("/")[2] in self.is_down:
            self.failed += 1
            raise Unreachable("refused")
        content = msgspec.json.decode(call.body)["messages"][0]["content"]
        canary = content if isinstance(content, str) else content[0]["text"]
        roll = self.chance.random()
        self.open += 1
        self.failed += roll < 0.035
        if roll < 0.01:
            return ChaosAnswer(self, 429, canary, "limited")
        if roll < 0.02:
            return ChaosAnswer(self, 529, canary, "limited")
        if roll < 0.03:
            return ChaosAnswer(self, 200, canary, "overloaded")
        if roll < 0.035:
            return ChaosAnswer(self, 200, canary, "cut before")
        if roll < 0.04:
            self.spoilt += 1
            return ChaosAnswer(self, 200, canary, "cut inside")
        return ChaosAnswer(self, 200, canary, "")

    async def close(self) -> None:
        pass


class ChaosAnswer:
    def __init__(self, chaos: Chaos, status: int, canary: str, mishap: str) -> None:
        self.status = status
        kind = "text/event-stream" if status == 200 else "application/json"
        self.headers = CIMultiDict({"content-type": kind, **({"retry-after": "2"} if status == 429 else {})})
        self._chaos = chaos
        self._canary = canary
        self._mishap = mishap
        self._is_open = True

    async def chunks(self) -> AsyncIterator[bytes]:
        if self.status != 200:
            yield LIMITED
            return
        yield START + OPEN
        await asyncio.sleep(0)
        if self._mishap == "overloaded":
            yield OVERLOADED
            return
        if self._mishap == "cut before":
            raise Broken("cut")
        for number in range(FRAMES):
            piece = sse(
                "content_block_delta", index=0, delta={"type": "text_delta", "text": f"{self._canary}#{number};"}
            )
            middle = len(piece) // 2
            yield piece[:middle]
            await asyncio.sleep(0)
            if self._mishap == "cut inside" and number == FRAMES // 2:
                raise Broken("cut")
            yield piece[middle:]
        yield END

    async def read(self, bytes_max: int) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])[:bytes_max]

    async def release(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._chaos.open -= self._is_open
        self._is_open = False


async def test_a_soak_every_stream_ends_exactly_one_way(lab: Any, make: Any) -> None:
    """While keys are limited, upstreams go down and come up, and the configuration is reloaded."""
    chaos = Chaos()

    def config(salt: int) -> Config:
        return Config(claude_api_key=tuple(
            key
            for upstream in range(6)
            for key in make.keys(*(f"key-{upstream}-{n + (salt if n == 7 else 0)}" for n in range(8)),
                                 base_url=f"http://upstream-{upstream}")
        ))  # fmt: skip

    snapshot = Snapshot.of(config(0))
    dispatcher = Dispatcher(
        snapshot=lambda: snapshot,
        upstreams={"http": chaos},
        pool=lab.pool,
        clock=Clock(monotonic=lab.time.monotonic, unix=lab.time.unix, sleep=lab.time.sleep, chance=lambda: 0.5),
    )
    ends: Counter[str] = Counter()
    left = iter(range(STREAMS))

    async def client() -> None:
        nonlocal snapshot
        for number in left:
            lab.time.now += 0.02
            if number % 50 == 0:
                chaos.is_down = {f"upstream-{number // 50 % 6}"}
            if number % 100 == 0:
                snapshot = Snapshot.of(config(number))
                lab.pool.retain({each.id for each in snapshot.credentials})
            ends[await one(dispatcher, number, is_leaving=number % 20 == 3)] += 1

    await asyncio.gather(*(client() for _ in range(200)))
    assert ends["whole"] + ends["told"] + ends["left"] == STREAMS, ends
    assert ends["told"] <= chaos.spoilt
    assert ends["left"] == STREAMS // 20
    assert chaos.calls == STREAMS + chaos.failed  # nobody is asked without a reason, however they fall upon each other
    assert chaos.open == 0
    assert not lab.pool._in_flight
    assert len(asyncio.all_tasks()) == 1


async def one(dispatcher: Dispatcher, number: int, *, is_leaving: bool) -> str:
    """How it ended. Each stream carries its own canary: nothing of another's may be in it, nothing missing, nothing
    twice.
    """
    canary = f"canary-{number}"
    body = {
        "model": MODELS[number % 2],
        "max_tokens": 9,
        "stream": True,
        "messages": [{"role": "user", "content": canary}],
    }
    wire = "anthropic" if number % 3 else "openai_chat"
    inquiry = Inquiry(
        request_id=f"r-{number}", wire=wire, operation="generate", model=body["model"], is_stream=True,
        body=msgspec.json.encode(body), headers=CIMultiDict(), query={},
    )  # fmt: skip
    try:
        outcome = await dispatcher.open(inquiry)
    except Refused as refused:
        return f"refused: {refused.failure.message}"
    told = b""
    async for chunk in outcome.body:
        told += chunk
        if is_leaving and b"#3;" in told:
            await outcome.body.aclose()  # type: ignore[attr-defined]
            return "left"
    pieces = [f"{canary}#{index};".encode() for index in range(FRAMES)]
    count = sum(piece in told for piece in pieces)
    assert told.count(b"canary-") == count, "duplicated, or another's"
    assert all(piece in told for piece in pieces[:count]), "a gap"
    is_ended = b"message_stop" in told or b"[DONE]" in told
    if b'"error"' in told:
        assert not is_ended
        return "told"
    assert is_ended, "cut in silence"
    assert count == FRAMES
    return "whole"


async def test_what_happens_is_logged_without_secrets(lab: Any, make: Any) -> None:
    limited = make.whole(LIMITED, 429, retry_after="60")
    good = make.whole({
        "id": "m", "type": "message", "role": "assistant", "model": MODELS[0], "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Hi"}], "usage": {"input_tokens": 1, "output_tokens": 1},
    })  # fmt: skip
    lab.dispatcher(Config(claude_api_key=make.keys("secret-1", "secret-2")), [limited, good])
    captured = structlog.testing.LogCapture()
    dispatcher = Dispatcher(
        snapshot=lambda: lab.snapshot,
        upstreams={"http": lab.upstream},
        pool=lab.pool,
        clock=lab.time.clock(),
        log=structlog.wrap_logger(None, processors=[captured]),
    )
    body = {"model": MODELS[0], "messages": [{"role": "user", "content": "x"}], "seed": 7}
    await lab.read(await dispatcher.open(lab.inquiry("openai_chat", body)))
    assert [entry["event"] for entry in captured.entries] == [
        "credential.cooled",
        "attempt.failed",
        "translation.lossy",
    ]
    assert captured.entries[0]["why"] == "it is rate limited"
    assert captured.entries[0]["seconds"] == pytest.approx(60)
    assert "secret" not in str(captured.entries)
