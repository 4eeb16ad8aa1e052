"""The provider that a test plays: it reads each request as its wire has it, and answers as the test says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from proxy.observe.recording import Fault, Frame, Recording, Request, Response
from tests.clients.answers import STREAMS, WHOLES, Answer, Refuse, Say, Use, encode

PATHS = {
    "anthropic": "/v1/messages",
    "openai_responses": "/v1/responses",
    "openai_chat": "/v1/chat/completions",
}
"""After the folder that tells the wire; Gemini's name the model."""
PROBE = b"Say the word ready."
"""What `proxy setup` has a CLI ask, without tools where it can."""
KEY_HEADERS = ("x-api-key", "x-goog-api-key", "authorization")


@dataclass(frozen=True, slots=True)
class Break:
    """A stream that says half of `answer`, and then does what the fault says."""

    answer: Answer
    fault: str = "reset"


Reply = Answer | Refuse | Break


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to an upstream."""

    wire: str
    model: str
    is_stream: bool
    is_count: bool
    request: Request
    body: Any

    @property
    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.request.headers}

    @property
    def key(self) -> str:
        """The account that pays."""
        found = next(value for name in KEY_HEADERS if (value := self.headers.get(name)))
        return found.removeprefix("Bearer ")

    @property
    def tools(self) -> dict[str, Any]:
        """Name → schema."""
        tools = self.body.get("tools") or []
        match self.wire:
            case "anthropic":
                return {each["name"]: each.get("input_schema", {}) for each in tools}
            case "openai_responses":
                return {each["name"]: each.get("parameters", {}) for each in tools if each.get("type") == "function"}
            case "openai_chat":
                return {each["function"]["name"]: each["function"].get("parameters", {}) for each in tools}
            case _:
                declared = [one for each in tools for one in each.get("functionDeclarations", [])]
                return {one["name"]: one.get("parametersJsonSchema") or one.get("parameters", {}) for one in declared}

    def use(self, name: str, key: str, value: object) -> Use:
        """A call of the tool that fits `name`, with what stands for `key` in its schema (both are patterns)."""
        for tool, schema in self.tools.items():
            properties = (schema or {}).get("properties", {})
            found = next((each for each in properties if re.fullmatch(key, each)), None)
            if re.fullmatch(name, tool) and found is not None:
                return Use(tool, {found: value})
        raise AssertionError(f"no tool like {name}({key}) among {sorted(self.tools)}")


class Upstream:
    """`proxy.upstream.replay_server.Deck`. `plays`: what to say to a request; `asked`: all of them, in order.

    CLIs ask for more than the conversation itself (titles, which model suits the task): those requests have no tools,
    are answered with `small_talk`, and stand in `aside`.
    """

    def __init__(self) -> None:
        self.plays: Callable[[Asked], Reply] = lambda _asked: Say("Nothing was agreed.")
        self.small_talk = Say("Harbour")
        self.asked: list[Asked] = []
        self.aside: list[Asked] = []
        self.unknown: list[Request] = []
        self.answered_at = 0.0
        """On the loop's clock; the last one."""

    def in_turn(self, *steps: Reply | Callable[[Asked], Reply]) -> None:
        """One step a request; the last one again and again."""
        left = list(steps)

        def play(asked: Asked) -> Reply:
            step = left.pop(0) if len(left) > 1 else left[0]
            return step(asked) if callable(step) else step

        self.plays = play

    def draw(self, request: Request) -> Recording | None:
        self.answered_at = asyncio.get_running_loop().time()
        if request.method == "GET" and request.path.endswith("/models"):
            return _whole(request, 404, {"error": {"message": "no list here", "code": "not_found"}})
        asked = _read(request)
        if asked is None:
            self.unknown.append(request)
            return None
        if asked.is_count:
            return _whole(request, 200, {"input_tokens": 21} if asked.wire == "anthropic" else {"totalTokens": 21})
        if not asked.tools and PROBE not in request.body:
            self.aside.append(asked)
            return _answered(asked, self.small_talk)
        self.asked.append(asked)
        return _answered(asked, self.plays(asked))


def _read(request: Request) -> Asked | None:
    _, wire, *rest = request.path.split("/", 2)
    path = "/" + "".join(rest)
    is_count = path.endswith(("/count_tokens", ":countTokens"))
    if wire not in STREAMS or request.method != "POST":
        return None
    try:
        body = msgspec.json.decode(request.body)
    except ValueError:
        return None
    if wire == "gemini":
        named = re.fullmatch(r"/v1beta/models/([^:]+):(\w+)", path)
        if named is None:
            return None
        return Asked(wire, named[1], named[2].startswith("stream"), is_count, request, body)
    if not is_count and path != PATHS[wire]:
        return None
    return Asked(wire, body["model"], body.get("stream") is True, is_count, request, body)


def _answered(asked: Asked, reply: Reply) -> Recording:
    match reply:
        case Refuse():
            return _whole(asked.request, reply.status, reply.body, reply.headers.items())
        case Break():
            frames = STREAMS[asked.wire](reply.answer, asked.model)
            size = sum(map(len, frames[: len(frames) // 2]))
            fault = Fault(kind=reply.fault, after_bytes=size)
            return Recording(request=asked.request, response=_streamed(frames), fault=fault)
        case _ if asked.is_stream:
            frames = STREAMS[asked.wire](reply, asked.model)
            return Recording(request=asked.request, response=_streamed(frames))
        case _:
            return _whole(asked.request, 200, WHOLES[asked.wire](reply, asked.model))


def _streamed(frames: Iterable[bytes]) -> Response:
    headers = (("Content-Type", "text/event-stream"), ("request-id", "req_harbour1"))
    return Response(headers=headers, frames=tuple(Frame(data=each) for each in frames), is_streamed=True)


def _whole(request: Request, status: int, body: object, headers: Iterable[tuple[str, str]] = ()) -> Recording:
    told = (("Content-Type", "application/json"), *headers)
    frame = Frame(data=encode(body).encode())
    return Recording(request=request, response=Response(status=status, headers=told, frames=(frame,)))
