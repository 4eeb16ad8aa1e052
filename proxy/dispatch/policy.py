"""Who is next: one pure function that the server, the sandbox, the explain endpoint and the tests call alike.

`decide` reads, `commit` acts on what was decided; nothing may await between the two.

Order of preference: ready and of a provider that is not overloaded; of an overloaded one; one whose window is full
while its provider goes on for money; and, for the first attempt of a request only, one that cools down for a transient
fault of its provider, or of which nothing is known but what was remembered over a restart. Transient faults never take
the last candidate, and never more than half of a priority's candidates. Later attempts get no such grace, or a total
outage would be answered with a storm of retries.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from math import inf
from operator import attrgetter
from typing import Literal, TypeAlias, cast

from auth.pool import Lease, Pool
from auth.standing import READY, Standing
from auth.turns import STRIDE
from proxy.dispatch.decision import Candidate, Decision, PassedOver
from proxy.dispatch.inquiry import Tie
from proxy.dispatch.score import Load, score

Strategy: TypeAlias = Literal["round-robin", "weighted-round-robin", "fill-first", "quota-aware"]


@dataclass(slots=True, kw_only=True)
class Ask:
    """`group`: whose turns are counted together: the model as it stands in the catalogue. `tried`: the keys of
    candidates that this request has tried already, or that cannot be asked this. `is_first`: nothing was tried yet, so
    that even a candidate that cools for a transient fault may be. `wants_all`: name every candidate, also the ready.
    `tie`: a hard one leaves no choice; another decides among those of the highest priority that are ready.
    """

    group: Hashable
    strategy: Strategy = "round-robin"
    tried: Collection[tuple[str, str]] = ()
    is_first: bool = True
    wants_all: bool = False
    tie: Tie | None = None


def decide(candidates: Sequence[Candidate], state: Pool, ask: Ask, now: float) -> Decision:
    """`candidates`: the highest priority first."""
    if state.is_calm and not ask.tried and not ask.wants_all and ask.tie is None:
        return _calmly(candidates, state, ask, now)
    if ask.tie is not None and ask.tie.is_hard:
        candidates = [each for each in candidates if each.credential.id == ask.tie.credential]
    sorted_out = _SortedOut(candidates, state, ask, now)
    eligible = sorted_out.ready or sorted_out.crowded or sorted_out.spent
    chosen, rule = None, "nobody"
    if eligible:
        chosen, rule = _choose(_highest(eligible), state, ask, now)
    elif sorted_out.benched and ask.is_first:
        chosen, rule = min(sorted_out.benched, key=lambda each: each[0])[1], "last-resort"
    passed_over = [each for each in sorted_out.passed_over if each.candidate is not chosen]
    if ask.wants_all:
        passed_over += _not_their_turn(sorted_out, chosen, state, ask, now)
    return Decision(chosen=chosen, rule=rule, passed_over=tuple(passed_over), now=now)


def _calmly(candidates: Sequence[Candidate], state: Pool, ask: Ask, now: float) -> Decision:
    """The usual case: everybody is ready, and nothing stands against anybody."""
    chosen = _choose(_highest(candidates), state, ask, now)
    return Decision(chosen=chosen[0], rule=chosen[1], now=now)


def _highest(eligible: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those of the highest priority; the very same where all are, whose turn it is there is known (`auth.turns`)."""
    highest = eligible[0].credential.priority
    if eligible[-1].credential.priority == highest:
        return eligible
    return [each for each in eligible if each.credential.priority == highest]


def _choose(tier: Sequence[Candidate], state: Pool, ask: Ask, now: float) -> tuple[Candidate, str]:
    if ask.tie is not None:
        for each in tier:
            if ask.tie.fits(each.key):
                return each, "bound" if ask.tie.is_hard else "affinity"
    return _CHOOSERS[ask.strategy](tier, state, ask, now), ask.strategy


def commit(decision: Decision, candidates: Sequence[Candidate], state: Pool, ask: Ask) -> Lease:
    """The chosen one serves: its turn is taken, and it is lent until the attempt is over."""
    chosen = decision.chosen
    assert chosen is not None, "there is nobody to commit to"
    turn = state.turns.of(ask.group)
    turn.seat(candidates, _key, lambda each: stride(each, ask.strategy))
    turn.take(chosen.key, stride(chosen, ask.strategy))
    return state.lend(chosen.key, decision.now, at_most=chosen.credential.concurrency, shared=chosen.shared)


_key = attrgetter("key")


def stride(candidate: Candidate, strategy: Strategy) -> int:
    weight = max(1, candidate.credential.weight) if strategy == "weighted-round-robin" else 1
    return STRIDE * candidate.siblings // weight


def _by_turn(tier: Sequence[Candidate], state: Pool, ask: Ask, _now: float) -> Candidate:
    return state.turns.peek(ask.group).first(tier, _key, lambda each: stride(each, ask.strategy))


def _in_order(tier: Sequence[Candidate], _state: Pool, _ask: Ask, _now: float) -> Candidate:
    return tier[0]


def _by_score(tier: Sequence[Candidate], state: Pool, ask: Ask, now: float) -> Candidate:
    scores = [score_of(each, state, now) for each in tier]
    highest = max(scores)
    return _by_turn([each for each, one in zip(tier, scores, strict=True) if one == highest], state, ask, now)


