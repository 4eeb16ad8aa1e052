"""Addresses that are told when somebody should look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from auth.secret import Secret
from proxy.config import checks
from proxy.config.settings import Limits, required, setting

SECRET_CHARACTERS_MIN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    url: str = required(
        "Where to; it gets a signed POST (standardwebhooks.com).",
        Limits(check=checks.web_address, is_private=True, example="https://hooks.example.com/proxy"),
    )
    secret: Secret = required(
        "What signs it: the receiver's whsec_… word, or one of your own.",
        Limits(example="whsec_bXktb3duLWxvbmctc2VjcmV0"),
    )
    events: tuple[Literal["account.dead", "account.recovered", "quota.low", "pool.empty", "pool.recovered"], ...] = (
        setting((), "Only these; none named: all.")
    )
    quota_percent: int = setting(90, "From how much of a window on its quota counts as low.", Limits(low=1, high=100))

    def faults(self) -> Iterator[tuple[str, str]]:
        if len(self.secret.reveal()) < SECRET_CHARACTERS_MIN:
            yield "secret", f"needs {SECRET_CHARACTERS_MIN} characters: anybody could sign in your name"
        if checks.is_sample(self.secret):
            yield "secret", "is the word of the documentation, which everybody knows; make up your own"
