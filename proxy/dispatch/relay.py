"""Same wire in and out: the client's own JSON goes upstream with a few members replaced, frames come back untouched.

Request: forwarded byte for byte when nothing must change. Otherwise its top level is read shallowly and put together
again: order, unknown members and the spelling of numbers stay (`proxy.dispatch.splice`).

Answer: whole frames pass as they came, except that where an alias, prefix or suffix changed the model's name, the
client's name is spliced into its place (`Speech.frame_model`). A tap looks on: a pattern a wire finds the few frames
that tell usage, end and errors, and only those are parsed. Until the first content all frames are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from proxy.dispatch.asked import Asked
from proxy.dispatch.decision import Candidate
from proxy.dispatch.envelope import enveloped
from proxy.dispatch.frames import FrameCutter, FrameTooLong, frame_at, frames, payloads
from proxy.dispatch.glance import glance
from proxy.dispatch.kept import outgoing_body
from proxy.dispatch.outgoing import call_for
from proxy.dispatch.passage import Seen, Whole, cut_off, not_json, seen_of
from proxy.dispatch.payload import Edits
from proxy.dispatch.sameness import Sameness
from proxy.dispatch.splice import members, replaced
from proxy.dispatch.spoken import spoken_for
from proxy.dispatch.translate import TranslationPlan
from proxy.dispatch.unasked import is_unasked, without_usage
from proxy.errors import Malformed, Rejected, UpstreamError
from proxy.hub.events import Event, Failure, ResponseStart
from proxy.hub.loss import Loss
from proxy.hub.residue import JsonObject
from proxy.upstream.base import Call
from proxy.wire.base import RenderedRequest, StreamParser, Wire, dumps, expect_object, loads_upstream
from proxy.wire.gemini import CODE_ASSIST


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """Where a wire tells what. `tap`: finds the frames that tell of usage, errors, the end and what led to it; what a
    model writes cannot look like it, as its quotes are escaped. `frame_model`, `whole_model`: the path to the name of
    the model.
    """

    tap: re.Pattern[bytes]
    is_alike: bool = False
    """One frame is like another (`proxy.dispatch.sameness`), and looking through it costs something."""
    frame_model: tuple[str, ...] = ("model",)
    whole_model: tuple[str, ...] = ("model",)


_SPEECH: Mapping[str, Speech] = {
    "anthropic": Speech(
        tap=re.compile(rb'"type"\s*:\s*"(?:message_(?:start|delta|stop)|error)"'),
        frame_model=("message", "model"),
    ),
    "openai_chat": Speech(
        tap=re.compile(
            rb'"finish_reason"\s*:\s*"|"usage"\s*:\s*\{|"error"\s*:\s*[{"]|data: ?\[DONE\]'
            rb'|"tool_calls"\s*:\s*\[|"refusal"\s*:\s*"'
        ),
        is_alike=True,
    ),
    "openai_responses": Speech(
        tap=re.compile(rb'"type"\s*:\s*"(?:response\.(?:created|completed|incomplete|failed|error)|error)"'),
        frame_model=("response", "model"),
    ),
    "code_assist": Speech(
        tap=re.compile(rb'"finishReason"\s*:|"promptFeedback"\s*:|"functionCall"\s*:|"error"\s*:\s*\{'),
        frame_model=("response", "modelVersion"),
        whole_model=("response", "modelVersion"),
    ),
    "gemini": Speech(
        tap=re.compile(rb'"finishReason"\s*:|"promptFeedback"\s*:|"functionCall"\s*:|"error"\s*:\s*\{'),
        frame_model=("modelVersion",),
        whole_model=("modelVersion",),
    ),
}

_ONE_ACCOUNTS = b"codex.rate_limits"
_LIMITS = re.compile(rb'"type"\s*:\s*"codex\.rate_limits"')
"""Codex's backend tells in it how much one account has used, which is one of many here."""
_END = b"\n\n"
_NO_DATA = b"[]"
_ERROR = re.compile(rb'"error"\s*:\s*[{"]')
_ERROR_EVENT = re.compile(rb'"type"\s*:\s*"error"')
_SEQUENCE = re.compile(rb'("sequence_number"\s*:\s*)(\d+)')


