"""Every SDK in front of an account whose CLI asks: what is alike whichever CLI it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.backends.backend import Request
from tests.backends.stage import SECONDS_MAX, Stage

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

WORDS = "Ahoy from the quay."
SYSTEM = {"role": "system", "content": "You are the harbour master."}


def said_to(turn: Request) -> list[tuple[str, str]]:
    """By the user and the model, without instructions and thoughts."""
    ours = {"user": "user", "assistant": "model", "model": "model"}
    return [(ours[role], text) for role, text in turn.told if role in ours]


async def test_what_is_said_comes_as_it_is_said(stage: Stage) -> None:
    """The rest of the answer waits until the first words have arrived, in each dialect."""
    held = asyncio.Event()
    model = stage.says.MODEL

    def slowly(_turn: Request) -> list[object]:
        held.clear()
        *words, end = stage.says.pieces(WORDS)
        return [*words, held, end]

    stage.backend.plays = slowly
    told = []

    def hear(words: str | None) -> None:
        if words:
            told.append(words)
            held.set()

    async with stage.clients() as clients, asyncio.timeout(SECONDS_MAX):
        messages: Any = [{"role": "user", "content": "Who is there?"}]
        async for chunk in await clients.openai.chat.completions.create(model=model, messages=messages, stream=True):
            hear(chunk.choices[0].delta.content if chunk.choices else None)
        async for event in await clients.openai.responses.create(model=model, input="Who is there?", stream=True):
            hear(event.delta if event.type == "response.output_text.delta" else None)
        async with clients.anthropic.messages.stream(model=model, max_tokens=99, messages=messages) as stream:
            async for text in stream.text_stream:
                hear(text)
        async for part in await clients.gemini.models.generate_content_stream(model=model, contents="Who is there?"):
            hear(part.text)
    assert "".join(told) == WORDS * 4


async def test_usage_in_a_stream_is_told_to_whoever_asks(stage: Stage) -> None:
    """Most users of the Chat API take it for granted that each chunk has a choice."""
    messages: Any = [{"role": "user", "content": "Who is there?"}]
    model = stage.says.MODEL
    async with stage.clients() as clients:
        create = clients.openai.chat.completions.create
        bare = [chunk async for chunk in await create(model=model, messages=messages, stream=True)]
        asked: Any = {"include_usage": True}
        full = [
            chunk async for chunk in await create(model=model, messages=messages, stream=True, stream_options=asked)
        ]
    assert [chunk for chunk in bare if not chunk.choices] == []
    assert full[-1].usage is not None
    assert full[-1].usage.prompt_tokens > 0


async def test_a_conversation_goes_on_where_it_is_known(stage: Stage) -> None:
    stage.backend.in_turn(*(stage.says.said(f"Answer {number}.") for number in range(5)))
    async with stage.clients() as clients:
        messages: Any = [SYSTEM]
        for number in range(5):
            messages.append({"role": "user", "content": f"Question {number}?"})
            answer = await clients.openai.chat.completions.create(model=stage.says.MODEL, messages=messages)
            messages.append({"role": "assistant", "content": answer.choices[0].message.content})
    assert len({turn.conversation for turn in stage.backend.turns}) == 1
    assert said_to(stage.backend.turns[-1]) == [
        *(each for number in range(4) for each in (("user", f"Question {number}?"), ("model", f"Answer {number}."))),
        ("user", "Question 4?"),
    ]


async def test_an_edited_history_is_told_anew(stage: Stage) -> None:
    stage.backend.in_turn(stage.says.said("Three boats."), stage.says.said("Two boats then."))
    async with stage.clients() as clients:
        first: Any = [{"role": "user", "content": "How many boats?"}]
        await clients.openai.chat.completions.create(model=stage.says.MODEL, messages=first)
        edited: Any = [*first, {"role": "assistant", "content": "Two boats."}, {"role": "user", "content": "Sure?"}]
        await clients.openai.chat.completions.create(model=stage.says.MODEL, messages=edited)
    one, other = stage.backend.turns
    assert said_to(other) == [("user", "How many boats?"), ("model", "Two boats."), ("user", "Sure?")]
    assert one.conversation != other.conversation


async def test_a_conversation_outlives_a_restart_of_the_server(stage: Stage) -> None:
    stage.backend.in_turn(stage.says.said("Three boats."), stage.says.said("Quite sure."))
    first = await stage.asked("How many boats?")
    await stage.restart()
    messages: Any = [{"role": "user", "content": "How many boats?"}, first.choices[0].message.to_dict()]
    async with stage.clients() as clients:
        await clients.openai.chat.completions.create(
            model=stage.says.MODEL, messages=[*messages, {"role": "user", "content": "Sure?"}]
        )
    assert said_to(stage.backend.turns[-1]) == [
        ("user", "How many boats?"),
        ("model", "Three boats."),
        ("user", "Sure?"),
    ]
    assert len(stage.backend.turns) == 2, "what the model said before is not asked of it again"


async def test_a_conversation_is_resumed_by_its_name_alone_also_after_a_restart(stage: Stage) -> None:
    stage.backend.in_turn(*(stage.says.said(f"Ahoy {number}.") for number in range(4)))
    named = {"extra_headers": {"X-Claude-Session-ID": "the-boat"}}
    await stage.asked("One.", **named)
    await stage.asked("Two.", **named)
    await stage.restart()
    await stage.asked("Three.", **named)
    await stage.asked("Alone.", extra_headers={"X-Session-ID": "the-boat"})
    history = [("user", "One."), ("model", "Ahoy 0."), ("user", "Two."), ("model", "Ahoy 1."), ("user", "Three.")]
    turns = stage.backend.turns
    assert [said_to(turn) for turn in turns] == [history[:1], history[:3], history, [("user", "Alone.")]]
    assert turns[0].conversation == turns[1].conversation != turns[2].conversation


@pytest.mark.parametrize("stage", ["codex", "gemini", "qwen", "opencode"], indirect=True)
async def test_many_conversations_at_once_in_one_process_are_not_mixed(stage: Stage) -> None:
    """The backend answers nobody before all have asked."""
    everybody = asyncio.Event()
    count = 12

    def echo(turn: Request) -> list[object]:
        if len(stage.backend.turns) >= count:
            everybody.set()
        return [everybody, stage.says.said(f"You said: {turn.asked}")]

    stage.backend.plays = echo
    async with stage.clients() as clients, asyncio.timeout(SECONDS_MAX):

        async def talk(number: int) -> None:
            messages: Any = [{"role": "user", "content": f"I am {number}."}]
            for _ in range(2):
                answer = await clients.openai.chat.completions.create(model=stage.says.MODEL, messages=messages)
                said_back = answer.choices[0].message.content
                assert said_back == f"You said: {messages[-1]['content']}"
                messages += [{"role": "assistant", "content": said_back}]
                messages += [{"role": "user", "content": f"Still {number}."}]

        await asyncio.gather(*(talk(number) for number in range(count)))
        served = [*stage.servants()]
    assert {turn.account for turn in stage.backend.turns} == {"harbour"}
    assert len(served) <= 2, "the npm package's program of Codex is two processes, one of Node and one of its own"
    for turn in stage.backend.turns:
        assert len({text.strip(".").split()[-1] for role, text in said_to(turn) if role == "user"}) == 1


async def test_tokens_are_counted_without_asking_anybody(stage: Stage) -> None:
    """By estimate, and it is told so: of the CLIs none can count a request that it is not to make."""
    model = stage.says.MODEL
    async with stage.clients() as clients:
        messages: Any = [{"role": "user", "content": "Who is there, and how many boats are in the harbour?"}]
        counted = await clients.anthropic.messages.count_tokens(model=model, messages=messages)
        assert clients.headers["x-proxy-count"] == "estimate"
        assert 5 < counted.input_tokens < 50
        told = await clients.gemini.models.count_tokens(model=model, contents=messages[0]["content"])
        assert clients.headers["x-proxy-count"] == "estimate"
        assert told.total_tokens is not None
        assert 5 < told.total_tokens < 50
    assert stage.backend.turns == []
    assert [*stage.servants()] == [], "no CLI is started for it"


async def test_nothing_is_added_but_what_is_documented(stage: Stage) -> None:
    """docs/backends.md, "What is added"."""
    tool: Any = {"type": "function", "function": {"name": "tide", "parameters": {"type": "object"}}}
    await stage.asked(tools=[tool])
    (turn,) = stage.backend.turns
    inner = turn.body.get("request", {})
    assert {*turn.body} | {f"request.{key}" for key in inner} == stage.says.KEYS
    assert turn.told == [("user", "Who is there?")]
    (offered,) = stage.says.offered(turn.body)
    assert offered.removesuffix("tide") in {"", "mcp_", "mcp__api__", "api_"}
