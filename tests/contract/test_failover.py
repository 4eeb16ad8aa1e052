"""What the SDKs see of failing accounts: nothing while another one serves, and the truth when none does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import product
from typing import TypeVar

import pytest
import pytest_asyncio

from proxy.observe.recording import Recording, Response
from tests.contract.clients import CONTRACT, Clients
from tests.contract.house import Lane
from tests.contract.judge import Judge, Words
from tests.contract.judges import JUDGES
from tests.contract.refusals import ERRORS, SAID, SDK_ERRORS, refusal, retry_after_of, status_of
from tests.contract.scenarios import SCENARIOS
from tests.contract.stage import FORMATS, VENDORS, Stage, answer, faulty, header
from tests.pace import SECONDS_MAX

pytestmark = CONTRACT

by_format = pytest.mark.parametrize("wire", FORMATS)
by_way = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
by_pair = pytest.mark.parametrize(
    ("client", "upstream"), [pytest.param(*pair, id="-to-".join(pair)) for pair in product(FORMATS, FORMATS)]
)
T = TypeVar("T")
TEXT = SCENARIOS["text"]
REQUESTS_A_RETRY = 7
"""Retries after a provider's fault are a share of the traffic: so many requests that go well pay for one."""


async def earn(retries: int, stage: Stage, clients: Clients) -> None:
    stage.plays(answer("openai_chat", "image", is_stream=False))
    for _ in range(retries * REQUESTS_A_RETRY):
        await clients.openai.chat.completions.create(model="openai_chat-home", messages=[])


@pytest_asyncio.fixture(loop_scope="session")
async def traffic(stage: Stage, clients: Clients) -> None:
    await earn(1, stage, clients)


def keys(stage: Stage, wire: str) -> list[str]:
    """Which were used, in order."""
    name, scheme = VENDORS[wire].credential
    return [(header(each.request, name) or "").removeprefix(scheme) for each in stage.heard]


def error_inside(wire: str, *, is_stream: bool) -> Recording:
    """Status 200, and what should be the answer is an error."""
    if not is_stream:
        return faulty(refusal(wire, 500, is_stream=False), "as_200")
    broken = answer(wire, "error", is_stream=True)
    return replace(broken, response=replace(broken.response, frames=broken.response.frames[-1:]))


def nothing(wire: str, *, is_stream: bool) -> Recording:
    """Status 200, and no byte."""
    told = answer(wire, "text", is_stream=is_stream)
    return replace(told, response=Response(headers=told.response.headers, is_streamed=is_stream))


def first_failure(kind: str, wire: str, *, is_stream: bool) -> Recording:
    """How the first account fails."""
    if kind.isdecimal():
        return refusal(wire, int(kind), is_stream=is_stream)
    if kind == "error_inside":
        return error_inside(wire, is_stream=is_stream)
    if kind == "nothing":
        return nothing(wire, is_stream=is_stream)
    if kind == "cut_before_content":
        return faulty(answer(wire, "text", is_stream=is_stream), "cut", after_bytes=30)
    return faulty(answer(wire, "text", is_stream=is_stream), kind)


@pytest.mark.usefixtures("traffic")
@by_format
@by_way
@pytest.mark.parametrize(
    "kind",
    [
        "401",
        "429",
        "500",
        "529",
        "refuse",
        "cut",
        "cut_before_content",
        "html_page",
        "error_inside",
        "nothing",
        "gzip_lie",
    ],
)
async def test_another_account_serves_unseen(
    stage: Stage, clients: Clients, lane: Lane, wire: str, kind: str, is_stream: bool
) -> None:
    account = lane(wire)
    stage.plays(first_failure(kind, wire, is_stream=is_stream), answer(wire, "text", is_stream=is_stream))
    judge = JUDGES[wire](clients)
    said = await judge.ask(judge.words(TEXT.ask, account.alias), is_stream=is_stream)
    assert (said.text, said.model) == (TEXT.text, account.alias)
    assert sorted(keys(stage, wire)) == sorted(account.keys)
    assert stage.heard[0].request.body == stage.heard[1].request.body
    assert clients.headers["x-proxy-attempts"] == "2"


@pytest.mark.usefixtures("traffic")
@by_pair
async def test_another_account_serves_across_formats(
    stage: Stage, clients: Clients, lane: Lane, client: str, upstream: str
) -> None:
    account = lane(upstream)
    stage.plays(error_inside(upstream, is_stream=True), answer(upstream, "tools", is_stream=True))
    judge = JUDGES[client](clients)
    said = await judge.ask(judge.words(SCENARIOS["tools"].ask, account.alias), is_stream=True)
    assert said.text == SCENARIOS["tools"].text
    assert said.calls == list(SCENARIOS["tools"].calls)
    assert sorted(keys(stage, upstream)) == sorted(account.keys)


