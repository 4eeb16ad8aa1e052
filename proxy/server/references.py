"""``item_reference``: an item of an earlier answer is named instead of repeated. The AI SDK does so by default."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from proxy.server.archive import Told, View

MARK = b'"item_reference"'


class _Reference(msgspec.Struct):
    id: str
    type: str | None = None


_reference = msgspec.json.Decoder(_Reference).decode


class Resolved(NamedTuple):
    """`items`: in full, as far as they are known here. `sent`: for the provider; what it keeps itself stays a
    reference, which only `credential` can follow.
    """

    items: tuple[bytes, ...]
    sent: tuple[bytes, ...]
    credential: str = ""


def resolved(items: tuple[bytes, ...], view: View) -> Resolved:
    if not any(MARK in item for item in items):
        return Resolved(items, items)
    whole: list[bytes] = []
    sent: list[bytes] = []
    credential = ""
    for item in items:
        name = _name(item)
        told = view.item(name) if name else None
        said = item if told is None else told.named[name]
        if said:
            whole.append(said)
        if told is not None and told.credential:
            credential = told.credential
            sent.append(item)
        elif said:
            sent.append(said)
    return Resolved(tuple(whole), tuple(sent), credential)


def _name(item: bytes) -> str:
    """Empty: it is no reference."""
    if MARK not in item:
        return ""
    try:
        reference = _reference(item)
    except ValueError:
        return ""
    return reference.id if reference.type == "item_reference" else ""


def known(items: tuple[bytes, ...], view: View) -> list[Told]:
    names = (_name(item) for item in items)
    found = (view.item(name) for name in names if name)
    return [told for told in found if told is not None]
