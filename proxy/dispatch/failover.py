"""The loop: decide → attempt → verdict, until somebody answers or the budget is spent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import structlog
from structlog.typing import FilteringBoundLogger

from auth.pool import Pool
from proxy.dispatch.affinity import Affinity
from proxy.dispatch.answer_headers import Headers, own, passed
from proxy.dispatch.asked import Asked
from proxy.dispatch.attempt import Attempt
from proxy.dispatch.body import Body
from proxy.dispatch.budget import RetryBudget
from proxy.dispatch.catalogue import Catalogue, Found
from proxy.dispatch.clock import Clock
from proxy.dispatch.decision import Decision, Recent
from proxy.dispatch.fallbacks import fallbacks
from proxy.dispatch.genuine import is_genuine
from proxy.dispatch.inquiry import Inquiry, Outcome, Refused, Report
from proxy.dispatch.own_key import apart
from proxy.dispatch.plain import PlainPlan
from proxy.dispatch.pursuit import Pursuit
from proxy.dispatch.recall import Recall
from proxy.dispatch.rehearsal import rehearse
from proxy.dispatch.shared import Renew, Shared, nobody_renews
from proxy.dispatch.snapshot import Snapshot
from proxy.dispatch.track import Track
from proxy.errors import Malformed, ProxyError, UnknownModel
from proxy.providers.estimate import estimated_tokens
from proxy.upstream.base import Prompt, Upstream
from proxy.wire.base import dumps
from proxy.wire.table import wire_named

_SILENT: FilteringBoundLogger = structlog.wrap_logger(
    None, processors=[], wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
)

_NOBODY: Mapping[str, Prompt] = MappingProxyType({})
HOLD_SECONDS_MAX = 10.0
"""How long a stream's head is held for its first content; `streaming.keepalive-seconds` when that is shorter."""
UNCOUNTED = frozenset({404, 405, 501})
"""What gateways answer that have a provider's other operations, but not its counter."""


class Dispatcher:
    """Serves inquiries. One per process; holds no configuration of its own.

    ::

        dispatcher = Dispatcher(
            snapshot=lambda: current,  # asked once an inquiry; a reload swaps what it returns
            upstreams={"http": HttpUpstream(...), "sandbox": Sandbox(...)},  # by `Provider.executor`
            pool=Pool(),  # cooldowns and turns; survives reloads
            clock=Clock(),
            log=log,  # a structlog logger; none: nothing is logged
            renew=renew,  # asked once an attempt for another token, when a provider refuses one; none: there is none
            prompts={"http": ...},  # those of the upstreams that can send at once; none: nobody does
        )
        outcome = await dispatcher.open(inquiry)  # or raises Refused

    `open` returns when the first content is there, or, for a stream, when `streaming.keepalive_seconds` have passed
    without any: then the head is 200 and the failover goes on inside `outcome.body`, unseen; a final failure is told
    there in the client's dialect. A whole answer is always complete before `open` returns.

    `Outcome.body` gives only complete frames, in the client's framing. Whoever reads it must read it to its end or
    `aclose()` it; both settle the account's state, and `aclose` (or cancelling the reader) aborts the upstream's answer
    at once. Heartbeats while nothing comes are the reader's business: between two chunks there is always room for one.
    `Outcome.report` is filled in while it happens and is complete when the body has ended.

    Raises `Refused` and nothing else that is foreseen: its `failure` is to be rendered with
    `wire_named(inquiry.wire).render_error`, its `headers` are to be sent with it.

    `recent`: the last decisions, the newest last, each with the request's id.
    """

    def __init__(
        self,
        *,
        snapshot: Callable[[], Snapshot],
        upstreams: Mapping[str, Upstream],
        pool: Pool,
        clock: Clock,
        log: FilteringBoundLogger | None = None,
        renew: Renew = nobody_renews,
        prompts: Mapping[str, Prompt] = _NOBODY,
    ) -> None:
        self._snapshot = snapshot
        self.recent = Recent()
        self._shared = Shared(
            upstreams=upstreams,
            pool=pool,
            clock=clock,
            recall=Recall(),
            budget=RetryBudget(),
            recent=self.recent,
            log=log or _SILENT,
            renew=renew,
            prompts=prompts,
        )

    def keep_in(self, affinity: Affinity, recall: Recall) -> None:
        """Before anything is asked: what binds conversations to accounts, and what was thought in them, is kept so."""
        self._shared = replace(self._shared, affinity=affinity, recall=recall)

    def track(self, inquiry: Inquiry) -> Track | None:
        """Of this one and all that are like it. None: they need more."""
        snapshot, clock = self._snapshot(), self._shared.clock
        try:
            return Track.of(self._shared, snapshot, _asked(snapshot, inquiry, created=int(clock.unix())))
        except ProxyError:
            return None

    def is_current(self, track: Track) -> bool:
        """There has been no reload since."""
        return track.snapshot is self._snapshot()

    async def resume(self, pursuit: Pursuit) -> Outcome:
        """As `open`."""
        try:
            if pursuit.inquiry.is_stream:
                return await self._open_stream(self._snapshot(), pursuit)
            return _outcome(pursuit, await pursuit.run())
        except ProxyError as error:
            raise Refused.because(error, pursuit.report) from None

    async def open(self, inquiry: Inquiry) -> Outcome:
        snapshot = self._snapshot()
        clock = self._shared.clock
        report = Report(request_id=inquiry.request_id, model_asked=inquiry.model)
        shared = self._shared if inquiry.own_key is None else apart(self._shared)
        try:
            asked = _asked(snapshot, inquiry, created=int(clock.unix()))
            _check_tie(inquiry, asked.found)
            if inquiry.operation == "count_tokens":
                return await self._count(shared, snapshot, asked, report)
            pursuit = Pursuit(shared, snapshot, asked, report)
            if inquiry.is_stream:
                return await self._open_stream(snapshot, pursuit)
            return _outcome(pursuit, await pursuit.run())
        except ProxyError as error:
            raise Refused.because(error, report) from None

    async def _count(self, shared: Shared, snapshot: Snapshot, asked: Asked, report: Report) -> Outcome:
        if _is_estimated(asked):
            return _estimate(asked, report)
        pursuit = Pursuit(shared, snapshot, asked, report)
        try:
            return _outcome(pursuit, await pursuit.run())
        except Refused as refused:
            if refused.failure.status not in UNCOUNTED:
                raise
            return _estimate(asked, report)

    async def _open_stream(self, snapshot: Snapshot, pursuit: Pursuit) -> Outcome:
        seconds = snapshot.config.streaming.keepalive_seconds or HOLD_SECONDS_MAX
        task = asyncio.create_task(pursuit.run())
        try:
            await asyncio.wait({task}, timeout=min(HOLD_SECONDS_MAX, seconds))
        except asyncio.CancelledError:
            await Body(pursuit, task).aclose()
            raise
        if not task.done():
            headers: Headers = (("content-type", _content_type(pursuit.inquiry)),)
            return Outcome(status=200, headers=headers, body=Body(pursuit, task), report=pursuit.report)
        try:
            return _outcome(pursuit, task.result())
        finally:
            del task  # what is raised is kept by it, and keeps this frame

    def explain(self, inquiry: Inquiry) -> Decision:
        """A dry run: what would be decided first, if it came now (`proxy.dispatch.rehearsal`). Raises `ProxyError`."""
        snapshot = self._snapshot()
        shared = self._shared if inquiry.own_key is None else apart(self._shared)
        asked = _asked(snapshot, inquiry, created=int(shared.clock.unix()))
        _check_tie(inquiry, asked.found)
        if inquiry.operation == "count_tokens" and _is_estimated(asked):
            return Decision(chosen=None, rule="estimate", now=shared.clock.monotonic())
        return rehearse(shared, snapshot, asked)


