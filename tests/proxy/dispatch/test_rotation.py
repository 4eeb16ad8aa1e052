"""Playbooks of waiting: accounts with limits of their own, crowds at a reset, and what answers tell of windows."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from auth.credential import Credential
from auth.quota import DAY
from auth.secret import Secret
from proxy.config.schema import Config, Routing
from proxy.dispatch.clock import Clock
from proxy.dispatch.failover import Dispatcher
from proxy.dispatch.inquiry import Refused, Tie
from proxy.dispatch.pursuit import RENEWED
from proxy.errors import Unreachable

MODEL = "claude-opus-5"
BODY = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
ANSWER = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
    "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}  # fmt: skip
LIMITED = {"type": "error", "error": {"type": "rate_limit_error", "message": "m"}}
FAILED = {"type": "error", "error": {"type": "api_error", "message": "broken"}}


class Gate:
    """An upstream whose answers wait until they are let through, and that counts who is inside."""

    def __init__(self, make: Any) -> None:
        self.make = make
        self.inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.doors: list[asyncio.Event] = []

    def __call__(self, call: Any) -> Any:
        key = dict(call.headers)["x-api-key"]
        door = asyncio.Event()
        self.doors.append(door)
        self.inside[key] += 1
        self.most[key] = max(self.most[key], self.inside[key])
        gate = self

        class Answer(self.make.Answer):  # type: ignore[misc,name-defined]
            async def release(self) -> None:
                gate.inside[key] -= 1

        return Answer(200, [door, msgspec.json.encode(ANSWER)], CIMultiDict({"content-type": "application/json"}))

    def open(self, count: int = 1) -> None:
        for door in self.doors[:count]:
            door.set()
        del self.doors[:count]


async def settled() -> None:
    for _ in range(300):
        await asyncio.sleep(0)


async def serve(lab: Any, dispatcher: Any, **fields: Any) -> str:
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, **fields))
    await lab.read(outcome)
    return str(outcome.report.account)


# As much under way as may be


async def test_no_account_has_more_under_way_than_it_may(lab: Any, make: Any) -> None:
    gate = Gate(make)
    keys = (*make.keys("k1", concurrency=2), *make.keys("k2", concurrency=3))
    dispatcher = lab.dispatcher(Config(claude_api_key=keys), gate)
    lab.time.is_frozen = True
    running = [asyncio.create_task(serve(lab, dispatcher)) for _ in range(40)]
    for _ in range(40):
        await settled()
        assert sum(gate.inside.values()) <= 5
        gate.open()
    assert len(await asyncio.gather(*running)) == 40
    assert gate.most == {"k1": 2, "k2": 3}
    assert not lab.pool._in_flight


async def test_a_modest_client_is_not_kept_waiting_by_a_greedy_one(lab: Any, make: Any) -> None:
    gate = Gate(make)
    dispatcher = lab.dispatcher(Config(claude_api_key=make.keys("k1", concurrency=1)), gate)
    lab.time.is_frozen = True
    served: list[str] = []

    async def one(client: str) -> None:
        await serve(lab, dispatcher, client=client)
        served.append(client)

    running = [asyncio.create_task(one("greedy")) for _ in range(50)]
    await settled()
    running += [asyncio.create_task(one("modest")) for _ in range(5)]
    for _ in range(11):
        await settled()
        gate.open()
    await settled()
    assert Counter(served) == {"greedy": 6, "modest": 5}
    while gate.doors:
        gate.open()
        await settled()
    await asyncio.gather(*running)


async def test_a_newcomer_does_not_overtake_those_who_wait(lab: Any, make: Any) -> None:
    gate = Gate(make)
    dispatcher = lab.dispatcher(Config(claude_api_key=make.keys("k1", concurrency=1)), gate)
    lab.time.is_frozen = True
    served: list[int] = []

    async def one(number: int) -> None:
        await serve(lab, dispatcher)
        served.append(number)

    running = [asyncio.create_task(one(number)) for number in range(3)]
    await settled()
    gate.open()
    running.append(asyncio.create_task(one(3)))
    while len(served) < 4:
        await settled()
        gate.open()
    assert served == [0, 1, 2, 3]
    await asyncio.gather(*running)


async def test_who_waits_too_long_is_told_why_and_to_come_back_soon(lab: Any, make: Any) -> None:
    gate = Gate(make)
    dispatcher = lab.dispatcher(
        Config(claude_api_key=make.keys("k1", concurrency=1), max_retry_interval=20, request_retry=0), gate
    )
    first = asyncio.create_task(serve(lab, dispatcher))
    await settled()
    with pytest.raises(Refused) as refused:
        await serve(lab, dispatcher)
    assert sum(lab.time.slept) == 20.0
    failure = refused.value.failure
    assert (failure.status, failure.retry_after_seconds) == (429, 2.0)
    assert failure.message.splitlines()[1:] == ["- anthropic key 1: busy: 1 of 1 requests are under way"]
    gate.open()
    await first


async def test_a_client_that_leaves_the_line_is_not_served(lab: Any, make: Any) -> None:
    gate = Gate(make)
    dispatcher = lab.dispatcher(Config(claude_api_key=make.keys("k1", concurrency=1)), gate)
    lab.time.is_frozen = True
    running = [asyncio.create_task(serve(lab, dispatcher)) for _ in range(3)]
    await settled()
    running[1].cancel()
    gate.open()
    await settled()
    gate.open()
    assert (
        len([each for each in await asyncio.gather(*running, return_exceptions=True) if each == "anthropic key 1"]) == 2
    )
    assert len(lab.upstream.calls) == 2
    assert not lab.pool._in_flight


async def test_who_can_only_go_to_one_account_lets_others_have_the_rest(lab: Any, make: Any) -> None:
    gate = Gate(make)
    dispatcher = lab.dispatcher(Config(claude_api_key=make.keys("k1", "k2", concurrency=1)), gate)
    lab.time.is_frozen = True
    running = [asyncio.create_task(serve(lab, dispatcher)) for _ in range(2)]
    await settled()
    first = lab.snapshot.credentials[0]
    bound = asyncio.create_task(serve(lab, dispatcher, tie=Tie(first.id, is_hard=True)))
    await settled()
    behind = asyncio.create_task(serve(lab, dispatcher))
    await settled()
    assert [dict(call.headers)["x-api-key"] for call in lab.upstream.calls] == ["k1", "k2"]
    gate.doors[1].set()
    await settled()
    assert [dict(call.headers)["x-api-key"] for call in lab.upstream.calls] == ["k1", "k2", "k2"]
    while not bound.done():
        gate.open()
        await settled()
    assert (await bound, await behind) == ("anthropic key 1", "anthropic key 2")
    await asyncio.gather(*running)


async def test_an_answer_of_another_model_makes_room_too(lab: Any, make: Any) -> None:
    gate = Gate(make)
    dispatcher = lab.dispatcher(Config(claude_api_key=make.keys("k1", concurrency=1)), gate)
    lab.time.is_frozen = True
    first = asyncio.create_task(serve(lab, dispatcher))
    await settled()
    second = asyncio.create_task(serve(lab, dispatcher, model="claude-sonnet-5"))
    await settled()
    gate.open()
    await settled()
    gate.open()
    assert await first == await second


async def test_waiting_for_somebody_busy_costs_no_round(lab: Any, make: Any) -> None:
    gate = Gate(make)
    dispatcher = lab.dispatcher(Config(claude_api_key=make.keys("k1", concurrency=1), request_retry=0), gate)
    lab.time.is_frozen = True
    running = [asyncio.create_task(serve(lab, dispatcher)) for _ in range(3)]
    for _ in running:
        await settled()
        gate.open()
    assert await asyncio.gather(*running) == ["anthropic key 1"] * 3


# How long, and how often


@pytest.mark.parametrize(
    ("allowed", "waited"), [(2, [2.0]), (3, [2.0]), (4, [2.0, 2.0]), (5, [2.0, 2.0]), (6, [2.0] * 3)]
)
async def test_all_waits_of_a_request_together_are_bounded(
    lab: Any, make: Any, allowed: int, waited: list[float]
) -> None:
    config = Config(claude_api_key=make.keys("k1"), request_retry=9, max_retry_interval=allowed)
    dispatcher = lab.dispatcher(config, lambda _call: make.whole(LIMITED, 429, retry_after="2"))
    with pytest.raises(Refused):
        await serve(lab, dispatcher)
    assert lab.time.slept == waited
    assert len(lab.upstream.calls) == len(waited) + 1


async def test_each_round_tries_as_many_as_it_may(lab: Any, make: Any) -> None:
    keys = make.keys("k1", "k2", "k3", "k4", "k5")
    config = Config(claude_api_key=keys, max_retry_credentials=2, request_retry=1)
    dispatcher = lab.dispatcher(config, lambda _call: make.whole(FAILED, 500))
    with pytest.raises(Refused):
        await serve(lab, dispatcher)
    assert [dict(call.headers)["x-api-key"] for call in lab.upstream.calls] == ["k1", "k2", "k3", "k4"]


async def test_a_last_resort_is_the_first_try_and_no_other(lab: Any, make: Any) -> None:
    config = Config(claude_api_key=make.keys("k1", "k2"), request_retry=0)
    dispatcher = lab.dispatcher(config, lambda _call: make.whole(FAILED, 500))
    for calls in (2, 3, 4):  # both are ready; then both rest
        with pytest.raises(Refused):
            await serve(lab, dispatcher)
        assert len(lab.upstream.calls) == calls


async def test_before_the_same_are_asked_again_there_is_a_pause_that_grows_by_chance(
    lab: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = replace(lab.time.clock(), chance=lambda: 0.5)
    monkeypatch.setattr(lab.time, "clock", lambda: clock)
    config = Config(claude_api_key=make.keys("k1"), request_retry=6, max_retry_interval=0)
    dispatcher = lab.dispatcher(config, lambda _call: make.whole(FAILED, 500))
    with pytest.raises(Refused):
        await serve(lab, dispatcher)
    assert lab.time.slept == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]


# Crowds at a reset


class Timeline:
    """A clock that stands still but for `pass_by`; whoever sleeps wakes when its time has come."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._asleep: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._asleep.append((self.now + seconds, woken))
        await woken

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        for until, woken in self._asleep:
            if until <= self.now and not woken.done():
                woken.set_result(None)

    def clock(self) -> Clock:
        return Clock(
            monotonic=lambda: self.now, unix=lambda: 1_800_000_000 + self.now, sleep=self.sleep, chance=lambda: 0.0
        )


