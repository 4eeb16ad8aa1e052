"""What a wire is: the shape that the four of them share."""

from __future__ import annotations

import json  # noqa: TID251 - only where an upstream cut a surrogate pair
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

from proxy.errors import Malformed, Untranslatable
from proxy.hub.events import Event, Failure
from proxy.hub.loss import Loss
from proxy.hub.names import NameMap
from proxy.hub.profile import Profile
from proxy.hub.request import Request
from proxy.hub.residue import JsonObject, JsonValue
from proxy.hub.response import Response, Usage
from proxy.wire.unicode import well_formed

T_co = TypeVar("T_co", covariant=True)


class Rendered(NamedTuple, Generic[T_co]):
    """What a renderer wrote, and what it could not."""

    body: T_co
    losses: tuple[Loss, ...] = ()


@dataclass(frozen=True, slots=True)
class RenderedRequest:
    """`names`: the tool names that changed, to be restored in the answer."""

    body: JsonObject
    losses: tuple[Loss, ...] = ()
    names: NameMap = field(default_factory=NameMap)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What an answer needs to know of the request that it answers.

    `model`: the client's name for it, echoed back. `request_id`: ours, for made-up ids and error bodies. `created`:
    Unix seconds, for wires that must tell when and upstreams that do not. `has_usage`: the client asked for usage in
    the stream (OpenAI Chat's `include_usage`; the other wires always send it). `framing`: ``sse``, or ``json-array``
    (Gemini without alt=sse), or ``frames`` (one JSON object a WebSocket text frame).
    """

    model: str
    request_id: str
    created: int = 0
    has_usage: bool = True
    framing: str = "sse"
    request: Request | None = None
    """Responses echoes some of it (`tools`, `instructions`, …)."""


class StreamParser(Protocol):
    """Upstream's bytes → events. Cuts may fall anywhere. Never raises on what an upstream sends: a broken stream gives
    a `Failure` event, after which everything is ignored.
    """

    @property
    def usage(self) -> Usage | None:
        """What was told of it before the end, for an answer that has none; None also where events tell all there is."""
        ...

    def feed(self, data: bytes) -> list[Event]: ...

    def finish(self) -> list[Event]:
        """At the end of the bytes: the missing end of a stream becomes a Failure here."""
        ...


class StreamRenderer(Protocol):
    """Events → client's bytes. Keeps the wire's own order (no overlapping blocks, rising indexes and sequence numbers),
    whatever the upstream's was. After `Failure` it gives the wire's terminal error and then nothing.
    """

    losses: list[Loss]

    def feed(self, event: Event) -> bytes: ...

    def finish(self) -> bytes:
        """What closes the stream after its last event, whichever that was; nothing for most wires (Gemini's JSON
        array wants its bracket).
        """
        ...


class Wire(Protocol):
    """`maker` in the parsers below: whose signatures and ids the answer carries (`Part.origin`)."""

    name: str

    def parse_request(self, body: JsonObject, *, model: str | None = None, is_stream: bool | None = None) -> Request:
        """Raises `Malformed` with the path. `model` and `is_stream` come from the route where the body has
        none (Gemini).
        """
        ...

    def render_request(self, request: Request, profile: Profile) -> RenderedRequest:
        """For an upstream. `request.model` is the upstream's name. Raises `Untranslatable` with the client's path."""
        ...

    def render_count_request(self, request: Request, profile: Profile) -> RenderedRequest:
        """The body of this wire's own count operation; where it has none, the same as `render_request`."""
        ...

    def parse_response(self, body: JsonObject, *, maker: str) -> Response:
        """Raises `proxy.errors.Broken` when it is not an answer of this wire."""
        ...

    def render_response(self, response: Response, reply: Reply) -> Rendered[JsonObject]: ...

    def stream_parser(self, *, maker: str) -> StreamParser: ...

    def stream_renderer(self, reply: Reply) -> StreamRenderer: ...

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Whatever an upstream sent with an error status: its own envelope, another's, HTML, nothing."""
        ...

    def render_error(self, failure: Failure) -> JsonObject:
        """The body; the status is `failure.status`. Also told in-band: see `StreamRenderer`."""
        ...

    def parse_count(self, body: JsonObject) -> int:
        """Tokens, from the answer to this wire's own count operation."""
        ...

    def render_count(self, tokens: int) -> JsonObject: ...


_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def loads(data: bytes | str) -> JsonValue:
    """JSON as the RFC has it: no NaN, no lone surrogates. Raises `msgspec.DecodeError` (or RecursionError, depth)."""
    value: JsonValue = _decode(data)
    return value


def loads_upstream(data: bytes) -> JsonValue:
    """What an upstream sent: like `loads`, but a half of a surrogate pair is let through (`proxy.wire.unicode`); NaN
    and the infinities (some servers have such logprobs) are null.

    Raises ValueError (of which `msgspec.DecodeError` is one) or RecursionError.
    """
    try:
        return loads(data)
    except ValueError:
        value: JsonValue = json.loads(data, parse_constant=lambda _: None)
        return value


def dumps(value: object) -> bytes:
    """Compact UTF-8, on one line, keys in their order. Lone surrogates become U+FFFD."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_well_formed(value))


def _well_formed(value: object) -> object:
    match value:
        case str():
            return well_formed(value)
        case Mapping():
            return {_well_formed(key): _well_formed(each) for key, each in value.items()}
        case list() | tuple():
            return [_well_formed(each) for each in value]
        case _:
            return value


def refuse_foreign_state(request: Request, wire: str) -> None:
    """Raises `Untranslatable` when the request leans on what only a server of another wire keeps. Left out in silence,
    the model would answer a conversation that it cannot see. `shape["at"]` of such a thing is its path.
    """
    for thing in request.state:
        if thing.wire != wire:
            at = thing.residue.shape.get("at") if thing.residue is not None else None
            path = at if isinstance(at, str) else thing.kind
            raise Untranslatable(
                f"{path}: {thing.kind} is known to the servers of {thing.wire} only, and another provider was chosen; "
                f"send the whole conversation in the request instead",
                path=path,
                code="unsupported_state",
            )


def expect_object(value: JsonValue, path: str) -> JsonObject:
    if not isinstance(value, dict):
        raise Malformed(f"{path or 'the body'} must be an object, not {json_type(value)}", path=path or None)
    return value


def json_type(value: JsonValue) -> str:
    """What JSON calls it, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
