"""The limits of client keys, addresses and conversations: a request is let in or told when it may come again.

`admit` decides and counts in one step, without an await; `Grant.settle` gives back what was held, and counts what was
used, once. The pure parts: `proxy.server.meters` (by the minute), `spending` (budgets), `shares` (of quota windows).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from proxy.config.client_keys import Rates
from proxy.dispatch.affinity import session_of
from proxy.dispatch.inquiry import Inquiry, Refused, Report
from proxy.dispatch.refusal import for_client, retry_headers
from proxy.errors import UnknownModel
from proxy.hub.events import Failure
from proxy.observe.usage import Tokens, Used
from proxy.server.access import Client
from proxy.server.addresses import site_of
from proxy.server.forecast import forecast
from proxy.server.limit_words import Headers, budget_header, limit_headers, over_budget, over_limit, unpriced
from proxy.server.meters import Excess, Meters, Reading, Stay, Subject
from proxy.server.shares import Shares
from proxy.server.spending import NOTHING, Amount, Balance, Spending, overdrawn

Cost = Callable[[str | None, str | None, Tokens], float | None]
"""Of a provider's model: dollars, or None where no price is known."""
Accounts = Callable[[], Collection[str]]
"""The ids of those that may serve a client; asked only where a budget is in quotas."""


@dataclass(slots=True, kw_only=True)
class Caller:
    """`ip`, `session`: the limits of any address and conversation; None: there are none. `accounts`: the ids of those
    that may serve the client.
    """

    client: Client
    address: str = ""
    ip: Rates | None = None
    session: Rates | None = None
    accounts: Accounts = field(default=lambda: ())

    def subjects(self, inquiry: Inquiry) -> list[Subject]:
        client, found = self.client, []
        if client.rates is not None:
            found.append(Subject("key", client.scope, client.rates))
        if self.ip is not None:
            found.append(Subject("ip", site_of(self.address), self.ip))
        if self.session is not None and (session := session_of(inquiry)):
            found.append(Subject("session", f"{client.scope} {session}", self.session))
        return found


@dataclass(slots=True, eq=False, kw_only=True)
class Grant:
    """One request that was let in."""

    limits: Limits
    caller: Caller
    stay: Stay | None = None
    held: Amount = NOTHING
    _is_settled: bool = False

    def headers(self, wire: str) -> Headers:
        """What is left, in the words of the client's format."""
        return () if self.stay is None else tuple(self.limits.told(self.caller, self.stay.readings, wire))

    def settle(self, used: Used) -> None:
        """When it is over, however it went. Later calls change nothing."""
        if not self._is_settled:
            self._is_settled = True
            self.limits.settle(self, used)


