"""The configuration as a whole, as JSON and as the file's own text; its schema; version and health of the server."""

from __future__ import annotations

import asyncio
from typing import cast

from management.editing import replace
from management.masking import Masked
from management.refusal import Refusal, invalid
from management.routes import ANY, YAML, Ask, Reply, Route, Schema
from management.state import State
from proxy.config.json_schema import json_schema
from proxy.config.load import digest_of, parse, read
from proxy.errors import ConfigError


async def get_config(ask: Ask) -> Reply:
    """What is in force. Its ETag is the file's, for ``If-Match`` of any change: none where the file says otherwise."""
    state = ask.state
    before = await _digest(state)
    await state.reload()
    is_the_file = before is not None and state.reload_error() is None and before == await _digest(state)
    return Reply(body=Masked(state.config()).settings, headers={"ETag": f'"{before}"'} if is_the_file else {})


async def _digest(state: State) -> str | None:
    """Of the file; None: there is none that can be read."""
    try:
        raw = await asyncio.to_thread(read, state.config_path)
    except ConfigError:
        return None
    return None if raw is None else digest_of(raw)


async def get_yaml(ask: Ask) -> Reply:
    state = ask.state
    try:
        raw = await asyncio.to_thread(read, state.config_path)
    except ConfigError as error:
        raise Refusal(500, error.message, code="read_failed") from error
    if raw is None:
        raise Refusal(404, "there is no file yet: the defaults are in force", code="not_found")
    return Reply(
        body=_masked(raw, state.config_path.name, Masked(state.config())),
        kind=f"{YAML}; charset=utf-8",
        headers={"ETag": f'"{digest_of(raw)}"', "Cache-Control": "no-store"},
    )


def _masked(raw: bytes, name: str, in_force: Masked) -> bytes:
    """Secrets of the file as it is, and of what is in force, should it be faulty."""
    text = raw.decode("utf-8", "replace")
    try:
        text = Masked(parse(raw, name=name).config).text(text)
    except ConfigError:
        text = in_force.text(text)
    return text.encode()


async def put_yaml(ask: Ask) -> Reply:
    raw = await ask.raw()
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Refusal(400, "the body is no UTF-8", code="invalid_yaml") from error
    if not text.strip():
        raise Refusal(400, "the body is empty", code="invalid_yaml")
    loaded = await replace(ask, text)
    return Reply(
        body={"ok": True, "changed": ["config"] if ask.changes else [], "warnings": [*loaded.warnings]},
        headers={"ETag": f'"{loaded.digest}"'},
    )


async def get_schema(_ask: Ask) -> Reply:
    return Reply(body=json_schema())


async def get_version(ask: Ask) -> Reply:
    return Reply(body={"version": ask.state.version})


async def get_latest_version(ask: Ask) -> Reply:
    """Nobody is asked: this program calls nobody but providers."""
    return Reply(body={"latest-version": ask.state.version, "checked": False})


async def get_health(ask: Ask) -> Reply:
    state = ask.state
    states = [standing.state for (_, model), standing in state.pool.standings(state.clock.monotonic()) if model == "*"]
    return Reply(
        body={
            "status": "ok" if state.reload_error() is None and state.ledger.fault is None else "degraded",
            "version": state.version,
            "config_error": state.reload_error(),
            "ledger_error": state.ledger.fault,
            "ledger_dropped": state.ledger.dropped,
            "audit_missed": state.audit.missed,
            "accounts": len(state.snapshot().credentials),
            "accounts_not_ready": len(states),
            "quarantined": [
                {"file": entry.name, "why": entry.fault}
                for entry in state.store.entries.values()
                if entry.fault is not None
            ],
        }
    )


async def reload(ask: Ask) -> Reply:
    await ask.state.reload()
    await ask.state.look()
    if fault := ask.state.reload_error():
        raise invalid(fault)
    return Reply()


_OBJECT: Schema = {"type": "object"}
_DONE: Schema = {"type": "object", "properties": {"ok": {"type": "boolean"}, "changed": {"type": "array"}}}

ROUTES = (
    Route(method="GET", path="/config", handler=get_config, sentence="What is in force, masked.", reply=_OBJECT),
    Route(
        method="GET",
        path="/config.yaml",
        handler=get_yaml,
        sentence="The file's text, with its secrets masked; its ETag for a later change.",
        reply=ANY,  # a mapping, whose text it is
        reply_type=YAML,
        statuses=(404, 500),
    ),
    Route(
        method="PUT",
        path="/config.yaml",
        handler=put_yaml,
        sentence="Replace the file's text. Masks stand for the secrets that they came from.",
        body=cast("Schema", {"type": "string"}),
        body_types=(YAML,),
        reply=_DONE,
        statuses=(412, 413, 422, 500),
    ),
    Route(method="GET", path="/config.schema.json", handler=get_schema, sentence="JSON Schema of it.", reply=ANY),
    Route(method="POST", path="/reload", handler=reload, sentence="Look at config.yaml and the auth-dir, now."),
    Route(method="GET", path="/version", handler=get_version, sentence="Which version this is.", reply=_OBJECT),
    Route(
        method="GET",
        path="/latest-version",
        handler=get_latest_version,
        sentence="This version: nobody is asked about later ones.",
        reply=_OBJECT,
    ),
    Route(method="GET", path="/health", handler=get_health, sentence="What is not as it should be.", reply=_OBJECT),
)
