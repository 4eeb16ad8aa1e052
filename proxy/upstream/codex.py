"""ChatGPT's Codex backend, asked by the account's own Codex: for every caller but Codex itself.

A call is a turn of a conversation that a Codex knows already, or of a new one that is told its history. What the
backend answers comes back untouched (`proxy.upstream.codex_relay`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from proxy.errors import Broken
from proxy.hub.residue import JsonObject
from proxy.upstream.base import Answer, Call, CliAccount, Upstream
from proxy.upstream.cli_choice import Home, Seats, Wish
from proxy.upstream.cli_login import bearer
from proxy.upstream.cli_pool import Busy, CliPool
from proxy.upstream.cli_sessions import Sessions
from proxy.upstream.cli_traces import CliTraces
from proxy.upstream.cli_worker import Kind
from proxy.upstream.codex_process import CodexProcess
from proxy.upstream.codex_relay import ACCOUNT_HEADERS, CodexRelay, Way
from proxy.upstream.codex_request import read_turn
from proxy.upstream.codex_start import CodexStarter
from proxy.upstream.codex_turn import CodexTurn, can_follow, refusal

SEATS = Seats(at_once=32, conversations_max=300)
"""A conversation takes 1.7 MB, until a minute after it was let go; what a process has taken, it keeps."""
SEAT_SECONDS_MAX = 30.0
_BACKEND = "/codex/responses"


class Codex:
    """`proxy.upstream.base.Upstream`. `http`: by which Codex's own requests go on. `data`: the auth-dir. `ours`: our
    environment. `clock`: monotonic seconds.
    """

    def __init__(
        self,
        pool: CliPool,
        http: Upstream,
        *,
        data: Path,
        traces: CliTraces,
        ours: Mapping[str, str],
        clock: Callable[[], float],
    ) -> None:
        self._pool = pool
        self._relay = CodexRelay(http, clock=clock)
        self._starter = CodexStarter(data, ours, traces=traces, relay=self._relay)
        self._sessions = Sessions(traces.state)
        self._ways: dict[str, tuple[Way, str]] = {}
        """By variant, and the token with which is asked."""
        self._kind = Kind(name="codex", start=self._start, seats=SEATS)

    async def send(self, call: Call) -> Answer:
        account = call.account
        if account is None or account.home is None or not call.url.endswith(_BACKEND):
            raise Broken("this account has no login of Codex's")
        try:
            turn = read_turn(call.body)
        except (ValueError, RecursionError) as error:
            return refusal(400, f"the request cannot be read: {error}")
        name = f"codex-{call.session}" if call.is_resuming and call.session else ""
        if name and not turn.has_history:
            turn = turn.after(await self._sessions.said(name))
        way = Way(base=call.url.removesuffix(_BACKEND), proxy_url=call.proxy_url)
        home = Home(kind=self._kind.name, account=account.id, variant=_variant(call, way))
        self._ways[home.variant] = way, bearer(call)
        wish = Wish(
            home=home,
            session=call.session,
            terms=turn.terms,
            said=turn.said,
            accepts=lambda kept: can_follow(turn, kept),
        )
        try:
            claim = await self._pool.claim(self._kind, account, wish, seconds=SEAT_SECONDS_MAX)
        except Busy as error:
            return refusal(503, str(error))

        def remember(items: Sequence[JsonObject]) -> None:
            if name:
                self._sessions.keep(name, items)

        return await CodexTurn(claim, call, turn, remember).run()

    async def close(self) -> None:
        """After the pool."""
        await self._sessions.close()
        await self._relay.close()

    async def _start(self, account: CliAccount, variant: str) -> CodexProcess:
        assert account.home is not None
        return await self._starter.start(account.home, *self._ways[variant])


def _variant(call: Call, way: Way) -> str:
    """What is said to a process when it is started, and never again: another token is another process."""
    login = [value for name, value in call.headers if name in ACCOUNT_HEADERS]
    return hashlib.sha256("\0".join([way.base, way.proxy_url or "", *login]).encode()).hexdigest()[:16]
