"""One conversation in a CLI that speaks the Agent Client Protocol: what is expected of it, and where it stands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from proxy.hub.residue import JsonObject
from proxy.upstream.acp_exchange import Exchange
from proxy.upstream.acp_script import Called, Fate

READY_SECONDS_MAX = 5.0
"""After the end of an answer, until the CLI waits for what comes next: some milliseconds."""


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
    _results: asyncio.Queue[JsonObject | None] = field(default_factory=asyncio.Queue)
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
        self._results.put_nowait(None)
        self.moved()

    # the caller's tools

    def carried_out(self, results: Sequence[JsonObject]) -> None:
        """All calls that it waits for. It takes the results one by one."""
        self.pending = ()
        for result in results:
            self._results.put_nowait(result)

    async def carry_out(self) -> JsonObject:
        """What its next call brings. Waits for the caller."""
        if self._results.empty():
            self._is_parked = True
            self.moved()
        result = await self._results.get()
        self._is_parked = False
        return result or {"content": [{"type": "text", "text": "nobody carries it out"}], "isError": True}

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
