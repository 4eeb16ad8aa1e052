"""The straight way of requests that wait for nothing but the answer: begun in one turn of the loop, ended in another.

What requests with the same head for the same model have in common is found once, and holds until the next reload: which
candidates there are, what each of them is sent but for the body, whom the answer is of. Where nothing changes on the
way but the model's name, what is left for a request is the choice, the call, and a glance at the answer; without that
a relayed request of 1 KB took half as long again.

Nothing is judged here: whatever is not plainly good becomes a `Pursuit`, as far as it has come.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Literal

from auth.pool import Lease
from proxy.dispatch import turn_state
from proxy.dispatch.affinity import NAMES
from proxy.dispatch.answer_headers import PASSED, Headers
from proxy.dispatch.asked import Asked, has_marks
from proxy.dispatch.decision import Candidate, Decision
from proxy.dispatch.glance import GLANCES, glance
from proxy.dispatch.inquiry import Inquiry, Report
from proxy.dispatch.lessons import observe
from proxy.dispatch.passage import Plan, Whole
from proxy.dispatch.plan import plan_for
from proxy.dispatch.policy import Ask, commit, decide
from proxy.dispatch.pursuit import Pursuit
from proxy.dispatch.relay import RelayPlan
from proxy.dispatch.rotation import Chosen
from proxy.dispatch.shared import Shared
from proxy.dispatch.snapshot import Snapshot
from proxy.dispatch.splice import joined, members, raw, replaced
from proxy.dispatch.tether import Tether
from proxy.dispatch.windows import PREFIXES
from proxy.errors import ProxyError
from proxy.upstream.base import Prompt, Ready
from proxy.upstream.begun import Begun
from proxy.wire.base import dumps

_MODEL = ("model",)
"""Where requests and answers of the wires that are glanced at name it."""


class Leg:
    """One candidate, as such requests ask it. `ready`: its call but for the body; None: each request has to be looked
    at.
    """

    __slots__ = ("candidate", "echo", "name", "prompt", "ready")

    def __init__(self, candidate: Candidate, prompt: Prompt, ready: Ready | None, model: str) -> None:
        """`model`: as the client calls it."""
        is_renamed = candidate.model != model
        self.candidate = candidate
        self.prompt = prompt
        self.ready = ready
        self.name = raw(candidate.model) if is_renamed else None
        self.echo = dumps(model) if is_renamed else None

    def sent(self, body: bytes) -> bytes:
        """Raises `Malformed`."""
        if self.name is None:
            return body
        fields = members(body)
        if "model" in fields:
            fields["model"] = self.name
        return joined(fields)


class Track:
    """What the requests of one head for one model have in common, under one `snapshot`."""

    __slots__ = ("_ask", "_is_named", "_is_shared", "_legs", "found", "is_stream", "shared", "snapshot", "wire")

    def __init__(self, shared: Shared, snapshot: Snapshot, asked: Asked) -> None:
        """`asked`: the first of them."""
        found, routing = asked.found, snapshot.config.routing
        self.shared = shared
        self.snapshot = snapshot
        self.found = found
        self.wire = asked.wire
        self.is_stream = asked.inquiry.is_stream
        self._ask = Ask(group=found.group, strategy=snapshot.strategy)
        self._is_shared = routing.session_affinity and len(found.candidates) > 1
        self._is_named = bool(asked.inquiry.named) or routing.prefix_affinity
        self._legs: dict[tuple[str, str], Leg | None] = {}

    @classmethod
    def of(cls, shared: Shared, snapshot: Snapshot, asked: Asked) -> Track | None:
        """None: they need more."""
        inquiry, found = asked.inquiry, asked.found
        is_plain = (
            inquiry.operation == "generate"
            and inquiry.tie is None
            and inquiry.own_key is None
            and not inquiry.envelope
            and not asked.is_fallback
            and not turn_state.is_brought(inquiry)
            and not any(each.cli_executor for each in found.providers)
        )
        return cls(shared, snapshot, asked) if is_plain else None

    def depart(
        self, body: bytes, names: frozenset[str], tell: Callable[[], None], inquire: Callable[[], Inquiry]
    ) -> Trip | None:
        """Sends it, if that takes no waiting: `tell` tells of it, `finish` takes its answer; that of a stream is waited
        for. `names`: of the members at the top of `body`. None: nothing was done.
        """
        shared, ask = self.shared, self._ask
        if shared.waiting.has_line(ask.group):
            return None
        tether = None
        if has_marks(body) or (self._is_shared and (self._is_named or not names.isdisjoint(NAMES))):
            tether = Tether(shared, self.snapshot, self.asked(inquire()))
            ask = Ask(group=ask.group, strategy=ask.strategy, tie=tether.tie())
        now = shared.clock.monotonic()
        decision = decide(self.found.candidates, shared.pool, ask, now)
        chosen = decision.chosen
        leg = None if chosen is None else self._leg(chosen, inquire)
        if leg is None:
            return None
        plan, ready = None, leg.ready
        try:
            if ready is None or tether is not None:
                plan = self.plan(self.asked(inquire()), leg.candidate)
                ready = leg.prompt.ready(plan.call)
            sent = leg.sent(body) if plan is None else plan.call.body
        except ProxyError:
            return None  # an exchange will say so
        begun = None if ready is None else ready.begin(sent, tell)
        if begun is None:
            return None
        lease = commit(decision, self.found.candidates, shared.pool, ask)
        trip = Trip(self, leg, decision, lease, begun, now)
        trip.plan, trip.tether = plan, tether
        return trip

    def _leg(self, candidate: Candidate, inquire: Callable[[], Inquiry]) -> Leg | None:
        leg = self._legs.get(candidate.key)
        if leg is None and candidate.key not in self._legs:
            leg = self._legs[candidate.key] = self._made(candidate, inquire())
        return leg

    def _made(self, candidate: Candidate, inquiry: Inquiry) -> Leg | None:
        """None: nobody sends to it at once. Raises `ProxyError`."""
        plan = self.plan(self.asked(inquiry), candidate)
        prompt = self.shared.prompts.get(plan.call.executor)
        if prompt is None or plan.call.spoken is not None:
            return None
        is_alike = isinstance(plan, RelayPlan) and self._changes_nothing_else(candidate, plan)
        return Leg(candidate, prompt, prompt.ready(plan.call) if is_alike else None, inquiry.model)

    def _changes_nothing_else(self, candidate: Candidate, plan: RelayPlan) -> bool:
        """Than the model's name."""
        provider = candidate.provider
        edits = self.snapshot.edits(candidate.model, provider.wire)
        is_changed = bool(provider.patches or edits or plan.losses or self.found.reasoning)
        is_asked_more = self.is_stream or provider.is_enveloped  # of a stream its usage, where the client did not
        return self.wire.name in GLANCES and not (is_changed or is_asked_more)

    def asked(self, inquiry: Inquiry) -> Asked:
        return Asked(inquiry, self.found, self.wire, created=int(self.shared.clock.unix()))

    def plan(self, asked: Asked, candidate: Candidate) -> Plan:
        """Raises `ProxyError`."""
        shared = self.shared
        now = shared.clock.monotonic()
        plan = plan_for(asked, candidate, snapshot=self.snapshot, recall=shared.recall, now=now)
        plan.call.deadlines = self.snapshot.deadlines
        return plan