class RelayPlan:
    """`body`: the request, when it had to be rendered anew (a suffix, another maker's signature in the history)."""

    is_relay = True

    def __init__(
        self,
        asked: Asked,
        candidate: Candidate,
        edits: Edits,
        *,
        body: JsonObject | None = None,
        losses: tuple[Loss, ...] = (),
    ) -> None:
        self._asked = asked
        self._candidate = candidate
        self.losses = losses
        inquiry = asked.inquiry
        sent = outgoing_body(asked, candidate, edits) if body is None else dumps(body)
        if candidate.provider.is_enveloped:
            sent = enveloped(inquiry.envelope, sent, candidate)
        call = call_for(
            candidate,
            inquiry.operation,
            sent,
            is_stream=inquiry.is_stream,
            client=inquiry.headers,
            query=inquiry.query,
            envelope=inquiry.envelope,
        )
        call.spoken = spoken_for(inquiry, candidate, sent)
        self.call: Call = call

    def passage(self) -> RelayPassage:
        passage = RelayPassage(self._asked, maker=self._maker, echo=self._echo, reader=self._reader)
        passage.hides_usage = is_unasked(self._asked, self._candidate)
        return passage

    @property
    def _reader(self) -> Wire:
        """What the answer is read as. Envelope and all it is passed on."""
        return CODE_ASSIST if self._candidate.provider.is_enveloped else self._asked.wire

    @property
    def _maker(self) -> str:
        return self._candidate.provider.maker or self._candidate.provider.wire

    @property
    def _echo(self) -> bytes | None:
        """The client's name for the model as JSON, where it is not the upstream's."""
        asked = self._asked.inquiry.model
        return None if asked == self._candidate.model else dumps(asked)

    def whole(self, body: bytes) -> Whole:
        wire = self._reader
        is_known = self._asked.inquiry.operation == "generate"
        seen = glance(wire.name, body) if is_known else None
        if seen is None:
            try:
                fields = members(body)
            except Malformed:
                return Whole(b"", Seen(failure=not_json(body)))
            error = fields.get("error")
            if error is not None and bytes(error) != b"null":
                return Whole(b"", Seen(failure=wire.parse_error(200, {}, body)))
            seen = read_whole(wire, body, self._maker) if is_known else Seen(has_content=True, is_ended=True)
        echo = self._echo
        return Whole(body if echo is None else replaced(body, _speech(wire).whole_model, echo), seen)

    def streamed(self, body: bytes) -> Whole:
        """There is nothing to pass on: the whole answer is told as a stream."""
        plan = TranslationPlan(
            asked=self._asked,
            candidate=self._candidate,
            upstream=self._reader,
            rendered=RenderedRequest({}),
            remember=lambda _parts: None,
            is_relay=True,
        )
        return plan.streamed(body)


def _speech(reader: Wire) -> Speech:
    return _SPEECH["code_assist" if reader is CODE_ASSIST else reader.name]


def read_whole(wire: Wire, body: bytes, maker: str) -> Seen:
    """What our own reader does not understand is the client's to judge: it passes, and tells us nothing."""
    try:
        return seen_of(wire.parse_response(expect_object(loads_upstream(body), "the answer"), maker=maker))
    except Rejected as error:
        return Seen(failure=Failure.of(error))
    except (UpstreamError, Malformed, ValueError, RecursionError):
        return Seen(has_content=True, is_ended=True)


