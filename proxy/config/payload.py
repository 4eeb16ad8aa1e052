"""Rules that change the JSON of a request on its way to the provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias, cast

import msgspec

from proxy.config import checks
from proxy.config.settings import JsonValue, Limits, setting

Protocol: TypeAlias = Literal["", "openai", "openai-response", "codex", "claude", "gemini", "gemini-cli", "antigravity"]
"""The well-known system's words for what is spoken with the provider; empty: any."""

_NO_PARAMS: Mapping[str, JsonValue] = MappingProxyType({})
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_PATH = "generationConfig.temperature"
_FILLED = Limits(check=checks.filled, example=[_PATH])


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadModel:
    """All that is said must fit. A path of `match` and its like leads into the request as it is about to be sent."""

    name: str = setting("*", "The model at the provider; * stands for anything.", Limits(check=checks.filled))
    protocol: Protocol = setting("", "Only for requests in this format; empty: any.", Limits(example="gemini"))
    from_protocol: Protocol = setting("", "Only for clients that speak this format; empty: any.")
    keys: tuple[str, ...] = setting(
        (),
        "Only for clients with these keys, by name; * stands for anything.",
        Limits(check=checks.filled, example=["laptop"]),
    )
    headers: Mapping[str, str] = setting(
        _NO_HEADERS,
        "Only where the client's headers fit: name → value; * stands for anything.",
        Limits(example={"X-Tier": "team-*"}),
    )
    match: tuple[Mapping[str, JsonValue], ...] = setting(
        (), "Only where each JSON path has this value.", Limits(example=[{"generationConfig.candidateCount": 1}])
    )
    not_match: tuple[Mapping[str, JsonValue], ...] = setting(
        (), "Only where no JSON path has this value.", Limits(example=[{"generationConfig.seed": 0}])
    )
    exist: tuple[str, ...] = setting(
        (),
        "Only where there is something at each of these JSON paths.",
        Limits(check=checks.filled, example=["generationConfig"]),
    )
    not_exist: tuple[str, ...] = setting(
        (),
        "Only where there is nothing at any of these JSON paths.",
        Limits(check=checks.filled, example=["generationConfig.stopSequences"]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadRule:
    models: tuple[PayloadModel, ...] = setting((), "Where it applies: one of them must fit; empty: everywhere.")
    params: Mapping[str, JsonValue] = setting(_NO_PARAMS, "JSON path → value.", Limits(example={_PATH: 0.5}))

    def faults(self) -> Iterator[tuple[str, str]]:
        if not self.params:
            yield "params", "is needed: a rule without it does nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPayloadRule:
    models: tuple[PayloadModel, ...] = setting((), "Where it applies: one of them must fit; empty: everywhere.")
    params: Mapping[str, JsonValue] = setting(_NO_PARAMS, "JSON path → JSON as a text.", Limits(example={_PATH: "0.5"}))

    def faults(self) -> Iterator[tuple[str, str]]:
        if not self.params:
            yield "params", "is needed: a rule without it does nothing"
        for path, value in self.params.items():
            try:
                raw_value(value)
            except ValueError:
                yield "params", f"has no JSON at {path}"


def raw_value(value: JsonValue) -> JsonValue:
    """What a text of JSON says; what is no text says itself. Raises ValueError."""
    return cast("JsonValue", msgspec.json.decode(value)) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadFilter:
    models: tuple[PayloadModel, ...] = setting((), "Where it applies: one of them must fit; empty: everywhere.")
    params: tuple[str, ...] = setting((), "JSON paths to take out.", _FILLED)

    def faults(self) -> Iterator[tuple[str, str]]:
        if not self.params:
            yield "params", "is needed: a rule without it does nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    default: tuple[PayloadRule, ...] = setting((), "Set where the client says nothing; the first rule wins.")
    default_raw: tuple[RawPayloadRule, ...] = setting((), "The same with JSON as texts; after default.")
    override: tuple[PayloadRule, ...] = setting((), "Set whatever the client says; the last rule wins.")
    override_raw: tuple[RawPayloadRule, ...] = setting((), "The same with JSON as texts; after override.")
    filter: tuple[PayloadFilter, ...] = setting((), "Taken out, after all the others.")
