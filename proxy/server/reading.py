"""A request to a model, as the dispatcher wants it: its body within limits, and nothing of the client's key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from multidict import CIMultiDict

from proxy.config.schema import Config
from proxy.dispatch import form
from proxy.dispatch.inquiry import Inquiry, Tie
from proxy.errors import Malformed
from proxy.providers.base import Operation
from proxy.server import body, code_assist
from proxy.server.access import KEY_PARAMETER, PRIVATE_HEADERS, Client
from proxy.server.archive import Told
from proxy.server.routes import Match, Route
from proxy.server.visit import Visit

STRICT_HEADER = "x-proxy-strict"


def framing_of(route: Route, query: Mapping[str, str]) -> str:
    """Of a streamed answer: Google's are arrays, unless they are asked for as events."""
    is_array = route.wire == "gemini" and query.get("alt") != "sse" and not route.is_enveloped
    return "json-array" if is_array else "sse"


@dataclass(slots=True, kw_only=True)
class Reader:
    visit: Visit
    config: Config
    client: Client
    request_id: str

    async def read(self, match: Match) -> Inquiry:
        """Raises `RequestError`."""
        visit, route = self.visit, match.route
        limits = body.Limits(bytes_max=self.config.server.body_bytes_max)
        body.check_head(visit.headers, limits, takes_form=route.takes_form)
        if visit.headers.get("expect", "").lower() == "100-continue":
            await visit.let_send()
        content = await body.read(visit.content, visit.headers, limits)
        model, session, envelope = match.model, "", b""
        if route.is_enveloped:
            envelope = content
            content, model, session = code_assist.unwrap(content)
        peek = await self._peek(content, route, model)
        query = self.query
        return Inquiry(
            request_id=self.request_id,
            wire=route.wire,
            operation=route.operation,
            model=peek.model,
            is_stream=peek.is_stream,
            body=content,
            names=peek.names,
            headers=self.headers,
            query=query,
            framing=framing_of(route, query) if peek.is_stream else "sse",
            client=self.client.name,
            reach=self.client.reach,
            is_strict=self.is_strict,
            envelope=envelope,
            session=session,
        )

    async def _peek(self, content: bytes, route: Route, model: str | None) -> body.Peek:
        content_type = self.visit.headers.get("content-type", "")
        if not form.is_form(content_type):
            return await body.peek(content, model=model, is_stream=route.is_stream, default=route.default_model)
        said = form.values(content, content_type, "model", "stream")
        if not said.get("model"):
            raise Malformed("model is required and must name one", path="model", code="invalid_model")
        return body.Peek(said["model"], said.get("stream", "").lower() in {"true", "1"})

    def about(self, told: Told, route: Route, operation: Operation) -> Inquiry:
        """For a stored answer: without a body, to the account that has it."""
        return Inquiry(
            request_id=self.request_id,
            wire=route.wire,
            operation=operation,
            model=told.model,
            is_stream=False,
            body=b"",
            headers=self.headers,
            query=self.query,
            resource=told.id,
            client=self.client.name,
            reach=self.client.reach,
            tie=Tie(told.credential, is_hard=True),
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """In the client's own case, which the parsed ones have lost: an official CLI's go on as they are."""
        headers = CIMultiDict(self.visit.fields)
        for name in PRIVATE_HEADERS:
            headers.popall(name, None)
        return headers

    @property
    def query(self) -> Mapping[str, str]:
        """Without the client's key."""
        return {name: value for name, value in self.visit.query.items() if name != KEY_PARAMETER}

    @property
    def is_strict(self) -> bool:
        asked = self.visit.headers.get(STRICT_HEADER, "").lower()
        return self.client.is_strict or self.config.strict or asked in {"1", "true"}
