"""What goes wrong behind an account of Gemini CLI, and what its callers see of it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import pytest
from openai import APIError, RateLimitError

from tests.backends.codex_backend import CUT
from tests.backends.gemini_backend import MODEL, Turn, exhausted, failed, pieces, said
from tests.backends.stage import GeminiStage

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

QUESTION: Any = [{"role": "user", "content": "Who is there?"}]
CANCEL_SECONDS_MAX = 0.5
"""On a machine that runs other tests, too; alone it is a tenth of that."""


async def asked(gemini: GeminiStage, **more: Any) -> Any:
    async with gemini.clients() as clients:
        return await clients.openai.chat.completions.create(model=MODEL, messages=QUESTION, **more)


def kill(gemini: GeminiStage) -> None:
    for pid in gemini.processes():
        os.kill(pid, signal.SIGKILL)


async def test_an_exhausted_account_is_left_for_another(gemini: GeminiStage) -> None:
    gemini.backend.plays = lambda turn: exhausted() if turn.account == "harbour" else said("Ahoy from the quay.")
    for _ in range(2):
        answer = await asked(gemini)
        assert answer.choices[0].message.content == "Ahoy from the quay."
    assert [turn.account for turn in gemini.backend.turns] == ["harbour", "quay", "quay"]


async def test_everybody_exhausted_says_until_when(gemini: GeminiStage) -> None:
    gemini.backend.in_turn(exhausted(3600))
    with pytest.raises(RateLimitError) as refused:
        await asked(gemini)
    assert 3500 < float(refused.value.response.headers["retry-after"]) < 3700
    assert [turn.account for turn in gemini.backend.turns] == ["harbour", "quay"]


async def test_one_call_is_one_request_however_it_fails(gemini: GeminiStage) -> None:
    """Gemini CLI itself would try some of these ten times over."""
    words, _ = pieces("Ahoy")
    for reply in (failed(500, "oops"), failed(503, "busy"), failed(404, "no such model", "NOT_FOUND"), [CUT]):
        before = len(gemini.backend.turns)
        gemini.backend.in_turn(reply)
        with pytest.raises(APIError):
            await asked(gemini)
        accounts = [turn.account for turn in gemini.backend.turns[before:]]
        assert len(accounts) == len({*accounts}) > 0
        gemini.backend.in_turn([words, pieces("")[1]])
        async with asyncio.timeout(30):
            while True:
                try:
                    await asked(gemini)
                    break
                except APIError:
                    await asyncio.sleep(0.1)


async def test_a_provider_that_breaks_in_mid_answer_is_told_of_and_not_asked_again(gemini: GeminiStage) -> None:
    words, _ = pieces("Ahoy from")
    gemini.backend.in_turn([words, CUT])
    told: list[str] = []

    async def listen() -> None:
        async with gemini.clients() as clients:
            stream = await clients.openai.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
            async for chunk in stream:
                told.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 - it breaks on the way

    with pytest.raises(APIError):
        await listen()
    assert "".join(told) == "Ahoy from"
    assert len(gemini.backend.turns) == 1


async def test_an_answer_outlives_the_cli_that_asked_for_it(gemini: GeminiStage) -> None:
    held = asyncio.Event()
    words, ended = pieces("Ahoy from the quay.")
    gemini.backend.in_turn([words, held, ended], said("Still here."))
    told = []
    async with gemini.clients() as clients:
        stream = await clients.openai.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                told.append(chunk.choices[0].delta.content)
                kill(gemini)
                held.set()
    assert "".join(told) == "Ahoy from the quay."
    answer = await asked(gemini)
    assert answer.choices[0].message.content == "Still here."
    assert [turn.account for turn in gemini.backend.turns] == ["harbour", "harbour"]


async def test_who_hangs_up_is_not_answered_any_further(gemini: GeminiStage) -> None:
    words, ended = pieces("Ahoy from the quay.")
    gemini.backend.in_turn([words, asyncio.Event(), ended], said("Still here."))
    async with gemini.clients() as clients:
        stream = await clients.openai.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
        began = time.perf_counter()
        await stream.close()
        async with asyncio.timeout(20):
            await gemini.backend.dropped.wait()
        assert time.perf_counter() - began < CANCEL_SECONDS_MAX
    answer = await asked(gemini)
    assert answer.choices[0].message.content == "Still here."
    assert len(gemini.backend.turns) == 2


async def test_two_accounts_never_mix(gemini: GeminiStage) -> None:
    """Each has a process of its own, and a conversation stays where it is known."""

    def play(turn: Turn) -> Any:
        is_new = len(turn.contents) == 1
        return (
            exhausted(1) if is_new and turn.account == "harbour" and len(gemini.backend.turns) == 2 else said("Ahoy.")
        )

    gemini.backend.plays = play
    async with gemini.clients() as clients:
        for name in ("Ada", "Bob"):
            messages: Any = [{"role": "user", "content": f"I am {name}."}]
            await clients.openai.chat.completions.create(model=MODEL, messages=messages)
            messages += [{"role": "assistant", "content": "Ahoy."}, {"role": "user", "content": f"Still {name}."}]
            await clients.openai.chat.completions.create(model=MODEL, messages=messages)
    by_account: dict[str, set[str]] = {}
    for turn in gemini.backend.turns:
        by_account.setdefault(turn.account, set()).add(turn.request["session_id"])
    known = [*by_account.values()]
    assert all(not one & other for at, one in enumerate(known) for other in known[at + 1 :])


async def test_nothing_is_left_of_a_server_that_was_killed(gemini: GeminiStage) -> None:
    await asked(gemini)
    assert [*gemini.leftovers()]
    await gemini.kill()
    async with asyncio.timeout(20):
        while gemini.processes():  # noqa: ASYNC110 - nobody tells us when a process is gone
            await asyncio.sleep(0.02)
    left = [*gemini.leftovers()]
    await gemini.start()
    assert not {*left} & {*gemini.leftovers()}
