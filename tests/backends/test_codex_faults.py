"""What goes wrong behind an account of Codex, as far as it is a matter of Codex's alone."""

from __future__ import annotations

import asyncio

import pytest

from tests.backends.backend import Refuse
from tests.backends.codex_backend import Turn, said
from tests.backends.stage import SECONDS_MAX, CodexStage
from tests.backends.test_faults import WORDS, text_of

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")


async def test_a_killed_cli_is_left_for_another_account(codex: CodexStage) -> None:
    """It is killed before it has asked for an answer: its first question about the account is not answered."""
    codex.backend.held_about = asyncio.Event()
    asking = asyncio.create_task(text_of(codex))
    async with asyncio.timeout(SECONDS_MAX):
        await codex.backend.is_holding_about.wait()
    codex.kill_servants()
    codex.backend.held_about.set()
    codex.backend.held_about = None
    assert await asking == WORDS
    assert [turn.account for turn in codex.backend.turns] == ["quay"]


async def test_a_refused_token_is_renewed_once_and_the_request_tried_again(codex: CodexStage) -> None:
    codex.backend.person.account = "harbour"

    def play(turn: Turn) -> Refuse | bytes:
        if turn.headers["authorization"] == codex.backend.turns[0].headers["authorization"]:
            return Refuse(status=401, body={"error": {"message": "expired", "code": "token_expired"}}, headers={})
        return said(WORDS)

    codex.backend.plays = play
    assert await text_of(codex) == WORDS
    assert [turn.account for turn in codex.backend.turns] == ["harbour", "harbour"]
