"""Operations whose format the hub has no words for (images, sound, moderation, stored answers): what the client sent
goes on as it is, but for the model's name, and what comes back is passed on unread.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from proxy.dispatch import form
from proxy.dispatch.frames import FrameCutter, FrameTooLong
from proxy.dispatch.kept import outgoing_body
from proxy.dispatch.outgoing import call_for
from proxy.dispatch.passage import Seen, Whole, cut_off
from proxy.dispatch.splice import members
from proxy.errors import Broken, Malformed
from proxy.hub.events import Failure
from proxy.wire.base import dumps

if TYPE_CHECKING:
    from proxy.dispatch.asked import Asked
    from proxy.dispatch.decision import Candidate
    from proxy.dispatch.payload import Edits
    from proxy.hub.loss import Loss
    from proxy.upstream.base import Call

_TEXTUAL = ("application/json", "text/")


def comes_whole(content_type: str) -> bool:
    """Text and JSON are held until they are complete: half of them is worth nothing. Sound may begin at once."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith(_TEXTUAL) and kind != "text/event-stream"


class PlainPlan:
    is_relay = True
    losses: tuple[Loss, ...] = ()

    def __init__(self, asked: Asked, candidate: Candidate, edits: Edits) -> None:
        self._asked = asked
        inquiry = asked.inquiry
        content_type = inquiry.headers.get("content-type", "")
        if form.is_form(content_type):
            body = form.replaced(inquiry.body, content_type, "model", candidate.model)
        else:
            content_type = "application/json" if inquiry.body else ""
            body = outgoing_body(asked, candidate, edits) if inquiry.body else b""
        call = call_for(candidate, inquiry.operation, body, is_stream=inquiry.is_stream, client=inquiry.headers)
        headers = [(name, value) for name, value in call.headers if name.lower() not in {"accept", "content-type"}]
        headers.append(("accept", "text/event-stream" if inquiry.is_stream else "*/*"))
        if content_type:
            headers.append(("content-type", content_type))
        self.call: Call = replace(
            call,
            method=candidate.provider.endpoints[inquiry.operation].method,
            url=call.url.replace("{id}", quote(inquiry.resource, safe="")),
            headers=tuple(headers),
        )

    def passage(self) -> PlainPassage:
        return PlainPassage(self._asked)

    def whole(self, body: bytes) -> Whole:
        seen = Seen(has_content=True, is_ended=True)
        if self._asked.inquiry.operation != "retrieve":  # of an answer that failed it is a part
            try:
                error = bytes(members(body).get("error", b"null"))
            except Malformed:
                error = b"null"
            if error != b"null":
                seen = Seen(failure=self._asked.wire.parse_error(200, {}, body))
        return Whole(body, seen)

    def streamed(self, body: bytes) -> Whole:
        """A stream was asked for, and came as a whole."""
        told = self.whole(body)
        told.body = b"data: " + body.replace(b"\n", b"\ndata: ") + b"\n\n"
        return told


class PlainPassage:
    """Events are passed frame by frame, anything else as it comes."""

    def __init__(self, asked: Asked) -> None:
        self.seen = Seen()
        self._asked = asked
        self._cutter = FrameCutter() if asked.inquiry.is_stream else None

    def losses(self) -> tuple[Loss, ...]:
        return ()

    def feed(self, data: bytes) -> bytes:
        try:
            told = data if self._cutter is None else self._cutter.feed(data)
        except FrameTooLong as error:
            self.seen.note(Failure(kind="stream_corrupt", status=502, message=f"the upstream sent {error}"))
            return b""
        self.seen.has_content = self.seen.has_content or bool(told)
        return told

    def finish(self) -> bytes:
        self.seen.is_ended = True
        if self._cutter is not None and self._cutter.finish().strip():
            self.seen.note(cut_off())
        return b""

    def look_back(self) -> None:
        """It is not read."""

    def fail(self, failure: Failure) -> bytes:
        """Raises `Broken` where the format has no room for an error: then the connection has to tell it."""
        if self._cutter is None:
            raise Broken(failure.message, code=failure.code)
        return b"data: " + dumps(self._asked.wire.render_error(failure)) + b"\n\n"
