"""The whole state, out as one encrypted file and in again: accounts, logins, prices and the configuration.

A login has one holder. Whoever moves it to another machine stops this one first, as each refresh may end what the other
program holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import unquote

import msgspec

from auth.bundle import Restored, gathered, pack, restore, unpack
from auth.refusal import Refused
from auth.secret import Secret
from management.editing import replace
from management.refusal import Refusal, invalid
from management.routes import BYTES, Ask, Parameter, Reply, Route, Schema
from management.state import State
from proxy.config.load import read
from proxy.errors import ConfigError

PASSPHRASE_HEADER = "X-Bundle-Passphrase"  # noqa: S105 - a header's name
CONFIG = "config.yaml"
BUNDLE_BYTES_MAX = 64 * 1024 * 1024


class Export(msgspec.Struct, forbid_unknown_fields=True):
    passphrase: str


async def export(ask: Ask) -> Reply:
    wish = await ask.read(Export)
    try:
        raw = await asyncio.to_thread(_packed, ask.state, Secret(wish.passphrase))
    except (Refused, ConfigError) as error:
        raise invalid(str(error)) from None
    ask.changes["bundle"] = {"exported": len(raw)}
    return Reply(body=raw, kind=BYTES, headers={"Content-Disposition": 'attachment; filename="proxy.bundle"'})


def _packed(state: State, passphrase: Secret) -> bytes:
    files = gathered(state.store.folder)
    config = read(state.config_path)
    if config is not None:
        files[CONFIG] = config
    return pack(passphrase, files)


async def take(ask: Ask) -> Reply:
    """What is there and differs stays, unless ``replace``. The configuration only with ``config``."""
    state, is_replacing = ask.state, bool(ask.flag("replace"))
    passphrase = Secret(unquote(ask.request.headers.get(PASSPHRASE_HEADER, "")))
    raw = await ask.raw(BUNDLE_BYTES_MAX)
    try:
        files = await asyncio.to_thread(unpack, passphrase, raw)
    except Refused as error:
        raise invalid(str(error)) from None
    config = files.pop(CONFIG, None)
    told = await asyncio.to_thread(_restored, state, files, is_replacing=is_replacing)
    if config is not None:
        told.append(await _with_config(ask, config))
    await state.look()
    outcomes = [{"path": each.path, "outcome": each.outcome, "why": each.why} for each in told]
    ask.changes["bundle"] = {"imported": outcomes}
    return Reply(body={"status": "ok", "report": outcomes})


def _restored(state: State, files: Mapping[str, bytes], *, is_replacing: bool) -> list[Restored]:
    return [*restore(state.store.folder, files, is_replacing=is_replacing)]


async def _with_config(ask: Ask, config: bytes) -> Restored:
    if not ask.flag("config"):
        return Restored(CONFIG, "kept", "config=true takes it, too")
    try:
        await replace(ask, config.decode())
    except (Refusal, UnicodeDecodeError) as error:
        return Restored(CONFIG, "refused", str(error))
    return Restored(CONFIG, "replaced")


_FLAG: Schema = {"type": "boolean"}

ROUTES = (
    Route(
        method="POST",
        path="/bundle/export",
        handler=export,
        sentence="Accounts, logins, prices and configuration as one file, encrypted with a passphrase.",
        body=Export,
        reply={"type": "string"},
        reply_type=BYTES,
        statuses=(413,),
    ),
    Route(
        method="POST",
        path="/bundle/import",
        handler=take,
        sentence=f"Such a file, with its passphrase percent-encoded in {PASSPHRASE_HEADER}; a report of each part.",
        parameters=(
            Parameter(name="replace", sentence="true: accounts that are there and differ are replaced.", schema=_FLAG),
            Parameter(name="config", sentence="true: config.yaml is replaced, too.", schema=_FLAG),
        ),
        body={"type": "string"},
        body_types=(BYTES,),
        reply={"type": "object", "properties": {"status": {"type": "string"}, "report": {"type": "array"}}},
        statuses=(413,),
    ),
)
