"""One inquiry's search for an answer: which candidates were tried, what was learnt of them, when to give up."""

from __future__ import annotations

from collections.abc import Mapping

from auth.pool import Lease
from proxy.dispatch.answer_headers import decision_line, losses_line
from proxy.dispatch.asked import Asked
from proxy.dispatch.attempt import Attempt, Failed
from proxy.dispatch.decision import Candidate, Decision, Verdict
from proxy.dispatch.inquiry import AttemptRecord, Inquiry, Refused, Report
from proxy.dispatch.lessons import learn
from proxy.dispatch.passage import Plan
from proxy.dispatch.plan import plan_for
from proxy.dispatch.policy import Ask, commit, decide
from proxy.dispatch.refusal import exhausted, retry_headers
from proxy.dispatch.shared import Shared
from proxy.dispatch.snapshot import Snapshot
from proxy.errors import ProxyError, Untranslatable
from proxy.hub.events import Failure
from proxy.wire.table import wire_named

SECONDS_MAX = 300.0
"""After so long no further attempt begins."""
BACKOFF_SECONDS = 0.5
BACKOFF_SECONDS_MAX = 8.0
UNREACHABLE = "unreachable"


class Pursuit:
    """`run` once, then `end` with what it gave."""

    def __init__(self, shared: Shared, snapshot: Snapshot, asked: Asked, report: Report) -> None:
        self.inquiry: Inquiry = asked.inquiry
        self.report = report
        self.decision: Decision | None = None
        self._shared = shared
        self._snapshot = snapshot
        self._asked = asked
        self._began = shared.clock.monotonic()
        self._tried: set[tuple[str, str]] = set()
        self._in_round = 0
        self._rounds_left = snapshot.config.request_retry
        self._waited = 0.0
        self._broken_streams = 0
        self._is_over = False
        self._is_costly = False  # the next attempt repeats what a provider failed at
        self._unable: set[tuple[str, str]] = set()
        self._untranslatable: Untranslatable | None = None
        self._last: tuple[Failed, Verdict] | None = None
        self._blank: tuple[Candidate, Attempt] | None = None
        self._lease: Lease | None = None
        self._candidate: Candidate | None = None
        self._attempt_began = 0.0
        shared.budget.count_request(self._began)

    async def run(self) -> Attempt:
        """The attempt whose first content is there. Raises `Refused`."""
        try:
            return await self._search()
        except ProxyError as error:
            raise Refused.because(error, self.report) from None

    async def _search(self) -> Attempt:
        while True:
            try:
                candidate, plan = await self._next_candidate()
            except Refused:
                if self._blank is None:
                    raise
                return self._tell(*self._blank)
            failed, attempt = await self._try(candidate, plan)
            if failed is None:
                self._commit(candidate, attempt)
                return self._tell(candidate, attempt)
            verdict = self._learn(candidate, failed.failure, failed.headers)
            self._record(candidate, failed.status, verdict.why)
            self._settle()
            self._last = (failed, verdict)
            if verdict.action == "stop":
                raise self._refused(failed.failure)
            if attempt.is_blank:
                self._blank = (candidate, attempt)
            self._check_limits(attempt)
            is_fault = verdict.is_transient or verdict.scope == "none"
            self._is_costly = is_fault and failed.failure.code != UNREACHABLE

    async def _try(self, candidate: Candidate, plan: Plan) -> tuple[Failed | None, Attempt]:
        shared = self._shared
        self._candidate, self._attempt_began = candidate, shared.clock.monotonic()
        attempt = Attempt(plan, wire_named(candidate.provider.wire), is_stream=self.inquiry.is_stream)
        is_done = False
        try:
            failed = await attempt.start(shared.upstreams[candidate.provider.executor])
            is_done = failed is None
        finally:
            if not is_done:
                attempt.abort()
                await attempt.close()
                if self._lease is not None:
                    shared.pool.give_back(self._lease)
        return failed, attempt

    # whom to try

    async def _next_candidate(self) -> tuple[Candidate, Plan]:
        shared, candidates = self._shared, self._asked.found.candidates
        limit = self._snapshot.config.max_retry_credentials
        while not self._is_over:
            now = shared.clock.monotonic()
            ask = self._ask(self._tried | self._unable, is_first=self._in_round == 0)
            decision = decide(candidates, shared.pool, ask, now)
            if decision.chosen is None or (limit and self._in_round >= limit):
                await self._next_round(decision)
                continue
            plan = self._plan(decision.chosen, now)
            if plan is None:
                self._unable.add(decision.chosen.key)
                continue
            if self._is_costly and not shared.budget.take_retry(now):
                raise self._given_up()
            self._tried.add(decision.chosen.key)
            self._in_round += 1
            self._lease = commit(decision, candidates, shared.pool, ask)
            self.decision = decision
            shared.recent.append((self.inquiry.request_id, decision))
            return decision.chosen, plan
        raise self._given_up()

    def _ask(self, tried: set[tuple[str, str]], *, is_first: bool = True, wants_all: bool = False) -> Ask:
        return Ask(
            group=self._asked.found.name,
            strategy=self._snapshot.strategy,
            tried=tried,
            is_first=is_first,
            wants_all=wants_all,
            tie=self.inquiry.tie,
        )

    def _plan(self, candidate: Candidate, now: float) -> Plan | None:
        """None: this candidate's wire cannot say it; another's may."""
        try:
            return plan_for(self._asked, candidate, snapshot=self._snapshot, recall=self._shared.recall, now=now)
        except Untranslatable as error:
            self._untranslatable = self._untranslatable or error
            return None

    async def _next_round(self, decision: Decision) -> None:
        """Waits until somebody can be tried again. Raises when that is too far away, or was too often."""
        if self._untranslatable is not None and self._last is None and decision.returns_at is None:
            raise self._untranslatable
        self._rounds_left -= 1
        if self._blank is not None or self._rounds_left < 0 or not await self._somebody_returns():
            raise self._given_up()
        self._tried.clear()
        self._in_round = 0

    async def _somebody_returns(self) -> bool:
        clock, pool = self._shared.clock, self._shared.pool
        deadline = clock.monotonic() + self._snapshot.config.max_retry_interval - self._waited
        has_waited = False
        while True:
            now = clock.monotonic()
            decision = decide(self._asked.found.candidates, pool, self._ask(self._unable), now)
            if decision.chosen is not None:
                if not has_waited:
                    await self._back_off()
                return True
            if decision.returns_at is None or decision.returns_at > deadline:
                return False
            has_waited = True
            await self._shared.waiting.wait(self._asked.found.name, decision.returns_at - now, clock)
            self._waited += clock.monotonic() - now

    async def _back_off(self) -> None:
        """Everybody who is ready was tried just now: it was a provider's fault, and they are asked once more."""
        clock = self._shared.clock
        self._is_costly = True
        step = self._snapshot.config.request_retry - self._rounds_left
        await clock.sleep(min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS * 2.0 ** (step - 1)) * clock.chance())

    def _check_limits(self, attempt: Attempt) -> None:
        """After a failure. Without another try nobody else is asked."""
        self._broken_streams += self.inquiry.is_stream and attempt.status == 200
        if (
            self._shared.clock.monotonic() - self._began > SECONDS_MAX
            or self._broken_streams > self._snapshot.config.streaming.bootstrap_retries
        ):
            self._is_over = True

    # what was learnt

    def _learn(self, candidate: Candidate, failure: Failure, headers: Mapping[str, str]) -> Verdict:
        assert self._lease is not None
        return learn(self._shared, candidate, self._lease, failure, headers, request_id=self.inquiry.request_id)

    def _record(self, candidate: Candidate, status: int | None, why: str = "") -> None:
        seconds = self._shared.clock.monotonic() - self._attempt_began
        self.report.attempts.append(
            AttemptRecord(
                provider=candidate.provider.name,
                credential=candidate.credential.id,
                model=candidate.model,
                status=status,
                why=why,
                seconds=seconds,
            )
        )
        if why and self.decision is not None:
            self._shared.log.info(
                "attempt.failed",
                request_id=self.inquiry.request_id,
                provider=candidate.provider.name,
                credential=candidate.credential.id,
                model=candidate.model,
                status=status,
                why=why,
                seconds=round(seconds, 3),
                decision=decision_line(self.decision),
            )

    def _settle(self) -> None:
        if self._lease is not None:
            self._shared.pool.give_back(self._lease)
        self._shared.waiting.wake(self._asked.found.name)

    def _commit(self, candidate: Candidate, attempt: Attempt) -> None:
        """The commit point: from here on this attempt is the answer."""
        shared = self._shared
        assert self._lease is not None
        shared.pool.succeed(self._lease, candidate.provider.name)
        shared.waiting.wake(self._asked.found.name)
        self._record(candidate, attempt.status)

    def _tell(self, candidate: Candidate, attempt: Attempt) -> Attempt:
        report = self.report
        self._candidate = candidate
        report.model_served = candidate.model
        report.provider = candidate.provider.name
        report.credential = candidate.credential.id
        report.account = candidate.credential.label
        report.is_relay = attempt.plan.is_relay
        report.losses = attempt.losses()
        report.first_byte_seconds = self._shared.clock.monotonic() - self._began
        return attempt

    async def end(self, attempt: Attempt) -> None:
        """The answer is over, or nobody wants the rest of it."""
        await attempt.close()
        report, seen = self.report, attempt.seen
        report.usage = seen.usage
        report.finish = seen.finish.reason if seen.finish is not None else None
        report.failure = seen.failure
        report.losses = attempt.losses()
        if seen.failure is not None and self._candidate is not None:
            self._learn(self._candidate, seen.failure, attempt.headers)
        if report.losses:
            self._shared.log.info(
                "translation.lossy", request_id=self.inquiry.request_id, losses=losses_line(report.losses)
            )
        self._settle()

    # giving up

    def _refused(self, failure: Failure) -> Refused:
        self.report.failure = failure
        headers = [*retry_headers(failure), ("x-proxy-attempts", str(len(self.report.attempts)))]
        if self.decision is not None and self.inquiry.headers.get("x-proxy-explain") == "1":
            headers.append(("x-proxy-decision", decision_line(self.decision)))
        return Refused(failure, self.report, tuple(headers))

    def _given_up(self) -> Refused:
        """A provider's fault is told as it was. What was an account's fault is told as the state of the pool: its 401,
        403 or limit is no business of the client's.
        """
        if self._last is not None and (self._last[1].is_transient or self._last[1].scope == "none"):
            return self._refused(self._last[0].failure)
        shared = self._shared
        ask = self._ask(self._unable, wants_all=True)
        self.decision = decide(self._asked.found.candidates, shared.pool, ask, shared.clock.monotonic())
        return self._refused(exhausted(self.decision, self._asked.found.name))

    def last_words(self, refused: Refused) -> bytes:
        """The final failure, in-band: the head has left long since."""
        renderer = self._asked.wire.stream_renderer(self._asked.reply(with_request=False))
        return renderer.feed(refused.failure) + renderer.finish()
