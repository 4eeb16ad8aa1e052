"""What all inquiries of a process share."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from structlog.typing import FilteringBoundLogger

from auth.credential import Credential
from auth.pool import Pool
from proxy.dispatch.affinity import Affinity
from proxy.dispatch.budget import RetryBudget
from proxy.dispatch.clock import Clock
from proxy.dispatch.decision import Decision
from proxy.dispatch.recall import Recall
from proxy.dispatch.waiting import WaitingRoom
from proxy.upstream.base import Prompt, Upstream

Renew: TypeAlias = Callable[[Credential], Awaitable[Credential | None]]
"""The same account with another token than the one that its provider has just refused; None: there is none."""


async def nobody_renews(_refused: Credential) -> Credential | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """`recent`: the last decisions, each with its request's id."""

    upstreams: Mapping[str, Upstream]
    pool: Pool
    clock: Clock
    recall: Recall
    budget: RetryBudget
    recent: deque[tuple[str, Decision]]
    log: FilteringBoundLogger
    affinity: Affinity = field(default_factory=Affinity)
    waiting: WaitingRoom = field(default_factory=WaitingRoom)
    renew: Renew = nobody_renews
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    """Those of the upstreams that may be able to send at once."""
