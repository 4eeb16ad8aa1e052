"""One inquiry, read as far as its attempts need it and no further, and once for all of them."""

from __future__ import annotations

import re
from dataclasses import replace

from proxy.dispatch.catalogue import Found
from proxy.dispatch.inquiry import Inquiry
from proxy.dispatch.suffix import overridden
from proxy.errors import Malformed
from proxy.hub.request import Request
from proxy.hub.residue import JsonObject
from proxy.wire.base import Reply, Wire, expect_object, loads

TAG_MARKS = frozenset({b"px1.", b"cHgxL"})
"""Begin another maker's signature in the history (`proxy.hub.names.tag`): no provider understands it. In plain, and as
base64 begins where Gemini has bytes.
"""
FILE_MARKS = frozenset({b'file_id"', b'fileUri"', b'file_uri"'})
_MARKS = re.compile(rb'"(px1\.|cHgxL|file(?:_id|Uri|_uri)")')
"""All of them at once: a look through 200 KB takes 50 µs, for whatever is looked for."""


def has_marks(body: bytes) -> bool:
    return _MARKS.search(body) is not None


class Asked:
    def __init__(self, inquiry: Inquiry, found: Found, wire: Wire, *, created: int, is_fallback: bool = False) -> None:
        """`wire`: the client's. `created`: Unix seconds, for answers that must say when they were made. `is_fallback`:
        `found` goes on in the place of what was asked for.
        """
        self.inquiry = inquiry
        self.found = found
        self.wire = wire
        self.is_fallback = is_fallback
        self._created = created
        self._body: JsonObject | None = None
        self._marks: frozenset[bytes] | None = None
        self._request: Request | None = None

    @property
    def marks(self) -> frozenset[bytes]:
        """What of it needs a closer look."""
        if self._marks is None:
            self._marks = frozenset(_MARKS.findall(self.inquiry.body))
        return self._marks

    @property
    def body(self) -> JsonObject:
        """Raises `Malformed`."""
        if self._body is None:
            try:
                self._body = expect_object(loads(self.inquiry.body), "")
            except (ValueError, RecursionError) as error:
                raise Malformed(f"the body is no JSON: {error}") from None
        return self._body

    @property
    def request(self) -> Request:
        """In the hub's words, with what the suffix of the model's name said. Raises `Malformed`."""
        if self._request is None:
            request = self.wire.parse_request(self.body, model=self.inquiry.model, is_stream=self.inquiry.is_stream)
            reasoning = self.found.reasoning
            self._request = request if reasoning is None else overridden(request, reasoning)
        return self._request

    def in_place(self, found: Found) -> Asked:
        """The same inquiry, of another model."""
        other = Asked(self.inquiry, found, self.wire, created=self._created, is_fallback=True)
        other._body = self._body
        if found.reasoning == self.found.reasoning:
            other._request = self._request
        return other

    def request_for(self, model: str) -> Request:
        return self.request if self.request.model == model else replace(self.request, model=model)

    def reply(self, *, with_request: bool) -> Reply:
        """`with_request`: where the answer is rendered anew, and may repeat some of what was asked."""
        return Reply(
            model=self.inquiry.model,
            request_id=self.inquiry.request_id,
            created=self._created,
            has_usage=not with_request or self._wants_usage(),
            framing=self.inquiry.framing,
            request=self.request if with_request else None,
        )

    def _wants_usage(self) -> bool:
        """OpenAI Chat streams tell usage to whoever asks for it, the others always."""
        if self.wire.name != "openai_chat" or not self.inquiry.is_stream:
            return True
        options = self.body.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True
