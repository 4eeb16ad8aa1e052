"""Live events: what changes, as server-sent events. Looked for once a second, and only while somebody listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import msgspec
from aiohttp import web

from management.accounts import Teller, accounts
from management.refusal import Refusal, invalid
from management.resources.decisions import told as decision_told
from management.resources.logs import LINES_MAX, read_lines
from management.routes import EVENTS, Ask, Parameter, Route
from management.state import State
from proxy.observe.ledger import Unusable
from proxy.observe.usage_queries import Filter, requests

PERIOD_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0
LISTENERS_MAX = 32
USAGE_MAX = 500
"""Of one look; who wants each request asks the ledger."""
TOPICS = ("accounts", "decisions", "logs", "usage")
_SHOWN = ("id", "auth_index", "label", "provider", "status", "status_message", "next_retry_after")

Event = tuple[str, object]


class Follower:
    """What has become new since the last look. The first look tells how all accounts are."""

    def __init__(self, state: State, topics: frozenset[str]) -> None:
        self._state = state
        looks: dict[str, Callable[[], Iterator[Event]]] = {
            "accounts": self._look_at_accounts,
            "decisions": self._look_at_decisions,
            "logs": self._look_at_logs,
            "usage": self._look_at_usage,
        }
        self._looks = [looks[topic] for topic in TOPICS if topic in topics]
        recent = state.dispatcher.recent
        self._decision: object = recent[-1] if recent else None
        self._teller = Teller(state)
        self._accounts: dict[str, dict[str, object]] = {}
        self._request: int | None = None
        self._cursor = ""

    async def look(self) -> list[Event]:
        self._teller = Teller(self._state)
        return await asyncio.to_thread(lambda: [event for look in self._looks for event in look()])

    def _look_at_accounts(self) -> Iterator[Event]:
        found, teller = {}, self._teller
        for account in accounts(self._state):
            told = teller.told(account)
            found[account.id] = {name: told[name] for name in _SHOWN}
        for own_id, told in found.items():
            if self._accounts.get(own_id) != told:
                yield "account", told
        for own_id in self._accounts.keys() - found.keys():
            yield "account", {"id": own_id, "status": "gone"}
        self._accounts = found

    def _look_at_decisions(self) -> Iterator[Event]:
        new = []
        for each in reversed([*self._state.dispatcher.recent]):
            if each is self._decision:
                break
            new.append(each)
        for request_id, decision in reversed(new):
            yield "decision", {"request_id": request_id, **decision_told(self._state, decision)}
        if new:
            self._decision = new[0]

    def _look_at_usage(self) -> Iterator[Event]:
        limit = 1 if self._request is None else USAGE_MAX
        try:
            newest = self._state.ledger.read(lambda connection: [*requests(connection, Filter(), limit=limit)])
        except Unusable as error:
            yield "fault", {"topic": "usage", "error": str(error)}
            return
        ids = [number for each in newest if isinstance(number := each["id"], int)]
        if self._request is not None:
            known = self._request
            yield from (
                ("usage", each) for number, each in reversed([*zip(ids, newest, strict=True)]) if number > known
            )
        self._request = max([self._request or 0, *ids])

    def _look_at_logs(self) -> Iterator[Event]:
        found = read_lines(self._state.logs / "proxy.log", LINES_MAX, 0, self._cursor)
        lines, is_first = found["lines"], not self._cursor
        self._cursor = str(found["next-cursor"])
        if not is_first and isinstance(lines, list):
            yield from (("log", line) for line in lines)


async def follow(ask: Ask) -> web.StreamResponse:
    """Until the client goes, or the server."""
    topics = frozenset((ask.query.get("topics") or ",".join(TOPICS)).split(","))
    if not topics <= set(TOPICS):
        raise invalid(f"topics must be some of {', '.join(TOPICS)}, with commas between")
    if len(ask.state.listeners) >= LISTENERS_MAX:
        raise Refusal(503, f"{LISTENERS_MAX} listen already")
    listener = object()
    ask.state.listeners.add(listener)
    try:
        return await _tell(ask, Follower(ask.state, topics))
    finally:
        ask.state.listeners.discard(listener)


async def _tell(ask: Ask, follower: Follower) -> web.StreamResponse:
    loop = asyncio.get_running_loop()
    response = ask.dressed(
        web.StreamResponse(headers={"Content-Type": EVENTS, "Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    )
    told_at = loop.time()
    await response.prepare(ask.request)
    await response.write(b": here\n\n")
    while True:
        events = await follower.look()
        if events:
            await response.write(b"".join(frame(kind, value) for kind, value in events))
            told_at = loop.time()
        elif loop.time() - told_at > HEARTBEAT_SECONDS:
            await response.write(b": still here\n\n")
            told_at = loop.time()
        await asyncio.sleep(PERIOD_SECONDS)


def frame(kind: str, value: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode(value, enc_hook=str))


ROUTES = (
    Route(
        method="GET",
        path="/events",
        handler=follow,
        sentence="What changes, as it does: `account`, `decision`, `usage`, `log`; first how all accounts are.",
        parameters=(Parameter(name="topics", sentence=f"Some of {', '.join(TOPICS)}, with commas between."),),
        reply={"type": "string"},
        reply_type=EVENTS,
        statuses=(503,),
    ),
)
