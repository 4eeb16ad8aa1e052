"""How a request ended: its line in the log, and the figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.dispatch.inquiry import AttemptRecord, Inquiry, Report
from proxy.dispatch.refusal import CLIENT_BUDGET, CLIENT_LIMIT
from proxy.hub.events import Failure
from proxy.observe.casebook import Case
from proxy.observe.usage import Tokens, Tried, Used
from proxy.server.app import App
from proxy.server.books import Note
from proxy.server.limits import Grant
from proxy.server.routes import MANAGEMENT


@dataclass(slots=True, kw_only=True)
class Ended:
    """`route`: its label. `failure`: ours, where the report has none. `is_probe`: asked every few seconds for ever."""

    route: str
    status: int
    seconds: float
    client: str
    failure: Failure | None = None
    is_probe: bool = False
    inquiry: Inquiry | None = None
    """What was asked of a model; None: nothing was."""
    grant: Grant | None = None
    """What it was let in with; None: nothing was counted."""

    @property
    def is_quiet(self) -> bool:
        """A probe, with which nothing is wrong; or a guess at the management key, of which its guard tells."""
        is_refused = self.route == MANAGEMENT.label and self.status in _REFUSED
        return is_refused or (self.is_probe and self.status < 400)


_REFUSED = frozenset({401, 403, 429})
CLIENT_GONE = 499
"""What the log says where nobody was left to be told a status (nginx's word)."""
LIMITS = frozenset({CLIENT_LIMIT, CLIENT_BUDGET})
"""Codes of refusals that are a client's own."""
SESSION_HEADERS = ("x-claude-code-session-id", "session-id", "session_id", "x-session-id", "x-session-affinity")
"""In which clients name their conversation."""


def tell_end(app: App, report: Report, ended: Ended) -> None:
    inquiry = ended.inquiry
    used = used_by(inquiry, report, ended, at=app.now())
    if ended.grant is not None:
        ended.grant.settle(used)
    failure = report.failure or ended.failure
    app.books.note(
        Note(
            used,
            client=ended.client,
            is_served=report.model_served is not None,
            message=None if failure is None else failure.message,
            limit=_limit(report.failure),
            is_quiet=ended.is_quiet,
        )
    )
    is_case = failure is not None and _limit(failure) is None  # of a client's own limits its line says enough
    if inquiry is not None and failure is not None and is_case and app.cases is not None:
        app.cases.note(
            Case(
                used=used,
                message=failure.message,
                headers=inquiry.headers,
                query=inquiry.query,
                body=inquiry.envelope or inquiry.body,
            )
        )


def _limit(failure: Failure | None) -> str | None:
    return failure.code if failure is not None and failure.code in LIMITS else None


def used_by(inquiry: Inquiry | None, report: Report, ended: Ended, *, at: float) -> Used:
    """The ledger's row; `inquiry`: None: it gets none. Where nobody answered it belongs to the one who was tried
    last.
    """
    if inquiry is None:
        return Used(
            at=at, request_id=report.request_id, route=ended.route, operation="", status=ended.status,
            seconds=ended.seconds, model_asked=report.model_asked,
        )  # fmt: skip
    failure = report.failure or ended.failure
    last = report.attempts[-1] if report.attempts else None
    return Used(
        at=at,
        request_id=report.request_id,
        route=ended.route,
        operation=inquiry.operation,
        status=ended.status,
        seconds=ended.seconds,
        key=ended.client,
        model_asked=report.model_asked,
        model_served=report.model_served or (None if last is None else last.model),
        provider=report.provider or (None if last is None else last.provider),
        credential=report.credential or (None if last is None else last.credential),
        account=report.account,
        wire_in=inquiry.wire,
        wire_out=report.wire,
        is_stream=inquiry.is_stream,
        tokens=Tokens.of(report.usage),
        first_byte_seconds=report.first_byte_seconds,
        finish=report.finish,
        error=None if failure is None else " ".join(filter(None, (failure.kind, failure.code))),
        session=inquiry.session or _session(inquiry.headers),
        losses=tuple(map(str, report.losses)) if report.losses else (),
        attempts=tuple([_tried(each) for each in report.attempts]),
    )


def _session(headers: Mapping[str, str]) -> str | None:
    for name in SESSION_HEADERS:
        if name in headers:
            return headers[name]
    return None


def _tried(attempt: AttemptRecord) -> Tried:
    return Tried(
        provider=attempt.provider,
        credential=attempt.credential,
        model=attempt.model,
        status=attempt.status,
        why=attempt.why,
        seconds=attempt.seconds,
        first_byte_seconds=attempt.first_byte_seconds,
        tokens=None if attempt.usage is None else Tokens.of(attempt.usage),
    )
