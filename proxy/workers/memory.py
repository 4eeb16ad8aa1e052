"""What binds conversations to accounts, and what was thought in them, told to the other processes: a conversation that
goes on over another connection may come to any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from proxy.dispatch.affinity import Affinity, Place
from proxy.dispatch.recall import Memory, Recall
from proxy.hub.parts import Thinking
from proxy.hub.residue import Residue
from proxy.workers.messages import Kept, Placed, Thought

AGAIN_SECONDS = 60.0
"""A place that is only kept for longer is told once in so long."""


class SharedAffinity(Affinity):
    def __init__(self, tell: Callable[[Placed], None]) -> None:
        super().__init__()
        self._tell = tell

    def put(self, key: bytes, place: Place) -> None:
        old = self._places.get(key)
        super().put(key, place)
        is_known = old is not None and (old.credential, old.model) == (place.credential, place.model)
        if old is None or not is_known or place.expires_at // AGAIN_SECONDS != old.expires_at // AGAIN_SECONDS:
            self._tell(_placed(key, place))

    def hear(self, news: Placed) -> None:
        super().put(news.key, Place(news.credential, news.model, news.expires_at))

    def everything(self) -> Iterator[Placed]:
        for key, place in [*self._places.items()]:
            yield _placed(key, place)


def _placed(key: bytes, place: Place) -> Placed:
    return Placed(key=key, credential=place.credential, model=place.model, expires_at=place.expires_at)


class SharedRecall(Recall):
    def __init__(self, tell: Callable[[Kept], None]) -> None:
        super().__init__()
        self._tell = tell

    def put(self, key: bytes, memory: Memory) -> None:
        super().put(key, memory)
        self._tell(_kept(key, memory))

    def hear(self, news: Kept) -> None:
        thoughts = tuple(map(_thinking, news.thoughts))
        super().put(news.key, Memory(thoughts, news.signature, news.maker, news.expires_at))

    def everything(self) -> Iterator[Kept]:
        for key, memory in [*self._memories.items()]:
            yield _kept(key, memory)


def _kept(key: bytes, memory: Memory) -> Kept:
    return Kept(
        key=key,
        thoughts=[*map(_thought, memory.thoughts)],
        signature=memory.signature,
        maker=memory.maker,
        expires_at=memory.expires_at,
    )


def _thought(part: Thinking) -> Thought:
    """But for the mark of a cache, which is the client's own to set."""
    residue = part.residue or Residue(wire="")
    return Thought(
        sections=part.sections,
        signature=part.signature,
        is_redacted=part.is_redacted,
        origin=part.origin,
        wire=residue.wire,
        fields=residue.fields,
        shape=residue.shape,
    )


def _thinking(thought: Thought) -> Thinking:
    residue = Residue(wire=thought.wire, fields=thought.fields, shape=thought.shape) if thought.wire else None
    return Thinking(
        sections=thought.sections,
        signature=thought.signature,
        is_redacted=thought.is_redacted,
        origin=thought.origin,
        residue=residue,
    )