@by_format
async def test_nobody_listens_and_another_account_serves(stage: Stage, clients: Clients, wire: str) -> None:
    stage.plays(answer(wire, "text", is_stream=False))
    judge = JUDGES[wire](clients)
    said = await judge.ask(judge.words(TEXT.ask, f"{wire}-pier"), is_stream=False)
    assert said.text == TEXT.text
    assert keys(stage, wire) == [f"sk-{wire}-pier-key-1-living"]
    # One attempt, where another format has met the dead address before.
    assert clients.headers["x-proxy-attempts"] in {"1", "2"}


class TestNobodyIsLeft:
    @by_format
    @by_way
    @pytest.mark.parametrize("status", [400, 404])
    async def test_the_clients_own_fault_is_told_at_once(
        self, stage: Stage, clients: Clients, lane: Lane, wire: str, status: int, is_stream: bool
    ) -> None:
        stage.plays(refusal(wire, status, is_stream=is_stream))
        judge = JUDGES[wire](clients)
        with pytest.raises(ERRORS[wire][status], match=SAID) as caught:
            await judge.ask(judge.words(TEXT.ask, lane(wire).alias), is_stream=is_stream)
        assert status_of(caught.value) == status
        assert len(stage.heard) == 1

    @by_pair
    async def test_a_limit_is_told_with_its_end(
        self, stage: Stage, clients: Clients, lane: Lane, client: str, upstream: str
    ) -> None:
        account = lane(upstream)
        stage.plays(refusal(upstream, 429, is_stream=False, retry_after=7))
        judge = JUDGES[client](clients)
        with pytest.raises(ERRORS[client][429]) as caught:
            await judge.ask(judge.words(TEXT.ask, account.alias), is_stream=False)
        assert status_of(caught.value) == 429
        assert retry_after_of(caught.value) == "7"
        assert f"no account can serve {account.alias} now" in str(caught.value)
        assert str(caught.value).count("it is rate limited; back in 7 s") == 2
        assert sorted(keys(stage, upstream)) == sorted(account.keys)

    @by_format
    async def test_whoever_comes_next_is_told_the_same_without_asking_upstream(
        self, stage: Stage, clients: Clients, lane: Lane, wire: str
    ) -> None:
        account = lane(wire)
        stage.plays(refusal(wire, 429, is_stream=False, retry_after=30))
        judge = JUDGES[wire](clients)
        for _ in range(3):
            with pytest.raises(ERRORS[wire][429], match="back in") as caught:
                await judge.ask(judge.words(TEXT.ask, account.alias), is_stream=False)
            assert 28 <= int(retry_after_of(caught.value) or "") <= 30
        assert len(stage.heard) == 2

    @pytest.mark.usefixtures("traffic")
    @by_pair
    @pytest.mark.parametrize("status", [500, 529])
    async def test_a_providers_fault_is_told_as_it_was(
        self, stage: Stage, clients: Clients, lane: Lane, client: str, upstream: str, status: int
    ) -> None:
        stage.plays(refusal(upstream, status, is_stream=False))
        judge = JUDGES[client](clients)
        with pytest.raises(ERRORS[client][status], match=SAID) as caught:
            await judge.ask(judge.words(TEXT.ask, lane(upstream).alias), is_stream=False)
        assert status_of(caught.value) == status

    @by_format
    @by_way
    async def test_a_refused_key_of_ours_is_not_blamed_on_the_client(
        self, stage: Stage, clients: Clients, lane: Lane, wire: str, is_stream: bool
    ) -> None:
        account = lane(wire)
        stage.plays(refusal(wire, 401, is_stream=is_stream))
        judge = JUDGES[wire](clients)
        with pytest.raises(SDK_ERRORS, match="its key or login was refused") as caught:
            await judge.ask(judge.words(TEXT.ask, account.alias), is_stream=is_stream)
        assert status_of(caught.value) in {429, 503}
        assert SAID not in str(caught.value)
        assert sorted(keys(stage, wire)) == sorted(account.keys)


