"""What the management API sees of the running server, and is handed by whoever composes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import structlog

from auth.pool import Pool
from auth.store import Store
from management.audit import Audit
from management.board import Board
from proxy.config.account_files import AccountFile
from proxy.config.schema import Config
from proxy.dispatch.clock import Clock
from proxy.dispatch.decision import Decision
from proxy.dispatch.failover import Dispatcher
from proxy.dispatch.snapshot import Snapshot
from proxy.observe.ledger import Ledger
from proxy.providers.base import Operation
from proxy.providers.enrolled import Enrolled


class Rehearse(Protocol):
    """A dry run of a request: `proxy.server.rehearsal`."""

    def __call__(
        self,
        body: bytes,
        *,
        model: str,
        wire: str,
        operation: Operation,
        is_stream: bool,
        headers: Mapping[str, str],
        key: str,
    ) -> Decision:
        """Raises `ProxyError`, and `LookupError` where there is no such key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`config`: in force. `check`: raises `ConfigError` for one that could not be. `reload`: looks at the file, now;
    `reload_error`: why that is not in force. `look`: looks at the auth-dir, now. `password`: one more management key,
    or empty. `logs`: the folder of logs. `writing`: held by whoever changes config.yaml. `listeners`: to live
    events. `clients`: each client key's state, as JSON.
    """

    version: str
    config_path: Path
    config: Callable[[], Config]
    check: Callable[[Config], object]
    reload: Callable[[], Awaitable[None]]
    reload_error: Callable[[], str | None]
    snapshot: Callable[[], Snapshot]
    dispatcher: Dispatcher
    rehearse: Rehearse
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
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    listeners: set[object] = field(default_factory=set)

    @property
    def offset(self) -> float:
        """Unix seconds minus the pool's."""
        return self.clock.unix() - self.clock.monotonic()


def auth_index(credential_id: str) -> str:
    """What panels call an account by: 16 hexadecimal digits."""
    return sha256(credential_id.encode()).hexdigest()[:16]
