"""Each SDK for Node.js before each provider: what was asked arrives, what was said comes back."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import msgspec
import pytest

from tests.contract.carried import CARRIED, Carried, outline
from tests.contract.clients import CONTRACT
from tests.contract.house import CLIENT_KEY, House, Lane
from tests.contract.refusals import refusal
from tests.contract.scenarios import OBAN, OUTPUT_TOKENS_MAX, SCENARIOS, SYSTEM, Ask, Call, Harbour, Scenario
from tests.contract.stage import FORMATS, VENDORS, Stage, answer, capture, whole
from tests.sdks.node import At, Node, Refused

pytestmark = CONTRACT


@dataclass(frozen=True, slots=True)
class Sdk:
    """`wire`: the format it speaks. `stop`, `calls`: how it says that a turn is over, and that it wants a tool."""

    wire: str
    stop: str
    calls: str


def vercel(wire: str) -> Sdk:
    return Sdk(wire, "stop", "tool-calls")


CHAT = Sdk("openai_chat", "stop", "tool_calls")
RESPONSES = Sdk("openai_responses", "completed", "completed")
MESSAGES = Sdk("anthropic", "end_turn", "tool_use")
GEMINI = Sdk("gemini", "STOP", "STOP")
SDKS = {
    "openai-chat": CHAT,
    "openai-responses": RESPONSES,
    "anthropic": MESSAGES,
    "google": GEMINI,
    "vercel-openai": vercel("openai_responses"),
    "vercel-openai-chat": vercel("openai_chat"),
    "vercel-openai-compatible": vercel("openai_chat"),
    "vercel-anthropic": vercel("anthropic"),
    "vercel-google": vercel("gemini"),
    "langchain-openai": CHAT,
    "langchain-openai-responses": RESPONSES,
    "langchain-anthropic": MESSAGES,
    "langchain-google": GEMINI,
}
OF = {"text": "text", "image": "image", "structured": "structured", "tools": "results"}
"""What is asked, and where its last answer stands in `SCENARIOS`."""

TEXT = SCENARIOS["text"].ask
by_way = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])


def cases() -> Iterator[Any]:
    for sdk, upstream, name, is_stream in product(SDKS, FORMATS, OF, (False, True)):
        if name == "structured" and is_stream and sdk.startswith("langchain"):
            continue  # whole objects only
        if name == "image" and sdk == "langchain-google" and upstream != "gemini":
            continue  # it sends images to models that are named like Google's only
        way = "stream" if is_stream else "whole"
        yield pytest.param(sdk, upstream, name, is_stream, id=f"{sdk}-to-{upstream}-{name}-{way}")


def words(ask: Ask) -> dict[str, object]:
    """For play.mjs. The calls are made by the model, so only their results are told."""
    told: dict[str, object] = {"system": SYSTEM, "text": ask.text, "tokens": OUTPUT_TOKENS_MAX}
    if ask.image:
        told["image"] = base64.b64encode(ask.image).decode()
    if ask.tools:
        told["tools"] = [{"name": t.name, "description": t.description, "schema": t.schema} for t in ask.tools]
        told["results"] = {call.name: result for call, result in zip(ask.calls, ask.results, strict=True)}
    if ask.output:
        told["schema"] = ask.output.model_json_schema()
    return told


@pytest.mark.parametrize(("sdk", "upstream", "name", "is_stream"), [*cases()])
async def test_an_exchange(
    stage: Stage, house: House, node: Node, sdk: str, upstream: str, name: str, is_stream: bool
) -> None:
    scenario = SCENARIOS[OF[name]]
    played = ["tools", "results"] if name == "tools" else [name]
    stage.plays(*(answer(upstream, each, is_stream=is_stream) for each in played))
    model = VENDORS[upstream].model if (sdk, name) == ("langchain-google", "image") else f"{upstream}-home"
    turns = await node.ask(sdk, "ask", At(house.url, CLIENT_KEY, model, is_stream), words(scenario.ask))
    assert len(turns) == len(stage.heard) == len(played)
    for received in stage.heard:
        carried = CARRIED[upstream](received.request)
        assert carried.is_stream is is_stream
        check_request(carried, scenario.ask)
        if upstream != SDKS[sdk].wire:  # else it is as the SDK wrote it
            check_translation(carried, scenario.ask)
    if name == "tools":
        check_calls(turns[0], SDKS[sdk])
        if (sdk, upstream) != ("langchain-google", "gemini"):  # which gives calls no ids
            check_results(CARRIED[upstream](stage.heard[1].request), scenario.ask)
    check_last(turns[-1], scenario, SDKS[sdk])
    assert turns[-1]["model"] in (model, None), "LangChain does not tell Google's"
    if sdk != "langchain-anthropic" or not is_stream:  # which adds the counts of a stream's start and end
        usage = scenario.usage(upstream)
        assert turns[-1]["tokens"] == [usage.prompt, usage.answer]


def check_request(carried: Carried, ask: Ask) -> None:
    assert carried.model == VENDORS[carried.wire].model
    assert carried.system == SYSTEM
    assert carried.user == ask.text
    assert carried.output_tokens_max == OUTPUT_TOKENS_MAX
    assert carried.images == ([("image/png", ask.image)] if ask.image else [])


def check_translation(carried: Carried, ask: Ask) -> None:
    assert carried.complaints() == []
    assert [(tool.name, tool.description) for tool in carried.tools] == [(t.name, t.description) for t in ask.tools]
    assert [outline(tool.schema) for tool in carried.tools] == [outline(tool.schema) for tool in ask.tools]
    if ask.output:
        assert outline(carried.schema) == outline(Harbour.model_json_schema())


def check_calls(turn: Any, sdk: Sdk) -> None:
    scenario = SCENARIOS["tools"]
    assert turn["text"] == scenario.text
    assert [Call(each["name"], each["arguments"]) for each in turn["calls"]] == list(scenario.calls)
    assert turn["finish"] == sdk.calls


def check_last(turn: Any, scenario: Scenario, sdk: Sdk) -> None:
    assert turn["calls"] == []
    assert turn["finish"] == sdk.stop
    if scenario.ask.output:
        assert Harbour.model_validate_json(turn["text"]) == OBAN
    else:
        assert turn["text"] == scenario.text


def check_results(carried: Carried, ask: Ask) -> None:
    """Each result stands beside the call that it is of."""
    assert [call for _, call in carried.calls] == list(ask.calls)
    ids = [call_id for call_id, _ in carried.calls]
    assert len({*ids}) == len(ids)
    assert [call_id for call_id, _ in carried.results] == ids
    for (_, told), wanted in zip(carried.results, ask.results, strict=True):
        assert wanted in (told, *_strings(msgspec.json.decode(told) if told.startswith("{") else told))


def _strings(value: object) -> list[str]:
    """Google's clients wrap a text in objects of their own."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in _strings(each)]
    return [value] if isinstance(value, str) else []


