"""Playbooks: what the upstreams answer, line by line, and what the client gets."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from auth.standing import READY
from proxy.config.error_rules import ErrorRule
from proxy.config.provider_keys import ModelAlias
from proxy.config.schema import Config, Routing, Streaming
from proxy.dispatch import attempt, failover
from proxy.dispatch.inquiry import Refused, Tie
from proxy.errors import Broken, Silent, Unreachable

MODEL = "claude-opus-5"
BODY = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
ANSWER = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
    "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}  # fmt: skip
LIMITED = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down, alice@example.com"}}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
BAD_KEY = {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key sk-1"}}
BAD_REQUEST = {"type": "error", "error": {"type": "invalid_request_error", "message": "messages: too few"}}
FAILED = {"type": "error", "error": {"type": "api_error", "message": "Internal server error"}}


def sse(event: dict[str, Any]) -> bytes:
    return b"event: " + event["type"].encode() + b"\ndata: " + msgspec.json.encode(event) + b"\n\n"


START = sse({
    "type": "message_start",
    "message": {**ANSWER, "content": [], "stop_reason": None, "usage": {"input_tokens": 3, "output_tokens": 1}},
})  # fmt: skip
OPEN = sse({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
DELTA = sse({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}})
CLOSE = sse({"type": "content_block_stop", "index": 0})
END = sse({
    "type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 2},
}) + sse({"type": "message_stop"})  # fmt: skip
PING = sse({"type": "ping"})
GOOD = (START, OPEN, DELTA, CLOSE, END)


def config(make: Any, *names: str, **settings: Any) -> Config:
    return Config(claude_api_key=make.keys(*names), **settings)


async def refused(dispatcher: Any, inquiry: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await dispatcher.open(inquiry)
    return caught.value


# Who serves


async def test_three_hundred_concurrent_requests_over_three_keys_are_a_hundred_each(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", "k2", "k3"), lambda _call: make.whole(ANSWER))
    inquiry = lab.inquiry("anthropic", BODY)
    outcomes = await asyncio.gather(*(dispatcher.open(inquiry) for _ in range(300)))
    for outcome in outcomes:
        await lab.read(outcome)
    assert set(Counter(dict(call.headers)["x-api-key"] for call in lab.upstream.calls).values()) == {100}
    assert not lab.pool._in_flight


@pytest.mark.parametrize("status", [403, 408, 429, 500, 502, 503, 504, 529])
async def test_failover_on_statuses(lab: Any, make: Any, status: int) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", "k2"), [make.whole(FAILED, status), make.whole(ANSWER)])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY))
    assert msgspec.json.decode(await lab.read(outcome)) == ANSWER
    assert [attempt.status for attempt in outcome.report.attempts] == [status, 200]
    assert dict(outcome.headers)["x-proxy-attempts"] == "2"


@pytest.mark.parametrize(("action", "asked"), [("continue", 2), ("stop", 1)])
async def test_what_a_key_s_owner_says_of_an_error_comes_first(lab: Any, make: Any, action: Any, asked: int) -> None:
    """Of the key alone: the client's own fault is told for it, or taken for the account's."""
    own = make.keys("k1", request_scoped_errors=(ErrorRule(status=400, match=("too few",), action=action),))
    dispatcher = lab.dispatcher(
        Config(claude_api_key=own + make.keys("k2"), routing=Routing(strategy="fill-first")),
        [make.whole(BAD_REQUEST, 400), make.whole(ANSWER)],
    )
    if action == "stop":
        assert "too few" in (await refused(dispatcher, lab.inquiry("anthropic", BODY))).failure.message
    else:
        outcome = await dispatcher.open(lab.inquiry("anthropic", BODY))
        assert msgspec.json.decode(await lab.read(outcome)) == ANSWER
    assert len(lab.upstream.calls) == asked


@pytest.mark.parametrize("fault", [Unreachable("refused"), Silent("no head"), Broken("reset")])
async def test_failover_on_connections(lab: Any, make: Any, fault: Exception) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", "k2"), [fault, make.whole(ANSWER)])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY))
    assert msgspec.json.decode(await lab.read(outcome)) == ANSWER


@pytest.mark.parametrize(
    "pieces",
    [
        (START, sse(OVERLOADED | {"type": "error"})),
        (START, PING, Broken("cut")),
        (START, OPEN),
        (),
        (START, CLOSE),
        (START, END.replace(b'"output_tokens":2', b'"output_tokens":0')),
        (b"<html>not found</html>",),
    ],
    ids=["error inside a 200", "cut", "no end", "nothing", "corrupt", "empty answer", "web page"],
)
async def test_failover_inside_a_200_before_content(lab: Any, make: Any, pieces: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", "k2"), [make.stream(*pieces), make.stream(*GOOD)])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
    assert await lab.read(outcome) == b"".join(GOOD)
    assert len(outcome.report.attempts) == 2
    assert lab.upstream.answers[0].is_aborted


async def test_each_attempt_has_its_own_tokens_and_its_first_byte(lab: Any, make: Any) -> None:
    broken = (START, sse(OVERLOADED | {"type": "error"}))
    dispatcher = lab.dispatcher(
        config(make, "k1", "k2", "k3"), [Unreachable("refused"), make.stream(*broken), make.stream(*GOOD)]
    )
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
    await lab.read(outcome)
    unreachable, broken_off, good = outcome.report.attempts
    assert (unreachable.usage, unreachable.first_byte_seconds) == (None, None)
    assert (broken_off.usage.input_uncached, broken_off.first_byte_seconds) == (3, None)
    assert good.usage == outcome.report.usage
    assert good.first_byte_seconds <= good.seconds


@pytest.mark.parametrize(
    "answer",
    [b"<!DOCTYPE html><html>login</html>", OVERLOADED, b"", b"{"],
    ids=["web page", "error inside a 200", "nothing", "half"],
)
async def test_failover_on_whole_answers_that_are_none(lab: Any, make: Any, answer: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", "k2"), [make.whole(answer), make.whole(ANSWER)])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY))
    assert msgspec.json.decode(await lab.read(outcome)) == ANSWER


@pytest.mark.parametrize("wire", ["openai_chat", "openai_responses", "gemini"])
@pytest.mark.parametrize("is_stream", [False, True])
async def test_failover_is_unseen_across_wires(lab: Any, make: Any, wire: str, is_stream: bool) -> None:
    bodies: dict[str, Any] = {
        "openai_chat": {"model": MODEL, "stream": is_stream, "messages": [{"role": "user", "content": "x"}]},
        "openai_responses": {"model": MODEL, "stream": is_stream, "input": "x"},
        "gemini": {"contents": [{"role": "user", "parts": [{"text": "x"}]}]},
    }
    first = make.stream(START, sse(OVERLOADED | {"type": "error"})) if is_stream else make.whole(OVERLOADED, 529)
    second = make.stream(*GOOD) if is_stream else make.whole(ANSWER)
    dispatcher = lab.dispatcher(config(make, "k1", "k2"), [first, second])
    outcome = await dispatcher.open(lab.inquiry(wire, bodies[wire], model=MODEL, is_stream=is_stream))
    told = await lab.read(outcome)
    assert b"Hi" in told
    assert b"verload" not in told
    assert outcome.report.usage.output == 2
    assert outcome.report.finish == "stop"
    assert outcome.report.is_relay is False


@pytest.mark.parametrize("is_stream", [False, True])
async def test_an_answer_that_says_nothing_is_passed_on_when_nobody_says_more(
    lab: Any, make: Any, is_stream: bool
) -> None:
    end = END.replace(b'"output_tokens":2', b'"output_tokens":0')
    blank = {**ANSWER, "content": [], "usage": {"input_tokens": 3, "output_tokens": 0}}
    dispatcher = lab.dispatcher(
        config(make, "k1", "k2"), lambda _call: make.stream(START, end) if is_stream else make.whole(blank)
    )
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=is_stream))
    told = await lab.read(outcome)
    assert told == START + end if is_stream else msgspec.json.decode(told) == blank
    assert len(lab.upstream.calls) == 2
    assert not lab.pool._in_flight


# Whose fault


async def test_the_clients_own_fault_is_told_as_it_is_and_tried_once(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", "k2"), [make.whole(BAD_REQUEST, 400)])
    told = await refused(dispatcher, lab.inquiry("anthropic", BODY))
    assert (told.failure.status, told.failure.message) == (400, "messages: too few")
    assert len(lab.upstream.calls) == 1
    assert list(lab.pool.standings(lab.time.now)) == []


@pytest.mark.parametrize("status", [401, 403])
async def test_an_accounts_401_and_403_never_reach_the_client(lab: Any, make: Any, status: int) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", "k2"), lambda _call: make.whole(BAD_KEY, status))
    for _ in range(2):
        told = await refused(dispatcher, lab.inquiry("anthropic", BODY))
        assert told.failure.status == 503
        assert "sk-1" not in told.failure.message
        assert "anthropic key 1: cooling: its key or login was refused; asked again in" in told.failure.message
        assert dict(told.headers)["x-should-retry"] == "false"
        assert "retry-after" not in dict(told.headers)
        assert len(lab.upstream.calls) == 2


async def test_one_bad_key_is_not_asked_again_and_again(lab: Any, make: Any) -> None:
    def answer(call: Any) -> Any:
        return make.whole(BAD_KEY, 401) if dict(call.headers)["x-api-key"] == "k1" else make.whole(ANSWER)

    dispatcher = lab.dispatcher(config(make, "k1", "k2"), answer)
    for _ in range(10):
        await lab.read(await dispatcher.open(lab.inquiry("anthropic", BODY)))
    assert Counter(dict(call.headers)["x-api-key"] for call in lab.upstream.calls) == {"k1": 1, "k2": 10}


# Nobody is left


async def test_exhausted_is_a_429_with_a_true_retry_after_and_each_accounts_reason(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(
        config(make, "k1", "k2"),
        [make.whole(LIMITED, 429, retry_after="90"), make.whole(LIMITED, 429, retry_after="7000")],
    )
    told = await refused(dispatcher, lab.inquiry("anthropic", BODY))
    assert (told.failure.status, told.failure.kind) == (429, "quota")
    assert told.failure.message.splitlines() == [
        f"no account can serve {MODEL} now:",
        "- anthropic key 1: cooling: it is rate limited; back in 90 s",
        "- anthropic key 2: cooling: it is rate limited; back in 1 h 57 min",
    ]
    assert dict(told.headers) == {"retry-after": "90", "x-should-retry": "false", "x-proxy-attempts": "2"}
    again = await refused(dispatcher, lab.inquiry("anthropic", BODY))
    assert dict(again.headers)["x-proxy-attempts"] == "0"
    assert len(lab.upstream.calls) == 2


async def test_a_short_wait_is_waited(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1"), [make.whole(LIMITED, 429, retry_after="7"), make.whole(ANSWER)])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY))
    assert msgspec.json.decode(await lab.read(outcome)) == ANSWER
    assert lab.time.slept == [7.0]


async def test_but_not_longer_than_the_configuration_allows(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", max_retry_interval=5), [make.whole(LIMITED, 429, retry_after="7")])
    told = await refused(dispatcher, lab.inquiry("anthropic", BODY))
    assert dict(told.headers)["retry-after"] == "7"
    assert lab.time.slept == []


async def test_nor_more_often(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(
        config(make, "k1", request_retry=2), lambda _call: make.whole(LIMITED, 429, retry_after="2")
    )
    await refused(dispatcher, lab.inquiry("anthropic", BODY))
    assert len(lab.upstream.calls) == 3


async def test_without_rounds_nothing_is_waited_for(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(
        config(make, "k1", request_retry=0), [make.whole(LIMITED, 429, retry_after="1"), make.whole(ANSWER)]
    )
    told = await refused(dispatcher, lab.inquiry("anthropic", BODY))
    assert told.failure.kind == "rate_limit"


async def test_a_round_tries_no_more_candidates_than_it_may(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(
        config(make, "k1", "k2", "k3", max_retry_credentials=2, request_retry=0),
        lambda _call: make.whole(LIMITED, 429, retry_after="600"),
    )
    await refused(dispatcher, lab.inquiry("anthropic", BODY))
    assert len(lab.upstream.calls) == 2


async def test_a_providers_fault_is_told_as_it_was(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", "k2", request_retry=0), lambda _call: make.whole(FAILED, 500))
    told = await refused(dispatcher, lab.inquiry("anthropic", BODY))
    assert (told.failure.status, told.failure.message) == (500, "Internal server error")
    assert len(lab.upstream.calls) == 2


async def test_a_total_outage_is_not_answered_with_a_storm(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", "k2", "k3"), lambda _call: make.whole(FAILED, 500))
    for _ in range(300):
        await refused(dispatcher, lab.inquiry("anthropic", BODY))
        lab.time.now += 0.01
    assert len(lab.upstream.calls) <= 300 * 1.2


async def test_the_only_key_is_never_locked_out_by_a_500(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(
        config(make, "k1", request_retry=0), [make.whole(FAILED, 500), make.whole(ANSWER), make.whole(ANSWER)]
    )
    await refused(dispatcher, lab.inquiry("anthropic", BODY))
    for _ in range(2):
        outcome = await dispatcher.open(lab.inquiry("anthropic", BODY))
        assert msgspec.json.decode(await lab.read(outcome)) == ANSWER


async def test_a_redirect_is_a_fault_and_not_followed(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", request_retry=0), [make.whole(b"", 302, location="http://x")])
    told = await refused(dispatcher, lab.inquiry("anthropic", BODY))
    assert told.failure.status == 502
    assert "base-url" in told.failure.message


async def test_an_error_whose_body_is_cut_is_judged_by_its_status(lab: Any, make: Any) -> None:
    cut = make.Answer(429, [b'{"err', Broken("cut")], CIMultiDict({"retry-after": "90"}))
    dispatcher = lab.dispatcher(config(make, "k1"), [cut])
    told = await refused(dispatcher, lab.inquiry("anthropic", BODY))
    assert (told.failure.status, dict(told.headers)["retry-after"]) == (429, "90")


async def test_unknown_models_are_404(lab: Any, make: Any) -> None:
    told = await refused(lab.dispatcher(config(make, "k1"), []), lab.inquiry("anthropic", BODY, model="nope"))
    assert (told.failure.status, told.failure.code) == (404, "model_not_found")


async def test_a_conversation_that_one_account_keeps_goes_on_there_or_nowhere(lab: Any, make: Any) -> None:
    replies = iter([make.whole(ANSWER), make.whole(ANSWER), make.whole(LIMITED, 429, retry_after="900")])
    dispatcher = lab.dispatcher(config(make, "k1", "k2"), lambda _call: next(replies))
    first = await dispatcher.open(lab.inquiry("anthropic", BODY))
    await lab.read(first)
    tie = Tie(first.report.credential or "", is_hard=True)
    second = await dispatcher.open(lab.inquiry("anthropic", BODY, tie=tie))
    await lab.read(second)
    assert second.report.credential == first.report.credential
    told = await refused(dispatcher, lab.inquiry("anthropic", BODY, tie=tie))
    assert told.failure.status == 429
    assert told.failure.message.count("\n") == 1, "the others are no alternative"
    assert [call.headers for call in lab.upstream.calls] == [lab.upstream.calls[0].headers] * 3


async def test_a_conversation_of_an_account_that_is_gone_is_not_found(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1"), [])
    told = await refused(dispatcher, lab.inquiry("anthropic", BODY, tie=Tie("gone", is_hard=True)))
    assert (told.failure.status, told.failure.code) == (400, "previous_response_not_found")
    assert told.failure.path == "previous_response_id"


async def test_upstream_texts_and_addresses_stay_out_of_the_refusal(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1"), [make.whole(LIMITED, 429, retry_after="900")])
    told = await refused(dispatcher, lab.inquiry("anthropic", BODY))
    assert "alice" not in told.failure.message


# After the commit point


async def test_a_cut_after_content_ends_with_the_dialects_error(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", "k2"), [make.stream(START, OPEN, DELTA, Broken("cut off"))])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
    told = await lab.read(outcome)
    assert told.startswith(START + OPEN + DELTA + b"event: error\n")
    assert outcome.report.failure.message == "cut off"
    assert len(lab.upstream.calls) == 1


async def test_a_silent_end_after_content_is_no_end(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", "k2"), [make.stream(START, OPEN, DELTA)])
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "x"}]}
    outcome = await dispatcher.open(lab.inquiry("openai_chat", body, is_stream=True))
    told = await lab.read(outcome)
    assert b'"error":' in told
    assert b"[DONE]" not in told


async def test_the_cut_counts_against_the_account(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", "k2"), [make.stream(START, OPEN, DELTA, Broken("cut"))])
    await lab.read(await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True)))
    assert [standing.state for _, standing in lab.pool.standings(lab.time.now)] == ["cooling"]


async def test_a_long_preamble_is_not_held_for_ever(lab: Any, make: Any) -> None:
    long = sse({"type": "ping", "padding": "x" * 40_000})
    dispatcher = lab.dispatcher(config(make, "k1", "k2"), [make.stream(START, long, Broken("cut"))])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
    assert (await lab.read(outcome)).startswith(START + long + b"event: error")


async def test_broken_streams_are_retried_as_often_as_configured(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(
        config(make, "k1", "k2", "k3", streaming=Streaming(bootstrap_retries=1)),
        lambda _call: make.stream(START, Broken("cut")),
    )
    await refused(dispatcher, lab.inquiry("anthropic", BODY, is_stream=True))
    assert len(lab.upstream.calls) == 2


async def test_what_never_was_a_stream_is_no_broken_one(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(
        config(make, "k1", "k2", "k3", "k4", streaming=Streaming(bootstrap_retries=1)),
        [*[make.whole(FAILED, 500)] * 3, make.stream(*GOOD)],
    )
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
    assert await lab.read(outcome) == b"".join(GOOD)


async def test_after_five_minutes_nobody_else_is_asked(lab: Any, make: Any) -> None:
    def slow(_call: Any) -> Any:
        lab.time.now += 160
        return Silent("nothing came")

    await refused(lab.dispatcher(config(make, "k1", "k2", "k3", "k4"), slow), lab.inquiry("anthropic", BODY))
    assert len(lab.upstream.calls) == 2


async def test_whoever_serves_is_trusted_again(lab: Any, make: Any) -> None:
    answers = [make.whole(FAILED, 500), make.whole(ANSWER)]
    dispatcher = lab.dispatcher(config(make, "k1", request_retry=1), answers)
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY))
    await lab.read(outcome)
    assert [*lab.pool.cooldowns()] == []
    assert lab.pool.served_at(outcome.report.credential) is not None


# The head is held


async def test_the_head_is_held_for_a_while_then_failover_goes_on_unseen(
    lab: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failover, "HOLD_SECONDS_MAX", 0.01)
    gate = asyncio.Event()
    dispatcher = lab.dispatcher(config(make, "k1", "k2"), [make.stream(START, gate, Broken("cut")), make.stream(*GOOD)])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
    assert (outcome.status, outcome.report.attempts) == (200, [])
    gate.set()
    assert await lab.read(outcome) == b"".join(GOOD)
    assert len(outcome.report.attempts) == 2


async def test_a_late_refusal_is_told_in_band(lab: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "HOLD_SECONDS_MAX", 0.01)
    gate = asyncio.Event()
    dispatcher = lab.dispatcher(
        config(make, "k1", request_retry=0), [make.stream(START, gate, sse(OVERLOADED | {"type": "error"}))]
    )
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
    gate.set()
    told = await lab.read(outcome)
    assert told.startswith(b"event: error\n")
    assert b"Overloaded" in told
    assert outcome.report.failure.kind == "overloaded"


async def test_a_late_search_that_nobody_waits_for_is_given_up(
    lab: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failover, "HOLD_SECONDS_MAX", 0.01)
    dispatcher = lab.dispatcher(config(make, "k1"), [make.stream(START, asyncio.Event())])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
    await outcome.body.aclose()
    assert lab.upstream.answers[0].is_aborted
    assert not lab.pool._in_flight
    assert [chunk async for chunk in outcome.body] == []


async def test_an_upstream_that_does_not_hang_up_after_its_end_is_not_waited_for(
    lab: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "REST_SECONDS", 0.01)
    dispatcher = lab.dispatcher(config(make, "k1"), [make.stream(*GOOD, asyncio.Event())])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
    assert await lab.read(outcome) == b"".join(GOOD)
    assert outcome.report.failure is None
    assert lab.upstream.answers[0].is_aborted


async def test_a_cut_after_the_end_is_none(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1"), [make.stream(*GOOD, Broken("reset"))])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
    assert await lab.read(outcome) == b"".join(GOOD)
    assert outcome.report.failure is None


# Somebody goes


async def test_closing_the_body_aborts_the_upstream_at_once(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1"), [make.stream(START, OPEN, DELTA, asyncio.Event(), CLOSE, END)])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
    assert await anext(aiter(outcome.body)) == START + OPEN + DELTA
    await outcome.body.aclose()
    assert lab.upstream.answers[0].is_aborted
    assert not lab.pool._in_flight
    assert outcome.report.failure is None
    assert lab.pool.standing((outcome.report.credential, MODEL), lab.time.now) is READY


def counted(text: str, output: int, **more: Any) -> bytes:
    """A chunk of Gemini's, which tells how many tokens it is by then."""
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **more}
    usage = {"promptTokenCount": 9, "cachedContentTokenCount": 4, "candidatesTokenCount": output}
    return b"data: " + msgspec.json.encode({"candidates": [candidate], "usageMetadata": usage}) + b"\r\n\r\n"


