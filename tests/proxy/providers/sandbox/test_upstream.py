from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from auth.pool import Pool
from proxy.config.schema import Config
from proxy.dispatch.clock import Clock
from proxy.dispatch.failover import Dispatcher
from proxy.dispatch.inquiry import Inquiry, Outcome, Refused
from proxy.dispatch.snapshot import Snapshot
from proxy.providers.sandbox import CREDENTIALS, PROVIDERS, Sandbox
from proxy.providers.sandbox.quota import Quotas

USER = [{"role": "user", "content": "Hello"}]
BODIES: dict[str, Callable[[str, bool], dict[str, Any]]] = {
    "anthropic": lambda model, stream: {"model": model, "max_tokens": 900, "stream": stream, "messages": USER},
    "openai_chat": lambda model, stream: {"model": model, "stream": stream, "messages": USER},
    "openai_responses": lambda model, stream: {"model": model, "stream": stream, "input": "Hello"},
    "gemini": lambda _model, _stream: {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
}
MODELS = ("sandbox-claude", "sandbox-gpt", "sandbox-gemini")


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def unix(self) -> float:
        return 1_800_000_000.0 + self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def dispatcher(time: Time) -> AsyncIterator[Dispatcher]:
    snapshot = Snapshot.of(Config(), providers=PROVIDERS, credentials=CREDENTIALS)
    sandbox = Sandbox(monotonic=time.monotonic, unix=time.unix, sleep=time.sleep)
    yield Dispatcher(
        snapshot=lambda: snapshot,
        upstreams={"sandbox": sandbox},
        pool=Pool(),
        clock=Clock(monotonic=time.monotonic, unix=time.unix, sleep=time.sleep, chance=lambda: 0.0),
    )
    await sandbox.close()


async def ask(dispatcher: Dispatcher, wire: str, model: str, *, is_stream: bool = False, **fields: Any) -> Outcome:
    body = fields.pop("body", BODIES[wire](model, is_stream))
    return await dispatcher.open(
        Inquiry(
            **{
                "request_id": "r",
                "wire": wire,
                "operation": "generate",
                "model": model,
                "is_stream": is_stream,
                "body": msgspec.json.encode(body),
                "headers": CIMultiDict(),
                "query": {},
                **fields,
            }
        )
    )


async def read(outcome: Outcome) -> bytes:
    return b"".join([chunk async for chunk in outcome.body])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("wire", BODIES)
@pytest.mark.parametrize("is_stream", [False, True])
async def test_every_client_is_answered_by_every_model(
    dispatcher: Dispatcher, wire: str, model: str, is_stream: bool
) -> None:
    outcome = await ask(dispatcher, wire, model, is_stream=is_stream)
    told = await read(outcome)
    assert b"simulated" in told
    assert outcome.report.failure is None
    assert outcome.report.usage is not None
    assert outcome.report.finish == "stop"


async def test_a_stream_comes_in_pieces_over_time(dispatcher: Dispatcher, time: Time) -> None:
    outcome = await ask(dispatcher, "openai_chat", "sandbox-claude", is_stream=True)
    moments = [time.now async for _ in outcome.body]
    assert len(moments) > 5
    assert moments == sorted(set(moments))


@pytest.mark.parametrize(
    ("model", "refusals"),
    [("sandbox-claude", 0), ("sandbox-gpt", 0), ("sandbox-gemini", 1)],
)
async def test_a_tired_account_is_relieved_by_the_next(dispatcher: Dispatcher, model: str, refusals: int) -> None:
    """Where its answers tell that nothing is left, it is not even asked; Google's do not."""
    attempts = []
    accounts: Counter[str] = Counter()
    for _ in range(20):
        outcome = await ask(dispatcher, "anthropic", model)
        await read(outcome)
        attempts += [attempt.status for attempt in outcome.report.attempts]
        accounts[outcome.report.credential or ""] += 1
    assert attempts.count(200) == 20
    assert attempts.count(429) == refusals
    assert accounts[f"{model}-1"] == 5


@pytest.mark.parametrize("wire", BODIES)
@pytest.mark.parametrize("is_stream", [False, True])
async def test_flaky_accounts_are_never_seen(dispatcher: Dispatcher, time: Time, wire: str, is_stream: bool) -> None:
    failed = 0
    for _ in range(12):
        outcome = await ask(dispatcher, wire, "sandbox-flaky", is_stream=is_stream)
        assert b"simulated answer" in await read(outcome) or is_stream
        assert outcome.report.failure is None
        failed += len(outcome.report.attempts) - 1
        time.now += 20
    assert failed > 3


@pytest.mark.parametrize("wire", BODIES)
async def test_limited_accounts_run_out_say_when_and_come_back(dispatcher: Dispatcher, time: Time, wire: str) -> None:
    for _ in range(6):
        await read(await ask(dispatcher, wire, "sandbox-limited"))
    with pytest.raises(Refused) as caught:
        await ask(dispatcher, wire, "sandbox-limited")
    failure = caught.value.failure
    assert failure.status == 429
    assert failure.retry_after_seconds == pytest.approx(60, abs=3)
    assert failure.message.count("simulated") == 3
    time.now += 62
    assert b"simulated" in await read(await ask(dispatcher, wire, "sandbox-limited"))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("wire", ["anthropic", "gemini"])
async def test_it_counts_tokens(dispatcher: Dispatcher, wire: str, model: str) -> None:
    outcome = await ask(dispatcher, wire, model, operation="count_tokens")
    counted = msgspec.json.decode(await read(outcome))
    assert counted["input_tokens" if wire == "anthropic" else "totalTokens"] in range(3, 20)


async def test_a_bad_request_is_refused_like_a_provider_would(dispatcher: Dispatcher) -> None:
    with pytest.raises(Refused) as caught:
        await ask(dispatcher, "anthropic", "sandbox-claude", body={"model": "sandbox-claude", "messages": 7})
    assert caught.value.failure.status == 400


async def test_a_tool_call_and_its_result(dispatcher: Dispatcher) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    body: dict[str, Any] = {
        "model": "sandbox-gemini", "messages": [{"role": "user", "content": "use the tool"}], "tools": tools,
    }  # fmt: skip
    first = msgspec.json.decode(await read(await ask(dispatcher, "openai_chat", "sandbox-gemini", body=body)))
    message = first["choices"][0]["message"]
    assert first["choices"][0]["finish_reason"] == "tool_calls"
    body["messages"] += [
        message,
        {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "42"},
    ]
    second = msgspec.json.decode(await read(await ask(dispatcher, "openai_chat", "sandbox-gemini", body=body)))
    assert "The tool said: 42" in second["choices"][0]["message"]["content"]


def test_refused_requests_are_not_counted() -> None:
    now = [0.0]
    quotas = Quotas(lambda: now[0], lambda: now[0])
    readings = [quotas.take("sandbox-claude-2", "sandbox-limited") for _ in range(4)]
    assert [reading and reading.is_exceeded for reading in readings] == [False, False, True, True]
    now[0] = 60.0
    fresh = quotas.take("sandbox-claude-2", "sandbox-limited")
    assert fresh is not None
    assert (fresh.is_exceeded, fresh.remaining) == (False, 1)
    assert quotas.take("sandbox-claude-2", "sandbox-claude") is None
