"""Whatever a client sends to whichever route: it is answered, in time, and every error stands in an envelope.

The server is a real one, in front of simulated accounts of each format; requests go over a real socket.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from auth.pool import Pool
from proxy.config.schema import Config, Streaming
from proxy.dispatch.clock import Clock
from proxy.dispatch.failover import Dispatcher
from proxy.dispatch.snapshot import Snapshot
from proxy.providers.sandbox import CREDENTIALS, PROVIDERS, Sandbox
from proxy.server.connection import Patience
from proxy.server.routes import endpoints
from tests.proxy.server.conftest import House

SECONDS_MAX = 20
PLACES_DEPTH = 12
EXAMPLES = 250
MODELS = ["sandbox-claude", "sandbox-gpt", "sandbox-gemini", "sandbox-chat", "nobody-serves-this", "gpt-5.5(high)"]
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]
CONTENT_TYPES = [
    "application/json", "application/json; charset=latin-1", "text/plain", "", "application/x-www-form-urlencoded",
    "multipart/form-data", "multipart/form-data; boundary=b", "application/vnd.x+json", "a" * 3000, "\xff",
]  # fmt: skip
ENCODINGS = [None, None, None, None, "gzip", "zstd", "br", "deflate", "identity", "gzip, gzip", "snappy"]
PREFIXES = ["", "", "", "/v1", "/openai", "/anthropic", "/api", "//", "/v1beta/../v1", "/%2e%2e"]
_HOLE = re.compile(r"\{\w+\}")

TOOL = {
    "name": "look",
    "description": "looks",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
}
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
BODIES: Mapping[str, Any] = {
    "chat": {
        "model": "sandbox-claude", "stream": False, "max_tokens": 10, "temperature": 0.5, "stop": ["x"], "n": 1,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "Hi"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            ]},
            {"role": "assistant", "content": None,
             "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a tree"},
        ],
        "tools": [{"type": "function", "function": TOOL}], "tool_choice": "auto", "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
    },
    "responses": {
        "model": "sandbox-gemini", "stream": False, "instructions": "Be brief.", "store": False,
        "max_output_tokens": 10,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "abc"},
            {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "a tree"},
        ],
        "tools": [{"type": "function", **TOOL}, {"type": "web_search"}], "reasoning": {"effort": "low"},
        "text": {"format": {"type": "text"}}, "include": ["reasoning.encrypted_content"], "previous_response_id": None,
    },
    "messages": {
        "model": "sandbox-gpt", "stream": False, "max_tokens": 10, "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                                              {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "a tree"}]},
        ],
        "tools": [{"name": "look", "input_schema": {"type": "object"}}], "tool_choice": {"type": "auto"},
        "thinking": {"type": "enabled", "budget_tokens": 1024}, "stop_sequences": ["x"], "metadata": {"user_id": "u"},
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}, {"inlineData": {"mimeType": "image/png", "data": PIXEL}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}, "thoughtSignature": "c2ln"}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {"result": "a tree"}}}]},
        ],
        "tools": [{"functionDeclarations": [TOOL]}], "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
        "generationConfig": {"maxOutputTokens": 10, "thinkingConfig": {"thinkingBudget": 100}, "stopSequences": ["x"]},
    },
    "envelope": {
        "model": "sandbox-gpt", "project": "p",
        "request": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "session_id": "s"},
    },
    "side": {"model": "sandbox-gpt", "input": "Hi", "prompt": "Hi", "query": "Hi", "documents": ["a"], "content": {}},
}  # fmt: skip
OF_PATH = (
    ("chat/", "chat"),
    ("responses", "responses"),
    ("messages", "messages"),
    ("v1beta", "gemini"),
    ("v1internal", "envelope"),
)
"""What is a good body there; elsewhere `side`."""
BIT = [
    None, True, False, 0, -1, 1.5, 10**30, 1e308, "", "x", "ä\u2028", "\ud800", "{}", "x" * 5000, [], {}, [[]], [None],
    {"type": "nobody-knows"}, {"type": None}, [{"type": "text"}], {"$ref": "#"}, "data:image/png;base64,!", "auto",
]  # fmt: skip


@dataclass(frozen=True)
class Sent:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def deep(levels: int, leaf: Any = 1) -> Any:
    for number in range(levels):
        leaf = [leaf] if number % 2 else {"a": leaf}
    return leaf


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if len(path) >= PLACES_DEPTH:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def put(body: Any, path: tuple[Any, ...], value: Any, how: str) -> Any:
    """With one place changed."""
    if not path:
        return value
    key = path[0]
    body = dict(body) if isinstance(body, dict) else list(body)
    if len(path) > 1:
        body[key] = put(body[key], path[1:], value, how)
    elif how == "gone":
        del body[key]
    elif how == "twice" and isinstance(body, list):
        body.insert(key, body[key])
    else:
        body[key] = value
    return body


def encoded(value: Any) -> bytes:
    """Lone surrogates as clients send them: as escapes."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, RecursionError):
        return b'{"model":"sandbox-gpt","messages":[{"role":"user","content":"\\ud800"}],"input":"\\udc00"}'


