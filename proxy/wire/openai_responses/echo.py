"""What an answer says besides its output: it repeats most of the request, and tells how it ended."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import NamedTuple

from proxy.hub.names import NameMap
from proxy.hub.parts import Part, Refusal, Text, ToolCall
from proxy.hub.profile import ALL_EFFORTS, Profile
from proxy.hub.residue import JsonObject
from proxy.hub.response import Finish, FinishReason
from proxy.wire.base import Reply
from proxy.wire.fields import residue_shape
from proxy.wire.openai_responses.losses import NAME, Losses
from proxy.wire.openai_responses.request import render_envelope
from proxy.wire.openai_responses.tools import ToolWriter

HOME = Profile(
    maker=NAME,
    efforts=ALL_EFFORTS,
    has_cache_marks=True,
    extras=frozenset({"verbosity", "service_tier", "cache_key", "metadata", "user", "parallel_switch", "store"}),
)
"""Understands whatever a client of this wire can say."""

_DEFAULTS: JsonObject = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": False,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""What is told where the client said nothing."""


def echo(reply: Reply) -> JsonObject:
    request = reply.request
    if request is None or request.residue is None or request.residue.wire != NAME:
        return dict(_DEFAULTS)
    losses = Losses()
    writer = ToolWriter(HOME, NameMap(), losses)
    for at, tool in enumerate(request.tools):
        writer.write(tool, f"tools[{at}]")
    said = render_envelope(request, HOME, NameMap(), losses)
    said["tools"] = writer.tools
    first = request.instructions[0] if request.instructions else None
    if isinstance(first, Text) and residue_shape(first.residue, NAME, "item") == "instructions":
        said["instructions"] = first.text
    return {key: said.get(key, default) for key, default in _DEFAULTS.items()}


def made_id(prefix: str, reply: Reply, name: str = "") -> str:
    """An id that the original servers take, too, when a client brings it back to them. Always the same."""
    digest = hashlib.sha256(f"{reply.request_id}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{prefix}_{digest[:40]}"


class Status(NamedTuple):
    """`reason`: why it is incomplete."""

    status: str
    reason: str | None = None

    @property
    def fields(self) -> JsonObject:
        details: JsonObject | None = {"reason": self.reason} if self.reason else None
        error: JsonObject | None = None
        if self.status == "failed":
            error = {"code": "server_error", "message": "The model wrote a tool call that cannot be read."}
        return {"status": self.status, "error": error, "incomplete_details": details}


_STATUSES: Mapping[FinishReason, Status] = {
    "stop": Status("completed"),
    "tool_calls": Status("completed"),
    "paused": Status("completed"),
    "other": Status("completed"),
    "length": Status("incomplete", "max_output_tokens"),
    "refusal": Status("incomplete", "content_filter"),
    "malformed_call": Status("failed"),
}


def status_of(finish: Finish | None, *, has_refusal: bool) -> Status:
    """A refusal in words is a complete answer; one without is a filter's."""
    if finish is None:
        return Status("in_progress")
    if finish.reason == "refusal" and has_refusal:
        return Status("completed")
    return _STATUSES[finish.reason]


_REASONS: Mapping[str, FinishReason] = {"max_output_tokens": "length", "content_filter": "refusal"}


def finish_of(body: JsonObject, kinds: Collection[type[Part]]) -> Finish | None:
    """None while the answer is still being made (background). `kinds`: the classes of its parts; a call beats the
    wire's own word, unless the answer was cut.
    """
    status, details = body.get("status"), body.get("incomplete_details")
    if status in ("queued", "in_progress"):
        return None
    if status == "incomplete":
        reason = details.get("reason") if isinstance(details, dict) else None
        return Finish(_REASONS.get(str(reason), "other"), str(reason) if reason else "incomplete")
    raw = status if isinstance(status, str) else None
    if ToolCall in kinds:
        return Finish("tool_calls", raw)
    if Refusal in kinds:
        return Finish("refusal", raw)
    return Finish("stop" if raw in {"completed", None} else "other", raw)