@by_way
@pytest.mark.parametrize("sdk", SDKS)
class TestRefusals:
    async def test_a_model_that_nobody_has(self, house: House, node: Node, sdk: str, is_stream: bool) -> None:
        with pytest.raises(Refused, match="atlantis") as caught:
            await node.ask(sdk, "ask", At(house.url, CLIENT_KEY, "atlantis", is_stream), words(TEXT))
        assert caught.value.status == 404

    async def test_a_wrong_key(self, house: House, node: Node, sdk: str, is_stream: bool) -> None:
        at = At(house.url, "not-a-key-of-this-harbour", "openai_chat-home", is_stream)
        with pytest.raises(Refused, match="key") as caught:
            await node.ask(sdk, "ask", at, words(TEXT))
        assert caught.value.status == 401
        assert "not-a-key-of-this-harbour" not in str(caught.value)

    async def test_nobody_is_left(
        self, stage: Stage, house: House, lane: Lane, node: Node, sdk: str, is_stream: bool
    ) -> None:
        account = lane("anthropic")
        stage.plays(refusal("anthropic", 429, is_stream=False, retry_after=7200))
        with pytest.raises(Refused, match="back in 2 h") as caught:
            await node.ask(sdk, "ask", At(house.url, CLIENT_KEY, account.alias, is_stream), words(TEXT))
        assert caught.value.status == 429
        assert len(stage.heard) == 2


@pytest.mark.parametrize(
    ("sdk", "upstream"),
    [
        pytest.param(sdk, upstream, id=f"{sdk}-to-{upstream}")
        for sdk, upstream in product(SDKS, FORMATS)
        if (sdk, upstream) != ("langchain-google", "gemini")  # reads over an error in a stream of Gemini's own
    ],
)
async def test_a_stream_that_breaks_is_no_answer(
    stage: Stage, house: House, lane: Lane, node: Node, sdk: str, upstream: str
) -> None:
    stage.plays(answer(upstream, "error", is_stream=True))
    with pytest.raises(Refused):
        await node.ask(sdk, "ask", At(house.url, CLIENT_KEY, lane(upstream).alias, is_stream=True), words(TEXT))
    assert len(stage.heard) == 1


@pytest.mark.parametrize("sdk", ["openai-chat", "anthropic", "google"])
async def test_the_list_of_models(house: House, node: Node, sdk: str) -> None:
    listed = await node.ask(sdk, "models", At(house.url, CLIENT_KEY, ""))
    assert {f"{wire}-home" for wire in FORMATS} <= {*listed}
    assert len({*listed}) == len(listed)


@pytest.mark.parametrize("sdk", ["anthropic", "google"])
@pytest.mark.parametrize(("upstream", "path"), [("anthropic", "/count_tokens"), ("gemini", ":countTokens")])
async def test_tokens_are_counted(stage: Stage, house: House, node: Node, sdk: str, upstream: str, path: str) -> None:
    stage.plays(whole(path, capture(upstream, "count_tokens.json")))
    assert await node.ask(sdk, "count", At(house.url, CLIENT_KEY, f"{upstream}-home"), "Tide?") == 789


EMBEDDERS = {
    "openai-chat": "openai_responses",
    "google": "gemini",
    "vercel-openai": "openai_responses",
    "vercel-openai-compatible": "openai_responses",
    "vercel-google": "gemini",
    "langchain-openai": "openai_responses",
    "langchain-google": "gemini",
}
"""And whose models they are given: numbers of one model are of no use with another's, so nothing is translated."""


@pytest.mark.parametrize("sdk", EMBEDDERS)
async def test_embeddings(stage: Stage, house: House, node: Node, sdk: str) -> None:
    both = whole(":batchEmbedContents", capture("gemini", "batch_embed.json"))
    stage.plays(both, whole("/embeddings", capture("openai_chat", "embeddings.json")))
    at = At(house.url, CLIENT_KEY, f"{EMBEDDERS[sdk]}-soundings")
    assert await node.ask(sdk, "embed", at, ["one", "two"]) == [[0.25, -0.5, 0.125], [-0.0625, 0.75, 1.0]]


@pytest.mark.parametrize("sdk", [sdk for sdk in EMBEDDERS if sdk != "langchain-google"])
async def test_a_model_that_embeds_nothing(house: House, node: Node, sdk: str) -> None:
    """LangChain's for Google takes a refusal for empty vectors."""
    with pytest.raises(Refused, match="embed") as caught:
        await node.ask(sdk, "embed", At(house.url, CLIENT_KEY, "anthropic-home"), ["one", "two"])
    assert caught.value.status == 404