class RelayPassage:
    def __init__(self, asked: Asked, *, maker: str, echo: bytes | None, reader: Wire | None = None) -> None:
        """`reader`: the answer's wire, where it is not the client's."""
        reader = reader or asked.wire
        self.seen = Seen()
        self.hides_usage = False
        self._asked = asked
        self._wire = asked.wire
        self._speech = _speech(reader)
        self._echo = echo
        self._cutter = FrameCutter()
        self._is_known = asked.inquiry.operation == "generate"
        self._gate: StreamParser | None = reader.stream_parser(maker=maker) if self._is_known else None
        self._tap = reader.stream_parser(maker=maker)
        self._start: ResponseStart | None = None
        self._sameness = Sameness()
        self._is_passing = False
        self._is_array = asked.inquiry.framing == "json-array"
        self._has_begun = False
        self._last = b""
        self._has_told_failure = False

    def losses(self) -> tuple[Loss, ...]:
        return ()

    def feed(self, data: bytes) -> bytes:
        if self._is_passing and not self._cutter.held and self._sameness.is_one(data):
            self._last = data  # as nearly every frame (0.4 µs; the long way takes 1.3)
            return data
        try:
            block = self._cutter.feed(data)
        except FrameTooLong as error:
            self.seen.note(Failure(kind="stream_corrupt", status=502, message=f"the upstream sent {error}"))
            return b""
        return self._pass(block) if block else b""

    def _pass(self, block: bytes) -> bytes:
        if _ONE_ACCOUNTS in block:
            block = b"".join(frame for frame in frames(block) if not _LIMITS.search(frame))
        if self._is_known:
            self._look(block)
        else:
            self._glance(block)
        self._last = block
        self._has_told_failure = self.seen.failure is not None
        if self.hides_usage:
            block = without_usage(block)
        if self._echo is not None:
            block = b"".join(replaced(frame, self._speech.frame_model, self._echo) for frame in frames(block))
        return self._framed(block)

    def _framed(self, block: bytes) -> bytes:
        match self._asked.inquiry.framing:
            case "json-array":
                return self._as_array(payloads(block))
            case "frames":
                return self._as_lines([value for value in payloads(block) if value.strip() != b"[DONE]"])
            case _:
                return block

    def _as_lines(self, values: Sequence[bytes]) -> bytes:
        """An error event has another shape on a WebSocket: `fail` tells it."""
        told = [value for value in values if not _is_error_event(value)]
        self._has_told_failure = self._has_told_failure and len(told) == len(values)
        return b"".join(value.replace(b"\n", b" ") + b"\n" for value in told)

    def _look(self, block: bytes) -> None:
        if self._speech.is_alike and b"\r" not in block:
            for frame in block.split(_END):
                if not self._sameness.fits(frame):
                    self._look_at(frame)
        else:
            self._look_through(block)
        if self._gate is not None:
            for each in frames(block):
                self._note(self._gate.feed(each))
                if self.seen.has_content:
                    self._gate = None
                    is_edited = self.hides_usage or self._echo is not None or self._asked.inquiry.framing != "sse"
                    self._is_passing = self._speech.is_alike and not is_edited
                    break

    def _look_at(self, frame: bytes) -> None:
        """`frame`: without its end."""
        if self._speech.tap.search(frame):
            self._note(self._tap.feed(frame + _END))
        else:
            self._sameness.learn(frame)

    def _look_through(self, block: bytes) -> None:
        found = self._speech.tap.search(block)
        while found is not None:
            frame = frame_at(block, found.start())
            self._note(self._tap.feed(block[frame]))
            found = self._speech.tap.search(block, frame.stop)

    def _glance(self, block: bytes) -> None:
        """Old completions: the hub has no words for their frames; whatever is no error is content."""
        if _ERROR.search(block):
            for value in payloads(block):
                if _ERROR.search(value):
                    self.seen.note(self._wire.parse_error(200, {}, value))
        elif b"data:" in block:
            self.seen.has_content = True

    def _note(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, ResponseStart):
                self._start = event
            self.seen.note(event)

    def _as_array(self, values: Iterable[bytes]) -> bytes:
        told = []
        for value in values:
            told.append((b",\r\n" if self._has_begun else b"[") + value)
            self._has_begun = True
        return b"".join(told)

    def finish(self) -> bytes:
        rest = self._cutter.finish()
        told = b""
        if rest.strip():
            if all(_is_complete(value) for value in payloads(rest)):
                told = self._pass(rest)
            else:
                self.seen.note(cut_off())
        if not self._is_known:
            self.seen.is_ended = True
        if self.seen.failure is None and not self.seen.is_ended:
            self._note(self._tap.finish())
        if self.seen.failure is None and not self.seen.is_ended:
            self.seen.note(cut_off())
        if self._is_array and self.seen.failure is None:
            told += b"]" if self._has_begun else _NO_DATA
        return told

    def look_back(self) -> None:
        self._tap.feed(self._last)  # of Gemini's frames each one tells how much it is by then
        self.seen.usage = self._tap.usage or self.seen.usage

    def fail(self, failure: Failure) -> bytes:
        if self._has_told_failure:
            return b"]" if self._is_array else b""  # in the upstream's own words
        if self._is_array:
            return self._as_array([dumps(self._wire.render_error(failure))]) + b"]"
        renderer = self._wire.stream_renderer(self._asked.reply(with_request=False))
        if self._start is None:
            return renderer.feed(failure) + renderer.finish()
        renderer.feed(self._start)  # the client has had the upstream's own
        told = renderer.feed(failure) + renderer.finish()
        if self._wire.name == "openai_responses":
            told = replaced(_numbered(told, after=self._last), ("response", "id"), dumps(self._start.id))
        return told


def _is_error_event(value: bytes) -> bool:
    if not _ERROR_EVENT.search(value):
        return False
    try:
        event = loads_upstream(value)
    except (ValueError, RecursionError):
        return False
    return isinstance(event, dict) and event.get("type") == "error"


def _is_complete(value: bytes) -> bool:
    if value.strip() == b"[DONE]":
        return True
    try:
        loads_upstream(value)
    except (ValueError, RecursionError):
        return False
    return True


def _numbered(frame: bytes, *, after: bytes) -> bytes:
    """Responses numbers its events without a gap: ours go on where the upstream stopped."""
    numbers = _SEQUENCE.findall(after)
    if not numbers:
        return frame
    following = iter(range(int(numbers[-1][1]) + 1, int(numbers[-1][1]) + 1000))
    return _SEQUENCE.sub(lambda match: match[1] + b"%d" % next(following), frame)
