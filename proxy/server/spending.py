"""What each client key has used this day, week and month, in tokens and in money, and what its budgets say to more.

What is under way is held at what it is believed to take, until it is known. Counted for every key, also without a
budget, as it may get one at any time. Pure; times are Unix seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from proxy.config.client_keys import Budget
from proxy.server.periods import PERIODS, Per, Period, period_of

Unit: TypeAlias = Literal["tokens", "dollars", "quota"]


class Amount(NamedTuple):
    tokens: int = 0
    dollars: float = 0.0


NOTHING = Amount()


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Of one limit of one budget. `limit`, `used` (with what is held): tokens, dollars, or percent of a quota.
    `resets_at`: None where nobody has told.
    """

    per: Per
    unit: Unit
    limit: float
    used: float
    resets_at: float | None

    @property
    def left(self) -> float:
        return max(0.0, self.limit - self.used)


@dataclass(slots=True, eq=False)
class _Purse:
    """One key's. `spent`: since the process began, `before`: what of it was so when each period began. `until`: the end
    of the period that ends first.
    """

    spent: Amount = field(default_factory=Amount)
    held: Amount = field(default_factory=Amount)
    periods: dict[Per, Period] = field(default_factory=dict)
    before: dict[Per, Amount] = field(default_factory=dict)
    until: float = -math.inf

    def turn(self, unix: float) -> None:
        if unix < self.until:
            return
        for per in PERIODS:
            period = self.periods.get(per)
            if period is None or unix >= period.end:
                self.periods[per], self.before[per] = period_of(per, unix), self.spent
        self.until = min(period.end for period in self.periods.values())

    def used(self, per: Per) -> Amount:
        return _less(self.spent, self.before[per])


class Spending:
    def __init__(self) -> None:
        self._purses: dict[str, _Purse] = {}

    def remember(self, name: str, per: Per, amount: Amount, unix: float) -> None:
        """What was used before this process began, in the period that `unix` lies in."""
        purse = self._purse(name, unix)
        purse.before[per] = _less(purse.before[per], amount)

    def hold(self, name: str, amount: Amount, unix: float) -> None:
        purse = self._purse(name, unix)
        purse.held = _sum(purse.held, amount)

    def settle(self, name: str, held: Amount, used: Amount, unix: float) -> None:
        """`held`: what `hold` was told, which is over."""
        purse = self._purse(name, unix)
        if held is not NOTHING:
            purse.held = _less(purse.held, held)
        if used is not NOTHING:
            purse.spent = _sum(purse.spent, used)

    def balances(self, name: str, budgets: Iterable[Budget], unix: float) -> list[Balance]:
        """Of tokens and money."""
        purse = self._purse(name, unix)
        return [
            Balance(per=budget.per, unit=unit, limit=limit, used=used, resets_at=purse.periods[budget.per].end)
            for budget in budgets
            for unit, limit, used in _limits(budget, _sum(purse.used(budget.per), purse.held))
            if limit
        ]

    def used(self, name: str, per: Per, unix: float) -> Amount:
        return self._purse(name, unix).used(per)

    def _purse(self, name: str, unix: float) -> _Purse:
        purse = self._purses.get(name)
        if purse is None:
            purse = self._purses[name] = _Purse()
        purse.turn(unix)
        return purse


def _limits(budget: Budget, amount: Amount) -> Iterable[tuple[Unit, float, float]]:
    return (("tokens", budget.tokens, amount.tokens), ("dollars", budget.dollars, amount.dollars))


def _sum(one: Amount, other: Amount) -> Amount:
    return Amount(one.tokens + other.tokens, one.dollars + other.dollars)


def _less(one: Amount, other: Amount) -> Amount:
    return Amount(one.tokens - other.tokens, one.dollars - other.dollars)


def overdrawn(balances: Iterable[Balance], amount: Amount) -> Balance | None:
    """The limit that has no room for so much more; of several, the one that lasts longest."""
    more = {"tokens": amount.tokens, "dollars": amount.dollars, "quota": 0.0}
    full = [each for each in balances if each.used >= each.limit or each.used + more[each.unit] > each.limit]
    return max(full, key=lambda each: each.resets_at or 0.0, default=None)
