from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.errors import Malformed, Rejected
from proxy.hub.events import Failure, Heartbeat
from proxy.hub.fold import explode
from proxy.hub.parts import Text
from proxy.hub.request import Request
from proxy.wire.base import Reply
from proxy.wire.gemini import CODE_ASSIST, WIRE
from proxy.wire.gemini.envelope import (
    Envelope,
    unwrap_request,
    unwrap_response,
    wrap_count,
    wrap_request,
    wrap_response,
)
from tests.proxy.wire.gemini.exchanges import REPLY, answer, asked, fold, frames, parsed, sse, upstream

CONTENTS: Any = [{"role": "user", "parts": [{"text": "hi"}]}]
ENVELOPE: Any = {
    "model": "gemini-x", "project": "p-1", "user_prompt_id": "u-1",
    "request": {"contents": CONTENTS, "session_id": "s-1"},
}  # fmt: skip


class TestRequest:
    def test_there_and_back(self) -> None:
        envelope = unwrap_request(ENVELOPE)
        assert envelope == Envelope({"contents": CONTENTS}, "gemini-x", "p-1", "u-1", "s-1")
        assert wrap_request(envelope) == ENVELOPE
        assert wrap_request(Envelope({"contents": CONTENTS})) == {"request": {"contents": CONTENTS}}

    def test_every_captured_envelope(self, cli_requests: list[tuple[str, Any]]) -> None:
        enveloped = [body for _, body in cli_requests if "request" in body and "model" in body]
        assert enveloped
        for body in enveloped:
            assert wrap_request(unwrap_request(body)) == body

    def test_a_count_names_its_model_inside(self) -> None:
        body: Any = {"request": {"model": "models/gemini-x", "contents": CONTENTS}}
        assert unwrap_request(body) == Envelope({"contents": CONTENTS}, "gemini-x")
        assert wrap_count({"contents": CONTENTS, "tools": []}, "gemini-x") == body

    @pytest.mark.parametrize(
        ("body", "path"),
        [({}, "request"), ({"request": []}, "request"), ({"request": {"model": 1}}, "request.model"),
         ({"request": {}, "project": 1}, "project")],
    )  # fmt: skip
    def test_faults_are_named(self, body: Any, path: str) -> None:
        with pytest.raises(Malformed) as caught:
            unwrap_request(body)
        assert caught.value.path == path

    def test_the_wire(self) -> None:
        request = CODE_ASSIST.parse_request(ENVELOPE, is_stream=True)
        assert isinstance(request, Request)
        assert (request.model, request.is_stream, request.messages[0].parts) == ("gemini-x", True, (Text(text="hi"),))
        assert CODE_ASSIST.parse_request(ENVELOPE, model="other").model == "other"
        assert CODE_ASSIST.render_request(asked(), upstream()).body == {"model": "m", "request": {"contents": CONTENTS}}
        assert CODE_ASSIST.render_count_request(asked(), upstream()).body == {
            "request": {"model": "models/m", "contents": CONTENTS},
        }
        assert CODE_ASSIST.name == WIRE.name


class TestResponse:
    def test_there_and_back(self) -> None:
        body = answer({"text": "hi"})
        enveloped = wrap_response(body, "trace-1")
        assert enveloped == {"response": body, "traceId": "trace-1"}
        assert unwrap_response(enveloped) == body
        assert unwrap_response(body) == body
        assert unwrap_response({"traceId": "t", "remainingCredits": []}) == {}
        response = CODE_ASSIST.parse_response(enveloped, maker="gemini")
        assert response == WIRE.parse_response(body, maker="gemini")
        told = CODE_ASSIST.render_response(response, Reply(model="gemini-x", request_id="trace-1"))
        assert told.body == enveloped

    def test_an_error_stands_outside(self) -> None:
        with pytest.raises(Rejected, match="quota"):
            CODE_ASSIST.parse_response({"error": {"code": 429, "message": "quota"}}, maker="gemini")


class TestStream:
    CHUNKS = (answer({"text": "a", "thought": True}), answer({"text": "b"}))

    def test_frames_are_taken_out(self) -> None:
        enveloped = sse(*(wrap_response(chunk, "t") for chunk in self.CHUNKS))
        for size in (1, 9, len(enveloped)):
            parser = CODE_ASSIST.stream_parser(maker="gemini")
            events = [
                event for at in range(0, len(enveloped), size) for event in parser.feed(enveloped[at : at + size])
            ] + parser.finish()  # fmt: skip
            assert events == parsed(sse(*self.CHUNKS))

    def test_frames_are_put_in(self) -> None:
        response = fold(parsed(sse(*self.CHUNKS)))
        renderer, plain = CODE_ASSIST.stream_renderer(REPLY), WIRE.stream_renderer(REPLY)
        told = b"".join(renderer.feed(event) for event in explode(response)) + renderer.finish()
        bare = b"".join(plain.feed(event) for event in explode(response))
        assert frames(told) == [{"response": chunk, "traceId": "req_1"} for chunk in frames(bare)]
        assert renderer.feed(Heartbeat()) == b""

    def test_errors_come_without_an_envelope(self) -> None:
        parser = CODE_ASSIST.stream_parser(maker="gemini")
        error = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
        (failure,) = [event for event in parser.feed(sse(error)) if isinstance(event, Failure)]
        assert failure.kind == "overloaded"
        assert frames(CODE_ASSIST.stream_renderer(REPLY).feed(failure)) == [error]

    def test_an_array(self) -> None:
        renderer = CODE_ASSIST.stream_renderer(Reply(model="m", request_id="q", framing="json-array"))
        response = fold(parsed(sse(*self.CHUNKS)))
        told = b"".join(renderer.feed(event) for event in explode(response)) + renderer.finish()
        assert all(set(each) == {"response", "traceId"} for each in msgspec.json.decode(told))