@pytest.mark.parametrize("wire", ["gemini", "anthropic"], ids=["relayed", "translated"])
@pytest.mark.parametrize("end", ["left", "cut"])
async def test_a_gemini_stream_without_its_end_has_the_tokens_told_by_then(
    lab: Any, make: Any, wire: str, end: str
) -> None:
    last: Any = asyncio.Event() if end == "left" else Broken("cut")
    pieces = [counted("A", 3), counted("B", 7), last]
    dispatcher = lab.dispatcher(Config(gemini_api_key=make.keys("k1")), [make.stream(*pieces)])
    model = "gemini-3.5-flash"
    body = {**BODY, "model": model} if wire == "anthropic" else {"contents": [{"parts": [{"text": "x"}]}]}
    outcome = await dispatcher.open(lab.inquiry(wire, body, model=model, is_stream=True))
    chunks = aiter(outcome.body)
    told = await anext(chunks)
    while b"B" not in told:
        told += await anext(chunks)
    if end == "cut":
        await anext(chunks)
    await outcome.body.aclose()
    usage = outcome.report.usage
    assert (usage.input_uncached, usage.cache_read, usage.output) == (5, 4, 7)
    assert outcome.report.attempts[0].usage == usage


async def test_closing_a_body_that_nobody_read(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1"), [make.stream(START, OPEN, DELTA, asyncio.Event())])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
    await outcome.body.aclose()
    await outcome.body.aclose()
    assert lab.upstream.answers[0].is_aborted
    assert not lab.pool._in_flight


async def test_cancelling_the_reader_aborts(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1"), [make.stream(START, OPEN, DELTA, asyncio.Event())])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
    reader = asyncio.create_task(lab.read(outcome))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert lab.upstream.answers[0].is_aborted
    await outcome.body.aclose()
    assert not lab.pool._in_flight


@pytest.mark.parametrize("is_stream", [False, True])
async def test_cancelling_open_aborts(lab: Any, make: Any, is_stream: bool) -> None:
    gate = asyncio.Event()
    answer = make.stream(START, gate) if is_stream else make.Answer(200, [gate])
    dispatcher = lab.dispatcher(config(make, "k1"), [answer])
    opening = asyncio.create_task(dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=is_stream)))
    await lab.upstream.is_called.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert lab.upstream.answers[0].is_aborted
    assert not lab.pool._in_flight


