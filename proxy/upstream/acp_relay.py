"""The way from an ACP CLI to its provider leads through here, and so does the way to its caller's tools.

What it asks goes on as it is, in the name of the account, if it is the one request that was just wanted of that
conversation: for that model, under those instructions. The answer goes to the caller as it comes, and to the CLI. What
the CLI asks about its account is answered here; whatever else it wants of the world, it does not get. Each process has
an address of its own that nobody guesses.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field, replace
from typing import cast

import msgspec
from aiohttp import web

from proxy.errors import Broken, UpstreamError
from proxy.hub.residue import JsonObject, JsonValue
from proxy.upstream.acp_conversation import Conversation
from proxy.upstream.acp_exchange import Exchange
from proxy.upstream.acp_profile import AcpProfile, Asked
from proxy.upstream.acp_script import Fate
from proxy.upstream.base import Call, Upstream
from proxy.upstream.cli_echo import body_of, echo

TOOLS = "tools"
BEAT_SECONDS = 60.0
"""While a call waits for the caller, the CLI hears that often that it is not forgotten: Node gives up after five
minutes of silence.
"""
_JSON = {"content-type": "application/json"}
_SSE = {"content-type": "text/event-stream"}


@dataclass(slots=True, eq=False)
class Line:
    """One process's way. `key`: of its address, and what it has for a token. `conversations`: by their own names;
    `tools`: by their keys.
    """

    key: str
    address: str
    project: str
    conversations: dict[str, Conversation] = field(default_factory=dict)
    tools: dict[str, Conversation] = field(default_factory=dict)

    def tools_address(self, conversation: Conversation) -> str:
        return f"{self.address}/{TOOLS}/{conversation.key}"


class AcpRelay:
    """`http`: by which requests go on."""

    def __init__(self, profile: AcpProfile, http: Upstream) -> None:
        self._profile = profile
        self._http = http
        self._lines: dict[str, Line] = {}
        self._server: asyncio.Server | None = None
        self._handlers: web.Server | None = None
        self._opening = asyncio.Lock()

    async def open(self, project: str) -> Line:
        async with self._opening:
            if self._server is None:
                self._handlers = web.Server(self._serve, auto_decompress=False, access_log=None)
                loop = asyncio.get_running_loop()
                self._server = await loop.create_server(self._handlers, "127.0.0.1", 0)
        key = secrets.token_hex(16)
        port = self._server.sockets[0].getsockname()[1]
        line = self._lines[key] = Line(key, f"http://127.0.0.1:{port}/{key}", project)
        return line

    def remove(self, line: Line) -> None:
        self._lines.pop(line.key, None)

    async def close(self) -> None:
        if self._server is not None and self._handlers is not None:
            self._server.close()
            await self._handlers.shutdown(0)
            await self._server.wait_closed()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        key, _, path = request.path.removeprefix("/").partition("/")
        line = self._lines.get(key)
        if line is None:
            return web.Response(status=404)
        place, _, name = path.partition("/")
        if place == TOOLS:
            return await _serve_tools(line.tools.get(name), request)
        if request.method == "POST" and path.endswith(self._profile.turn_path):
            return await self._turn(line, request)
        about = self._profile.about.get(path.rpartition(":")[2].rpartition("/")[2])
        if about is None:
            return web.Response(status=404)
        return web.Response(body=msgspec.json.encode(about(line.project)), headers=_JSON)

    # a turn

    async def _turn(self, line: Line, request: web.BaseRequest) -> web.StreamResponse:
        body = await body_of(request)
        try:
            asked = self._profile.asked(body, request.headers)
        except ValueError:
            return self._refused("this cannot be read")
        conversation = line.conversations.get(asked.conversation)
        expected = None if conversation is None else conversation.taken()
        match expected:
            case bytes():
                return web.Response(body=expected, headers=_SSE)
            case Exchange():
                assert conversation is not None
                return await self._handed_on(conversation, expected, asked, body, request)
            case Fate.IS_REFUSED:
                return self._refused("the caller has said more")
            case _:
                if conversation is not None:
                    conversation.let_go()  # it goes on by itself: it has answered a call that was its caller's
                return self._refused("nobody has asked for this")

    async def _handed_on(
        self, conversation: Conversation, exchange: Exchange, asked: Asked, body: bytes, request: web.BaseRequest
    ) -> web.StreamResponse:
        why = self._fault(conversation, asked)
        if why is not None:
            conversation.let_go()
            exchange.fail(Broken(f"the {self._profile.cli.name} CLI was stopped: {why}"))
            return self._refused(why)
        call = exchange.call
        headers = self._headers(request, call)
        sent = replace(call, method="POST", url=self._profile.address(call), headers=headers, body=body)
        try:
            answer = await self._http.send(sent)
        except UpstreamError as error:
            exchange.fail(error)
            return self._refused("the provider did not answer")
        exchange.begin(answer)
        if not 200 <= answer.status < 300:
            return self._refused("the answer went to whoever asked")
        return await echo(exchange, answer, request)

    def _fault(self, conversation: Conversation, asked: Asked) -> str | None:
        """Why this is not what the caller wants."""
        if asked.model != self._profile.spelled.get(conversation.model, conversation.model):
            return f"it asks {asked.model} where {conversation.model} is asked"
        if asked.instructions != conversation.instructions:
            return "it asks under other instructions than the caller's"
        strange = asked.tools - {f"{self._profile.prefix}{tool['name']}" for tool in conversation.tools}
        return f"it offers tools of its own: {', '.join(sorted(strange))}" if strange else None

    def _headers(self, request: web.BaseRequest, call: Call) -> tuple[tuple[str, str], ...]:
        """Its own, in their order; those of the account are the call's, those of the connection made anew
        (`proxy.upstream.headers`).
        """
        account = self._profile.account_headers
        own = [each for each in request.headers.items() if each[0].lower() not in account]
        return (*own, *(each for each in call.headers if each[0].lower() in account))

    def _refused(self, why: str) -> web.Response:
        status = self._profile.final_status
        return web.Response(status=status, body=self._profile.refusal(status, why), headers=_JSON)


# the caller's tools, as MCP has them (streamable HTTP)


class _Message(msgspec.Struct):
    method: str = ""
    id: int | str | None = None
    params: dict[str, object] = {}


async def _serve_tools(conversation: Conversation | None, request: web.BaseRequest) -> web.StreamResponse:
    if conversation is None:
        return web.Response(status=404)
    if request.method != "POST":
        return web.Response(status=405)
    try:
        message = msgspec.json.decode(await body_of(request), type=_Message)
    except ValueError:
        return web.Response(status=400)
    if message.id is None:
        return web.Response(status=202)
    if message.method == "tools/call":
        return await _call(conversation, message, request)
    told = conversation.served(message.method, message.params)
    return web.Response(body=_reply(message, told), headers=_JSON)


async def _call(conversation: Conversation, message: _Message, request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers=_SSE)
    arguments = cast("JsonValue", message.params.get("arguments"))
    coming = asyncio.ensure_future(conversation.carry_out(str(message.params.get("name")), arguments))
    try:
        await response.prepare(request)
        while not (await asyncio.wait([coming], timeout=BEAT_SECONDS))[0]:
            await response.write(b": waiting\n\n")
        await response.write(b"event: message\ndata: %b\n\n" % _reply(message, coming.result()))
        await response.write_eof()
    except ConnectionError:
        pass  # the process has ended
    finally:
        coming.cancel()
    return response


def _reply(message: _Message, result: JsonObject) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": message.id, "result": result})
