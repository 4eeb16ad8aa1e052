"""A dry run: what would be decided first for an inquiry, if it came now. Nothing is sent, lent, kept or counted.

The same eyes as in earnest: what binds it to an account (`tether`), who can be asked it at all (`plan`), who is next
(`policy`), and which models go on where nobody can serve (`fallbacks`). What it does not know: who comes in between.
"""

from __future__ import annotations

from dataclasses import replace

from proxy.dispatch.asked import Asked
from proxy.dispatch.decision import Decision
from proxy.dispatch.fallbacks import fallbacks
from proxy.dispatch.plan import plan_for
from proxy.dispatch.policy import Ask, decide
from proxy.dispatch.shared import Shared
from proxy.dispatch.snapshot import Snapshot
from proxy.dispatch.tether import Tether
from proxy.errors import Untranslatable


def rehearse(shared: Shared, snapshot: Snapshot, asked: Asked) -> Decision:
    """With every candidate named. Raises `Malformed`."""
    decision = _decision(shared, snapshot, asked)
    if decision.chosen is not None:
        return decision
    is_spent = any(each.is_quota for each in decision.passed_over)
    for other in fallbacks(snapshot, asked.inquiry, asked.found, is_spent=is_spent):
        instead = _decision(shared, snapshot, asked.in_place(other))
        if instead.chosen is not None:
            return instead
    return decision


def _decision(shared: Shared, snapshot: Snapshot, asked: Asked) -> Decision:
    """Of one model."""
    found, tie = asked.found, Tether(shared, snapshot, asked).tie()
    now = shared.clock.monotonic()
    unable: dict[tuple[str, str], str] = {}
    while True:
        ask = Ask(group=found.group, strategy=snapshot.strategy, tried=unable, wants_all=True, tie=tie)
        decision = decide(found.candidates, shared.pool, ask, now)
        if decision.chosen is None:
            break
        try:
            plan_for(asked, decision.chosen, snapshot=snapshot, recall=shared.recall, now=now)
        except Untranslatable as error:
            unable[decision.chosen.key] = f"cannot be asked this: {error.message}"
            continue
        break
    passed_over = (replace(each, why=unable.get(each.candidate.key, each.why)) for each in decision.passed_over)
    return replace(decision, passed_over=tuple(passed_over))
