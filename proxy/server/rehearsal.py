"""A dry run of any request, heard as the server would hear it: whose key and from where, what that may still ask for,
what its headers ask for, which conversation it goes on with. Nothing is changed, sent or counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from multidict import CIMultiDict

from proxy.dispatch.decision import Decision
from proxy.dispatch.draft import Draft
from proxy.dispatch.inquiry import Inquiry
from proxy.errors import Malformed
from proxy.server import following, wishes
from proxy.server.access import PRIVATE_HEADERS, Client
from proxy.server.app import App
from proxy.server.continuation import NOT_FOUND
from proxy.server.reading import STRICT_HEADER

MANAGEMENT_KEY = "x-management-key"


class Explainer(Protocol):
    def explain(self, inquiry: Inquiry) -> Decision:
        """Raises `ProxyError`."""
        ...


class Rehearsal:
    """`explain` on the event loop. `now`: on the loop's clock."""

    def __init__(self, app: App, explainer: Explainer, now: Callable[[], float]) -> None:
        self._app = app
        self._explainer = explainer
        self._now = now

    def explain(self, draft: Draft) -> Decision:
        """Raises what its client would be told, a `ProxyError` or `Refused`, and `LookupError` where there is no such
        key.
        """
        client = self._admitted(draft)
        kept = CIMultiDict(draft.headers)
        for name in (*PRIVATE_HEADERS, MANAGEMENT_KEY):
            kept.popall(name, None)
        strict = client.is_strict or self._app.edition().config.strict or kept.get(STRICT_HEADER, "") in {"1", "true"}
        inquiry = Inquiry(
            request_id="",
            wire=draft.wire,
            operation=draft.operation,
            model=draft.model,
            is_stream=draft.is_stream,
            body=draft.body,
            headers=kept,
            query={},
            client=client.name,
            reach=client.reach,
            is_strict=strict,
        )
        desk = self._app.desk(self._now())
        desk.sessions = desk.sessions.copy()
        inquiry = wishes.heeded(inquiry, desk)
        caller = self._app.edition().caller(client, draft.address)
        self._app.limits.rehearse(caller if draft.address else replace(caller, ip=None), inquiry)
        return self._first(inquiry, client)

    def _admitted(self, draft: Draft) -> Client:
        """Raises `AccessDenied`, and `LookupError`."""
        if not draft.key:
            return Client()
        client = self._app.edition().keys.named(draft.key)
        if client.guard is not None:
            guard = client.guard if draft.address else replace(client.guard, networks=())
            guard.check(draft.address, self._app.now())
        return client

    def _first(self, inquiry: Inquiry, client: Client) -> Decision:
        """Who is asked first, in whichever form."""
        nobody: Decision | Malformed | None = None
        for form in self._forms(inquiry, client):
            try:
                decision = self._explainer.explain(form)
            except Malformed as error:
                if error.code != NOT_FOUND:
                    raise
                nobody = nobody or error
                continue
            if decision.chosen is not None:
                return decision
            nobody = nobody if isinstance(nobody, Decision) else decision
        assert nobody is not None, "there is one form at least"
        if isinstance(nobody, Malformed):
            raise nobody
        return nobody

    def _forms(self, inquiry: Inquiry, client: Client) -> Iterator[Inquiry]:
        if not following.concerns(inquiry):
            yield inquiry
            return
        bytes_max = self._app.edition().config.server.body_bytes_max
        turn = following.Following(self._app, inquiry, owner=client.scope, bytes_max=bytes_max, now=self._now())
        yield from turn.forms()
