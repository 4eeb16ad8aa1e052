"""What the management API sees of the running server, and is handed by whoever composes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import structlog

from auth.pool import Pool
from auth.store import Store
from management.audit import Audit
from management.board import Board
from proxy.config.account_files import AccountFile
from proxy.config.schema import Config
from proxy.dispatch.clock import Clock
from proxy.dispatch.decision import Decision
from proxy.dispatch.draft import Draft
from proxy.dispatch.failover import Dispatcher
from proxy.dispatch.snapshot import Snapshot
from proxy.observe.ledger import Ledger
from proxy.providers.enrolled import Enrolled


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`config`: in force. `check`: raises `ConfigError` for one that could not be. `reload`: looks at the file, now;
    `reload_error`: why that is not in force. `rehearse`: a dry run; raises what the client would be told (`ProxyError`,
    `Refused`), and `LookupError` for a key that there is not. `look`: looks at the auth-dir, now. `password`: one more
    management key, or empty. `logs`: the folder of logs. `workers`: processes that serve. `writing`: held by whoever
    changes config.yaml. `listeners`: to live events. `clients`: each client key's state, as JSON.
    """

    version: str
    config_path: Path
    config: Callable[[], Config]
    check: Callable[[Config], object]
    reload: Callable[[], Awaitable[None]]
    reload_error: Callable[[], str | None]
    snapshot: Callable[[], Snapshot]
    dispatcher: Dispatcher
    rehearse: Callable[[Draft], Decision]
    pool: Pool
    clock: Clock
    ledger: Ledger
    store: Store[AccountFile]
    look: Callable[[], Awaitable[None]]
    logs: Path
    audit: Audit
    log: structlog.typing.FilteringBoundLogger
    board: Board | None = None
    enrolled: Callable[[], Enrolled | None] = lambda: None
    """What the files of accounts add to the configuration, and why some add nothing."""
    probe: Callable[[str], Awaitable[tuple[bool, str]]] | None = None
    clients: Callable[[], Sequence[Mapping[str, object]]] = tuple
    password: str = ""
    workers: int = 1
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    listeners: set[object] = field(default_factory=set)

    @property
    def offset(self) -> float:
        """Unix seconds minus the pool's."""
        return self.clock.unix() - self.clock.monotonic()


def auth_index(credential_id: str) -> str:
    """What panels call an account by: 16 hexadecimal digits."""
    return sha256(credential_id.encode()).hexdigest()[:16]
