"""Where a Responses request stands in its conversation: what came before it, and what is kept for those after it.

``previous_response_id`` means something to whoever kept the answer. Where that is us, the whole conversation is put
into the request, so that any provider can go on with it; where it is a provider, the request is tied to the account,
and the whole conversation is for when that account has to rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from proxy.dispatch.inquiry import Inquiry, Outcome, Refused, Report, Tie
from proxy.dispatch.splice import Members, joined, raw
from proxy.errors import Kind, Malformed, TooLarge
from proxy.hub.residue import JsonValue
from proxy.server import compaction
from proxy.server.app import Dispatcher
from proxy.server.archive import Told, View
from proxy.server.references import resolved
from proxy.server.scribe import Scribe
from proxy.wire.base import json_type, loads

PREVIOUS = "previous_response_id"
NOT_FOUND = "previous_response_not_found"
_NOT_THE_CLIENTS: frozenset[Kind] = frozenset(
    {"rate_limit", "quota", "overloaded", "timeout", "unavailable", "server", "stream_corrupt"}
)
"""Faults that another account may not have."""
_items = msgspec.json.Decoder(tuple[msgspec.Raw, ...]).decode


@dataclass(slots=True, kw_only=True)
class Turn:
    """`fields`: the request's, ready to be sent. `tie`: to the account that keeps what came before."""

    fields: Members
    parent: Told | None = None
    own: tuple[bytes, ...] = ()
    """The items that the client brought, in full."""
    tie: Tie | None = None

    @property
    def body(self) -> bytes:
        return joined(self.fields)

    @property
    def can_be_untied(self) -> bool:
        return self.tie is not None and not any(told.is_partial for told in self._way())

    def untied(self) -> Turn:
        """For when the account cannot go on: with the whole conversation, as far as it is known here."""
        fields = {key: value for key, value in self.fields.items() if key != PREVIOUS}
        fields["input"] = _listed(self.whole())
        return Turn(fields=fields, parent=self.parent, own=self.own)

    def whole(self) -> list[bytes]:
        """All that was said up to here."""
        return [*(item for told in self._way() for item in told.items), *self.own]

    def _way(self) -> list[Told]:
        """From the first answer on."""
        return [] if self.parent is None else [*self.parent.way()][::-1]

    def told(self, scribe: Scribe, report: Report, *, is_stored: bool, is_live: bool = False) -> Told | None:
        """What to keep of the answer; None: it did not come to its proper end.

        `is_stored`: the client has not refused it. A provider that was asked in its own format then keeps it, too.
        `is_live`: the provider knows it as long as the WebSocket is open on which it told it.
        """
        if not scribe.response or not scribe.id:
            return None
        is_elsewhere = bool(report.is_relay) and is_stored
        is_live = is_live and not is_elsewhere
        return Told(
            id=scribe.id,
            parent=self.parent,
            items=self.own + compaction.expanded(scribe.items()),
            response=scribe.response if is_stored and not is_elsewhere else b"",
            credential=(report.credential or "") if is_elsewhere or is_live else "",
            is_live=is_live,
            model=report.model_asked,
            named=scribe.named(),
        )

    def prepared(self, response_id: str, response: bytes, model: str) -> Told:
        """For an answer without output (``generate: false``)."""
        return Told(id=response_id, parent=self.parent, items=self.own, response=response, model=model)


def turn_of(fields: Members, view: View, *, bytes_max: int, is_live: Callable[[str], bool] = lambda _id: False) -> Turn:
    """`is_live`: whether the provider's WebSocket is open on which an answer was told. Raises `Malformed`, also for an
    answer that nobody here has heard of, and `TooLarge`.
    """
    brought = input_items(fields)
    own = resolved(compaction.expanded(brought), view)
    turn = Turn(fields=fields, own=own.items)
    if own.sent != brought:
        fields["input"] = _listed([*own.sent])
        _check_size(turn, bytes_max)
    if own.credential:
        turn.tie = Tie(own.credential, is_hard=True)
    previous = _value(fields, PREVIOUS)
    if previous is None:
        fields.pop(PREVIOUS, None)
        return turn
    if not isinstance(previous, str):
        raise Malformed(f"{PREVIOUS} must be a string, not {json_type(previous)}", path=PREVIOUS)
    turn.parent = view.answer(previous)
    if turn.parent is None:
        raise not_found(previous)
    _check_size(turn, bytes_max)
    _go_on(turn, turn.parent, own.sent, is_live)
    return turn


