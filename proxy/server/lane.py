"""What the answers of one leg of a track have in common (`proxy.dispatch.track`): most of their head, and most of what
is noted of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from msgspec.structs import replace
from multidict import CIMultiDict

from proxy.dispatch.answer_headers import own
from proxy.dispatch.inquiry import AttemptRecord, Inquiry, Report
from proxy.dispatch.passage import Whole
from proxy.dispatch.track import Leg, Trip
from proxy.observe.usage import Tokens, Used
from proxy.server.answer import Answer, date
from proxy.server.dress import dress
from proxy.server.ending import CLIENT_GONE, Ended, used_by
from proxy.server.limits import Grant
from proxy.server.stream import clean_headers


class Lane:
    __slots__ = ("_fields", "_headers", "_used", "_wire")

    def __init__(self, leg: Leg, inquiry: Inquiry, *, route: str, cors: Mapping[str, str]) -> None:
        """`inquiry`: the first that took it. `route`: its label. `cors`: the headers of an answer to a web page."""
        provider, credential, model = leg.candidate.provider, leg.candidate.credential, leg.candidate.model
        report = Report(
            request_id="",
            model_asked=inquiry.model,
            model_served=model,
            provider=provider.name,
            wire=provider.wire,
            credential=credential.id,
            account=credential.label,
            is_relay=True,
            attempts=[AttemptRecord(provider=provider.name, credential=credential.id, model=model)],
        )
        ended = Ended(route=route, status=0, seconds=0.0, client=inquiry.client, inquiry=inquiry)
        self._used = used_by(inquiry, report, ended, at=0.0)
        self._wire = inquiry.wire
        self._headers = clean_headers((("content-type", "application/json"), *own(report), *cors.items()))
        self._fields = "".join(f"{name}: {value}\r\n" for name, value in self._headers.items())

    def _more(self, trip: Trip, request_id: str, grant: Grant | None) -> CIMultiDict[str]:
        headers = clean_headers(trip.passed)
        dress(headers, request_id=request_id, wire=self._wire, cors={}, grant=grant)
        return headers

    def answer(self, trip: Trip, whole: Whole, request_id: str, grant: Grant | None) -> Answer:
        headers = self._headers.copy()
        headers.extend(self._more(trip, request_id, grant))
        return Answer(HTTPStatus.OK.value, headers, whole.body)

    def bytes_of(self, trip: Trip, whole: Whole, request_id: str, grant: Grant | None) -> bytes:
        """The same, over HTTP/1.1 and a connection that stays."""
        more = "".join([f"{name}: {value}\r\n" for name, value in self._more(trip, request_id, grant).items()])
        framing = f"Content-Length: {len(whole.body)}\r\nDate: {date()}\r\n\r\n"
        return f"HTTP/1.1 200 OK\r\n{self._fields}{more}{framing}".encode("utf-8", "surrogateescape") + whole.body

    def used(self, trip: Trip, whole: Whole, request_id: str, *, has_arrived: bool, at: float, seconds: float) -> Used:
        """`at`: Unix seconds. `seconds`: it took, all in all."""
        first, finish, tokens = trip.first_byte_seconds, whole.seen.finish, Tokens.of(whole.seen.usage)
        tried = replace(
            self._used.attempts[0], status=HTTPStatus.OK.value, seconds=first, first_byte_seconds=first, tokens=tokens
        )
        return replace(
            self._used,
            at=at,
            request_id=request_id,
            status=HTTPStatus.OK.value if has_arrived else CLIENT_GONE,
            seconds=seconds,
            tokens=tokens,
            first_byte_seconds=first,
            finish=None if finish is None else finish.reason,
            attempts=(tried,),
        )
