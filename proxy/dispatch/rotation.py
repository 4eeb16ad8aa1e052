"""The candidates of one model for one request: whom to try next, round by round, and how long to wait for somebody."""

from __future__ import annotations

from dataclasses import dataclass, replace

from auth.credential import Credential
from auth.pool import Lease
from proxy.dispatch.asked import Asked
from proxy.dispatch.decision import Candidate, Decision
from proxy.dispatch.inquiry import Tie
from proxy.dispatch.passage import Plan
from proxy.dispatch.plan import plan_for
from proxy.dispatch.policy import Ask, commit, decide
from proxy.dispatch.shared import Shared
from proxy.dispatch.snapshot import Snapshot
from proxy.dispatch.waiting import Ticket
from proxy.errors import Untranslatable

BACKOFF_SECONDS = 0.5
BACKOFF_SECONDS_MAX = 8.0


@dataclass(slots=True, kw_only=True)
class Chosen:
    """Lent to this request, which must give the lease back."""

    candidate: Candidate
    plan: Plan
    decision: Decision
    lease: Lease


class Rotation:
    """`next` until somebody has answered, or it gives None: nobody is left. `is_retry`: the request has been tried
    already, and is tried with somebody doubtful only as far as the budget goes. `is_costly`: with anybody.
    """

    def __init__(
        self, shared: Shared, snapshot: Snapshot, asked: Asked, *, tie: Tie | None, rounds: int, seconds: float
    ) -> None:
        """`rounds`: over the candidates, after the first. `seconds`: that may be waited, all in all."""
        self.asked = asked
        self.tie = tie
        self.is_retry = False
        self.is_costly = False
        self.is_last_round = False
        self.untranslatable: Untranslatable | None = None
        self._shared = shared
        self._snapshot = snapshot
        self._group = asked.found.group
        self._rounds = self._rounds_left = rounds
        self._seconds_left = seconds
        self._tried: set[tuple[str, str]] = set()
        self._unable: set[tuple[str, str]] = set()
        self._in_round = 0
        self._is_new = True
        self._is_poor = False

    async def next(self) -> Chosen | None:
        shared, candidates = self._shared, self.asked.found.candidates
        limit = self._snapshot.config.max_retry_credentials
        while True:
            now = shared.clock.monotonic()
            ask = self._ask()
            decision = decide(candidates, shared.pool, ask, now)
            if decision.chosen is not None and self._is_new and shared.waiting.has_line(self._group):
                if not await self._wait(is_anew=False, is_behind=True):
                    return None
                continue
            if decision.chosen is None or (limit and self._in_round >= limit):
                if self._is_poor or not await self._wait_or_begin_anew(decision):
                    return None
                continue
            plan = self._plan(decision.chosen, now)
            if plan is None:
                self._unable.add(decision.chosen.key)
                continue
            if not self._is_affordable(decision.chosen, now):
                if self.is_costly:
                    return None
                self._leave_out_doubtful(now)
                continue
            lease = commit(decision, candidates, shared.pool, ask)
            chosen = Chosen(candidate=decision.chosen, plan=plan, decision=decision, lease=lease)
            self.follow(chosen)
            return chosen

    def follow(self, chosen: Chosen) -> None:
        """The first one has been chosen already."""
        self.is_retry = True
        self._tried.add(chosen.candidate.key)
        self._in_round += 1
        self._is_new = False

    def again(self, chosen: Chosen, renewed: Credential) -> Chosen:
        """The same account, at once: its provider refused the token that it had."""
        shared, candidate = self._shared, replace(chosen.candidate, credential=renewed)
        now = shared.clock.monotonic()
        plan = plan_for(self.asked, candidate, snapshot=self._snapshot, recall=shared.recall, now=now)
        lease = shared.pool.lend(candidate.key, now, at_most=renewed.concurrency, shared=candidate.shared)
        return replace(chosen, candidate=candidate, plan=plan, lease=lease)

    def _is_affordable(self, candidate: Candidate, now: float) -> bool:
        is_doubtful = self.is_retry and self._shared.pool.is_doubtful(candidate.key, candidate.address, now)
        return not (is_doubtful or self.is_costly) or self._shared.budget.take_retry(now)

    def _leave_out_doubtful(self, now: float) -> None:
        """For good: only those of whom nothing bad is known are asked any more, and nobody is waited for."""
        pool = self._shared.pool
        for each in self.asked.found.candidates:
            if pool.is_doubtful(each.key, each.address, now):
                self._tried.add(each.key)
        self._is_poor = True

    def leave_out(self, address: str) -> None:
        """For this round: nobody there can be reached."""
        self._tried.update(each.key for each in self.asked.found.candidates if each.address == address)

    def explain(self) -> Decision:
        """Why nobody is left."""
        ask = self._ask(is_anew=True, wants_all=True)
        return decide(self.asked.found.candidates, self._shared.pool, ask, self._shared.clock.monotonic())

    def _ask(self, *, is_anew: bool = False, wants_all: bool = False) -> Ask:
        """`is_anew`: as if nobody had been tried yet."""
        return Ask(
            group=self._group,
            strategy=self._snapshot.strategy,
            tried=self._unable if is_anew else self._tried | self._unable,
            is_first=is_anew or self._in_round == 0,
            wants_all=wants_all,
            tie=self.tie,
        )

    def _plan(self, candidate: Candidate, now: float) -> Plan | None:
        """None: this candidate's wire cannot say it; another's may."""
        try:
            return plan_for(self.asked, candidate, snapshot=self._snapshot, recall=self._shared.recall, now=now)
        except Untranslatable as error:
            self.untranslatable = self.untranslatable or error
            return None

    async def _wait_or_begin_anew(self, decision: Decision) -> bool:
        """Waiting for one who has too much to do costs no round. False: it is too long, or was too often."""
        if decision.chosen is None and decision.is_busy:
            return await self._wait(is_anew=False)
        self._rounds_left -= 1
        if self._rounds_left < 0 or self.is_last_round:
            return False
        if decide(self.asked.found.candidates, self._shared.pool, self._ask(is_anew=True), decision.now).chosen is None:
            if not await self._wait(is_anew=True):
                return False
        elif self._tried:
            await self._back_off()
        self._tried.clear()
        self._in_round = 0
        return True

    async def _wait(self, *, is_anew: bool, is_behind: bool = False) -> bool:
        """In line, until there is somebody for us. `is_behind`: there is, but others have waited for longer."""
        room, clock = self._shared.waiting, self._shared.clock
        ticket = Ticket(self.asked.inquiry.client, is_bound=self._is_bound(is_anew=is_anew))
        is_served = False
        room.enter(self._group, ticket)
        if is_behind:
            room.wake()
        try:
            while True:
                began = clock.monotonic()
                deadline = began + self._seconds_left
                ask = self._ask(is_anew=is_anew)
                decision = decide(self.asked.found.candidates, self._shared.pool, ask, began)
                if decision.chosen is not None and not is_behind:
                    is_served = True
                    return True
                room.pass_on(self._group, ticket)
                until = deadline if is_behind or decision.is_busy else decision.returns_at
                if until is None or until > deadline or began >= deadline:
                    return False
                await ticket.sleep(until - began, clock)
                is_behind = False
                self._seconds_left -= clock.monotonic() - began
        finally:
            room.leave(self._group, ticket, is_served=is_served)
            self._is_new = self._is_new and not is_served

    def _is_bound(self, *, is_anew: bool) -> bool:
        """Not just any account will do."""
        is_tied = self.tie is not None and self.tie.is_hard
        return is_tied or bool(self._unable) or (bool(self._tried) and not is_anew)

    async def _back_off(self) -> None:
        """Everybody who is ready was tried just now: it was a provider's fault, and they are asked once more."""
        clock = self._shared.clock
        step = self._rounds - self._rounds_left
        await clock.sleep(min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS * 2.0 ** (step - 1)) * clock.chance())
