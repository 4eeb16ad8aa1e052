"""The conversation on its way to an upstream: the mirror of `messages`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from proxy.hub.custom import wrapped
from proxy.hub.loss import Loss
from proxy.hub.names import IdMap, NameMap
from proxy.hub.pairing import FILLER, Placed, paired
from proxy.hub.parts import Media, Opaque, Part, Text, Thinking, ToolCall, ToolResult
from proxy.hub.profile import Profile
from proxy.hub.request import Request, Role
from proxy.hub.residue import JsonObject, JsonValue, Residue
from proxy.wire.base import dumps
from proxy.wire.fields import residue_losses
from proxy.wire.openai_chat.blocks import Blocks
from proxy.wire.openai_chat.reasoning import DETAILS, TEXT_KEYS, unsealed
from proxy.wire.openai_chat.saying import GAP, Saying
from proxy.wire.openai_chat.words import CALL_ID_CHARS_MAX, NAME, own_fields, own_shape, shape_of

SKIP_SIGNATURE = "skip_thought_signature_validator"
"""Gemini's documented word for a call that Gemini did not make."""
_CALL_ID = re.compile(r"[\x21-\x7e]+")
_CALL_ID_PLAIN = re.compile(r"[A-Za-z0-9]+")


class CallIds:
    """Call ids as the upstream takes them."""

    def __init__(self, profile: Profile) -> None:
        self._chars = profile.call_id_chars
        is_short = self._chars is not None
        self._ids = IdMap(
            legal=_CALL_ID_PLAIN if is_short else _CALL_ID,
            length_max=self._chars or CALL_ID_CHARS_MAX,
            prefix="" if is_short else "call_",
        )

    def to_upstream(self, call_id: str) -> str:
        if self._chars is not None and len(call_id) < self._chars:
            call_id = f"{call_id}."  # no legal id, so that it is mapped to one of full length
        return self._ids.to_upstream(call_id)


