"""How a request ended: its line in the log, and the figures."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.dispatch.inquiry import AttemptRecord, Report
from proxy.hub.events import Failure
from proxy.hub.response import Usage
from proxy.observe.metrics import Finished
from proxy.server.app import App


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """`route`: its label. `failure`: ours, where the report has none. `is_probe`: asked every few seconds for ever."""

    route: str
    status: int
    seconds: float
    client: str
    failure: Failure | None = None
    is_probe: bool = False


def tell_end(app: App, report: Report, ended: Ended) -> None:
    tokens = _tokens(report.usage)
    failure = report.failure or ended.failure
    log = app.log.debug if ended.is_probe and ended.status < 400 else app.log.info
    log(
        "request.finished",
        request_id=report.request_id,
        route=ended.route,
        status=ended.status,
        seconds=round(ended.seconds, 4),
        **_given(
            client=ended.client,
            model=report.model_asked,
            model_served=report.model_served,
            provider=report.provider,
            credential=report.credential,
            first_byte_seconds=report.first_byte_seconds and round(report.first_byte_seconds, 4),
            tokens=tokens,
            retries=max(0, len(report.attempts) - 1),
            finish=report.finish,
            losses=[str(loss) for loss in report.losses],
            error=failure and failure.message,
        ),
    )
    app.metrics.request_finished(
        Finished(
            route=ended.route,
            status=ended.status,
            seconds=ended.seconds,
            first_byte_seconds=report.first_byte_seconds,
            provider=report.provider or "",
            tokens=tokens,
            attempts=[(each.provider, _result(each)) for each in report.attempts],
            losses=len(report.losses),
        )
    )


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value}


def _tokens(usage: Usage | None) -> dict[str, int]:
    """By kind. An upstream may say anything; a counter only rises."""
    if usage is None:
        return {}
    kinds = {
        "input_uncached": usage.input_uncached,
        "cache_read": usage.cache_read,
        "cache_write": usage.cache_write,
        "output": usage.output,
        "reasoning": usage.reasoning,
    }
    return {kind: tokens for kind, tokens in kinds.items() if tokens is not None and tokens > 0}


def _result(attempt: AttemptRecord) -> str:
    return "ok" if attempt.status is not None and attempt.status < 400 else "failed"
