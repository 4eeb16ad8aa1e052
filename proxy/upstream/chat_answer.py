"""The stream in which OpenAI Chat is answered: read on its way to the caller, and made anew for a CLI where the answer
is known. Shape: ``data: {"choices": [{"delta": …, "finish_reason": …}], "usage": …}``, and ``data: [DONE]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

import msgspec

from proxy.hub.residue import JsonObject, JsonValue, object_in, objects_in
from proxy.upstream.acp_script import Called

_END = re.compile(rb"\r?\n\r?\n")
_DATA = re.compile(rb"^data: ?(.*?)\r?$", re.MULTILINE)
_DONE = b"[DONE]"
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
_FINISHED = frozenset({"stop", "tool_calls"})
_decode = msgspec.json.Decoder(dict[str, object]).decode


class ChatListener:
    """`message`: what the model said, as it came. `finish`: why it stopped; empty: it has not. `has_failed`: the stream
    says so in its `error`, or a frame of it cannot be read.
    """

    def __init__(self) -> None:
        self.message: JsonObject = {"role": "assistant", "content": None}
        self.finish = ""
        self.has_failed = False
        self.error: JsonValue = None
        self._held: list[bytes] = []
        self._edge = b""
        self._last: JsonObject = {}
        self._others: JsonObject = {}
        """Of its choice: log probabilities."""
        self._calls: dict[int, JsonObject] = {}

    @property
    def is_over(self) -> bool:
        return bool(self.finish) or self.has_failed

    @property
    def parts(self) -> list[JsonObject]:
        return [self.message]

    @property
    def calls(self) -> tuple[Called, ...]:
        return calls_of(self.message)

    @property
    def is_remembered(self) -> bool:
        """Whether the CLI takes it for an answer, and goes on from it."""
        says = bool(str(self.message.get("content") or "").strip()) or bool(self.calls)
        return self.finish in _FINISHED and not self.has_failed and says

    def feed(self, data: bytes) -> bytes:
        """Cuts may fall anywhere. What the caller gets is what has come."""
        self._held.append(data)
        edge = self._edge + data
        self._edge = edge[-3:]
        if _END.search(edge) is not None:
            *frames, rest = _END.split(b"".join(self._held))
            self._held = [rest]
            for frame in frames:
                self._read(frame)
        return data

    def rest(self) -> bytes:
        held, self._held = b"".join(self._held), []
        self._read(held)
        return b""

    def _read(self, frame: bytes) -> None:
        for data in _DATA.findall(frame):
            if data == _DONE:
                continue
            try:
                told = cast("JsonObject", _decode(data))
            except (ValueError, RecursionError):
                self.has_failed = True
                continue
            if told.get("error") is not None:
                self.has_failed, self.error = True, told["error"]
            self._note(told)

    def _note(self, told: JsonObject) -> None:
        choices = objects_in(told.get("choices"))
        self._last.update({key: value for key, value in told.items() if value is not None})
        for choice in choices[:1]:
            self._speak(object_in(choice.get("delta")))
            self.finish = str(choice.get("finish_reason") or self.finish)
            self._weigh(choice.get("logprobs"))

    def _speak(self, delta: JsonObject) -> None:
        for key, value in delta.items():
            if key in _TEXTS and isinstance(value, str):
                self.message[key] = str(self.message.get(key) or "") + value
            elif key == "tool_calls":
                for call in objects_in(value):
                    self._call(call)
            elif value is not None:
                self.message[key] = value

    def _call(self, delta: JsonObject) -> None:
        at = delta.get("index")
        known = self._calls.setdefault(at if isinstance(at, int) else len(self._calls), {"type": "function"})
        function, said = object_in(known.get("function")), object_in(delta.get("function"))
        known.update({key: value for key, value in delta.items() if key not in {"index", "function"} and value})
        arguments = str(function.get("arguments") or "") + str(said.get("arguments") or "")
        known["function"] = {"name": said.get("name") or function.get("name"), "arguments": arguments}
        self.message["tool_calls"] = [self._calls[each] for each in sorted(self._calls)]

    def _weigh(self, logprobs: JsonValue) -> None:
        for key, value in object_in(logprobs).items():
            if isinstance(value, list):
                known = self._others.setdefault(key, [])
                assert isinstance(known, list)
                known += value

    def whole(self) -> JsonObject | None:
        """The answer as one that was not streamed; None: its end is missing."""
        if self.has_failed or not self.finish:
            return None
        choice: JsonObject = {
            "index": 0,
            "message": self.message,
            "logprobs": self._others or None,
            "finish_reason": self.finish,
        }
        return {**self._last, "object": "chat.completion", "choices": [choice]}


def calls_of(message: JsonObject) -> tuple[Called, ...]:
    return tuple(
        Called(
            str(object_in(call.get("function")).get("name")),
            str(call.get("id") or ""),
            arguments_of(call),
        )
        for call in objects_in(message.get("tool_calls"))
    )


def arguments_of(call: JsonObject) -> JsonValue:
    """As JSON, where it is any."""
    written = str(object_in(call.get("function")).get("arguments") or "{}")
    try:
        return cast("JsonValue", msgspec.json.decode(written))
    except msgspec.DecodeError:
        return written


def canned(message: JsonObject) -> bytes:
    """What the model once said, as the provider would send it again."""
    return b"".join(map(_frame, _chunks(message))) + b"data: [DONE]\n\n"


def _chunks(message: JsonObject) -> Iterator[JsonObject]:
    said = {key: value for key, value in message.items() if key != "tool_calls" and value is not None}
    calls = objects_in(message.get("tool_calls"))
    delta: JsonObject = {**said, "role": "assistant"}
    if calls:
        delta["tool_calls"] = [{**call, "index": at} for at, call in enumerate(calls)]
    yield {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}]}


def _frame(chunk: JsonObject) -> bytes:
    about: JsonObject = {"id": "chatcmpl-known", "object": "chat.completion.chunk", "created": 0, "model": ""}
    return b"data: %b\n\n" % msgspec.json.encode({**about, **chunk})