class History(Saying):
    """Writes `messages`."""

    def __init__(self, blocks: Blocks, names: NameMap) -> None:
        super().__init__(blocks)
        self.profile = blocks.profile
        self.is_home = blocks.is_home
        self._names = names
        self._ids = CallIds(self.profile)
        self._turn_ids: list[str] = []  # of the calls that the next results answer, in their order
        self.messages: list[JsonValue] = []

    @classmethod
    def of(cls, request: Request, profile: Profile, *, is_home: bool, names: NameMap) -> tuple[History, list[Loss]]:
        """The whole conversation, written; and what was lost."""
        placed, losses = paired(request.messages)
        history = cls(Blocks(profile, is_home=is_home, losses=losses), names)
        history.write_instructions(request.instructions)
        for each in placed:
            losses.extend(residue_losses(each.message.residue, NAME, each.path))
            cls._writers[each.message.role](history, each)
        history.fill()
        last = request.messages[-1] if request.messages else None
        is_prefill = last is not None and last.role == "assistant" and not any(_asks(part) for part in last.parts)
        if is_prefill and not profile.has_prefill:
            losses.append(Loss(f"messages[{len(request.messages) - 1}]", "prefill", "the model begins anew"))
        return history, losses

    def fill(self) -> None:
        """Upstreams refuse a conversation without a turn."""
        turns = (message for message in self.messages if isinstance(message, dict))
        if not self.is_home and all(turn["role"] in {"system", "developer"} for turn in turns):
            self._add("user", {}, FILLER)

    def write_instructions(self, parts: Sequence[Part]) -> None:
        """One system message for each that the client wrote; one for all that come from another wire."""
        groups: list[tuple[list[Part], list[str]]] = []
        for index, part in enumerate(parts):
            if not groups or shape_of(part.residue, "role") is not None:
                groups.append(([], []))
            groups[-1][0].append(part)
            groups[-1][1].append(f"instructions[{index}]")
        for held, paths in groups:
            shape = own_shape(held[0].residue)
            if shape.get("is_empty"):
                content = self.blocks.content((), (), shape.get("content"))
            else:
                content = self.blocks.content([_bare(held[0]), *held[1:]], paths, shape.get("content"))
            if not content and not self.is_home:
                continue
            left = own_fields(held[0].residue).get("message")
            self._add(self._system_role(shape.get("role")), left if isinstance(left, dict) else {}, content)

    def _system_role(self, written: JsonValue) -> str:
        return "developer" if written == "developer" and self.profile.has_developer_role else "system"

    def _add(self, role: str, left: JsonObject, content: JsonValue, **more: JsonValue) -> None:
        self.messages.append({**left, "role": role, **({} if content is None else {"content": content}), **more})

    def _content(self, placed: Placed) -> JsonValue:
        message = placed.message
        return self.blocks.content(message.parts, placed.paths, shape_of(message.residue, "content"))

    def _system(self, placed: Placed) -> None:
        content = self._content(placed)
        if content or self.is_home:
            role = self._system_role(shape_of(placed.message.residue, "role"))
            self._add(role, own_fields(placed.message.residue), content)

    def _user(self, placed: Placed) -> None:
        content = self._content(placed)
        if content or self.is_home:
            self._add("user", own_fields(placed.message.residue), content)

    def _assistant(self, placed: Placed) -> None:
        self._turn_ids = []
        message = placed.message
        said = self.message(message.parts, placed.paths, shape_of(message.residue, "content"))
        left = own_fields(message.residue)
        if not self.is_home:
            if not said.keys() - {*TEXT_KEYS, DETAILS}:
                if said:
                    self.blocks.lose(placed.path, "thinking", "thoughts alone are no turn")
                return
            left = {"content": None}
        self.messages.append({"role": "assistant", **left, **said})

    def _tool(self, placed: Placed) -> None:
        aside: list[JsonValue] = []
        for number, (part, path) in enumerate(zip(placed.message.parts, placed.paths, strict=True)):
            if isinstance(part, ToolResult):
                self._result(part, path, self._turn_ids[number], aside)
        if aside:
            self._add("user", {}, aside)

    def _result(self, result: ToolResult, path: str, call_id: str, aside: list[JsonValue]) -> None:
        """`aside` collects the files that a tool message has no room for; a user message brings them afterwards."""
        self.blocks.losses.extend(residue_losses(result.residue, NAME, path))
        shape = own_shape(result.residue)
        parts: list[Part] = list(result.parts)
        if not self.profile.has_media_in_results:
            parts = self._without_media(result, path, call_id, aside)
        if result.is_error:
            self.blocks.lose(f"{path}.is_error", "error flag", "this wire has none: the text says it")
            parts = _as_error(parts)
        if result.cache is not None:
            parts = _marked(parts, result)
        paths = [f"{path}.content[{index}]" for index in range(len(parts))]
        content = self.blocks.content(parts, paths, shape.get("content"))
        more: JsonObject = {"name": result.name} if shape.get("is_named") else {}
        if shape.get("role") == "function":
            self._add("function", own_fields(result.residue), content, **more)
            return
        if shape.get("id", call_id) is not None:
            more["tool_call_id"] = shape.get("id", call_id)
        if content in (None, []) and not self.is_home:
            content = ""
        self._add("tool", own_fields(result.residue), content, **more)

    def _without_media(self, result: ToolResult, path: str, call_id: str, aside: list[JsonValue]) -> list[Part]:
        """Each file is announced where it stood, and labelled where it comes, so that it stays with its own result."""
        parts: list[Part] = []
        for index, part in enumerate(result.parts):
            at = f"{path}.content[{index}]"
            block = self.blocks.block(part, at) if isinstance(part, Media) else None
            if not isinstance(part, Media):
                parts.append(part)
            elif block is not None and isinstance(text := block.get("text"), str):
                parts.append(Text(text=text))
            elif block is not None:
                self.blocks.lose(at, part.kind, "tool results are text: it follows as the user's")
                label = f"{part.kind} {index + 1} of the result of {call_id}"
                parts.append(Text(text=f"[{label}: see the next user message]"))
                aside.extend(({"type": "text", "text": f"[{label}]"}, block))
        return parts

    def _new_id(self, call_id: str) -> str:
        """Legal, and unique in its turn: some clients use one id for all calls of a tool."""
        if not self.is_home:
            call_id = self._ids.to_upstream(call_id)
            while call_id in self._turn_ids:
                call_id = self._ids.to_upstream(f"{call_id}.{len(self._turn_ids)} ")
        self._turn_ids.append(call_id)
        return call_id

    def blob(self, origin: str, blob: str) -> str | None:
        return blob if origin == self.profile.maker else None

    def reasoning_text(self, part: Thinking, path: str) -> bool:
        if not self.profile.replays_reasoning_text and not (DETAILS in self.out and part.text):
            self.blocks.lose(path, "thinking", "the upstream takes no thoughts back")
        return self.profile.replays_reasoning_text

    def foreign_thinking(self, part: Thinking, path: str) -> None:
        is_own = part.signature is not None and part.origin == self.profile.maker
        if is_own:
            self._append(DETAILS, unsealed(part))
        elif part.signature is not None:
            self.blocks.lose(f"{path}.signature", "signature", f"only {part.origin or 'its maker'} can read it")
        if part.text and self.profile.replays_reasoning_text:
            have = self.out.get(TEXT_KEYS[0])
            self.out[TEXT_KEYS[0]] = f"{have}{GAP}{part.text}" if have else part.text
        elif part.text and not is_own:
            self.blocks.lose(path, "thinking", "the upstream takes no thoughts back")

    def call(self, part: ToolCall, path: str) -> None:
        self.blocks.losses.extend(residue_losses(part.residue, NAME, path))
        if part.cache is not None:
            self.blocks.lose(f"{path}.cache_control", "cache mark", "a call has no place for one")
        if part.signature is not None and self.blob(part.origin or NAME, part.signature) is None:
            self.blocks.lose(f"{path}.signature", "signature", f"only {part.origin or 'its maker'} can read it")
            part = replace(part, signature=None)
        if part.signature is None and not self._turn_ids and self.profile.needs_call_signature:
            part = replace(part, signature=SKIP_SIGNATURE, origin=self.profile.maker)
        if part.is_custom and not self.profile.has_custom_tools:
            part = replace(part, is_custom=False, arguments=dumps(wrapped(part.arguments)).decode(), residue=None)
        self.add_call(part, call_id=self._new_id(part.id), name=self._names.to_upstream(part.name))

    def google_blob(self, call: ToolCall) -> str | None:
        return self.blob(call.origin or NAME, call.signature or "")

    def foreign_media(self, part: Media, path: str) -> None:
        self.blocks.lose(path, part.kind, "an assistant's turn holds no files in this wire")

    _writers: ClassVar[Mapping[Role, Callable[[History, Placed], None]]] = {
        "system": _system,
        "user": _user,
        "assistant": _assistant,
        "tool": _tool,
    }


def _asks(part: Part) -> bool:
    return isinstance(part, ToolCall)


def _bare(part: Part) -> Part:
    """Without the message's leftovers, which the first part of an instruction carries."""
    if not isinstance(part, Text | Opaque) or part.residue is None or part.residue.wire != NAME:
        return part
    left = {key: value for key, value in part.residue.fields.items() if key != "message"}
    return replace(part, residue=Residue(wire=NAME, fields=left, shape=part.residue.shape))


def _marked(parts: list[Part], result: ToolResult) -> list[Part]:
    """The result's cache mark, on its last text."""
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if isinstance(part, Text):
            return [*parts[:index], replace(part, cache=result.cache), *parts[index + 1 :]]
    return parts


def _as_error(parts: list[Part]) -> list[Part]:
    first = parts[0] if parts else None
    if isinstance(first, Text):
        return [replace(first, text=f"Error: {first.text}"), *parts[1:]]
    return [Text(text="Error"), *parts]
