"""Which accounts are meant: by what is told of them, and by a part of their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

BY = ("name", "auth_index", "type", "provider", "status", "source")
"""What an account may be chosen by, in the words of the list of accounts."""
WORDS = "q"
"""Beside it: a part of name, label, e-mail address or note, in any case."""

Told = dict[str, object]


def selected(told: Sequence[Told], wanted: Mapping[str, str]) -> list[Told]:
    """What is empty is not asked for."""
    exact = {name: wanted[name] for name in BY if wanted.get(name)}
    words = (wanted.get(WORDS) or "").lower()
    return [
        each
        for each in told
        if all(each[name] == value for name, value in exact.items())
        and words in f"{each['name']} {each['label']} {each['email']} {each['note']}".lower()
    ]
