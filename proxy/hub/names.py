"""Tool names and ids within a target's limits, and blobs that only their maker can read.

All deterministic: the same history gives the same upstream bytes, or prompt caches miss.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from proxy.hub.events import Event, PartEnd, PartStart
from proxy.hub.parts import Part, ToolCall
from proxy.hub.response import Response
from proxy.hub.values import dataclass

_TAG = re.compile(r"px1\.([a-z0-9_-]{1,64})\.(.*)\Z", re.DOTALL)


def tag(origin: str, blob: str) -> str:
    """Marks a maker's blob, so that it can travel through a client's wire that has room for another maker's only."""
    return f"px1.{origin}.{blob}"


def untag(blob: str, native: str) -> tuple[str, str]:
    """The maker and the blob; what bears no mark is `native`'s own."""
    match = _TAG.match(blob)
    return (match[1], match[2]) if match else (native, blob)


@dataclass(frozen=True, slots=True)
class NameMap:
    """Tool names that had to change on the way to an upstream. `sent[client's] = upstream's`."""

    sent: Mapping[str, str] = field(default_factory=dict)
    received: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def within(cls, names: Iterable[str], *, legal: re.Pattern[str], length_max: int) -> NameMap:
        """Maps each name that is not `legal` (full match) or is too long to one that is: illegal characters become
        ``_``, then a cut and a hash of the name; never to a name that another tool has.
        """
        wanted = list(dict.fromkeys(names))
        taken = {name for name in wanted if len(name) <= length_max and legal.fullmatch(name)}
        sent: dict[str, str] = {}
        for name in wanted:
            if name in taken:
                continue
            candidate, salt = name, 0
            while candidate in taken or not salt:
                mark = hashlib.sha256(f"{salt}:{name}".encode("utf-8", "surrogatepass")).hexdigest()[:8]
                stem = re.sub(r"[^A-Za-z0-9_]", "_", name)[: length_max - 9] or "tool"
                if not legal.fullmatch(stem[0]):
                    stem = f"_{stem[1:]}" if legal.fullmatch("_") else f"t{stem[1:]}"
                candidate, salt = f"{stem}_{mark}", salt + 1
            taken.add(candidate)
            sent[name] = candidate
        return cls(sent, {theirs: ours for ours, theirs in sent.items()})

    def to_upstream(self, name: str) -> str:
        return self.sent.get(name, name)

    def to_client(self, name: str) -> str:
        return self.received.get(name, name)

    def restore_part(self, part: Part) -> Part:
        if self.received and isinstance(part, ToolCall) and part.name in self.received:
            return replace(part, name=self.received[part.name])
        return part

    def restore_event(self, event: Event) -> Event:
        if self.received and isinstance(event, PartStart | PartEnd):
            return replace(event, part=self.restore_part(event.part))
        return event

    def restore_response(self, response: Response) -> Response:
        if not self.received:
            return response
        return replace(response, parts=tuple(self.restore_part(part) for part in response.parts))


@dataclass(slots=True)
class IdMap:
    """Tool call ids of one request, within a target's charset and length; equal ids stay equal, others differ."""

    legal: re.Pattern[str]
    length_max: int
    prefix: str = "call_"
    _sent: dict[str, str] = field(default_factory=dict)

    def to_upstream(self, call_id: str) -> str:
        known = self._sent.get(call_id)
        if known is not None:
            return known
        if call_id and len(call_id) <= self.length_max and self.legal.fullmatch(call_id):
            mapped = call_id
        else:
            digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()
            mapped = self.prefix + digest[: min(24, self.length_max - len(self.prefix))]
        self._sent[call_id] = mapped
        return mapped


def synthetic_call_id(position: int, name: str, arguments: str) -> str:
    """An id for a call that came without one: unique by position in the answer or history, and always the same."""
    digest = hashlib.sha256(f"{position}\0{name}\0{arguments}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"call_{digest[:24]}"
