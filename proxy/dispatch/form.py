"""multipart/form-data (RFC 7578), read as far as routing needs it: which fields there are, and where they stand.

Files are megabytes and stay where they are: only the delimiters between the parts are looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from proxy.errors import Malformed

PARTS_MAX = 1000
HEAD_BYTES_MAX = 16 * 1024
VALUE_BYTES_MAX = 1024
"""Of the fields that are read."""
_BOUNDARY = re.compile(r";\s*boundary=(?:\"([^\"\r\n]{1,70})\"|([^\s;\"]{1,70}))", re.IGNORECASE)
_DISPOSITION = re.compile(rb"(?:\A|\r\n)content-disposition:[ \t]*form-data[ \t]*(?=;)([^\r\n]*)", re.IGNORECASE)
_PARAMETER = re.compile(rb";[ \t]*([\w*-]+)=(\"(?:[^\"\\]|\\.)*\"|[^;\s\"]*)[ \t]*")


class Field(NamedTuple):
    """`start`, `end`: of its value, in the body."""

    name: str
    start: int
    end: int


def is_form(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def fields(body: bytes, content_type: str) -> Iterator[Field]:
    """Raises `Malformed`."""
    delimiter = b"--" + _boundary(content_type)
    if not body.startswith(delimiter):
        raise _malformed("it does not begin with its boundary")
    at = len(delimiter)
    for _ in range(PARTS_MAX):
        if body.startswith(b"--", at):
            return
        head_at = body.find(b"\r\n", at)
        start = body.find(b"\r\n\r\n", at, at + HEAD_BYTES_MAX)
        end = body.find(b"\r\n" + delimiter, start + 2)
        if body[at:head_at].strip(b" \t") or start < 0 or end < 0:
            raise _malformed("a part has no end, or no headers")
        yield Field(_name(body[head_at:start]), start + 4, max(end, start + 4))
        at = end + 2 + len(delimiter)
    raise _malformed(f"it has more than {PARTS_MAX} parts")


def values(body: bytes, content_type: str, *names: str) -> dict[str, str]:
    """Of the named fields, as far as they are there. Raises `Malformed`, also when one stands twice: we would route by
    one of them, and the provider might read the other.
    """
    found: dict[str, str] = {}
    for field in fields(body, content_type):
        if field.name not in names:
            continue
        if field.name in found:
            raise Malformed(f"{field.name} stands twice in the form", path=field.name, code="invalid_form")
        if field.end - field.start > VALUE_BYTES_MAX:
            raise Malformed(f"{field.name} is too long", path=field.name, code="invalid_form")
        found[field.name] = body[field.start : field.end].decode("utf-8", "replace")
    return found


def replaced(body: bytes, content_type: str, name: str, value: str) -> bytes:
    """With the value of one field replaced; as it was where there is none."""
    for field in fields(body, content_type):
        if field.name == name:
            return b"".join((body[: field.start], value.encode(), body[field.end :]))
    return body


def _boundary(content_type: str) -> bytes:
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise _malformed("Content-Type names no boundary")
    return (found[1] or found[2]).encode("utf-8", "surrogateescape")


def _name(head: bytes) -> str:
    """Parameter by parameter, so that nothing in a file's name is taken for the field's."""
    disposition = _DISPOSITION.search(head)
    if disposition is None:
        return ""
    at, rest = 0, disposition[1]
    while found := _PARAMETER.match(rest, at):
        if found[1].lower() == b"name":
            return found[2].strip(b'"').decode("utf-8", "replace")
        at = found.end()
    return ""


def _malformed(what: str) -> Malformed:
    return Malformed(f"the form is malformed: {what}", code="invalid_form")