@st.composite
def bodies(draw: st.DrawFn, path: str) -> bytes:
    good = BODIES[next((name for mark, name in OF_PATH if mark in path), "side")]
    good = {**good, **({"model": draw(st.sampled_from(MODELS))} if "model" in good else {})}
    if "stream" in good:
        good["stream"] = draw(st.booleans())
    for _ in range(draw(st.integers(0, 3))):
        where = draw(st.sampled_from([*places(good)]))
        value = draw(st.sampled_from([*BIT, deep(150), deep(260), deep(900)]))
        good = put(good, where, value, draw(st.sampled_from(["put", "put", "gone", "twice"])))
    data = encoded(good)
    match draw(st.sampled_from(["whole"] * 8 + ["cut", "noise", "empty", "deep", "twins", "flip"])):
        case "cut":
            return data[: draw(st.integers(0, len(data)))]
        case "noise":
            return draw(st.binary(max_size=200))
        case "empty":
            return b""
        case "deep":
            return b'{"model":"sandbox-gpt","input":' + b"[" * draw(st.sampled_from([300, 5000, 200_000]))
        case "twins":
            return data[:-1] + b',"model":"other"}' if data.startswith(b"{") else data
        case "flip":
            at = draw(st.integers(0, max(0, len(data) - 1)))
            return data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
        case _:
            return data


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    method, label = draw(st.sampled_from([*map(str.split, endpoints())]))[:2]
    path = draw(st.sampled_from(PREFIXES)) + _HOLE.sub(
        draw(st.sampled_from([*MODELS, "resp_1", "a/b", "%00", "x" * 300])), label
    )
    if draw(st.integers(0, 9)) == 0:
        method = draw(st.sampled_from(METHODS))
    body = draw(bodies(path)) if method in {"POST", "PUT", "PATCH"} else b""
    headers = {"Content-Type": "application/json"}
    if draw(st.integers(0, 7)) == 0:
        headers["Content-Type"] = draw(st.sampled_from(CONTENT_TYPES))
    encoding = draw(st.sampled_from(ENCODINGS))
    if encoding is not None:
        headers["Content-Encoding"] = encoding
        body = gzip.compress(body, mtime=0) if encoding == "gzip" and draw(st.booleans()) else body
    for name in draw(
        st.lists(
            st.sampled_from(["anthropic-version", "x-proxy-strict", "x-proxy-effort", "x-claude-code"]), max_size=2
        )
    ):
        headers[name] = draw(st.sampled_from(["1", "high", "", "2023-06-01"]))
    query = draw(
        st.sampled_from(["", "", "", "?alt=sse", "?beta=true", "?client_version=1", "?key=%ff", "?stream=true"])
    )
    return Sent(method, path + query, {name: value for name, value in headers.items() if value}, body)