def score_of(candidate: Candidate, state: Pool, now: float) -> float:
    credential = candidate.credential
    served_at = state.served_at(credential.id)
    load = Load(
        in_flight=state.in_flight(credential.id),
        at_most=credential.concurrency,
        idle_seconds=None if served_at is None else now - served_at,
    )
    windows = state.quotas.current(credential.id, candidate.model, now)
    return score(windows, reserve=credential.reserve_percent / 100, load=load, now=now)


_CHOOSERS: dict[Strategy, Callable[[Sequence[Candidate], Pool, Ask, float], Candidate]] = {
    "round-robin": _by_turn,
    "weighted-round-robin": _by_turn,
    "fill-first": _in_order,
    "quota-aware": _by_score,
}


class _SortedOut:
    """The candidates by what they can be used for. `crowded`: of an overloaded provider. `spent`: for money only.
    `benched`: cooling for a transient fault, or by hearsay, and which of them is asked first.
    """

    __slots__ = ("benched", "crowded", "passed_over", "ready", "spent")

    def __init__(self, candidates: Sequence[Candidate], state: Pool, ask: Ask, now: float) -> None:
        self.ready: list[Candidate] = []
        self.crowded: list[Candidate] = []
        self.spent: list[Candidate] = []
        self.benched: list[tuple[tuple[bool, float], Candidate]] = []
        self.passed_over: list[PassedOver] = []
        if not ask.tried and state.is_calm:
            # The very same, which is only read: whose turn it is there is known (`auth.turns`).
            self.ready = cast("list[Candidate]", candidates)
            return
        for candidate in candidates:
            if candidate.key in ask.tried:
                self.passed_over.append(PassedOver(candidate=candidate, why="tried in this request"))
            elif state.is_clear(candidate.credential.id, candidate.shared):
                self.ready.append(candidate)
            else:
                self._look_at(candidate, state, now)
        if ask.is_first and self.benched:
            self.readmit(candidates)

    def _look_at(self, candidate: Candidate, state: Pool, now: float) -> None:
        standing = standing_of(candidate, state, now)
        if standing is READY:
            standing = state.overload(candidate.shared, candidate.model, now)
            (self.ready if standing is READY else self.crowded).append(candidate)
            if standing is READY:
                return
        elif standing.state == "spent":
            self.spent.append(candidate)
        elif standing.is_transient and standing.until is not None:
            self.benched.append(((False, standing.until), candidate))
        elif standing.is_remembered:
            self.benched.append(((True, inf if standing.until is None else standing.until), candidate))
        self.passed_over.append(
            PassedOver(
                candidate=candidate,
                why=_clause(standing),
                returns_at=standing.until,
                is_transient=standing.is_transient,
                is_quota=standing.is_quota,
                is_refused=standing.is_refused,
                is_busy=standing.state in {"busy", "probing"},
            )
        )

    def readmit(self, candidates: Sequence[Candidate]) -> None:
        """At most half of each priority is benched for transient faults: those that return first are readmitted."""
        transient = [each for each in self.benched if not each[0][0]]
        for priority in {each.credential.priority for _, each in transient}:
            benched = [each for each in transient if each[1].credential.priority == priority]
            quota = sum(each.credential.priority == priority for each in candidates) // 2
            for each in sorted(benched, key=lambda pair: pair[0])[: max(0, len(benched) - quota)]:
                self.ready.append(each[1])
        self.ready.sort(key=lambda each: -each.credential.priority)


def standing_of(candidate: Candidate, state: Pool, now: float) -> Standing:
    """By what is held against it, and by its own limits."""
    standing = state.standing(candidate.key, now)
    if not (standing is READY or standing.is_transient or standing.is_remembered):
        return standing
    limit = _limit(candidate, state, now)
    # What may be asked as a last resort keeps to its own limits, too.
    return limit if standing is READY or limit.state in {"busy", "reserved"} else standing


def _limit(candidate: Candidate, state: Pool, now: float) -> Standing:
    """What stands against one that is ready: as much under way as may be, or a window used as far as may be."""
    credential = candidate.credential
    at_most, in_flight = credential.concurrency, state.in_flight(credential.id)
    if at_most and in_flight >= at_most:
        return Standing("busy", f"{in_flight} of {at_most} requests are under way")
    reserve = credential.reserve_percent
    window = state.quotas.beyond(credential.id, candidate.model, now, 1 - reserve / 100)
    if window is None:
        return READY
    if reserve:
        why = f"{reserve} % of its {window.name} window are kept for its owner"
        return Standing("reserved", why, window.resets_at, is_quota=True)
    return Standing("spent", f"its {window.name} window is full", window.resets_at, is_quota=True)


def _clause(standing: Standing) -> str:
    return f"{standing.state}: {standing.why}" if standing.why else standing.state


def _not_their_turn(
    sorted_out: _SortedOut, chosen: Candidate | None, state: Pool, ask: Ask, now: float
) -> list[PassedOver]:
    named = {id(each.candidate) for each in sorted_out.passed_over}
    return [
        PassedOver(candidate=each, why=_why_not_now(each, chosen, state, ask, now))
        for each in sorted_out.ready
        if each is not chosen and id(each) not in named
    ]


def _why_not_now(candidate: Candidate, chosen: Candidate | None, state: Pool, ask: Ask, now: float) -> str:
    if chosen is not None and candidate.credential.priority < chosen.credential.priority:
        return "ready: of lower priority"
    if ask.strategy == "quota-aware" and chosen is not None:
        return f"ready: scores {score_of(candidate, state, now):.2f}, the chosen {score_of(chosen, state, now):.2f}"
    return "ready: not its turn"
