"""Code Assist (``v1internal:…``): Gemini's JSON in an envelope that names model, project and prompt."""

from __future__ import annotations

from typing import NamedTuple

from proxy.hub.profile import Profile
from proxy.hub.request import Request
from proxy.hub.residue import JsonObject, JsonValue
from proxy.hub.response import Response
from proxy.wire.base import Rendered, RenderedRequest, Reply, dumps, expect_object
from proxy.wire.fields import Fields
from proxy.wire.gemini.request import parse_request, render_request
from proxy.wire.gemini.response import parse_response, render_response
from proxy.wire.gemini.stream import GeminiParser, GeminiRenderer
from proxy.wire.gemini.words import NAME


class Envelope(NamedTuple):
    """A request's. `body`: what stands inside, in Gemini's own words."""

    body: JsonObject
    model: str | None = None
    project: str | None = None
    user_prompt_id: str | None = None
    session_id: str | None = None


def unwrap_request(value: JsonObject) -> Envelope:
    """Also of `countTokens`, where the model stands inside. Raises `Malformed`."""
    fields = Fields(expect_object(value, ""), wire=NAME)
    body = dict(expect_object(fields.peek("request"), "request"))
    inner = Fields(body, wire=NAME, path="request")
    model, session_id = inner.take_str("model"), inner.take_str("session_id")
    for key in ("model", "session_id"):
        body.pop(key, None)
    return Envelope(
        body=body,
        model=(fields.take_str("model") or model or "").removeprefix("models/") or None,
        project=fields.take_str("project"),
        user_prompt_id=fields.take_str("user_prompt_id"),
        session_id=session_id,
    )


def wrap_request(envelope: Envelope) -> JsonObject:
    named = {"model": envelope.model, "project": envelope.project, "user_prompt_id": envelope.user_prompt_id}
    body: JsonObject = {key: value for key, value in named.items() if value is not None}
    session: JsonObject = {} if envelope.session_id is None else {"session_id": envelope.session_id}
    return {**body, "request": {**envelope.body, **session}}


def wrap_count(body: JsonObject, model: str) -> JsonObject:
    """The counter takes contents only: instructions and tools are not counted there."""
    return {"request": {"model": f"models/{model}", "contents": body.get("contents", [])}}


def unwrap_response(value: JsonObject) -> JsonObject:
    """An error stands in no envelope, and stays as it is; an envelope may be empty."""
    inner = value.get("response")
    if isinstance(inner, dict):
        return inner
    return {} if "traceId" in value else value


def wrap_response(body: JsonValue, trace_id: str) -> JsonObject:
    return {"response": body, "traceId": trace_id}


def parser(*, maker: str) -> GeminiParser:
    return GeminiParser(maker=maker, unwrap=unwrap_response)


def renderer(reply: Reply) -> GeminiRenderer:
    tail = b',"traceId":%b}' % dumps(reply.request_id)
    return GeminiRenderer(reply, wrap=lambda body: b'{"response":' + body + tail)


class CodeAssist:
    """What `Wire` asks for that the envelope changes; `proxy.wire.gemini.CODE_ASSIST` adds the rest. The account's
    project and the prompt's id are the provider's to fill in.
    """

    def parse_request(self, body: JsonObject, *, model: str | None = None, is_stream: bool | None = None) -> Request:
        envelope = unwrap_request(body)
        return parse_request(envelope.body, model=model or envelope.model, is_stream=is_stream)

    def render_request(self, request: Request, profile: Profile) -> RenderedRequest:
        rendered = render_request(request, profile)
        body = wrap_request(Envelope(rendered.body, model=request.model))
        return RenderedRequest(body, rendered.losses, rendered.names)

    def render_count_request(self, request: Request, profile: Profile) -> RenderedRequest:
        rendered = render_request(request, profile)
        return RenderedRequest(wrap_count(rendered.body, request.model), rendered.losses, rendered.names)

    def parse_response(self, body: JsonObject, *, maker: str) -> Response:
        return parse_response(unwrap_response(body), maker=maker)

    def render_response(self, response: Response, reply: Reply) -> Rendered[JsonObject]:
        body, losses = render_response(response, reply)
        return Rendered(wrap_response(body, reply.request_id), losses)

    def stream_parser(self, *, maker: str) -> GeminiParser:
        return parser(maker=maker)

    def stream_renderer(self, reply: Reply) -> GeminiRenderer:
        return renderer(reply)
