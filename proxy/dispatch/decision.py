"""Who serves, and why: a value that is logged, kept, shown, and the body when nobody is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from auth.credential import Credential
from proxy.providers.base import Provider

Action: TypeAlias = Literal["retry", "stop"]
"""retry: another candidate may do better · stop: the client's own fault, told as it is."""
Scope: TypeAlias = Literal["none", "model", "credential", "provider"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Able to serve: provider + credential + upstream model."""

    provider: Provider
    credential: Credential
    model: str

    @property
    def key(self) -> tuple[str, str]:
        return (self.credential.id, self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an outcome means. `cooldown_seconds`: None = none; from the upstream's own word where `is_stated`."""

    action: Action
    scope: Scope = "none"
    cooldown_seconds: float | None = None
    is_stated: bool = False
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    candidate: Candidate
    why: str
    """One clause: ``cooling: the 5-hour window is exhausted``."""
    returns_at: float | None = None
    """On the decision's clock; None: not by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`rule`: by which the chosen one was chosen (``round-robin``, ``affinity``). `now`: the clock it was made by."""

    chosen: Candidate | None
    rule: str
    passed_over: tuple[PassedOver, ...] = ()
    now: float

    @property
    def returns_at(self) -> float | None:
        """When the first of those passed over returns."""
        times = [each.returns_at for each in self.passed_over if each.returns_at is not None]
        return min(times, default=None)
