"""What an operator says an error means, before our own table of its provider is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from proxy.config import checks
from proxy.config.settings import Fault, Limits, required, setting

KEYS_OWN = "What its errors mean; before what holds for its kind. The first rule that fits decides."
ErrorAction: TypeAlias = Literal["stop", "stop-and-cooldown", "continue", "continue-and-cooldown"]


def pattern(value: str) -> Fault:
    try:
        re.compile(value)
    except re.error as error:
        return f"is no regular expression: {error}"
    return checks.filled(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRule:
    """One of `match` or `match-regexr` must be found, where there are any."""

    status: int = required("The provider's status.", Limits(low=100, high=599, example=400))
    match: tuple[str, ...] = setting(
        (),
        "Words to find in the provider's error, whatever their case.",
        Limits(check=checks.filled, example=["quota"]),
    )
    match_regexr: tuple[str, ...] = setting(
        (), "Regular expressions to find in it.", Limits(check=pattern, example=["(?i)overloaded"])
    )
    action: ErrorAction = required(
        "Tell the client at once, or go on with another account; and leave this one's model alone for a while, or not.",
        Limits(example="continue"),
    )
