from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from multidict import CIMultiDict

from proxy.config.schema import Config, Routing
from proxy.dispatch.budget import PER_SECOND, RETRIES_MAX, RetryBudget
from proxy.dispatch.inquiry import Refused
from proxy.errors import Broken, Silent, Unreachable

MODEL = "claude-opus-5"
BODY = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
ANSWER = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
    "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}  # fmt: skip
FAILED = {"type": "error", "error": {"type": "api_error", "message": "broken"}}


MOST = int(RETRIES_MAX)


def taken(budget: RetryBudget, now: float) -> int:
    """How many there are."""
    count = 0
    while budget.take_retry(now):
        count += 1
    return count


def test_a_few_retries_are_saved_up() -> None:
    assert taken(RetryBudget(), 0.0) == MOST
    assert taken(RetryBudget(), 1e6) == MOST


def test_time_brings_one_now_and_then_and_no_more_than_may_be_saved() -> None:
    budget = RetryBudget()
    taken(budget, 100.0)
    assert taken(budget, 100.0 + 0.9 / PER_SECOND) == 0
    assert taken(budget, 100.0 + 1.9 / PER_SECOND) == 1
    assert taken(budget, 100.0 + 4.9 / PER_SECOND) == 3
    assert taken(budget, 1e6) == MOST


def test_whoever_is_served_pays_for_one_retry() -> None:
    budget = RetryBudget()
    taken(budget, 0.0)
    for served in (1, 3):
        for _ in range(served):
            budget.count_success()
        assert taken(budget, 0.0) == served
    for _ in range(100):
        budget.count_success()
    assert taken(budget, 0.0) == MOST


def test_a_clock_that_goes_back_costs_nothing() -> None:
    budget = RetryBudget()
    assert budget.take_retry(100.0)
    assert taken(budget, 50.0) == MOST - 1


# With everything around it


class World:
    """Six addresses with eight keys each. `answer`: what an upstream does, by its address and key."""

    def __init__(self, lab: Any, make: Any, *, addresses: int = 6, keys: int = 8, **settings: Any) -> None:
        self.lab = lab
        self.make = make
        self.calls = 0
        self.ends: Counter[str] = Counter()
        config = Config(
            claude_api_key=tuple(
                key
                for address in range(addresses)
                for key in make.keys(*(f"{address}-{n}" for n in range(keys)), base_url=f"http://upstream-{address}")
            ),
            **settings,
        )
        self.dispatcher = lab.dispatcher(config, self._call)
        self.answer: Any = lambda _address, _key: make.whole(ANSWER)

    def _call(self, call: Any) -> Any:
        self.calls += 1
        return self.answer(call.url.split("/")[2], dict(call.headers)["x-api-key"])

    async def ask(self, *, is_stream: bool = False) -> None:
        body = {**BODY, "stream": is_stream}
        try:
            outcome = await self.dispatcher.open(self.lab.inquiry("anthropic", body, is_stream=is_stream))
        except Refused as refused:
            is_told = refused.failure.status in {429, 500, 502, 503, 504, 529}
            self.ends["refused" if is_told else f"refused with {refused.failure.status}"] += 1
            return
        await self.lab.read(outcome)
        self.ends["served"] += 1

    async def sustain(self, count: int, *, per_second: float = 50, at_once: int = 20, is_stream: bool = False) -> None:
        left = iter(range(count))

        async def client() -> None:
            for _ in left:
                self.lab.time.now += 1 / per_second
                await self.ask(is_stream=is_stream)

        await asyncio.gather(*(client() for _ in range(at_once)))


