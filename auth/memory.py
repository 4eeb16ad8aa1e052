"""What a pool remembers over a restart: cooldowns and quota readings, as JSON with Unix times.

Read back they are hypotheses: whoever cools by hearsay alone is asked once before a client is turned away. What cannot
be read is ignored, and says so; nothing in such a file can hurt more than a missing one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from auth.book import Record
from auth.pool import Pool
from auth.quota import Window
from auth.standing import STATED_SECONDS_MAX, Key

BYTES_MAX = 16 * 1024 * 1024
ENTRIES_MAX = 20_000
"""Of cooldowns, and of readings."""
VERSION = 1


class Unreadable(ValueError):
    """The end of a sentence that begins with the file's name."""


class _Cooldown(msgspec.Struct, frozen=True, omit_defaults=True):
    """`until`: None for broken."""

    credential: str
    model: str
    why: str
    until: float | None = None
    is_transient: bool = False
    is_quota: bool = False
    is_refused: bool = False
    step: int = 1
    window: str = ""


class _Reading(msgspec.Struct, frozen=True, omit_defaults=True):
    credential: str
    slot: str
    name: str
    read_at: float
    source: str
    seconds: float | None = None
    used: float | None = None
    resets_at: float | None = None
    models: str = "*"
    is_rejected: bool = False


class _Memory(msgspec.Struct, frozen=True):
    version: int
    written_at: float
    cooldowns: list[_Cooldown] = []
    readings: list[_Reading] = []


def render(pool: Pool, now: float, unix: float) -> bytes:
    """`now`: the pool's clock, `unix`: the same moment in Unix seconds."""
    to_unix = unix - now
    cooldowns = [
        _Cooldown(
            credential=credential,
            model=model,
            why=record.why,
            until=None if record.until is None else record.until + to_unix,
            is_transient=record.is_transient,
            is_quota=record.is_quota,
            is_refused=record.is_refused,
            step=record.step,
            window=record.window,
        )
        for (credential, model), record in pool.cooldowns()
        if not (record.is_transient or record.proven)
    ]
    readings = [
        _Reading(
            credential=credential,
            slot=window.slot,
            name=window.name,
            read_at=window.read_at + to_unix,
            source=window.source,
            seconds=window.seconds,
            used=window.used,
            resets_at=None if window.resets_at is None else window.resets_at + to_unix,
            models=window.models,
            is_rejected=window.is_rejected,
        )
        for credential, window in pool.quotas.all()
        if window.is_current(now)
    ]
    memory = _Memory(VERSION, unix, cooldowns[-ENTRIES_MAX:], readings[-ENTRIES_MAX:])
    return msgspec.json.encode(memory)


def restore(pool: Pool, raw: bytes, now: float, unix: float) -> None:
    """Into an empty pool. Raises `Unreadable`, and then the pool is as it was."""
    try:
        memory = msgspec.json.decode(raw, type=_Memory)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"is no memory of a pool, or not all of it: {error}") from error
    if memory.version != VERSION:
        raise Unreadable(f"is of version {memory.version}, and {VERSION} is known here")
    pool.remember(_cooldowns(memory, now, unix))
    for reading in memory.readings[:ENTRIES_MAX]:
        window = _window(reading, now, unix)
        if window.is_current(now):
            # Nobody says here how much of it may be used: worth a closer look until it is read anew.
            pool.quotas.note(reading.credential, [window], most=0.0)


def _cooldowns(memory: _Memory, now: float, unix: float) -> Iterator[tuple[Key, Record]]:
    for each in memory.cooldowns[:ENTRIES_MAX]:
        until = None if each.until is None else now + _bounded(each.until - unix)
        record = Record(
            until=until,
            why=each.why,
            is_transient=each.is_transient,
            is_quota=each.is_quota,
            is_refused=each.is_refused,
            step=max(1, each.step),
            window=each.window,
        )
        yield (each.credential, each.model), record


def _window(reading: _Reading, now: float, unix: float) -> Window:
    return Window(
        slot=reading.slot,
        name=reading.name,
        read_at=now + min(0.0, _bounded(reading.read_at - unix)),
        source=reading.source,
        seconds=reading.seconds,
        used=reading.used,
        resets_at=None if reading.resets_at is None else now + _bounded(reading.resets_at - unix),
        models=reading.models,
        is_rejected=reading.is_rejected,
    )


def _bounded(seconds: float) -> float:
    """A clock that was wrong, then or now, lets nobody wait longer than a provider could have said."""
    if not math.isfinite(seconds):
        return 0.0
    return max(-STATED_SECONDS_MAX, min(STATED_SECONDS_MAX, seconds))
