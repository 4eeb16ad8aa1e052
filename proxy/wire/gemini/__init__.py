"""Gemini generateContent, and the Code Assist envelope around it.

`contents` and `part_reader`/`part_writer`: the history · `tools`, `generation`, `thinking`: what is asked of the model
· `schema` (the OpenAPI subset), `dialect` (JSON Schema as Gemini takes it) and `flatten`: schemas · `spelling`:
snake_case · `answer_reader` and `partial`: answers, whole or in chunks · `envelope`: Code Assist.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.errors import Broken
from proxy.hub.events import Failure
from proxy.hub.profile import Profile
from proxy.hub.request import Request
from proxy.hub.residue import JsonObject
from proxy.hub.response import Response
from proxy.wire.base import Rendered, RenderedRequest, Reply, Wire
from proxy.wire.fault import read_fault
from proxy.wire.gemini import envelope, error, request, response
from proxy.wire.gemini.stream import GeminiParser, GeminiRenderer
from proxy.wire.gemini.words import NAME


class Gemini:
    name = NAME

    def parse_request(self, body: JsonObject, *, model: str | None = None, is_stream: bool | None = None) -> Request:
        return request.parse_request(body, model=model, is_stream=is_stream)

    def render_request(self, request_: Request, profile: Profile) -> RenderedRequest:
        return request.render_request(request_, profile)

    def render_count_request(self, request_: Request, profile: Profile) -> RenderedRequest:
        return request.render_count_request(request_, profile)

    def parse_response(self, body: JsonObject, *, maker: str) -> Response:
        return response.parse_response(body, maker=maker)

    def render_response(self, response_: Response, reply: Reply) -> Rendered[JsonObject]:
        return response.render_response(response_, reply)

    def stream_parser(self, *, maker: str) -> GeminiParser:
        return GeminiParser(maker=maker)

    def stream_renderer(self, reply: Reply) -> GeminiRenderer:
        return GeminiRenderer(reply)

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return read_fault(status, headers, body)

    def render_error(self, failure: Failure) -> JsonObject:
        return error.render_error(failure)

    def parse_count(self, body: JsonObject) -> int:
        tokens = body.get("totalTokens")
        if isinstance(tokens, int) and not isinstance(tokens, bool):
            return tokens
        if not body.get("error"):  # proto3 leaves out zeros
            return 0
        raise Broken("the upstream's count has no totalTokens")

    def render_count(self, tokens: int) -> JsonObject:
        return {"totalTokens": tokens}


class CodeAssist(envelope.CodeAssist, Gemini):
    """The same in its envelope; signatures and ids are Gemini's."""


WIRE: Wire = Gemini()
CODE_ASSIST: Wire = CodeAssist()
