"""Whole answers: parse and render."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.errors import Broken, Malformed, Rejected
from proxy.hub.loss import Loss
from proxy.hub.parts import Refusal, ToolCall
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Response
from proxy.wire.base import Rendered, Reply
from proxy.wire.fault import fault_of
from proxy.wire.fields import Fields, residue_losses
from proxy.wire.openai_chat.answering import Answering, Listener, message_of
from proxy.wire.openai_chat.assistant import Speaker, parse_said
from proxy.wire.openai_chat.usage import parse_usage, render_usage
from proxy.wire.openai_chat.words import NAME, finish_of, finish_word, own_fields, own_shape

CHOICE, MESSAGE, OTHERS = "choices[0].", "choices[0].message.", "choices[1:]"
"""How the names of left-over fields begin."""
BOOKKEEPING = frozenset(
    {
        *("object", "system_fingerprint", "service_tier", "provider", "obfuscation", "p", "request_id", "user_id"),
        *("prompt_filter_results", "usage_breakdown", "x_groq", "time_info", "sla_metrics", "kv_transfer_params"),
        *("index", "native_finish_reason", "stop_reason", "seed", "token_ids", "token_id", "content_filter_results"),
        *("role", "channel", "name", "text", "delta", "usage", "metadata"),
    }
)
"""Fields of answers, choices and messages that nobody asked for: dropping them abroad loses nothing."""


def parse_response(body: JsonObject, *, maker: str) -> Response:
    """The first choice is the answer; further ones are kept for this wire. An error inside a success is `Rejected`."""
    if body.get("error") and not body.get("choices"):
        fault = fault_of(body)
        raise Rejected(fault.message, status=fault.status, code=fault.code)
    try:
        return _parse(Fields(body, wire=NAME), maker)
    except Malformed as error:
        raise Broken(f"the upstream's answer is not what its wire allows: {error.message}", path=error.path) from error


def _parse(fields: Fields, maker: str) -> Response:
    choices = fields.need_list("choices")
    if not choices:
        raise Malformed("choices is empty", path="choices")
    choice = Fields(choices[0], wire=NAME, path="choices[0]")
    message = choice.take_fields("message")
    if message is None:
        raise Malformed("choices[0].message is missing", path="choices[0].message")
    told_id, created = _text(fields, "id"), _whole_number(fields, "created")
    parts, form = parse_said(message, Speaker(maker, f"{told_id}:{created}"))
    raw = _text(choice, "finish_reason")
    usage = fields.take("usage")
    model = _text(fields, "model")
    residue = residue_of(
        {"": _left(fields), CHOICE: _left(choice), MESSAGE: _left(message)},
        others=choices[1:],
        shape={"content": form, "usage": usage, "has_finish": raw is not None},
    )
    return Response(
        id=told_id or "",
        model=model or "",
        created=created,
        parts=tuple(parts),
        finish=finish_of(raw, parts),
        usage=parse_usage(usage),
        residue=residue,
    )


def _left(fields: Fields) -> JsonObject:
    residue = fields.residue()
    return dict(residue.fields) if residue is not None else {}


def _text(fields: Fields, key: str) -> str | None:
    return fields.take_str(key) if isinstance(fields.peek(key), str) else None


def _whole_number(fields: Fields, key: str) -> int | None:
    return fields.take_int(key) if isinstance(fields.peek(key), int) else None


def residue_of(left: Mapping[str, JsonObject], *, others: list[JsonValue], shape: JsonObject) -> Residue:
    """What is left of body, choice and message: a field's name says where it stood. Bookkeeping is shape."""
    told: JsonObject = {}
    kept: JsonObject = {}
    for level, fields in left.items():
        for key, value in fields.items():
            is_kept = key in BOOKKEEPING or value in (None, "", [], {})
            (kept if is_kept else told)[f"{level}{key}"] = value
    if others:
        told[OTHERS] = others
    return Residue(wire=NAME, fields=told, shape={**shape, "kept": kept})


class Remains:
    """The mirror of `residue_of`."""

    def __init__(self, residue: Residue | None) -> None:
        kept = own_shape(residue).get("kept")
        fields = {**(kept if isinstance(kept, dict) else {}), **own_fields(residue)}
        others = fields.pop(OTHERS, None)
        self.others = others if isinstance(others, list) else []
        self.message = {key[len(MESSAGE) :]: fields.pop(key) for key in list(fields) if key.startswith(MESSAGE)}
        self.choice = {key[len(CHOICE) :]: fields.pop(key) for key in list(fields) if key.startswith(CHOICE)}
        self.body = fields


def render_response(response: Response, reply: Reply) -> Rendered[JsonObject]:
    """What came in this wire goes as it came, but for the client's name of the model."""
    shape = own_shape(response.residue)
    losses: list[Loss] = list(residue_losses(response.residue, NAME))
    listener = Listener.of(reply)
    reason = response.finish.reason if response.finish is not None else None
    writer = Answering(listener, losses, is_home=bool(shape), reason=reason)
    form = shape.get("content")
    said = message_of(response.parts, writer, form if isinstance(form, str) else None)
    remains = Remains(response.residue)
    if form is None:  # no whole answer of this wire stands behind it
        remains.message = {"role": "assistant", "content": None, "refusal": None, **remains.message}
        remains.choice = {"index": 0, "logprobs": None, **remains.choice}
    choice: JsonObject = {**remains.choice, "message": {**remains.message, **said}}
    if shape.get("has_finish", True):
        choice["finish_reason"] = _finish(response, listener, is_home=bool(shape))
    body: JsonObject = {"id": response.id if form is not None else answer_id(reply), "object": "chat.completion"}
    if response.created is not None or form is None:
        body["created"] = reply.created if response.created is None else response.created
    body.update({"model": reply.model, "choices": [choice, *remains.others], **remains.body})
    usage = shape.get("usage")
    if usage is None and response.usage is not None:
        usage = render_usage(response.usage)
    if usage is not None:
        body["usage"] = usage
    return Rendered(body, tuple(losses))


def _finish(response: Response, listener: Listener, *, is_home: bool) -> str | None:
    finish = response.finish
    if is_home and finish is not None and finish.raw is not None:
        return finish.raw
    has_refusal = any(isinstance(part, Refusal) for part in response.parts)
    is_legacy = listener.is_legacy and any(isinstance(part, ToolCall) for part in response.parts)
    return finish_word(finish, has_refusal=has_refusal, is_legacy=is_legacy)


def answer_id(reply: Reply) -> str:
    return f"chatcmpl-{reply.request_id}"


def parse_count(body: JsonObject) -> int:
    """OpenAI counts at Responses' ``input_tokens``, which compatible vendors that count at all have taken over."""
    tokens = body.get("input_tokens")
    if not isinstance(tokens, int):
        raise Broken("the upstream's count holds no input_tokens", path="input_tokens")
    return tokens


def render_count(tokens: int) -> JsonObject:
    return {"object": "response.input_tokens", "input_tokens": tokens}