class Trip:
    """One request under way. `plan`: None: that of all that are alike; `tether`: None: nothing ties it. `passed` and
    `first_byte_seconds`: of its answer, a 200, when that is there. Exactly one of an answer of `finish`, of `drop` and
    of `pursuit` ends it.
    """

    __slots__ = (
        "_began", "_begun", "_decision", "_has_windows", "_lease", "_track", "first_byte_seconds", "leg", "needs_run",
        "passed", "plan", "tether",
    )  # fmt: skip

    def __init__(self, track: Track, leg: Leg, decision: Decision, lease: Lease, begun: Begun, began: float) -> None:
        self.leg = leg
        self.needs_run = track.is_stream
        self.passed: Headers = ()
        self.first_byte_seconds = 0.0
        self._has_windows = False
        self._track = track
        self._decision = decision
        self._lease = lease
        self._begun = begun
        self._began = began
        self.plan: Plan | None = None
        self.tether: Tether | None = None

    def finish(self, request_id: str) -> Whole | None:
        """The answer. None: it is waited for, or it `needs_run`."""
        begun = self._begun
        if self.needs_run or not begun.is_complete:
            self.needs_run = self.needs_run or begun.needs_waiting
            return None
        whole = self._read(begun.look()) if self._is_good(begun) else None
        if whole is None:
            self.needs_run = True
            return None
        candidate, shared = self.leg.candidate, self._track.shared
        if self._has_windows:
            observe(shared, candidate, self._lease, begun.headers, None)
        begun.done()
        self.first_byte_seconds = shared.clock.monotonic() - self._began
        shared.pool.succeed(self._lease)
        shared.budget.count_success()
        if self.tether is not None:
            self.tether.settle(candidate)
        self._end(request_id)
        return whole

    def _is_good(self, begun: Begun) -> bool:
        """By its head."""
        if begun.status != HTTPStatus.OK or begun.is_encoded:
            return False
        is_json = False
        for name, value in begun.fields:
            match _kind(name):
                case "type":
                    is_json = value.partition(";")[0].strip().lower() == "application/json"
                case "passed":
                    self.passed = (*self.passed, (name, value))
                case "window":
                    self._has_windows = True
                case "turn":
                    return False
                case _:
                    pass
        return is_json

    def _read(self, body: bytes) -> Whole | None:
        """None: it does not serve, or there is more to say of it."""
        if self.plan is None:
            seen, echo = glance(self._track.wire.name, body), self.leg.echo
            return None if seen is None else Whole(body if echo is None else replaced(body, _MODEL, echo), seen)
        whole = self.plan.whole(body)
        is_plain = whole.seen.has_content and whole.seen.failure is None
        return whole if is_plain and not (self.plan.losses or whole.losses) else None

    def drop(self, request_id: str) -> None:
        """Nobody wants its answer."""
        self._begun.abort()
        self._end(request_id)

    def _end(self, request_id: str) -> None:
        shared = self._track.shared
        shared.recent.append((request_id, self._decision))
        shared.pool.give_back(self._lease)
        shared.waiting.wake()

    def pursuit(self, inquiry: Inquiry) -> Pursuit:
        """Goes on with it. Raises `ProxyError`; then it is dropped."""
        track, asked, candidate = self._track, self._track.asked(inquiry), self.leg.candidate
        tether = self.tether or Tether(track.shared, track.snapshot, asked)
        try:
            plan = self.plan or track.plan(asked, candidate)
        except ProxyError:
            self.drop(inquiry.request_id)
            raise
        plan.call.begun = self._begun
        report = Report(request_id=inquiry.request_id, model_asked=inquiry.model)
        pursuit = Pursuit(track.shared, track.snapshot, asked, report)
        chosen = Chosen(candidate=candidate, plan=plan, decision=self._decision, lease=self._lease)
        pursuit.follow(chosen, tether, self._began)
        return pursuit


@lru_cache(maxsize=1024)
def _kind(name: str) -> Literal["type", "passed", "window", "turn", ""]:
    """What a header of an answer is to us."""
    lower = name.lower()
    if lower == "content-type":
        return "type"
    if lower == turn_state.HEADER:
        return "turn"
    if lower in PASSED:
        return "passed"
    return "window" if lower.startswith(PREFIXES) else ""
