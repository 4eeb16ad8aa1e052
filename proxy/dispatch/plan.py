"""Which way a candidate is asked: relayed where it speaks the client's wire, translated where it does not."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.dispatch.asked import TAG_MARKS, Asked
from proxy.dispatch.by_cli import cut, through_cli
from proxy.dispatch.decision import Candidate
from proxy.dispatch.genuine import is_genuine
from proxy.dispatch.habits import with_losses, without_habits
from proxy.dispatch.passage import Plan
from proxy.dispatch.plain import PlainPlan
from proxy.dispatch.recall import Recall
from proxy.dispatch.relay import RelayPlan
from proxy.dispatch.snapshot import Snapshot
from proxy.dispatch.spoken import takes_socket
from proxy.dispatch.translate import TranslationPlan, render
from proxy.errors import Untranslatable
from proxy.hub.loss import Loss
from proxy.hub.parts import Part
from proxy.providers.base import PLAIN
from proxy.wire.anthropic.breakpoints import with_breakpoints
from proxy.wire.table import wire_named

_NAMED_MAX = 10


def plan_for(asked: Asked, candidate: Candidate, *, snapshot: Snapshot, recall: Recall, now: float) -> Plan:
    """Raises `Malformed` (the client's body) or `Untranslatable` (this candidate cannot be asked that)."""
    inquiry = asked.inquiry
    provider = candidate.provider
    edits = snapshot.edits(candidate.model, provider.wire).of(inquiry)
    if inquiry.operation in PLAIN:
        return PlainPlan(asked, candidate, edits)
    is_home = provider.speaks(inquiry.operation) == inquiry.wire
    is_own = is_genuine(provider, inquiry.headers, inquiry.envelope)
    if inquiry.said is not None and inquiry.said.is_prewarm and not (is_home and takes_socket(inquiry, candidate)):
        raise Untranslatable(f"{candidate.credential.label} is asked over HTTP, where nothing can be prepared")
    if provider.own_cli and not provider.cli_executor and not (is_home and is_own):
        raise Untranslatable(
            f"{candidate.credential.label} is a login of {provider.own_cli}: it serves that CLI's own requests "
            "only, and this is none; an API key serves any client"
        )
    is_by_cli = bool(provider.cli_executor) and not (is_home and is_own)
    if is_by_cli:
        candidate = through_cli(candidate, inquiry.operation)
    elif is_home and not _must_render(asked):
        return RelayPlan(asked, candidate, edits)
    request = asked.request_for(candidate.model)
    if not is_home:
        maker = provider.profile(candidate.model).maker
        request = recall.restore(inquiry.client, request, maker=maker, now=now)
        takes_marks = provider.wire == "anthropic" and candidate.provider.profile(candidate.model).has_cache_marks
        if takes_marks and snapshot.config.cache_breakpoints:
            request = with_breakpoints(request)
    request, losses = without_habits(request, inquiry.headers, candidate.provider.profile(candidate.model))
    upstream = wire_named(provider.wire)
    rendered = with_losses(render(asked, request, candidate, upstream, edits), losses)
    if is_by_cli:
        rendered = cut(rendered, candidate)
    if inquiry.is_strict and rendered.losses:
        raise strict_refusal(rendered.losses)
    if is_home and not rendered.names.received:
        relay = RelayPlan(asked, candidate, edits, body=rendered.body, losses=rendered.losses)
        relay.is_relay = not is_by_cli  # a CLI has its provider keep nothing: what is gone on from, we keep
        return relay

    def remember(parts: Sequence[Part]) -> None:
        recall.remember(
            inquiry.client, parts, now, after=asked.request.messages[-1] if asked.request.messages else None
        )

    return TranslationPlan(asked=asked, candidate=candidate, upstream=upstream, rendered=rendered, remember=remember)


def _must_render(asked: Asked) -> bool:
    """At home: what a suffix asked for is put into the wire's own field, and what no provider understands taken out."""
    if asked.inquiry.operation not in {"generate", "count_tokens"}:
        return False
    return asked.found.reasoning is not None or not asked.marks.isdisjoint(TAG_MARKS)


def strict_refusal(losses: Sequence[Loss]) -> Untranslatable:
    named = "; ".join(str(loss) for loss in losses[:_NAMED_MAX])
    more = f"; and {len(losses) - _NAMED_MAX} more" if len(losses) > _NAMED_MAX else ""
    return Untranslatable(
        f"strict: the upstream's format has no room for {len(losses)} parts of this request: {named}{more}",
        code="lossy_translation",
        path=losses[0].path,
    )
