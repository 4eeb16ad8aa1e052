"""A provider that speaks OpenAI Chat as a test plays it: it keeps what it was asked, and answers as the test says."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tests.backends.backend import CUT, Backend, Refuse

HOST = "models.example.test"
PATH = "/v1/chat/completions"
MODEL = "harbour-large"
USAGE = {
    "prompt_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 10},
    "completion_tokens": 9,
    "completion_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 39,
}
_OF_QWEN = "<system-reminder>\nNo skills are currently available."
_OF_OPENCODE = "\nYou are powered by the model named "
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One request for an answer."""

    body: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was said, without instructions."""
        return [each for each in self.body["messages"] if each["role"] != "system"]

    @property
    def system(self) -> str:
        """Without what the CLI says of its own accord."""
        return "".join(_text(each) for each in self.body["messages"] if each["role"] == "system").partition(
            _OF_OPENCODE
        )[0]

    @property
    def told(self) -> list[tuple[str, str]]:
        """(role, its texts)."""
        return [(each["role"], _text(each)) for each in self.messages]

    @property
    def asked(self) -> str:
        return self.told[-1][1].removeprefix("\u200b")

    @property
    def conversation(self) -> str:
        return self.headers["x-session-affinity"]

    @property
    def account(self) -> str:
        return self.headers["authorization"].removeprefix("Bearer sk-").partition("-")[0]

    @property
    def tools(self) -> list[dict[str, Any]]:
        return [each["function"] for each in self.body.get("tools", [])]


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    return "".join(part for part in parts if not part.startswith(_OF_QWEN))


class ChatBackend(Backend[Turn]):
    place = HOST, PATH

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.plays = lambda _turn: said("Ahoy from the quay.")

    def _read(self, raw: bytes, headers: Mapping[str, str]) -> Turn:
        return Turn(body=msgspec.json.decode(raw), headers=headers)


# what it says


def frame(delta: Mapping[str, Any] | None, *, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": choices, **more}
    return b"data: %b\n\n" % msgspec.json.encode(chunk)


def said(text: str, *, thought: str = "", finish: str = "stop") -> bytes:
    return b"".join(pieces(text, thought=thought, finish=finish))


def pieces(text: str, *, thought: str = "", finish: str = "stop") -> tuple[bytes, bytes]:
    """The words, and the end of an answer."""
    thoughts = frame({"role": "assistant", "reasoning_content": thought}) if thought else b""
    return thoughts + frame({"role": "assistant", "content": text}), _ended(finish)


def _ended(finish: str) -> bytes:
    return frame({}, finish=finish) + frame(None, usage=USAGE) + b"data: [DONE]\n\n"


def called(*calls: tuple[str, Mapping[str, Any]], thought: str = "") -> bytes:
    """(name as it was offered, arguments) of each."""
    thoughts = frame({"role": "assistant", "reasoning_content": thought}) if thought else b""
    deltas = (
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "index": index,
                    "id": f"call_{next(_numbers)}",
                    "type": "function",
                    "function": {"name": name, "arguments": msgspec.json.encode(arguments).decode()},
                }
            ],
        }
        for index, (name, arguments) in enumerate(calls)
    )
    return thoughts + b"".join(map(frame, deltas)) + _ended("tool_calls")


def own_call(name: str, arguments: Mapping[str, Any]) -> bytes:
    return called((name, arguments))


def exhausted(seconds: int = 3600) -> Refuse:
    error = {"message": "You have used all of it.", "type": "rate_limit_error", "code": "rate_limit_exceeded"}
    return Refuse(status=429, body={"error": error}, headers={"retry-after": str(seconds)})


def failed(status: int, message: str) -> Refuse:
    return Refuse(status=status, body={"error": {"message": message, "type": "server_error"}}, headers={})


FAILING: Sequence[Any] = (failed(500, "oops"), failed(503, "busy"), failed(404, "no such model"), [CUT])
"""Replies of which each is no answer. The CLIs themselves would try some of these again and again."""
ABOUT: frozenset[str] = frozenset()
"""What else is asked of the provider: nothing."""


def login(account: str) -> bytes:
    """There is none: it is a key."""
    return f"sk-{account}-1".encode()


def renewing(account: str) -> str:
    """The key, which the CLI must not see."""
    return f"sk-{account}-1"


def offered(body: Mapping[str, Any]) -> list[str]:
    """The names of the tools."""
    return [tool["function"]["name"] for tool in body["tools"]]
