"""One process of Claude Code, which holds one conversation: stream-json and the control protocol over its pipes.

It is parked before ``initialize``: which system prompt, tools and model it serves is said when it is claimed. After an
answer that calls tools it waits, in the middle of its turn, for us to give the results; the caller may take minutes for
them. What is said and read is in `claude_request` and `claude_lines`; here are only pipes and waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from auth.cli.process import CliProcess, Ended
from proxy.errors import Broken, Unreachable, UpstreamError
from proxy.hub.residue import JsonObject, JsonValue
from proxy.upstream.claude_lines import End, Fault, Frame, Line, Told, Turn, limit_headers, read_line
from proxy.upstream.claude_request import (
    SERVER,
    TOOL_NAME,
    ClaudeRequest,
    beginning,
    follows,
    line,
    results,
    settings,
    tool_answer,
)
from proxy.upstream.cli_traces import CliTraces, resident_bytes
from proxy.upstream.egress import by_way_of

FLAGS = (
    "-p",
    "--input-format", "stream-json",
    "--output-format", "stream-json",
    "--verbose",
    "--include-partial-messages",
    "--tools", "",
    "--strict-mcp-config",
    "--setting-sources", "",
    "--disable-slash-commands",
    "--no-session-persistence",
    "--permission-prompt-tool", "stdio",
    "--allowedTools", TOOL_NAME,
)  # fmt: skip
"""No tool of its own, no MCP server, settings, command or memory of the machine's, nothing written down."""
ENVIRONMENT: Mapping[str, str] = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    # Only what the caller has asked for goes into a request.
    "CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS": "1",
    "CLAUDE_CODE_EFFORT_LEVEL": "auto",
    "ENABLE_TOOL_SEARCH": "false",
    "CLAUDE_AGENT_SDK_DISABLE_BUILTIN_AGENTS": "1",
    "CLAUDE_CODE_DISABLE_FILE_MENTIONS": "1",
    "CLAUDE_CODE_DISABLE_ATTACHMENTS": "1",
    "CLAUDE_CODE_DISABLE_CLAUDE_MDS": "1",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_LEGACY_MODEL_REMAP": "1",
    # Who is asked next is decided here, and a conversation is as long as its caller says.
    "CLAUDE_CODE_MAX_RETRIES": "0",
    "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
    "CLAUDE_CODE_DISABLE_REFUSAL_RETRY": "1",
    "CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK": "1",
    "CLAUDE_CODE_DISABLE_MODEL_ACCESS_FALLBACK": "1",
    "DISABLE_COMPACT": "1",
    "DISABLE_AUTO_COMPACT": "1",
    # Callers take their time, and their results are as long as they are.
    "MCP_TOOL_TIMEOUT": "86400000",
    "MAX_MCP_OUTPUT_TOKENS": "100000000",
    "CLAUDE_CODE_SKIP_MCP_DEBUG_LOG_FILES": "1",
}  # fmt: skip

_encode = msgspec.json.encode


def variables(config: Mapping[str, str], work: Path, proxy_url: str) -> dict[str, str]:
    """`config`: leads to its home. `work`: for its temporary files. `proxy_url`: http(s), or empty."""
    egress = by_way_of(proxy_url) if proxy_url else {}
    return {**ENVIRONMENT, **config, **egress, "TMPDIR": str(work), "CLAUDE_CODE_TMPDIR": str(work)}


class Asked:
    """One request under way. `told` gives what comes, until a `Fault` or an `End` came or an error is raised."""

    def __init__(self, request: ClaudeRequest) -> None:
        self.turn = Turn(request.tool_names)
        self.is_over = False
        self._queue: asyncio.Queue[Told | UpstreamError] = asyncio.Queue()
        self._held: list[Told | UpstreamError] = []

    def put(self, told: Told | UpstreamError) -> None:
        if not self.is_over:
            self.is_over = isinstance(told, Fault | End | UpstreamError)
            self._queue.put_nowait(told)

    async def told(self) -> Told:
        """Raises `Broken` when the CLI is gone."""
        told = self._held.pop() if self._held else await self._queue.get()
        if isinstance(told, UpstreamError):
            raise told
        return told

    def frame_at_once(self) -> Frame | None:
        """The next, if it is there and a frame."""
        if self._held or self._queue.empty():
            return None
        told = self._queue.get_nowait()
        if isinstance(told, Frame):
            return told
        self._held.append(told)
        return None


