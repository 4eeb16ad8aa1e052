"""What the usage ledger knows of client keys: what is used of their budgets, and whose part of a window is whose."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from structlog.typing import FilteringBoundLogger

from auth.quota import HOUR
from proxy.observe.database import Connection
from proxy.observe.ledger import Ledger, Unusable
from proxy.observe.usage_queries import Filter, tokens_by_hour, totals
from proxy.server.limits import Limits
from proxy.server.periods import PERIODS, Per, period_of
from proxy.server.shares import Shares
from proxy.server.spending import Amount

REFRESH_SECONDS = 60.0


class Recollection:
    def __init__(self, ledger: Ledger, limits: Limits, shares: Shares, log: FilteringBoundLogger) -> None:
        self._ledger = ledger
        self._limits = limits
        self._shares = shares
        self._log = log

    async def recall(self) -> None:
        """At the start, before anybody is served."""
        if not self._ledger.exists:
            return
        try:
            found = await asyncio.to_thread(self._ledger.read, self._spent)
        except Unusable as error:
            self._log.warning("budgets.not_recalled", why=str(error), still="they begin anew")
            return
        unix = self._limits.unix()
        for per, name, amount in found:
            self._limits.spending.remember(name, per, amount, unix)
        await self.refresh()

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Only where a budget is in quotas."""
        limits, now = self._limits, self._limits.now()
        windows = [*self._shares.windows(now)] if limits.is_sharing else []
        if not windows or not self._ledger.exists:
            return
        begins = {(account, window.slot): limits.unix() - now + _begin(window.resets_at, window.seconds, now)
                  for account, window in windows}  # fmt: skip
        since = min(begins.values()) // HOUR * HOUR
        try:
            rows = await asyncio.to_thread(
                self._ledger.read, lambda connection: [*tokens_by_hour(connection, since=since)]
            )
        except Unusable as error:
            self._log.warning("quota_shares.not_recalled", why=str(error))
            return
        for account, window in windows:
            taken: defaultdict[str, int] = defaultdict(int)
            for credential, key, hour, tokens in rows:
                if credential == account and hour + HOUR > begins[account, window.slot]:
                    taken[key] += tokens
            self._shares.learn(account, window, taken)

    def _spent(self, connection: Connection) -> list[tuple[Per, str, Amount]]:
        unix = self._limits.unix()
        return [
            (per, str(row["name"]), Amount(int(str(row["tokens"])), float(str(row["cost_known"]))))
            for per in PERIODS
            for row in totals(connection, Filter(since=period_of(per, unix).begin), "key")
            if row["name"]
        ]


def _begin(resets_at: float | None, seconds: float | None, now: float) -> float:
    """Of a window, by the clock of `now`."""
    return (now if resets_at is None else resets_at) - (seconds or 0.0)
