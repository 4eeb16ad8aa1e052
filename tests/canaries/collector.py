"""Notes every secret that a process ever holds, and everything that it lets out: lines of the log (at debug level),
errors, figures, what commands print, the names of files that it writes. Installed into the test process
(`tests.canaries.plugin`) and into each Python process that it starts (``sitecustomize`` beside this file). What was
noted is searched at the end.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click
import msgspec
import structlog
from click.testing import CliRunner, Result

from auth.secret import Secret
from management.refusal import Refusal
from proxy.errors import ProxyError
from proxy.observe import log
from proxy.observe.metrics import Metrics
from proxy.observe.outbox import Outbox

VARIABLE = "PROXY_CANARIES"
"""The folder that notes go to."""
ROOT = Path(__file__).parents[2]
_PRODUCT = tuple(str(ROOT / package) + os.sep for package in ("proxy", "auth", "management"))
_MAKING = frozenset({"open", "os.rename"})
_NO_SECRETS = frozenset({"account_id", "key_id", "mask_of"})
"""Who wraps what is none, for its digest alone."""


_write = os.write
"""Tests put another in its place."""


class Note(msgspec.Struct, frozen=True):
    """`kind`: ``secret``, ``log``, ``error``, ``figures``, ``printed``, or ``file``, of which `text` is the path."""

    kind: str
    test: str
    text: bytes


class Collector:
    def __init__(self, folder: Path) -> None:
        path = folder / f"notes-{os.getpid()}-{os.urandom(4).hex()}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o600)
        self._seen: set[tuple[str, bytes]] = set()
        self._is_busy = False

    def note(self, kind: str, text: str | bytes) -> None:
        raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        if (kind, raw) in self._seen:
            return
        self._seen.add((kind, raw))
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
        _write(self._file, msgspec.json.encode(Note(kind, test, raw)) + b"\n")

    def opened(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook: which files our own code makes, and where. What is opened by a folder's descriptor is seen
        when it is renamed.
        """
        if event not in _MAKING or self._is_busy:
            return
        self._is_busy = True
        try:
            path = _made(event, arguments)
            if path is not None and _is_ours():
                self.note("file", os.fsencode(path))
        finally:
            self._is_busy = False


def _made(event: str, arguments: tuple[Any, ...]) -> str | None:
    name, folder = arguments[0], None
    if event == "os.rename":
        name, folder = arguments[1], arguments[3]
    elif not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
        return None
    if not isinstance(name, str | bytes | os.PathLike):
        return None
    where = f"/proc/self/fd/{folder}" if isinstance(folder, int) and folder >= 0 else "."
    return os.path.realpath(Path(where, os.fsdecode(name)))


def _is_ours() -> bool:
    """The nearest who is neither the library's nor Python's own."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_PRODUCT):
            return True
        if name.startswith(str(ROOT / "tests")) and "canaries" not in name:
            return False
        frame = frame.f_back
    return False


@functools.cache
def install(folder: Path) -> Callable[[str, str | bytes], None]:
    """Once, although a worker of the tests is a program that they start, too. Gives what takes more notes."""
    collector = Collector(folder)
    note = collector.note
    sys.addaudithook(collector.opened)
    _wrap(Secret, "__init__", lambda _self, text: _from_elsewhere() and note("secret", text))
    _wrap(log._Forgiving, "write", lambda _self, data: note("log", data))
    _wrap(Outbox, "write", lambda _self, data: note("log", data))
    _wrap(ProxyError, "__init__", lambda _self, message, **_: note("error", message))
    _wrap(Refusal, "__init__", lambda _self, _status, message, **_: note("error", message))
    invoke = CliRunner.invoke

    def invoked(self: CliRunner, *arguments: Any, **named: Any) -> Result:
        result = invoke(self, *arguments, **named)
        note("printed", result.output)
        return result

    CliRunner.invoke = invoked  # type: ignore[method-assign]
    _wrap(click, "echo", lambda message=None, *_, **__: message and note("printed", _raw(message)))
    expose = Metrics.exposition

    async def exposition(self: Metrics) -> bytes:
        told = await expose(self)
        note("figures", told)
        return told

    Metrics.exposition = exposition  # type: ignore[method-assign]
    filtering = structlog.make_filtering_bound_logger
    structlog.make_filtering_bound_logger = lambda level: filtering(  # type: ignore[assignment]
        logging.DEBUG if level == logging.INFO else level
    )
    return note


def note_streams(folder: Path) -> None:
    """What a program prints, whichever way; a traceback, too."""
    note = install(folder)
    for stream in (sys.stdout, sys.stderr):
        for each in (stream, getattr(stream, "buffer", None)):
            if each is not None:
                _wrap(each, "write", lambda data: note("printed", _raw(data)))


def _raw(told: object) -> bytes:
    return bytes(told) if isinstance(told, bytes | bytearray | memoryview) else str(told).encode("utf-8", "replace")


def _from_elsewhere() -> bool:
    return sys._getframe(3).f_code.co_name not in _NO_SECRETS


def _wrap(owner: Any, name: str, look: Callable[..., object]) -> None:
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        look(*arguments, **named)
        return original(*arguments, **named)

    setattr(owner, name, wrapped)
