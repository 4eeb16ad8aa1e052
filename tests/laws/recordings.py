"""Recorded exchanges: of `PROXY_SHARED_DATA` where that folder is present, and the project's own.

Below `laws/captures`, as in the shared data, a file holds one exchange: ``{format, request: {path, body}, response:
{status, headers, body, sse}}``. Below `tests/captures` it holds one answer: ``<wire>/<name>.json`` whole, ``.sse``
streamed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import pytest

from proxy.hub.request import Request
from proxy.hub.residue import JsonObject, JsonValue
from proxy.hub.response import Response
from proxy.wire.base import Wire
from proxy.wire.table import WIRES, wire_named

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("PROXY_SHARED_DATA", ROOT.parent / "shared" / "data"))
CAPTURES = ROOT / "tests" / "captures"
OWN_EXCHANGES = ROOT / "tests" / "laws" / "captures"
WIRES_OF_FORMAT = {
    "anthropic": "anthropic",
    "openai-chat": "openai_chat",
    "openai-responses": "openai_responses",
    "gemini": "gemini",
}
_MODEL_IN_PATH = re.compile(r"/models/([^:/?]+):")


class Recording(NamedTuple):
    """`request` None: only the answer was recorded. `body` and `sse`: at most one of them is there."""

    name: str
    wire: Wire
    path: str
    request: JsonObject | None
    status: int
    headers: dict[str, str]
    body: JsonValue
    sse: bytes

    @property
    def is_stream(self) -> bool:
        return bool(self.sse)

    def parsed_request(self) -> Request:
        """As the wire reads it; Gemini's model, and whether it streams, stand in the path."""
        assert self.request is not None
        if self.wire.name != "gemini":
            return self.wire.parse_request({"model": "a-model", **self.request})  # Azure's stands in the path
        found = _MODEL_IN_PATH.search(self.path)
        return self.wire.parse_request(
            dict(self.request), model=found[1] if found else "a-model", is_stream="stream" in self.path
        )

    def parsed_response(self) -> Response:
        assert isinstance(self.body, dict)
        return self.wire.parse_response(dict(self.body), maker=self.wire.name)


@cache
def recordings() -> tuple[Recording, ...]:
    """All of them, of generate operations; skips the test where there are none at all."""
    found = tuple(_read())
    if not found:
        pytest.skip(f"no recordings: neither below {DATA} nor of our own")
    return found


def _read() -> Iterator[Recording]:
    for path in (*sorted(DATA.glob("cassettes/*/*/*.json")), *sorted(OWN_EXCHANGES.rglob("*.json"))):
        value = msgspec.json.decode(path.read_bytes())
        name = WIRES_OF_FORMAT.get(str(value.get("format"))) if isinstance(value, dict) else None
        if name is not None and value.get("response"):
            yield _exchange("/".join(path.parts[-4:]), wire_named(name), value)
    for wire in WIRES:
        for path in sorted((CAPTURES / wire.name).iterdir()):
            if path.stem in ANSWERED:
                yield _captured(path, wire)


ANSWERED = {"text", "tools", "results", "image", "thinking", "signed", "structured", "error"}
"""What the project's own captures are of; the others are of operations that do not cross wires."""


def _exchange(name: str, wire: Wire, value: JsonObject) -> Recording:
    request, response = value.get("request") or {}, value["response"]
    assert isinstance(request, dict)
    assert isinstance(response, dict)
    headers = response.get("headers")
    body = request.get("body")
    return Recording(
        name=name,
        wire=wire,
        path=str(request.get("path") or ""),
        request=body if isinstance(body, dict) else None,
        status=int(str(response.get("status") or 200)),
        headers={key: str(each) for key, each in headers.items()} if isinstance(headers, dict) else {},
        body=response.get("body"),
        sse=_stream(response),
    )


def _captured(path: Path, wire: Wire) -> Recording:
    is_stream = path.suffix == ".sse"
    data = path.read_bytes()
    return Recording(
        name=f"captures/{wire.name}/{path.name}",
        wire=wire,
        path="",
        request=None,
        status=400 if path.stem == "error" and not is_stream else 200,
        headers={},
        body=None if is_stream else msgspec.json.decode(data),
        sse=data if is_stream else b"",
    )


