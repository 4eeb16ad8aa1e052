"""Speaking to a CLI in JSON lines: requests with an id and their answers, and what it says unasked.

Three CLIs, three envelopes around the same thing: Claude Code's control protocol, Codex's app-server (JSON-RPC without
the member that says so) and the Agent Client Protocol (JSON-RPC 2.0).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

import msgspec

from auth.cli.process import CliProcess, Ended
from auth.document import JsonValue

REPLY_SECONDS_MAX = 60.0
"""Node CLIs need seconds to start; none takes this long for an answer that waits for nobody."""


class Refusal(Exception):
    """The CLI answered with an error; the message is its own."""


@dataclass(frozen=True, slots=True)
class Reply:
    id: str
    result: Mapping[str, JsonValue]
    error: str | None = None


class Envelope(Protocol):
    def ask(self, serial: str, name: str, params: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]: ...

    def reply(self, message: Mapping[str, JsonValue]) -> Reply | None:
        """None: no answer to a request of ours."""
        ...

    def refusal(self, message: Mapping[str, JsonValue]) -> Mapping[str, JsonValue] | None:
        """To what it asks of us, and None if it asks nothing: a login needs nothing of ours, so it gets nothing."""
        ...


class ControlProtocol:
    """Claude Code: ``-p --input-format stream-json --output-format stream-json``."""

    def ask(self, serial: str, name: str, params: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        return {"type": "control_request", "request_id": serial, "request": {"subtype": name, **params}}

    def reply(self, message: Mapping[str, JsonValue]) -> Reply | None:
        if message.get("type") != "control_response":
            return None
        body = _object(message.get("response"))
        error = str(body.get("error", "")) if body.get("subtype") != "success" else None
        return Reply(str(body.get("request_id")), _object(body.get("response")), error)

    def refusal(self, message: Mapping[str, JsonValue]) -> Mapping[str, JsonValue] | None:
        if message.get("type") != "control_request":
            return None
        no: JsonValue = {"subtype": "error", "request_id": message.get("request_id"), "error": "not offered"}
        return {"type": "control_response", "response": no}


@dataclass(frozen=True, slots=True)
class JsonRpc:
    """`stamp`: the members that every message carries besides."""

    stamp: Mapping[str, JsonValue] = field(default_factory=dict)

    def ask(self, serial: str, name: str, params: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        return {**self.stamp, "id": serial, "method": name, "params": dict(params)}

    def reply(self, message: Mapping[str, JsonValue]) -> Reply | None:
        if "method" in message or "id" not in message:
            return None
        error = message.get("error")
        return Reply(str(message["id"]), _object(message.get("result")), None if error is None else _told(error))

    def refusal(self, message: Mapping[str, JsonValue]) -> Mapping[str, JsonValue] | None:
        if "method" not in message or "id" not in message:
            return None
        no: JsonValue = {"code": -32601, "message": "not offered"}
        return {**self.stamp, "id": message["id"], "error": no}


APP_SERVER = JsonRpc()
AGENT_CLIENT = JsonRpc({"jsonrpc": "2.0"})


class Dialogue:
    """`on_event` is called with every message that is no answer and asks nothing; `on_request` with what the CLI asks
    of us: True, if that is answered later (by `tell`); whatever else it asks is refused; `on_end` when it is gone.
    Lines that are no JSON objects are passed over: Node programs print warnings where they should not.
    """

    def __init__(
        self,
        process: CliProcess,
        envelope: Envelope,
        *,
        on_event: Callable[[Mapping[str, JsonValue]], None] = lambda _: None,
        on_request: Callable[[Mapping[str, JsonValue]], bool] = lambda _: False,
        on_end: Callable[[Ended], None] = lambda _: None,
    ) -> None:
        self._process = process
        self._envelope = envelope
        self._on_event = on_event
        self._on_request = on_request
        self._on_end = on_end
        self._pending: dict[str, asyncio.Future[Reply]] = {}
        self._serial = 0
        self._ended: Ended | None = None
        self._reading = asyncio.create_task(self._read())

    async def ask(
        self, name: str, params: Mapping[str, JsonValue] | None = None, *, seconds: float | None = REPLY_SECONDS_MAX
    ) -> Mapping[str, JsonValue]:
        """`seconds`: None for an answer that waits for a human. Raises `Refusal`, `Ended`, `TimeoutError`."""
        if self._ended is not None:
            raise self._ended
        self._serial += 1
        serial = f"r{self._serial}"
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._pending[serial] = answer
        try:
            await self._send(self._envelope.ask(serial, name, params or {}))
            async with asyncio.timeout(seconds):
                reply = await answer
        finally:
            self._pending.pop(serial, None)
        if reply.error is not None:
            raise Refusal(reply.error)
        return reply.result

    async def tell(self, message: Mapping[str, JsonValue]) -> None:
        """A message that nobody answers. Raises `Ended`."""
        await self._send(message)

    @property
    def is_over(self) -> bool:
        return self._ended is not None

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.wait([self._reading])
        await self._process.close()

    async def _send(self, message: Mapping[str, JsonValue]) -> None:
        await self._process.write(msgspec.json.encode(message) + b"\n")

    async def _read(self) -> None:
        try:
            while True:
                await self._take(await self._process.line())
        except Ended as error:
            self._ended = error
            for answer in self._pending.values():
                if not answer.done():
                    answer.set_exception(error)
                    answer.exception()  # whoever asked may not have come to wait for it
            self._on_end(error)

    async def _take(self, line: bytes) -> None:
        message: object = None
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            message = msgspec.json.decode(line)
        if not isinstance(message, dict):
            return
        reply = self._envelope.reply(message)
        if reply is not None:
            answer = self._pending.get(reply.id)
            if answer is not None and not answer.done():
                answer.set_result(reply)
        elif (refusal := self._envelope.refusal(message)) is not None:
            if not self._on_request(message):
                await self._send(refusal)
        else:
            self._on_event(message)


def _told(error: JsonValue) -> str:
    """Some say what it was only in the details."""
    details = _object(_object(error).get("data")).get("details")
    return ": ".join(each for each in (str(_object(error).get("message", error)), details) if isinstance(each, str))


def _object(value: object) -> Mapping[str, JsonValue]:
    return cast("Mapping[str, JsonValue]", value) if isinstance(value, dict) else {}
