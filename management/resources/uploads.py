"""Files in a request: one as its body, or several as a form."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import BodyPartReader, MultipartReader
from aiohttp.http_exceptions import HttpProcessingError

from management.refusal import invalid
from management.routes import BODY_BYTES_MAX, FORM, Ask, too_large

FILES_MAX = 1000
FIELDS_MAX = 100
FORM_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    name: str
    raw: bytes


async def uploads(ask: Ask) -> list[Upload]:
    """At least one. Raises `Refusal`."""
    if ask.request.headers.get("content-type", "").lower().startswith(FORM):
        found, _ = await form_of(ask)
        if not found:
            raise invalid("the form holds no file")
        return found
    name = ask.query.get("name", "")
    if not name.lower().endswith(".json"):
        raise invalid("name must be given, and end with .json")
    return [Upload(name=name, raw=await ask.raw())]


async def form_of(ask: Ask) -> tuple[list[Upload], dict[str, str]]:
    """Its files, and its other fields. Raises `Refusal`."""
    found: list[Upload] = []
    fields: dict[str, str] = {}
    left = FORM_BYTES_MAX
    try:
        async for part in MultipartReader(ask.request.headers, ask.request.content):
            if not isinstance(part, BodyPartReader):
                raise invalid("a form within a form")
            raw = await _part(part)
            left -= len(raw)
            if left < 0 or len(found) >= FILES_MAX or len(fields) >= FIELDS_MAX:
                raise too_large()
            if part.filename is not None:
                found.append(Upload(name=part.filename, raw=raw))
            elif part.name:
                fields[part.name] = raw.decode()
    except (ValueError, AssertionError, LookupError, asyncio.IncompleteReadError, HttpProcessingError) as error:
        raise invalid(f"the form cannot be read: {error}"[:300]) from error
    return found, fields


async def _part(part: BodyPartReader) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := await part.read_chunk(65536):
        size += len(piece)
        if size > BODY_BYTES_MAX:
            raise too_large()
        pieces.append(piece)
    return b"".join(pieces)
