"""A request's body: read within limits, decoded, and looked at as far as routing needs it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from aiohttp.web import RequestPayloadError

from proxy.codings import BadEncoding, Decoder, decoder
from proxy.errors import Malformed, TooLarge, TooSlow, UnsupportedEncoding
from proxy.hub.residue import JsonValue
from proxy.server.json_fault import find_fault
from proxy.server.visit import BrokenBody, Source
from proxy.wire.base import json_type, loads

DECODED_SLICE_BYTES = 1024 * 1024
"""What is decoded before others get their turn."""


@dataclass(slots=True, kw_only=True)
class Limits:
    """`bytes_max` counts decoded bytes. A body has `seconds` plus what its size earns it at `fast_bytes_per_second`;
    after `grace_seconds` its average may not be below `slow_bytes_per_second`.
    """

    bytes_max: int
    seconds: float = 60.0
    fast_bytes_per_second: int = 256 * 1024
    grace_seconds: float = 10.0
    slow_bytes_per_second: int = 1024

    def deadline_seconds(self, received_bytes: int) -> float:
        """From the start of reading, when so much has come."""
        return min(
            self.seconds + received_bytes / self.fast_bytes_per_second,
            self.grace_seconds + received_bytes / self.slow_bytes_per_second,
        )


@dataclass(slots=True)
class Peek:
    """What a body says of its routing."""

    model: str
    is_stream: bool
    names: frozenset[str] | None = field(default=None, compare=False)
    """Of the members at the top; None: it is no JSON."""


def check_head(headers: Mapping[str, str], limits: Limits, *, takes_form: bool = False) -> None:
    """Refuses by the head alone what would be refused after reading. Raises `TooLarge` or `UnsupportedEncoding`."""
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.bytes_max:
        raise _too_large(limits)
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = takes_form and media_type == "multipart/form-data"
    if media_type not in {"", "application/json"} and not media_type.endswith("+json") and not is_form:
        raise UnsupportedEncoding(
            f"the body must be JSON: send Content-Type: application/json, not {media_type[:100]!r}",
            code="unsupported_media_type",
        )
    _decoder(headers)


def _decoder(headers: Mapping[str, str]) -> Decoder | None:
    try:
        return decoder(headers.get("content-encoding"))
    except BadEncoding:
        raise UnsupportedEncoding(
            f"Content-Encoding {headers['content-encoding'][:100]!r} is not known here; send one of "
            "gzip, deflate, br, zstd, or none",
            code="unsupported_content_encoding",
        ) from None


def _too_large(limits: Limits) -> TooLarge:
    return TooLarge(
        f"the body is larger than {limits.bytes_max} bytes, decoded; server.body-bytes-max sets the limit",
        code="request_too_large",
    )


class _Intake:
    """Decodes as it comes, up to the limit."""

    def __init__(self, decoder: Decoder | None, limits: Limits) -> None:
        self._decoder = decoder
        self._limits = limits
        self._parts: list[bytes] = []
        self._size = 0
        self.received = 0

    async def take(self, data: bytes) -> None:
        self.received += len(data)
        if self._decoder is None:
            self._keep(data)
            return
        before = self._size
        for part in self._decoder.feed(data):
            self._keep(part)
            if self._size - before > DECODED_SLICE_BYTES:
                before = self._size
                await asyncio.sleep(0)

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if max(self._size, self.received) > self._limits.bytes_max:
            raise _too_large(self._limits)
        self._parts.append(part)

    def finish(self) -> bytes:
        """Raises `BadEncoding` when the end is missing."""
        if self._decoder is not None:
            self._decoder.finish()
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


async def read(source: Source, headers: Mapping[str, str], limits: Limits) -> bytes:
    """The decoded body. `check_head` has been asked. Raises `TooLarge`, `TooSlow` or `Malformed`."""
    intake = _Intake(_decoder(headers), limits)
    try:
        if source.is_eof():  # it came with the head: nothing to wait for
            await intake.take(await source.readany())
        else:
            await _receive(source, intake, limits)
        return intake.finish()
    except BadEncoding as error:
        raise Malformed(f"the body is not what Content-Encoding says: {error}", code="invalid_encoding") from None
    except (RequestPayloadError, BrokenBody) as error:
        raise Malformed(f"the body is broken: {error}", code="invalid_body") from None


async def _receive(source: Source, intake: _Intake, limits: Limits) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(None) as deadline:
            while True:
                deadline.reschedule(began + limits.deadline_seconds(intake.received))
                data = await source.readany()
                if not data:
                    return
                await intake.take(data)
    except TimeoutError:
        raise TooSlow(
            f"the body did not arrive in time: {intake.received} bytes in {loop.time() - began:.0f} s"
        ) from None


_PLAIN = re.compile(rb'"[a-zA-Z0-9._:/@-]+"')
"""A name as JSON that needs no reader."""
_shallow = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


async def peek(body: bytes, *, model: str | None = None, is_stream: bool | None = None, default: str = "") -> Peek:
    """Checks that the body is a JSON object and takes what routing needs, one level deep.

    `model` and `is_stream` come from the path where the wire has them there; `default` is the model of a body that
    names none. Raises `Malformed` with the path to the fault and its byte offset.
    """
    try:
        fields = _fields(body)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise await _malformed(body, str(error)) from None
    if not _is_accounted_for(body, fields) and await _has_twins(body, fields):
        raise await _malformed(body, "model or stream stands twice")
    return _peek(fields, model, is_stream, default)


def quick_peek(body: bytes, *, model: str | None, is_stream: bool | None) -> Peek | None:
    """The same of a body about which there is nothing to say. None: `peek` knows."""
    try:
        fields = _fields(body)
        return _peek(fields, model, is_stream, "") if _is_accounted_for(body, fields) else None
    except (ValueError, RecursionError, Malformed):
        return None


def _fields(body: bytes) -> Mapping[str, msgspec.Raw]:
    """Raises ValueError or RecursionError."""
    if not body.isascii():
        body.decode()
    return _shallow(body)


def _peek(fields: Mapping[str, msgspec.Raw], model: str | None, is_stream: bool | None, default: str) -> Peek:
    return Peek(
        model=_model(fields, default) if model is None else model,
        is_stream=_stream(fields) if is_stream is None else is_stream,
        names=frozenset(fields),
    )


def _value(fields: Mapping[str, msgspec.Raw], key: str) -> JsonValue:
    raw = fields.get(key)
    return None if raw is None else loads(bytes(raw))


def _model(fields: Mapping[str, msgspec.Raw], default: str) -> str:
    written = bytes(fields.get("model", b""))
    if _PLAIN.fullmatch(written):
        return written[1:-1].decode()
    model = _value(fields, "model")
    if model is None or model == "":
        model = default
    if isinstance(model, str) and model:
        return model
    if model == "":
        raise Malformed("model is required and must name one", path="model", code="invalid_model")
    raise Malformed(f"model must be a string, not {json_type(model)}", path="model", code="invalid_model")


def _stream(fields: Mapping[str, msgspec.Raw]) -> bool:
    if "stream" not in fields:
        return False
    stream = _value(fields, "stream")
    if stream is None or isinstance(stream, bool):
        return bool(stream)
    raise Malformed(f"stream must be a boolean, not {json_type(stream)}", path="stream", code="invalid_stream")


def _is_accounted_for(body: bytes, fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the keys and values that were found are all there is, so that no key stands twice. It is how most
    clients write: without blanks between them.
    """
    return sum([len(key) + 4 + memoryview(raw).nbytes for key, raw in fields.items()]) + 1 == len(body)


async def _has_twins(body: bytes, fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether `model` or `stream` stands twice at the top: we would route by one, and a provider might read the other.

    The quoted names are counted: all there are, against those inside values and one at the top. Where letters are
    written as escapes, the slow scanner looks.
    """
    for name in ("model", "stream"):
        needle = f'"{name}"'.encode()
        everywhere = body.count(needle)
        if everywhere > 1:
            inside = sum(bytes(raw).count(needle) for raw in fields.values())
            if everywhere > inside + 1:
                return True
    if b"\\u006" in body or b"\\u007" in body:
        return await asyncio.to_thread(find_fault, body) is not None
    return False


async def _malformed(body: bytes, what: str) -> Malformed:
    """The fault is found by a slow scanner, in a thread, because the fast one names no path; `what` is its word."""
    fault = await asyncio.to_thread(find_fault, body)
    if fault is not None:
        what = f"{fault.what}{f' at {fault.path}' if fault.path else ''} (byte {fault.offset})"
    return Malformed(f"the body is malformed: {what}", path=(fault and fault.path) or None, code="invalid_json")
