from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pytest

from auth.secret import Secret
from proxy.config.settings import (
    Choice,
    Duration,
    Flag,
    GroupOf,
    Json,
    JsonValue,
    Limits,
    ListOf,
    MapOf,
    Text,
    Time,
    Whole,
    kind_of,
    required,
    setting,
    settings_of,
)


@dataclass(frozen=True, kw_only=True)
class Inner:
    PLAIN = "some-word"

    some_word: str = required("A word.")


@dataclass(frozen=True, kw_only=True)
class Outer:
    flag: bool = setting(default=True, sentence="A flag.")
    many_words: tuple[str, ...] = setting(("a",), "Words.", Limits(is_private=True))
    inner: tuple[Inner, ...] = setting((), "Groups.")


def test_a_setting_is_read_off_its_field() -> None:
    flag, words, inner = settings_of(Outer)
    assert (flag.key, flag.kind, flag.default, flag.sentence, flag.is_required) == (
        "flag",
        Flag(),
        True,
        "A flag.",
        False,
    )
    assert (words.key, words.attribute, words.kind, words.default) == (
        "many-words",
        "many_words",
        ListOf(Text()),
        ("a",),
    )
    assert inner.kind == ListOf(GroupOf(Inner, "some-word"))
    [word] = settings_of(Inner)
    assert word.is_required
    assert word.default is dataclasses.MISSING


def test_what_may_hold_a_password_stays_out_of_repr() -> None:
    assert repr(Outer(many_words=("hunter2",))) == "Outer(flag=True, inner=())"


@pytest.mark.parametrize(
    ("hint", "kind"),
    [
        (int, Whole()),
        (Secret, Text(is_secret=True)),
        (Duration, Time()),
        (Literal["a", "b"], Choice(("a", "b"))),
        (Mapping[str, tuple[int, ...]], MapOf(ListOf(Whole()))),
    ],
)
def test_kinds(hint: object, kind: object) -> None:
    assert kind_of(hint) == kind


def test_any_json() -> None:
    @dataclass(frozen=True)
    class Params:
        params: Mapping[str, JsonValue] = setting({}, "Any.")

    assert settings_of(Params)[0].kind == MapOf(Json())


@pytest.mark.parametrize("hint", [bytes, list[int], tuple[int, str], set[str], dict])
def test_other_types_are_no_settings(hint: object) -> None:
    with pytest.raises(TypeError, match="is no type of a setting"):
        kind_of(hint)