def _stream(response: JsonObject) -> bytes:
    """Gemini without ``alt=sse`` streams a JSON array."""
    body = response.get("body")
    if isinstance(body, list) and "error" not in (body[0] if isinstance(body[0], dict) else {}):
        return msgspec.json.encode(body)
    return str(response.get("sse") or "").encode()


def own() -> list[Recording]:
    """What the project brings itself: always there, and always the same."""
    return [each for each in recordings() if "cassettes" not in each.name]


def requests() -> list[Recording]:
    """Those whose request the provider took."""
    return [each for each in recordings() if each.request is not None and each.status == 200]


def answers() -> list[Recording]:
    return [each for each in recordings() if isinstance(each.body, dict) and each.status == 200 and is_answer(each)]


def streams() -> list[Recording]:
    return [each for each in recordings() if each.sse and each.status == 200]


def pairs() -> list[tuple[Recording, Recording]]:
    """The same answer whole and streamed, of our own."""
    whole = {each.name.removesuffix(".json").removesuffix(".whole"): each for each in answers()}
    found = []
    for each in streams():
        stem = each.name.removesuffix(".sse").removesuffix(".json").removesuffix(".stream")
        if stem in whole and each.name.endswith((".sse", ".stream.json")):
            found.append((whole[stem], each))
    return found


def errors() -> list[Recording]:
    return [each for each in recordings() if each.status >= 400]


_ANSWERS = {"anthropic": "content", "openai_chat": "choices", "openai_responses": "output", "gemini": "candidates"}


def is_answer(recording: Recording) -> bool:
    """Not every success is one: some recordings are of an error inside a 200, or of another operation."""
    return isinstance(recording.body, dict) and _ANSWERS[recording.wire.name] in recording.body


def sampled(values: Sequence[T], number: int) -> Sequence[T]:
    """Evenly spread, always the same."""
    return values[:: max(1, len(values) // number)]


class Asked(NamedTuple):
    """A request that a command line client really sent."""

    name: str
    wire: Wire
    body: JsonObject
    model: str | None

    def parsed(self) -> Request:
        is_stream = True if self.wire.name == "gemini" else None
        return self.wire.parse_request(dict(self.body), model=self.model, is_stream=is_stream)


@cache
def cli_requests() -> tuple[Asked, ...]:
    """Of the captured clients, each body once."""
    found: dict[bytes, Asked] = {}
    for path in sorted(DATA.glob("cli-captures/*/*.json")):
        capture = msgspec.json.decode(path.read_bytes())
        sent = capture.get("requests") if isinstance(capture, dict) else None
        for request in sent if isinstance(sent, list) else []:
            asked = _asked(f"{path.parent.name}/{path.name}", request)
            if asked is not None:
                found.setdefault(msgspec.json.encode(asked.body), asked)
    return tuple(found.values())


def _asked(name: str, request: JsonValue) -> Asked | None:
    body = request.get("body") if isinstance(request, dict) else None
    if not isinstance(request, dict) or not isinstance(body, dict):
        return None
    route = str(request.get("path") or request.get("path_qs") or "")
    if "messages" in body and "/messages" in route and "count" not in route:
        return Asked(name, wire_named("anthropic"), body, None)
    if "messages" in body and "chat/completions" in route:
        return Asked(name, wire_named("openai_chat"), body, None)
    if "input" in body and "model" in body:
        return Asked(name, wire_named("openai_responses"), body, None)
    inner = body.get("request")
    if isinstance(inner, dict) and "contents" in inner and "enerateContent" in route:
        return Asked(name, wire_named("gemini"), inner, str(body.get("model") or "a-model"))
    model = _MODEL_IN_PATH.search(route)
    if "contents" in body and "enerateContent" in route:
        return Asked(name, wire_named("gemini"), body, model[1] if model else "a-model")
    return None
