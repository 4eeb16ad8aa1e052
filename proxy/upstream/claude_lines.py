"""What Claude Code prints while it answers one turn, as what the provider's API would have said. Pure.

With partial messages the CLI prints the provider's own stream events, and they are passed on as they are. What is not
the provider's is not passed on: the message that the CLI makes up for an error, and every request that it would make by
itself afterwards, because an answer was cut or said nothing (official-clis.md §6.2; the order of the lines observed).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec

from proxy.hub.residue import JsonObject, JsonValue, object_in

SYNTHETIC = "<synthetic>"
"""The model of a message that the CLI has made up."""
_GOES_ON = frozenset({"max_tokens", "model_context_window_exceeded"})
"""Reasons to stop after which the CLI asks for more by itself."""
_IS_SAID = frozenset({"text", "tool_use", "server_tool_use"})
"""An answer without any of these the CLI takes for none, and asks again."""
_STATUS: Mapping[str, tuple[int, str]] = {
    "authentication_failed": (401, "authentication_error"),
    "oauth_org_not_allowed": (403, "permission_error"),
    "billing_error": (402, "billing_error"),
    "rate_limit": (429, "rate_limit_error"),
    "invalid_request": (400, "invalid_request_error"),
    "model_not_found": (404, "not_found_error"),
    "server_error": (500, "api_error"),
    "overloaded": (529, "overloaded_error"),
}
"""The CLI's words, where it has no status of the provider's to tell."""
_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_GROWING = ("text", "thinking", "signature", "partial_json")
"""What deltas bring in pieces."""
_PREFIX = re.compile(r"^(Failed to authenticate\. )?API Error: (\d{3} )?")
_WINDOWS = {"five_hour": "5h", "seven_day": "7d"}
_UNIFIED = "anthropic-ratelimit-unified"

Ending: TypeAlias = Literal["kept", "parked", "spoiled"]
"""What becomes of the conversation: it may go on · it waits for results of tools · its memory is not what the client
has seen.
"""


class Line(msgspec.Struct):
    """One printed line, as far as it is read at first sight."""

    type: str = ""
    subtype: str = ""
    event: msgspec.Raw = msgspec.Raw()
    request_id: str = ""
    request: dict[str, Any] = msgspec.field(default_factory=dict)
    response: dict[str, Any] = msgspec.field(default_factory=dict)
    message: dict[str, Any] = msgspec.field(default_factory=dict)
    error: Any = None
    rate_limit_info: dict[str, Any] = msgspec.field(default_factory=dict)
    tools: list[str] = msgspec.field(default_factory=list)
    mcp_servers: list[dict[str, Any]] = msgspec.field(default_factory=list)
    is_error: bool = False
    api_error_status: int | None = None
    api_error_type: str | None = None
    result: Any = None

    @property
    def offers(self) -> frozenset[str]:
        """What the model can use, as the CLI says when it begins: tools and tool servers."""
        return frozenset(self.tools) | {str(server.get("name")) for server in self.mcp_servers}


@dataclass(frozen=True, slots=True)
class Frame:
    """An event of the provider's stream, as SSE."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """The provider's refusal, or the CLI's own. `status` 0: the connection to the provider broke. `is_going_on`: as in
    `End`.
    """

    status: int
    type: str
    message: str
    is_going_on: bool = False

    @property
    def body(self) -> bytes:
        return msgspec.json.encode({"type": "error", "error": {"type": self.type, "message": self.message}})

    @property
    def frame(self) -> bytes:
        return b"event: error\ndata: " + self.body + b"\n\n"


@dataclass(frozen=True, slots=True)
class End:
    """`is_going_on`: the CLI is about to ask for more by itself and must be stopped at once."""

    ending: Ending
    is_going_on: bool = False


Told: TypeAlias = Frame | Fault | End

_line = msgspec.json.Decoder(Line).decode
_event = msgspec.json.Decoder(dict[str, Any]).decode


def read_line(raw: bytes) -> Line | None:
    """None: it is no JSON object, or none that was ever seen; warnings stand between the lines."""
    try:
        return _line(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


@dataclass(slots=True)
class Message:
    """The answer, put together from its events."""

    head: JsonObject = field(default_factory=dict)
    tail: JsonObject = field(default_factory=dict)
    usage: JsonObject = field(default_factory=dict)
    blocks: dict[int, JsonObject] = field(default_factory=dict)
    _pieces: dict[tuple[int, str], list[str]] = field(default_factory=dict)

    @property
    def stop_reason(self) -> JsonValue:
        return self.tail.get("stop_reason")

    @property
    def kinds(self) -> frozenset[str]:
        """Of what was said; empty texts say nothing."""
        said = (block for block in self.content() if block["type"] != "text" or str(block.get("text")).strip())
        return frozenset(str(block["type"]) for block in said)

    @property
    def calls(self) -> Mapping[str, str]:
        """Those for the caller to make: id → tool."""
        uses = (block for block in self.blocks.values() if block.get("type") == "tool_use")
        return {str(block.get("id")): str(block.get("name")) for block in uses}

    def feed(self, kind: str, event: Mapping[str, JsonValue]) -> None:
        index = event.get("index")
        match kind:
            case "message_start":
                self.head = object_in(event.get("message"))
                self._add_usage(self.head)
            case "content_block_start" if isinstance(index, int):
                self.blocks[index] = object_in(event.get("content_block"))
            case "content_block_delta" if isinstance(index, int):
                self._grow(index, object_in(event.get("delta")))
            case "message_delta":
                self._add_usage(event)
                more = {key: value for key, value in event.items() if key not in {"type", "delta", "usage"}}
                self.tail |= {**more, **object_in(event.get("delta"))}

    def _add_usage(self, holder: Mapping[str, JsonValue]) -> None:
        """The later reading counts, but for what it does not tell."""
        usage = object_in(holder.get("usage"))
        self.usage |= {key: value for key, value in usage.items() if value is not None or key not in self.usage}

    def _grow(self, index: int, delta: Mapping[str, JsonValue]) -> None:
        for key in _GROWING:
            if isinstance(piece := delta.get(key), str):
                self._pieces.setdefault((index, key), []).append(piece)
        block = self.blocks.get(index)
        if block is not None and "citation" in delta:
            cited = block.get("citations")
            block["citations"] = [*(cited if isinstance(cited, list) else []), delta["citation"]]

    def content(self) -> list[JsonObject]:
        return [self._block(index) for index in sorted(self.blocks)]

    def _block(self, index: int) -> JsonObject:
        block = dict(self.blocks[index])
        for key in _GROWING:
            if (index, key) in self._pieces:
                text = "".join(self._pieces[index, key])
                if key == "partial_json":
                    block["input"] = _arguments(text)
                else:
                    block[key] = f"{block.get(key) or ''}{text}"
        return block

    def whole(self) -> JsonObject:
        """As the API answers where it does not stream."""
        return {**self.head, "content": list[JsonValue](self.content()), **self.tail, "usage": self.usage}


@dataclass(slots=True)
class Turn:
    """One request's answer. `tools`: the names of those that the caller carries out. `message`: what was answered."""

    tools: frozenset[str]
    message: Message = field(default_factory=Message)
    _is_made_up: bool = False
    _is_over: bool = False
    _word: str = ""

    @property
    def has_begun(self) -> bool:
        return bool(self.message.head)

    def feed(self, line: Line) -> Iterator[Told]:
        """Lines that tell nothing of the answer are passed over."""
        if self._is_over:
            return
        match line.type:
            case "stream_event" if not self._is_made_up:
                yield from self._event(line.event)
            case "assistant" if line.message.get("model") == SYNTHETIC:
                # A refusal is told twice: by the provider's own events, too.
                self._is_made_up = line.message.get("stop_reason") != "refusal"
                self._word = str(line.error)
            case "result":
                self._is_over = True
                yield (
                    _fault(line, self._word)
                    if line.is_error
                    else Fault(502, "api_error", "Claude Code ended without an answer")
                )

    def _event(self, raw: msgspec.Raw) -> Iterator[Told]:
        event = _event(raw)
        kind = str(event.get("type"))
        if kind == "message_stop" and self.message.stop_reason is None:
            # Of an answer that broke off behind a whole block the CLI makes a whole one, and asks for the rest.
            self._is_over = True
            yield Fault(0, "api_error", "the provider's answer broke off", is_going_on=True)
            return
        yield Frame(b"event: " + kind.encode() + b"\ndata: " + bytes(raw) + b"\n\n")
        self.message.feed(kind, event)
        if kind == "message_delta" and self._goes_on():
            self._is_over = True
            yield Frame(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
            yield End("spoiled", is_going_on=True)
        elif kind == "message_stop":
            self._is_over = True
            yield End(self._ending())

    def _goes_on(self) -> bool:
        stop, said = self.message.stop_reason, self.message.kinds
        if stop in _GOES_ON or not said & _IS_SAID:
            return True
        return stop == "tool_use" and not self.tools.issuperset(self.message.calls.values())

    def _ending(self) -> Ending:
        if self.message.stop_reason == "refusal":
            return "spoiled"
        return "parked" if self.message.calls else "kept"


def _arguments(text: str) -> JsonValue:
    try:
        return msgspec.json.decode(text) if text.strip() else {}
    except msgspec.DecodeError:
        return {}


def _fault(line: Line, word: str) -> Fault:
    """`word`: what the CLI calls it."""
    text = _PREFIX.sub("", str(line.result or "Claude Code failed and did not say why"))
    status, kind = _STATUS.get(word, (0, ""))
    if line.api_error_status is not None:
        status = line.api_error_status
        kind = line.api_error_type or _TYPES.get(status, "api_error")
    return Fault(status, kind or "api_error", text)


def limit_headers(info: Mapping[str, JsonValue]) -> dict[str, str]:
    """Of a `rate_limit_event`, as the headers that the CLI has read it from."""
    told: dict[str, JsonValue] = {
        "-status": info.get("status"),
        "-reset": info.get("resetsAt"),
        "-representative-claim": info.get("rateLimitType"),
    }
    for name, value in object_in(info.get("unifiedWindows")).items():
        slot, window = _WINDOWS.get(name, name.replace("seven_day_", "7d_")), object_in(value)
        told[f"-{slot}-status"] = window.get("status", "allowed")
        told[f"-{slot}-utilization"] = window.get("utilization")
        told[f"-{slot}-reset"] = window.get("resetsAt")
    return {f"{_UNIFIED}{name}": str(value) for name, value in told.items() if value is not None}
