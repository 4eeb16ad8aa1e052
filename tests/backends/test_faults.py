"""What goes wrong behind an account whose CLI asks, and what its callers see of it: alike for each of the CLIs."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from openai import APIError, RateLimitError

from tests.backends.backend import CUT, Request
from tests.backends.stage import SECONDS_MAX, Stage, written
from tests.pace import slowness

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

QUESTION: Any = [{"role": "user", "content": "Who is there?"}]
WORDS = "Ahoy from the quay."
ROUNDS = int(os.environ.get("PROXY_FAULT_ROUNDS", "20"))
TURNS_MAX = 10
"""Of the event loop, between a hanging up that is seen and the CLI that is told of it."""
INTERRUPT_SECONDS_MAX = 0.1
LEAVERS_MAX = 20
"""One of so many is as fast as that, whatever else the machine does."""
KILLS_MAX = 20
"""One of so many is early enough."""


def tool(name: str) -> Any:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


async def text_of(stage: Stage, **more: Any) -> str:
    """Of a question and the answer to it."""
    answer = await stage.asked(**more)
    return str(answer.choices[0].message.content)


async def begun(stage: Stage, clients: Any) -> Any:
    """A stream whose first words are there."""
    stream = await clients.openai.chat.completions.create(model=stage.says.MODEL, messages=QUESTION, stream=True)
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    return stream


async def test_an_exhausted_account_is_left_for_another(stage: Stage) -> None:
    says = stage.says
    stage.backend.plays = lambda turn: says.exhausted() if turn.account == "harbour" else says.said(WORDS)
    for _ in range(2):
        assert await text_of(stage) == WORDS
    assert [turn.account for turn in stage.backend.turns] == ["harbour", "quay", "quay"]


async def test_everybody_exhausted_says_until_when(stage: Stage) -> None:
    stage.backend.in_turn(stage.says.exhausted(3600))
    with pytest.raises(RateLimitError) as refused:
        await stage.asked()
    assert 3500 < float(refused.value.response.headers["retry-after"]) < 3700
    assert [turn.account for turn in stage.backend.turns] == ["harbour", "quay"]


async def test_one_call_is_one_request_however_it_fails(stage: Stage) -> None:
    for reply in stage.says.FAILING:
        before = len(stage.backend.turns)
        stage.backend.in_turn(reply)
        with pytest.raises(APIError):
            await stage.asked()
        accounts = [turn.account for turn in stage.backend.turns[before:]]
        assert len(accounts) == len({*accounts}) > 0
        stage.backend.in_turn(stage.says.said(WORDS))
        await stage.restart()  # nobody rests any more


async def test_a_failure_before_the_first_word_is_made_up_for_by_another_account(stage: Stage) -> None:
    stage.backend.in_turn(stage.says.FAILING[0], stage.says.said(WORDS))
    assert await text_of(stage) == WORDS
    assert [turn.account for turn in stage.backend.turns] == ["harbour", "quay"]


async def test_a_provider_that_breaks_in_mid_answer_is_told_of_and_not_asked_again(stage: Stage) -> None:
    stage.backend.in_turn([*stage.says.pieces(WORDS)[:-1], CUT])
    told: list[str] = []

    async def listen() -> None:
        async with stage.clients() as clients:
            stream = await clients.openai.chat.completions.create(
                model=stage.says.MODEL, messages=QUESTION, stream=True
            )
            async for chunk in stream:
                told.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 - it breaks on the way

    with pytest.raises(APIError):
        await listen()
    assert "".join(told) == WORDS
    assert len(stage.backend.turns) == 1


async def test_a_cli_that_is_killed_before_it_has_asked_is_left_for_another_account(stage: Stage) -> None:
    for _ in range(KILLS_MAX):
        asking = asyncio.create_task(text_of(stage))
        async with asyncio.timeout(SECONDS_MAX):
            while not [*stage.servants()]:  # noqa: ASYNC110 - nobody tells us that it has been started
                await asyncio.sleep(0.01)
        stage.kill_servants()
        assert await asking == WORDS
        asked = [turn.account for turn in stage.backend.turns]
        if "harbour" not in asked:
            break
        assert asked in (["harbour"], ["harbour", "quay"]), "it had asked by then, and nobody asks there once more"
        stage.backend.turns.clear()
        await stage.restart()  # nobody rests any more
    assert asked == ["quay"]


@pytest.mark.parametrize("stage", ["codex", "gemini", "qwen", "opencode"], indirect=True)
async def test_an_answer_outlives_the_cli_that_asked_for_it(stage: Stage) -> None:
    """It has passed by us on its way to the CLI."""
    held = asyncio.Event()
    *words, end = stage.says.pieces(WORDS)
    stage.backend.in_turn([*words, held, end], stage.says.said("Still here."))
    async with stage.clients() as clients:
        stream = await begun(stage, clients)
        stage.kill_servants()
        held.set()
        finishes = [chunk.choices[0].finish_reason async for chunk in stream if chunk.choices]
    assert finishes[-1] == "stop"
    async with asyncio.timeout(SECONDS_MAX):
        while [*stage.servants()]:  # noqa: ASYNC110 - whoever has much memory is long in dying
            await asyncio.sleep(0.01)
    assert await text_of(stage) == "Still here."
    assert [turn.account for turn in stage.backend.turns] == ["harbour", "harbour"]


async def leave(stage: Stage, clients: Any) -> float:
    """In mid answer; when, on the clock. The provider has seen it at the end."""
    stage.backend.dropped.clear()
    stream = await begun(stage, clients)
    left = time.perf_counter()
    await stream.close()
    async with asyncio.timeout(SECONDS_MAX):
        await stage.backend.dropped.wait()
    return left


async def test_who_hangs_up_is_not_answered_any_further(stage: Stage) -> None:
    says = stage.says
    stage.backend.in_turn([*says.pieces(WORDS)[:-1], asyncio.Event()], says.said("Still here."))
    async with stage.clients() as clients:
        stream = await begun(stage, clients)
        await stream.close()
        async with asyncio.timeout(SECONDS_MAX):
            await stage.backend.dropped.wait()
    assert await text_of(stage) == "Still here."
    assert len(stage.backend.turns) == 2


async def test_the_provider_sees_within_a_tenth_of_a_second_that_nobody_listens_any_more(stage: Stage) -> None:
    """By the clock: from the client's leaving, through the server and the CLI, to the provider's end of it."""
    stage.backend.plays = lambda _turn: [*stage.says.pieces(WORDS)[:-1], asyncio.Event()]
    seconds: list[float] = []
    async with stage.clients() as clients:
        while not seconds or (min(seconds) > INTERRUPT_SECONDS_MAX and len(seconds) < LEAVERS_MAX):
            left = await leave(stage, clients)
            seconds.append((stage.backend.dropped_at - left) / slowness())
    assert min(seconds) <= INTERRUPT_SECONDS_MAX


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
async def test_a_cli_is_told_at_once_when_nobody_listens_any_more(stage: Stage) -> None:
    """By the server's own system calls: between the end of the client's connection and the interrupt it waits for
    nothing and nobody, whatever else the machine is busy with; and on the clock it is told in a tenth of a second.
    """
    trace = stage.folder / "trace"
    await stage.restart("strace", "-D", "-qq", "-s", "300", "-e", "trace=read,write,epoll_wait,epoll_pwait", "-ttt",
                        "-o", str(trace))  # fmt: skip
    stage.backend.plays = lambda _turn: [*stage.says.pieces(WORDS)[:-1], asyncio.Event()]
    slow: list[float] = []
    async with stage.clients() as clients:
        while len(slow) < 2 or (not any(soon(stage, trace, slow)) and len(slow) < LEAVERS_MAX):
            await leave(stage, clients)
            slow.append(slowness())
    await stage.close()
    await written(trace)
    told = told_after(stage.interrupt, trace)
    assert len(told) >= len(slow), "it was not interrupted"
    assert [turns for _, turns in told if any(turns)] == []
    assert max(len(turns) for _, turns in told) <= TURNS_MAX
    assert any(soon(stage, trace, slow))


def soon(stage: Stage, trace: Path, slow: Sequence[float]) -> list[bool]:
    """Which leavers were told of in a tenth of a second, but for how busy the machine was."""
    told = told_after(stage.interrupt, trace)
    return [seconds / each <= INTERRUPT_SECONDS_MAX for (seconds, _), each in zip(told, slow, strict=False)]


def told_after(interrupt: str, trace: Path) -> list[tuple[float, list[int]]]:
    """For each interrupt, how many seconds after a client left, and for how long (ms) the loop was ready to sleep in
    each of its turns between the two.
    """
    told: list[tuple[float, list[int]]] = []
    turns: list[int] = []
    left = 0.0
    whole, _, _ = trace.read_text(errors="replace").rpartition("\n")  # another line may be on its way
    for line in whole.splitlines():
        at, _, call = line.partition(" ")
        if re.match(r"read\(\d+, .*, 256000\) += (0$|-1 ECONNRESET)", call):
            left, turns = float(at), []
        elif sleep := re.match(r"epoll_p?wait\(.*\], \d+, (-?\d+), ", call):
            turns.append(int(sleep[1]))
        elif call.startswith("write(") and interrupt in call:
            told.append((float(at) - left, [*turns]))
    return told


async def test_many_who_hang_up_at_any_moment_leave_nothing_behind(stage: Stage) -> None:
    """Before the first word, in the middle of it, and while a process is starting."""
    says = stage.says
    begins, *_ = words = says.pieces(WORDS)[:-1]
    held = asyncio.Event()
    stage.backend.plays = lambda turn: [*words, held] if "odd" in turn.asked else [held, begins]
    room = asyncio.Semaphore(6)

    async def leave(number: int) -> None:
        async with room:
            question: Any = [{"role": "user", "content": f"Who is there? {'odd' if number % 2 else 'even'} {number}"}]
            asking = asyncio.create_task(
                clients.openai.chat.completions.create(model=says.MODEL, messages=question, stream=True)
            )
            await asyncio.wait([asking], timeout=number % 7 * 0.15)
            asking.cancel()
            await asyncio.wait([asking])
            if not asking.cancelled() and asking.exception() is None:
                await asking.result().close()

    async with stage.clients() as clients:
        await asyncio.gather(*(leave(number) for number in range(ROUNDS)))
    seen = {*stage.processes()}
    held.set()
    stage.backend.in_turn(says.said("Still here."))
    assert await text_of(stage) == "Still here."
    async with asyncio.timeout(SECONDS_MAX):
        while len([*stage.servants()]) > 4:  # noqa: ASYNC110 - the answer's own, and spares
            await asyncio.sleep(0.05)
        while any(map(is_zombie, seen)):  # noqa: ASYNC110 - each is one for the moment between its end and its burial
            await asyncio.sleep(0.05)


def is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - read at once, or gone
            return stat.read().rpartition(b")")[2].split()[0] == b"Z"
    except FileNotFoundError:
        return False


async def test_accounts_never_mix(stage: Stage) -> None:
    """Conversations of both accounts at the same time, each with tools and over several turns."""
    await stage.be_equal()
    says = stage.says

    def play(turn: Request) -> Any:
        questions = [text for role, text in turn.told if role == "user" and text.startswith(("I am", "Still"))]
        return says.calls("tide", {}) if turn.asked in questions else says.said(questions[0])

    stage.backend.plays = play

    async def talk(number: int) -> None:
        headers = {"x-session-id": f"talk-{number}"}
        messages: Any = [{"role": "user", "content": f"I am {number}."}]
        for turn in range(4):
            answer = await clients.openai.chat.completions.create(
                model=says.MODEL, messages=messages, tools=[tool("tide")], extra_headers=headers
            )
            message: Any = answer.choices[0].message
            messages.append(message.to_dict())
            if turn % 2 == 0:
                call_id = message.tool_calls[0].id
                messages.append({"role": "tool", "tool_call_id": call_id, "content": f"The tide of {number}."})
            else:
                assert message.content == f"I am {number}."
                messages.append({"role": "user", "content": f"Still {number}."})

    async with stage.clients() as clients:
        await asyncio.gather(*(talk(number) for number in range(6)))
    accounts: dict[str, set[str]] = {}
    conversations: dict[str, set[str]] = {}
    for turn in stage.backend.turns:
        first = next(text for role, text in turn.told if role == "user")
        number = first.strip(".").split()[-1]
        assert re.findall(r"(?:I am|Still|tide of) (?!" + number + r"\b)\d", str(turn.body)) == []
        accounts.setdefault(first, set()).add(turn.account)
        conversations.setdefault(turn.conversation, set()).add(turn.account)
    assert {len(each) for each in accounts.values()} == {1}
    assert {len(each) for each in conversations.values()} == {1}
    assert {account for each in accounts.values() for account in each} == {"harbour", "quay"}


async def test_results_that_come_after_a_restart_find_their_calls(stage: Stage) -> None:
    stage.backend.in_turn(stage.says.calls("weather", {"place": "Kiel"}), stage.says.said("It rains."))
    first = await stage.asked(tools=[tool("weather")])
    await stage.kill()
    await stage.start()
    message = first.choices[0].message
    messages = [*QUESTION, message.to_dict()]
    messages += [{"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}]
    async with stage.clients() as clients:
        answer = await clients.openai.chat.completions.create(
            model=stage.says.MODEL, messages=messages, tools=[tool("weather")]
        )
    assert answer.choices[0].message.content == "It rains."
    assert len(stage.backend.turns) == 2, "what the model said before is not asked of it again"
    told = str(stage.backend.turns[-1].body)
    assert told.index("Who is there?") < told.index("Kiel") < told.index("rain")


async def test_a_call_that_nobody_answers_is_not_gone_on_with(stage: Stage) -> None:
    """When the server ends, and its CLIs with it."""
    stage.backend.in_turn(stage.says.calls("weather", {}), stage.says.said("It went on by itself."))
    await stage.asked(tools=[tool("weather")])
    await stage.close()
    assert [*stage.servants()] == []
    assert len(stage.backend.turns) == 1


async def test_nothing_is_left_of_a_server_that_was_killed(stage: Stage) -> None:
    await stage.asked()
    assert [*stage.leftovers()]
    await stage.kill()
    async with asyncio.timeout(SECONDS_MAX):
        while stage.processes():  # noqa: ASYNC110 - nobody tells us when a process is gone
            await asyncio.sleep(0.02)
    left = [*stage.leftovers()]
    await stage.start()
    async with asyncio.timeout(SECONDS_MAX):
        while {*left} & {*stage.leftovers()}:  # noqa: ASYNC110 - nor a folder
            await asyncio.sleep(0.05)
    stage.backend.in_turn(stage.says.said(WORDS))
    assert await text_of(stage) == WORDS
