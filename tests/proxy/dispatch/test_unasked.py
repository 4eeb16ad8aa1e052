from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from proxy.config.payload import Payload, PayloadFilter
from proxy.config.schema import Config
from proxy.dispatch.unasked import with_usage, without_usage

SHELL = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":['
START = SHELL + b'{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}\n\n'
DELTA = SHELL + b'{"index":0,"delta":{"content":"Hi \\"usage\\":{"},"finish_reason":null}],"usage":null}\n\n'
FINISH = SHELL + b'{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
USAGE = SHELL + b'],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'
DONE = b"data: [DONE]\n\n"
WHOLE = (START, DELTA, FINISH, USAGE, DONE)
BODY = b'{ "model": "m", "stream":true, "temperature": 1.0, "messages":[{"role":"user","content":"x"}] }'


def config(make: Any, **settings: Any) -> Config:
    return Config(openai_compatibility=(make.compatible("local", "m"),), **settings)


async def ask(lab: Any, make: Any, body: bytes, *pieces: bytes, **settings: Any) -> tuple[bytes, Any]:
    dispatcher = lab.dispatcher(config(make, **settings), [make.stream(*pieces)])
    outcome = await dispatcher.open(lab.inquiry("openai_chat", body, is_stream=True))
    assert outcome.report.is_relay
    return await lab.read(outcome), outcome.report.usage


async def test_it_is_asked_for_in_the_clients_place_and_kept_from_the_client(lab: Any, make: Any) -> None:
    told, usage = await ask(lab, make, BODY, *WHOLE)
    assert told == START + DELTA + FINISH + DONE
    assert (usage.input_uncached, usage.output) == (3, 2)
    sent = lab.upstream.calls[0].body
    assert sent == b'{"stream_options":{"include_usage":true},' + BODY[1:], "every byte of the client's stays"


async def test_whoever_asks_gets_it_and_is_forwarded_as_he_came(lab: Any, make: Any) -> None:
    body = BODY.replace(b"{ ", b'{ "stream_options" : {"include_usage" : true},', 1)
    told, usage = await ask(lab, make, body, *WHOLE)
    assert told == b"".join(WHOLE)
    assert usage.output == 2
    assert lab.upstream.calls[0].body == body


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ('{"include_usage":false}', {"include_usage": True}),
        ('{"include_obfuscation":false}', {"include_obfuscation": False, "include_usage": True}),
        ("null", {"include_usage": True}),
    ],
)
async def test_other_options_stay(lab: Any, make: Any, options: str, sent: object) -> None:
    body = BODY.replace(b"{ ", b'{ "stream_options" : %b,' % options.encode(), 1)
    told, _ = await ask(lab, make, body, *WHOLE)
    assert told == START + DELTA + FINISH + DONE
    value = msgspec.json.decode(lab.upstream.calls[0].body)
    assert list(value) == ["stream_options", "model", "stream", "temperature", "messages"]
    assert value["stream_options"] == sent


async def test_options_that_are_none_are_the_providers_to_judge(lab: Any, make: Any) -> None:
    body = BODY.replace(b"{ ", b'{ "stream_options" : "yes",', 1)
    told, _ = await ask(lab, make, body, *WHOLE)
    assert lab.upstream.calls[0].body == body
    assert told == b"".join(WHOLE)


async def test_a_prompt_that_speaks_of_the_options_has_none(lab: Any, make: Any) -> None:
    body = BODY.replace(b'"x"', b'"what is \\"stream_options\\"?"')
    await ask(lab, make, body, *WHOLE)
    assert msgspec.json.decode(lab.upstream.calls[0].body) == {
        **msgspec.json.decode(body), "stream_options": {"include_usage": True},
    }  # fmt: skip


async def test_an_operator_may_take_it_out_for_a_provider_that_refuses_it(lab: Any, make: Any) -> None:
    filtering = Payload(filter=(PayloadFilter(params=("stream_options",)),))
    told, usage = await ask(lab, make, BODY, START, DELTA, FINISH, DONE, payload=filtering)
    assert "stream_options" not in msgspec.json.decode(lab.upstream.calls[0].body)
    assert told == START + DELTA + FINISH + DONE
    assert usage is None


async def test_a_whole_answer_always_tells_it(lab: Any, make: Any) -> None:
    body = BODY.replace(b'"stream":true, ', b"")
    answer = {
        "id": "c", "object": "chat.completion", "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }  # fmt: skip
    dispatcher = lab.dispatcher(config(make), [make.whole(answer)])
    outcome = await dispatcher.open(lab.inquiry("openai_chat", body))
    assert msgspec.json.decode(await lab.read(outcome)) == answer
    assert lab.upstream.calls[0].body == body


async def test_one_that_is_left_before_its_usage_has_none(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make), [make.stream(START, DELTA, asyncio.Event())])
    outcome = await dispatcher.open(lab.inquiry("openai_chat", BODY, is_stream=True))
    await anext(aiter(outcome.body))
    await outcome.body.aclose()
    assert outcome.report.usage is None


async def test_one_that_is_left_has_what_its_provider_counted_along(lab: Any, make: Any) -> None:
    counting = DELTA.replace(b'"usage":null}', b'"usage":{"prompt_tokens":3,"completion_tokens":1}}')
    dispatcher = lab.dispatcher(config(make), [make.stream(START, counting, asyncio.Event())])
    outcome = await dispatcher.open(lab.inquiry("openai_chat", BODY, is_stream=True))
    assert await anext(aiter(outcome.body)) == START + counting, "it tells more than usage"
    await outcome.body.aclose()
    assert (outcome.report.usage.input_uncached, outcome.report.usage.output) == (3, 1)


def test_only_frames_of_usage_alone_are_kept_back() -> None:
    together = USAGE.replace(b'"choices":[]', b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]')
    filtered = SHELL + b'],"prompt_filter_results":[],"usage":null}\n\n'
    broken = b'data: {"choices":[],"usage":{\n\n'
    for frame in (START, DELTA, FINISH, DONE, together, filtered, broken, b": ping\n\n"):
        assert without_usage(frame) == frame
        assert without_usage(frame + USAGE + frame) == frame * 2
    assert without_usage(USAGE) == b""
    assert without_usage(USAGE.replace(b"\n\n", b"\r\n\r\n")) == b""


def test_the_smallest_body() -> None:
    assert msgspec.json.decode(with_usage(b' {"model":"m"}')) == {
        "model": "m", "stream_options": {"include_usage": True},
    }  # fmt: skip
