"""Log files: the newest lines, what came since, recordings of single requests and reports of those that failed."""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from management.refusal import Refusal, absent, invalid
from management.routes import Ask, Parameter, Reply, Route, Schema
from proxy.observe.log_file import older_files

LINES, LINES_MAX = 500, 5000
BYTES_MAX = 8 * 1024 * 1024
"""So far back is looked, at most."""
FILES_MAX = 500
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.json")
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_CURSOR = re.compile(r"([0-9]{1,20}):([0-9]{1,20})")
_CHUNK = 64 * 1024


def _log_file(ask: Ask) -> Path:
    if not ask.state.config().logging_to_file:
        raise invalid("logging-to-file is off: the log goes to stderr")
    return ask.state.logs / "proxy.log"


async def get_logs(ask: Ask) -> Reply:
    path, limit = _log_file(ask), ask.number("limit", LINES, low=1, high=LINES_MAX)
    after, cursor = ask.number("after", 0, low=0, high=2**40), ask.query.get("cursor", "")
    if cursor and not _CURSOR.fullmatch(cursor):
        raise invalid("cursor must be the next-cursor of an earlier answer")
    if request_id := ask.query.get("request_id"):
        if not _ID.fullmatch(request_id):
            raise invalid("request_id must be what X-Request-ID said")
        return Reply(body=await asyncio.to_thread(lines_of, path, request_id, limit))
    return Reply(body=await asyncio.to_thread(read_lines, path, limit, after, cursor))


