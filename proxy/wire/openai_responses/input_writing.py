"""Instructions and messages → ``instructions`` and ``input``, the mirror of `turns`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from proxy.hub.custom import wrapped
from proxy.hub.names import IdMap, NameMap
from proxy.hub.pairing import FILLER, Placed, paired, with_unique_ids
from proxy.hub.parts import Media, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.profile import Profile
from proxy.hub.request import Request, Role
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.base import dumps
from proxy.wire.fields import residue_fields, residue_shape
from proxy.wire.openai_responses.item_writing import call_item, item_marks, message_item, reasoning_item
from proxy.wire.openai_responses.losses import NAME, Losses
from proxy.wire.openai_responses.media import MediaWriter
from proxy.wire.openai_responses.parts import INPUT, render_content
from proxy.wire.openai_responses.spelling import Spelling

_LEGAL_ID = re.compile(r"[A-Za-z0-9_-]+")
_ID_CHARS_MAX = 64
CACHE_MARKS_MAX = 4
_ROLE_NAMES: Mapping[Role, str] = {"user": "user", "assistant": "assistant", "system": "developer", "tool": "user"}


class InputWriter:
    """`inserts`: items that stand at given positions of the list (`additional_tools`)."""

    def __init__(
        self, profile: Profile, names: NameMap, losses: Losses, *, inserts: Mapping[int, JsonObject], is_own: bool
    ) -> None:
        self._profile = profile
        self._names = names
        self._losses = losses
        self._inserts = dict(inserts)
        self._is_own = is_own
        self._media = MediaWriter(profile, losses)
        self._items: list[JsonValue] = []
        self._ids = IdMap(_LEGAL_ID, _ID_CHARS_MAX)
        self._customs: set[str] = set()
        self._open: list[Part] = []
        self._role: Role = "user"
        self._marks_left = CACHE_MARKS_MAX

    def write(self, request: Request, instruction: str | None) -> JsonObject:
        """`instruction`: one more of ours, ahead of the conversation, where it never moves."""
        body = self._instructions(request)
        if instruction is not None:
            self._begin("system")
            self._open.append(Text(text=instruction))
            self._close()
        for placed in self._placed(request):
            self._losses.note_residue(placed.message.residue, placed.path)
            self._begin(placed.message.role)
            for part, path in zip(placed.message.parts, placed.paths, strict=True):
                self._part(part, path)
            self._close()
            self._items.extend(self._media.held_back())
        if not self._is_own and request.messages and request.messages[-1].role == "assistant":
            self._losses.note(f"messages[{len(request.messages) - 1}]", "prefill", "the model begins a turn of its own")
        self._insert_due()
        if not self._is_own and not any(_is_turn(item) for item in self._items):
            self._items.append({"type": "message", "role": "user", "content": FILLER})
        return {**body, **self._input(request)}

    def _placed(self, request: Request) -> list[Placed]:
        """What a client of this wire sent is not repaired: its items may answer what the servers keep."""
        if not self._is_own:
            placed, losses = paired(request.messages)
            self._losses.extend(losses)
            return list(with_unique_ids(placed))
        return [
            Placed(message, f"messages[{at}]", tuple(f"messages[{at}].content[{n}]" for n in range(len(message.parts))))
            for at, message in enumerate(request.messages)
        ]

    def _instructions(self, request: Request) -> JsonObject:
        """One plain text is the field; several, or with cache marks, are what the developer says first."""
        parts = list(request.instructions)
        own = [part for part in parts if item_marks(part) == "instructions"]
        only = parts[0] if len(parts) == 1 and not self._is_own else None
        if isinstance(only, Text) and (only.cache is None or not self._profile.has_cache_marks) and only.text:
            own = [only]
            self._note_mark(only, "instructions[0]")
        field = "\n\n".join(part.text for part in own if isinstance(part, Text))
        self._begin("system")
        for at, part in enumerate(parts):
            self._losses.note_residue(part.residue, f"instructions[{at}]")
            if part not in own:
                self._part(part, f"instructions[{at}]")
        self._close()
        return {"instructions": field} if own else {}

    def _input(self, request: Request) -> JsonObject:
        form = residue_shape(request.residue, NAME, "input")
        if form == "absent" and not self._items:
            return {}
        if form == "string" and len(self._items) <= 1 and len(request.messages) == 1:
            part = request.messages[0].parts[0]
            if isinstance(part, Text) and item_marks(part) == "input":
                return {"input": part.text}
        return {"input": self._items}

    def _append(self, item: JsonValue) -> None:
        self._insert_due()
        self._items.append(item)

    def _insert_due(self) -> None:
        while len(self._items) in self._inserts:
            self._items.append(self._inserts.pop(len(self._items)))

    def _begin(self, role: Role) -> None:
        self._close()
        self._role = role

    def _close(self) -> None:
        """Ends the message item that is being collected."""
        if self._open:
            name = _ROLE_NAMES[self._role]
            if name == "developer" and not self._profile.has_developer_role:
                name = "system"
            self._append(message_item(self._open, {"type": "message", "role": name}))
            self._open = []

    def _part(self, part: Part, path: str) -> None:
        marks = item_marks(part)
        if isinstance(part, Text | Refusal | Media) or (isinstance(part, Opaque) and marks is not None):
            self._content(part, marks, path)
            return
        self._close()
        match part:
            case Thinking():
                self._thinking(part, path)
            case ToolCall():
                self._call(part, path)
            case ToolResult():
                self._result(part, path)
            case Opaque():
                if part.wire == NAME:
                    self._append(part.value)
                else:
                    self._losses.note(path, part.kind, f"only {part.wire} knows it")

    def _content(self, part: Part, marks: JsonValue, path: str) -> None:
        if isinstance(marks, dict):
            self._close()
        if isinstance(marks, dict) or (marks == "same" and self._open):
            self._open.append(self._with_mark(part, path))
            return
        self._losses.note_residue(part.residue, path)
        if isinstance(part, Text):
            self._note_signature(part, path)
        if self._role == "assistant":
            self._said(part, path)
        elif isinstance(part, Media):
            self._open.append(self._with_mark(self._media.written(part, path), path))
        elif isinstance(part, Text) and part.text:
            self._open.append(self._with_mark(part, path))
        elif isinstance(part, Refusal):
            self._losses.note(path, "refusal", "only the model refuses")
        else:
            self._note_mark(part, path)

    def _said(self, part: Part, path: str) -> None:
        """What another wire's model said: text only, an item each."""
        self._note_mark(part, path)
        if isinstance(part, Media):
            self._losses.note(path, part.kind, "an assistant's turn holds text only")
        elif isinstance(part, Text | Refusal) and part.text:
            if isinstance(part, Refusal):
                self._losses.note(path, "refusal", "it is told as text: only an answer's own items can be refusals")
            self._append({"type": "message", "role": "assistant", "content": part.text})

    def _with_mark(self, part: Part, path: str) -> Part:
        """The part with its cache mark, as far as the model takes such."""
        if part.cache is None:
            return part
        if self._profile.has_cache_marks and self._marks_left:
            self._marks_left -= 1
            return part
        self._note_mark(part, path, is_over=self._profile.has_cache_marks)
        return replace(part, cache=None)

    def _note_mark(self, part: Part, path: str, *, is_over: bool = False) -> None:
        if part.cache is not None:
            why = f"at most {CACHE_MARKS_MAX} are taken" if is_over else "it can stand on input content only"
            self._losses.note(
                f"{path}.cache_control",
                "cache mark",
                why if self._profile.has_cache_marks else "the model has no marks",
            )

    def _note_signature(self, part: Text | ToolCall, path: str) -> None:
        if part.signature is not None:
            self._losses.note(f"{path}.signature", "signature", f"only {part.origin} can read it")

    def _thinking(self, thinking: Thinking, path: str) -> None:
        """Only its maker can read it; another's text must not become visible."""
        self._note_mark(thinking, path)
        is_home = item_marks(thinking) is not None and thinking.origin == self._profile.maker
        if is_home or (thinking.signature is not None and thinking.origin == self._profile.maker):
            self._append(reasoning_item(thinking, thinking.signature, {"type": "reasoning"}))
        elif self._profile.replays_reasoning_text and thinking.sections:
            texts: list[JsonValue] = [{"type": "reasoning_text", "text": text} for text in thinking.sections]
            self._append({"type": "reasoning", "summary": [], "content": texts})
        else:
            why = f"only {thinking.origin} can read it" if thinking.signature else "it came without its maker's proof"
            self._losses.note(path, "thinking", why)

    def _call(self, call: ToolCall, path: str) -> None:
        self._losses.note_residue(call.residue, path)
        self._note_mark(call, path)
        self._note_signature(call, path)
        is_custom = call.is_custom and self._profile.has_custom_tools
        if item_marks(call) is not None and is_custom == call.is_custom:
            self._append(call_item(call, Spelling("function_call", call.name), {}))
            return
        if call.is_custom and not is_custom:
            call = replace(call, is_custom=False, arguments=dumps(wrapped(call.arguments)).decode())
        kind = "custom_tool_call" if is_custom else "function_call"
        if is_custom:
            self._customs.add(call.id)
        spelling = Spelling(kind, self._names.to_upstream(call.name))
        self._append(call_item(replace(call, id=self._ids.to_upstream(call.id)), spelling, {}))

    def _result(self, result: ToolResult, path: str) -> None:
        self._losses.note_residue(result.residue, path)
        marks = item_marks(result)
        if isinstance(marks, dict):
            self._append(_own_result(result, marks))
            return
        self._note_mark(result, path)
        parts: list[Part] = []
        for at, part in enumerate(result.parts):
            where = f"{path}.content[{at}]"
            self._losses.note_residue(part.residue, where)
            if isinstance(part, Opaque):
                self._losses.note(where, part.kind, f"only {part.wire} knows it")
            elif isinstance(part, Media):
                parts.append(self._with_mark(self._media.in_result(part, where), where))
            else:
                parts.append(self._with_mark(part, where))
        kind = "custom_tool_call_output" if result.call_id in self._customs else "function_call_output"
        output = _output(parts, is_error=result.is_error)
        if result.is_error:
            self._losses.note(f"{path}.is_error", "error flag", "a result has none here; its text says so")
        self._append({"type": kind, "call_id": self._ids.to_upstream(result.call_id), "output": output})


def _is_turn(item: JsonValue) -> bool:
    return isinstance(item, dict) and item.get("role") not in {"developer", "system"}


def _own_result(result: ToolResult, marks: JsonObject) -> JsonObject:
    form = marks.get("output")
    kept = {key: value for key, value in marks.items() if key != "output"}
    item: JsonObject = {"call_id": result.call_id, **kept, **residue_fields(result.residue, NAME)}
    if item.get("type") == "tool_search_output" or form == "absent":
        return item
    if form == "string":
        return {**item, "output": "".join(part.text for part in result.parts if isinstance(part, Text))}
    return {**item, "output": [render_content(part, INPUT) for part in result.parts]}


def _output(parts: Sequence[Part], *, is_error: bool) -> JsonValue:
    """One text is a string, none is an empty one."""
    mark = "Error: " if is_error else ""
    texts = [part for part in parts if isinstance(part, Text)]
    if mark and texts and texts[0].text[:6].lower().startswith("error"):
        mark = ""
    if not parts or (len(parts) == 1 and texts and texts[0].cache is None):
        return mark + (texts[0].text if texts else "")
    content: list[JsonValue] = [render_content(part, INPUT) for part in parts]
    return [{"type": INPUT, "text": mark.rstrip()}, *content] if mark else content
