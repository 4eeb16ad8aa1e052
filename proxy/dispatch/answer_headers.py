"""The headers of an answer: what the upstream may tell, and what we tell of ourselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from proxy.dispatch.decision import Decision
from proxy.dispatch.inquiry import Report
from proxy.hub.loss import Loss

PASSED = (
    "request-id", "openai-model", "openai-processing-ms", "openai-version", "x-codex-turn-state",
    "x-reasoning-included",
)  # fmt: skip
"""The upstream's own words that mean the same from us. Limits are not among them: they are one account's of many."""
LOSSES_CHARACTERS_MAX = 1024
DECISION_CHARACTERS_MAX = 2048
_UNSENDABLE = re.compile(r"[^ -~]")

Headers = tuple[tuple[str, str], ...]


def passed(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in PASSED:
        value = headers.get(name)
        if value is not None:
            yield name, value


def own(report: Report) -> Headers:
    """``x-proxy-…``: the model, provider and account that served, and how many attempts it took."""
    served = _served(report.model_served, report.fallback, report.provider, report.account, len(report.attempts))
    return (*served, ("x-proxy-losses", losses_line(report.losses))) if report.losses else served


@lru_cache(maxsize=1024)
def _served(model: str | None, fallback: str | None, provider: str | None, account: str | None, tries: int) -> Headers:
    named = (
        ("x-proxy-model", model),
        ("x-proxy-fallback", fallback),
        ("x-proxy-provider", provider),
        ("x-proxy-account", account),
    )
    told = tuple((name, sendable(value)) for name, value in named if value)
    return (*told, ("x-proxy-attempts", str(tries)))


def losses_line(losses: Iterable[Loss]) -> str:
    """How many, and which, as far as there is room: ``2: temperature: clamped; tools[0].strict: strict``."""
    named = [f"{loss.path}: {loss.what}" for loss in losses]
    return _cut(f"{len(named)}: " + "; ".join(named), LOSSES_CHARACTERS_MAX)


def decision_line(decision: Decision) -> str:
    """``round-robin: anthropic key 2; passed over: anthropic key 1 (cooling: it is rate limited, 12 s)``."""
    chosen = "nobody" if decision.chosen is None else f"{decision.rule}: {decision.chosen.credential.label}"
    passed_over = [
        f"{each.candidate.credential.label} ({each.why}"
        + (f", {max(0.0, each.returns_at - decision.now):.0f} s)" if each.returns_at is not None else ")")
        for each in decision.passed_over
    ]
    return _cut(chosen + (f"; passed over: {', '.join(passed_over)}" if passed_over else ""), DECISION_CHARACTERS_MAX)


def decisions_line(decisions: Sequence[tuple[str, Decision]]) -> str:
    """Of several models, each with its name: ``opus: nobody; passed over: key 1 (cooling: it is rate limited, 12 s);
    sonnet: round-robin: key 2``.
    """
    if len(decisions) == 1:
        return decision_line(decisions[0][1])
    return _cut("; ".join(f"{name}: {decision_line(each)}" for name, each in decisions), DECISION_CHARACTERS_MAX)


def _cut(text: str, characters_max: int) -> str:
    return sendable(text if len(text) <= characters_max else text[: characters_max - 3] + "...")


def sendable(text: str) -> str:
    """A header holds printable ASCII; names that operators make up may hold more."""
    return text if text.isascii() and text.isprintable() else _UNSENDABLE.sub("?", text)
