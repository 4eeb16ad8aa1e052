"""What all inquiries of a process share."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from auth.pool import Pool
from proxy.dispatch.affinity import Affinity
from proxy.dispatch.budget import RetryBudget
from proxy.dispatch.clock import Clock
from proxy.dispatch.decision import Decision
from proxy.dispatch.recall import Recall
from proxy.dispatch.waiting import WaitingRoom
from proxy.upstream.base import Upstream


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
