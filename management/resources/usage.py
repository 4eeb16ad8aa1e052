"""The usage ledger: totals, series, percentiles, single requests, exports; and the queue that older consumers pop."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TypeVar, cast

import msgspec

from management.masking import mask_of
from management.refusal import Refusal, invalid
from management.routes import CSV, JSON, Ask, Parameter, Reply, Route, Schema
from management.state import auth_index
from proxy.observe.database import Connection
from proxy.observe.ledger import Unusable
from proxy.observe.ledger_schema import COLUMNS
from proxy.observe.usage_queries import (
    GROUPS,
    Answer,
    Filter,
    Step,
    percentiles,
    pop,
    recent,
    requests,
    series,
    totals,
)

T = TypeVar("T")
PAGE, PAGE_MAX = 100, 1000
EXPORT_MAX = 100_000
POPPED_MAX = 1000
_SECONDS_MAX = 2**40
NO_COUNTS: Mapping[str, object] = {"success": 0, "failed": 0, "recent_requests": []}


async def asked(ask: Ask, question: Callable[[Connection], T]) -> T:
    """Raises `Refusal`."""
    try:
        return await asyncio.to_thread(ask.state.ledger.read, question)
    except Unusable as error:
        raise Refusal(503, str(error)) from error


def chosen(ask: Ask) -> Filter:
    """Raises `Refusal`."""
    query = ask.query
    since, until = (ask.number(name, -1, low=0, high=_SECONDS_MAX) for name in ("since", "until"))
    status = ask.word("status", ("ok", "failed"))
    return Filter(
        since=None if since < 0 else since,
        until=None if until < 0 else until,
        key=query.get("key"),
        account=_account(ask),
        provider=query.get("provider"),
        model=query.get("model"),
        is_failed=None if not status else status == "failed",
        session=query.get("session"),
        request_id=query.get("request_id"),
    )


def _account(ask: Ask) -> str | None:
    """A credential's id, or what panels call it."""
    account = ask.query.get("account") or ask.query.get("auth_index")
    if account is None:
        return None
    ids = (each.id for each in ask.state.snapshot().credentials)
    return next((each for each in ids if account in {each, auth_index(each)}), account)


async def get_totals(ask: Ask) -> Reply:
    what, group = chosen(ask), ask.word("group", tuple(GROUPS))
    found = await asked(ask, lambda connection: totals(connection, what))
    body: dict[str, object] = {"totals": found[0], "filter": _given(what)}
    if group:
        body["by"] = group
        body["groups"] = await asked(ask, lambda connection: totals(connection, what, group))
    return Reply(body=body)


async def get_series(ask: Ask) -> Reply:
    what, step = chosen(ask), cast("Step", ask.word("step", ("hour", "day"), "day"))
    points = await asked(ask, lambda connection: series(connection, what, step))
    return Reply(body={"step": step, "points": points, "filter": _given(what)})


async def get_percentiles(ask: Ask) -> Reply:
    what = chosen(ask)
    return Reply(body=await asked(ask, lambda connection: percentiles(connection, what)))


async def get_requests(ask: Ask) -> Reply:
    found = await _page(ask, ask.number("limit", PAGE, low=1, high=PAGE_MAX))
    return Reply(body={"requests": found, "next": found[-1]["id"] if found else None})


async def get_export(ask: Ask) -> Reply:
    form = ask.word("format", ("csv", "json"), "csv")
    found = await _page(ask, ask.number("limit", EXPORT_MAX, low=1, high=EXPORT_MAX))
    headers = {"Content-Disposition": f'attachment; filename="usage.{form}"'}
    if found:
        headers["X-Next"] = str(found[-1]["id"])
    raw = await asyncio.to_thread(msgspec.json.encode if form == "json" else as_csv, found)
    return Reply(body=raw, kind=JSON if form == "json" else f"{CSV}; charset=utf-8", headers=headers)


async def _page(ask: Ask, limit: int) -> list[Answer]:
    what, before = chosen(ask), ask.number("before", -1, low=0, high=2**60)
    last = None if before < 0 else before
    return await asked(ask, lambda connection: [*requests(connection, what, limit=limit, before=last)])


