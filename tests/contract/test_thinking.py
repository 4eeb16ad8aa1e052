"""Thoughts that only their maker can read travel through every client and come back to their maker alone, unchanged."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from tests.contract.carried import CARRIED, Carried
from tests.contract.clients import CONTRACT, Clients
from tests.contract.judges import JUDGES
from tests.contract.next_turns import NEXT_TURNS, QUESTION, RESULT, signed_in
from tests.contract.scenarios import SCENARIOS, SIGNED, THOUGHT, TIDES, Ask
from tests.contract.stage import FORMATS, Stage, answer

pytestmark = CONTRACT

BLOBS = {
    "openai_responses": "gAAAAABSkerryPointSealed0123456789abcdefghijklmnopqrstuvwxyz-_ABCDEFGHIJ",
    "anthropic": "EqQBCkgIDhABGAIiQPn0tReal+Lantern/Signature/Of/The/Skerry/Point/Keeper0123456789"
    "abcdefghijklmnopqrstuvwxyzABCDEFGH==",
    "gemini": "U2tlcnJ5IFBvaW50IHRob3VnaHQgc2lnbmF0dXJlIPvvvv/+/SBvZiB0aGUga2VlcGVyLCBzZWFsZWQgYXQgZGF3bg==",
}
"""As they stand in the captures."""
TURNS = {"signed": SIGNED, "thinking": SCENARIOS["thinking"]}
"""Thoughts before a call, and before a text."""
KINDS = {
    ("gemini", "signed"): "call",
    ("gemini", "thinking"): "text",
}
"""What is signed; elsewhere it is the thoughts themselves."""

by_turn = pytest.mark.parametrize("name", TURNS)
by_way = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])


def asked(name: str, *who: object) -> Ask:
    """Of nobody else: what is kept of an answer is found by what was asked, too."""
    ask = TURNS[name].ask
    return replace(ask, text=f"{ask.text} {' '.join(map(str, who))}")


@by_way
@by_turn
@pytest.mark.parametrize("maker", BLOBS)
@pytest.mark.parametrize("client", FORMATS)
async def test_they_come_back_to_their_maker(
    stage: Stage, clients: Clients, client: str, maker: str, name: str, is_stream: bool
) -> None:
    stage.plays(answer(maker, name, is_stream=is_stream), answer(maker, "text", is_stream=is_stream))
    judge = JUDGES[client](clients)
    words = judge.words(asked(name, client, maker, is_stream), f"{maker}-home")
    said = await judge.ask(words, is_stream=is_stream)
    assert said.thinking == THOUGHT
    await judge.ask(NEXT_TURNS[client](words, said), is_stream=is_stream)

    carried = CARRIED[maker](stage.heard[1].request)
    assert carried.complaints() == []
    assert signed_in(maker, carried.body) == [(KINDS.get((maker, name), "thinking"), BLOBS[maker])]
    assert b"px1." not in carried.request.body
    if maker == "anthropic":
        check_signed_thoughts_first(carried.body)
    check_turn(carried, name)


def check_signed_thoughts_first(body: Any) -> None:
    """Anthropic refuses a signature whose thoughts were changed, and thoughts behind what they led to."""
    turn = next(message for message in body["messages"] if message["role"] == "assistant")
    first = turn["content"][0]
    assert (first["type"], first["thinking"], first["signature"]) == ("thinking", THOUGHT, BLOBS["anthropic"])


def check_turn(carried: Carried, name: str) -> None:
    if name == "signed":
        ((call_id, call),) = carried.calls
        assert call == TIDES
        assert carried.results == [(call_id, RESULT)]
    else:
        assert carried.user.endswith(QUESTION)


@by_turn
@pytest.mark.parametrize(
    ("maker", "other"),
    [pytest.param(*pair, id="-then-".join(pair)) for pair in product(FORMATS, FORMATS) if pair[0] != pair[1]],
)
@pytest.mark.parametrize("client", FORMATS)
async def test_nobody_else_gets_them(
    stage: Stage, clients: Clients, client: str, maker: str, other: str, name: str
) -> None:
    stage.plays(answer(maker, name, is_stream=False), answer(other, "text", is_stream=False))
    judge = JUDGES[client](clients)
    words = judge.words(asked(name, client, maker, other), f"{maker}-home")
    said = await judge.ask(words, is_stream=False)
    answered = await judge.ask({**NEXT_TURNS[client](words, said), "model": f"{other}-home"}, is_stream=False)
    assert answered.text == SCENARIOS["text"].text

    carried = CARRIED[other](stage.heard[1].request)
    assert carried.complaints() == []
    sent = carried.request.body.decode()
    if maker in BLOBS:
        assert BLOBS[maker] not in sent.replace("-", "+").replace("_", "/")
        assert BLOBS[maker] not in sent
    assert "px1" not in sent
    assert "cHgx" not in sent
    assert THOUGHT not in sent
    check_turn(carried, name)


@pytest.mark.parametrize("client", FORMATS)
async def test_a_call_that_gemini_did_not_sign_is_let_through(stage: Stage, clients: Clients, client: str) -> None:
    """Gemini 3 refuses a call of the current turn without a signature; for calls of others it has a word."""
    stage.plays(answer("anthropic", "signed", is_stream=False), answer("gemini", "text", is_stream=False))
    judge = JUDGES[client](clients)
    words = judge.words(SIGNED.ask, "anthropic-home")
    said = await judge.ask(words, is_stream=False)
    await judge.ask({**NEXT_TURNS[client](words, said), "model": "gemini-home"}, is_stream=False)
    carried = CARRIED["gemini"](stage.heard[1].request)
    assert signed_in("gemini", carried.body) == [("call", "skip/thought/signature/validator")]
