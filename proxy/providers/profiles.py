"""What upstream models can do, and which there are: read once from `profiles.json` and `models.json` beside this file.

A family's `base` describes its newest models, so that one which is not listed yet is treated as they are; `rows` are
laid over it in order, each where one of its wildcards fits. Source: wires.md §3, vendors' SDKs and catalogues.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType

import msgspec

from proxy.hub.profile import Profile
from proxy.hub.residue import JsonObject
from proxy.providers.base import Model
from proxy.wire.base import expect_object, loads


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: tuple[str, ...]
    set: msgspec.Raw


class Family(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    base: msgspec.Raw
    rows: tuple[Row, ...]


@cache
def families() -> Mapping[str, Family]:
    return MappingProxyType(msgspec.json.decode(_data("profiles.json"), type=dict[str, Family]))


@cache
def models() -> Mapping[str, tuple[Model, ...]]:
    """By family, in the order in which a human would look for them."""
    return MappingProxyType(msgspec.json.decode(_data("models.json"), type=dict[str, tuple[Model, ...]]))


@lru_cache(maxsize=4096)
def profile_of(family: str, model: str) -> Profile:
    """`model`: the upstream's name for it, with or without a vendor in front (``openai/gpt-5``)."""
    name = bare_name(model)
    layers = [families()[family].base]
    layers += [row.set for row in families()[family].rows if any(fnmatchcase(name, each) for each in row.models)]
    fields: JsonObject = {}
    for layer in layers:
        fields |= expect_object(loads(bytes(layer)), "a row of profiles.json")
    return msgspec.convert(fields, Profile)


def profiles(family: str, change: Callable[[Profile], Profile] | None = None) -> Callable[[str], Profile]:
    """The lookup for one provider; `change` is made to the profile of each of its models."""

    @lru_cache(maxsize=1024)
    def lookup(model: str) -> Profile:
        profile = profile_of(family, model)
        return profile if change is None else change(profile)

    return lookup


@lru_cache(maxsize=4096)
def known_model(name: str) -> Model:
    """What is known of a model of any family under this name; nothing but the name if it is none of them."""
    bare = bare_name(name)
    for listed in models().values():
        for model in listed:
            if model.id == bare:
                return model
    return Model(id=name)


def bare_name(model: str) -> str:
    """``us.anthropic.claude-…-v1:0`` → ``claude-…-v1:0``, ``models/gemini-…`` → ``gemini-…``; in lower case."""
    name = model.rsplit("/", 1)[-1].lower()
    head, _, rest = name.partition("anthropic.")
    return rest if rest and not head.strip(".abcdefghijklmnopqrstuvwxyz") else name


def _data(name: str) -> bytes:
    return files("proxy.providers").joinpath(name).read_bytes()
