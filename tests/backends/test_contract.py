"""The contract of HTTP upstreams (tests/contract), behind each CLI: the same scenarios, asked by the same judges, read
by the same readers of what reached the provider, but for what docs/backends.md says is added and lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import product
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tests.backends.conftest import played
from tests.backends.matrix import ALIAS, BACKINGS, Backing
from tests.backends.stage import SECONDS_MAX, STAGES, Stage
from tests.contract.carried import Carried, outline
from tests.contract.clients import CONTRACT, Clients
from tests.contract.judge import Judge
from tests.contract.judges import JUDGES
from tests.contract.next_turns import NEXT_TURNS, signed_in
from tests.contract.scenarios import BROKEN, OBAN, OUTPUT_TOKENS_MAX, REFUSED, SCENARIOS, SYSTEM, Ask, Harbour
from tests.contract.stage import FORMATS
from tests.contract.test_thinking import BLOBS, KINDS, TURNS, check_turn
from tests.contract.test_translation import ERRORS, SHOWN_UNASKED, THINKING

pytestmark = CONTRACT
Enter = Callable[[str], Awaitable[tuple[Stage, Clients]]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def enter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Enter]:
    """A stage for each CLI, for all tests of a worker: each has a model by the contract's alias."""
    stages: dict[str, tuple[Stage, Clients]] = {}
    async with AsyncExitStack() as exits:

        async def open_up(name: str) -> tuple[Stage, Clients]:
            if name not in stages:
                backing = BACKINGS[name]
                models = [{"name": backing.model, "alias": ALIAS}]
                stage = await exits.enter_async_context(played(name, tmp_path_factory.mktemp(name), models=models))
                stages[name] = (stage, await exits.enter_async_context(stage.clients()))
            stage, clients = stages[name]
            stage.backend.turns.clear()
            stage.backend.dropped.clear()
            return stage, clients

        open_up.stages = stages  # type: ignore[attr-defined]  # whose logs are shown where a test fails
        yield open_up


def cases() -> list[Any]:
    every = product(STAGES, FORMATS, SCENARIOS, (False, True))
    return [pytest.param(*each, id=f"{'-'.join(each[:3])}-{'stream' if each[3] else 'whole'}") for each in every]


@pytest.mark.parametrize(("cli", "client", "name", "is_stream"), cases())
async def test_an_exchange(enter: Enter, cli: str, client: str, name: str, is_stream: bool) -> None:
    (stage, clients), backing, scenario = await enter(cli), BACKINGS[cli], SCENARIOS[name]
    stage.backend.in_turn(backing.says(name))
    judge = JUDGES[client](clients)
    said = await judge.ask(judge.words(scenario.ask, ALIAS), is_stream=is_stream)

    turn, *more = stage.backend.turns
    assert [(each.account, each.conversation, each.told) for each in more] == [], (turn.account, turn.conversation)
    check_request(backing.carried(turn), backing, scenario.ask, judge)
    assert said.model == ALIAS
    assert said.text == scenario.text
    assert said.thinking == scenario.thinking
    assert said.calls == list(scenario.calls)
    assert len({*said.ids}) == len(scenario.calls)
    assert all(said.ids)
    assert said.finish == judge.finish(has_calls=bool(scenario.calls))
    assert said.usage == judge.usage(scenario.usage(backing.wire))
    assert said.parsed == (OBAN if scenario.ask.output else None)
    assert lost_in(clients.headers.get("x-proxy-losses", "")) == backing.lost(scenario.ask)


def lost_in(line: str) -> set[str]:
    """The paths that a line of losses names: ``2: max_tokens: …; tools[1].parameters: …``."""
    return {each.partition(":")[0] for each in line.partition(": ")[2].split("; ") if each}


