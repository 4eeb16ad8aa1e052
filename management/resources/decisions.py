"""Why an account served, and the others did not: for a request that was, or for one that could be."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import cast, get_args

import msgspec

from management.refusal import absent, invalid
from management.resources import client_keys
from management.resources.usage import asked
from management.routes import FORM, JSON, Ask, Parameter, Reply, Route, Schema, decoded
from management.state import State, auth_index
from proxy.config.settings import JsonValue
from proxy.dispatch import form
from proxy.dispatch.decision import Candidate, Decision
from proxy.dispatch.draft import Draft
from proxy.dispatch.inquiry import Refused
from proxy.errors import AccessDenied, ProxyError, UnknownModel
from proxy.hub.events import Failure
from proxy.observe.usage_queries import Filter, requests
from proxy.providers.base import Operation
from proxy.wire.table import WIRES

RECENT, RECENT_MAX = 50, 512
_WIRES = tuple(wire.name for wire in WIRES)
_TOLD_BY = {"contents": "gemini", "input": "openai_responses", "anthropic_version": "anthropic"}
"""A member that only bodies of this format have."""
_HELLO: JsonValue = [{"role": "user", "content": "Hello"}]
_LEAST: Mapping[str, dict[str, JsonValue]] = {
    "openai_chat": {"messages": _HELLO},
    "openai_responses": {"input": "Hello"},
    "anthropic": {"max_tokens": 16, "messages": _HELLO},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
}
"""What stands in a body that is nothing but a model's name."""


def told(state: State, decision: Decision) -> dict[str, object]:
    """As JSON; times in Unix seconds."""
    offset = state.offset
    return {
        "chosen": None if decision.chosen is None else _candidate(decision.chosen),
        "rule": decision.rule,
        "at": round(decision.now + offset, 3),
        "returns_at": None if decision.returns_at is None else round(decision.returns_at + offset, 3),
        "passed_over": [
            {
                **_candidate(each.candidate),
                "why": each.why,
                "returns_at": None if each.returns_at is None else round(each.returns_at + offset, 3),
            }
            for each in decision.passed_over
        ],
    }


def _candidate(candidate: Candidate) -> dict[str, object]:
    credential = candidate.credential
    return {
        "account": credential.id,
        "auth_index": auth_index(credential.id),
        "label": credential.label,
        "provider": candidate.provider.name,
        "model": candidate.model,
    }


async def explain(ask: Ask) -> Reply:
    """Raises `Refusal`."""
    draft = await _draft(ask)
    try:
        decision = ask.state.rehearse(draft)
    except LookupError:
        raise absent(f"there is no client key {draft.key[:100]!r}") from None
    except Refused as refused:
        made = _turned_away(ask.state, refused.failure)
    except AccessDenied as error:
        made = _turned_away(ask.state, Failure.of(error))
    except UnknownModel as error:
        if not draft.key:
            raise absent(error.message) from error
        made = _turned_away(ask.state, Failure.of(error))  # by the key's terms, as likely as not
    except ProxyError as error:
        raise invalid(error.message) from error
    else:
        made = {**told(ask.state, decision), **_turns(ask.state, decision)}
    if draft.key:
        made["key"] = next(each for each in client_keys.told(ask) if each["name"] == draft.key)
    return Reply(body={"model": draft.model, **made})


async def _draft(ask: Ask) -> Draft:
    """Any request: its body's model and format count, and its headers, as they would come with it; whose key it has,
    and where it comes from. Raises `Refusal`.
    """
    raw = await ask.raw(ask.state.config().server.body_bytes_max)
    content_type = ask.request.headers.get("content-type", "")
    body = _said(raw, content_type)
    model = ask.query.get("model") or body.get("model")
    if not isinstance(model, str) or not model:
        raise invalid("a body with a model is needed: that of any request; ?model= where its path names it")
    wire = ask.word("wire", _WIRES, next((wire for member, wire in _TOLD_BY.items() if member in body), "openai_chat"))
    if body.keys() <= {"model"} and not form.is_form(content_type):
        raw = msgspec.json.encode({"model": model, **_LEAST[wire]})
    return Draft(
        body=raw,
        model=model,
        wire=wire,
        operation=cast("Operation", ask.word("operation", get_args(Operation), "generate")),
        is_stream=body.get("stream") in (True, "true"),
        headers=ask.request.headers,
        key=ask.query.get("key") or "",
        address=_address(ask),
    )


