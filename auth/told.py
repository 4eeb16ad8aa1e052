"""How a refresh went."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from auth.survey import Survey

Outcome: TypeAlias = Literal["refreshed", "fresh", "login_needed", "failed", "uncertain"]
"""`uncertain`: it was sent, and no answer came."""


class Told(msgspec.Struct):
    outcome: Outcome
    why: str = ""
    survey: Survey | None = None
    """What the CLI told of the account besides."""
