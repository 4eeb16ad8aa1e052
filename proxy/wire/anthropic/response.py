"""Whole answers: parse and render."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from proxy.errors import Broken, Malformed
from proxy.hub.loss import Loss
from proxy.hub.names import synthetic_call_id, tag
from proxy.hub.parts import Opaque, Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Finish, FinishReason, Response, Usage
from proxy.wire.anthropic.blocks import NAME, OF_CALL, OF_TEXT, BlockReader
from proxy.wire.anthropic.parts import as_input, text_block
from proxy.wire.arguments import may_be_cut
from proxy.wire.base import Rendered, Reply
from proxy.wire.fault import fault_of
from proxy.wire.fields import Fields, residue_fields, residue_losses, residue_shape

_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "pause_turn": "paused",
    "compaction": "paused",
}
WORDS: Mapping[FinishReason, str] = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "refusal": "refusal",
    "paused": "pause_turn",
    "malformed_call": "end_turn",
    "other": "end_turn",
}


# Parse


def parse_response(body: JsonObject, *, maker: str) -> Response:
    content = body.get("content")
    if not isinstance(content, list):
        told = fault_of(body).message if "error" in body else "there is no content"
        raise Broken(f"the upstream's answer is no message: {told}")
    try:
        return _parse(body, content, maker)
    except Malformed as error:
        raise Broken(f"the upstream's answer is no message: {error.message}") from error


def _parse(body: JsonObject, content: list[JsonValue], maker: str) -> Response:
    read = BlockReader(maker).read
    parts = tuple(identified(read(block, f"content[{index}]"), index) for index, block in enumerate(content))
    fields = Fields(body, wire=NAME)
    fields.take("content")
    head = parse_head(fields)
    return replace(head, parts=parts, finish=parse_finish(fields, parts), residue=frame_residue(fields))


def identified(part: Part, index: int) -> Part:
    """A call must have an id: some compatible upstreams give none."""
    if isinstance(part, ToolCall) and not part.id:
        return replace(part, id=synthetic_call_id(index, part.name, part.arguments))
    return part


def parse_head(fields: Fields) -> Response:
    """Whose message it is. Takes what it reads."""
    usage = fields.take_fields("usage") if isinstance(fields.peek("usage"), dict) else None
    return Response(
        id=fields.take_str("id") or "",
        model=fields.take_str("model") or "",
        usage=parse_usage(usage) if usage else None,
    )


def parse_finish(fields: Fields, parts: tuple[Part, ...]) -> Finish:
    """A call beats the upstream's word, unless that says that the answer was cut off or refused. Where it said nothing,
    the answer ended by itself.
    """
    raw, stop_sequence = _word(fields, "stop_reason"), _word(fields, "stop_sequence")
    reason = "stop" if raw is None else _REASONS.get(raw, "other")
    if reason in {"stop", "other"} and any(isinstance(part, ToolCall) for part in parts):
        reason = "tool_calls"
    return Finish(reason, raw, stop_sequence)


def _word(fields: Fields, key: str) -> str | None:
    return fields.take_str(key) if isinstance(fields.peek(key), str) else None


def frame_residue(fields: Fields) -> Residue:
    """What is left of the message. There always is one: it tells that the answer is this wire's own."""
    left = fields.residue()
    return Residue(wire=NAME, fields=left.fields if left else {})


def parse_usage(fields: Fields) -> Usage:
    """`input_tokens` leaves out what was cached; `output_tokens` includes the thinking. What is no number is residue:
    no answer is thrown away for its bill.
    """
    output = _tokens(fields, "output_tokens")
    told = isinstance(fields.peek("output_tokens_details"), dict)
    details = fields.take_fields("output_tokens_details") if told else None
    thinking = _tokens(details, "thinking_tokens") if details else None
    if details and (left := details.residue()):
        fields.give_back("output_tokens_details", dict(left.fields))
    if output is not None and thinking is not None:
        output = max(0, output - thinking)
    return Usage(
        input_uncached=_tokens(fields, "input_tokens"),
        cache_read=_tokens(fields, "cache_read_input_tokens"),
        cache_write=_tokens(fields, "cache_creation_input_tokens"),
        output=output,
        reasoning=thinking,
        residue=fields.residue(),
    )


def _tokens(fields: Fields, key: str) -> int | None:
    value = fields.peek(key)
    return fields.take_int(key) if isinstance(value, int) and not isinstance(value, bool) else None


# Render


def render_response(response: Response, reply: Reply) -> Rendered[JsonObject]:
    losses: list[Loss] = list(residue_losses(response.residue, NAME))
    body = render_head(response.id, response.residue, reply)
    body["content"] = list(render_parts(response, reply, losses))
    body.update(render_finish(response.finish, response.residue, has_refusal=_has_refusal(response.parts)))
    if response.usage is not None or not is_home(response.residue):
        body["usage"] = render_usage(response.usage, is_home=is_home(response.residue))
    body.update(residue_fields(response.residue, NAME))
    return Rendered(body, tuple(losses))


def is_home(residue: Residue | None) -> bool:
    return residue is not None and residue.wire == NAME


def _has_refusal(parts: tuple[Part, ...]) -> bool:
    return any(isinstance(part, Refusal) for part in parts)


def render_head(response_id: str, residue: Residue | None, reply: Reply) -> JsonObject:
    own = response_id if is_home(residue) else f"msg_{reply.request_id}"
    return {"id": own, "type": "message", "role": "assistant", "model": reply.model}


