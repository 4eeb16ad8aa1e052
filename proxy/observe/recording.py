r"""One exchange in one JSON file: what `record` writes, `proxy.upstream.replay` plays, and people write by hand.

::

    {
      "side": "upstream",          `client` (what a client said and got) or `upstream`; only for readers, like the next
      "request_id": "…", "recorded_at": "2026-11-20T06:07:08.123Z",
      "is_truncated": true,        a body was longer than the recorder keeps
      "request": {
        "method": "POST",
        "path": "/v1/messages",    `*` in it stands for anything
        "query": {"alt": "sse"},
        "headers": {"content-type": "application/json"},      in their order and case; [[name, value], …] repeats one
        "body": {…}                or "text": "…" or "base64": "…"
      },
      "match": {"model": "x"},     only for calls whose JSON body holds at least this
      "response": {
        "status": 200,
        "headers": {"content-type": "text/event-stream"},
        "frames": [{"after_seconds": 0.2, "data": "event: …\n\n"}]      or "body", "text" or "base64": sent as one
      },
      "fault": {"kind": "cut", "after_bytes": 100}            see `proxy.upstream.faults`
    }

Only ``request.path`` must be there, and ``response`` where there is no fault. ``body`` is JSON, and is written only
when it gives the same bytes again: compact, in order. Anything else is ``text`` or ``base64`` (of a frame: ``data`` or
``base64``). The waiting time of a frame counts from the one before, the first from the head. A stream may also be one
text named ``sse``: it is sent event by event. Unknown names are passed over.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import msgspec

from proxy.errors import ConfigError

FILE_BYTES_MAX = 256 * 1024 * 1024
Pairs: TypeAlias = tuple[tuple[str, str], ...]

_SSE_EVENT = re.compile(rb".*?(?:\n\n|\r\n\r\n|\r\r|\Z)", re.DOTALL)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A piece of a body, and the time that passed before it."""

    data: bytes
    after_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str = "POST"
    path: str
    query: Pairs = ()
    headers: Pairs = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """`is_streamed`: sent frame by frame, as chunks. Otherwise the frames are one body of known length."""

    status: int = 200
    headers: Pairs = ()
    frames: tuple[Frame, ...] = ()
    is_streamed: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(frame.data for frame in self.frames)


