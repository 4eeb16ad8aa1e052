"""What a client of this wire can be told, whole or streamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from proxy.hub.custom import unwrapped
from proxy.hub.loss import Loss
from proxy.hub.names import tag
from proxy.hub.parts import Media, Part, Thinking, ToolCall
from proxy.hub.profile import ALL_EFFORTS, Profile
from proxy.hub.request import Tool
from proxy.hub.residue import JsonObject, JsonValue
from proxy.hub.response import FinishReason
from proxy.wire.arguments import may_be_cut
from proxy.wire.base import Reply
from proxy.wire.fields import residue_losses
from proxy.wire.openai_chat.blocks import Blocks
from proxy.wire.openai_chat.reasoning import DETAILS, TEXT_KEYS, details_for_client
from proxy.wire.openai_chat.request import is_legacy_tools
from proxy.wire.openai_chat.saying import GAP, Saying
from proxy.wire.openai_chat.words import NAME, shape_of

_CLIENT = Profile(
    maker=NAME,
    efforts=ALL_EFFORTS,
    media=frozenset({"image", "document", "audio", "video"}),
    has_cache_marks=True,
    replays_reasoning_text=True,
)
"""A client takes whatever this wire can say."""


class Listener(NamedTuple):
    """`is_legacy`: it calls functions in the old form, one at a time. `has_details`: it knows `reasoning_details`, the
    only place of this wire for signatures. `customs`: its tools that take free text.
    """

    is_legacy: bool = False
    has_details: bool = False
    hides_thinking: bool = False
    customs: frozenset[str] = frozenset()

    @classmethod
    def of(cls, reply: Reply) -> Listener:
        request = reply.request
        if request is None:
            return cls()
        return cls(
            is_legacy=is_legacy_tools(request.tools),
            has_details=shape_of(request.residue, "has_details") is True,
            hides_thinking=request.reasoning is not None and request.reasoning.is_visible is False,
            customs=frozenset(tool.name for tool in request.tools if isinstance(tool, Tool) and tool.is_custom),
        )


class Answering(Saying):
    """Writes the message of an answer. `reason`: why it ended; a call that was cut is no call."""

    def __init__(self, listener: Listener, losses: list[Loss], *, is_home: bool, reason: FinishReason | None) -> None:
        super().__init__(Blocks(_CLIENT, is_home=is_home, losses=losses))
        self.listener = listener
        self._reason = reason
        self._last = ""
        self._details = 0

    def message(self, parts: Sequence[Part], paths: Sequence[str], form: JsonValue = None) -> JsonObject:
        self._last = paths[-1] if paths else ""
        return super().message(parts, paths, form)

    def blob(self, origin: str, blob: str) -> str | None:
        return blob if origin == NAME else tag(origin, blob)

    def reasoning_text(self, part: Thinking, path: str) -> bool:
        del part, path
        return True

    def foreign_thinking(self, part: Thinking, path: str) -> None:
        del path
        if part.text and not self.listener.hides_thinking:
            have = self.out.get(TEXT_KEYS[0])
            told = GAP.join(section for section in part.sections if section)
            self.out[TEXT_KEYS[0]] = f"{have}{GAP}{told}" if have else told
        self.add_details(part)

    def add_details(self, part: Thinking | ToolCall) -> None:
        if self.listener.has_details and (details := details_for_client(part, self._details)):
            self._append(DETAILS, list(details))
            self._details += 1

    def call(self, part: ToolCall, path: str) -> None:
        self.blocks.losses.extend(residue_losses(part.residue, NAME, path))
        is_foreign = not self.blocks.is_home
        if is_foreign and self._reason == "length" and may_be_cut(part, is_last=path == self._last):
            self.blocks.lose(path, f"call of {part.name}", "it was cut before its end")
            return
        if is_foreign and self.listener.is_legacy:
            self._legacy_call(part, path)
            return
        if part.name in self.listener.customs and not part.is_custom:
            part = replace(part, is_custom=True, arguments=unwrapped(part.arguments))
        self.add_call(part, call_id=part.id, name=part.name)
        if is_foreign:
            self.add_details(part)

    def _legacy_call(self, part: ToolCall, path: str) -> None:
        if "function_call" in self.out:
            self.blocks.lose(path, f"call of {part.name}", "the client calls one function at a time")
            return
        self.out["function_call"] = {"name": part.name, "arguments": part.arguments}

    def google_blob(self, call: ToolCall) -> str | None:
        """Left to `reasoning_details`, and to whoever keeps signatures for clients without them."""
        del call
        return None

    def foreign_media(self, part: Media, path: str) -> None:
        """Images as OpenRouter has them; sound has a form of its own."""
        if part.kind == "image" and (part.data or part.url):
            block = self.blocks.block(part, path)
            self._append("images", [block] if block is not None else [])
        elif part.kind == "audio" and part.data:
            self.out["audio"] = {"id": "", "data": part.data, "expires_at": 0, "transcript": ""}
        else:
            self.blocks.lose(path, part.kind, "an answer has no place for it in this wire")


def message_of(parts: tuple[Part, ...], writer: Answering, form: str | None) -> JsonObject:
    return writer.message(parts, [f"content[{index}]" for index in range(len(parts))], form)
