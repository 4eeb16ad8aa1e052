"""OpenAI Responses: POST /responses with its stream, and the same as frames of a WebSocket.

`request.py` (with `turns`, `items`, `parts`, `tools`, `choice`, `settings`) reads a request, `input_writing` and
`item_writing` write what it says; `response.py` and `echo.py` are for whole answers, `stream.py` and
`stream_writing.py` for streamed ones, `error.py` for errors. With `Reply.framing` ``frames``, a renderer's bytes are
lines, and each line is a frame; `StreamParser.feed_frame` reads one.
"""

from __future__ import annotations

from proxy.wire.base import Wire
from proxy.wire.fault import read_fault
from proxy.wire.openai_responses.error import render_error
from proxy.wire.openai_responses.losses import NAME
from proxy.wire.openai_responses.request import (
    parse_count,
    parse_request,
    render_count,
    render_count_request,
    render_request,
)
from proxy.wire.openai_responses.response import parse_response, render_response
from proxy.wire.openai_responses.stream import StreamParser
from proxy.wire.openai_responses.stream_writing import StreamRenderer


class OpenAIResponses:
    """See `proxy.wire.base.Wire`."""

    name = NAME
    parse_request = staticmethod(parse_request)
    render_request = staticmethod(render_request)
    render_count_request = staticmethod(render_count_request)
    parse_response = staticmethod(parse_response)
    render_response = staticmethod(render_response)
    stream_parser = staticmethod(StreamParser)
    stream_renderer = staticmethod(StreamRenderer)
    parse_error = staticmethod(read_fault)
    render_error = staticmethod(render_error)
    parse_count = staticmethod(parse_count)
    render_count = staticmethod(render_count)


WIRE: Wire = OpenAIResponses()