class ClaudeProcess:
    """A `proxy.upstream.cli_worker.Worker`. `on_limits`: told what the provider said of the account's usage windows."""

    def __init__(
        self, process: CliProcess, *, work: Path, traces: CliTraces, on_limits: Callable[[Mapping[str, str]], None]
    ) -> None:
        self._process = process
        self._work = work
        self._traces = traces
        self._on_limits = on_limits
        self._serial = 0
        self._replies: dict[str, asyncio.Future[None]] = {}
        self._calls: dict[str, tuple[str, JsonValue]] = {}
        """By id of the tool's use: the CLI's request, and its number in the tool protocol."""
        self._results: Mapping[str, JsonObject] = {}
        self._settings: JsonObject = {}
        self._asked: Asked | None = None
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._failure: UpstreamError | None = None
        self._reading = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._failure is None

    def memory_bytes(self) -> int:
        return resident_bytes(self.pid)

    def forget(self, note: object) -> None:
        """With its conversation the process is done, too."""

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.wait([self._reading])
        self._fail(Broken("the Claude Code process was ended", code="cut"))
        await self._process.close()
        self._traces.remove(self._work)

    async def begin(self, request: ClaudeRequest) -> Asked:
        """The first request of a conversation. Raises an `UpstreamError`."""
        await self._control("initialize", beginning(request))
        await self._set(request)
        *past, last = request.messages
        for message in past:
            await self._say(message, request.model)
        return await self._ask(request, last)

    async def go_on(self, request: ClaudeRequest, said: int, calls: Iterable[str]) -> Asked:
        """The next one. `said`: so many of its messages the CLI knows. `calls`: ids of those whose results it waits
        for. Raises an `UpstreamError`.
        """
        (message,) = follows(said, request)
        wanted = frozenset(calls)
        if wanted:
            found = results(message, wanted)
            assert found is not None, "whoever goes on has looked whether it can"
            await self._set(request)
            asked = self._asked = Asked(request)
            self._results = found
            for call_id in wanted & self._calls.keys():
                self._answer_call(call_id)
            return asked
        await self._wait_until_idle()
        await self._set(request)
        return await self._ask(request, message)

    def interrupt(self) -> None:
        """The request to the provider is given up at once."""
        self._serial += 1
        self._tell({"subtype": "interrupt"}, f"r{self._serial}")

    # what is said

    async def _ask(self, request: ClaudeRequest, message: Mapping[str, JsonValue]) -> Asked:
        asked = self._asked = Asked(request)
        self._is_idle.clear()
        await self._write(line(message, request.model, is_last=True))
        return asked

    async def _say(self, message: Mapping[str, JsonValue], model: str) -> None:
        """A part of the history."""
        is_heard = message["role"] == "user"
        if is_heard:
            self._is_idle.clear()
        await self._write(line(message, model, is_last=False))
        if is_heard:
            await self._wait_until_idle()

    async def _set(self, request: ClaudeRequest) -> None:
        wanted = settings(request)
        if wanted != self._settings:
            await self._control("apply_flag_settings", {"settings": wanted})
            self._settings = wanted

    async def _wait_until_idle(self) -> None:
        await self._is_idle.wait()
        if self._failure is not None:
            raise self._failure

    async def _control(self, name: str, parameters: JsonObject) -> None:
        self._serial += 1
        serial = f"r{self._serial}"
        reply = self._replies[serial] = asyncio.get_running_loop().create_future()
        try:
            if self._failure is not None:
                raise self._failure
            await self._write(_control_request(serial, {"subtype": name, **parameters}))
            await reply
        finally:
            self._replies.pop(serial, None)

    async def _write(self, message: Mapping[str, JsonValue]) -> None:
        try:
            await self._process.write(_encode(message) + b"\n")
        except Ended as error:
            raise self._fail(Broken(f"Claude Code ended: {error}", code="cut")) from error

    def _tell(self, request: JsonObject, serial: str) -> None:
        self._process.tell(_encode(_control_request(serial, request)) + b"\n")

    def _reply(self, serial: str, response: JsonObject | None) -> None:
        """None: what it asks for is not offered."""
        told: JsonObject = {"subtype": "error", "request_id": serial, "error": "not offered"}
        if response is not None:
            told = {"subtype": "success", "request_id": serial, "response": response}
        self._process.tell(_encode({"type": "control_response", "response": told}) + b"\n")

    # what is heard

    async def _read(self) -> None:
        try:
            while True:
                heard = read_line(await self._process.line())
                if heard is not None:
                    self._take(heard)
        except Ended as error:
            self._fail(Broken(f"Claude Code ended: {error}", code="cut"))

    def _take(self, heard: Line) -> None:
        match heard.type:
            case "control_response":
                self._settle(heard.response)
            case "control_request":
                self._serve(heard.request_id, heard.request)
            case "rate_limit_event":
                self._on_limits(limit_headers(heard.rate_limit_info))
            case "system" if heard.subtype == "init" and (more := heard.offers - {TOOL_NAME, SERVER}):
                self.interrupt()
                self._fail(Broken(f"Claude Code would have used what nobody asked for: {sorted(more)}", code="unsafe"))
            case _:
                self._hear(heard)

    def _hear(self, heard: Line) -> None:
        asked = self._asked
        if asked is None:
            if heard.type == "stream_event":
                self.interrupt()
                self._fail(Broken("Claude Code asked the provider by itself", code="unsafe"))
        else:
            for told in asked.turn.feed(heard):
                if isinstance(told, End | Fault):
                    self._asked = None
                    if told.is_going_on:
                        self._process.kill()  # a word would come too late: it asks within a millisecond
                asked.put(told)
        if heard.type == "result":
            self._is_idle.set()

    def _settle(self, response: Mapping[str, JsonValue]) -> None:
        reply = self._replies.get(str(response.get("request_id")))
        if reply is None or reply.done():
            return
        if response.get("subtype") == "success":
            reply.set_result(None)
        else:
            why = str(response.get("error", "it did not say why"))
            reply.set_exception(Unreachable(f"Claude Code refused to begin: {why[:300]}", code="cli_refused"))

    def _serve(self, serial: str, request: Mapping[str, JsonValue]) -> None:
        """What the CLI asks of us: the tools' protocol, and nothing else."""
        message = request.get("message")
        if request.get("subtype") != "mcp_message" or not isinstance(message, dict):
            self._reply(serial, None)
            return
        given = message.get("params")
        params = given if isinstance(given, dict) else {}
        if message.get("method") == "tools/call":
            meta = params.get("_meta")
            call_id = str(meta.get("claudecode/toolUseId")) if isinstance(meta, dict) else ""
            self._calls[call_id] = (serial, message.get("id"))
            if call_id in self._results:
                self._answer_call(call_id)
            return
        self._reply(serial, _in_tool_protocol(message.get("id"), tool_answer(str(message.get("method")), params)))

    def _answer_call(self, call_id: str) -> None:
        serial, number = self._calls.pop(call_id)
        self._reply(serial, _in_tool_protocol(number, self._results[call_id]))

    def _fail(self, error: UpstreamError) -> UpstreamError:
        """From now on it is of no use."""
        if self._failure is None:
            self._failure = error
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(self._failure)
        if self._asked is not None:
            self._asked.put(self._failure)
            self._asked = None
        self._is_idle.set()
        return self._failure


def _control_request(serial: str, request: JsonObject) -> JsonObject:
    return {"type": "control_request", "request_id": serial, "request": request}


def _in_tool_protocol(number: JsonValue, result: JsonObject) -> JsonObject:
    return {"mcp_response": {"jsonrpc": "2.0", "id": 0 if number is None else number, "result": result}}
