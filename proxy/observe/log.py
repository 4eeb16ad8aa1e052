"""The log: structlog, one line an event, JSON or for eyes. Events are dotted and in the past tense."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import BinaryIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

_FIRST = ("timestamp", "level", "event")
_encode = msgspec.json.Encoder(enc_hook=str).encode


def make_log(stream: BinaryIO, *, redact: Processor, is_json: bool, is_debug: bool = False) -> FilteringBoundLogger:
    """`redact` sees every event twice: as values, where a name tells what is private, and as the line that is written,
    where an object has become text.
    """
    is_terminal = stream.isatty()
    console = structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=structlog.dev.plain_traceback)
    shape: list[Processor] = [_json] if is_json else [console, _utf8]
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.BytesLogger(cast("BinaryIO", _Forgiving(stream))),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            *shape,
            redact,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if is_debug else logging.INFO),
        cache_logger_on_first_use=True,
    )
    return log


class _Forgiving:
    """A full disk or a closed terminal costs lines, never a request."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        with suppress(OSError, ValueError):  # ValueError: it is closed
            self._stream.write(data)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _json(_logger: object, _method: str, event: EventDict) -> bytes:
    """Whatever has no JSON form is written as its text; half a surrogate pair as U+FFFD."""
    event = {**{name: event[name] for name in _FIRST if name in event}, **event}
    try:
        return _encode(event)
    except UnicodeEncodeError:
        return _encode({name: str(value).encode("utf-8", "replace").decode() for name, value in event.items()})


def _utf8(_logger: object, _method: str, text: EventDict | str) -> bytes:
    return str(text).encode("utf-8", "replace")


class LibraryLog(logging.Handler):
    """Takes what libraries say through the standard library's logging into ours: ``library.logged``."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(
            record.levelno,
            "library.logged",
            library=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info or None,
        )
