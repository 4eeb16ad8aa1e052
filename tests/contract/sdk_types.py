"""Whether JSON fits the types that an official SDK publishes for its requests, and nothing beside them.

The SDKs of OpenAI and Anthropic describe requests as TypedDicts, which no library checks for unknown keys at every
depth; so they are walked here. Google's are pydantic models that forbid extra fields by themselves.
"""

from __future__ import annotations

import types as builtin
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import typing_extensions
from google.genai.types import Content, CountTokensConfig, GenerateContentConfig
from pydantic import ValidationError

from proxy.hub.residue import JsonObject

Complaints: TypeAlias = list[str]

_WRAPPERS = {Annotated, Required, NotRequired, typing_extensions.Required, typing_extensions.NotRequired}
_UNIONS = {Union, builtin.UnionType}
_FREE = {Any, object}


def complaints(value: object, wanted: Any, path: str = "") -> Complaints:
    """What in `value` is not as `wanted` has it; of a union, the complaints of the member that is nearest."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if wanted in _FREE:
        return []
    if origin in _WRAPPERS:
        return complaints(value, arguments[0], path)
    if origin in _UNIONS:
        return min((complaints(value, each, path) for each in arguments), key=_badness)
    if origin is Literal:
        return [] if value in arguments else [f"{path}: {value!r} is none of {arguments}"]
    if typing_extensions.is_typeddict(wanted):
        return _fields(value, wanted, path)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            return [f"{path}: {type(value).__name__} is no object"]
        return [fault for key, item in value.items() for fault in complaints(item, arguments[1], f"{path}.{key}")]
    if (origin is not None and issubclass(origin, Iterable)) or _is_sequence(wanted):
        if not isinstance(value, list):
            return [f"{path}: {type(value).__name__} is no array"]
        inner = arguments[0] if arguments else object
        return [fault for at, item in enumerate(value) for fault in complaints(item, inner, f"{path}[{at}]")]
    return _scalar(value, wanted, path)


def _badness(faults: Complaints) -> tuple[int, int]:
    """A wrong or unknown `type` says that another member was meant."""
    return sum(".type:" in fault or fault.endswith("is no object") for fault in faults), len(faults)


def _is_sequence(wanted: Any) -> bool:
    return getattr(wanted, "__name__", "") == "SequenceNotStr"


def _scalar(value: object, wanted: Any, path: str) -> Complaints:
    if wanted is None or wanted is type(None):
        return [] if value is None else [f"{path}: {value!r} is not null"]
    if wanted is float:
        wanted = (int, float)
    is_fitting = isinstance(value, get_origin(wanted) or wanted) and not (
        isinstance(value, bool) and wanted is not bool
    )
    return [] if is_fitting else [f"{path}: {value!r} is no {wanted}"]


def _fields(value: object, wanted: Any, path: str) -> Complaints:
    if not isinstance(value, dict):
        return [f"{path}: {type(value).__name__} is no object"]
    hints = _hints(wanted)
    faults = [f"{path}.{key}: unknown to {wanted.__name__}" for key in value if key not in hints]
    faults += [f"{path}.{key}: missing in {wanted.__name__}" for key in wanted.__required_keys__ if key not in value]
    for key, item in value.items():
        if key in hints:
            faults += complaints(item, hints[key], f"{path}.{key}")
    return faults


@cache
def _hints(wanted: Any) -> Mapping[str, Any]:
    return get_type_hints(wanted, include_extras=True)


def gemini_complaints(body: JsonObject) -> Complaints:
    """`GenerateContentConfig` is what the SDK makes most of the body of."""
    rest = dict(body)
    contents = rest.pop("contents", [])
    config = {**_object(rest.pop("generationConfig", {})), **rest}
    assert isinstance(contents, Sequence)
    return [
        fault
        for model, value in [(GenerateContentConfig, config), *((Content, each) for each in contents)]
        for fault in _validated(model, value)
    ]


def gemini_count_complaints(body: JsonObject) -> Complaints:
    rest = dict(body)
    contents = rest.pop("contents", [])
    assert isinstance(contents, Sequence)
    return [
        fault
        for model, value in [(CountTokensConfig, rest), *((Content, each) for each in contents)]
        for fault in _validated(model, value)
    ]


def _validated(model: Any, value: object) -> Complaints:
    try:
        model.model_validate(value)
    except ValidationError as error:
        return [f"{model.__name__}.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return []


def _object(value: object) -> JsonObject:
    assert isinstance(value, dict)
    return value