async def test_five_hundred_wait_for_a_reset_and_do_not_fall_upon_it(lab: Any, make: Any) -> None:
    gate = Gate(make)
    limit = [make.whole(LIMITED, 429, retry_after="20")]
    lab.time = Timeline()
    dispatcher = lab.dispatcher(
        Config(claude_api_key=make.keys("k1")), lambda call: limit.pop() if limit else gate(call)
    )
    running = [asyncio.create_task(serve(lab, dispatcher))]
    await settled()
    running += [asyncio.create_task(serve(lab, dispatcher, client=str(n % 7))) for n in range(500)]
    await settled()
    lab.time.pass_by(20.0)
    waves = []
    while not all(task.done() for task in running):
        await settled()
        waves.append(len(gate.doors))
        gate.open(len(gate.doors))
        assert len(waves) < 100
    assert [wave for wave in waves if wave][:7] == [1, 2, 4, 8, 16, 32, 64]
    assert len(lab.upstream.calls) == 502
    await asyncio.gather(*running)


# What answers tell


def unified(five: str, week: str = "0.1", status: str = "allowed") -> dict[str, str]:
    return {
        "anthropic_ratelimit_unified_5h_status": status,
        "anthropic_ratelimit_unified_5h_utilization": five,
        "anthropic_ratelimit_unified_5h_reset": str(1_800_000_000 + 1000 + 3600),
        "anthropic_ratelimit_unified_7d_status": "allowed",
        "anthropic_ratelimit_unified_7d_utilization": week,
        "anthropic_ratelimit_unified_7d_reset": str(1_800_000_000 + 1000 + int(DAY)),
    }


