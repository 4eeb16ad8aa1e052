"""The four formats, as far as a soak needs them: what a client asks, what a vendor streams, what a client reads.

Each stream carries its own canary in numbered pieces, each with a hash over all before it: a piece that is missing,
doubled, out of order or another stream's breaks the chain. Each costs its own number of tokens.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

Wire = Literal["anthropic", "openai_chat", "openai_responses", "gemini"]
WIRES: tuple[Wire, ...] = ("anthropic", "openai_chat", "openai_responses", "gemini")
MODEL = "soak"
PIECES = 40
_PIECE = re.compile(r"<(canary-\d+)#(\d+)=([0-9a-f]{8})>")
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


def pieces(canary: str, count: int = PIECES) -> Iterator[str]:
    chain = b""
    for number in range(count):
        chain = hashlib.sha256(chain + f"{canary}#{number}".encode()).digest()
        yield f"<{canary}#{number}={chain[:4].hex()}>"


def input_tokens(canary: str) -> tuple[int, int]:
    """All of them, and those of them that came from a cache."""
    number = int(canary.rpartition("-")[2])
    return 7 + number % 89, number % 5


def ask(wire: Wire, canary: str) -> tuple[str, bytes]:
    """Path and body of a streamed request."""
    turns: list[Any] = [{"role": "user", "content": f"Say {canary}."}]
    match wire:
        case "anthropic":
            return "/v1/messages", _encode({"model": MODEL, "max_tokens": 999, "stream": True, "messages": turns})
        case "openai_chat":
            options = {"include_usage": True}
            body = {"model": MODEL, "stream": True, "stream_options": options, "messages": turns}
            return "/v1/chat/completions", _encode(body)
        case "openai_responses":
            return "/v1/responses", _encode({"model": MODEL, "stream": True, "store": False, "input": turns})
        case "gemini":
            contents = [{"role": "user", "parts": [{"text": f"Say {canary}."}]}]
            return f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse", _encode({"contents": contents})


def frame(value: Any) -> bytes:
    named = f"event: {value['type']}\n" if isinstance(value, dict) and isinstance(value.get("type"), str) else ""
    return named.encode() + b"data: " + _encode(value) + b"\n\n"


@dataclass(frozen=True, slots=True)
class Told:
    """What a vendor streams: `start` has no content yet. `error`: told inside a 200, before any content."""

    start: bytes
    pieces: list[bytes]
    end: bytes
    error: bytes
    is_counted_early: bool = False
    """`start` has told the tokens of the input, and one of the output."""


def tell(wire: Wire, canary: str) -> Told:
    return _TELLERS[wire](canary, list(pieces(canary)))


def _anthropic(canary: str, texts: list[str]) -> Told:
    total, cached = input_tokens(canary)
    usage = {"input_tokens": total - cached, "cache_read_input_tokens": cached, "output_tokens": 1}
    message: dict[str, Any] = {
        "id": f"msg_{canary}", "type": "message", "role": "assistant", "model": MODEL, "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    deltas = [
        frame({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
        for text in texts
    ]
    end = frame({"type": "content_block_stop", "index": 0}) + frame({
        "type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": len(texts)},
    }) + frame({"type": "message_stop"})  # fmt: skip
    error = frame({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    start = frame({"type": "message_start", "message": message}) + frame(block)
    return Told(start, deltas, end, error, is_counted_early=True)


def _chat(canary: str, texts: list[str]) -> Told:
    shell = {"id": f"chatcmpl-{canary}", "object": "chat.completion.chunk", "created": 1, "model": MODEL}

    def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
        return frame({**shell, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    total, cached = input_tokens(canary)
    usage = {
        "prompt_tokens": total, "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens": len(texts), "total_tokens": total + len(texts),
    }  # fmt: skip
    error = frame({"error": {"message": "Overloaded", "type": "server_error", "code": "server_is_overloaded"}})
    return Told(
        chunk({"role": "assistant", "content": ""}),
        [chunk({"content": text}) for text in texts],
        chunk({}, "stop") + frame({**shell, "choices": [], "usage": usage}) + b"data: [DONE]\n\n",
        error,
    )


def _responses(canary: str, texts: list[str]) -> Told:
    numbers = iter(range(10_000))
    shell = {"id": f"resp_{canary}", "object": "response", "created_at": 1, "model": MODEL}
    item = {"id": f"item_{canary}", "type": "message", "role": "assistant"}
    at = {"item_id": item["id"], "output_index": 0, "content_index": 0}

    def event(kind: str, **fields: Any) -> bytes:
        return frame({"type": f"response.{kind}", "sequence_number": next(numbers), **fields})

    start = event("created", response={**shell, "status": "in_progress", "output": []})
    start += event("output_item.added", output_index=0, item={**item, "status": "in_progress", "content": []})
    part = {"type": "output_text", "text": "", "annotations": []}
    start += event("content_part.added", **at, part=part)
    deltas = [event("output_text.delta", **at, delta=text, logprobs=[]) for text in texts]
    whole = {**part, "text": "".join(texts)}
    done = {**item, "status": "completed", "content": [whole]}
    total, cached = input_tokens(canary)
    usage = {
        "input_tokens": total, "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": len(texts), "total_tokens": total + len(texts),
    }  # fmt: skip
    end = event("output_text.done", **at, text=whole["text"], logprobs=[]) + event(
        "content_part.done", **at, part=whole
    )
    end += event("output_item.done", output_index=0, item=done)
    end += event("completed", response={**shell, "status": "completed", "output": [done], "usage": usage})
    failure = {"code": "server_is_overloaded", "message": "Overloaded"}
    error = event("failed", response={**shell, "status": "failed", "output": [], "error": failure})
    return Told(start, deltas, end, error)


def _gemini(canary: str, texts: list[str]) -> Told:
    def chunk(text: str, **fields: Any) -> bytes:
        content = {"role": "model", "parts": [{"text": text}]}
        return frame({"candidates": [{"index": 0, "content": content, **fields}], "modelVersion": MODEL, **ids})

    ids = {"responseId": canary}
    total, cached = input_tokens(canary)
    usage = {
        "promptTokenCount": total, "cachedContentTokenCount": cached,
        "candidatesTokenCount": len(texts), "totalTokenCount": total + len(texts),
    }  # fmt: skip
    *most, last = texts
    end = frame({
        "candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": last}]}, "finishReason": "STOP"}],
        "usageMetadata": usage, "modelVersion": MODEL, **ids,
    })  # fmt: skip
    error = frame({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}})
    return Told(b"", [chunk(text) for text in most], end, error)


_TELLERS = {"anthropic": _anthropic, "openai_chat": _chat, "openai_responses": _responses, "gemini": _gemini}


@dataclass(slots=True)
class Reading:
    """A stream as its client reads it. `ends`: proper ends, of which there may be one; `errors` likewise."""

    wire: Wire
    canary: str
    text: str = ""
    ends: int = 0
    errors: list[str] = field(default_factory=list)
    after_end: int = 0
    _rest: bytes = b""

    def feed(self, data: bytes) -> None:
        *frames, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n\n")
        for each in frames:
            for line in each.split(b"\n"):
                if line.startswith(b"data:"):
                    self._read(line[5:].strip())

    def _read(self, data: bytes) -> None:
        self.after_end += bool(self.ends or self.errors)
        if data == b"[DONE]":
            self.ends += 1
            return
        value = _decode(data)
        match self.wire:
            case "anthropic":
                self._anthropic(value)
            case "openai_chat":
                self._chat(value)
            case "openai_responses":
                self._responses(value)
            case "gemini":
                self._gemini(value)

    def _anthropic(self, value: dict[str, Any]) -> None:
        match value["type"]:
            case "content_block_delta":
                self.text += value["delta"].get("text", "")
            case "message_stop":
                self.ends += 1
            case "error":
                self.errors.append(value["error"]["message"])

    def _chat(self, value: dict[str, Any]) -> None:
        if "error" in value:
            self.errors.append(value["error"]["message"])
        for choice in value.get("choices", ()):
            self.text += choice["delta"].get("content") or ""

    def _responses(self, value: dict[str, Any]) -> None:
        match value["type"]:
            case "response.output_text.delta":
                self.text += value["delta"]
            case "response.completed":
                self.ends += 1
            case "response.failed":
                self.errors.append(value["response"]["error"]["message"])
            case "error":
                self.errors.append(value.get("message") or value["error"]["message"])

    def _gemini(self, value: dict[str, Any]) -> None:
        if "error" in value:
            self.errors.append(value["error"]["message"])
        for candidate in value.get("candidates", ()):
            for part in (candidate.get("content") or {}).get("parts", ()):
                self.text += part.get("text", "")
            if candidate.get("finishReason"):
                self.ends += 1

    def fault(self, *, is_whole: bool = True) -> str | None:
        """What is wrong with it; None: it ended exactly one way. `is_whole`: nobody has left early."""
        wanted = list(pieces(self.canary))
        found = [match[0] for match in _PIECE.finditer(self.text)]
        if found != wanted[: len(found)]:
            return "broken chain"
        if "".join(found) != self.text:
            return "foreign text"
        if not is_whole:
            return None
        if self.ends + bool(self.errors) != 1:
            return "no end" if not (self.ends or self.errors) else "two ends"
        if self.after_end:
            return "goes on after its end"
        if self._rest.strip():
            return "half a frame"
        return "an end too early" if self.ends and len(found) < len(wanted) else None