def _turned_away(state: State, failure: Failure) -> dict[str, object]:
    """As `told`, where its client is refused before anybody is looked for."""
    decision = Decision(chosen=None, rule="refused", now=state.clock.monotonic())
    wait = failure.retry_after_seconds
    return {
        **told(state, decision),
        "returns_at": None if wait is None else round(state.clock.unix() + wait, 3),
        "refusal": {
            "status": failure.status,
            "kind": failure.kind,
            "code": failure.code,
            "message": failure.message,
        },
    }


def _turns(state: State, decision: Decision) -> dict[str, object]:
    if state.workers == 1 or decision.chosen is None:
        return {}
    return {"note": f"each of the {state.workers} workers takes turns of its own: this is the owner's"}


def _address(ask: Ask) -> str:
    """Raises `Refusal`."""
    said = ask.query.get("address") or ""
    try:
        return said and str(ipaddress.ip_address(said))
    except ValueError:
        raise invalid("address must be an IP address: where the request would come from") from None


def _said(raw: bytes, content_type: str) -> dict[str, JsonValue]:
    """What of it counts here. Raises `Refusal`."""
    if form.is_form(content_type):
        try:
            return {**form.values(raw, content_type, "model", "stream")}
        except ProxyError as error:
            raise invalid(error.message) from error
    body = decoded(raw)
    if not isinstance(body, dict):
        raise invalid("the body of any request is needed: an object")
    return body


async def explain_past(ask: Ask) -> Reply:
    """All its attempts, in their order; and what the ledger has of it, for as long as it has it."""
    wanted = ask.path["id"]
    found = [told(ask.state, decision) for request_id, decision in ask.state.dispatcher.recent if request_id == wanted]
    rows = await asked(ask, lambda connection: [*requests(connection, Filter(request_id=wanted), limit=1)])
    if not found and not rows:
        raise absent(
            f"nothing is known of that request: the last {RECENT_MAX} decisions are kept, and the ledger's rows"
        )
    return Reply(body={"request_id": wanted, "decisions": found, "request": next(iter(rows), None)})


async def recent(ask: Ask) -> Reply:
    limit = ask.number("limit", RECENT, low=1, high=RECENT_MAX)
    last = [*ask.state.dispatcher.recent][-limit:]
    return Reply(
        body={
            "decisions": [
                {"request_id": request_id, **told(ask.state, decision)} for request_id, decision in reversed(last)
            ]
        }
    )


_OBJECT: Schema = {"type": "object"}

ROUTES = (
    Route(
        method="POST",
        path="/explain",
        handler=explain,
        sentence=(
            "Who would serve this request, with these headers, now; what stands against each of the others; or what "
            "its client would be told instead (refusal). Changes nothing."
        ),
        parameters=(
            Parameter(name="operation", sentence="What is asked.", schema={"enum": [*get_args(Operation)]}),
            Parameter(name="wire", sentence="The client's format.", schema={"enum": [*_WIRES]}),
            Parameter(name="model", sentence="Its model, where the body has none: Gemini's."),
            Parameter(name="key", sentence="The name of a client key: its terms, limits, budgets and conversations."),
            Parameter(name="address", sentence="Where it comes from: for the key's networks, and limits.ip."),
        ),
        body={"type": "object", "properties": {"model": {"type": "string"}}},
        body_types=(JSON, FORM),
        reply=_OBJECT,
        statuses=(404, 413),
        is_noted=False,
    ),
    Route(
        method="GET",
        path="/explain/{id}",
        handler=explain_past,
        sentence="The decisions of a past request, by its id, and its row in the ledger with all attempts.",
        reply=_OBJECT,
        statuses=(404, 503),
    ),
    Route(
        method="GET",
        path="/decisions",
        handler=recent,
        sentence="The last decisions, the newest first.",
        parameters=(
            Parameter(
                name="limit", sentence="How many.", schema={"type": "integer", "minimum": 1, "maximum": RECENT_MAX}
            ),
        ),
        reply=_OBJECT,
    ),
)