def outage(make: Any, kind: str) -> Any:
    html = make.Answer(200, [b"<html>"], CIMultiDict({"content-type": "text/html"}))
    return {
        "500": make.whole(FAILED, 500),
        "503": make.whole(FAILED, 503),
        "529": make.whole({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, 529),
        "refused": Unreachable("refused"),
        "reset": Broken("reset"),
        "silent": Silent("silent"),
        "HTML": html,
        "empty": make.stream(),
    }[kind]


KINDS = ("500", "503", "529", "refused", "reset", "silent", "HTML", "empty")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_busy_before", [False, True], ids=["from the start", "after busy times"])
async def test_a_total_outage_costs_at_most_one_call_and_a_fifth_a_request(
    lab: Any, make: Any, kind: str, is_busy_before: bool
) -> None:
    world = World(lab, make)
    if is_busy_before:
        await world.sustain(500)
        assert world.calls == 500
    world.answer = lambda _address, _key: outage(make, kind)
    before = world.calls
    await world.sustain(1_500, is_stream=kind == "empty")
    assert world.ends["refused"] == 1_500
    assert world.calls - before <= 1_500 * 1.06


@pytest.mark.parametrize("kind", KINDS)
async def test_whatever_stands_in_for_a_model_is_no_second_storm(lab: Any, make: Any, kind: str) -> None:
    fallbacks = {MODEL: ("claude-sonnet-5", "claude-haiku-4-5")}
    world = World(lab, make, keys=2, routing=Routing(fallbacks=fallbacks))
    world.answer = lambda _address, _key: outage(make, kind)
    await world.sustain(1_000, is_stream=kind == "empty")
    assert world.calls <= 1_000 * 1.2


async def test_whoever_cannot_be_tried_again_is_not_kept_waiting(lab: Any, make: Any) -> None:
    world = World(lab, make, addresses=1, keys=4)
    world.answer = lambda _address, _key: outage(make, "529")  # which benches nobody: there is somebody to try
    await world.sustain(100)
    lab.time.slept.clear()
    await world.sustain(20)
    assert lab.time.slept == []


async def test_whoever_comes_back_serves_at_once(lab: Any, make: Any) -> None:
    world = World(lab, make)
    world.answer = lambda _address, _key: make.whole(FAILED, 503)
    await world.sustain(1_000)
    world.ends.clear()
    world.answer = lambda _address, _key: make.whole(ANSWER)
    await world.sustain(300)
    assert world.ends == {"served": 300}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("addresses", [1, 6])
async def test_one_failing_account_among_others_is_seen_by_nobody(
    lab: Any, make: Any, kind: str, addresses: int
) -> None:
    world = World(lab, make, addresses=addresses, keys=8 // addresses + 1)
    world.answer = lambda _address, key: outage(make, kind) if key == "0-1" else make.whole(ANSWER)
    if kind != "refused" or addresses > 1:
        await asyncio.gather(*(world.ask() for _ in range(100)))
        await world.sustain(300, per_second=5)
        assert world.ends == {"served": 400}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "empty"])
async def test_an_upstream_that_dies_with_many_under_way_is_seen_by_nobody(lab: Any, make: Any, kind: str) -> None:
    """They fail together, far more than the share of a quiet time's traffic."""
    world = World(lab, make, addresses=2)
    world.answer = lambda address, _key: outage(make, kind) if address == "upstream-0" else make.whole(ANSWER)
    await asyncio.gather(*(world.ask() for _ in range(200)))
    assert world.ends == {"served": 200}


async def test_where_half_of_the_answers_fail_nearly_everybody_is_served(lab: Any, make: Any) -> None:
    world = World(lab, make)
    numbers = iter(range(1 << 20))
    world.answer = lambda _address, _key: (
        make.whole(FAILED, 503) if next(numbers) * 2_654_435_761 >> 8 & 1 else make.whole(ANSWER)
    )
    await world.sustain(2_000)
    assert world.ends["served"] >= 1_980


async def test_the_only_account_is_tried_again_a_few_times(lab: Any, make: Any) -> None:
    world = World(lab, make, addresses=1, keys=1)
    answers = iter([make.whole(FAILED, 503), make.whole(FAILED, 503), make.whole(ANSWER)])
    world.answer = lambda _address, _key: next(answers)
    await world.ask()
    assert world.ends == {"served": 1}


async def test_when_the_budget_is_spent_those_of_lower_priority_are_still_asked(lab: Any, make: Any) -> None:
    first = make.keys("dead-1", "dead-2", base_url="http://dead", priority=9)
    second = make.keys("live", base_url="http://live")
    world = World(lab, make, addresses=0)
    world.dispatcher = lab.dispatcher(Config(claude_api_key=(*first, *second)), world._call)
    world.answer = lambda address, _key: make.whole(FAILED, 503) if address == "dead" else make.whole(ANSWER)
    await world.sustain(400, per_second=2)
    assert world.ends == {"served": 400}
