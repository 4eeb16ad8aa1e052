"""One answer on its way from the upstream to the client, whichever way it is carried (`relay`, `translate`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from proxy.hub.events import Event, Failure, PartDelta, PartEnd, PartStart, ResponseEnd, ResponseStart
from proxy.hub.loss import Loss
from proxy.hub.parts import Media, Opaque, Refusal, Text, Thinking, ToolCall
from proxy.hub.response import Finish, Response, Usage
from proxy.upstream.base import Call


@dataclass(slots=True)
class Seen:
    """What an answer has shown of itself so far. `has_content`: something that may not come twice. `is_ended`: its own
    end was there, so that the end of the bytes is no cut.
    """

    has_content: bool = False
    is_ended: bool = False
    usage: Usage | None = None
    finish: Finish | None = None
    failure: Failure | None = None

    def note(self, event: Event) -> None:
        match event:
            case PartDelta() | PartStart() | PartEnd():
                self.has_content = self.has_content or is_content(event)
            case ResponseEnd():
                self.is_ended = True
                self.finish = event.finish
                self.usage = event.usage or self.usage
            case ResponseStart():
                self.usage = self.usage or event.usage  # two readers may tell of it, the one when all is known
            case Failure():
                self.failure = self.failure or event
            case _:
                pass

    @property
    def is_empty(self) -> bool:
        """It ended properly and said nothing, and nothing explains why: no limit, no refusal, no token written."""
        return (
            self.is_ended
            and not self.has_content
            and self.finish is not None  # without one it goes on elsewhere (Responses in the background)
            and self.finish.reason in {"stop", "other", "malformed_call"}
            and not (self.usage is not None and self.usage.output_total)
        )


def is_content(event: PartStart | PartDelta | PartEnd) -> bool:
    if isinstance(event, PartDelta):
        return bool(event.text)
    match event.part:
        case Text(text=text) | Refusal(text=text):
            return bool(text)
        case Thinking():
            return bool(event.part.sections or event.part.signature or event.part.is_redacted)
        case ToolCall() | Opaque() | Media():
            return True
        case _:
            return False


def seen_of(response: Response) -> Seen:
    seen = Seen(is_ended=True, usage=response.usage, finish=response.finish)
    for part in response.parts:
        seen.has_content = seen.has_content or is_content(PartEnd(0, part))
    return seen


def cut_off() -> Failure:
    return Failure(kind="stream_corrupt", status=502, message="the upstream's answer was cut off before its end")


def not_json(body: bytes) -> Failure:
    head = body[:1024].lower()
    what = "a web page" if b"<html" in head or b"<!doctype" in head else "something that is no JSON"
    return Failure(kind="stream_corrupt", status=502, message=f"the upstream answered with {what}")


@dataclass(slots=True)
class Whole:
    """An answer that is there at once. `body`: for the client."""

    body: bytes
    seen: Seen
    losses: tuple[Loss, ...] = ()


class Passage(Protocol):
    """A streamed answer. Gives only complete frames of the client's dialect."""

    seen: Seen

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes:
        """At the end of the upstream's bytes. `seen.failure` is set when that came too early."""
        ...

    def fail(self, failure: Failure) -> bytes:
        """The dialect's terminal error, after what has been given already."""
        ...

    def look_back(self) -> None:
        """It will not come to its end: what was told of its usage by now is all that will be."""
        ...

    def losses(self) -> tuple[Loss, ...]:
        """What the answer lost so far."""
        ...


class Plan(Protocol):
    """How one candidate is to be asked, and its answer carried. `losses`: of the request."""

    @property
    def is_relay(self) -> bool: ...

    @property
    def call(self) -> Call: ...

    @property
    def losses(self) -> tuple[Loss, ...]: ...

    def passage(self) -> Passage: ...

    def whole(self, body: bytes) -> Whole:
        """`seen.failure` is set when it is an error, or no answer at all."""
        ...

    def streamed(self, body: bytes) -> Whole:
        """The same for a client that wants a stream, from an upstream that did not give one."""
        ...
