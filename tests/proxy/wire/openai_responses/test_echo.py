from __future__ import annotations

from dataclasses import replace

from proxy.hub.request import Request
from proxy.hub.residue import JsonObject
from proxy.wire.openai_responses import WIRE
from proxy.wire.openai_responses.echo import echo, made_id
from tests.proxy.wire.openai_responses.told import REPLY


def test_the_request_is_repeated() -> None:
    asked: JsonObject = {
        "instructions": "be short",
        "temperature": 0.5,
        "top_logprobs": 2,
        "tools": [
            {"type": "web_search"},
            {"type": "namespace", "name": "n", "description": "N.", "tools": [{"type": "custom", "name": "c"}]},
        ],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "high", "summary": "auto"},
        "text": {"verbosity": "low"},
        "metadata": {"a": "b"},
        "previous_response_id": "resp_0",
        "store": True,
        "truncation": "auto",
    }
    request = WIRE.parse_request({"model": "m", "input": "x", **asked})
    told = echo(replace(REPLY, request=request))
    assert {key: told[key] for key in asked} == asked
    assert (told["top_p"], told["max_output_tokens"]) == (None, None)


def test_what_nobody_said_has_its_default() -> None:
    assert echo(REPLY) == echo(replace(REPLY, request=WIRE.parse_request({"model": "m", "input": "x"})))
    assert echo(replace(REPLY, request=Request(model="m")))["tools"] == []


def test_ids_are_legal_everywhere_and_always_the_same() -> None:
    reply = replace(REPLY, request_id="x" * 200 + "\n{}")
    first = made_id("msg", reply, "0")
    assert first == made_id("msg", reply, "0") != made_id("msg", reply, "1")
    assert len(first) <= 64
    assert first.replace("_", "").isalnum()
