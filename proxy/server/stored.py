"""``GET`` and ``DELETE /v1/responses/{id}``: an answer that is kept here, or by the provider that made it."""

from __future__ import annotations

from collections.abc import Callable

from proxy.dispatch.body import Body
from proxy.dispatch.inquiry import Inquiry, Outcome, Report
from proxy.errors import UnknownRoute
from proxy.providers.base import Operation
from proxy.server.app import App
from proxy.server.archive import Told
from proxy.wire.base import dumps


async def open_stored(
    app: App, response_id: str, operation: Operation, inquiry: Callable[[Told], Inquiry], *, owner: str, now: float
) -> Outcome:
    """`operation`: ``retrieve`` or ``delete``. Raises `UnknownRoute` for what this owner has not stored, and `Refused`.

    `now`: on the loop's clock.
    """
    told = app.archive.find(owner, response_id, now)
    if told is None:
        raise UnknownRoute(f"there is no response {response_id!r}", code="response_not_found")
    if told.credential:
        outcome = await app.dispatcher.open(inquiry(told))
    else:
        content = told.response
        if operation == "delete":
            content = dumps({"id": told.id, "object": "response", "deleted": True})
        outcome = Outcome(
            status=200,
            headers=(("content-type", "application/json"),),
            body=Body.of(content),
            report=Report(request_id="", model_asked=told.model),
        )
    if operation == "delete":
        app.archive.forget(owner, response_id)
    return outcome
