"""A whole answer: `GenerateContentResponse`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.errors import Broken, Rejected, UpstreamError
from proxy.hub.events import Failure
from proxy.hub.fold import Fold
from proxy.hub.loss import Loss
from proxy.hub.parts import ToolCall
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.hub.response import Finish, Response, Usage
from proxy.wire.arguments import may_be_cut
from proxy.wire.base import Rendered, Reply
from proxy.wire.fields import residue_fields, residue_losses, residue_shape
from proxy.wire.gemini.answer_reader import CANDIDATE, AnswerReader
from proxy.wire.gemini.part_writer import PartWriter
from proxy.wire.gemini.usage import render_usage
from proxy.wire.gemini.words import NAME, finish_word


def parse_response(body: JsonObject, *, maker: str) -> Response:
    """Raises `Rejected` for an error inside a success, `Broken` for what is no answer."""
    reader, fold = AnswerReader(maker=maker, is_whole=True), Fold()
    for event in [*reader.read(body), *reader.end()]:
        if isinstance(event, Failure):
            raise _error(event)
        fold.feed(event)
    return fold.finish()


def _error(failure: Failure) -> UpstreamError:
    kind = Broken if failure.kind == "stream_corrupt" else Rejected
    return kind(
        failure.message.replace("the upstream's stream is corrupt: it ended", "the upstream answered"),
        status=failure.status,
        code=failure.code or failure.type,
        retry_after_seconds=failure.retry_after_seconds,
    )


def render_response(response: Response, reply: Reply) -> Rendered[JsonObject]:
    losses: list[Loss] = list(residue_losses(response.residue, NAME))
    is_home = response.residue is not None and response.residue.wire == NAME
    writer = PartWriter(profile=None, losses=losses, is_home=is_home)
    is_cut = not is_home and response.finish is not None and response.finish.reason == "length"
    written: list[JsonObject | None] = []
    for at, part in enumerate(response.parts):
        path = f"content[{at}]"
        if is_cut and isinstance(part, ToolCall) and may_be_cut(part, is_last=at == len(response.parts) - 1):
            losses.append(cut_call(part, path))
        else:
            written.append(writer.written(part, path))
    closing = Closing(response.finish, response.usage, response.residue)
    body = chunk(
        [part for part in written if part is not None],
        closing.candidate(),
        {**closing.top(), "modelVersion": reply.model, "responseId": response.id or reply.request_id},
    )
    others = residue_fields(response.residue, NAME).get("candidates")
    candidates = body["candidates"]
    if isinstance(others, list) and isinstance(candidates, list):
        candidates.extend(others)
    absent = residue_shape(response.residue, NAME, "absent")
    _leave_out(body, [key for key in absent if isinstance(key, str)] if isinstance(absent, list) else [])
    return Rendered(body, tuple(losses))


def cut_call(call: ToolCall, path: str) -> Loss:
    return Loss(path, f"call of {call.name}", "it was cut off before its arguments were whole")


def chunk(parts: Sequence[JsonValue], candidate: JsonObject, top: JsonObject) -> JsonObject:
    content: JsonObject = {"parts": [*parts], "role": "model"}
    return {"candidates": [{"content": content, **candidate, "index": 0}], **top}


class Closing:
    """What the end of an answer says, whole or streamed."""

    def __init__(self, finish: Finish | None, usage: Usage | None, residue: Residue | None) -> None:
        self._finish = finish
        self._usage = usage
        self._is_home = residue is not None and residue.wire == NAME
        self._residue = residue
        aside = residue_shape(residue, NAME, "aside")
        self._fields = {**residue_fields(residue, NAME), **(aside if isinstance(aside, dict) else {})}

    def candidate(self) -> JsonObject:
        """Its fields beside the content."""
        body: JsonObject = {}
        if self._finish is not None:
            word = finish_word(self._finish, is_home=self._is_home)
            body["finishReason"] = residue_shape(self._residue, NAME, "finishReason") or word
        start = f"{CANDIDATE}."
        return body | {key.removeprefix(start): item for key, item in self._fields.items() if key.startswith(start)}

    def top(self) -> JsonObject:
        usage: JsonObject = {} if self._usage is None else {"usageMetadata": render_usage(self._usage)}
        skipped = (f"{CANDIDATE}.", "candidates")
        return usage | {key: item for key, item in self._fields.items() if not key.startswith(skipped)}


_PLACES: Mapping[str, str] = {
    "content": "candidate",
    "index": "candidate",
    "finishReason": "candidate",
    "parts": "content",
    "role": "content",
}
"""Where a key of an answer stands; the others at the top."""


def _leave_out(body: JsonObject, absent: Sequence[str]) -> None:
    """The keys that the answer did not have when it came."""
    candidates = body.get("candidates")
    candidate = candidates[0] if isinstance(candidates, list) and candidates else None
    content = candidate.get("content") if isinstance(candidate, dict) else None
    holders = {"candidate": candidate, "content": content}
    for key in absent:
        holder = holders[_PLACES[key]] if key in _PLACES else body
        if isinstance(holder, dict) and not (key == "parts" and holder.get(key)):
            holder.pop(key, None)
