from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.config.schema import Config
from proxy.errors import Broken

MODEL = "gpt-5.5"
LONG_NAME = "a" * 200
BODIES: dict[str, dict[str, Any]] = {
    "anthropic": {"model": MODEL, "max_tokens": 99, "messages": [{"role": "user", "content": "x"}]},
    "openai_chat": {"model": MODEL, "messages": [{"role": "user", "content": "x"}]},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "x"}]}]},
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": MODEL, "status": "completed",
    "output": [{
        "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
    }],
    "usage": {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 2,
              "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 5},
}  # fmt: skip


def sse(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode({"type": kind, **fields}) + b"\n\n"


MESSAGE = RESPONSE["output"][0]
STREAM = (
    sse("response.created", sequence_number=0, response={**RESPONSE, "status": "in_progress", "output": []}),
    sse("response.output_item.added", sequence_number=1, output_index=0, item={**MESSAGE, "content": []}),
    sse("response.content_part.added", sequence_number=2, item_id="msg_1", output_index=0, content_index=0,
        part={"type": "output_text", "text": "", "annotations": []}),
    sse("response.output_text.delta", sequence_number=3, item_id="msg_1", output_index=0, content_index=0, delta="Hi"),
    sse("response.output_text.done", sequence_number=4, item_id="msg_1", output_index=0, content_index=0, text="Hi"),
    sse("response.content_part.done", sequence_number=5, item_id="msg_1", output_index=0, content_index=0,
        part=MESSAGE["content"][0]),
    sse("response.output_item.done", sequence_number=6, output_index=0, item=MESSAGE),
    sse("response.completed", sequence_number=7, response=RESPONSE),
)  # fmt: skip


def config(make: Any) -> Config:
    return Config(codex_api_key=make.keys("k"))


@pytest.mark.parametrize("wire", BODIES)
async def test_whole(lab: Any, make: Any, wire: str) -> None:
    dispatcher = lab.dispatcher(config(make), [make.whole(RESPONSE)])
    outcome = await dispatcher.open(lab.inquiry(wire, BODIES[wire], model=MODEL))
    told = await lab.read(outcome)
    assert b'"Hi"' in told
    assert lab.upstream.body().get("stream") in {None, False}
    assert lab.upstream.header("accept") == "application/json"
    assert (outcome.report.usage.input_uncached, outcome.report.usage.output) == (3, 2)


@pytest.mark.parametrize("wire", BODIES)
async def test_streamed(lab: Any, make: Any, wire: str) -> None:
    dispatcher = lab.dispatcher(config(make), [make.stream(*STREAM)])
    outcome = await dispatcher.open(lab.inquiry(wire, {**BODIES[wire], "stream": True}, model=MODEL, is_stream=True))
    chunks = [chunk async for chunk in outcome.body]
    assert b"Hi" in chunks[0], "the first token is not held back"
    assert all(chunk.endswith((b"\n\n", b"\r\n\r\n")) for chunk in chunks)
    assert lab.upstream.body()["stream"] is True
    assert (outcome.report.usage.output, outcome.report.finish) == (2, "stop")


@pytest.mark.parametrize("wire", BODIES)
async def test_an_upstream_that_answers_a_wish_for_a_stream_with_json(lab: Any, make: Any, wire: str) -> None:
    dispatcher = lab.dispatcher(config(make), [make.whole(RESPONSE)])
    outcome = await dispatcher.open(lab.inquiry(wire, BODIES[wire], model=MODEL, is_stream=True))
    told = await lab.read(outcome)
    assert b"data: " in told
    assert b"Hi" in told


@pytest.mark.parametrize("wire", BODIES)
async def test_a_cut_after_content_is_told_in_the_clients_dialect(lab: Any, make: Any, wire: str) -> None:
    dispatcher = lab.dispatcher(config(make), [make.stream(*STREAM[:4], Broken("the line went dead"))])
    outcome = await dispatcher.open(lab.inquiry(wire, BODIES[wire], model=MODEL, is_stream=True))
    told = await lab.read(outcome)
    last = [frame for frame in told.replace(b"\r\n", b"\n").split(b"\n\n") if frame][-1]
    assert b"error" in last
    assert b"the line went dead" in last
    assert b"[DONE]" not in told
    assert b"message_stop" not in told


async def test_an_error_of_the_upstream_keeps_its_words(lab: Any, make: Any) -> None:
    error = {"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}}
    dispatcher = lab.dispatcher(config(make), [make.whole(error, 400)])
    with pytest.raises(Exception, match="too long") as caught:
        await dispatcher.open(lab.inquiry("anthropic", BODIES["anthropic"]))
    assert caught.value.failure.kind == "context_length"  # type: ignore[attr-defined]


async def test_names_that_had_to_change_are_restored(lab: Any, make: Any) -> None:
    body = BODIES["anthropic"] | {"tools": [{"name": LONG_NAME, "input_schema": {"type": "object", "properties": {}}}]}

    def answer(call: Any) -> Any:
        name = msgspec.json.decode(call.body)["tools"][0]["name"]
        item = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": name, "arguments": "{}",
                "status": "completed"}  # fmt: skip
        return make.whole({**RESPONSE, "output": [item]})

    dispatcher = lab.dispatcher(config(make), answer)
    told = msgspec.json.decode(await lab.read(await dispatcher.open(lab.inquiry("anthropic", body))))
    assert len(lab.upstream.body()["tools"][0]["name"]) <= 128
    assert told["content"][0]["name"] == LONG_NAME


async def test_usage_in_a_chat_stream_is_for_those_who_ask(lab: Any, make: Any) -> None:
    for asked in (False, True):
        dispatcher = lab.dispatcher(config(make), [make.stream(*STREAM)])
        body = {**BODIES["openai_chat"], "stream": True, "stream_options": {"include_usage": asked}}
        told = await lab.read(await dispatcher.open(lab.inquiry("openai_chat", body, is_stream=True)))
        assert (b'"prompt_tokens":3' in told) is asked


async def test_a_json_array_for_gemini_clients(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make), [make.stream(*STREAM)])
    inquiry = lab.inquiry("gemini", BODIES["gemini"], model=MODEL, is_stream=True, framing="json-array")
    outcome = await dispatcher.open(inquiry)
    assert dict(outcome.headers)["content-type"] == "application/json"
    values = msgspec.json.decode(await lab.read(outcome))
    assert values[0]["candidates"][0]["content"]["parts"][0]["text"] == "Hi"
