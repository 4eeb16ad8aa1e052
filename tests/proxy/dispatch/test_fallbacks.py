"""Playbooks of chains: which model goes on when nobody can serve the one that was asked for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from proxy.config.provider_keys import ModelAlias
from proxy.config.schema import Config, QuotaExceeded, Routing
from proxy.dispatch.fallbacks import previews
from proxy.dispatch.inquiry import Refused
from proxy.dispatch.snapshot import Snapshot

OPUS, SONNET, GPT = "claude-opus-5", "claude-sonnet-5", "gpt-5.5"
BODY = {"model": OPUS, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
ANSWER = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": SONNET,
    "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}  # fmt: skip
RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": GPT, "status": "completed",
    "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}],
}  # fmt: skip
LIMITED = {"type": "error", "error": {"type": "rate_limit_error", "message": "m"}}
FAILED = {"type": "error", "error": {"type": "api_error", "message": "broken"}}
TOO_LONG = {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 1"}}
FULL = {
    "anthropic-ratelimit-unified-5h-status": "rejected",
    "anthropic-ratelimit-unified-5h-reset": "1800003600",
}


def config(make: Any, *chain: str, **settings: Any) -> Config:
    routing = Routing(fallbacks={OPUS: chain} if chain else {})
    defaults = {"claude_api_key": make.keys("k1"), "codex_api_key": make.keys("k2"), "routing": routing}
    return Config(**{**defaults, **settings})


def by_model(make: Any, **answers: Any) -> Any:
    """Upstreams that answer by the model they are asked for."""

    def answer(call: Any) -> Any:
        model = msgspec.json.decode(call.body)["model"].partition("-")[2].partition("-")[0].replace(".", "_")
        return answers.get(model, make.whole(ANSWER))

    return answer


def models(lab: Any) -> list[str]:
    return [msgspec.json.decode(call.body)["model"] for call in lab.upstream.calls]


async def told(lab: Any, dispatcher: Any, **fields: Any) -> tuple[dict[str, str], Any]:
    outcome = await dispatcher.open(lab.inquiry("anthropic", fields.pop("body", BODY), **fields))
    return dict(outcome.headers), msgspec.json.decode(await lab.read(outcome))


async def refused(lab: Any, dispatcher: Any, **fields: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await told(lab, dispatcher, **fields)
    return caught.value


@pytest.mark.parametrize(
    ("status", "body"),
    [(429, LIMITED), (500, FAILED), (529, FAILED), (403, FAILED)],
    ids=["limit", "fault", "overload", "permission"],
)
async def test_the_next_model_goes_on_at_once_and_the_answer_says_so(
    lab: Any, make: Any, status: int, body: Any
) -> None:
    dispatcher = lab.dispatcher(config(make, SONNET), by_model(make, opus=make.whole(body, status, retry_after="20")))
    headers, answer = await told(lab, dispatcher)
    assert (headers["x-proxy-model"], headers["x-proxy-fallback"]) == (SONNET, SONNET)
    assert answer["model"] == OPUS  # the client's name for what it asked
    assert models(lab) == [OPUS, SONNET]
    assert lab.time.slept == []


async def test_the_model_itself_serves_while_it_can(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, SONNET), by_model(make))
    headers, _ = await told(lab, dispatcher)
    assert headers["x-proxy-model"] == OPUS
    assert "x-proxy-fallback" not in headers


async def test_the_chain_is_gone_through_in_order_and_across_vendors(lab: Any, make: Any) -> None:
    limited = make.whole(LIMITED, 429, retry_after="600")
    dispatcher = lab.dispatcher(
        config(make, SONNET, "no-such-model", GPT),
        by_model(make, opus=limited, sonnet=limited, **{"5_5": make.whole(RESPONSE)}),
    )
    headers, answer = await told(lab, dispatcher)
    assert (headers["x-proxy-fallback"], headers["x-proxy-provider"]) == (GPT, "openai")
    assert answer["content"] == [{"type": "text", "text": "Hi"}]
    assert models(lab) == [OPUS, SONNET, GPT]


async def test_whoever_asks_is_told_why_another_model_serves(lab: Any, make: Any) -> None:
    limited = make.whole(LIMITED, 429, retry_after="600")
    script = by_model(make, opus=limited, sonnet=limited, **{"5_5": make.whole(RESPONSE)})
    dispatcher = lab.dispatcher(config(make, SONNET, GPT), script)
    why = CIMultiDict({"x-proxy-explain": "1"})
    cooling = "nobody; passed over: anthropic key 1 (cooling: it is rate limited, 600 s)"
    for _ in range(2):  # also when nobody was even asked
        headers, _answer = await told(lab, dispatcher, headers=why)
        assert (
            headers["x-proxy-decision"] == f"{OPUS}: {cooling}; {SONNET}: {cooling}; {GPT}: round-robin: openai key 1"
        )
    dispatcher = lab.dispatcher(config(make, SONNET), by_model(make, opus=limited, sonnet=limited))
    headers = dict((await refused(lab, dispatcher, headers=why)).headers)
    assert headers["x-proxy-decision"] == f"{OPUS}: {cooling}; {SONNET}: {cooling}"


async def test_without_a_chain_nobody_goes_on(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make), by_model(make, opus=make.whole(LIMITED, 429, retry_after="600")))
    assert (await refused(lab, dispatcher)).failure.status == 429
    assert models(lab) == [OPUS]


async def test_the_clients_own_fault_is_no_reason(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, SONNET), by_model(make, opus=make.whole(TOO_LONG, 400)))
    assert (await refused(lab, dispatcher)).failure.kind == "context_length"
    assert models(lab) == [OPUS]


async def test_but_what_is_too_long_for_the_next_model_is_not_what_was_asked(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(
        config(make, SONNET),
        by_model(make, opus=make.whole(LIMITED, 429, retry_after="20"), sonnet=make.whole(TOO_LONG, 400)),
    )
    failure = (await refused(lab, dispatcher)).failure
    assert (failure.status, failure.kind, failure.retry_after_seconds) == (429, "rate_limit", 20.0)


async def test_nor_does_it_end_the_chain(lab: Any, make: Any) -> None:
    limited = make.whole(LIMITED, 429, retry_after="20")
    script = by_model(make, opus=limited, sonnet=make.whole(TOO_LONG, 400), **{"5_5": make.whole(RESPONSE)})
    headers, _ = await told(lab, lab.dispatcher(config(make, SONNET, GPT), script))
    assert headers["x-proxy-fallback"] == GPT
    assert models(lab) == [OPUS, SONNET, GPT]


async def test_when_all_are_out_each_accounts_reason_is_told(lab: Any, make: Any) -> None:
    long, short = make.whole(LIMITED, 429, retry_after="600"), make.whole(LIMITED, 429, retry_after="30")
    dispatcher = lab.dispatcher(config(make, SONNET), by_model(make, opus=long, sonnet=short))
    failure = (await refused(lab, dispatcher)).failure
    assert failure.message.splitlines() == [
        f"no account can serve {OPUS} now:",
        "- anthropic key 1: cooling: it is rate limited; back in 10 min",
        f"no account can serve {SONNET} now:",
        "- anthropic key 1: cooling: it is rate limited; back in 30 s",
    ]
    assert failure.retry_after_seconds == 30.0


async def test_a_model_that_nobody_offers_may_have_a_chain(lab: Any, make: Any) -> None:
    settings = config(make, claude_api_key=make.keys("k1", models=(ModelAlias(name=SONNET),)))
    dispatcher = lab.dispatcher(
        Config(claude_api_key=settings.claude_api_key, routing=Routing(fallbacks={"my-model": (SONNET,)})),
        by_model(make),
    )
    headers, answer = await told(lab, dispatcher, body={**BODY, "model": "my-model"})
    assert (headers["x-proxy-fallback"], answer["model"]) == (SONNET, "my-model")
    assert (await refused(lab, dispatcher, body={**BODY, "model": "other"})).failure.status == 404


async def test_how_much_to_think_goes_along(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make, SONNET), by_model(make, opus=make.whole(LIMITED, 429, retry_after="20")))
    await told(lab, dispatcher, body={**BODY, "model": f"{OPUS}(high)"})
    opus, sonnet = (msgspec.json.decode(call.body) for call in lab.upstream.calls)
    assert (opus["output_config"], sonnet["output_config"]) == ({"effort": "high"}, {"effort": "high"})
    assert sonnet["model"] == SONNET


async def test_a_stream_goes_on_before_its_first_content_only(lab: Any, make: Any) -> None:
    def sse(event: dict[str, Any]) -> bytes:
        return b"event: " + event["type"].encode() + b"\ndata: " + msgspec.json.encode(event) + b"\n\n"

    start = sse({"type": "message_start", "message": {**ANSWER, "content": [], "stop_reason": None}})
    block = sse({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    delta = sse({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}})
    error = sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    end = sse({"type": "content_block_stop", "index": 0})
    end += sse({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}})
    end += sse({"type": "message_stop"})
    for first, count in ((make.stream(start, error), 2), (make.stream(start, block, delta, error), 1)):
        dispatcher = lab.dispatcher(
            config(make, SONNET), by_model(make, opus=first, sonnet=make.stream(start, block, delta, end))
        )
        outcome = await dispatcher.open(lab.inquiry("anthropic", BODY, is_stream=True))
        body = await lab.read(outcome)
        assert (b"message_stop" in body) is (count == 2)
        assert (b"event: error" in body) is (count == 1)
        assert len(lab.upstream.calls) == count
        lab.time.now += 60


# Previews


def spent(make: Any) -> Any:
    return make.Answer(429, [msgspec.json.encode(LIMITED)], {"content-type": "application/json", **FULL})


def preview_config(make: Any, *, is_on: bool) -> Config:
    names = (OPUS, f"{OPUS}-preview-03-2026", f"{OPUS}-preview-11-2026", "claude-opus-5x-preview")
    return Config(
        claude_api_key=make.keys("k1", models=tuple(ModelAlias(name=name) for name in names)),
        quota_exceeded=QuotaExceeded(switch_preview_model=is_on),
        request_retry=0,
    )


async def test_a_preview_goes_on_where_that_is_wanted(lab: Any, make: Any) -> None:
    def answer(call: Any) -> Any:
        is_preview = "preview" in msgspec.json.decode(call.body)["model"]
        return make.whole(ANSWER) if is_preview else make.whole(
            {"error": {"type": "x", "message": "m", "details": [{"quotaId": "RequestsPerDayPerModel"}]}}, 429
        )  # fmt: skip

    dispatcher = lab.dispatcher(preview_config(make, is_on=True), answer)
    headers, _ = await told(lab, dispatcher)
    assert headers["x-proxy-fallback"] == headers["x-proxy-model"] == f"{OPUS}-preview-11-2026"
    assert (await told(lab, dispatcher))[0]["x-proxy-fallback"] == f"{OPUS}-preview-11-2026"
    assert len(lab.upstream.calls) == 3
    dispatcher = lab.dispatcher(preview_config(make, is_on=False), answer)
    assert (await refused(lab, dispatcher)).failure.status == 429


async def test_a_burst_is_no_reason_for_a_preview(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(
        preview_config(make, is_on=True), lambda _call: make.whole(LIMITED, 429, retry_after="5")
    )
    await refused(lab, dispatcher)
    assert models(lab) == [OPUS]


def test_previews_are_known_by_their_name(make: Any) -> None:
    catalogue = Snapshot.of(preview_config(make, is_on=True)).catalogue
    assert previews(catalogue, OPUS) == (f"{OPUS}-preview-11-2026", f"{OPUS}-preview-03-2026")
    assert previews(catalogue, "gpt-5.5") == ()


# switch-project


@pytest.mark.parametrize(("is_on", "calls"), [(True, 2), (False, 1)])
async def test_a_spent_account_is_stood_in_for_unless_it_must_not(lab: Any, make: Any, is_on: bool, calls: int) -> None:
    settings = Config(claude_api_key=make.keys("k1", "k2"), quota_exceeded=QuotaExceeded(switch_project=is_on))
    answers = iter([spent(make), make.whole(ANSWER)])
    dispatcher = lab.dispatcher(settings, lambda _call: next(answers))
    if is_on:
        await told(lab, dispatcher)
    else:
        failure = (await refused(lab, dispatcher)).failure
        assert (failure.status, failure.kind, failure.code) == (429, "quota", "accounts_exhausted")
        assert failure.message.splitlines() == [
            "Quota exceeded, and quota-exceeded.switch-project lets no other account serve this request:",
            "- anthropic key 1: the 5-hour window is exhausted; back in 44 min",
        ]
    assert len(lab.upstream.calls) == calls


async def test_a_burst_is_stood_in_for_anyway(lab: Any, make: Any) -> None:
    settings = Config(claude_api_key=make.keys("k1", "k2"), quota_exceeded=QuotaExceeded(switch_project=False))
    answers = iter([make.whole(LIMITED, 429, retry_after="5"), make.whole(ANSWER)])
    dispatcher = lab.dispatcher(settings, lambda _call: next(answers))
    await told(lab, dispatcher)
    assert len(lab.upstream.calls) == 2