class TestAfterTheFirstContent:
    """What was said cannot be taken back: the end must not look like one."""

    @by_pair
    @pytest.mark.parametrize("kind", ["cut_in_code_point", "cut_in_frame", "reset"])
    async def test_a_cut_is_seen(
        self, stage: Stage, clients: Clients, lane: Lane, client: str, upstream: str, kind: str
    ) -> None:
        whole = answer(upstream, "text", is_stream=True)
        if kind == "cut_in_frame":
            frames = whole.response.frames[:-3]
            whole = replace(whole, response=replace(whole.response, frames=frames))
        told = sum(len(frame.data) for frame in whole.response.frames[:-3])
        stage.plays(faulty(whole, kind, after_bytes=told if kind == "reset" else None))
        judge = JUDGES[client](clients)
        text, error = await judge.break_off(judge.words(TEXT.ask, lane(upstream).alias))
        assert text
        assert TEXT.text.startswith(text)
        assert "cut off" in error or "broke" in error, error
        assert len(stage.heard) == 1

    @by_pair
    async def test_a_client_that_leaves_frees_the_upstream_at_once(
        self, stage: Stage, clients: Clients, client: str, upstream: str
    ) -> None:
        silent = answer(upstream, "text", is_stream=True)
        told = sum(len(frame.data) for frame in silent.response.frames[:-3])
        stage.plays(faulty(silent, "stall", after_bytes=told))
        judge = JUDGES[client](clients)
        await judge.leave_early(judge.words(TEXT.ask, f"{upstream}-home"))
        received = await stage.received(1)
        async with asyncio.timeout(SECONDS_MAX):
            await received.gone.wait()


async def at_once(
    clients: Clients, models: Callable[[str], str], ask: Callable[[Judge, Words], Awaitable[T]]
) -> list[T]:
    """The four SDKs side by side: what takes time takes it once."""
    judges = [JUDGES[wire](clients) for wire in FORMATS]
    return await asyncio.gather(*(ask(judge, judge.words(TEXT.ask, models(judge.wire))) for judge in judges))


def of_streams(wire: str, recording: Recording) -> Recording:
    """For requests of a stream alone. Gemini's have a path of their own."""
    return recording if VENDORS[wire].stream_path else replace(recording, match={"stream": True})


class TestSilence:
    """Before a server that waits two seconds for a head, and three for the next byte."""

    async def test_before_the_head_another_account_serves(self, stage: Stage, impatient: Clients) -> None:
        await earn(2 * len(FORMATS), stage, impatient)
        wholes = [answer(wire, "text", is_stream=False) for wire in FORMATS]
        streams = [of_streams(wire, answer(wire, "text", is_stream=True)) for wire in FORMATS]
        texts = [*wholes, *streams]
        stage.plays(*(faulty(text, "stall") for text in texts), *texts)
        told = await asyncio.gather(
            at_once(impatient, lambda wire: f"{wire}-lane0", lambda judge, words: judge.ask(words, is_stream=False)),
            at_once(impatient, lambda wire: f"{wire}-lane1", lambda judge, words: judge.ask(words, is_stream=True)),
        )
        assert [said.text for each in told for said in each] == [TEXT.text] * len(texts)
        assert len(stage.heard) == 2 * len(texts)

    async def test_before_the_first_content_another_account_serves(self, stage: Stage, impatient: Clients) -> None:
        """By then the head has left, and heartbeats have."""
        await earn(len(FORMATS), stage, impatient)
        texts = [answer(wire, "text", is_stream=True) for wire in FORMATS]
        stage.plays(*(faulty(text, "stall", after_bytes=20) for text in texts), *texts)
        told = await at_once(
            impatient, lambda wire: f"{wire}-lane2", lambda judge, words: judge.ask(words, is_stream=True)
        )
        assert [said.text for said in told] == [TEXT.text] * len(FORMATS)
        assert len(stage.heard) == 2 * len(FORMATS)

    async def test_after_the_first_content_it_is_told(self, stage: Stage, impatient: Clients) -> None:
        texts = [answer(wire, "text", is_stream=True) for wire in FORMATS]
        lengths = [sum(len(frame.data) for frame in text.response.frames[:-3]) for text in texts]
        stage.plays(*(faulty(text, "stall", after_bytes=n) for text, n in zip(texts, lengths, strict=True)))
        told = await at_once(impatient, lambda wire: f"{wire}-home", lambda judge, words: judge.break_off(words))
        for text, error in told:
            assert text
            assert TEXT.text.startswith(text)
            assert "silent" in error or "no answer" in error, error

    async def test_heartbeats_in_between_disturb_no_sdk(
        self, stage: Stage, impatient: Clients, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stage.server, "pace", 1.0)
        texts = [answer(wire, "text", is_stream=True) for wire in FORMATS]
        paused = [
            replace(text, response=replace(text.response, frames=(*first, replace(late, after_seconds=1.3), *last)))
            for text in texts
            for *first, late, _, _ in [text.response.frames]
            for last in [text.response.frames[-2:]]
        ]
        stage.plays(*paused)
        told = await at_once(
            impatient, lambda wire: f"{wire}-home", lambda judge, words: judge.ask(words, is_stream=True)
        )
        assert [said.text for said in told] == [TEXT.text] * len(FORMATS)
