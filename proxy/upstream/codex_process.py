"""One ``codex app-server`` and the conversations in it: begun, gone on with, interrupted, let go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auth.cli.dialogue import APP_SERVER, Dialogue, Refusal
from auth.cli.process import CliProcess, Ended
from auth.document import JsonValue
from auth.logins.codex import CLIENT
from proxy.errors import Broken
from proxy.hub.residue import JsonObject
from proxy.upstream import codex_settings as settings
from proxy.upstream.cli_traces import CliTraces, resident_bytes
from proxy.upstream.codex_relay import CodexRelay, Line, Unasked
from proxy.upstream.codex_request import Turn

READY_SECONDS_MAX = 30.0
"""After the end of an answer, until Codex waits for what comes next: some milliseconds; seconds where the machine is so
busy that a new thread would be there no sooner.
"""
_UNWANTED: tuple[JsonValue, ...] = (
    "account/rateLimits/updated", "item/agentMessage/delta", "item/completed", "item/reasoning/summaryPartAdded",
    "item/reasoning/summaryTextDelta", "item/reasoning/textDelta", "item/started", "thread/settings/updated",
    "thread/started", "thread/status/changed", "thread/tokenUsage/updated", "turn/started",
)  # fmt: skip
"""What the answer itself has told already."""


@dataclass(slots=True, eq=False)
class Thread:
    """One conversation. `pending`: the calls whose results its turn waits for; `parked`: those that Codex has asked us
    to carry out, each with the name of its question. `is_broken`: it knows another conversation than its caller.
    """

    id: str
    tools: frozenset[str]
    turn: str = ""
    is_over: bool = True
    """No turn is under way."""
    pending: frozenset[str] = frozenset()
    parked: dict[str, JsonValue] = field(default_factory=dict)
    schema: JsonValue = None
    """That its turn's answer is held to."""
    is_broken: bool = False
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    asking: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        return self.pending <= self.parked.keys() if self.pending else self.is_over

    async def ready(self) -> bool:
        """Whether more can be said to it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS_MAX):
                while not (self.is_ready or self.is_broken):
                    self.moved.clear()
                    await self.moved.wait()
        return self.is_ready and not self.is_broken


class CodexProcess:
    """`proxy.upstream.cli_worker.Worker`. `folder`: all that it has on disk, removed with it."""

    def __init__(self, process: CliProcess, folder: Path, line: Line, *, traces: CliTraces, relay: CodexRelay) -> None:
        self.line = line
        self._process = process
        self._folder = folder
        self._traces = traces
        self._relay = relay
        self._threads: dict[str, Thread] = {}
        self._errands: set[asyncio.Task[None]] = set()
        line.on_stray = self._strayed
        self._dialogue = Dialogue(
            process, APP_SERVER, on_event=self._heard, on_request=self._asked, on_end=lambda _ended: self._gone()
        )

    async def open(self) -> None:
        """Raises `Broken`, `Ended`, `Refusal` or `TimeoutError` where it cannot serve."""
        capabilities: JsonObject = {"experimentalApi": True, "optOutNotificationMethods": [*_UNWANTED]}
        told = await self._dialogue.ask("initialize", {"clientInfo": dict(CLIENT), "capabilities": capabilities})
        await self._dialogue.tell({"method": "initialized"})
        why = settings.refusal(str(told.get("userAgent")))
        if why is not None:
            raise Broken(f"the codex CLI is not used: {why}")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return not self._dialogue.is_over

    def memory_bytes(self) -> int:
        return resident_bytes(self.pid)

    def forget(self, note: object) -> None:
        if isinstance(note, Thread):
            self.let_go(note)

    async def close(self) -> None:
        for errand in self._errands:
            errand.cancel()
        self._gone()
        with contextlib.suppress(Ended):
            await self._dialogue.close()
        await asyncio.to_thread(self._traces.remove, self._folder)

    # conversations; each raises `Ended`, `Refusal`, `TimeoutError`

    async def begin(self, turn: Turn) -> Thread:
        cwd = str(self._folder / settings.EMPTY)
        told = await self._dialogue.ask("thread/start", {**turn.thread, "cwd": cwd})
        thread = Thread(id=_id(told.get("thread")), tools=turn.tools)
        self._threads[thread.id] = thread
        return thread

    async def ask(self, thread: Thread, items: Sequence[JsonObject], turn: Turn) -> None:
        """Begins a turn, whose request then comes by the line."""
        thread.is_over = False
        thread.asking = self._errand(self._ask(thread, items, turn))
        await asyncio.shield(thread.asking)

    async def _ask(self, thread: Thread, items: Sequence[JsonObject], turn: Turn) -> None:
        await self._dialogue.ask("thread/inject_items", {"threadId": thread.id, "items": [*items]})
        told = await self._dialogue.ask("turn/start", {**turn.turn, "threadId": thread.id})
        thread.turn = _id(told.get("turn"))

    async def answer(self, thread: Thread, results: Mapping[str, JsonObject]) -> None:
        """The results of all calls that its turn waits for; the turn goes on."""
        parked, thread.parked, thread.pending = thread.parked, {}, frozenset()
        for call, result in results.items():
            await self._dialogue.tell({"id": parked[call], "result": result})

    def let_go(self, thread: Thread) -> None:
        """Whatever it is doing is interrupted; it is of no more use."""
        thread.is_broken = True
        thread.moved.set()
        if self._threads.pop(thread.id, None) is not None and self.is_alive:
            self._errand(self._let_go(thread))

    async def _let_go(self, thread: Thread) -> None:
        if thread.asking is not None:
            await asyncio.wait([thread.asking])
        if not thread.is_over and thread.turn:
            await self._dialogue.ask("turn/interrupt", {"threadId": thread.id, "turnId": thread.turn})
        await self._dialogue.ask("thread/unsubscribe", {"threadId": thread.id})

    def _errand(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._errands.add(task)
        task.add_done_callback(self._run)
        return task

    def _run(self, errand: asyncio.Task[None]) -> None:
        self._errands.discard(errand)
        if not errand.cancelled():
            errand.exception()  # whoever waits for it hears it, too

    # what it says unasked

    def _heard(self, message: Mapping[str, JsonValue]) -> None:
        params = message.get("params")
        if message.get("method") != "turn/completed" or not isinstance(params, dict):
            return
        name = str(params.get("threadId"))
        thread = self._threads.get(name)
        if thread is not None:
            thread.is_over = True
            thread.moved.set()
        exchange = self.line.expected.pop(name, None)
        if exchange is not None:
            exchange.fail(Unasked(f"the codex CLI asked nobody: {_error(params.get('turn'))}"))

    def _asked(self, message: Mapping[str, JsonValue]) -> bool:
        params = message.get("params")
        if message.get("method") != "item/tool/call" or not isinstance(params, dict):
            return False
        thread = self._threads.get(str(params.get("threadId")))
        if thread is None:
            return False
        thread.parked[str(params.get("callId"))] = message["id"]
        thread.moved.set()
        return True

    def _strayed(self, name: str) -> None:
        """It goes on by itself: it has answered a call that was its caller's, or tries again."""
        thread = self._threads.get(name)
        if thread is not None:
            self.let_go(thread)

    def _gone(self) -> None:
        for thread in self._threads.values():
            thread.is_broken = True
            thread.moved.set()
        self._relay.remove(self.line)


def _id(value: JsonValue) -> str:
    """Raises `Refusal`."""
    name = value.get("id") if isinstance(value, dict) else None
    if not isinstance(name, str):
        raise Refusal("it named nothing that it had begun")
    return name


def _error(turn: JsonValue) -> str:
    error = turn.get("error") if isinstance(turn, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return str(message or "it did not say why")[:300]
