"""Signed and encrypted thinking that a client's wire has no room for, kept until the client comes back with it.

Kept by client and tool call id; answers without a call by client and the hash of what they said to what (many an answer
is "Done.", and each was thought about differently). Bounded in number, bytes
and time; what has been forgotten costs the model its earlier thoughts, never the answer. Only what was signed is kept:
plain text of thoughts is of no use to its maker. The clock is passed in.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from proxy.hub.parts import Part, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import Message, Request

ENTRIES_MAX = 20_000
BYTES_MAX = 64 * 1024 * 1024
SECONDS_MAX = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Memory:
    """`thoughts` stood before the call or text; `signature` is its own. All of one `maker`."""

    thoughts: tuple[Thinking, ...]
    signature: str | None
    maker: str | None
    expires_at: float

    @property
    def size(self) -> int:
        return (
            len(self.signature or "") + sum(len(each.text) + len(each.signature or "") for each in self.thoughts) + 256
        )


class Recall:
    """One for all clients; keys hold the client, so that nobody finds another's thoughts."""

    def __init__(
        self, *, entries_max: int = ENTRIES_MAX, bytes_max: int = BYTES_MAX, seconds_max: float = SECONDS_MAX
    ) -> None:
        self._memories: OrderedDict[bytes, Memory] = OrderedDict()
        self._size = 0
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._seconds_max = seconds_max

    def __len__(self) -> int:
        return len(self._memories)

    def remember(self, client: str, parts: Sequence[Part], now: float, *, after: Message | None = None) -> None:
        """`parts` of an answer, as the client got them. `after`: the message that it answers."""
        thoughts: list[Thinking] = []
        has_call = False
        for part in parts:
            match part:
                case Thinking() if part.signature is not None:
                    thoughts.append(part)
                case ToolCall():
                    has_call = True
                    self._keep(_key(client, "call", part.id), thoughts, part.signature, part.origin, now)
                    thoughts = []
                case _:
                    pass
        texts = [part for part in parts if isinstance(part, Text)]
        if texts and not has_call:
            signed = next((part for part in reversed(texts) if part.signature is not None), None)
            signature, origin = (signed.signature, signed.origin) if signed else (None, None)
            self._keep(_text_key(client, texts, after), thoughts, signature, origin, now)

    def _keep(
        self, key: bytes, thoughts: list[Thinking], signature: str | None, origin: str | None, now: float
    ) -> None:
        if not thoughts and signature is None:
            return
        maker = origin if signature is not None else thoughts[0].origin
        self.put(key, Memory(tuple(thoughts), signature, maker, now + self._seconds_max))

    def put(self, key: bytes, memory: Memory) -> None:
        self._forget(key)
        self._memories[key] = memory
        self._size += memory.size
        while self._memories and (len(self._memories) > self._entries_max or self._size > self._bytes_max):
            self._forget(next(iter(self._memories)))

    def _forget(self, key: bytes) -> None:
        memory = self._memories.pop(key, None)
        if memory is not None:
            self._size -= memory.size

    def restore(self, client: str, request: Request, *, maker: str, now: float) -> Request:
        """With what `maker` has signed put back in its place, where the client did not bring it itself."""
        if not self._memories:
            return request
        before = (None, *request.messages)
        messages = tuple(
            self._restored(client, each, after, maker, now)
            for after, each in zip(before, request.messages, strict=False)
        )
        return request if messages == request.messages else replace(request, messages=messages)

    def _restored(self, client: str, message: Message, after: Message | None, maker: str, now: float) -> Message:
        if message.role != "assistant":
            return message
        if not any(isinstance(part, ToolCall) for part in message.parts):
            return self._restored_text(client, message, after, maker, now)
        parts: list[Part] = []
        segment: list[Part] = []  # since the last call
        for part in message.parts:
            segment.append(part)
            if isinstance(part, ToolCall):
                memory = self._find(_key(client, "call", part.id), maker, now)
                parts += segment if memory is None else _with_thoughts(segment[:-1], memory.thoughts)
                if memory is not None:
                    parts.append(_signed(part, memory))
                segment = []
        return replace(message, parts=(*parts, *segment))

    def _restored_text(self, client: str, message: Message, after: Message | None, maker: str, now: float) -> Message:
        texts = [part for part in message.parts if isinstance(part, Text)]
        memory = self._find(_text_key(client, texts, after), maker, now) if texts else None
        if memory is None:
            return message
        parts = [_signed(part, memory) if part is texts[-1] else part for part in message.parts]
        return replace(message, parts=tuple(_with_thoughts(parts, memory.thoughts)))

    def _find(self, key: bytes, maker: str, now: float) -> Memory | None:
        memory = self._memories.get(key)
        if memory is None or memory.maker != maker:
            return None
        if now >= memory.expires_at:
            self._forget(key)
            return None
        return memory


def _with_thoughts(parts: list[Part], thoughts: tuple[Thinking, ...]) -> list[Part]:
    """The thoughts first, in place of unsigned ones; as it was where signed ones stand already."""
    if not thoughts or any(isinstance(part, Thinking) and part.signature is not None for part in parts):
        return parts
    return [*thoughts, *(part for part in parts if not isinstance(part, Thinking))]


_Signable = TypeVar("_Signable", Text, ToolCall)


def _signed(part: _Signable, memory: Memory) -> _Signable:
    if memory.signature is None or part.signature is not None:
        return part
    return replace(part, signature=memory.signature, origin=memory.maker)


def _text_key(client: str, texts: Iterable[Text], after: Message | None) -> bytes:
    asked = () if after is None else after.parts
    words = [part.call_id if isinstance(part, ToolResult) else getattr(part, "text", "") for part in asked]
    return _key(client, "text", "\0".join((*words, "".join(part.text for part in texts))))


def _key(client: str, kind: str, what: str) -> bytes:
    return hashlib.sha256(f"{client}\0{kind}\0{what}".encode("utf-8", "surrogatepass")).digest()
