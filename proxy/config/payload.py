"""Rules that change the JSON of a request on its way to the provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from proxy.config import checks
from proxy.config.settings import JsonValue, Limits, setting

Protocol: TypeAlias = Literal["", "openai", "openai-response", "codex", "claude", "gemini", "gemini-cli", "antigravity"]
"""The well-known system's words for what is spoken with the provider; empty: any."""

_NO_PARAMS: Mapping[str, JsonValue] = MappingProxyType({})
_PATH = "generationConfig.temperature"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadModel:
    name: str = setting("*", "The model at the provider; * stands for anything.", Limits(check=checks.filled))
    protocol: Protocol = setting("", "Only for requests in this format; empty: any.", Limits(example="gemini"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadRule:
    models: tuple[PayloadModel, ...] = setting((), "Where it applies; empty: everywhere.")
    params: Mapping[str, JsonValue] = setting(_NO_PARAMS, "JSON path → value.", Limits(example={_PATH: 0.5}))

    def faults(self) -> Iterator[tuple[str, str]]:
        if not self.params:
            yield "params", "is needed: a rule without it does nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadFilter:
    models: tuple[PayloadModel, ...] = setting((), "Where it applies; empty: everywhere.")
    params: tuple[str, ...] = setting((), "JSON paths to take out.", Limits(check=checks.filled, example=[_PATH]))

    def faults(self) -> Iterator[tuple[str, str]]:
        if not self.params:
            yield "params", "is needed: a rule without it does nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    default: tuple[PayloadRule, ...] = setting((), "Set where the client says nothing; the first rule wins.")
    override: tuple[PayloadRule, ...] = setting((), "Set whatever the client says; the last rule wins.")
    filter: tuple[PayloadFilter, ...] = setting((), "Taken out, after all the others.")
