"""One inquiry's search for an answer: model by model, candidate by candidate, until somebody serves or nobody can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from proxy.dispatch import turn_state
from proxy.dispatch.answer_headers import Headers, decision_line, decisions_line, losses_line
from proxy.dispatch.asked import Asked
from proxy.dispatch.attempt import Attempt, Failed
from proxy.dispatch.decision import Candidate, Decision, PassedOver, Verdict
from proxy.dispatch.fallbacks import fallbacks
from proxy.dispatch.inquiry import AttemptRecord, Inquiry, Refused, Report, Tie
from proxy.dispatch.lessons import learn, observe
from proxy.dispatch.refusal import exhausted, for_client, retry_headers, together, unswitched
from proxy.dispatch.rotation import Chosen, Rotation
from proxy.dispatch.shared import Shared
from proxy.dispatch.snapshot import Snapshot
from proxy.dispatch.tether import Tether
from proxy.errors import ProxyError, Untranslatable
from proxy.hub.events import Failure
from proxy.wire.table import wire_named

SECONDS_MAX = 300.0
"""After so long no further attempt begins."""
EMPTY = "empty_answer"
"""Leaves no doubt about whoever gave it behind."""
UNAUTHORIZED = 401
RENEWED = "its token was refused; it has another one now"
EXPLAIN_HEADER = "x-proxy-explain"


class Ahead(NamedTuple):
    """How far a pursuit has come before it runs. The lease is taken."""

    tether: Tether
    tie: Tie | None
    chosen: Chosen
    attempt: Attempt


class Pursuit:
    """`run` once, then `end` with what it gave."""

    def __init__(self, shared: Shared, snapshot: Snapshot, asked: Asked, report: Report) -> None:
        self.inquiry: Inquiry = asked.inquiry
        self.report = report
        self.decision: Decision | None = None
        self._unserved: list[tuple[str, Decision]] = []
        self._shared = shared
        self._snapshot = snapshot
        self._asked = asked
        self._began = shared.clock.monotonic()
        self._broken_streams = 0
        self._is_over = False
        self._is_spent = False
        self._is_empty_handed = False
        self._last: tuple[Failed, Verdict] | None = None
        self._chosen: Chosen | None = None
        self._attempt_began = 0.0
        self._answering: AttemptRecord | None = None
        self._ahead: Ahead | None = None

    # begun already (`proxy.dispatch.track`)

    def follow(self, chosen: Chosen, tether: Tether, began: float) -> None:
        """Its first attempt has left: `run` goes on with it. `began`: when."""
        self._ahead = Ahead(tether, tether.tie(), chosen, self._attempt(chosen))
        self._began = self._attempt_began = began

    def drop(self) -> None:
        """Nobody wants what was begun."""
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return
        if (begun := ahead.chosen.plan.call.begun) is not None:
            begun.abort()
        self._settle(ahead.chosen)

    async def run(self) -> Attempt:
        """The attempt whose first content is there. Raises `Refused`."""
        failures: list[Failure] = []
        for asked in self._models():
            try:
                answered = await self._rotate(asked)
            except Untranslatable as error:
                answered = Failure.of(error)  # what goes on in its place may be asked it
            except ProxyError as error:
                raise Refused.because(error, self.report) from None
            if isinstance(answered, Attempt):
                return answered
            failures.append(answered)
            if self.decision is not None and (not self._unserved or self._unserved[-1][1] is not self.decision):
                self._unserved.append((asked.found.name, self.decision))
            if self._is_over:
                break
        raise self._refused(together(failures))

    def _models(self) -> Iterator[Asked]:
        """What was asked for; then, as long as nobody has served, those that may go on in its place."""
        yield self._asked
        for other in fallbacks(self._snapshot, self.inquiry, self._asked.found, is_spent=self._is_spent):
            yield self._asked.in_place(other)

    def _has_fallbacks(self) -> bool:
        """Then nobody is waited for."""
        return any(True for _ in fallbacks(self._snapshot, self.inquiry, self._asked.found, is_spent=False))

    async def _rotate(self, asked: Asked) -> Attempt | Failure:
        """Over the candidates of one model."""
        config = self._snapshot.config
        ahead, self._ahead = self._ahead, None
        tether = Tether(self._shared, self._snapshot, asked) if ahead is None else ahead.tether
        rotation = self._rotation(asked, tether.tie() if ahead is None else ahead.tie)
        if ahead is not None:
            rotation.follow(ahead.chosen)
        blank: tuple[Candidate, Attempt] | None = None
        self._last = None
        while not self._is_over:
            chosen = await rotation.next() if ahead is None else ahead.chosen
            if chosen is None:
                break
            failed, attempt = await self._try(chosen, self._attempt(chosen) if ahead is None else ahead.attempt)
            ahead = None
            if failed is not None and (again := await self._renewed(rotation, chosen, failed)) is not None:
                chosen = again
                failed, attempt = await self._try(chosen, self._attempt(chosen))
            if failed is None:
                self._commit(chosen, attempt)
                tether.settle(chosen.candidate)
                return self._tell(asked, chosen.candidate, attempt)
            verdict = self._fail(chosen, failed, attempt)
            if verdict.action == "stop":
                self._is_over = asked is self._asked  # of a model that goes on in its place it need not be true
                return failed.failure
            if verdict.is_quota and not config.quota_exceeded.switch_project:
                return self._unswitched(chosen.candidate, verdict)
            if attempt.is_blank:
                blank = (chosen.candidate, attempt)
                rotation.is_last_round = True
            if verdict.scope == "address":
                rotation.leave_out(chosen.candidate.address)
            self._check_limits(attempt)
            rotation.is_costly = self._is_empty_handed = failed.failure.code == EMPTY
        return self._given_up(rotation) if blank is None else self._tell(asked, *blank)

    def _rotation(self, asked: Asked, tie: Tie | None) -> Rotation:
        config = self._snapshot.config
        rotation = Rotation(
            self._shared,
            self._snapshot,
            asked,
            tie=tie,
            rounds=0 if self._has_fallbacks() else config.request_retry,
            seconds=config.max_retry_interval,
        )
        rotation.is_retry = bool(self.report.attempts)
        rotation.is_costly = self._is_empty_handed
        return rotation

    def _attempt(self, chosen: Chosen) -> Attempt:
        shared, candidate = self._shared, chosen.candidate
        self._chosen, self.decision, self._attempt_began = chosen, chosen.decision, shared.clock.monotonic()
        shared.recent.append((self.inquiry.request_id, chosen.decision))
        if turn_state.is_brought(self.inquiry):
            account = candidate.credential.id
            turn_state.keep_apart(chosen.plan.call, shared.affinity, self.inquiry, account, self._attempt_began)
        return Attempt(
            chosen.plan,
            wire_named(candidate.provider.wire),
            is_stream=self.inquiry.is_stream,
            deadlines=self._snapshot.deadlines,
        )

    async def _try(self, chosen: Chosen, attempt: Attempt) -> tuple[Failed | None, Attempt]:
        shared, candidate = self._shared, chosen.candidate
        is_done = False
        try:
            failed = await attempt.start(shared.upstreams, self.inquiry)
            observe(shared, candidate, chosen.lease, attempt.headers, failed.failure if failed else None)
            is_done = failed is None
        finally:
            if not is_done:
                attempt.abort()
                await attempt.close()
                self._settle(chosen)
        return failed, attempt

    async def _renewed(self, rotation: Rotation, chosen: Chosen, failed: Failed) -> Chosen | None:
        """A token that was refused is asked for anew, once: that is no reason yet to leave the account."""
        if failed.status != UNAUTHORIZED:
            return None
        renewed = await self._shared.renew(chosen.candidate.credential)
        if renewed is None:
            return None
        self._record(chosen.candidate, failed.status, RENEWED)
        return rotation.again(chosen, renewed)

    def _check_limits(self, attempt: Attempt) -> None:
        """After a failure. Without another try nobody else is asked."""
        self._broken_streams += self.inquiry.is_stream and attempt.status == 200
        if (
            self._shared.clock.monotonic() - self._began > SECONDS_MAX
            or self._broken_streams > self._snapshot.config.streaming.bootstrap_retries
        ):
            self._is_over = True

    # what was learnt

    def _fail(self, chosen: Chosen, failed: Failed, attempt: Attempt) -> Verdict:
        verdict = self._learn(chosen, failed.failure, failed.headers)
        self._record(chosen.candidate, failed.status, verdict.why).usage = attempt.seen.usage
        self._shared.waiting.wake()
        self._last = (failed, verdict)
        return verdict

    def _learn(self, chosen: Chosen, failure: Failure, headers: Mapping[str, str]) -> Verdict:
        request_id = self.inquiry.request_id
        return learn(self._shared, chosen.candidate, chosen.lease, failure, headers, request_id=request_id)

    def _record(self, candidate: Candidate, status: int | None, why: str = "") -> AttemptRecord:
        seconds = self._shared.clock.monotonic() - self._attempt_began
        record = AttemptRecord(
            provider=candidate.provider.name,
            credential=candidate.credential.id,
            model=candidate.model,
            status=status,
            why=why,
            seconds=seconds,
        )
        self.report.attempts.append(record)
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
        return record

    def _settle(self, chosen: Chosen) -> None:
        self._shared.pool.give_back(chosen.lease)
        self._shared.waiting.wake()

    def _commit(self, chosen: Chosen, attempt: Attempt) -> None:
        """The commit point: from here on this attempt is the answer."""
        shared = self._shared
        shared.pool.succeed(chosen.lease)
        shared.budget.count_success()
        shared.waiting.wake()
        record = self._answering = self._record(chosen.candidate, attempt.status)
        record.first_byte_seconds = record.seconds
        if state := turn_state.given_by(attempt.headers, attempt.first, self.inquiry):
            shared.affinity.keep_turn(self.inquiry.client, state, chosen.candidate, shared.clock.monotonic())

    def _tell(self, asked: Asked, candidate: Candidate, attempt: Attempt) -> Attempt:
        report = self.report
        report.model_served = candidate.model
        report.fallback = asked.found.name if asked.is_fallback else None
        report.provider = candidate.provider.name
        report.wire = candidate.provider.wire
        report.credential = candidate.credential.id
        report.account = candidate.credential.label
        report.is_relay = attempt.plan.is_relay
        report.losses = attempt.losses()
        report.first_byte_seconds = self._shared.clock.monotonic() - self._began
        return attempt

    async def end(self, attempt: Attempt) -> None:
        """The answer is over, or nobody wants the rest of it."""
        await attempt.close()
        self._ended(attempt)

    def _ended(self, attempt: Attempt) -> None:
        report, seen = self.report, attempt.seen
        report.usage = seen.usage
        report.finish = seen.finish.reason if seen.finish is not None else None
        report.failure = seen.failure
        report.losses = attempt.losses()
        if self._answering is not None:
            self._answering.usage = seen.usage
            self._answering.seconds = self._shared.clock.monotonic() - self._attempt_began
        if self._chosen is None:
            return
        if seen.failure is not None:
            self._learn(self._chosen, seen.failure, attempt.headers)
        if report.losses:
            self._shared.log.info(
                "translation.lossy", request_id=self.inquiry.request_id, losses=losses_line(report.losses)
            )
        self._settle(self._chosen)

    # giving up

    def _refused(self, failure: Failure) -> Refused:
        inquiry = self.inquiry
        failure = self.report.failure = for_client(failure, inquiry.headers)
        attempts = ("x-proxy-attempts", str(len(self.report.attempts)))
        headers = (*retry_headers(failure, inquiry.wire), attempts, *self.explanation())
        return Refused(failure, self.report, headers)

    def explanation(self) -> Headers:
        """To whoever asks for it: the last decision, after those about models that it went on in the place of."""
        if self.decision is None or self.inquiry.headers.get(EXPLAIN_HEADER) != "1":
            return ()
        decisions = self._unserved
        if not decisions or decisions[-1][1] is not self.decision:
            decisions = [*decisions, (self.report.fallback or self._asked.found.name, self.decision)]
        return (("x-proxy-decision", decisions_line(decisions)),)

    def _given_up(self, rotation: Rotation) -> Failure:
        """A provider's fault is told as it was. What was an account's fault is told as the state of the pool: its 401,
        403 or limit is no business of the client's. Raises `Untranslatable` where nobody could even be asked.
        """
        if self._last is not None and self.inquiry.own_key is not None:
            return self._last[0].failure
        if self._last is not None and _is_fault(self._last[1]):
            failure = self._last[0].failure
            return replace(failure, status=404, kind="not_found") if failure.status in {401, 403} else failure
        decision = rotation.explain()
        if rotation.untranslatable is not None and self._last is None and decision.returns_at is None:
            raise rotation.untranslatable
        self.decision = decision
        self._is_spent = any(each.is_quota for each in decision.passed_over)
        self._shared.recent.append((self.inquiry.request_id, decision))
        self._shared.log.warning(
            "request.unserved",
            request_id=self.inquiry.request_id,
            model=rotation.asked.found.name,
            decision=decision_line(decision),
        )
        return exhausted(decision, rotation.asked.found.name, unix=self._shared.clock.unix())

    def _unswitched(self, candidate: Candidate, verdict: Verdict) -> Failure:
        self._is_spent = True
        now = self._shared.clock.monotonic()
        standing = self._shared.pool.standing(candidate.key, now)
        tired = PassedOver(candidate=candidate, why=verdict.why, returns_at=standing.until)
        return unswitched(tired, now=now, unix=self._shared.clock.unix())

    def last_words(self, refused: Refused) -> bytes:
        """The final failure, in-band: the head has left long since."""
        renderer = self._asked.wire.stream_renderer(self._asked.reply(with_request=False))
        return renderer.feed(refused.failure) + renderer.finish()


def _is_fault(verdict: Verdict) -> bool:
    """No account's: a provider's or the network's."""
    return verdict.is_transient or verdict.scope == "none"
