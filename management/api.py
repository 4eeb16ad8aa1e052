"""``/v0/management``: who may, which route, and how a refusal is told. One table of routes, one document of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from aiohttp import web
from multidict import MultiDict

from management.editing import tree_of
from management.guard import Visitor, admit
from management.key_ring import HERE, SHORT_CHARACTERS, UNPROVED, KeyRing, Peer, hashed, is_hashed, network_of
from management.openapi import document
from management.panel import Panel
from management.refusal import Refusal
from management.resources import (
    adoption,
    auth_files,
    bulk,
    bundle,
    calls,
    client_keys,
    configuration,
    decisions,
    events,
    foreign,
    lists,
    logins,
    logs,
    maps,
    plugins,
    settings,
    standing,
    usage,
    vertex,
)
from management.resources.settings import value_at
from management.routes import PREFIX, Ask, Reply, Route, Table
from management.sieve import SieveFile
from management.state import State
from management.tally import Tally
from management.webhooks import Herald
from proxy.config.edit import Put, write_back
from proxy.config.load import digest_of, read
from proxy.config.reload import AT_START
from proxy.config.schema import Config
from proxy.errors import ConfigChanged, ConfigError

HASH_TRIES = 5
_TOLD = frozenset({401, 403, 429})
"""What is told in the log."""
_KEY_PLACE = ("remote-management", "secret-key")
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-CPA-COMMIT": "unknown",
    "X-CPA-BUILD-DATE": "unknown",
    "X-CPA-SUPPORT-PLUGIN": "false",
}
"""Panels of the other system look for the latter three."""


async def get_document(ask: Ask) -> Reply:
    return Reply(body=document(TABLE.routes, ask.state.version))


TABLE = Table(
    (
        *configuration.ROUTES,
        *adoption.ROUTES,
        *settings.ROUTES,
        *lists.ROUTES,
        *client_keys.ROUTES,
        *maps.ROUTES,
        *auth_files.ROUTES,
        *bulk.ROUTES,
        *logins.ROUTES,
        *vertex.ROUTES,
        *bundle.ROUTES,
        *calls.ROUTES,
        *foreign.ROUTES,
        *plugins.ROUTES,
        *standing.ROUTES,
        *usage.ROUTES,
        *logs.ROUTES,
        *decisions.ROUTES,
        *events.ROUTES,
        Route(
            method="GET",
            path="/openapi.json",
            handler=get_document,
            sentence="This document.",
            reply={"type": "object"},
        ),
    )
)


class Arrival(Protocol):
    """How a request came: `proxy.server.app.Arrival`."""

    @property
    def peer(self) -> Peer: ...

    @property
    def address(self) -> str: ...

    @property
    def is_local(self) -> bool: ...

    @property
    def request_id(self) -> str: ...

    @property
    def dressed(self) -> Callable[[web.StreamResponse], web.StreamResponse]: ...


class Management:
    """`follow` at the start, on the loop, and after each reload; `close` at the end."""

    def __init__(self, state: State) -> None:
        self._state = state
        sieves = SieveFile(state.store.folder, lambda why: state.log.warning("management.sieve_failed", why=why))
        self._ring = KeyRing(look=sieves.read, keep=sieves.keep)
        self._panel = Panel()
        self._tally = Tally(state.log)
        self._hashing: asyncio.Task[None] | None = None
        self._heralding: asyncio.Task[None] | None = None
        self._changing: set[asyncio.Task[web.StreamResponse]] = set()

    def follow(self, config: Config) -> None:
        """The key is what this says from now on. One that stands there in plain text is made a hash in the file."""
        key = config.remote_management.secret_key.reveal()
        if self._heralding is None:
            self._heralding = asyncio.create_task(Herald(self._state).run())
        if self._ring.use(stored=key, environment=self._state.password):
            self._warn_of(key, self._state.password)
            if self._ring.is_unproved:
                self._state.log.info("management.key_unproved", why=UNPROVED)
        if key and not is_hashed(key) and (self._hashing is None or self._hashing.done()):
            self._hashing = asyncio.create_task(self._hash(key))

    def _warn_of(self, *keys: str) -> None:
        for key in keys:
            if key and not is_hashed(key) and len(key) < SHORT_CHARACTERS:
                self._state.log.warning("management.key_short", characters=len(key), wanted=SHORT_CHARACTERS)

    async def close(self) -> None:
        if under_way := {*self._changing, *([self._hashing] if self._hashing is not None else [])}:
            await asyncio.wait(under_way)
        if self._heralding is not None:
            self._heralding.cancel()
            await asyncio.wait({self._heralding})
        self._ring.close()
        self._tally.close()
        await asyncio.to_thread(self._state.audit.close)

    def covers(self, path: str) -> bool:
        is_mine = path == PREFIX or path.startswith(PREFIX + "/") or self._panel.covers(path)
        return is_mine and self._ring.is_set

    async def answer(self, request: web.BaseRequest, arrival: Arrival) -> web.StreamResponse:
        try:
            visitor = Visitor(
                peer=arrival.peer,
                site=HERE if arrival.is_local else network_of(arrival.address),
                is_local=arrival.is_local,
                method=request.method,
                headers=request.headers,
            )
            allows_remote = self._state.config().remote_management.allow_remote or bool(self._state.password)
            if self._panel.covers(request.path):
                return self._panel.answer(request, visitor, allows_remote=allows_remote)
            await admit(visitor, self._ring, allows_remote=allows_remote)
            return await self._served(request, arrival)
        except Refusal as refusal:
            if refusal.status in _TOLD and not refusal.is_usual:
                self._tally.note(arrival.address, refusal.status, str(refusal))
            return self._told(Reply(status=refusal.status, body=refusal.body, headers=refusal.headers))
        except ConfigError as error:
            return self._told(Reply(status=500, body={"error": error.message}))
        except RecursionError:
            return self._told(Reply(status=400, body={"error": "invalid body: nested too deeply"}))

    async def _served(self, request: web.BaseRequest, arrival: Arrival) -> web.StreamResponse:
        route, parts = TABLE.find(request.method, request.path[len(PREFIX) :].rstrip("/"))
        ask = Ask(
            state=self._state,
            path=parts,
            query=MultiDict(request.query),
            request=request,
            peer=arrival.peer[0],
            request_id=arrival.request_id,
            dressed=arrival.dressed,
        )
        if not route.is_change:
            return await self._handled(route, ask)
        task = asyncio.create_task(self._handled(route, ask))
        self._changing.add(task)
        task.add_done_callback(self._changing.discard)
        return await asyncio.shield(task)  # a change that has begun is ended and noted, whoever still listens

    async def _handled(self, route: Route, ask: Ask) -> web.StreamResponse:
        reply = await route.handler(ask)
        if ask.changes or (route.is_change and route.is_noted):
            await asyncio.to_thread(
                self._state.audit.note,
                peer=ask.peer,
                request_id=ask.request_id,
                action=f"{route.method} {route.path}",
                status=reply.status,
                changes=ask.changes,
            )
        return self._told(_with_restart(reply, ask)) if isinstance(reply, Reply) else reply

    def _told(self, reply: Reply) -> web.Response:
        headers = {**_HEADERS, "X-CPA-VERSION": self._state.version, "Content-Type": reply.kind, **reply.headers}
        return web.Response(status=reply.status, body=reply.raw, headers=headers)

    async def _hash(self, key: str) -> None:
        """A file that cannot be written keeps its plain key, which the log says."""
        state = self._state
        try:
            stored = await asyncio.to_thread(hashed, key)
            async with state.writing:
                is_written = await asyncio.to_thread(_write_hash, state, key, stored)
        except ConfigError as error:
            state.log.warning("management.key_not_hashed", why=error.message, still="it works as it is")
            return
        if is_written:
            await self._ring.learn(key, stored)
            state.log.info("management.key_hashed", file=str(state.config_path))
            await asyncio.to_thread(
                state.audit.note, peer="", action="hash the management key", changes={"remote-management": "hashed"}
            )
            await state.reload()


def _with_restart(reply: Reply, ask: Ask) -> Reply:
    """A change that waits for the next start says so."""
    waiting = [name for name in ask.changes if name in AT_START]
    if not waiting or not isinstance(reply.body, dict):
        return reply
    return replace(reply, body={**reply.body, "restart-needed": waiting})


def _write_hash(state: State, key: str, stored: str) -> bool:
    """Whether the key still stood there in plain text. Raises `ConfigError`."""
    for _ in range(HASH_TRIES):
        raw = read(state.config_path) or b""
        if value_at(tree_of(raw, state.config_path.name), _KEY_PLACE) != key:
            return False
        try:
            write_back(state.config_path, [Put(_KEY_PLACE, stored)], digest=digest_of(raw))
        except ConfigChanged:
            continue
        return True
    raise ConfigError(f"{state.config_path}: is changed by somebody else again and again")