def check_request(carried: Carried, backing: Backing, ask: Ask, judge: Judge) -> None:
    assert carried.complaints() == []
    assert carried.model == backing.model
    assert carried.system == SYSTEM
    assert carried.user == ask.text
    if backing.has_limit:
        assert carried.output_tokens_max == OUTPUT_TOKENS_MAX
    assert carried.images == ([("image/png", ask.image)] if ask.image else [])
    assert carried.tools == [*map(backing.tool, ask.tools)]
    assert [call for _, call in carried.calls] == list(ask.calls)
    assert len({call_id for call_id, _ in carried.calls}) == len(ask.calls)
    assert carried.results == list(zip((call_id for call_id, _ in carried.calls), ask.results, strict=True))
    is_silent = judge.wire == "openai_chat" and ask.effort is not None and carried.wire != "openai_chat"
    wanted = (SHOWN_UNASKED if is_silent else THINKING)[carried.wire]
    assert carried.thinking == ({} if ask.effort is None else wanted)
    if ask.output:
        assert outline(carried.schema) == outline(Harbour.model_json_schema())


PAIRS = [pytest.param(*each, id="-".join(each)) for each in product(STAGES, FORMATS)]


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("cli", "client"), PAIRS)
async def test_a_refusal_is_the_sdks_own_error(enter: Enter, cli: str, client: str, is_stream: bool) -> None:
    stage, clients = await enter(cli)
    stage.backend.in_turn(BACKINGS[cli].refuses())
    judge = JUDGES[client](clients)
    with pytest.raises(ERRORS[client], match="not on any chart") as caught:
        await judge.ask(judge.words(SCENARIOS["text"].ask, ALIAS), is_stream=is_stream)
    assert REFUSED in str(caught.value)
    assert len(stage.backend.turns) == 1, "a request at fault is not repeated"


@pytest.mark.parametrize(("cli", "client"), PAIRS)
async def test_a_stream_that_breaks_says_so(enter: Enter, cli: str, client: str) -> None:
    stage, clients = await enter(cli)
    stage.backend.in_turn(BACKINGS[cli].says("error"))
    judge = JUDGES[client](clients)
    text, message = await judge.break_off(judge.words(SCENARIOS["text"].ask, ALIAS))
    assert text == "The ferry to"
    assert BROKEN in message
    assert len(stage.backend.turns) == 1, "what was said cannot be taken back"


@pytest.mark.parametrize(("cli", "client"), PAIRS)
async def test_who_leaves_early_is_not_answered_any_further(enter: Enter, cli: str, client: str) -> None:
    stage, clients = await enter(cli)
    *words, _ = stage.says.pieces("Ahoy from the quay.")
    stage.backend.in_turn([*words, asyncio.Event()])
    judge = JUDGES[client](clients)
    await judge.leave_early(judge.words(SCENARIOS["text"].ask, ALIAS))
    async with asyncio.timeout(SECONDS_MAX):
        await stage.backend.dropped.wait()


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", TURNS)
@pytest.mark.parametrize(("cli", "client"), PAIRS)
async def test_thoughts_come_back_to_their_maker(
    enter: Enter, cli: str, client: str, name: str, is_stream: bool
) -> None:
    """And the next turn goes on where the first was, with all that was said."""
    (stage, clients), backing = await enter(cli), BACKINGS[cli]
    stage.backend.in_turn(backing.says(name), backing.says("text"))
    judge = JUDGES[client](clients)
    asked = TURNS[name].ask
    words = judge.words(replace(asked, text=f"{asked.text} {cli} {client} {is_stream}"), ALIAS)
    said = await judge.ask(words, is_stream=is_stream)
    answered = await judge.ask(NEXT_TURNS[client](words, said), is_stream=is_stream)
    assert answered.text == SCENARIOS["text"].text
    first, second = stage.backend.turns
    assert (first.account, first.conversation) == (second.account, second.conversation)
    carried = backing.carried(second)
    if backing.wire in BLOBS:
        kind = KINDS.get((backing.wire, name), "thinking")
        signed = [] if kind in backing.unsigned else [(kind, BLOBS[backing.wire])]
        assert signed_in(backing.wire, msgspec.json.decode(carried.request.body)) == signed
    check_turn(carried, name)
