"""Changes of config.yaml on behalf of the API: read, decide, write back with every comment, put into force.

Whoever else writes meanwhile, an editor or another process, is not overwritten: the change is decided anew on what they
wrote. With ``If-Match`` it is refused instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from management.difference import difference
from management.masking import Masked
from management.refusal import Refusal
from management.routes import Ask
from management.state import State
from proxy.config.complaints import Complaints
from proxy.config.edit import Edit, edited
from proxy.config.load import Loaded, digest_of, parse, read, text_of
from proxy.config.nodes import Scalar, compose, json_of
from proxy.config.schema import Config
from proxy.config.settings import JsonValue
from proxy.config.store import changing
from proxy.errors import ConfigChanged, ConfigError

TRIES_MAX = 50
RETRY_SECONDS = 0.02

Tree = dict[str, JsonValue]
"""The file as it is written: its keys, with secrets in plain."""
Decide = Callable[[Tree, Masked], Sequence[Edit]]


async def change(ask: Ask, decide: Decide) -> Loaded:
    """`decide` is called with the file's content, perhaps several times, in a thread. Raises `Refusal`."""
    state, wanted = ask.state, ask.request.headers.get("if-match", "").strip().strip('"')
    async with state.writing:
        for _ in range(TRIES_MAX):
            try:
                before, loaded = await asyncio.to_thread(_changed, state, decide, wanted)
            except ConfigChanged:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await in_force(state)
            _tell(ask, before, Masked(loaded.config))
            return loaded
    raise Refusal(409, "config.yaml is changed by somebody else again and again")


async def replace(ask: Ask, text: str) -> Loaded:
    """The whole text. Raises `Refusal`."""
    state, wanted = ask.state, ask.request.headers.get("if-match", "").strip().strip('"')
    async with state.writing:
        try:
            before, loaded = await asyncio.to_thread(_replaced, state, text, wanted)
        except ConfigChanged as error:
            raise stale() from error
        await in_force(state)
        _tell(ask, before, Masked(loaded.config))
        return loaded


def stale() -> Refusal:
    return Refusal(412, "config.yaml was changed since you read it: read it again", code="changed")


def tree_of(raw: bytes, name: str) -> Tree:
    """Raises `ConfigError`."""
    complaints = Complaints(name)
    root = compose(text_of(raw, name), complaints)
    complaints.raise_if_any()
    if root is None or (isinstance(root, Scalar) and root.is_null):
        return {}
    tree = json_of(root)
    if not isinstance(tree, dict):
        raise ConfigError(f"{name}:1: must hold settings by their names")
    return tree


def _current(state: State, wanted: str) -> tuple[bytes, Loaded]:
    """The file as it is, which need not be in force. Raises `Refusal`."""
    try:
        raw = read(state.config_path) or b""
        if wanted and wanted not in {"*", digest_of(raw)}:
            raise stale()
        return raw, parse(raw, name=state.config_path.name)
    except ConfigError as error:
        raise Refusal(
            409, f"config.yaml is faulty as it is now: {error.message}", code="invalid_config", lines=lines_of(error)
        ) from error


def _changed(state: State, decide: Decide, wanted: str) -> tuple[Masked, Loaded]:
    raw, loaded = _current(state, wanted)
    before = Masked(loaded.config)
    name = state.config_path.name
    try:
        new = edited(raw, decide(tree_of(raw, name), before), name=name)
        wanted_now = parse(new, name=name)
        _check(state, wanted_now.config)
    except ConfigError as error:
        raise Refusal(400, error.message, lines=lines_of(error)) from error
    _write(state, new, loaded.digest)
    return before, wanted_now


def _replaced(state: State, text: str, wanted: str) -> tuple[Masked, Loaded]:
    raw = read(state.config_path) or b""
    if wanted and wanted not in {"*", digest_of(raw)}:
        raise stale()
    try:
        before = Masked(parse(raw, name=state.config_path.name).config)
    except ConfigError:  # this may be what mends it
        before = Masked(state.config())
        before.text(raw.decode("utf-8", "replace"))
    name = state.config_path.name
    new = before.restored_text(text).encode("utf-8", "surrogatepass")
    complaints = Complaints(name)
    try:
        compose(text_of(new, name), complaints)
        complaints.raise_if_any()
    except ConfigError as error:
        raise Refusal(400, error.message, code="invalid_yaml", lines=lines_of(error)) from error
    try:
        loaded = parse(new, name=name)
        _check(state, loaded.config)
    except ConfigError as error:
        raise Refusal(422, error.message, code="invalid_config", lines=lines_of(error)) from error
    _write(state, new, digest_of(raw))
    return before, loaded


def _check(state: State, config: Config) -> None:
    """Raises `ConfigError`: also where whoever asks would shut himself out."""
    state.check(config)
    has_key = bool(config.remote_management.secret_key or state.password)
    if not has_key and state.config().remote_management.secret_key:
        raise ConfigError(
            "remote-management: secret-key would be gone, and this API with it: keep it, or take it out by hand"
        )


def _write(state: State, new: bytes, digest: str) -> None:
    """Raises `ConfigChanged`, `Refusal`."""
    try:
        with changing(state.config_path, digest=digest) as (_, put):
            put(new)
    except ConfigChanged:
        raise
    except ConfigError as error:
        raise Refusal(500, error.message, code="write_failed") from error


async def in_force(state: State) -> None:
    """Raises `Refusal`."""
    await state.reload()
    if fault := state.reload_error():
        raise Refusal(500, f"it was written, and could not be put into force: {fault}", code="reload_failed")


def lines_of(error: ConfigError) -> list[JsonValue]:
    """``config.yaml:12: …`` → its line and what is wrong there."""
    found: list[JsonValue] = []
    for complaint in error.message.splitlines():
        _, _, rest = complaint.partition(":")
        line, colon, words = rest.partition(":")
        is_placed = bool(colon) and line.isdecimal()
        found.append({"line": int(line) if is_placed else None, "message": words.strip() if is_placed else complaint})
    return found


def _tell(ask: Ask, before: Masked, after: Masked) -> None:
    for key, value in after.settings.items():
        if before.settings[key] != value:
            gone, new = difference(before.settings[key], value)
            ask.changes[key] = {"before": gone, "after": new}
