"""What goes wrong behind an account of Claude Code, and what its callers see of it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import msgspec
import pytest
from openai import APIError, BadRequestError, RateLimitError

from tests.backends.claude_backend import MODEL, Turn, called, exhausted, failed, pieces, refused, said
from tests.backends.codex_backend import CUT
from tests.backends.stage import ClaudeStage

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

QUESTION: Any = [{"role": "user", "content": "Who is there?"}]
ROUNDS = int(os.environ.get("PROXY_FAULT_ROUNDS", "20"))
CANCEL_SECONDS_MAX = 0.5
"""On a machine that runs other tests, too; alone it is a tenth of that."""


async def asked(claude: ClaudeStage, **more: Any) -> Any:
    async with claude.clients() as clients:
        return await clients.openai.chat.completions.create(model=MODEL, messages=QUESTION, **more)


def kill(claude: ClaudeStage) -> None:
    """All of them, as the system does when memory runs out."""
    for pid in claude.processes():
        os.kill(pid, signal.SIGKILL)


async def test_an_exhausted_account_is_left_for_another(claude: ClaudeStage) -> None:
    claude.backend.plays = lambda turn: exhausted() if turn.account == "harbour" else said("Ahoy from the quay.")
    for _ in range(2):
        answer = await asked(claude)
        assert answer.choices[0].message.content == "Ahoy from the quay."
    assert [turn.account for turn in claude.backend.turns] == ["harbour", "quay", "quay"]


async def test_everybody_exhausted_says_until_when(claude: ClaudeStage) -> None:
    claude.backend.in_turn(exhausted(3600))
    with pytest.raises(RateLimitError) as told:
        await asked(claude)
    assert 3500 < float(told.value.response.headers["retry-after"]) < 3700
    assert [turn.account for turn in claude.backend.turns] == ["harbour", "quay"]


async def test_one_call_is_one_request_however_it_fails(claude: ClaudeStage) -> None:
    """Claude Code itself would try most of these ten times over, or without a stream."""
    begun, words, _ = pieces("Ahoy from the quay.")
    for reply in (
        refused(500, "api_error", "oops"),
        refused(529, "overloaded_error", "Overloaded"),
        refused(429, "rate_limit_error", "slow down", retry_after="1"),
        failed("overloaded_error", "Overloaded"),
        [begun, CUT],
        begun,
    ):
        claude.backend.turns.clear()
        claude.backend.in_turn(reply, said("Ahoy from the quay."))
        answer = await asked(claude)
        assert answer.choices[0].message.content == "Ahoy from the quay."
        assert len(claude.backend.turns) == 2
        await claude.close()
        await claude.start()
    assert words


async def test_the_client_s_own_fault_is_told_to_the_client(claude: ClaudeStage) -> None:
    claude.backend.in_turn(refused(400, "invalid_request_error", "max_tokens: must be less than 64000"))
    with pytest.raises(BadRequestError, match="must be less than 64000"):
        await asked(claude)
    assert len(claude.backend.turns) == 1
    claude.backend.in_turn(refused(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"))
    with pytest.raises(BadRequestError, match=r"(?i)prompt is too long") as told:
        await asked(claude)
    assert told.value.code == "context_length_exceeded"


async def test_a_killed_process_before_the_first_word_leads_to_another_account(claude: ClaudeStage) -> None:
    begun = asyncio.Event()

    def held(turn: Turn) -> object:
        if turn.account == "quay":
            return said("Ahoy from the quay.")
        begun.set()
        return [pieces("")[0], asyncio.Event()]

    claude.backend.plays = held  # type: ignore[assignment]
    asking = asyncio.create_task(asked(claude))
    await begun.wait()
    kill(claude)
    answer = await asking
    assert answer.choices[0].message.content == "Ahoy from the quay."


async def test_a_killed_process_after_it_is_told_as_an_error(claude: ClaudeStage) -> None:
    begun, words, _ = pieces("Ahoy from the quay.")
    claude.backend.plays = lambda _turn: [begun, words, asyncio.Event()]
    told = ""
    async with claude.clients() as clients:
        stream = await clients.openai.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
        with pytest.raises(APIError, match="Claude Code"):  # noqa: PT012 - it is raised in the middle of it
            async for chunk in stream:
                told += chunk.choices[0].delta.content or ""
                if told == "Ahoy from the quay.":
                    kill(claude)
    assert told == "Ahoy from the quay."


async def test_an_answer_that_breaks_off_is_told_so_and_not_gone_on_with(claude: ClaudeStage) -> None:
    begun, words, _ = pieces("Ahoy from the quay.")
    for reply in (begun + words + failed("overloaded_error", "Overloaded"), [begun, words, CUT]):
        claude.backend.turns.clear()
        claude.backend.in_turn(reply)
        told = ""
        async with claude.clients() as clients:
            stream = await clients.openai.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
            with pytest.raises(APIError, match="broke off"):  # noqa: PT012 - it is raised in the middle of it
                async for chunk in stream:
                    told += chunk.choices[0].delta.content or ""
        assert told == "Ahoy from the quay."
        assert len(claude.backend.turns) == 1


async def test_who_leaves_takes_the_request_along(claude: ClaudeStage) -> None:
    begun, words, _ = pieces("Ahoy from the quay.")
    claude.backend.plays = lambda _turn: [begun, words, asyncio.Event()]
    async with claude.clients() as clients:
        stream = await clients.openai.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
        await anext(aiter(stream))
        left = time.perf_counter()
        await stream.close()
        await claude.backend.dropped.wait()
        assert time.perf_counter() - left < CANCEL_SECONDS_MAX


async def test_many_who_leave_leave_nothing_behind(claude: ClaudeStage) -> None:
    """Before the first word, in the middle of it, and while a process is starting."""
    begun, words, _ = pieces("Ahoy from the quay.")
    claude.backend.plays = lambda turn: [begun, *([words] if "odd" in str(turn.messages) else []), asyncio.Event()]
    room = asyncio.Semaphore(4)

    async def leave(number: int) -> None:
        async with room:
            question: Any = [{"role": "user", "content": f"Who is there? {'odd' if number % 2 else 'even'} {number}"}]
            asking = asyncio.create_task(
                clients.openai.chat.completions.create(model=MODEL, messages=question, stream=True)
            )
            await asyncio.wait([asking], timeout=number % 5 * 0.3)
            asking.cancel()
            await asyncio.wait([asking])
            if not asking.cancelled() and asking.exception() is None:
                await asking.result().close()

    async with claude.clients() as clients:
        await asyncio.gather(*(leave(number) for number in range(ROUNDS)))
        claude.backend.plays = lambda _turn: said("Ahoy from the quay.")
        answer = await clients.openai.chat.completions.create(model=MODEL, messages=QUESTION)
    assert answer.choices[0].message.content == "Ahoy from the quay."
    async with asyncio.timeout(30):
        while len(claude.processes()) > 4:  # noqa: ASYNC110 - the answer's own, and spares
            await asyncio.sleep(0.05)
    assert [pid for pid in claude.processes() if is_zombie(pid)] == []


def is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - read at once, or gone
            return stat.read().rpartition(b")")[2].split()[0] == b"Z"
    except FileNotFoundError:
        return False


async def test_accounts_never_mix(claude: ClaudeStage) -> None:
    """Conversations of both accounts at the same time, each with tools and over several turns."""
    await claude.close()
    for file in claude.data.glob("*.json"):
        known = msgspec.json.decode(file.read_bytes())
        file.write_bytes(msgspec.json.encode({**known, "priority": 0}))
    await claude.start()
    claude.backend.plays = lambda turn: (
        called(("toolu_1", "tide", {})) if len(turn.messages) == 1 else said(turn.messages[0]["content"][0]["text"])
    )
    tools: Any = [{"name": "tide", "input_schema": {"type": "object"}}]

    async def talk(number: int) -> set[str]:
        messages: Any = [{"role": "user", "content": f"boat {number}"}]
        accounts = set()
        for _ in range(3):
            answer = await clients.anthropic.messages.create(
                model=MODEL, max_tokens=9, messages=messages, tools=tools,
                extra_headers={"x-session-id": f"boat-{number}"},
            )  # fmt: skip
            told = answer.to_dict()["content"]
            messages += [{"role": "assistant", "content": told}]
            result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": f"low for {number}"}
            is_call = answer.stop_reason == "tool_use"
            messages += [{"role": "user", "content": [result] if is_call else f"again {number}"}]
            assert is_call or answer.content[0].to_dict()["text"] == f"boat {number}"
            accounts |= {turn.account for turn in claude.backend.turns if f"boat {number}" in str(turn.messages[0])}
        return accounts

    async with claude.clients() as clients:
        found = await asyncio.gather(*(talk(number) for number in range(4)))
    assert all(len(accounts) == 1 for accounts in found)
    assert set[str].union(*found) == {"harbour", "quay"}


async def test_what_a_killed_server_leaves_is_cleared_by_the_next(claude: ClaudeStage) -> None:
    await asked(claude)
    assert claude.processes()
    assert [*claude.leftovers()]
    await claude.kill()
    await claude.start()
    async with asyncio.timeout(20):
        while claude.processes() or [*claude.leftovers()]:  # noqa: ASYNC110 - nobody tells when they are gone
            await asyncio.sleep(0.05)
    answer = await asked(claude)
    assert answer.choices[0].message.content == "Ahoy from the quay."
