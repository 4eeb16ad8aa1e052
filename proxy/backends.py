"""The official CLIs that ask for accounts: one pool of their processes, and an upstream for each kind."""

from __future__ import annotations

import os
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from proxy.dispatch.clock import Clock
from proxy.hub.residue import JsonObject
from proxy.upstream import cli_health
from proxy.upstream.acp import PROFILES, Acp
from proxy.upstream.base import Upstream
from proxy.upstream.claude_code import ClaudeCode
from proxy.upstream.cli_choice import room_for
from proxy.upstream.cli_pool import CliPool
from proxy.upstream.cli_traces import CliTraces, memory_bytes
from proxy.upstream.codex import Codex


class Backends:
    """`clear` before the first is asked, `close` at the end."""

    def __init__(self, folder: Path, *, clock: Clock, log: FilteringBoundLogger) -> None:
        """`folder`: of the accounts."""
        self._folder = folder
        self._clock = clock
        self._traces = CliTraces(folder / "state")
        self._pool = CliPool(clock=clock.monotonic, log=log, room=room_for(memory_bytes()))

    def upstreams(self, http: Upstream) -> dict[str, Upstream]:
        """By executor. `http`: by which some of them ask."""
        pool, folder, traces = self._pool, self._folder, self._traces
        return {
            "claude-code": ClaudeCode(pool, data=folder, traces=traces, ours=os.environ),
            "codex": Codex(pool, http, data=folder, traces=traces, ours=os.environ, clock=self._clock.monotonic),
            **{
                profile.name: Acp(profile, pool, http, data=folder, traces=traces, ours=os.environ)
                for profile in PROFILES
            },
        }

    def clear(self) -> None:
        """What processes of a server that was killed have left behind. Blocks."""
        self._traces.clear()

    def health(self) -> JsonObject:
        return cli_health.health(self._pool)

    async def close(self) -> None:
        await self._pool.close()