class Fault(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How an answer goes wrong. What `after_bytes`, `seconds` and `size` mean depends on the kind."""

    kind: str
    after_bytes: int | None = None
    seconds: float = 0.0
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    request: Request
    response: Response = field(default_factory=Response)
    fault: Fault | None = None
    match: Mapping[str, object] = field(default_factory=dict)
    side: str = ""
    request_id: str = ""
    recorded_at: str = ""
    is_truncated: bool = False


# The file's own shape. One definition reads and writes.

_Names: TypeAlias = dict[str, str | list[str]] | list[tuple[str, str]]


class _FrameFile(msgspec.Struct, omit_defaults=True):
    after_seconds: float = 0.0
    data: str | None = None
    base64: str | None = None


class _BodyFile(msgspec.Struct, omit_defaults=True, kw_only=True):
    headers: _Names = {}
    body: object = None
    text: str | None = None
    base64: str | None = None


class _RequestFile(_BodyFile, omit_defaults=True, kw_only=True):
    method: str = "POST"
    path: str
    query: _Names = {}


class _ResponseFile(_BodyFile, omit_defaults=True, kw_only=True):
    status: int = 200
    sse: str | None = None
    frames: list[_FrameFile] | None = None


class _File(msgspec.Struct, omit_defaults=True, kw_only=True):
    side: str = ""
    request_id: str = ""
    recorded_at: str = ""
    is_truncated: bool = False
    request: _RequestFile
    match: dict[str, object] = {}
    response: _ResponseFile | None = None
    fault: Fault | None = None


_read = msgspec.json.Decoder(_File).decode


def parse(data: bytes) -> Recording:
    """Raises ValueError with the path to the fault."""
    file = _read(data)
    if file.response is None and file.fault is None:
        raise ValueError("a recording needs a `response` or a `fault`")
    request = file.request
    return Recording(
        request=Request(
            method=request.method.upper(),
            path=request.path,
            query=_pairs(request.query),
            headers=_pairs(request.headers),
            body=_body(request),
        ),
        response=_response(file.response or _ResponseFile()),
        fault=file.fault,
        match=file.match,
        side=file.side,
        request_id=file.request_id,
        recorded_at=file.recorded_at,
        is_truncated=file.is_truncated,
    )


def render(recording: Recording) -> bytes:
    """Indented, for people."""
    request = recording.request
    request_file = _RequestFile(
        method=request.method, path=request.path, query=_names(request.query), headers=_names(request.headers)
    )
    _set_body(request_file, request.body)
    file = _File(
        side=recording.side,
        request_id=recording.request_id,
        recorded_at=recording.recorded_at,
        is_truncated=recording.is_truncated,
        request=request_file,
        match=dict(recording.match),
        response=_response_file(recording.response),
        fault=recording.fault,
    )
    return msgspec.json.format(_encode(file), indent=1) + b"\n"


def load(folder: Path) -> list[Recording]:
    """Every recording below a folder, in the order of their names: the order in which they are played.

    JSON that is no object (a list of contents) is passed over. Raises `ConfigError` with every complaint.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder of recordings")
    recordings: list[Recording] = []
    complaints: list[str] = []
    for path in sorted(folder.rglob("*.json")):
        try:
            recordings.extend(_load_one(path))
        except (OSError, ValueError) as error:
            complaints.append(f"{path}: {error}")
    if complaints:
        raise ConfigError("\n".join(complaints))
    if not recordings:
        raise ConfigError(f"{folder}: holds no recording (*.json)")
    return recordings


def _load_one(path: Path) -> Iterator[Recording]:
    if path.stat().st_size > FILE_BYTES_MAX:
        raise ValueError(f"longer than {FILE_BYTES_MAX} bytes")
    data = path.read_bytes()
    if data.lstrip()[:1] == b"{":
        yield parse(data)


def _response(file: _ResponseFile) -> Response:
    frames: Iterable[Frame]
    if file.frames is not None:
        frames = (Frame(data=_text_or_base64(f.data, f.base64), after_seconds=f.after_seconds) for f in file.frames)
    elif file.sse is not None:
        frames = sse_frames(file.sse.encode())
    else:
        body = _body(file)
        frames = (Frame(data=body),) if body else ()
    is_streamed = file.frames is not None or file.sse is not None
    return Response(status=file.status, headers=_pairs(file.headers), frames=tuple(frames), is_streamed=is_streamed)


def sse_frames(stream: bytes) -> tuple[Frame, ...]:
    """A frame an event, blank line included. Nothing is lost: joined, they are the stream."""
    return tuple(Frame(data=event) for event in _SSE_EVENT.findall(stream) if event)


def _response_file(response: Response) -> _ResponseFile:
    file = _ResponseFile(status=response.status, headers=_names(response.headers))
    if response.is_streamed:
        file.frames = [_frame_file(frame) for frame in response.frames]
    else:
        _set_body(file, response.body)
    return file


def _frame_file(frame: Frame) -> _FrameFile:
    text = _as_text(frame.data)
    encoded = _as_base64(frame.data) if text is None else None
    return _FrameFile(after_seconds=frame.after_seconds, data=text, base64=encoded)


def _body(file: _BodyFile) -> bytes:
    if file.text is None and file.base64 is None:
        return b"" if file.body is None else _encode(file.body)
    return _text_or_base64(file.text, file.base64)


def _set_body(file: _BodyFile, body: bytes) -> None:
    if not body:
        return
    try:
        value: object = _decode(body)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict | list) and _encode(value) == body:
        file.body = value
    elif (text := _as_text(body)) is not None:
        file.text = text
    else:
        file.base64 = _as_base64(body)


def _text_or_base64(text: str | None, encoded: str | None) -> bytes:
    if text is not None:
        return text.encode()
    try:
        return base64.b64decode(encoded or "", validate=True)
    except binascii.Error as error:
        raise ValueError(f"`base64` is not base64: {error}") from None


def _as_text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _pairs(names: _Names) -> Pairs:
    if isinstance(names, list):
        return tuple(names)
    return tuple(
        (name, value) for name, values in names.items() for value in ([values] if isinstance(values, str) else values)
    )


def _names(pairs: Pairs) -> _Names:
    names: dict[str, str | list[str]] = dict(pairs)
    return names if len(names) == len(pairs) else list(pairs)