def render_finish(finish: Finish | None, residue: Residue | None, *, has_refusal: bool) -> JsonObject:
    """`stop_reason` and `stop_sequence`; at home only what was told."""
    if is_home(residue) and (finish is None or finish.raw is None or _is_kept(finish)):
        told: JsonObject = {"stop_reason": finish.raw, "stop_sequence": finish.stop_sequence} if finish else {}
        return {key: value for key, value in told.items() if value is not None}
    if finish is None:
        return {"stop_reason": "end_turn", "stop_sequence": None}
    if finish.stop_sequence is not None and finish.reason == "stop":
        return {"stop_reason": "stop_sequence", "stop_sequence": finish.stop_sequence}
    reason: FinishReason = "refusal" if has_refusal and finish.reason == "stop" else finish.reason
    return {"stop_reason": WORDS[reason], "stop_sequence": None}


def _is_kept(finish: Finish) -> bool:
    """Whether the upstream's word still says what we know: a call may have corrected it."""
    return _REASONS.get(finish.raw or "", "other") == finish.reason


def render_usage(usage: Usage | None, *, is_home: bool) -> JsonObject:
    """All that a client of this wire adds up; at home only what was told."""
    if usage is None:
        return {} if is_home else {"input_tokens": 0, "output_tokens": 0}
    told: JsonObject = {
        "input_tokens": usage.input_uncached,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": None if usage.output is None and usage.reasoning is None else usage.output_total,
    }
    if not is_home:
        told = {key: value or 0 for key, value in told.items()}
    body: JsonObject = {key: value for key, value in told.items() if value is not None}
    rest = residue_fields(usage.residue, NAME)
    if usage.reasoning is not None:
        details = rest.pop("output_tokens_details", None)
        more = details if isinstance(details, dict) else {}
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning, **more}
    return {**body, **rest}


def render_parts(response: Response, reply: Reply, losses: list[Loss]) -> Iterator[JsonValue]:
    at_home = is_home(response.residue)
    last = len(response.parts) - 1 if response.finish is not None and response.finish.reason == "length" else None
    for index, told in enumerate(response.parts):
        part = told if at_home else shown(told, reply)
        path = f"content[{index}]"
        losses.extend(residue_losses(part.residue, NAME, path))
        if isinstance(part, ToolCall) and last is not None and may_be_cut(part, is_last=index == last):
            losses.append(Loss(path, f"call of {part.name}", "it was cut off before its arguments were whole"))
            continue
        if isinstance(part, ToolCall) and (mark := call_signature(part)) is not None:
            yield mark
        block = render_part(part, index, is_home=at_home)
        if block is not None:
            yield block
        elif reason := why_not(part):
            losses.append(Loss(path, reason, "an answer of this wire has no room for it"))
        if isinstance(part, Text) and (mark := text_signature(part)) is not None:
            yield mark


def render_part(part: Part, index: int, *, is_home: bool) -> JsonObject | None:
    """A block for a client; None where there is none."""
    fields = residue_fields(part.residue, NAME)
    match part:
        case Text():
            return text_block(part) if part.text or is_home else None
        case Refusal():
            return {"type": "text", "text": part.text} if part.text else None
        case Thinking():
            return _thinking_block(part, fields, is_home=is_home)
        case ToolCall():
            call_id = part.id or synthetic_call_id(index, part.name, part.arguments)
            return {"type": "tool_use", "id": call_id, "name": part.name, "input": as_input(part), **fields}
        case Opaque(wire="anthropic", value=dict(value)):
            return dict(value)
        case _:
            return None


def shown(part: Part, reply: Reply) -> Part:
    """Thinking as the client asked for it: not at all, or sealed (a signature without text), or as it is."""
    reasoning = reply.request.reasoning if reply.request is not None else None
    if reasoning is None or not isinstance(part, Thinking):
        return part
    if reasoning.effort == "none":
        return Thinking()
    return replace(part, sections=()) if reasoning.is_visible is False else part


def why_not(part: Part) -> str | None:
    """What is lost when a part has no block; None for what says nothing."""
    match part:
        case Text() | Refusal() | Thinking():
            return None
        case Opaque(kind=kind):
            return str(kind)
        case _:
            return str(getattr(part, "kind", type(part).__name__.lower()))


def client_signature(part: Thinking) -> str | None:
    """The blob as a client of this wire keeps it for us: another maker's is marked, so that it never goes astray."""
    if part.origin in {None, NAME}:
        return part.signature
    return tag(part.origin or NAME, part.signature or "")


def _thinking_block(part: Thinking, fields: JsonObject, *, is_home: bool) -> JsonObject | None:
    signature = client_signature(part)
    if part.is_redacted:
        return {"type": "redacted_thinking", "data": signature, **fields} if part.signature else None
    if not part.text and not part.signature and not is_home:
        return None
    block: JsonObject = {"type": "thinking", "thinking": part.text, "signature": signature or "", **fields}
    if residue_shape(part.residue, NAME, "signature") == "absent":
        del block["signature"]
    return block


def call_signature(part: ToolCall) -> JsonObject | None:
    return _empty_thinking(OF_CALL, part.signature, part.origin)


def text_signature(part: Text) -> JsonObject | None:
    return _empty_thinking(OF_TEXT, part.signature, part.origin)


def _empty_thinking(whose: str, signature: str | None, origin: str | None) -> JsonObject | None:
    """Another maker signs its calls and texts; here only thinking has room for a signature."""
    if signature is None or origin is None:
        return None
    return {"type": "thinking", "thinking": "", "signature": tag(origin, whose + signature)}
