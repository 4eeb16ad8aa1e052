"""One conversation in a CLI that speaks the Agent Client Protocol: what is expected of it, and where it stands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from proxy.hub.residue import JsonObject, JsonValue
from proxy.upstream.acp_exchange import Exchange
from proxy.upstream.acp_script import Called, Fate

READY_SECONDS_MAX = 30.0
"""After the end of an answer, until the CLI waits for what comes next: some milliseconds; seconds where the machine is
so busy that a new conversation would be there no sooner.
"""


@dataclass(slots=True, eq=False)
class Conversation:
    """`key`: where the CLI finds the caller's tools. `id`: the CLI's own name for it. `edition`: of the instructions
    that the process knew as it began. `expected`: what becomes of its next request; None: nobody wants one.
    `pending`: the calls that it waits for the results of. `is_broken`: it knows another conversation than its caller.
    """

    key: str
    tools: tuple[JsonObject, ...]
    instructions: str
    model: str
    edition: int
    id: str = ""
    expected: bytes | Fate | Exchange | None = None
    pending: tuple[Called, ...] = ()
    is_broken: bool = False
    asking: asyncio.Task[None] | None = None
    _is_parked: bool = False
    _results: list[tuple[Called, JsonObject]] = field(default_factory=list)
    _has_results: asyncio.Event = field(default_factory=asyncio.Event)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_silent(self) -> bool:
        """No prompt is under way."""
        return self.asking is None or self.asking.done()

    async def ready(self, *, for_results: bool) -> bool:
        """Whether more can be said to it: the results of its calls, or a prompt."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS_MAX):
                while not (self.is_broken or self.is_silent or (for_results and self._is_parked)):
                    self._moved.clear()
                    await self._moved.wait()
        return not self.is_broken and self.is_silent != for_results

    async def has_asked(self) -> None:
        """Until its request has come, or never will."""
        while self.expected is not None and not self.is_broken:
            self._moved.clear()
            await self._moved.wait()

    def taken(self) -> bytes | Fate | Exchange | None:
        """Its request has come."""
        expected, self.expected = self.expected, None
        self.moved()
        return expected

    def moved(self) -> None:
        self._moved.set()

    def fail(self, error: Exception) -> None:
        """Its request will not come."""
        expected = self.taken()
        if isinstance(expected, Exchange):
            expected.fail(error)
        elif expected is not None:
            self.is_broken = True

    def let_go(self) -> None:
        self.is_broken = True
        self._has_results.set()
        self.moved()

    # the caller's tools

    def carried_out(self, calls: Sequence[Called], results: Sequence[JsonObject]) -> None:
        """All that it waits for."""
        self._results += zip(calls, results, strict=True)
        self.pending = ()
        self._has_results.set()

    async def carry_out(self, tool: str, arguments: JsonValue) -> JsonObject:
        """What this call brings, by the tool's own name. Waits for the caller. Some CLIs call several at once, in any
        order.
        """
        if not self._results:
            self._is_parked = True
            self.moved()
        while not (self._results or self.is_broken):
            self._has_results.clear()
            await self._has_results.wait()
        self._is_parked = False
        if not self._results:
            return {"content": [{"type": "text", "text": "nobody carries it out"}], "isError": True}
        _, result = self._results.pop(self._found(tool, arguments))
        return result

    def _found(self, tool: str, arguments: JsonValue) -> int:
        """Which of the results is meant."""
        for at, (call, _) in enumerate(self._results):
            if call.name.endswith(tool) and call.arguments == arguments:
                return at
        return 0

    def served(self, method: str, params: Mapping[str, object]) -> JsonObject:
        """The answer to what it asks as a client of MCP (revision 2025-06-18), but for a call of a tool."""
        match method:
            case "initialize":
                server: JsonObject = {"name": "caller", "version": "1"}
                version = str(params.get("protocolVersion"))
                return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
            case "tools/list":
                return {"tools": [*self.tools]}
            case _:
                return {}
