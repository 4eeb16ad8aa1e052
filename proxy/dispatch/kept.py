"""The client's own body on its way to a provider of its wire: byte for byte, but for the members that must change."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.dispatch.asked import Asked
from proxy.dispatch.decision import Candidate
from proxy.dispatch.payload import Edits
from proxy.dispatch.splice import joined, members, raw
from proxy.dispatch.unasked import is_unasked, with_usage
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.base import dumps, expect_object, loads


def outgoing_body(asked: Asked, candidate: Candidate, edits: Edits) -> bytes:
    """The client's bytes, or the client's members in their order with what must change replaced."""
    inquiry = asked.inquiry
    body = with_usage(inquiry.body) if is_unasked(asked, candidate) else inquiry.body
    is_renamed = inquiry.model != candidate.model
    if not is_renamed and not edits and not candidate.provider.patches:
        return body
    fields = members(body)
    renamed = _renamed(asked, candidate.model) if is_renamed else {}
    renamed = {key: value for key, value in renamed.items() if key in fields}
    if not renamed and not edits and not candidate.provider.patches:
        return body
    fields.update((key, raw(value)) for key, value in renamed.items())
    edits.apply_shallow(fields)
    if not candidate.provider.patches:
        return joined(fields)
    patched = expect_object(loads(joined(fields)), "")
    for patch in candidate.provider.patches:
        patch(patched)
    return dumps(patched)


def _renamed(asked: Asked, model: str) -> Mapping[str, JsonValue]:
    """The members that name the model. Gemini names it in the path; a body may repeat it, and then must agree."""
    if asked.wire.name != "gemini":
        return {"model": model}
    renamed: JsonObject = {"model": f"models/{model}"}
    match asked.inquiry.operation:
        case "embed_batch":
            requests = asked.body.get("requests")
            entries = requests if isinstance(requests, list) else []
            renamed["requests"] = [_with_model(each, model) for each in entries]
        case "count_tokens":
            renamed["generateContentRequest"] = _with_model(asked.body.get("generateContentRequest"), model)
    return renamed


def _with_model(value: JsonValue, model: str) -> JsonValue:
    return {**value, "model": f"models/{model}"} if isinstance(value, dict) else value
