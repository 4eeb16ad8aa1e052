"""Each client's format in front of each upstream's: what was asked arrives, what was said comes back.

The official SDKs are the judges: each asks in its own words, reads the answer as its users do, and its published types
judge the request that reached an upstream of its format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import anthropic
import openai
import pytest
from google.genai import errors as genai_errors

from proxy.hub.residue import JsonObject
from proxy.observe.recording import Recording
from tests.contract.carried import CARRIED, Carried, outline
from tests.contract.clients import CONTRACT, Clients
from tests.contract.house import Lane
from tests.contract.judge import Judge
from tests.contract.judges import JUDGES
from tests.contract.scenarios import BROKEN, OBAN, OUTPUT_TOKENS_MAX, REFUSED, SCENARIOS, SYSTEM, Ask, Harbour
from tests.contract.stage import FORMATS, VENDORS, Stage, answer

pytestmark = CONTRACT

THINKING: dict[str, JsonObject] = {
    "openai_chat": {"reasoning_effort": "high"},
    "openai_responses": {"reasoning": {"effort": "high", "summary": "auto"}},
    "anthropic": {"thinking": {"type": "adaptive", "display": "summarized"}, "effort": "high"},
    "gemini": {"thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True}},
}
"""How each upstream is told to think much and to show it."""
SHOWN_UNASKED: dict[str, JsonObject] = {
    "openai_responses": {"reasoning": {"effort": "high"}},
    "anthropic": {"thinking": {"type": "adaptive"}, "effort": "high"},
    "gemini": {"thinkingConfig": {"thinkingLevel": "HIGH"}},
}
"""For clients of Chat Completions, who cannot say whether thoughts are to be shown."""

ALWAYS: dict[str, JsonObject] = {
    "openai_responses": {"store": False, "include": ["reasoning.encrypted_content"]},
}
"""Nothing is left with the provider, so its thoughts must come along."""
IN_STREAMS: dict[str, JsonObject] = {"openai_chat": {"stream_options": {"include_usage": True}}}
"""Unasked, such a stream tells no usage."""


def cases() -> Iterator[Any]:
    for client, upstream, scenario, is_stream in product(FORMATS, FORMATS, SCENARIOS, (False, True)):
        if client != upstream:
            name = f"{client}-to-{upstream}-{scenario}-{'stream' if is_stream else 'whole'}"
            yield pytest.param(client, upstream, scenario, is_stream, id=name)


@pytest.mark.parametrize(("client", "upstream", "name", "is_stream"), [*cases()])
async def test_an_exchange(
    stage: Stage, clients: Clients, client: str, upstream: str, name: str, is_stream: bool
) -> None:
    scenario = SCENARIOS[name]
    stage.plays(answer(upstream, name, is_stream=is_stream))
    judge = JUDGES[client](clients)
    said = await judge.ask(judge.words(scenario.ask, f"{upstream}-home"), is_stream=is_stream)

    carried = CARRIED[upstream](stage.request)
    assert carried.complaints() == []
    assert carried.is_stream is is_stream
    check_request(carried, scenario.ask, judge)
    always = {**ALWAYS.get(upstream, {}), **(IN_STREAMS.get(upstream, {}) if is_stream else {})}
    assert {name: carried.body.get(name) for name in always} == always

    assert said.model == f"{upstream}-home"
    assert said.text == scenario.text
    assert said.thinking == scenario.thinking
    assert said.calls == list(scenario.calls)
    assert len(set(said.ids)) == len(scenario.calls)
    assert all(said.ids)
    assert said.finish == judge.finish(has_calls=bool(scenario.calls))
    assert said.usage == judge.usage(scenario.usage(upstream))
    assert said.parsed == (OBAN if scenario.ask.output else None)
    assert "x-proxy-losses" not in clients.headers


PAIRS = [pytest.param(client, upstream, id=f"{client}-to-{upstream}") for client, upstream in product(FORMATS, FORMATS)]
ERRORS = {
    "openai_chat": openai.BadRequestError,
    "openai_responses": openai.BadRequestError,
    "anthropic": anthropic.BadRequestError,
    "gemini": genai_errors.ClientError,
}


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_a_refusal_is_the_sdks_own_error(
    stage: Stage, clients: Clients, client: str, upstream: str, is_stream: bool
) -> None:
    refusal = answer(upstream, "error", is_stream=False, status=400)
    stage.plays(refusal, *_of_streams(refusal, upstream))
    judge = JUDGES[client](clients)
    with pytest.raises(ERRORS[client], match="not on any chart") as caught:
        await judge.ask(judge.words(SCENARIOS["text"].ask, f"{upstream}-home"), is_stream=is_stream)
    assert REFUSED in str(caught.value)
    assert len(stage.heard) == 1, "a request at fault is not repeated"


def _of_streams(refusal: Recording, upstream: str) -> list[Recording]:
    """Gemini has a path of its own for streams."""
    path = VENDORS[upstream].stream_path
    return [replace(refusal, request=replace(refusal.request, path=f"*{path}"))] if path else []


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_a_stream_that_breaks_says_so(
    stage: Stage, clients: Clients, lane: Lane, client: str, upstream: str
) -> None:
    stage.plays(answer(upstream, "error", is_stream=True))
    judge = JUDGES[client](clients)
    text, message = await judge.break_off(judge.words(SCENARIOS["text"].ask, lane(upstream).alias))
    assert text == "The ferry to"
    assert BROKEN in message
    assert len(stage.heard) == 1, "what was said cannot be taken back"


def check_request(carried: Carried, ask: Ask, judge: Judge) -> None:
    assert carried.model == VENDORS[carried.wire].model
    assert carried.system == SYSTEM
    assert carried.user == ask.text
    assert carried.output_tokens_max == OUTPUT_TOKENS_MAX
    assert carried.images == ([("image/png", ask.image)] if ask.image else [])
    assert carried.tools == list(ask.tools)
    assert [call for _, call in carried.calls] == list(ask.calls)
    assert len({call_id for call_id, _ in carried.calls}) == len(ask.calls)
    results = zip((call_id for call_id, _ in carried.calls), ask.results, strict=True)
    assert carried.results == list(results)
    is_silent = judge.wire == "openai_chat" and ask.effort is not None
    assert carried.thinking == ({} if ask.effort is None else (SHOWN_UNASKED if is_silent else THINKING)[carried.wire])
    if ask.output:
        assert outline(carried.schema) == outline(Harbour.model_json_schema())