class Limits:
    """One for the process: what was counted outlives reloads.

    `cost` and `offers` (an inquiry's possible providers and models) are for budgets in money; `shares` for those in
    quotas. `now` is monotonic, `unix` the same moment.
    """

    def __init__(
        self,
        *,
        cost: Cost = lambda _provider, _model, _tokens: None,
        offers: Callable[[Inquiry], Collection[tuple[str, str]]] = lambda _inquiry: (),
        shares: Shares | None = None,
        now: Callable[[], float] = time.monotonic,
        unix: Callable[[], float] = time.time,
    ) -> None:
        self.now = now
        self.unix = unix
        self.meters = Meters()
        self.spending = Spending()
        self.is_sharing = False
        """Whether a budget is in quotas: then everybody's tokens are counted by account."""
        self._cost = cost
        self._offers = offers
        self._shares = shares

    def admit(self, caller: Caller, inquiry: Inquiry) -> Grant | None:
        """None: nothing counts. Raises `Refused`."""
        budgets, subjects = caller.client.budgets, caller.subjects(inquiry)
        if not (subjects or budgets):
            return Grant(limits=self, caller=caller) if caller.client.is_keyed or self.is_sharing else None
        held = self._affordable(caller, inquiry, subjects)
        stay = self.meters.enter(subjects, held.tokens, self.now())
        if isinstance(stay, Excess):
            raise self._refused(over_limit(stay, held.tokens), caller, inquiry, subjects)
        if budgets:
            self.spending.hold(caller.client.name, held, self.unix())
        return Grant(limits=self, caller=caller, stay=stay, held=held)

    def rehearse(self, caller: Caller, inquiry: Inquiry) -> None:
        """What `admit` would say; nothing is counted. Raises `Refused`."""
        subjects = caller.subjects(inquiry)
        held = self._affordable(caller, inquiry, subjects)
        if excess := self.meters.excess(subjects, held.tokens, self.now()):
            raise self._refused(over_limit(excess, held.tokens), caller, inquiry, subjects)

    def _affordable(self, caller: Caller, inquiry: Inquiry, subjects: Collection[Subject]) -> Amount:
        """What it is believed to take, for which there is room in all budgets. Raises `Refused`."""
        budgets, believed = caller.client.budgets, Tokens()
        if budgets or any(subject.rates.tokens_per_minute for subject in subjects):
            believed = forecast(inquiry)
        held = Amount(total(believed), self._worth(caller, inquiry, believed))
        if budgets and (full := overdrawn(self.balances(caller), held)):
            raise self._refused(over_budget(full, held, self.unix()), caller, inquiry)
        return held

    @staticmethod
    def are_none(caller: Caller) -> bool:
        """Nothing limits it: it need not be let in, only counted."""
        client = caller.client
        return client.rates is None and caller.ip is None and caller.session is None and not client.budgets

    def balances(self, caller: Caller) -> list[Balance]:
        """Of each of its budgets."""
        own = self.spending.balances(caller.client.name, caller.client.budgets, self.unix())
        return [*own, *self._quota_balances(caller)]

    def _quota_balances(self, caller: Caller) -> Iterator[Balance]:
        now, shares = self.now(), self._shares
        for budget in caller.client.budgets:
            if shares is None or not budget.quota_percent:
                continue
            part = shares.part(caller.client.name, budget.per, caller.accounts(), now)
            if part is not None:
                yield Balance(
                    per=budget.per,
                    unit="quota",
                    limit=budget.quota_percent,
                    used=100 * part.share,
                    resets_at=None if part.resets_at is None else self.unix() + part.resets_at - now,
                )

    def told(
        self, caller: Caller, readings: Callable[[float], Iterable[Reading]], wire: str
    ) -> Iterator[tuple[str, str]]:
        """The headers."""
        yield from limit_headers(readings(self.now()), wire, self.unix())
        if caller.client.budgets:
            yield budget_header(self.balances(caller))

    def settle(self, grant: Grant, used: Used) -> None:
        """What the upstream told was used; what was believed, where an answer came and nothing was told."""
        amount = NOTHING
        if used.tokens.is_known:
            amount = self._amount(used, grant.held)
        elif used.wire_out is not None:
            amount = grant.held
        if grant.stay is not None:
            grant.stay.leave(amount.tokens, self.now())
        held = grant.held if grant.caller.client.budgets else NOTHING
        self._count(grant.caller.client.name, used.credential, held, amount)

    def count(self, caller: Caller, used: Used) -> None:
        """The same of one that nothing limits."""
        if caller.client.name or self.is_sharing:
            amount = self._amount(used, NOTHING) if used.tokens.is_known else NOTHING
            self._count(caller.client.name, used.credential, NOTHING, amount)

    def _amount(self, used: Used, held: Amount) -> Amount:
        cost = self._cost(used.provider, used.model_served, used.tokens)
        return Amount(total(used.tokens), held.dollars if cost is None else cost)

    def _count(self, name: str, credential: str | None, held: Amount, used: Amount) -> None:
        if name:
            self.spending.settle(name, held, used, self.unix())
        if self.is_sharing and self._shares is not None and credential is not None and used.tokens:
            self._shares.note(name, credential, used.tokens, self.now())

    def _worth(self, caller: Caller, inquiry: Inquiry, believed: Tokens) -> float:
        """Dollars, by the dearest who may serve it. Raises `Refused` where money counts and a price is missing."""
        if not any(budget.dollars for budget in caller.client.budgets):
            return 0.0
        try:
            offers = self._offers(inquiry)
        except UnknownModel:
            return 0.0  # the dispatcher will say so
        costs = {offer: self._cost(*offer, believed) for offer in offers}
        for (provider, model), cost in costs.items():
            if cost is None:
                raise self._refused(unpriced(provider, model), caller, inquiry)
        return max((cost for cost in costs.values() if cost is not None), default=0.0)

    def _refused(
        self, failure: Failure, caller: Caller, inquiry: Inquiry, subjects: Collection[Subject] = ()
    ) -> Refused:
        failure = for_client(failure, inquiry.headers)
        report = Report(request_id=inquiry.request_id, model_asked=inquiry.model, failure=failure)
        told = self.told(caller, lambda now: self.meters.readings(subjects, now), inquiry.wire)
        return Refused(failure, report, (*retry_headers(failure, inquiry.wire), *told))


def total(tokens: Tokens) -> int:
    """Of all kinds: what is read from a cache counts, too, as in the ledger."""
    return tokens.total
