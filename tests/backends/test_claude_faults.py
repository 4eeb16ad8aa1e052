"""What goes wrong behind an account of Claude Code, as far as it is a matter of Claude Code's alone."""

from __future__ import annotations

import asyncio

import pytest
from openai import APIError, BadRequestError

from tests.backends.claude_backend import Turn, failed, pieces, refused, said
from tests.backends.stage import ClaudeStage
from tests.backends.test_faults import WORDS, begun, text_of

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")


async def test_the_client_s_own_fault_is_told_to_the_client(claude: ClaudeStage) -> None:
    claude.backend.in_turn(refused(400, "invalid_request_error", "max_tokens: must be less than 64000"))
    with pytest.raises(BadRequestError, match="must be less than 64000"):
        await claude.asked()
    assert len(claude.backend.turns) == 1
    claude.backend.in_turn(refused(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"))
    with pytest.raises(BadRequestError, match=r"(?i)prompt is too long") as told:
        await claude.asked()
    assert told.value.code == "context_length_exceeded"


async def test_a_killed_process_before_the_first_word_leads_to_another_account(claude: ClaudeStage) -> None:
    is_begun = asyncio.Event()

    def held(turn: Turn) -> bytes | list[object]:
        if turn.account == "quay":
            return said(WORDS)
        is_begun.set()
        return [pieces("")[0], asyncio.Event()]

    claude.backend.plays = held
    asking = asyncio.create_task(text_of(claude))
    await is_begun.wait()
    claude.kill_servants()
    assert await asking == WORDS


async def test_a_killed_process_after_it_is_told_as_an_error(claude: ClaudeStage) -> None:
    claude.backend.plays = lambda _turn: [*pieces(WORDS)[:2], asyncio.Event()]
    async with claude.clients() as clients:
        stream = await begun(claude, clients)
        claude.kill_servants()
        with pytest.raises(APIError, match="Claude Code"):
            assert [chunk async for chunk in stream]


async def test_an_error_in_mid_answer_is_told_and_not_gone_on_with(claude: ClaudeStage) -> None:
    claude.backend.in_turn(b"".join(pieces(WORDS)[:2]) + failed("overloaded_error", "Overloaded"))
    async with claude.clients() as clients:
        stream = await begun(claude, clients)
        with pytest.raises(APIError, match="broke off"):
            assert [chunk async for chunk in stream]
    assert len(claude.backend.turns) == 1
