"""Wires differ: the client's request is parsed, restored by what only its maker understands, rendered for the upstream;
the answer comes back the same way, event by event when it is streamed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from proxy.dispatch.asked import Asked
from proxy.dispatch.decision import Candidate
from proxy.dispatch.outgoing import call_for
from proxy.dispatch.passage import Seen, Whole, cut_off, not_json, seen_of
from proxy.dispatch.payload import Edits
from proxy.errors import Malformed, UpstreamError
from proxy.hub.events import Event, Failure, PartEnd, ResponseEnd
from proxy.hub.fold import explode
from proxy.hub.loss import Loss
from proxy.hub.names import NameMap
from proxy.hub.parts import Part, Text, Thinking, ToolCall
from proxy.hub.request import Request
from proxy.hub.residue import JsonObject
from proxy.hub.response import Response
from proxy.upstream.base import Call
from proxy.wire.base import RenderedRequest, Wire, dumps, expect_object, loads_upstream

Remember = Callable[[Sequence[Part]], None]
"""Keeps what the client's wire has no room for (`proxy.dispatch.recall`)."""


def render(asked: Asked, request: Request, candidate: Candidate, wire: Wire, edits: Edits) -> RenderedRequest:
    """For the upstream, with the operator's and the provider's changes made. Raises `Untranslatable`."""
    profile = candidate.provider.profile(candidate.model)
    is_count = asked.inquiry.operation == "count_tokens"
    rendered = (wire.render_count_request if is_count else wire.render_request)(request, profile)
    edits.apply(rendered.body)
    for patch in candidate.provider.patches:
        patch(rendered.body)
    return rendered


@dataclass(frozen=True, kw_only=True)
class TranslationPlan:
    asked: Asked
    candidate: Candidate
    upstream: Wire
    rendered: RenderedRequest
    remember: Remember
    is_relay: bool = False
    """A relay that has to tell a whole answer as a stream; the request is the client's own, and need not be read."""

    @property
    def losses(self) -> tuple[Loss, ...]:
        return self.rendered.losses

    @cached_property
    def call(self) -> Call:
        """The one that is sent: whoever begins it leaves on it how far it has come."""
        inquiry = self.asked.inquiry
        body = dumps(self.rendered.body)
        return call_for(self.candidate, inquiry.operation, body, is_stream=inquiry.is_stream, client={})

    @property
    def maker(self) -> str:
        return self.candidate.provider.maker or self.upstream.name

    def passage(self) -> TranslationPassage:
        return TranslationPassage(self)

    def whole(self, body: bytes) -> Whole:
        value, failure = self._value(body)
        if value is None:
            return Whole(b"", Seen(failure=failure))
        if self.asked.inquiry.operation == "count_tokens":
            return self._count(value)
        response, failure = self._response(value, body)
        if response is None:
            return Whole(b"", Seen(failure=failure))
        seen = seen_of(response)
        if seen.has_content:
            self.remember(response.parts)
        told = self.asked.wire.render_response(response, self.asked.reply(with_request=True))
        return Whole(dumps(told.body), seen, told.losses)

    def streamed(self, body: bytes) -> Whole:
        value, failure = self._value(body)
        response = None
        if value is not None:
            response, failure = self._response(value, body)
        if response is None:
            return Whole(b"", Seen(failure=failure))
        self.remember(response.parts)
        renderer = self.asked.wire.stream_renderer(self.asked.reply(with_request=not self.is_relay))
        told = [renderer.feed(event) for event in explode(response)]
        return Whole(b"".join((*told, renderer.finish())), seen_of(response), tuple(renderer.losses))

    def _value(self, body: bytes) -> tuple[JsonObject | None, Failure | None]:
        try:
            value = expect_object(loads_upstream(body), "the answer")
        except (Malformed, ValueError, RecursionError):
            return None, not_json(body)
        if isinstance(value.get("error"), dict | str):
            return None, self.upstream.parse_error(200, {}, body)
        return value, None

    def _response(self, value: JsonObject, body: bytes) -> tuple[Response | None, Failure | None]:
        try:
            response = self.upstream.parse_response(value, maker=self.maker)
        except UpstreamError as error:
            return None, Failure.of(error)
        except Malformed:
            return None, not_json(body)
        return self.rendered.names.restore_response(response), None

    def _count(self, value: JsonObject) -> Whole:
        try:
            tokens = self.upstream.parse_count(value)
        except (UpstreamError, Malformed) as error:
            return Whole(b"", Seen(failure=Failure.of(error)))
        return Whole(dumps(self.asked.wire.render_count(tokens)), Seen(has_content=True, is_ended=True))


class TranslationPassage:
    def __init__(self, plan: TranslationPlan) -> None:
        self.seen = Seen()
        self._names: NameMap = plan.rendered.names
        self._parser = plan.upstream.stream_parser(maker=plan.maker)
        self._renderer = plan.asked.wire.stream_renderer(plan.asked.reply(with_request=True))
        self._remember = plan.remember
        self._parts: list[Part] = []

    def losses(self) -> tuple[Loss, ...]:
        return tuple(self._renderer.losses)

    def feed(self, data: bytes) -> bytes:
        return self._tell(self._parser.feed(data))

    def _tell(self, events: Sequence[Event]) -> bytes:
        told = []
        for event in events:
            self.seen.note(event)
            if isinstance(event, Failure):
                break  # whoever drives this decides: another candidate, or `fail`
            restored = self._names.restore_event(event)
            if isinstance(restored, PartEnd | ResponseEnd):
                self._keep(restored)
            told.append(self._renderer.feed(restored))
        return b"".join(told)

    def _keep(self, event: PartEnd | ResponseEnd) -> None:
        if isinstance(event, ResponseEnd):
            self._remember(self._parts)
        elif isinstance(event.part, Thinking | ToolCall | Text):
            self._parts.append(event.part)

    def finish(self) -> bytes:
        told = b"" if self.seen.failure is not None else self._tell(self._parser.finish())
        if self.seen.failure is None and not self.seen.is_ended:
            self.seen.note(cut_off())
        return told if self.seen.failure is not None else told + self._renderer.finish()

    def look_back(self) -> None:
        self.seen.usage = self._parser.usage or self.seen.usage

    def fail(self, failure: Failure) -> bytes:
        return self._renderer.feed(failure) + self._renderer.finish()