def _asked(snapshot: Snapshot, inquiry: Inquiry, *, created: int) -> Asked:
    """Raises `UnknownModel` where nobody offers it, nor what may go on in its place."""
    wire = wire_named(inquiry.wire)
    try:
        found = _catalogue(snapshot, inquiry).find(inquiry.model, inquiry.operation, inquiry.wire)
    except UnknownModel:
        other = next(fallbacks(snapshot, inquiry, None, is_spent=False), None)
        if other is None:
            raise
        return Asked(inquiry, other, wire, created=created, is_fallback=True)
    if found.reasoning is None and inquiry.reasoning is not None:
        found = replace(found, reasoning=inquiry.reasoning)
    return Asked(inquiry, found, wire, created=created)


def _catalogue(snapshot: Snapshot, inquiry: Inquiry) -> Catalogue:
    """What there is for this request."""
    whole = snapshot.catalogue if inquiry.own_key is None else inquiry.own_key.catalogue(snapshot.config)
    return whole.within(inquiry.reach)


def _check_tie(inquiry: Inquiry, found: Found) -> None:
    """An account that is gone takes what its provider keeps for it along."""
    tie = inquiry.tie
    if tie is not None and tie.is_hard and all(each.credential.id != tie.credential for each in found.candidates):
        raise Malformed(
            f"the account that this response was made with does not serve {inquiry.model!r} (any more); "
            "send the whole conversation as input",
            path="previous_response_id",
            code="previous_response_not_found",
        )


def _outcome(pursuit: Pursuit, attempt: Attempt) -> Outcome:
    kind = _content_type(pursuit.inquiry)
    if isinstance(attempt.plan, PlainPlan):
        kind = attempt.headers.get("content-type", kind)
    headers = told(pursuit, kind, attempt.headers)
    return Outcome(status=attempt.status, headers=headers, body=Body(pursuit, attempt), report=pursuit.report)


def told(pursuit: Pursuit, content_type: str, upstream: Mapping[str, str]) -> Headers:
    """An answer's headers. `upstream`: its own."""
    return (("content-type", content_type), *passed(upstream), *own(pursuit.report), *pursuit.explanation())


def _content_type(inquiry: Inquiry) -> str:
    return "text/event-stream" if inquiry.is_stream and inquiry.framing == "sse" else "application/json"


def _is_estimated(asked: Asked) -> bool:
    """Nobody is asked how many tokens it is."""
    provider, inquiry = asked.found.candidates[0].provider, asked.inquiry
    is_by_cli = bool(provider.cli_executor) and not is_genuine(provider, inquiry.headers, inquiry.envelope)
    return is_by_cli or "count_tokens" not in provider.endpoints


def _estimate(asked: Asked, report: Report) -> Outcome:
    """Nobody who serves this model has an operation that counts, and that its client may use."""
    body = dumps(asked.wire.render_count(estimated_tokens(asked.request)))
    headers: Headers = (("content-type", "application/json"), ("x-proxy-count", "estimate"))
    return Outcome(status=200, headers=headers, body=Body.of(body), report=report)