# Probes and waiting


async def test_after_a_cooldown_one_request_probes_and_the_others_wait_for_it(lab: Any, make: Any) -> None:
    gate = asyncio.Event()
    answers = iter([make.whole(LIMITED, 429, retry_after="50"), make.Answer(200, [gate, msgspec.json.encode(ANSWER)])])
    dispatcher = lab.dispatcher(config(make, "k1"), lambda _call: next(answers, make.whole(ANSWER)))
    await refused(dispatcher, lab.inquiry("anthropic", BODY))
    lab.time.now += 51
    opening = [asyncio.create_task(dispatcher.open(lab.inquiry("anthropic", BODY))) for _ in range(5)]
    lab.time.is_frozen = True
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(lab.upstream.calls) == 2
    gate.set()
    for each in opening:
        await lab.read(await each)
    assert len(lab.upstream.calls) == 6


async def test_twelve_simultaneous_limits_are_one_step(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", max_retry_interval=0), lambda _call: make.whole(LIMITED, 429))
    inquiry = lab.inquiry("anthropic", BODY)
    told = await asyncio.gather(*(dispatcher.open(inquiry) for _ in range(12)), return_exceptions=True)
    assert all(isinstance(each, Refused) for each in told)
    ((_, standing),) = lab.pool.standings(lab.time.now)
    assert standing.until - lab.time.now <= 1.0


# What is told of it


async def test_the_decision_is_told_to_whoever_asks(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(
        config(make, "k1", "k2"), [make.whole(LIMITED, 429, retry_after="60"), make.whole(ANSWER)]
    )
    asking = lab.inquiry("anthropic", BODY, headers=CIMultiDict({"X-Proxy-Explain": "1"}))
    outcome = await dispatcher.open(asking)
    assert dict(outcome.headers)["x-proxy-decision"] == (
        "round-robin: anthropic key 2; passed over: anthropic key 1 (tried in this request)"
    )
    assert [request_id for request_id, _ in dispatcher.recent] == ["req-1", "req-1"]


async def test_explaining_changes_nothing(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", "k2"), [])
    first, second = (dispatcher.explain(lab.inquiry("anthropic", BODY)) for _ in range(2))
    assert first.chosen == second.chosen
    assert [each.why for each in first.passed_over] == ["ready: not its turn"]


async def test_report_is_complete_when_the_body_has_ended(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1"), [make.stream(*GOOD, request_id="req_up")])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
    assert dict(outcome.headers)["request-id"] == "req_up"
    assert outcome.report.usage is None
    await lab.read(outcome)
    report = outcome.report
    assert (report.usage.input_uncached, report.usage.output, report.finish, report.is_relay) == (3, 2, "stop", True)
    assert (report.provider, report.account, report.model_served) == ("anthropic", "anthropic key 1", MODEL)


# Reload


async def test_requests_in_flight_keep_their_configuration_and_the_pool_its_state(lab: Any, make: Any) -> None:
    gate = asyncio.Event()
    answers = iter([make.whole(LIMITED, 429, retry_after="600"), make.stream(START, OPEN, DELTA, gate, CLOSE, END)])
    dispatcher = lab.dispatcher(config(make, "k1", "k2"), lambda _call: next(answers, make.whole(ANSWER)))
    streaming = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
    lab.snapshot = type(lab.snapshot).of(config(make, "k1", "k3", routing=Routing(strategy="fill-first")))
    gate.set()
    assert (await lab.read(streaming)).endswith(END)
    for _ in range(2):
        await lab.read(await dispatcher.open(lab.inquiry("anthropic", BODY)))
    assert [dict(call.headers)["x-api-key"] for call in lab.upstream.calls] == ["k1", "k2", "k3", "k3"]


# Counting


async def test_count_tokens_at_home(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1"), [make.whole({"input_tokens": 17})])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, operation="count_tokens"))
    assert await lab.read(outcome) == b'{"input_tokens":17}'
    assert lab.upstream.calls[0].url.endswith("/v1/messages/count_tokens")


async def test_count_tokens_across_wires(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, "k1"), [make.whole({"input_tokens": 17})])
    body = {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}
    outcome = await dispatcher.open(lab.inquiry("gemini", body, model=MODEL, operation="count_tokens"))
    assert msgspec.json.decode(await lab.read(outcome))["totalTokens"] == 17


async def test_count_tokens_where_nobody_counts_is_an_estimate_and_says_so(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(Config(openai_compatibility=(make.compatible("local", "m"),)), [])
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, model="m", operation="count_tokens"))
    assert msgspec.json.decode(await lab.read(outcome))["input_tokens"] > 0
    assert dict(outcome.headers)["x-proxy-count"] == "estimate"
    assert lab.upstream.calls == []


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_gateway_without_a_counter_is_an_estimate_too(lab: Any, make: Any, status: int) -> None:
    dispatcher = lab.dispatcher(config(make, "k1", request_retry=0), lambda _call: make.whole(FAILED, status))
    outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, operation="count_tokens"))
    assert dict(outcome.headers)["x-proxy-count"] == "estimate"


async def test_those_that_count_are_asked_before_those_that_cannot(lab: Any, make: Any) -> None:
    both = Config(
        claude_api_key=make.keys("k1", models=(ModelAlias(name=MODEL, alias="m"),)),
        openai_compatibility=(make.compatible("local", "m"),),
    )
    dispatcher = lab.dispatcher(both, lambda _call: make.whole({"input_tokens": 17}))
    for _ in range(4):
        outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, model="m", operation="count_tokens"))
        assert await lab.read(outcome) == b'{"input_tokens":17}'
