"""Who serves, and why: a value that is logged, kept, shown, and the body when nobody is left."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from auth.credential import Credential
from proxy.providers.base import Provider

Action: TypeAlias = Literal["retry", "stop"]
"""retry: another candidate may do better · stop: the client's own fault, told as it is."""
RECENT_MAX = 512
NAMED_MAX = 50 * RECENT_MAX
"""In all of the last decisions together: 5 MB. With a thousand accounts that rest it were a hundred."""
Scope: TypeAlias = Literal["none", "model", "credential", "provider", "address"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Able to serve: provider + credential + upstream model. `siblings`: how many candidates for the same name share
    this credential, itself included (an alias of several upstream models): together they take one account's turns.
    """

    provider: Provider
    credential: Credential
    model: str
    siblings: int = 1
    key: tuple[str, str] = field(init=False, compare=False, repr=False)
    """Credential id and upstream model: what the pool keeps its state by."""
    shared: tuple[str, str] = field(init=False, compare=False, repr=False)
    """What it has in common with other candidates, and may fail as a whole: its provider's name, its address."""
    prepared: dict[tuple[str, bool], tuple[str, tuple[tuple[str, str], ...]]] = field(
        init=False, compare=False, repr=False
    )
    """By operation, and whether it is streamed: the address and headers of a call to which the client adds none."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "prepared", {})
        object.__setattr__(self, "key", (self.credential.id, self.model))
        object.__setattr__(self, "shared", (self.provider.name, self.address))

    @property
    def address(self) -> str:
        """With the egress proxy on the way there. Never shown: that may hold a password."""
        return f"{self.credential.base_url or self.provider.base_url} {self.credential.proxy_url or ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an outcome means. `scope`: what is left alone for a while: nothing, this model of the credential, the whole
    credential; `provider`, `address`: overloaded or out of reach as a whole, which benches no account.

    `cooldown_seconds`: the upstream's own word where `is_stated`, else a first guess that doubles with repetition. None
    with a scope: not by time, until somebody acts. `is_transient`: no fault of the account. `is_quota`: a window or a
    balance is used up, rather than too much asked at once; `window`: its slot (`auth.standing.Setback`).
    """

    action: Action
    scope: Scope = "none"
    cooldown_seconds: float | None = None
    is_stated: bool = False
    is_transient: bool = False
    is_quota: bool = False
    is_refused: bool = False
    window: str = ""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    candidate: Candidate
    why: str
    """One clause: ``cooling: the 5-hour window is exhausted``."""
    returns_at: float | None = None
    """On the decision's clock; None: not by itself."""
    is_transient: bool = False
    """For a fault of its provider, not for a limit of the account."""
    is_quota: bool = False
    """A window or a balance is used up."""
    is_refused: bool = False
    """Its key, login or permission was: a human has to act, whenever it is asked again."""
    is_busy: bool = False
    """It may be free as soon as one of its requests ends."""


@dataclass(slots=True, kw_only=True)
class Decision:
    """`rule`: by which the chosen one was chosen (``round-robin``, ``affinity``). `now`: the clock it was made by."""

    chosen: Candidate | None
    rule: str
    passed_over: tuple[PassedOver, ...] = ()
    now: float

    @property
    def is_busy(self) -> bool:
        """Somebody could serve if less were under way."""
        return any(each.is_busy for each in self.passed_over)

    @property
    def returning(self) -> list[PassedOver]:
        """Those who come back by themselves. Whose key was refused is only asked again: a human has to act."""
        return [each for each in self.passed_over if each.returns_at is not None and not each.is_refused]

    @property
    def returns_at(self) -> float | None:
        """When the first of them does."""
        times = [each.returns_at for each in self.returning if each.returns_at is not None]
        return min(times, default=None)


class Recent(deque[tuple[str, Decision]]):
    """The last decisions, the newest last, each with its request's id; fewer where they name very many candidates."""

    def __init__(self) -> None:
        super().__init__()
        self._named = 0

    def append(self, made: tuple[str, Decision]) -> None:
        super().append(made)
        self._named += len(made[1].passed_over)
        while len(self) > RECENT_MAX or (self._named > NAMED_MAX and len(self) > 1):
            self._named -= len(self.popleft()[1].passed_over)
