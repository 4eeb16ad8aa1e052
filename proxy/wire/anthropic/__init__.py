"""Anthropic Messages: ``POST /v1/messages`` and ``/v1/messages/count_tokens``.

`blocks`, `messages` content blocks and turns → hub · `parts`, `turns` the way back for an upstream · `tools`,
`thinking`, `settings`, `schema` what stands beside them · `breakpoints` cache marks · `request`, `response`, `stream`
(bytes → events), `frames` (events → bytes), `error`.

Which `anthropic-version` is sent, and which betas, is the provider's business; what a model refuses is the profile's.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.errors import Broken
from proxy.hub.events import Failure
from proxy.hub.profile import Profile
from proxy.hub.request import Request
from proxy.hub.residue import JsonObject
from proxy.hub.response import Response
from proxy.wire.anthropic.blocks import NAME
from proxy.wire.anthropic.breakpoints import with_breakpoints
from proxy.wire.anthropic.error import parse_error, render_error
from proxy.wire.anthropic.frames import AnthropicStreamRenderer
from proxy.wire.anthropic.request import parse_request, render_count_request, render_request
from proxy.wire.anthropic.response import parse_response, render_response
from proxy.wire.anthropic.stream import AnthropicStreamParser
from proxy.wire.base import Rendered, RenderedRequest, Reply, Wire

__all__ = ["NAME", "WIRE", "AnthropicWire", "with_breakpoints"]


class AnthropicWire:
    name = NAME

    def parse_request(self, body: JsonObject, *, model: str | None = None, is_stream: bool | None = None) -> Request:
        return parse_request(body, model=model, is_stream=is_stream)

    def render_request(self, request: Request, profile: Profile) -> RenderedRequest:
        return render_request(request, profile)

    def render_count_request(self, request: Request, profile: Profile) -> RenderedRequest:
        return render_count_request(request, profile)

    def parse_response(self, body: JsonObject, *, maker: str) -> Response:
        return parse_response(body, maker=maker)

    def render_response(self, response: Response, reply: Reply) -> Rendered[JsonObject]:
        return render_response(response, reply)

    def stream_parser(self, *, maker: str) -> AnthropicStreamParser:
        return AnthropicStreamParser(maker=maker)

    def stream_renderer(self, reply: Reply) -> AnthropicStreamRenderer:
        return AnthropicStreamRenderer(reply)

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return parse_error(status, headers, body)

    def render_error(self, failure: Failure) -> JsonObject:
        return render_error(failure)

    def parse_count(self, body: JsonObject) -> int:
        tokens = body.get("input_tokens")
        if not isinstance(tokens, int) or isinstance(tokens, bool):
            raise Broken("the upstream's answer to a count holds no input_tokens")
        return tokens

    def render_count(self, tokens: int) -> JsonObject:
        return {"input_tokens": tokens}


WIRE: Wire = AnthropicWire()
