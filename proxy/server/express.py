"""Requests to a model that wait for nothing but the answer: they are served without a task.

An exchange (`proxy.server.exchange`) is a coroutine, and may have to wait anywhere: for a body, an account, a
connection, a slow reader. Most requests wait for one thing only. Those are begun in the turn of the loop in which they
come, and answered in the turn in which their answer is there. It is the same decision, the same plan, the same books;
but nobody waits in between, which is what most of the time went to.

Whatever turns out to need waiting is handed over as far as it has come, to an exchange that goes on with it.
"""

from __future__ import annotations

import time
from typing import Protocol

from proxy.dispatch.failover import told
from proxy.dispatch.inquiry import Inquiry, Refused, Report
from proxy.dispatch.pursuit import Given, Pursuit
from proxy.errors import ProxyError
from proxy.server.answer import Answer
from proxy.server.app import App
from proxy.server.body import quick_peek
from proxy.server.dress import dress
from proxy.server.ending import CLIENT_GONE, Ended, tell_end
from proxy.server.limits import Grant
from proxy.server.stream import clean_headers
from proxy.server.terms import Terms, terms_of
from proxy.server.visit import Visit


class Seat(Protocol):
    """The connection that a ride is for."""

    def arrive(self, answer: Answer) -> bool:
        """Tells the client; `leave` follows. False: it is gone."""
        ...

    def leave(self) -> None:
        """The ride's end: another may begin."""
        ...

    def take_over(self, ride: Ride) -> None:
        """The ride's end: an exchange goes on with it."""
        ...


class Express:
    """One for the server."""

    def __init__(self, app: App) -> None:
        self._app = app

    def terms(self, visit: Visit) -> Terms | None:
        """None: it needs an exchange."""
        app = self._app
        return None if app.starter is None else terms_of(visit, app.edition(), app.now())

    def is_good(self, terms: Terms) -> bool:
        """Whether they still hold."""
        return terms.edition is self._app.edition()

    def begin(self, terms: Terms, content: bytes, seat: Seat) -> Ride | None:
        """None: nothing was done, and an exchange has to. Else `look` is to be called when it has got its seat."""
        app = self._app
        if app.is_draining or len(content) > terms.bytes_max:
            return None
        ride = Ride(app, terms, seat)
        try:
            ride.begin(content)
        except (ProxyError, Refused, RecursionError):
            pass  # the exchange will say so
        except Exception as error:
            app.log.exception("request.failed", request_id=ride.request_id, exc_info=error)
        return None if ride.is_over else ride


class Ride:
    """One request. `inquiry`, `grant` and `pursuit`: as far as it has come; of the last None: not so far."""

    __slots__ = ("_app", "_seat", "began", "grant", "inquiry", "is_over", "pursuit", "request_id", "terms")

    def __init__(self, app: App, terms: Terms, seat: Seat) -> None:
        self._app = app
        self._seat = seat
        self.is_over = True
        self.terms = terms
        self.began = time.monotonic()
        self.request_id = terms.request_id or app.new_id()
        self.inquiry: Inquiry | None = None
        self.grant: Grant | None = None
        self.pursuit: Pursuit | None = None

    def begin(self, content: bytes) -> None:
        """It `is_over` as long as nothing was done. Raises what stands against it."""
        app, terms = self._app, self.terms
        route, client, starter = terms.route, terms.caller.client, app.starter
        peek = quick_peek(content, model=terms.model, is_stream=route.is_stream)
        if starter is None or peek is None or peek.is_stream or (peek.names is not None and "effort" in peek.names):
            return
        if client.guard is not None:
            client.guard.check(terms.caller.address, app.now())
        inquiry = Inquiry(
            request_id=self.request_id,
            wire=route.wire,
            operation="generate",
            model=peek.model,
            is_stream=False,
            body=content,
            names=peek.names,
            headers=terms.headers,
            query=terms.query,
            named=terms.named,
            client=client.name,
            reach=client.reach,
            is_strict=terms.is_strict,
        )
        self.grant = app.limits.admit(terms.caller, inquiry)
        self.inquiry = inquiry
        self.is_over = False
        app.metrics.in_flight.inc()
        app.rides.add(self)
        self.pursuit = starter.begin(inquiry, self.look)

    def look(self) -> None:
        """At what has come."""
        if self.is_over:
            return
        try:
            given = None if self.pursuit is None else self.pursuit.finish()
            if given is not None:
                self._give(given)
        except Exception as error:
            self._app.log.exception("request.failed", request_id=self.request_id, exc_info=error)
            self._drop()
        if self in self._app.rides:
            if self.pursuit is None or self.pursuit.needs_run:
                self.hand_over()
        else:
            self._seat.leave()

    def _give(self, given: Given) -> None:
        assert self.pursuit is not None
        app, terms = self._app, self.terms
        headers = clean_headers(told(self.pursuit, "application/json", given.headers))
        dress(headers, request_id=self.request_id, wire=terms.route.wire, cors=terms.cors, grant=self.grant)
        answer = Answer(given.status, headers, given.content)
        if app.is_draining:
            answer.force_close()
        has_arrived = self._seat.arrive(answer)
        self._over()
        self._book(self.pursuit.report, given.status if has_arrived else CLIENT_GONE)

    def _book(self, report: Report, status: int) -> None:
        terms = self.terms
        ended = Ended(
            route=terms.route.label,
            status=status,
            seconds=time.monotonic() - self.began,
            client=terms.caller.client.name,
            inquiry=self.inquiry,
            grant=self.grant,
        )
        tell_end(self._app, report, ended)

    def hand_over(self) -> None:
        """An exchange goes on with it."""
        if not self.is_over:
            self._over()
            self._seat.take_over(self)

    def abandon(self) -> None:
        """The client is gone."""
        if self.is_over:
            return
        self._over()
        self._drop()
        self.close()

    def close(self) -> None:
        """Of one that was handed over, and that nobody took: the client is gone."""
        self._drop()
        report = Report(request_id=self.request_id, model_asked=self.inquiry.model if self.inquiry else "")
        self._book(report, CLIENT_GONE)

    def _drop(self) -> None:
        pursuit, self.pursuit = self.pursuit, None
        if pursuit is not None:
            pursuit.drop()

    def _over(self) -> None:
        self.is_over = True
        self._app.metrics.in_flight.dec()
        self._app.rides.discard(self)