def _check_size(turn: Turn, bytes_max: int) -> None:
    if sum(map(len, turn.whole())) > bytes_max:
        raise TooLarge(
            f"the conversation so far is larger than {bytes_max} bytes; server.body-bytes-max sets the limit",
            code="request_too_large",
        )


def _go_on(turn: Turn, parent: Told, sent: tuple[bytes, ...], is_live: Callable[[str], bool]) -> None:
    """From the last answer that a provider keeps, else from the beginning."""
    since = [sent]
    for told in parent.way():
        if told.credential and (not told.is_live or is_live(told.id)):
            turn.tie = Tie(told.credential, is_hard=True, previous=told.id if told.is_live else "")
            if told is not parent:
                turn.fields[PREVIOUS] = raw(told.id)
                turn.fields["input"] = _listed([item for items in reversed(since) for item in items])
            return
        since.append(told.items)
    del turn.fields[PREVIOUS]
    turn.fields["input"] = _listed([item for items in reversed(since) for item in items])


def _listed(items: list[bytes]) -> msgspec.Raw:
    return msgspec.Raw(b"[" + b",".join(items) + b"]")


async def open_turn(dispatcher: Dispatcher, turn: Turn, inquiry: Callable[[Turn], Inquiry]) -> Outcome:
    """Where the account that keeps the conversation has to rest, another goes on with the whole of it.

    Raises `Refused`.
    """
    try:
        return await dispatcher.open(inquiry(turn))
    except Refused as refused:
        failure = refused.failure
        if failure.code == compaction.REFUSED and compaction.is_asked(turn.own):
            return await _summarised(dispatcher, turn, inquiry, refused)
        if not turn.can_be_untied or (failure.kind not in _NOT_THE_CLIENTS and failure.code != NOT_FOUND):
            raise
    return await dispatcher.open(inquiry(turn.untied()))


async def _summarised(
    dispatcher: Dispatcher, turn: Turn, inquiry: Callable[[Turn], Inquiry], refused: Refused
) -> Outcome:
    """Nothing of what was said is gone on from any more. Raises `Refused`, also where a whole answer is wanted."""
    fields = {key: value for key, value in turn.fields.items() if key != PREVIOUS}
    asked = inquiry(Turn(fields=compaction.request(fields, turn.whole())))
    if not asked.is_stream:
        raise refused
    outcome = await dispatcher.open(asked)
    outcome.body = compaction.Summary(outcome.body, asked.framing)
    turn.parent, turn.own = None, ()
    return outcome


def not_found(response_id: str) -> Malformed:
    return Malformed(
        f"there is no response {response_id[:100]!r} to go on from; send the whole conversation as input",
        path=PREVIOUS,
        code=NOT_FOUND,
    )


def input_items(fields: Members) -> tuple[bytes, ...]:
    """Raises `Malformed`."""
    value = bytes(fields.get("input", b"null"))
    match value[:1]:
        case b'"':
            return (b'{"type":"message","role":"user","content":' + value + b"}",)
        case b"[":
            return tuple(bytes(item) for item in _items(value))
        case b"n":
            return ()
        case _:
            raise Malformed(f"input must be a string or an array, not {json_type(loads(value))}", path="input")


def is_stored(fields: Members) -> bool:
    """The API stores answers unless it is told not to. Raises `Malformed`."""
    store = _value(fields, "store")
    if store is None or isinstance(store, bool):
        return store is not False
    raise Malformed(f"store must be a boolean, not {json_type(store)}", path="store")


def _value(fields: Members, key: str) -> JsonValue:
    value = fields.get(key)
    return None if value is None else loads(bytes(value))
