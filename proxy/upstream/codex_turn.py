"""One call carried out as a turn of Codex's, and its answer as the caller reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from auth.cli.dialogue import Refusal
from auth.cli.process import Ended
from proxy.errors import Broken, Silent, UpstreamError
from proxy.hub.residue import JsonObject
from proxy.upstream.base import Answer, Call
from proxy.upstream.cli_answers import StreamedAnswer, WholeAnswer
from proxy.upstream.cli_choice import Kept
from proxy.upstream.cli_pool import Claim
from proxy.upstream.codex_process import CodexProcess, Thread
from proxy.upstream.codex_relay import Exchange
from proxy.upstream.codex_request import Turn, calls_of, can_be_parked, results, said_in
from proxy.upstream.own_answer import Told

ASKED_SECONDS_MAX = 60.0
"""Until Codex has asked its backend: far more than it needs."""


class CodexTurn:
    """`run`, once. `claim`: the seat in its process; the turn leaves it, however it ends. `remember`: is called with
    all that has been said, when the answer is whole.
    """

    def __init__(
        self,
        claim: Claim[CodexProcess],
        call: Call,
        turn: Turn,
        remember: Callable[[Sequence[JsonObject]], None] = lambda _items: None,
    ) -> None:
        self._remember = remember
        self._claim = claim
        self._worker = claim.worker
        self._call = call
        self._turn = turn
        self._thread: Thread | None = None
        self._exchange: Exchange | None = None

    async def run(self) -> Answer:
        """Raises `Broken` or `Silent`, or what the way to the backend raises."""
        try:
            exchange = await self._begun()
            if exchange.is_unasked and self._claim.kept is not None:
                exchange = await self._begun(anew=True)
            answer = await exchange.answered
        except Refusal as error:
            self._end()
            return refusal(400, f"Codex does not take this request: {error}")
        except Ended as error:
            self._end()
            raise Broken(f"the codex CLI has ended: {error}") from error
        except TimeoutError as error:
            self._end()
            raise Silent("the codex CLI has not asked its backend in time") from error
        except (asyncio.CancelledError, UpstreamError):
            self._end()
            raise
        if not 200 <= answer.status < 300:
            self._exchange = None  # its answer is the caller's to read
            self._end()
            return answer
        streamed = StreamedAnswer(answer, exchange, lambda: self.settle(exchange))
        return streamed if self._turn.is_stream else WholeAnswer(streamed, lambda _size: _whole(exchange))

    async def _begun(self, *, anew: bool = False) -> Exchange:
        """When Codex has asked its backend, or has told that it does not. `anew`: not where it was left."""
        thread, items, replies = await self._place(anew=anew)
        exchange = self._exchange = self._worker.line.expect(thread.id, self._call)
        thread.schema = self._turn.turn.get("outputSchema")
        if replies is None:
            await self._worker.ask(thread, items, self._turn)
        else:
            await self._worker.answer(thread, replies)
        async with asyncio.timeout(ASKED_SECONDS_MAX):
            await exchange.asked.wait()
        return exchange

    async def _place(self, *, anew: bool) -> tuple[Thread, Sequence[JsonObject], Mapping[str, JsonObject] | None]:
        """Where it is said, what is new there, and the results that a turn waits for there."""
        if self._thread is not None:
            self._worker.let_go(self._thread)
        kept = None if anew else self._claim.kept
        if kept is not None and isinstance(kept.note, Thread):
            thread = self._thread = kept.note
            new = self._turn.new_items(len(kept.said))
            replies = results(new, thread.pending) if thread.pending else None
            if await thread.ready():
                return thread, new, replies
            self._worker.let_go(thread)
        thread = self._thread = await self._worker.begin(self._turn)
        return thread, self._turn.items, None

    def _end(self) -> None:
        """Nothing came of it."""
        if self._exchange is not None:
            self._exchange.abort()
        if self._thread is not None:
            self._worker.line.expected.pop(self._thread.id, None)
            self._worker.let_go(self._thread)
        self._claim.leave()

    def settle(self, exchange: Exchange) -> None:
        """The answer is over. May be called again."""
        thread, heard = self._thread, exchange.listener
        if thread is None:
            return
        self._thread = None
        if heard.is_completed:
            self._remember((*self._turn.items, *heard.items))
        if heard.is_completed and not thread.is_broken and can_be_parked(heard.items, thread.tools):
            thread.pending = frozenset(calls_of(heard.items))
            self._claim.keep(said=(*self._turn.said, *said_in(heard.items)), note=thread)
        else:
            self._worker.let_go(thread)
            self._claim.leave()


def can_follow(turn: Turn, kept: Kept) -> bool:
    """Whether it can be said where this conversation was left: to calls that wait, just their results."""
    thread = kept.note
    if not isinstance(thread, Thread) or thread.is_broken:
        return False
    if not thread.pending:
        return True
    is_held_alike = thread.schema == turn.turn.get("outputSchema")
    return is_held_alike and results(turn.new_items(len(kept.said)), thread.pending) is not None


def _whole(exchange: Exchange) -> JsonObject:
    whole = exchange.listener.whole()
    if whole is None:
        raise Broken("the backend's answer was cut off before its end")
    return whole


def refusal(status: int, message: str) -> Told:
    """In the backend's dialect."""
    kind = "invalid_request_error" if status == 400 else "server_error"
    error = {"message": message, "type": kind, "code": None, "param": None}
    return Told(status, msgspec.json.encode({"error": error}))
