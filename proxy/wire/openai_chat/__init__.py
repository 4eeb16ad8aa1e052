"""OpenAI Chat Completions, as OpenAI and its many compatible vendors speak it.

`request`: with `messages` and `history` (the conversation in and out), `tools`, `settings`, `effort`. `parts` and
`blocks` (content in and out), `assistant` and `saying` (an assistant's message in and out), `reasoning`: shared with
`response`, with `answering` (what a client can be told). `stream` and `speech` (chunks in and out), with `calls`.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.hub.events import Failure
from proxy.hub.profile import Profile
from proxy.hub.request import Request
from proxy.hub.residue import JsonObject
from proxy.hub.response import Response
from proxy.wire.base import Rendered, RenderedRequest, Reply, Wire
from proxy.wire.openai_chat.error import parse_error, render_error
from proxy.wire.openai_chat.request import parse_request, render_request
from proxy.wire.openai_chat.response import parse_count, parse_response, render_count, render_response
from proxy.wire.openai_chat.speech import ChatStreamRenderer
from proxy.wire.openai_chat.stream import ChatStreamParser
from proxy.wire.openai_chat.words import NAME


class OpenAIChat:
    """See `proxy.wire.base.Wire`."""

    name = NAME

    def parse_request(self, body: JsonObject, *, model: str | None = None, is_stream: bool | None = None) -> Request:
        return parse_request(body, model=model, is_stream=is_stream)

    def render_request(self, request: Request, profile: Profile) -> RenderedRequest:
        return render_request(request, profile)

    def render_count_request(self, request: Request, profile: Profile) -> RenderedRequest:
        return render_request(request, profile)

    def parse_response(self, body: JsonObject, *, maker: str) -> Response:
        return parse_response(body, maker=maker)

    def render_response(self, response: Response, reply: Reply) -> Rendered[JsonObject]:
        return render_response(response, reply)

    def stream_parser(self, *, maker: str) -> ChatStreamParser:
        return ChatStreamParser(maker=maker)

    def stream_renderer(self, reply: Reply) -> ChatStreamRenderer:
        return ChatStreamRenderer(reply)

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return parse_error(status, headers, body)

    def render_error(self, failure: Failure) -> JsonObject:
        return render_error(failure)

    def parse_count(self, body: JsonObject) -> int:
        return parse_count(body)

    def render_count(self, tokens: int) -> JsonObject:
        return render_count(tokens)


WIRE: Wire = OpenAIChat()