def as_csv(rows: list[Answer]) -> bytes:
    """RFC 4180. What a spreadsheet would take for a formula is marked as text: names are made up by clients."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = ("id", *COLUMNS)
    writer.writerow(names)
    writer.writerows([_cell(row[name]) for name in names] for row in rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, list):
        value = msgspec.json.encode(value).decode()
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


async def counts(ask: Ask) -> dict[str, dict[str, object]]:
    """By account: requests that went well and that did not, since ever and lately. Nothing where there is no ledger."""
    now = ask.state.clock.unix()
    try:
        told = await asked(ask, lambda connection: totals(connection, Filter(), "account"))
        lately = await asked(ask, lambda connection: recent(connection, now=now))
    except Refusal:
        return {}
    return {
        str(each["name"]): {
            "success": cast("int", each["requests"]) - cast("int", each["failed"]),
            "failed": each["failed"],
            "recent_requests": lately.get(str(each["name"]), []),
        }
        for each in told
    }


async def get_by_key(ask: Ask) -> Reply:
    """By provider, then by address and mask of the key."""
    told = await counts(ask)
    found: dict[str, dict[str, object]] = {}
    for each in ask.state.snapshot().credentials:
        if each.secret is not None:
            name = f"{each.base_url or ''}|{mask_of(each.secret.reveal())}"
            found.setdefault(each.provider, {})[name] = told.get(each.id, NO_COUNTS)
    return Reply(body=found)


async def pop_queue(ask: Ask) -> Reply:
    """Raises `Refusal`."""
    if not ask.query.get("count", "1").lstrip("0"):
        raise invalid("count must be a positive whole number")
    count = ask.number("count", 1, low=1, high=POPPED_MAX)
    future: Future[list[Answer]] = ask.state.ledger.ask(lambda connection: pop(connection, count))
    try:
        rows = await asyncio.wrap_future(future)
    except Unusable as error:
        raise Refusal(503, str(error)) from error
    return Reply(body=[_record(row) for row in rows])


def _record(row: Answer) -> dict[str, object]:
    """In the words of those who pop; what names a client's key is its name here, never the key."""
    counts = {name: cast("int", row[name] or 0) for name in ("input_uncached", "cache_read", "cache_write")}
    reasoning, output = cast("int", row["reasoning"] or 0), cast("int", row["output"] or 0)
    return {
        "timestamp": datetime.fromtimestamp(cast("float", row["at"]), UTC).isoformat().replace("+00:00", "Z"),
        "latency_ms": round(1000 * cast("float", row["seconds"])),
        "ttft_ms": None
        if row["first_byte_seconds"] is None
        else round(1000 * cast("float", row["first_byte_seconds"])),
        "source": row["account"],
        "auth_index": auth_index(cast("str", row["credential"])) if row["credential"] else None,
        "tokens": {
            "input": sum(counts.values()),
            "output": output + reasoning,
            "reasoning": reasoning,
            "cached": counts["cache_read"],
            "cache_read": counts["cache_read"],
            "cache_creation": counts["cache_write"],
            "total": sum(counts.values()) + output + reasoning,
        },
        "failed": cast("int", row["status"]) >= 400,
        "generate": row["operation"] == "generate",
        "fail": {"status_code": row["status"], "body": row["error"]} if cast("int", row["status"]) >= 400 else None,
        "provider": row["provider"],
        "model": row["model_served"],
        "alias": row["model_asked"],
        "endpoint": row["route"],
        "api_key": row["key"],
        "request_id": row["request_id"],
        "cost": row["cost"],
    }


def _given(what: Filter) -> dict[str, object]:
    return {name: value for name, value in asdict(what).items() if value is not None}


_TIME: Schema = {"type": "integer", "minimum": 0}
FILTERS = (
    Parameter(name="since", sentence="Unix seconds, included.", schema=_TIME),
    Parameter(name="until", sentence="Unix seconds, excluded.", schema=_TIME),
    Parameter(name="key", sentence="The client key's name."),
    Parameter(name="account", sentence="The account's id or auth_index."),
    Parameter(name="provider", sentence="The provider's name."),
    Parameter(name="model", sentence="The model that served."),
    Parameter(name="status", sentence="How it ended.", schema={"enum": ["ok", "failed"]}),
    Parameter(name="session", sentence="The client's name for its conversation."),
    Parameter(name="request_id", sentence="The request's id."),
)
_OBJECT: Schema = {"type": "object"}
_BEFORE = Parameter(name="before", sentence="`next` of the page before.", schema=_TIME)


def _limit(high: int) -> Parameter:
    return Parameter(name="limit", sentence="How many.", schema={"type": "integer", "minimum": 1, "maximum": high})


ROUTES = (
    Route(
        method="GET",
        path="/usage",
        handler=get_totals,
        sentence="Requests, tokens and cost; split by `group`.",
        parameters=(*FILTERS, Parameter(name="group", sentence="Split by.", schema={"enum": [*GROUPS]})),
        reply=_OBJECT,
        statuses=(503,),
    ),
    Route(
        method="GET",
        path="/usage/series",
        handler=get_series,
        sentence="The same by hour or day (UTC).",
        parameters=(*FILTERS, Parameter(name="step", sentence="How long.", schema={"enum": ["hour", "day"]})),
        reply=_OBJECT,
        statuses=(503,),
    ),
    Route(
        method="GET",
        path="/usage/percentiles",
        handler=get_percentiles,
        sentence="Seconds to the first byte and of the whole.",
        parameters=FILTERS,
        reply=_OBJECT,
        statuses=(503,),
    ),
    Route(
        method="GET",
        path="/usage/requests",
        handler=get_requests,
        sentence="Single requests with their attempts, the newest first.",
        parameters=(*FILTERS, _limit(PAGE_MAX), _BEFORE),
        reply=_OBJECT,
        statuses=(503,),
    ),
    Route(
        method="GET",
        path="/usage/export",
        handler=get_export,
        sentence="Single requests as a file.",
        parameters=(
            *FILTERS,
            _limit(EXPORT_MAX),
            _BEFORE,
            Parameter(name="format", sentence="Its form.", schema={"enum": ["csv", "json"]}),
        ),
        reply={"type": "string"},
        reply_type=CSV,
        more_types={JSON: {"type": "array", "items": {"type": "object"}}},
        statuses=(503,),
    ),
    Route(
        method="GET",
        path="/api-key-usage",
        handler=get_by_key,
        sentence="How requests went with each key, since ever and in the last spans of ten minutes.",
        reply=_OBJECT,
    ),
    Route(
        method="GET",
        path="/usage-queue",
        handler=pop_queue,
        sentence="Take the oldest records that nobody has taken; each is given once. The ledger keeps them.",
        parameters=(
            Parameter(
                name="count", sentence="How many.", schema={"type": "integer", "minimum": 1, "maximum": POPPED_MAX}
            ),
        ),
        reply={"type": "array"},
        statuses=(503,),
    ),
)
