"""One process of an ACP CLI and the conversations in it: begun, gone on with, let go.

All of its conversations are instructed by one file. Some CLIs read it as a conversation begins. With others each
conversation reads it again whenever another begins, and when it is made to: there one at a time is told something, with
its own instructions in the file, until its request has come. The relay looks at each request, whether it is under the
right ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Coroutine
from pathlib import Path

from auth.cli.dialogue import AGENT_CLIENT, Dialogue, Refusal
from auth.cli.process import CliProcess, Ended
from auth.document import JsonValue
from proxy.errors import Broken
from proxy.upstream.acp_conversation import Conversation
from proxy.upstream.acp_exchange import Exchange
from proxy.upstream.acp_profile import AcpProfile
from proxy.upstream.acp_relay import AcpRelay, Line
from proxy.upstream.acp_script import Fate, Results, Say, Step, Turn
from proxy.upstream.cli_traces import CliTraces, resident_bytes

HOME = "home"
INSTRUCTIONS = "instructions.md"
TALKS = "talks"
"""Where the conversations have their folders."""
_VERSION_PARTS = 3
SPARES_MAX = 4
KNOWN_MAX = 64
SPARE_DELAY_SECONDS = 0.2
"""Beginning one takes the CLI 30 ms and more, which the turn that has just begun needs itself."""


class AcpProcess:
    """`proxy.upstream.cli_worker.Worker`. `folder`: all that it has on disk, removed with it."""

    def __init__(
        self,
        profile: AcpProfile,
        process: CliProcess,
        folder: Path,
        line: Line,
        *,
        traces: CliTraces,
        relay: AcpRelay,
    ) -> None:
        self._profile = profile
        self._process = process
        self._folder = folder
        self._line = line
        self._traces = traces
        self._relay = relay
        self._door = asyncio.Lock()
        self._floor = asyncio.Lock()
        self._instructions = ""
        self._edition = 0
        self._serial = 0
        self._folders: dict[bytes, Path] = {}
        """That conversations of the same terms share."""
        self._spares: dict[bytes, Conversation] = {}
        """By their terms: begun before anybody asked."""
        self._known: dict[bytes, None] = {}
        """The terms of the latest conversations."""
        self._errands: set[asyncio.Task[None]] = set()
        self._dialogue = Dialogue(process, AGENT_CLIENT, on_end=lambda _ended: self._gone())

    async def open(self) -> None:
        """Raises `Broken`, `Ended`, `Refusal` or `TimeoutError` where it cannot serve."""
        told = await self._dialogue.ask("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
        info = told.get("agentInfo")
        version = str(info.get("version")) if isinstance(info, dict) else ""
        if (why := outdated(self._profile, version)) is not None:
            raise Broken(why)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return not self._dialogue.is_over

    def memory_bytes(self) -> int:
        return resident_bytes(self.pid)

    def forget(self, note: object) -> None:
        if isinstance(note, Conversation):
            self.let_go(note)

    async def close(self) -> None:
        for errand in self._errands:
            errand.cancel()
        self._gone()
        with contextlib.suppress(Ended):
            await self._dialogue.close()
        await asyncio.to_thread(self._traces.remove, self._folder)

    # conversations; each raises `Ended`, `Refusal`, `TimeoutError`, `Broken`

    async def begin(self, turn: Turn) -> Conversation:
        conversation = self._spares.pop(turn.terms, None) or await self._begun(turn)
        if turn.terms in self._known:
            self._errand(self._spare(turn))
        self._known[turn.terms] = None
        while len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        return conversation

    async def _spare(self, turn: Turn) -> None:
        """For the next that begins alike, which would wait for it."""
        await asyncio.sleep(SPARE_DELAY_SECONDS)
        if turn.terms in self._spares:
            return
        self._spares[turn.terms] = await self._begun(turn)
        if len(self._spares) > SPARES_MAX:
            self.let_go(self._spares.pop(next(iter(self._spares))))

    async def _begun(self, turn: Turn) -> Conversation:
        conversation = Conversation(
            key=secrets.token_hex(16),
            tools=turn.tools,
            instructions=turn.instructions,
            model=turn.model,
            edition=self._edition,
        )
        self._line.tools[conversation.key] = conversation
        try:
            conversation.id = await self._new(turn, self._servers(conversation))
        finally:
            if not conversation.id:
                self._line.tools.pop(conversation.key, None)
        self._line.conversations[conversation.id] = conversation
        return conversation

    async def _new(self, turn: Turn, servers: list[JsonValue]) -> str:
        """One after the other: some read what they all have in one place, and Gemini CLI has a lock on its list of
        folders, and waits twice as long each time that it finds it taken.
        """
        async with self._door:
            folder = self._place(turn)
            self._furnish(folder, turn)
            told = await self._dialogue.ask("session/new", {"cwd": str(folder), "mcpServers": servers})
        return str(told.get("sessionId"))

    def _place(self, turn: Turn) -> Path:
        known = self._folders.get(turn.terms)
        if known is not None:
            return known
        self._serial += 1
        folder = self._folder / TALKS / f"{self._serial}"
        folder.mkdir(mode=0o700)
        if self._profile.shares_folders and not turn.tools:
            self._folders[turn.terms] = folder
        return folder

    def _furnish(self, folder: Path, turn: Turn) -> None:
        if not self._profile.rereading:
            _write(self._folder / INSTRUCTIONS, turn.instructions.encode())
        for name in (self._profile.settings, *self._profile.empty_files):
            (folder / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(folder / name, turn.settings if name == self._profile.settings else b"")

    def _servers(self, conversation: Conversation) -> list[JsonValue]:
        if not conversation.tools:
            return []
        address = self._line.tools_address(conversation)
        return [{"type": "http", "name": self._profile.server, "url": address, "headers": []}]

    async def tell(self, conversation: Conversation, step: Step, expected: bytes | Fate | Exchange) -> None:
        """Says it, and waits for the request that comes of it."""
        async with self._floor if self._profile.rereading else contextlib.nullcontext():
            await self._instruct(conversation)
            conversation.expected = expected
            match step.told:
                case Say(blocks=blocks):
                    prompt = self._prompt(conversation.id, [*blocks])
                    conversation.asking = self._errand(self._prompted(conversation, prompt))
                case Results(calls=calls, results=results):
                    conversation.carried_out(calls, results)
            await conversation.has_asked()

    async def _instruct(self, conversation: Conversation) -> None:
        """It may have read the file at any moment since it began; as long as that said the same, it need not again."""
        if not self._profile.rereading:
            return
        if self._instructions != conversation.instructions:
            _write(self._folder / INSTRUCTIONS, conversation.instructions.encode())
            self._instructions = conversation.instructions
            self._edition += 1
        if conversation.edition != self._edition:
            for mode in self._profile.rereading:
                await self._dialogue.ask("session/set_mode", {"sessionId": conversation.id, "modeId": mode})
            conversation.edition = self._edition

    async def _prompt(self, conversation: str, blocks: list[JsonValue]) -> None:
        await self._dialogue.ask("session/prompt", {"sessionId": conversation, "prompt": blocks}, seconds=None)

    async def _prompted(self, conversation: Conversation, prompt: Coroutine[None, None, None]) -> None:
        why = "it had nothing to ask"
        try:
            await prompt
        except Refusal as error:
            why = " ".join(str(error).split())[:300]
        finally:
            conversation.fail(Broken(f"the {self._profile.cli.name} CLI asked nobody: {why}"))
            asyncio.get_running_loop().call_soon(conversation.moved)  # when this errand is over

    def let_go(self, conversation: Conversation) -> None:
        """Whatever it is doing is interrupted; it is of no more use."""
        conversation.let_go()
        self._line.tools.pop(conversation.key, None)
        if self._line.conversations.pop(conversation.id, None) is not None and self.is_alive:
            self._errand(self._cancel(conversation))

    async def _cancel(self, conversation: Conversation) -> None:
        if conversation.asking is not None and not conversation.asking.done():
            params: JsonValue = {"sessionId": conversation.id}
            await self._dialogue.tell({"jsonrpc": "2.0", "method": "session/cancel", "params": params})

    def _errand(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._errands.add(task)
        task.add_done_callback(self._run)
        return task

    def _run(self, errand: asyncio.Task[None]) -> None:
        self._errands.discard(errand)
        if not errand.cancelled():
            errand.exception()  # whoever waits for what it does hears of it in another way

    def _gone(self) -> None:
        for conversation in [*self._line.tools.values()]:
            conversation.fail(Broken(f"the {self._profile.cli.name} CLI has ended"))
            conversation.let_go()
        self._line.tools.clear()
        self._line.conversations.clear()
        self._relay.remove(self._line)


def outdated(profile: AcpProfile, version: str) -> str | None:
    """Why a version is not used; None: it is."""
    numbers = tuple(int(each) for each in version.partition("-")[0].split(".") if each.isdecimal())
    if len(numbers) == _VERSION_PARTS and numbers >= profile.version_min:
        return None
    least = ".".join(map(str, profile.version_min))
    told = version or "of an unknown version"
    return (
        f"{profile.cli.whose} {told} is not known to heed all that it must be told to serve other clients, as {least} "
        f"is; get that with: proxy cli install {profile.cli.name}"
    )


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: the CLI may read it at any moment."""
    new = path.with_name(f".{path.name}")
    new.touch(mode=0o600)
    new.write_bytes(content)
    new.replace(path)