def read_lines(path: Path, limit: int, after: int, cursor: str) -> dict[str, object]:
    """The last `limit` lines, or those since `cursor`; after that time."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return {"lines": [], "line-count": 0, "latest-timestamp": 0, "next-cursor": ""}
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        start, is_reset = _start(found, cursor)
        file.seek(max(start, found.st_size - BYTES_MAX))
        raw = file.read(BYTES_MAX)
    whole, newline, _ = raw.rpartition(b"\n")
    lines = [line.decode("utf-8", "replace") for line in whole.split(b"\n")] if newline else []
    end = max(start, found.st_size - BYTES_MAX) + len(whole) + len(newline)
    if start < found.st_size - BYTES_MAX:
        lines = lines[1:]  # cut in the middle
    times = [_time(line) for line in lines]
    picked = [(line, at) for line, at in zip(lines, times, strict=True) if at is None or at > after][-limit:]
    latest = max((at for _, at in picked if at is not None), default=0.0)
    told: dict[str, object] = {
        "lines": [line for line, _ in picked],
        "line-count": len(picked),
        "latest-timestamp": int(latest),
        "next-cursor": f"{found.st_ino}:{end}",
    }
    return told | ({"cursor-reset": True} if is_reset else {})


def lines_of(path: Path, request_id: str, limit: int) -> dict[str, object]:
    """Of one request, the older files' too; the last `limit` of them."""
    needle = request_id.encode()
    lines: deque[str] = deque(maxlen=limit)
    for each in (*(older_files(path) if path.parent.is_dir() else ()), path):
        try:
            descriptor = os.open(each, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        with os.fdopen(descriptor, "rb") as file:
            lines.extend(line.rstrip(b"\n").decode("utf-8", "replace") for line in file if needle in line)
    latest = max((at for line in lines if (at := _time(line)) is not None), default=0.0)
    return {"lines": [*lines], "line-count": len(lines), "latest-timestamp": int(latest), "next-cursor": ""}


def _start(found: os.stat_result, cursor: str) -> tuple[int, bool]:
    """A file that was turned over or emptied begins anew."""
    if not cursor:
        return 0, False
    inode, offset = (int(each) for each in cursor.split(":"))
    is_reset = inode != found.st_ino or offset > found.st_size
    return (0 if is_reset else offset), is_reset


def _time(line: str) -> float | None:
    """Of a JSON line; others have no time that is told."""
    if not line.startswith("{"):
        return None
    try:
        return datetime.fromisoformat(msgspec.json.decode(line)["timestamp"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return None


async def clear_logs(ask: Ask) -> Reply:
    path = _log_file(ask)
    removed = await asyncio.to_thread(_clear, path)
    ask.changes["logs"] = {"removed": removed}
    return Reply(body={"success": True, "message": "the log is empty now", "removed": removed})


def _clear(path: Path) -> int:
    older = older_files(path) if path.parent.is_dir() else []
    for each in older:
        each.unlink(missing_ok=True)
    if path.is_file() and not path.is_symlink():
        os.truncate(path, 0)
        return len(older) + 1
    return len(older)


def _folders(ask: Ask) -> tuple[Path, Path]:
    """Of recordings, and of reports."""
    return ask.state.logs / "requests", ask.state.logs / "errors"


async def list_recordings(ask: Ask) -> Reply:
    return Reply(body={"files": await asyncio.to_thread(_told, _folders(ask))})


def _told(folders: tuple[Path, ...]) -> list[dict[str, object]]:
    told: list[dict[str, object]] = []
    for path in _listed(folders)[:FILES_MAX]:
        with suppress(OSError):
            found = path.lstat()
            told.append({"name": path.name, "size": found.st_size, "modified": int(found.st_mtime)})
    return told


def _listed(folders: tuple[Path, ...]) -> list[Path]:
    """The newest first, which names tell."""
    found: list[Path] = []
    for folder in folders:
        with suppress(OSError):
            found += (each for each in folder.iterdir() if _NAME.fullmatch(each.name))
    return sorted(found, key=lambda each: each.name, reverse=True)


async def get_recording(ask: Ask) -> Reply:
    name = ask.path["name"]
    if not _NAME.fullmatch(name):
        raise invalid("this is no name of a recording")
    return await _file([folder / name for folder in _folders(ask)])


async def get_by_id(ask: Ask) -> Reply:
    wanted = ask.path["id"]
    if not _ID.fullmatch(wanted):
        raise invalid("this is no request id")
    ending = f"-{re.sub(r'[^A-Za-z0-9_-]+', '_', wanted)[:64]}.json"
    recordings, reports = await asyncio.to_thread(lambda: [_listed((folder,)) for folder in _folders(ask)])
    found = [path for path in (*recordings, *reports) if path.name.endswith(ending)]
    if not found:
        raise absent("there is no recording of that request; request-log switches them on")
    return await _file(found)


async def _file(paths: Sequence[Path]) -> Reply:
    """The first that is there."""
    for path in paths:
        with suppress(OSError):
            raw = await asyncio.to_thread(_read, path)
            return Reply(body=raw, headers={"Content-Disposition": f'attachment; filename="{path.name}"'})
    raise absent("there is no such recording")


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        return file.read()


async def get_audit(ask: Ask) -> Reply:
    """The newest last, as they were written."""
    limit = ask.number("limit", LINES, low=1, high=LINES_MAX)
    read = await asyncio.to_thread(read_lines, ask.state.logs / "audit.log", limit, 0, "")
    lines = read["lines"]
    if not isinstance(lines, list):
        raise Refusal(500, "the audit log cannot be read")
    return Reply(body={"changes": [msgspec.json.decode(line) for line in lines if line.startswith("{")]})


_OBJECT: Schema = {"type": "object"}
_LIMIT = Parameter(name="limit", sentence="How many.", schema={"type": "integer", "minimum": 1, "maximum": LINES_MAX})

ROUTES = (
    Route(
        method="GET",
        path="/logs",
        handler=get_logs,
        sentence="The newest lines of the log file, or those since a cursor or a time.",
        parameters=(
            _LIMIT,
            Parameter(name="after", sentence="Unix seconds.", schema={"type": "integer", "minimum": 0}),
            Parameter(name="cursor", sentence="`next-cursor` of the answer before."),
            Parameter(name="request_id", sentence="Only the lines of this request, from the older files, too."),
        ),
        reply=_OBJECT,
    ),
    Route(method="DELETE", path="/logs", handler=clear_logs, sentence="Empty the log files.", reply=_OBJECT),
    Route(
        method="GET",
        path="/request-error-logs",
        handler=list_recordings,
        sentence="Reports of requests that failed, and recordings (request-log), the newest first.",
        reply=_OBJECT,
    ),
    Route(
        method="GET",
        path="/request-error-logs/{name}",
        handler=get_recording,
        sentence="One of them.",
        reply=_OBJECT,
        statuses=(404,),
    ),
    Route(
        method="GET",
        path="/request-log-by-id/{id}",
        handler=get_by_id,
        sentence="The recording of a request, or the report of how it failed, by its id.",
        reply=_OBJECT,
        statuses=(404,),
    ),
    Route(
        method="GET",
        path="/audit",
        handler=get_audit,
        sentence="Who changed what through this API.",
        parameters=(_LIMIT,),
        reply=_OBJECT,
    ),
)
