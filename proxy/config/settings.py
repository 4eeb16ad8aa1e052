"""A setting: name, type, default and one sentence, in one place.

A group of settings is a frozen dataclass. Its fields are the settings: the attribute's name with ``-`` for ``_`` is the
YAML key, the annotation is the type, `setting(...)` or `required(...)` says the rest. Everything else (reading,
JSON Schema, the sample file, showing) walks `settings_of(group)`.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import (
    Any,
    ClassVar,
    Literal,
    NewType,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from auth.secret import Secret

T = TypeVar("T")

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
Duration = NewType("Duration", float)
"""Seconds. Written as a number of seconds or as ``1h30m``, ``90s``, ``500ms``."""
Fault: TypeAlias = str | None
"""What is wrong with a value, as the end of a sentence that begins with its path; None: nothing."""


class Group(Protocol):
    """A frozen dataclass of settings. It may have more:

    ``PLAIN``: the key that a lone text stands for (``- sk-…`` instead of ``- api-key: sk-…``).
    ``faults(self)``: yields (key, what is wrong) for what only several settings together can get wrong.
    ``hints(self)``: likewise, for what is worth a warning.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Flag:
    pass


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number."""


@dataclass(frozen=True, slots=True)
class Number:
    """Whole or not."""


@dataclass(frozen=True, slots=True)
class Text:
    """`is_secret`: read as `Secret`."""

    is_secret: bool = False


@dataclass(frozen=True, slots=True)
class Time:
    """A `Duration`."""


@dataclass(frozen=True, slots=True)
class Choice:
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    item: Kind


@dataclass(frozen=True, slots=True)
class MapOf:
    item: Kind


@dataclass(frozen=True, slots=True)
class GroupOf:
    group: type[Group]
    plain: str | None


@dataclass(frozen=True, slots=True)
class Json:
    """Any JSON value."""


Kind: TypeAlias = Flag | Whole | Number | Text | Time | Choice | ListOf | MapOf | GroupOf | Json

_LEAVES: Mapping[object, Kind] = {
    bool: Flag(),
    int: Whole(),
    float: Number(),
    str: Text(),
    Secret: Text(is_secret=True),
    Duration: Time(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a type cannot say. `low` and `high` are inclusive. `short`: other words for a choice's options.

    `check`: a look at the value; of a list, at each of its items.
    `is_private`: the value may hold a password; it stays out of `repr` and is masked where the config is shown.
    `example`: what the sample file shows where the default is empty.
    """

    low: int | None = None
    high: int | None = None
    short: Mapping[str, str] = dataclasses.field(default_factory=dict)
    check: Callable[[Any], Fault] | None = None
    is_private: bool = False
    example: JsonValue = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """`default`: `dataclasses.MISSING` when there is none and the key must be written."""

    key: str
    attribute: str
    kind: Kind
    sentence: str
    default: object
    limits: Limits

    @property
    def is_required(self) -> bool:
        return self.default is dataclasses.MISSING


def setting(default: T, sentence: str, limits: Limits | None = None) -> T:
    """A field with a default."""
    limits = limits or Limits()
    metadata = {"sentence": sentence, "limits": limits}
    return dataclasses.field(default_factory=lambda: default, repr=not limits.is_private, metadata=metadata)


def required(sentence: str, limits: Limits | None = None) -> Any:
    """A field that must be written."""
    limits = limits or Limits()
    return dataclasses.field(repr=not limits.is_private, metadata={"sentence": sentence, "limits": limits})


@functools.cache
def settings_of(group: type[Group]) -> tuple[Setting, ...]:
    """In the order in which they are declared."""
    hints = get_type_hints(group)
    return tuple(_setting(field, hints[field.name]) for field in dataclasses.fields(group))


def _setting(field: dataclasses.Field[object], hint: object) -> Setting:
    return Setting(
        key=field.name.replace("_", "-"),
        attribute=field.name,
        kind=kind_of(hint),
        sentence=field.metadata["sentence"],
        default=dataclasses.MISSING if field.default_factory is dataclasses.MISSING else field.default_factory(),
        limits=field.metadata["limits"],
    )


def kind_of(hint: Any) -> Kind:
    """The kind that an annotation stands for. Raises `TypeError` for one that is no setting's type."""
    if leaf := _LEAVES.get(hint):
        return leaf
    if dataclasses.is_dataclass(hint):
        return group_kind(cast("type[Group]", hint))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return Choice(arguments)
    if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
        return ListOf(kind_of(arguments[0]))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return MapOf(kind_of(arguments[1]))
    if origin is types.UnionType and types.NoneType in arguments:
        return Json()
    raise TypeError(f"{hint!r} is no type of a setting")


def group_kind(group: type[Group]) -> GroupOf:
    return GroupOf(group, getattr(group, "PLAIN", None))
