"""Anthropic's API as a test plays it: it keeps what it was asked, and answers as the test says."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tests.backends.codex_backend import Refuse, Reply, _tell
from tests.logins.vendor import Asked, Vendor, _head

HOST = "api.anthropic.com"
PATH = "/v1/messages"
MODEL = "claude-haiku-4-5"
USAGE = {
    "input_tokens": 11,
    "cache_creation_input_tokens": 7,
    "cache_read_input_tokens": 5,
    "output_tokens": 3,
}
_OWN_BLOCKS = 2
"""Of the system prompt: an attribution line, and who the CLI is."""
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One request for an answer."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    at: float

    @property
    def system(self) -> str:
        """The caller's."""
        return "".join(block["text"] for block in self.body["system"][_OWN_BLOCKS:])

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Without what Claude Code adds of its own accord: reminders, a description of where it runs, cache marks."""
        found = []
        for message in self.body["messages"]:
            content = message["content"]
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            said = [_unmarked(block) for block in blocks if not block.get("text", "").startswith("<system-reminder>")]
            if message["role"] != "system":
                found.append({"role": message["role"], "content": said})
        return found

    @property
    def told(self) -> list[tuple[str, str]]:
        """(role, its texts)."""
        return [(each["role"], "".join(block.get("text", "") for block in each["content"])) for each in self.messages]

    @property
    def account(self) -> str:
        return self.headers["authorization"].removeprefix("Bearer token-of-")

    @property
    def settings(self) -> dict[str, Any]:
        """What stands beside the conversation, but for what every request of the CLI's has."""
        own = {"messages", "system", "metadata", "stream"}
        return {key: value for key, value in self.body.items() if key not in own and value != []}


def _unmarked(block: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in block.items() if key != "cache_control"}


class ClaudeBackend(Vendor):
    """`plays`: what to say to a turn. `turns`: all of them. `dropped`: set when a turn's asker has hung up."""

    plays: Callable[[Turn], Reply]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.plays = lambda _turn: said("Ahoy from the quay.")
        self.turns: list[Turn] = []
        self.dropped = asyncio.Event()

    def in_turn(self, *replies: Reply | Callable[[Turn], Reply]) -> None:
        """One a turn; the last one again and again."""
        left = list(replies)

        def play(turn: Turn) -> Reply:
            reply = left.pop(0) if len(left) > 1 else left[0]
            return reply(turn) if callable(reply) else reply

        self.plays = play

    async def _answer(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, headers = await _head(reader)
        method, target, _version = line.split(" ", 2)
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        path = target.partition("?")[0]
        if (host, path, method) != (HOST, PATH, "POST"):
            asked = Asked(host=host, method=method, path=path, body={}, headers=headers)
            self.asked.append(asked)
            status, told = self._judge(asked)
            await _tell(Refuse(status=status, body=told, headers={}), writer)
            return
        turn = Turn(body=msgspec.json.decode(raw), headers=headers, at=time.perf_counter())
        self.turns.append(turn)
        watching = asyncio.create_task(self._watch(reader))
        try:
            await _tell(self.plays(turn), writer)
        finally:
            watching.cancel()

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        more = b""
        with contextlib.suppress(ConnectionError):  # a reset is a hanging up, too
            more = await reader.read(1)
        if not more:
            self.dropped.set()


# what it says


def frames(*events: Mapping[str, Any]) -> bytes:
    return b"".join(b"event: %s\ndata: %s\n\n" % (each["type"].encode(), msgspec.json.encode(each)) for each in events)


def said(text: str, *, thought: str = "", stop: str = "end_turn") -> bytes:
    return b"".join(pieces(text, thought=thought, stop=stop))


def pieces(text: str, *, thought: str = "", stop: str = "end_turn") -> tuple[bytes, bytes, bytes]:
    """The beginning, the words, and the end of an answer."""
    index = 1 if thought else 0
    words: list[dict[str, Any]] = [
        {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}},
        *(_delta(index, type="text_delta", text=each) for each in (text[:4], text[4:])),
        {"type": "content_block_stop", "index": index},
    ]
    return frames(_begun(), *_thought(thought)), frames(*(words if text else ())), frames(*_ended(stop))


def called(*calls: tuple[str, str, Mapping[str, Any]], thought: str = "", text: str = "") -> bytes:
    """(id, name, arguments) of each."""
    events = [_begun(), *_thought(thought)]
    blocks: list[tuple[dict[str, Any], dict[str, Any]]] = []
    if text:
        blocks.append(({"type": "text", "text": ""}, {"type": "text_delta", "text": text}))
    for call_id, name, arguments in calls:
        use = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
        blocks.append((use, {"type": "input_json_delta", "partial_json": msgspec.json.encode(arguments).decode()}))
    for index, (block, delta) in enumerate(blocks, start=1 if thought else 0):
        events += [
            {"type": "content_block_start", "index": index, "content_block": block},
            _delta(index, **delta),
            {"type": "content_block_stop", "index": index},
        ]
    return frames(*events, *_ended("tool_use"))


def refused(status: int, kind: str, message: str, **headers: str) -> Refuse:
    body = {"type": "error", "error": {"type": kind, "message": message}}
    return Refuse(status=status, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def exhausted(seconds: int = 3600) -> Refuse:
    """The 5-hour window is used up."""
    reset = str(int(time.time()) + seconds)
    unified = "anthropic_ratelimit_unified"
    headers = {
        f"{unified}_status": "rejected",
        f"{unified}_reset": reset,
        f"{unified}_representative_claim": "five_hour",
        f"{unified}_5h_status": "rejected",
        f"{unified}_5h_utilization": "1.0",
        f"{unified}_5h_reset": reset,
        "retry_after": str(seconds),
    }
    return refused(429, "rate_limit_error", "This request would exceed your account's rate limit.", **headers)


def failed(kind: str, message: str) -> bytes:
    """An error inside of a stream."""
    return frames({"type": "error", "error": {"type": kind, "message": message}})


def _begun() -> dict[str, Any]:
    message = {
        "id": f"msg_{next(_numbers):04d}",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**USAGE, "output_tokens": 1},
    }
    return {"type": "message_start", "message": message}


def _delta(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _thought(text: str) -> Sequence[dict[str, Any]]:
    if not text:
        return ()
    block = {"type": "thinking", "thinking": "", "signature": ""}
    return (
        {"type": "content_block_start", "index": 0, "content_block": block},
        _delta(0, type="thinking_delta", thinking=text),
        _delta(0, type="signature_delta", signature="c2lnbmVk"),
        {"type": "content_block_stop", "index": 0},
    )


def _ended(stop: str) -> tuple[dict[str, Any], dict[str, Any]]:
    delta = {"stop_reason": stop, "stop_sequence": None}
    return {"type": "message_delta", "delta": delta, "usage": USAGE}, {"type": "message_stop"}


def login(account: str) -> bytes:
    """The file of a login, which lasts."""
    claims = {
        "accessToken": f"token-of-{account}",
        "refreshToken": f"refresh-{account}",
        "expiresAt": int((time.time() + 10 * 86400) * 1000),
        "scopes": ["user:inference", "user:profile", "user:sessions:claude_code"],
        "subscriptionType": "max",
        "rateLimitTier": "default_claude_max_20x",
    }
    return msgspec.json.encode({"claudeAiOauth": claims})
