"""Providers that are asked by the account's own CLI over the Agent Client Protocol: for every caller but that CLI.

A call is a turn of a conversation that a process knows already, or of a new one that is told its history. What the
provider answers comes back as it is (`proxy.upstream.acp_relay`). What CLI it is, is data (`PROFILES`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from proxy.errors import Broken
from proxy.hub.residue import JsonObject
from proxy.upstream import gemini_settings, opencode_settings, qwen_settings
from proxy.upstream.acp_process import AcpProcess
from proxy.upstream.acp_profile import AcpProfile
from proxy.upstream.acp_relay import AcpRelay
from proxy.upstream.acp_start import AcpStarter
from proxy.upstream.acp_turn import AcpTurn, can_follow
from proxy.upstream.base import Answer, Call, CliAccount, Upstream
from proxy.upstream.cli_choice import Home, Wish
from proxy.upstream.cli_pool import Busy, CliPool
from proxy.upstream.cli_sessions import Sessions
from proxy.upstream.cli_traces import CliTraces
from proxy.upstream.cli_worker import Kind
from proxy.upstream.own_answer import Told

PROFILES: tuple[AcpProfile, ...] = (gemini_settings.PROFILE, qwen_settings.PROFILE, opencode_settings.PROFILE)
SEAT_SECONDS_MAX = 30.0


class Acp:
    """`proxy.upstream.base.Upstream`. `http`: by which the CLI's own requests go on. `data`: the auth-dir. `ours`: our
    environment.
    """

    def __init__(
        self,
        profile: AcpProfile,
        pool: CliPool,
        http: Upstream,
        *,
        data: Path,
        traces: CliTraces,
        ours: Mapping[str, str],
    ) -> None:
        self._profile = profile
        self._pool = pool
        self._relay = AcpRelay(profile, http)
        self._starter = AcpStarter(profile, data, ours, traces=traces, relay=self._relay)
        self._sessions = Sessions(traces.state)
        self._kind = Kind(name=profile.name, start=self._start, seats=profile.seats)

    async def send(self, call: Call) -> Answer:
        profile, account = self._profile, call.account
        if account is None:
            raise Broken(f"this account has no login of {profile.cli.whose}'s")
        name = f"{profile.name}-{call.session}" if call.is_resuming and call.session else ""
        try:
            if name:
                call = replace(call, body=profile.resumed(call.body, await self._sessions.said(name)))
            turn = profile.read(call)
        except (ValueError, RecursionError) as error:
            return Told(400, profile.refusal(400, f"the request cannot be told to {profile.cli.whose}: {error}"))
        wish = Wish(
            home=Home(kind=self._kind.name, account=account.id, variant=account.project),
            session=call.session,
            terms=turn.terms,
            said=turn.said,
            accepts=lambda kept: can_follow(turn, kept),
        )
        try:
            claim = await self._pool.claim(self._kind, account, wish, seconds=SEAT_SECONDS_MAX)
        except Busy as error:
            return Told(503, profile.refusal(503, str(error)))

        def remember(parts: Sequence[JsonObject]) -> None:
            if name:
                self._sessions.keep(name, profile.said(call.body, parts))

        return await AcpTurn(profile, claim, call, turn, remember).run()

    async def close(self) -> None:
        """After the pool."""
        await self._sessions.close()
        await self._relay.close()

    async def _start(self, _account: CliAccount, project: str) -> AcpProcess:
        return await self._starter.start(project)
