"""Items while they are told: a message with its content parts, a reasoning item with its sections, a call.

Each is told as the vendor tells it: added, deltas, done. `say` and `end` speak of the hub's part that is open in it;
`close` tells the whole item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from proxy.hub.custom import Unwrapper
from proxy.hub.parts import Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import JsonObject
from proxy.wire.openai_responses.outlet import Outlet, Template
from proxy.wire.openai_responses.spelling import Spelling


class OpenItem(Protocol):
    """`parts`: the finished parts of the item."""

    id: str
    parts: list[Part]

    def say(self, text: str, section: int) -> None: ...

    def end(self, part: Part) -> None: ...


class OpenMessage:
    """`begin` opens one more content part."""

    def __init__(self, outlet: Outlet, item_id: str, position: int) -> None:
        self.id = item_id
        self.parts: list[Part] = []
        self._outlet = outlet
        self._position = position
        self._template: Template | None = None
        self._has_text = False
        item = {"id": item_id, "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        outlet.send("response.output_item.added", output_index=position, item=item)

    def _where(self) -> JsonObject:
        return {"item_id": self.id, "output_index": self._position, "content_index": len(self.parts)}

    def begin(self, part: Part) -> None:
        where = self._where()
        self._has_text = False
        if isinstance(part, Refusal):
            self._outlet.send("response.content_part.added", **where, part={"type": "refusal", "refusal": ""})
            self._template = self._outlet.template("response.refusal.delta", **where)
        else:
            self._outlet.send("response.content_part.added", **where, part=_text_part(""))
            self._template = self._outlet.template("response.output_text.delta", **where, logprobs=[])

    def say(self, text: str, section: int) -> None:
        del section
        if self._template is not None:
            self._has_text = True
            self._outlet.send_delta(self._template, text)

    def end(self, part: Part) -> None:
        where = self._where()
        if isinstance(part, Text | Refusal) and part.text and not self._has_text:
            self.say(part.text, 0)
        if isinstance(part, Refusal):
            self._outlet.send("response.refusal.done", **where, refusal=part.text)
            done: JsonObject = {"type": "refusal", "refusal": part.text}
        else:
            text = part.text if isinstance(part, Text) else ""
            self._outlet.send("response.output_text.done", **where, text=text, logprobs=[])
            done = _text_part(text)
        self._outlet.send("response.content_part.done", **where, part=done)
        self.parts.append(part)


def _text_part(text: str) -> JsonObject:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


class OpenReasoning:
    """Its sections follow each other; the signature is told with the whole item only."""

    def __init__(self, outlet: Outlet, item_id: str, position: int) -> None:
        self.id = item_id
        self.parts: list[Part] = []
        self._outlet = outlet
        self._position = position
        self._section: int | None = None
        self._count = 0
        self._chunks: list[str] = []
        self._template: Template | None = None
        item = {"id": item_id, "type": "reasoning", "summary": []}
        outlet.send("response.output_item.added", output_index=position, item=item)

    def _where(self) -> JsonObject:
        return {"item_id": self.id, "output_index": self._position, "summary_index": self._count}

    def say(self, text: str, section: int) -> None:
        if self._template is None or (self._section is not None and section > self._section):
            self._close_section()
            self._section = section
            where = self._where()
            part = {"type": "summary_text", "text": ""}
            self._outlet.send("response.reasoning_summary_part.added", **where, part=part)
            self._template = self._outlet.template("response.reasoning_summary_text.delta", **where)
        self._chunks.append(text)
        self._outlet.send_delta(self._template, text)

    def _close_section(self) -> None:
        if self._template is None:
            return
        text, where = "".join(self._chunks), self._where()
        self._outlet.send("response.reasoning_summary_text.done", **where, text=text)
        self._outlet.send("response.reasoning_summary_part.done", **where, part={"type": "summary_text", "text": text})
        self._chunks, self._template = [], None
        self._count += 1

    def end(self, part: Part) -> None:
        if isinstance(part, Thinking):
            said = -1 if self._section is None else self._section
            for section, text in enumerate(part.sections):
                if section > said and text:
                    self.say(text, section)
        self._close_section()
        self.parts.append(part)


_DELTAS: Mapping[str, tuple[str, str]] = {
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
}
"""By type of item: the events that tell what is in the call, and the field that holds it."""


class OpenCall:
    """`item`: the call as far as it is known, with nothing in it yet."""

    def __init__(self, outlet: Outlet, item: JsonObject, position: int, *, call: ToolCall, spelling: Spelling) -> None:
        self.id = str(item["id"])
        self.parts: list[Part] = []
        self._outlet = outlet
        self._where: JsonObject = {"item_id": self.id, "output_index": position}
        self._event, self._field = _DELTAS.get(spelling.kind, ("", "arguments"))
        is_wrapped = spelling.kind == "custom_tool_call" and not call.is_custom
        self._unwrapper = Unwrapper() if is_wrapped else None
        self._template = outlet.template(f"{self._event}.delta", **self._where) if self._event else None
        self._has_text = False
        outlet.send("response.output_item.added", output_index=position, item=item)

    def say(self, text: str, section: int) -> None:
        """What a search looks for is told whole."""
        del section
        if self._template is None:
            return
        text = self._unwrapper.feed(text) if self._unwrapper is not None else text
        if text:
            self._has_text = True
            self._outlet.send_delta(self._template, text)

    def end(self, part: Part) -> None:
        self.parts.append(part)

    def tell(self, item: JsonObject) -> None:
        """What is in the finished call, before the call itself."""
        whole = item.get(self._field)
        if self._template is None or not isinstance(whole, str):
            return
        if whole and not self._has_text:
            self._outlet.send_delta(self._template, whole)
        self._outlet.send(f"{self._event}.done", **self._where, **{self._field: whole})
