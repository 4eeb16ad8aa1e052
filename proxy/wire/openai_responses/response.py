"""Whole answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proxy.errors import Broken, Malformed, Rejected
from proxy.hub.parts import Media, Opaque, Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Response
from proxy.wire.arguments import may_be_cut
from proxy.wire.base import Rendered, Reply, json_type
from proxy.wire.fault import fault_of
from proxy.wire.fields import residue_fields
from proxy.wire.openai_responses.echo import echo, finish_of, made_id, status_of
from proxy.wire.openai_responses.item_writing import call_item, item_marks, message_item, reasoning_item, tagged_blob
from proxy.wire.openai_responses.items import Place, parse_item
from proxy.wire.openai_responses.losses import NAME, Losses
from proxy.wire.openai_responses.spelling import Spelling, spellings
from proxy.wire.openai_responses.usage import parse_usage, render_usage

_TAKEN = frozenset({"id", "model", "created_at", "output"})


def parse_response(body: JsonObject, *, maker: str) -> Response:
    """Raises `Broken` when it is no answer of this wire, `Rejected` when it tells of a failure."""
    refuse_failure(body)
    output = body.get("output")
    if not isinstance(output, list):
        raise Broken(f"the upstream's answer has no output: it is {json_type(output)}")
    try:
        parts = tuple(part for at, item in enumerate(output) for part in parse_item(item, place(at, maker)))
    except Malformed as fault:
        raise Broken(f"the upstream's answer is not of its wire: {fault.message}", path=fault.path) from None
    return response_of(body, parts)


def place(at: int, maker: str) -> Place:
    return Place(f"output[{at}]", at, maker)


def refuse_failure(body: JsonObject) -> None:
    error = body.get("error")
    if body.get("status") != "failed" and (not error or "output" in body):
        return
    failure = fault_of({"error": error} if error else {})
    raise Rejected(
        failure.message,
        status=failure.status,
        code=failure.code,
        path=failure.path,
        retry_after_seconds=failure.retry_after_seconds,
    )


def response_of(body: JsonObject, parts: tuple[Part, ...]) -> Response:
    """All that an answer says of itself is bookkeeping: it repeats the request, and what has a word in the hub."""
    created = body.get("created_at")
    return Response(
        id=str(body.get("id") or ""),
        model=str(body.get("model") or ""),
        created=int(created) if isinstance(created, int | float) else None,
        parts=parts,
        finish=finish_of(body, {type(part) for part in parts}),
        usage=parse_usage(body.get("usage")),
        residue=residue_of(body),
    )


def residue_of(body: JsonObject) -> Residue:
    created = body.get("created_at")
    shape = {key: value for key, value in body.items() if key not in _TAKEN}
    if "created_at" in body and not (isinstance(created, int) and not isinstance(created, bool)):
        shape["created_at"] = created
    return Residue(wire=NAME, shape=shape)


def render_response(response: Response, reply: Reply) -> Rendered[JsonObject]:
    losses = Losses()
    output = OutputWriter(reply, losses).write(response.parts)
    if response.residue is not None and response.residue.wire == NAME:
        own: JsonObject = {"id": response.id, "model": reply.model, "output": output, "created_at": response.created}
        for key, value in (("id", response.id), ("model", response.model), ("created_at", response.created)):
            if value in {"", None}:
                del own[key]
        own.update(response.residue.shape)
        if response.usage is not None:
            own["usage"] = render_usage(response.usage)
        return Rendered({**own, **residue_fields(response.residue, NAME)}, tuple(losses))
    losses.note_residue(response.residue, "")
    has_refusal = any(isinstance(part, Refusal) for part in response.parts)
    status = status_of(response.finish, has_refusal=has_refusal)
    if status.status == "incomplete" and response.parts:
        _mark_cut(output, response.parts[-1])
    created = response.created if response.created is not None else reply.created
    body: JsonObject = {
        "id": made_id("resp", reply),
        "object": "response",
        "created_at": created,
        "model": reply.model,
        **status.fields,
        "output": output,
        "usage": render_usage(response.usage),
        **echo(reply),
    }
    return Rendered(body, tuple(losses))


def _mark_cut(output: list[JsonValue], last: Part) -> None:
    """The item that the end of the answer cut: what was said last, or a call that cannot be read."""
    item = output[-1] if output else None
    is_cut = isinstance(last, Text | Refusal) or (isinstance(last, ToolCall) and may_be_cut(last, is_last=True))
    if isinstance(item, dict) and "status" in item and is_cut:
        item["status"] = "incomplete"


class OutputWriter:
    """Parts → items. Texts that follow each other are one message, unless this wire said otherwise."""

    def __init__(self, reply: Reply, losses: Losses) -> None:
        self._reply = reply
        self._losses = losses
        self._spellings = spellings(reply.request)

    def write(self, parts: Sequence[Part]) -> list[JsonValue]:
        items: list[JsonValue] = []
        for first, group in _grouped(parts):
            item = self.item(group, len(items), f"output[{first}]")
            if item is not None:
                items.append(item)
        return items

    def item(self, group: Sequence[Part], position: int, path: str) -> JsonValue:
        """None for what cannot be said here. `group`: the parts of one item; `position`: its index in the output."""
        part = group[0]
        for offset, member in enumerate(group):
            self._losses.note_residue(member.residue, path if not offset else f"{path}.content[{offset}]")
        match part:
            case Text() | Refusal():
                return self._message(group, position)
            case Thinking():
                made: JsonObject = {"id": made_id("rs", self._reply, str(position)), "type": "reasoning", "summary": []}
                return reasoning_item(part, tagged_blob(part), made)
            case ToolCall():
                return self.call(part, position)
            case Opaque() if part.wire == NAME:
                if item_marks(part) is None:
                    return part.value
                return self._message(group, position)
            case Opaque():
                self._losses.note(path, part.kind, f"only {part.wire} knows it")
            case Media():
                self._losses.note(path, part.kind, "an answer here holds no media")
            case _:
                self._losses.note(path, type(part).__name__, "an answer does not hold it")
        return None

    def _message(self, group: Sequence[Part], position: int) -> JsonObject:
        made: JsonObject = {
            "id": made_id("msg", self._reply, str(position)),
            "type": "message",
            "status": "completed",
            "role": "assistant",
        }
        item = message_item(group, made)
        content = item.get("content")
        if item_marks(group[0]) is None and isinstance(content, list):
            item["content"] = [
                {"annotations": [], "logprobs": [], **part} if _is_text(part) else part
                for part in content
                if isinstance(part, dict)
            ]
        return item

    def spelling(self, call: ToolCall) -> Spelling:
        spelling = self._spellings.get(call.name) or Spelling("function_call", call.name)
        is_custom = call.is_custom and spelling.kind == "function_call"
        return spelling._replace(kind="custom_tool_call") if is_custom else spelling

    def call(self, call: ToolCall, position: int) -> JsonObject:
        spelling = self.spelling(call)
        made: JsonObject = {"id": made_id(_PREFIXES[spelling.kind], self._reply, str(position)), "status": "completed"}
        return call_item(call, spelling, made)


_PREFIXES = {"function_call": "fc", "custom_tool_call": "ctc", "tool_search_call": "tsc"}


def _is_text(part: JsonObject) -> bool:
    return part.get("type") == "output_text"


def _grouped(parts: Sequence[Part]) -> Iterator[tuple[int, list[Part]]]:
    """The parts of each item, and where the first of them stands."""
    group: list[Part] = []
    start = 0
    for at, part in enumerate(parts):
        if not group or not _continues(group[-1], part):
            if group:
                yield start, group
            group, start = [], at
        group.append(part)
    if group:
        yield start, group


def _continues(before: Part, part: Part) -> bool:
    marks = item_marks(part)
    if marks == "same":
        return True
    return (
        marks is None
        and item_marks(before) is None
        and isinstance(before, Text | Refusal)
        and isinstance(part, Text | Refusal)
    )
