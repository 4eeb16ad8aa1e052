"""The loop: decide → attempt → verdict, until somebody answers or the budget is spent."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from auth.pool import Pool
from proxy.dispatch.clock import Clock
from proxy.dispatch.inquiry import Inquiry, Outcome, Refused, Report
from proxy.dispatch.snapshot import Snapshot
from proxy.errors import NoCandidate
from proxy.upstream.base import Upstream


class Dispatcher:
    """Serves inquiries. One per process; holds no configuration of its own.

    ::

        dispatcher = Dispatcher(
            snapshot=lambda: current,  # asked once an inquiry; a reload swaps what it returns
            upstreams={"http": HttpUpstream(...), "sandbox": Sandbox(...)},  # by `Provider.executor`
            pool=Pool(),  # cooldowns and turns; survives reloads
            clock=Clock(),
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
    """

    def __init__(
        self,
        *,
        snapshot: Callable[[], Snapshot],
        upstreams: Mapping[str, Upstream],
        pool: Pool,
        clock: Clock,
    ) -> None:
        self._snapshot = snapshot
        self._upstreams = upstreams
        self._pool = pool
        self._clock = clock

    async def open(self, inquiry: Inquiry) -> Outcome:
        report = Report(request_id=inquiry.request_id, model_asked=inquiry.model)
        raise Refused.because(NoCandidate("nobody is there to serve"), report)