async def test_every_answer_is_read_for_windows(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(Config(claude_api_key=make.keys("k1")), [make.whole(ANSWER, **unified("0.25"))])
    await serve(lab, dispatcher)
    assert [(window.name, window.used, window.resets_at) for _, window in lab.pool.quotas.all()] == [
        ("5-hour", 0.25, 1000.0 + 3600),
        ("weekly", 0.1, 1000.0 + DAY),
    ]


async def test_quota_aware_goes_where_there_is_most_left(lab: Any, make: Any) -> None:
    used = {"k1": "0.9", "k2": "0.2", "k3": "0.6"}
    dispatcher = lab.dispatcher(
        Config(claude_api_key=make.keys(*used), routing=Routing(strategy="quota-aware")),
        lambda call: make.whole(ANSWER, **unified(used[dict(call.headers)["x-api-key"]], "0.0")),
    )
    served = [await serve(lab, dispatcher) for _ in range(12)]
    assert served == ["anthropic key 1"] + ["anthropic key 2"] * 11  # first all are unknown; then half a one is


async def test_rejected_on_a_200_is_served_by_others_first(lab: Any, make: Any) -> None:
    """The provider goes on for money; the answer itself is as good as any."""
    dispatcher = lab.dispatcher(
        Config(claude_api_key=make.keys("k1", "k2")),
        lambda call: make.whole(
            ANSWER, **(unified("1.0", status="rejected") if dict(call.headers)["x-api-key"] == "k1" else {})
        ),
    )
    served = [await serve(lab, dispatcher) for _ in range(5)]
    assert served == ["anthropic key 1"] + ["anthropic key 2"] * 4
    assert list(lab.pool.standings(lab.time.now)) == []


async def test_the_owner_keeps_a_share(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(
        Config(claude_api_key=make.keys("k1", reserve_percent=20)),
        [make.whole(ANSWER, **unified("0.79")), make.whole(ANSWER, **unified("0.81")), make.whole(ANSWER)],
    )
    await serve(lab, dispatcher)
    await serve(lab, dispatcher)
    with pytest.raises(Refused) as refused:
        await serve(lab, dispatcher)
    assert (refused.value.failure.status, refused.value.failure.kind) == (429, "quota")
    assert dict(refused.value.headers)["retry-after"] == "3600"
    lab.time.now += 3600
    await serve(lab, dispatcher)


async def test_a_reading_with_room_ends_a_cooldown(lab: Any, make: Any) -> None:
    """The quota was reset early, or the plan changed: a request for another model shows it."""
    answers = iter([
        make.Answer(429, [msgspec.json.encode(LIMITED)], CIMultiDict({
            "content-type": "application/json",
            "anthropic-ratelimit-unified-7d_opus-status": "rejected",
            "anthropic-ratelimit-unified-7d_opus-reset": str(1_800_000_000 + 1000 + int(3 * DAY)),
        })),
        make.Answer(200, [msgspec.json.encode(ANSWER)], CIMultiDict({
            "content-type": "application/json", "anthropic-ratelimit-unified-7d_opus-status": "allowed",
        })),
        make.whole(ANSWER),
    ])  # fmt: skip
    dispatcher = lab.dispatcher(Config(claude_api_key=make.keys("k1")), lambda _call: next(answers))
    with pytest.raises(Refused):
        await serve(lab, dispatcher)
    await serve(lab, dispatcher, model="claude-sonnet-5")
    assert await serve(lab, dispatcher) == "anthropic key 1"


# Addresses


def at(make: Any, host: str, *names: str, **settings: Any) -> Any:
    return make.keys(*names, base_url=f"http://{host}", **settings)


async def test_nobody_at_a_dead_address_is_asked_in_vain_again(lab: Any, make: Any) -> None:
    """Eight keys at one address that does not answer are one fault, not eight, and no account's."""
    keys = (*at(make, "dead", *(f"d{n}" for n in range(8))), *at(make, "alive", "a1", "a2"))
    dispatcher = lab.dispatcher(
        Config(claude_api_key=keys),
        lambda call: Unreachable("refused") if "//dead" in call.url else make.whole(ANSWER),
    )
    for _ in range(20):
        assert (await serve(lab, dispatcher)).rpartition(" ")[2] in {"9", "10"}
    assert sum("//dead" in call.url for call in lab.upstream.calls) == 1
    assert list(lab.pool.standings(lab.time.now)) == []
    lab.time.now += 5
    await serve(lab, dispatcher)
    assert sum("//dead" in call.url for call in lab.upstream.calls) == 2


async def test_the_only_address_is_asked_every_time(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(
        Config(claude_api_key=at(make, "dead", "d1", "d2", "d3"), request_retry=0), lambda _call: Unreachable("refused")
    )
    for count in (1, 2, 3):
        with pytest.raises(Refused) as refused:
            await serve(lab, dispatcher)
        assert refused.value.failure.message == "refused"
        assert len(lab.upstream.calls) == count


async def test_an_egress_proxy_is_part_of_the_way(lab: Any, make: Any) -> None:
    keys = (*at(make, "host", "d1", proxy_url="http://127.0.0.1:9"), *at(make, "host", "a1"))
    dispatcher = lab.dispatcher(
        Config(claude_api_key=keys), lambda call: Unreachable("refused") if call.proxy_url else make.whole(ANSWER)
    )
    assert [await serve(lab, dispatcher) for _ in range(3)] == ["anthropic key 2"] * 3
    assert len(lab.upstream.calls) == 4


# A total outage


@pytest.mark.parametrize("status", [500, 503, 529])
async def test_a_total_outage_costs_no_more_than_a_fifth(lab: Any, make: Any, status: int) -> None:
    config = Config(claude_api_key=make.keys(*(f"k{n}" for n in range(8))))
    dispatcher = lab.dispatcher(config, lambda _call: make.whole(FAILED, status))
    for _ in range(1000):
        with pytest.raises(Refused):
            await serve(lab, dispatcher)
        lab.time.now += 0.01
    assert len(lab.upstream.calls) <= 1200


async def test_when_all_are_spent_nobody_is_asked(lab: Any, make: Any) -> None:
    config = Config(claude_api_key=make.keys("k1", "k2"))
    dispatcher = lab.dispatcher(config, lambda _call: make.whole(LIMITED, 429, retry_after="7200"))
    for _ in range(50):
        with pytest.raises(Refused):
            await serve(lab, dispatcher)
    assert len(lab.upstream.calls) == 2


REFUSED = {"type": "error", "error": {"type": "authentication_error", "message": "OAuth token has expired"}}


class TestATokenThatIsRefused:
    """`renew` stands for the official CLI; the old token is answered with a 401."""

    def open(self, lab: Any, make: Any, *, renewed: str | None, good: tuple[str, ...]) -> tuple[Any, list[str]]:
        asked: list[str] = []

        def answer(call: Any) -> Any:
            key = dict(call.headers)["x-api-key"]
            return make.whole(ANSWER) if key in good else make.whole(REFUSED, 401)

        async def renew(refused: Credential) -> Credential | None:
            assert refused.secret is not None
            asked.append(refused.secret.reveal())
            return None if renewed is None else replace(refused, secret=Secret(renewed))

        lab.dispatcher(Config(claude_api_key=make.keys("old", "other")), answer)
        dispatcher = Dispatcher(
            snapshot=lambda: lab.snapshot,
            upstreams={"http": lab.upstream},
            pool=lab.pool,
            clock=lab.time.clock(),
            renew=renew,
        )
        return dispatcher, asked

    @staticmethod
    def keys(lab: Any) -> list[str]:
        return [dict(call.headers)["x-api-key"] for call in lab.upstream.calls]

    async def test_the_same_account_is_asked_again_with_another(self, lab: Any, make: Any) -> None:
        dispatcher, asked = self.open(lab, make, renewed="new", good=("new", "other"))
        outcome = await dispatcher.open(lab.inquiry("anthropic", BODY))
        await lab.read(outcome)
        assert (self.keys(lab), asked) == (["old", "new"], ["old"])
        assert [(each.status, each.why) for each in outcome.report.attempts] == [(401, RENEWED), (200, "")]
        assert lab.pool.is_calm
        assert outcome.report.attempts[0].credential == outcome.report.credential

    async def test_once_and_then_the_next_account(self, lab: Any, make: Any) -> None:
        dispatcher, asked = self.open(lab, make, renewed="new", good=("other",))
        outcome = await dispatcher.open(lab.inquiry("anthropic", BODY))
        await lab.read(outcome)
        assert (self.keys(lab), asked) == (["old", "new", "other"], ["old"])
        assert [each.state for _, each in lab.pool.standings(lab.time.now)] == ["cooling"]

    async def test_without_another_the_next_account_serves(self, lab: Any, make: Any) -> None:
        dispatcher, asked = self.open(lab, make, renewed=None, good=("other",))
        await lab.read(await dispatcher.open(lab.inquiry("anthropic", BODY)))
        assert (self.keys(lab), asked) == (["old", "other"], ["old"])

    async def test_no_lease_is_left(self, lab: Any, make: Any) -> None:
        dispatcher, _ = self.open(lab, make, renewed="new", good=())
        with pytest.raises(Refused):
            await dispatcher.open(lab.inquiry("anthropic", BODY))
        assert not any(lab.pool.in_flight(each.id) for each in lab.snapshot.credentials)