class Visitor:
    """Its own loop, so that hypothesis need not know of it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self._open())

    async def _open(self) -> None:
        config = Config(streaming=Streaming(keepalive_seconds=5), request_retry=0, max_retry_interval=0)
        snapshot = Snapshot.of(config, providers=PROVIDERS, credentials=CREDENTIALS)
        self.sandbox = Sandbox(pace_seconds=0)
        self.house = House(config, Patience(), "127.0.0.1")
        self.house.app.dispatcher = Dispatcher(
            snapshot=lambda: snapshot, upstreams={"sandbox": self.sandbox}, pool=Pool(), clock=Clock()
        )
        await self.house.listener.open()
        self.session = aiohttp.ClientSession(auto_decompress=False)

    def send(self, sent: Sent) -> tuple[int, Mapping[str, str], bytes]:
        return self.loop.run_until_complete(self._send(sent))

    async def _send(self, sent: Sent) -> tuple[int, Mapping[str, str], bytes]:
        async with asyncio.timeout(SECONDS_MAX):
            async with self.session.request(
                sent.method,
                URL(self.house.url + sent.path, encoded=True),
                data=sent.body or None,
                headers=dict(sent.headers),
                skip_auto_headers=["Content-Type", "Accept-Encoding"],
                allow_redirects=False,
            ) as response:
                return response.status, response.headers, await response.read()

    def close(self) -> None:
        async def end() -> None:
            await self.session.close()
            await self.house.listener.close()
            await self.sandbox.close()

        self.loop.run_until_complete(end())
        self.loop.close()


@pytest.fixture(scope="module")
def visitor() -> Iterator[Visitor]:
    visitor = Visitor()
    yield visitor
    visitor.close()


def check(visitor: Visitor, sent: Sent) -> None:
    before = len(visitor.house.written.getvalue())
    status, headers, body = visitor.send(sent)
    log = visitor.house.written.getvalue()[before:]
    assert b"request.failed" not in log, (sent, log.decode())
    assert b"internal_error" not in body, (sent, body)
    assert headers.get("X-Request-ID"), sent
    if status < 400 or sent.method == "HEAD":
        return
    assert headers["Content-Type"].startswith("application/json"), (sent, status)
    told = msgspec.json.decode(body)
    told = told[0] if isinstance(told, list) else told
    assert isinstance(told["error"], dict), (sent, body)
    assert told["error"]["message"], (sent, body)


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(sent=requests())
def test_everything_is_answered_in_an_envelope(visitor: Visitor, sent: Sent) -> None:
    check(visitor, sent)


@pytest.mark.parametrize("levels", [100, 199, 260, 900, 3000, 100_000])
@pytest.mark.parametrize("name", ["chat", "responses", "messages", "gemini"])
def test_however_deep(visitor: Visitor, name: str, levels: int) -> None:
    """In a place that every format has to read, or carries along unread."""
    paths = {
        "chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages",
        "gemini": "/v1beta/models/sandbox-claude:generateContent",
    }  # fmt: skip
    nested = b"[" * levels + b"]" * levels
    body = msgspec.json.encode(BODIES[name])
    for place in (b'"x":', b'"tools":', b'"messages":', b'"input":', b'"contents":', b'"metadata":'):
        sent = Sent("POST", paths[name], {"Content-Type": "application/json"}, body[:-1] + b"," + place + nested + b"}")
        check(visitor, sent)


ENDS = {"response.completed", "response.incomplete", "response.failed", "error", "response.steer.failed"}


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """To the WebSocket of the Responses API."""
    data = draw(bodies("/v1/responses"))
    if data.startswith(b"{") and draw(st.integers(0, 9)):
        said = {"type": draw(st.sampled_from(["response.create"] * 6 + ["response.steer", "nobody-knows", 7]))}
        more = draw(
            st.sampled_from([{}, {}, {"stream_id": "a"}, {"stream_id": 7}, {"generate": False}, {"background": 1}])
        )
        data = msgspec.json.encode({**said, **more})[:-1] + b"," + data[1:]
    return data


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=[*HealthCheck])
@given(said=messages())
def test_each_message_on_a_websocket_is_answered(visitor: Visitor, said: bytes) -> None:
    before = len(visitor.house.written.getvalue())

    async def converse() -> None:
        url = f"{visitor.house.url}/v1/responses"
        async with asyncio.timeout(SECONDS_MAX), visitor.session.ws_connect(url) as socket:
            await socket.send_frame(said, aiohttp.WSMsgType.TEXT)
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                event = msgspec.json.decode(message.data)
                if event["type"] in ENDS:
                    assert event["type"] != "error" or event["error"]["message"], said
                    return
            assert message.type is aiohttp.WSMsgType.CLOSE, said
            assert message.data == aiohttp.WSCloseCode.INVALID_TEXT, said

    visitor.loop.run_until_complete(converse())
    log = visitor.house.written.getvalue()[before:]
    assert b"request.failed" not in log, (said, log.decode())
    assert b"internal_error" not in log, (said, log.decode())
