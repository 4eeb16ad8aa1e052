"""One call carried out as a turn of an ACP CLI's, and its answer as the caller reads it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence

from auth.cli.dialogue import Refusal
from auth.cli.process import Ended
from proxy.errors import Broken, Silent, UpstreamError
from proxy.hub.residue import JsonObject
from proxy.upstream.acp_conversation import Conversation
from proxy.upstream.acp_exchange import Exchange
from proxy.upstream.acp_process import AcpProcess
from proxy.upstream.acp_profile import AcpProfile
from proxy.upstream.acp_script import Results, Step, Turn
from proxy.upstream.base import Answer, Call
from proxy.upstream.cli_answers import StreamedAnswer, WholeAnswer
from proxy.upstream.cli_choice import Kept
from proxy.upstream.cli_pool import Claim
from proxy.upstream.own_answer import Told

ASKED_SECONDS_MAX = 120.0
"""Until the CLI has been told all and asks its provider: far more than it needs."""


class AcpTurn:
    """`run`, once. `claim`: the seat in its process; the turn leaves it, however it ends. `remember`: is called with
    what the model said, when the answer is whole.
    """

    def __init__(
        self,
        profile: AcpProfile,
        claim: Claim[AcpProcess],
        call: Call,
        turn: Turn,
        remember: Callable[[Sequence[JsonObject]], None] = lambda _parts: None,
    ) -> None:
        self._remember = remember
        self._profile = profile
        self._claim = claim
        self._worker = claim.worker
        self._turn = turn
        self._exchange = Exchange(call, profile.listener(turn))
        self._conversation: Conversation | None = None

    async def run(self) -> Answer:
        """Raises `Broken` or `Silent`, or what the way to the provider raises."""
        name = self._profile.cli.name
        try:
            async with asyncio.timeout(ASKED_SECONDS_MAX):
                await self._told()
            answer = await self._exchange.answered
        except (Refusal, ValueError) as error:
            self._end()
            return Told(400, self._profile.refusal(400, f"{self._profile.cli.whose} does not take this: {error}"))
        except Ended as error:
            self._end()
            raise Broken(f"the {name} CLI has ended: {error}") from error
        except TimeoutError as error:
            self._end()
            raise Silent(f"the {name} CLI has not asked its provider in time") from error
        except (asyncio.CancelledError, UpstreamError):
            self._end()
            raise
        if not 200 <= answer.status < 300:
            self._exchange.end()
            self._drop()
            return answer
        streamed = StreamedAnswer(answer, self._exchange, self.settle)
        return streamed if self._turn.is_stream else WholeAnswer(streamed, self._whole)

    async def _told(self) -> None:
        conversation, steps = await self._place()
        for step, following in itertools.pairwise(steps):
            await self._worker.tell(conversation, step, step.then)
            if not await conversation.ready(for_results=isinstance(following.told, Results)):
                raise Broken(f"the {self._profile.cli.name} CLI does not go along with what was said before")
        await self._worker.tell(conversation, steps[-1], self._exchange)

    async def _place(self) -> tuple[Conversation, Sequence[Step]]:
        """Where it is said, and what is new there."""
        kept = self._claim.kept
        if kept is not None and isinstance(kept.note, Conversation):
            conversation = self._conversation = kept.note
            steps = self._turn.steps(len(kept.said), conversation.pending)
            if await conversation.ready(for_results=bool(conversation.pending)):
                return conversation, steps
            self._worker.let_go(conversation)
        steps = self._turn.steps(0, ())
        conversation = self._conversation = await self._worker.begin(self._turn)
        return conversation, steps

    def _whole(self, size: int) -> JsonObject:
        listener = self._exchange.listener
        whole = listener.whole()
        if whole is not None:
            return whole
        if listener.error is None:
            raise Broken(f"the provider's answer was cut off before its end, after {size} bytes")
        return {"error": listener.error}

    def _end(self) -> None:
        """Nothing came of it."""
        self._exchange.abort()
        self._drop()

    def _drop(self) -> None:
        if self._conversation is not None:
            self._worker.let_go(self._conversation)
        self._conversation = None
        self._claim.leave()

    def settle(self) -> None:
        """The answer is over. May be called again."""
        conversation, heard = self._conversation, self._exchange.listener
        if conversation is None:
            return
        if heard.is_remembered:
            self._remember(heard.parts)
        if conversation.is_broken or not heard.is_remembered:
            self._drop()
            return
        self._conversation = None
        conversation.pending = heard.calls
        self._claim.keep(said=(*self._turn.said, self._profile.digest(heard.parts)), note=conversation)


def can_follow(turn: Turn, kept: Kept) -> bool:
    """Whether it can be said where this conversation was left."""
    conversation = kept.note
    if not isinstance(conversation, Conversation) or conversation.is_broken:
        return False
    try:
        return bool(turn.steps(len(kept.said), conversation.pending))
    except ValueError:
        return False
