"""Google's Code Assist as a test plays it: it keeps what it was asked, and answers as the test says."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tests.backends.codex_backend import Refuse, Reply, _tell
from tests.logins.vendor import Asked, Vendor, _head

HOST = "cloudcode-pa.googleapis.com"
PATH = "/v1internal:streamGenerateContent"
MODEL = "gemini-3-pro-preview"
USAGE = {
    "promptTokenCount": 30,
    "cachedContentTokenCount": 10,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 4,
    "totalTokenCount": 39,
}
_OWN = "<session_context>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One request for an answer."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    at: float

    @property
    def request(self) -> dict[str, Any]:
        inner = self.body["request"]
        assert isinstance(inner, dict)
        return inner

    @property
    def contents(self) -> list[tuple[str, list[dict[str, Any]]]]:
        """(role, parts) without what Gemini CLI says of its own accord."""
        return [
            (content["role"], [part for part in content["parts"] if not part.get("text", "").startswith(_OWN)])
            for content in self.request["contents"]
        ]

    @property
    def told(self) -> list[tuple[str, str]]:
        """(role, its texts)."""
        return [(role, "".join(part.get("text", "") for part in parts)) for role, parts in self.contents]

    @property
    def system(self) -> str:
        return "".join(part["text"] for part in self.request.get("systemInstruction", {}).get("parts", []))

    @property
    def account(self) -> str:
        return self.headers["authorization"].removeprefix("Bearer ya29.").partition("-")[0]

    @property
    def tools(self) -> list[dict[str, Any]]:
        return [tool for group in self.request.get("tools", []) for tool in group["functionDeclarations"]]


class GeminiBackend(Vendor):
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
            await self._about(Asked(host=host, method=method, path=path, body={}, headers=headers), writer)
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

    async def _about(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.asked.append(asked)
        status, told = self._judge(asked)
        await _tell(Refuse(status=status, body=told, headers={}), writer)


# what it says


def frame(parts: Sequence[Mapping[str, Any]], *, finish: str = "") -> bytes:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [*parts]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    response = {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": MODEL, "responseId": "r1"}
    return b"data: %b\r\n\r\n" % msgspec.json.encode({"response": response, "traceId": "t1"})


def said(text: str, *, thought: str = "", finish: str = "STOP") -> bytes:
    return b"".join(pieces(text, thought=thought, finish=finish))


def pieces(text: str, *, thought: str = "", finish: str = "STOP") -> tuple[bytes, bytes]:
    """The words, and the end of an answer."""
    thoughts = frame([{"text": thought, "thought": True}]) if thought else b""
    return thoughts + frame([{"text": text}]), frame([{"text": ""}], finish=finish)


def called(*calls: tuple[str, Mapping[str, Any]], signature: str = "", waits: bool | None = None) -> bytes:
    """(name as it was offered, arguments) of each."""
    parts: list[dict[str, Any]] = []
    for name, arguments in calls:
        own = {} if waits is None else {"wait_for_previous": waits}
        parts.append({"functionCall": {"name": name, "args": {**arguments, **own}}})
    if signature:
        parts[0]["thoughtSignature"] = signature
    return frame(parts, finish="STOP")


def exhausted(seconds: int = 3600) -> Refuse:
    details = [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "QUOTA_EXHAUSTED", "domain": HOST},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds}s"},
    ]
    error = {"code": 429, "message": "Quota is exhausted.", "status": "RESOURCE_EXHAUSTED", "details": details}
    return Refuse(status=429, body={"error": error}, headers={})


def failed(status: int, message: str, word: str = "UNAVAILABLE") -> Refuse:
    return Refuse(status=status, body={"error": {"code": status, "message": message, "status": word}}, headers={})


def login(account: str) -> bytes:
    """The file of a login, which lasts."""
    return msgspec.json.encode(
        {
            "access_token": f"ya29.{account}-1",
            "refresh_token": f"1//{account}",
            "scope": "https://www.googleapis.com/auth/cloud-platform openid",
            "token_type": "Bearer",
            "expiry_date": int((time.time() + 3000) * 1000),
        }
    )
