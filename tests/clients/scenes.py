"""What every CLI is put through. Each file of tests plays them with one CLI, and adds what is its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from tests.clients.answers import Say, exhausted
from tests.clients.stage import CLIENT_KEY, MODELS, SECONDS_MAX, Ran, Stage, killed
from tests.clients.tap import Said
from tests.clients.upstream import Asked, Break, Reply

CARGO = "eleven crates of bergamot"
"""Stands in a file; no model could have made it up."""
PROMPT = "What does manifest.txt say?"
ANSWER = "It lists bergamot, eleven crates of it."
PAUSE_SECONDS_MAX = 30.0
PAUSES_MAX = 10
"""A CLI that takes longer than both together to say that nobody is left, once that is so, has been waiting in silence.
The second is of the time that it took until then, which grows with what else the machine does.
"""
AWAY_SECONDS = 7200
"""For so long the exhausted accounts are away: more than any CLI waits."""
WHEN = re.compile(r"\b2 h\b|\b1 h 5\d min\b|\b(?:[01]?\d|2[0-3]):[0-5]\d\b")
"""A time to come back, as we tell it or as the CLI does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cli:
    """`wire`: its own. `arguments`: before the prompt, so that it runs headless and may use its tools. `tool`: patterns
    of the name and of the property of the tool that reads a file; `reading` makes its value.
    """

    name: str
    wire: str
    arguments: tuple[str, ...]
    tool: tuple[str, str]
    reading: Callable[[Path], str] = str
    live: tuple[str, ...] = ()
    """More arguments, with which it prints an answer as it comes."""


def reads(cli: Cli, stage: Stage) -> Callable[[Asked], Reply]:
    """The model wants the file: with the CLI's own tool, as it names it in this very request."""
    return lambda asked: asked.use(*cli.tool, cli.reading(stage.work / "manifest.txt"))


def run_arguments(cli: Cli, stage: Stage, wire: str, *more: str, url: str = "") -> tuple[str, ...]:
    """``proxy run``, with the model of that wire."""
    server = ("--url", url or stage.url, "--model", MODELS[wire])
    return ("proxy", "run", *server, cli.name, *more, *cli.arguments, PROMPT)


async def prompted(cli: Cli, stage: Stage, wire: str, *more: str, url: str = "", **environment: str) -> Ran:
    arguments = run_arguments(cli, stage, wire, *more, url=url)
    return await stage.run(*arguments, PROXY_KEY=CLIENT_KEY, **environment)


class Scenes:
    cli: Cli
    home: dict[str, str] = {}  # noqa: RUF012 - file below the home → its text; each class has its own
    others: tuple[str, ...] = ()
    outsiders: tuple[str, ...] = ()

    async def run(self, stage: Stage, wire: str) -> Ran:
        """The prompt, to the model of that wire."""
        return await prompted(self.cli, stage, wire)

    @pytest.fixture(autouse=True)
    def _furnish(self, stage: Stage) -> None:
        stage.furniture = self.home
        stage.outsiders = self.outsiders

    async def test_a_plain_prompt(self, stage: Stage) -> None:
        await stage.open(**{self.cli.wire: ["key-one-of-the-harbour"]})
        stage.upstream.in_turn(Say(ANSWER))
        ran = await self.run(stage, self.cli.wire)
        assert ran.code == 0, ran
        assert ANSWER in ran.out
        (asked,) = stage.upstream.asked
        assert asked.is_stream
        assert asked.key == "key-one-of-the-harbour"
        assert PROMPT.encode() in asked.request.body
        assert CLIENT_KEY not in str(asked.request)

    async def test_a_file_is_read_with_its_own_tool(self, stage: Stage) -> None:
        await self._reads_a_file(stage, self.cli.wire)

    async def test_a_model_of_another_vendor(self, stage: Stage, other: str) -> None:
        await self._reads_a_file(stage, other)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "other" in metafunc.fixturenames:
            metafunc.parametrize("other", self.others)

    async def _reads_a_file(self, stage: Stage, wire: str) -> None:
        await stage.open(**{wire: ["key-one-of-the-harbour"]})
        (stage.work / "manifest.txt").write_text(f"{CARGO}\n")
        stage.upstream.in_turn(reads(self.cli, stage), Say(ANSWER))
        ran = await self.run(stage, wire)
        assert ran.code == 0, ran
        assert ANSWER in ran.out
        first, second = stage.upstream.asked
        assert {first.wire, second.wire} == {wire}
        assert CARGO.encode() not in first.request.body
        assert CARGO.encode() in second.request.body

    async def test_an_account_is_exhausted_in_the_middle_of_a_session(self, stage: Stage) -> None:
        """The CLI never notices."""
        wire = self.cli.wire
        await stage.open(**{wire: ["key-one-of-the-harbour", "key-two-of-the-harbour"]})
        (stage.work / "manifest.txt").write_text(f"{CARGO}\n")
        stage.upstream.in_turn(reads(self.cli, stage), exhausted(wire, AWAY_SECONDS), Say(ANSWER))
        ran = await self.run(stage, wire)
        assert ran.code == 0, ran
        assert ANSWER in ran.out
        assert "allowance" not in ran.told
        _, refused, answered = stage.upstream.asked
        assert {refused.key, answered.key} == {"key-one-of-the-harbour", "key-two-of-the-harbour"}
        assert refused.request.body == answered.request.body

    async def test_nobody_is_left(self, stage: Stage) -> None:
        """The CLI says so at once, and when it is worth coming back."""
        wire = self.cli.wire
        await stage.open(**{wire: ["key-one-of-the-harbour", "key-two-of-the-harbour"]})
        stage.upstream.in_turn(exhausted(wire, AWAY_SECONDS))
        ran = await self.run(stage, wire)
        check_at_once(ran, stage)
        assert WHEN.search(ran.told), ran
        assert sorted({each.key for each in stage.upstream.asked}) == [
            "key-one-of-the-harbour",
            "key-two-of-the-harbour",
        ]
        assert len(stage.upstream.asked) == 2, "an exhausted account was asked again"

    async def test_the_upstream_dies_in_the_middle_of_an_answer(self, stage: Stage) -> None:
        """What was said is lost, and said again."""
        await stage.open(**{self.cli.wire: ["key-one-of-the-harbour", "key-two-of-the-harbour"]})
        stage.upstream.in_turn(Break(Say("It lists nothing at all, I fear.")), Say(ANSWER))
        ran = await self.run(stage, self.cli.wire)
        assert ran.code == 0, ran
        assert ANSWER in ran.out
        assert len(stage.upstream.asked) == 2


