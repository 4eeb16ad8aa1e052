"""Writes exchanges to a folder, without their secrets, in the format of `recording`.

Off unless somebody asks: prompts are in there. Folder 0700, files 0600, written aside and renamed, by one thread of its
own; a recording never holds up or breaks the exchange that it is about. A name starts with the time and a number, so
that the order of names is the order of beginnings: what `replay` plays.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import structlog

from proxy.errors import ConfigError
from proxy.observe.recording import Fault, Frame, Pairs, Recording, Request, Response, render
from proxy.observe.scrub import MARK, Scrubber
from proxy.observe.shapes import is_sensitive, is_sensitive_parameter

Side = Literal["client", "upstream"]

_OURS = re.compile(r"\d{8}T\d{6}\.\d{3}-\d{6,}-(client|upstream)[A-Za-z0-9._-]*\.json")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_FRAMING = frozenset({"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"})
"""Of the connection that it came by. Bodies are recorded decoded."""
_STREAM_TYPES = ("text/event-stream", "application/x-ndjson", "application/stream+json")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    body_bytes: int = 8 * 1024 * 1024
    """Of one body; what is longer is cut and marked ``is_truncated``."""
    folder_bytes: int = 512 * 1024 * 1024
    """Of all recordings together; the oldest go first."""
    pending_bytes: int = 64 * 1024 * 1024
    """Of recordings that wait to be written; beyond, new ones are dropped and counted."""


class Recorder:
    """`start` a take for each exchange. Raises `ConfigError` at once when the folder will not do."""

    def __init__(
        self,
        folder: Path,
        scrubber: Scrubber,
        *,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        _prepare(folder)
        self.dropped = 0
        self._folder = folder
        self._scrubber = scrubber
        self._limits = limits or Limits()
        self._clock = clock
        self._timer = timer
        self._number = 0
        self._files = deque((path, path.stat().st_size) for path in sorted(folder.iterdir()) if _OURS.match(path.name))
        self._bytes = sum(size for _, size in self._files)
        self._pending_bytes = 0
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recorder")

    def start(self, side: Side, request: Request, *, request_id: str = "") -> Take:
        self._number += 1
        started = datetime.fromtimestamp(self._clock(), UTC)
        stem = f"{started:%Y%m%dT%H%M%S}.{started.microsecond // 1000:03d}-{self._number:06d}-{side}"
        request_id = _clean(request_id, self._scrubber)
        shown_id = _NOT_IN_A_NAME.sub("_", request_id)[:64]
        recording = Recording(
            request=replace(request, body=request.body[: self._limits.body_bytes]),
            side=side,
            request_id=request_id,
            recorded_at=started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            is_truncated=len(request.body) > self._limits.body_bytes,
        )
        name = f"{stem}-{shown_id}.json" if shown_id else f"{stem}.json"
        return Take(recording, self._limits.body_bytes, self._timer, lambda taken: self._submit(name, taken))

    def close(self) -> None:
        """Waits until everything is written."""
        self._thread.shutdown()

    def _submit(self, name: str, recording: Recording) -> None:
        size = len(recording.request.body) + sum(len(frame.data) for frame in recording.response.frames)
        with self._lock:
            if self._pending_bytes and self._pending_bytes + size > self._limits.pending_bytes:
                self.dropped += 1
                return
            self._pending_bytes += size
        try:
            self._thread.submit(self._write, name, recording, size)
        except RuntimeError:  # closed: the server is going down
            self.dropped += 1

    def _write(self, name: str, recording: Recording, size: int) -> None:
        try:
            data = render(scrubbed(recording, self._scrubber))
            self._make_room(len(data))
            write_private(self._folder / name, data)
            self._files.append((self._folder / name, len(data)))
            self._bytes += len(data)
        except (OSError, ValueError) as error:
            self.dropped += 1
            _log.warning("recording.failed", name=name, error=str(error))
        finally:
            with self._lock:
                self._pending_bytes -= size

    def _make_room(self, size: int) -> None:
        while self._files and self._bytes + size > self._limits.folder_bytes:
            path, old_size = self._files.popleft()
            self._bytes -= old_size
            path.unlink(missing_ok=True)


class Take:
    """One exchange while it happens: `head`, then `frame` for each piece, then `finish`, which may be called again."""

    def __init__(
        self,
        recording: Recording,
        bytes_max: int,
        timer: Callable[[], float],
        done: Callable[[Recording], None],
    ) -> None:
        self._recording = recording
        self._bytes_left = bytes_max
        self._timer = timer
        self._done: Callable[[Recording], None] | None = done
        self._status: int | None = None
        self._headers: Pairs = ()
        self._frames: list[Frame] = []
        self._at = timer()
        self._is_truncated = recording.is_truncated

    def head(self, status: int, headers: Pairs) -> None:
        self._status, self._headers = status, headers
        self._at = self._timer()

    def frame(self, data: bytes) -> None:
        now = self._timer()
        kept = data[: self._bytes_left]
        self._is_truncated |= len(kept) < len(data)
        if kept:
            self._frames.append(Frame(data=kept, after_seconds=round(now - self._at, 6)))
            self._bytes_left -= len(kept)
        self._at = now

    def finish(self, fault: str | None = None) -> None:
        """`fault`: its kind, when the answer did not end well: ``refuse``, ``stall`` or ``cut``."""
        if self._done is None:
            return
        done, self._done = self._done, None
        content_type = {name.lower(): value for name, value in self._headers}.get("content-type", "")
        response = Response(
            status=self._status or 200,
            headers=tuple(pair for pair in self._headers if pair[0].lower() not in _FRAMING),
            frames=tuple(self._frames),
            is_streamed=content_type.startswith(_STREAM_TYPES),
        )
        done(
            replace(
                self._recording,
                response=response,
                fault=Fault(kind=fault, after_bytes=len(response.body) if self._status else None) if fault else None,
                is_truncated=self._is_truncated,
            )
        )


def scrubbed(recording: Recording, scrubber: Scrubber) -> Recording:
    """Without secrets, and without what JSON cannot say (header bytes that are no text)."""
    request, response = recording.request, recording.response
    clean = scrubber.frames([frame.data for frame in response.frames])
    return replace(
        recording,
        request=replace(
            request,
            path=_clean(request.path, scrubber),
            query=tuple(
                (_clean(name, scrubber), MARK if is_sensitive_parameter(name) else _clean(value, scrubber))
                for name, value in request.query
            ),
            headers=_clean_headers(request.headers, scrubber),
            body=scrubber.data(request.body),
        ),
        response=replace(
            response,
            headers=_clean_headers(response.headers, scrubber),
            frames=tuple(replace(frame, data=data) for frame, data in zip(response.frames, clean, strict=True)),
        ),
    )


def _clean(text: str, scrubber: Scrubber) -> str:
    return scrubber.text(text.encode("utf-8", "replace").decode())


def _clean_headers(headers: Pairs, scrubber: Scrubber) -> Pairs:
    return tuple(
        (_clean(name, scrubber), MARK if is_sensitive(name) else _clean(value, scrubber)) for name, value in headers
    )


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise ConfigError(f"{folder}: cannot hold recordings: {error.strerror}") from error
    if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid != os.geteuid():
        raise ConfigError(
            f"{folder}: recordings hold prompts and answers; it must be yours alone (chmod 700), or not yet exist"
        )


def write_private(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(part, flags, 0o600), "wb") as file:
            file.write(data)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
