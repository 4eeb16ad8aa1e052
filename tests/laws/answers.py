"""What an answer says, whatever the wire, and what of it the laws compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from proxy.hub.fold import Fold
from proxy.hub.loss import Loss
from proxy.hub.parts import Media, Opaque, Refusal, Text, Thinking, ToolCall
from proxy.hub.response import FinishReason, Response, Usage
from proxy.wire.base import Reply, StreamParser, Wire
from tests.laws.comparison import Ledger
from tests.laws.essence import arguments, asks_something, canonical, document_text, media_essence, squeezed

REPLY = Reply(model="a-model", request_id="request-1", created=1_700_000_000)

_HEARD_AS: dict[str, dict[FinishReason, FinishReason]] = {
    "anthropic": {"malformed_call": "stop", "other": "stop"},
    "openai_chat": {"paused": "stop", "malformed_call": "stop", "other": "stop"},
    "openai_responses": {"paused": "stop", "other": "stop"},
    "gemini": {},
}
"""Ends that a wire has no word for (wires.md §2.4)."""


@dataclass(frozen=True, slots=True)
class Told:
    text: str
    thinking: str
    calls: tuple[tuple[str, str, str], ...]
    media: tuple[object, ...]
    finish: FinishReason | None
    usage: tuple[int, int, int, int] | None
    """Input, what of it was read from a cache, output, what of that was reasoned."""


def told(response: Response) -> Told:
    parts = response.parts
    return Told(
        text=squeezed("".join(part.text for part in parts if isinstance(part, Text | Refusal))),
        thinking=squeezed("".join(part.text for part in parts if isinstance(part, Thinking))),
        calls=tuple((part.id, part.name, canonical(arguments(part))) for part in parts if isinstance(part, ToolCall)),
        media=tuple(media_essence(part) for part in parts if isinstance(part, Media)),
        finish=response.finish.reason if response.finish else None,
        usage=usage_of(response.usage),
    )


def usage_of(usage: Usage | None) -> tuple[int, int, int, int] | None:
    if usage is None or not (usage.input_total or usage.output_total):
        return None  # bare zeros are what vendors send until they know
    return usage.input_total, usage.cache_read or 0, usage.output_total, usage.reasoning or 0


def differences(before: Response, after: Response, losses: Sequence[Loss], wire: Wire) -> list[str]:
    """`wire`: the client's."""
    ledger = Ledger(losses)
    return [
        *_compared(told(before), told(after), losses, wire),
        *(
            f"{where} was lost in silence"
            for where, key in _particulars(before)
            if not ledger.gives_up(where) and not any(key in loss.path or key == loss.what for loss in losses)
        ),
    ]


def _compared(before: Told, after: Told, losses: Sequence[Loss], wire: Wire) -> Iterator[str]:
    if before.text != after.text:
        yield f"text {before.text[:200]!r} became {after.text[:200]!r}"
    if before.thinking != after.thinking:
        yield f"thinking {before.thinking[:200]!r} became {after.thinking[:200]!r}"
    is_cut = before.finish == "length" and any("call of" in loss.what for loss in losses)
    if before.calls != after.calls and not is_cut:
        yield f"calls {before.calls} became {after.calls}"
    if before.media != after.media and not any(loss.what in {"image", "audio", "document"} for loss in losses):
        yield f"{len(before.media)} media became {len(after.media)}"
    heard = _HEARD_AS[wire.name].get(before.finish or "stop", before.finish)
    if heard != after.finish and before.finish is not None:
        yield f"the end {before.finish} became {after.finish}"
    if before.usage is not None and before.usage != after.usage:
        yield f"usage {before.usage} became {after.usage}"


def _particulars(response: Response) -> Iterator[tuple[str, str]]:
    """What only the upstream's own wire knows, by path and key: hosted tools' calls, citations."""
    for index, part in enumerate(response.parts):
        if isinstance(part, Opaque):
            yield f"content[{index}]", part.kind
        for key, value in (part.residue.fields if part.residue else {}).items():
            if asks_something(key, value):
                yield f"content[{index}].{key}", key.rpartition(".")[2]
    for key, value in (response.residue.fields if response.residue else {}).items():
        if asks_something(key, value):
            yield key, key.rpartition(".")[2]


def folded(parser: StreamParser, chunks: Iterable[bytes]) -> Response:
    """Raises `StreamCorrupt` when the events break their grammar or tell of a failure."""
    fold = Fold()
    for chunk in chunks:
        for event in parser.feed(chunk):
            fold.feed(event)
    for event in parser.finish():
        fold.feed(event)
    return fold.finish()


def inlined(media: Media) -> str:
    return document_text(media) or ""