class Settled:
    """For those that can be set up."""

    cli: Cli

    async def test_setup_and_undo(self, stage: Stage) -> None:
        """Without any variable of ours: the CLI's own files lead it here, and no more when it is undone."""
        await stage.open(**{self.cli.wire: ["key-one-of-the-harbour"]})
        stage.upstream.in_turn(Say(ANSWER))
        before = stage.files()
        wish = ("--url", stage.url, "--model", MODELS[self.cli.wire])
        ran = await stage.run("proxy", "setup", "--yes", *wish, self.cli.name, PROXY_KEY=CLIENT_KEY)
        assert ran.code == 0, ran
        assert f"answered: {ANSWER}" in ran.told
        assert CLIENT_KEY not in ran.told
        assert {asked.model for asked in stage.upstream.asked} == {MODELS[self.cli.wire]}
        ran = await stage.run(self.cli.name, *self.cli.arguments, PROMPT)
        assert (ran.code, ANSWER in ran.out) == (0, True), ran
        ran = await stage.run("proxy", "setup", "--undo", "--yes", self.cli.name)
        assert ran.code == 0, ran
        assert CLIENT_KEY not in ran.told
        after = stage.files()
        assert {path: _own(after[path]) for path in before} == {path: _own(text) for path, text in before.items()}
        assert [path for path, text in after.items() if CLIENT_KEY in text] == []


def _own(text: str) -> object:
    """What a user wrote into a file of settings; CLIs note in it what version it has."""
    try:
        value = msgspec.json.decode(text)
    except ValueError:
        return text
    return {key: item for key, item in value.items() if not key.startswith("$")} if isinstance(value, dict) else value


class Live:
    """For those that show an answer as it comes."""

    cli: Cli

    async def test_an_answer_is_there_as_it_comes_and_nobody_goes_on_when_the_cli_is_gone(self, stage: Stage) -> None:
        """The upstream says the other half only to whoever has shown the first, which is never."""
        await stage.open(**{self.cli.wire: ["key-one-of-the-harbour"]})
        stage.upstream.in_turn(Break(Say(ANSWER), fault="stall"))
        async with self.showing(stage, ANSWER[: len(ANSWER) // 2].rstrip()):
            gone = self.gone(stage)
            assert not gone.is_set()
        async with asyncio.timeout(SECONDS_MAX):
            await gone.wait()

    @asynccontextmanager
    async def showing(self, stage: Stage, words: str) -> AsyncIterator[None]:
        """The CLI has been asked, and shows those words of the answer; it is killed at the end."""
        arguments = run_arguments(self.cli, stage, self.cli.wire, *self.cli.live)
        process = await stage.started(*arguments, PROXY_KEY=CLIENT_KEY)
        try:
            assert process.stdout is not None
            await until_said(process.stdout.read, words)
            yield
        finally:
            await killed(process)

    def gone(self, stage: Stage) -> asyncio.Event:
        """Set when nobody listens any more to the upstream's answer."""
        (asked,) = stage.upstream.asked
        return next(each.gone for each in stage.server.requests if each.request is asked.request)


async def until_said(read: Callable[[int], Awaitable[bytes]], words: str) -> str:
    """What has come when those words have."""
    said = ""
    async with asyncio.timeout(SECONDS_MAX):
        while words not in said:
            data = await read(4096)
            assert data, f"it ended, and had said: {said}"
            said += data.decode(errors="replace")
    return said


def check_at_once(ran: Ran, stage: Stage) -> None:
    """It has said that nobody is left when that was so."""
    told_at = stage.upstream.answered_at
    assert ran.ended_at - told_at < PAUSE_SECONDS_MAX + PAUSES_MAX * (told_at - ran.began_at), ran


def check_own_request(said: Said, asked: Asked, replaced: dict[str, str]) -> None:
    """Byte for byte, but for the connection's headers and what is named in `replaced` (lower-case header → its value at
    the upstream; empty: gone).
    """
    assert asked.request.body == said.body
    assert dict(asked.request.query) == dict(parse_qsl(urlsplit(said.target).query))
    told, own = (
        [(name, value) for name, value in headers if name.lower() not in {*HOP, *replaced}]
        for headers in (asked.request.headers, said.headers)
    )
    assert told == own
    for name, value in replaced.items():
        assert [each for each in asked.request.headers if each[0].lower() == name] == ([(name, value)] if value else [])


HOP = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "content-encoding", "accept-encoding"},
)
"""Of the connection; the last says what we can undo ourselves."""
