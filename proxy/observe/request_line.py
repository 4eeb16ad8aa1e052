"""The line of each request that is over: the one event that comes as often as requests do.

As JSON it is written without structlog, whose processors take 33 µs for it; this takes 1.7. It says the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

EVENT = "request.finished"

_encode = msgspec.json.Encoder().encode


class RequestLine(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What has its default is left out."""

    timestamp: str = ""
    level: str = ""
    event: str = ""
    request_id: str
    route: str
    status: int
    seconds: float
    client: str = ""
    model: str = ""
    model_served: str | None = None
    provider: str | None = None
    credential: str | None = None
    first_byte_seconds: float | None = None
    tokens: Mapping[str, int] | None = None
    retries: int = 0
    finish: str | None = None
    losses: list[str] | None = None
    error: str | None = None


Tell = Callable[[RequestLine], object]


def through(say: Callable[..., object]) -> Tell:
    """As any other event. `say`: a method of the log, which gives it a level."""
    return lambda line: say(EVENT, **msgspec.to_builtins(line))


def as_json(
    write: Callable[[bytes], object], redact: Callable[[str], str], now: Callable[[], float] = time.time
) -> Tell:
    """`redact`: takes secrets out of a text. `now`: Unix seconds."""
    second, prefix = -1, ""

    def tell(line: RequestLine) -> None:
        nonlocal second, prefix
        at = now()
        if int(at) != second:
            second = int(at)
            prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        line.timestamp = f"{prefix}.{int((at - second) * 1e6):06d}Z"
        line.level, line.event = "info", EVENT
        line.request_id = redact(line.request_id)
        line.client, line.model = redact(line.client), redact(line.model)
        if line.model_served is not None:
            line.model_served = redact(line.model_served)
        if line.provider is not None:
            line.provider = redact(line.provider)
        if line.credential is not None:
            line.credential = redact(line.credential)
        if line.losses is not None:
            line.losses = [*map(redact, line.losses)]
        if line.error is not None:
            line.error = redact(line.error)
        write(_told(line))

    return tell


def _told(line: RequestLine) -> bytes:
    """Half characters as question marks."""
    try:
        return _encode(line) + b"\n"
    except UnicodeEncodeError:
        return _encode(_whole(msgspec.to_builtins(line))) + b"\n"


def _whole(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case list():
            return [_whole(each) for each in value]
        case dict():
            return {name: _whole(each) for name, each in value.items()}
        case _:
            return value
