"""What goes wrong behind an account of Codex, and what its callers see of it."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import time
from typing import Any

import msgspec
import pytest
from openai import APIError, RateLimitError

from tests.backends.codex_backend import CUT, MODEL, Refuse, Turn, called, exhausted, failed, pieces, said
from tests.backends.stage import CodexStage

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

QUESTION: Any = [{"role": "user", "content": "Who is there?"}]
ROUNDS = int(os.environ.get("PROXY_FAULT_ROUNDS", "20"))
CANCEL_SECONDS_MAX = 0.5
"""On a machine that runs other tests, too; alone it is a tenth of that."""


async def asked(codex: CodexStage, **more: Any) -> Any:
    async with codex.clients() as clients:
        return await clients.openai.chat.completions.create(model=MODEL, messages=QUESTION, **more)


def kill(codex: CodexStage) -> None:
    for pid, command in codex.processes().items():
        if "--strict-config" in command:
            os.kill(pid, signal.SIGKILL)


async def test_an_exhausted_account_is_left_for_another(codex: CodexStage) -> None:
    codex.backend.plays = lambda turn: exhausted() if turn.account == "harbour" else said("Ahoy from the quay.")
    for _ in range(2):
        answer = await asked(codex)
        assert answer.choices[0].message.content == "Ahoy from the quay."
    assert [turn.account for turn in codex.backend.turns] == ["harbour", "quay", "quay"]


async def test_everybody_exhausted_says_until_when(codex: CodexStage) -> None:
    codex.backend.in_turn(exhausted(3600))
    with pytest.raises(RateLimitError) as refused:
        await asked(codex)
    assert 3500 < float(refused.value.response.headers["retry-after"]) < 3700
    assert [turn.account for turn in codex.backend.turns] == ["harbour", "quay"]


async def test_one_call_is_one_request_however_it_fails(codex: CodexStage) -> None:
    """Codex itself would try each of these five times over."""
    overload = {"error": {"code": "server_is_overloaded", "message": "busy", "type": "server_error"}}
    for reply in (
        Refuse(status=500, body={"error": {"message": "oops"}}, headers={}),
        Refuse(status=503, body=overload, headers={"retry-after": "1"}),
        Refuse(status=404, body={"error": {"message": "no such model"}}, headers={}),
        failed("server_error", "oops"),
        [pieces("")[0], CUT],
    ):
        before = len(codex.backend.turns)
        codex.backend.in_turn(reply)
        with pytest.raises(APIError):
            await asked(codex)
        accounts = [turn.account for turn in codex.backend.turns[before:]]
        assert len(accounts) == len({*accounts}) > 0
        codex.backend.in_turn(said("Ahoy from the quay."))
        async with asyncio.timeout(20):
            while True:
                try:
                    await asked(codex)
                    break
                except APIError:
                    await asyncio.sleep(0.1)


async def test_a_backend_that_breaks_in_mid_answer_is_told_of_and_not_asked_again(codex: CodexStage) -> None:
    begun, words, _ = pieces("Ahoy from")
    codex.backend.in_turn([begun, words, CUT])
    told: list[str] = []

    async def listen() -> None:
        async with codex.clients() as clients:
            stream = await clients.openai.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
            async for chunk in stream:
                told.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 - it breaks on the way

    with pytest.raises(APIError):
        await listen()
    assert "".join(told) == "Ahoy from"
    assert len(codex.backend.turns) == 1


async def test_a_killed_cli_is_left_for_another_account(codex: CodexStage) -> None:
    """It is killed before it has asked for an answer: its first question about the account is not answered."""
    await asked(codex)  # by the first account, so that it is known where its process is
    codex.backend.held_about = asyncio.Event()
    codex.backend.is_holding_about.clear()
    await codex.close()
    await codex.start()
    codex.backend.turns.clear()
    asking = asyncio.create_task(asked(codex))
    async with asyncio.timeout(60):
        await codex.backend.is_holding_about.wait()
    kill(codex)
    codex.backend.held_about.set()
    codex.backend.held_about = None
    answer = await asking
    assert answer.choices[0].message.content == "Ahoy from the quay."
    assert [turn.account for turn in codex.backend.turns] == ["quay"]


async def test_an_answer_outlives_the_cli_that_asked_for_it(codex: CodexStage) -> None:
    held = asyncio.Event()
    begun, words, ended = pieces("Ahoy from the quay.")
    codex.backend.in_turn([begun, words, held, ended], said("Still here."))
    told = []
    async with codex.clients() as clients:
        stream = await clients.openai.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                told.append(chunk.choices[0].delta.content)
                kill(codex)
                held.set()
    assert "".join(told) == "Ahoy from the quay."
    answer = await asked(codex)
    assert answer.choices[0].message.content == "Still here."


async def test_who_hangs_up_is_not_answered_any_further(codex: CodexStage) -> None:
    begun, words, ended = pieces("Ahoy from the quay.")
    codex.backend.in_turn([begun, words, asyncio.Event(), ended], said("Still here."))
    async with codex.clients() as clients:
        stream = await clients.openai.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
        began = time.perf_counter()
        await stream.close()
        async with asyncio.timeout(20):
            await codex.backend.dropped.wait()
        assert time.perf_counter() - began < CANCEL_SECONDS_MAX
    answer = await asked(codex)
    assert answer.choices[0].message.content == "Still here."
    assert len(codex.backend.turns) == 2


async def test_many_who_hang_up_at_any_moment_leave_nothing_behind(codex: CodexStage) -> None:
    begun, words, ended = pieces("Ahoy from the quay.")
    held = asyncio.Event()
    codex.backend.plays = lambda turn: [begun, words, held, ended] if "odd" in turn.told[-1][1] else [held, begun]
    room = asyncio.Semaphore(8)

    async def leave(number: int) -> None:
        async with room:
            question: Any = [{"role": "user", "content": f"Who is there? {'odd' if number % 2 else 'even'} {number}"}]
            asking = asyncio.create_task(
                clients.openai.chat.completions.create(model=MODEL, messages=question, stream=True)
            )
            await asyncio.wait([asking], timeout=number % 7 * 0.05)
            asking.cancel()
            await asyncio.wait([asking])
            if not asking.cancelled() and asking.exception() is None:
                await asking.result().close()

    async with codex.clients() as clients:
        await asyncio.gather(*(leave(number) for number in range(ROUNDS)))
    held.set()
    codex.backend.in_turn(said("Still here."))
    answer = await asked(codex)
    assert answer.choices[0].message.content == "Still here."
    assert [pid for pid in codex.processes() if is_zombie(pid)] == []


async def test_accounts_never_mix(codex: CodexStage) -> None:
    """Conversations of both accounts at the same time, each with tools and over several turns."""
    await codex.close()
    for file in codex.data.glob("*.json"):
        known = msgspec.json.decode(file.read_bytes())
        file.write_bytes(msgspec.json.encode({**known, "priority": 0}))
    await codex.start()
    codex.backend.plays = lambda turn: (
        called(("call_1", "tide", {})) if turn.items[-1]["type"] == "message" else said(turn.told[0][1])
    )
    tool: Any = {"type": "function", "function": {"name": "tide", "parameters": {"type": "object"}}}

    async def talk(number: int) -> None:
        headers = {"x-session-id": f"talk-{number}"}
        messages: Any = [{"role": "user", "content": f"I am {number}."}]
        for turn in range(4):
            answer = await clients.openai.chat.completions.create(
                model=MODEL, messages=messages, tools=[tool], extra_headers=headers
            )
            message = answer.choices[0].message
            messages.append(message.to_dict())
            if turn % 2 == 0:
                messages.append({"role": "tool", "tool_call_id": "call_1", "content": f"The tide of {number}."})
            else:
                assert message.content == f"I am {number}."
                messages.append({"role": "user", "content": f"Still {number}."})

    async with codex.clients() as clients:
        await asyncio.gather(*(talk(number) for number in range(8)))
    accounts: dict[str, set[str]] = {}
    for turn in codex.backend.turns:
        assert len({number for _, text in turn.told if (number := text.strip(".").split()[-1:][0]).isdigit()}) == 1
        accounts.setdefault(turn.told[0][1], set()).add(turn.account)
        assert account_of(turn.headers["authorization"]) == turn.account
    assert {len(each) for each in accounts.values()} == {1}
    assert {account for each in accounts.values() for account in each} == {"harbour", "quay"}


def account_of(authorization: str) -> str:
    body = authorization.split(".")[1]
    claims = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return str(claims["https://api.openai.com/auth"]["chatgpt_account_id"])


def is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - read at once, or gone
            return stat.read().rpartition(b")")[2].split()[0] == b"Z"
    except FileNotFoundError:
        return False


async def test_a_refused_token_is_renewed_once_and_the_request_tried_again(codex: CodexStage) -> None:
    codex.backend.person.account = "harbour"

    def play(turn: Turn) -> Refuse | bytes:
        if turn.headers["authorization"] == codex.backend.turns[0].headers["authorization"]:
            return Refuse(status=401, body={"error": {"message": "expired", "code": "token_expired"}}, headers={})
        return said("Ahoy from the quay.")

    codex.backend.plays = play
    answer = await asked(codex)
    assert answer.choices[0].message.content == "Ahoy from the quay."
    assert [turn.account for turn in codex.backend.turns] == ["harbour", "harbour"]


async def test_results_that_come_after_a_restart_find_their_calls(codex: CodexStage) -> None:
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    codex.backend.in_turn(called(("call_1", "weather", {})), said("It rains."))
    async with codex.clients() as clients:
        first = await clients.openai.chat.completions.create(model=MODEL, messages=QUESTION, tools=[tool])
    await codex.kill()
    await codex.start()
    messages = [*QUESTION, first.choices[0].message.to_dict()]
    messages += [{"role": "tool", "tool_call_id": "call_1", "content": "rain"}]
    async with codex.clients() as clients:
        answer = await clients.openai.chat.completions.create(model=MODEL, messages=messages, tools=[tool])
    assert answer.choices[0].message.content == "It rains."
    assert [item["type"] for item in codex.backend.turns[-1].items] == [
        "message", "function_call", "function_call_output",
    ]  # fmt: skip


async def test_nothing_is_left_of_a_server_that_was_killed(codex: CodexStage) -> None:
    await asked(codex)
    assert [*codex.leftovers()]
    await codex.kill()
    async with asyncio.timeout(20):
        while codex.processes():  # noqa: ASYNC110 - nobody tells us when a process is gone
            await asyncio.sleep(0.02)
    left = [*codex.leftovers()]
    await codex.start()
    assert not {*left} & {*codex.leftovers()}
