"""Which models each account has, as its provider lists them: asked in the background, kept over restarts.

A start waits for nobody. A list that cannot be had, or that names nothing, leaves the last one in force; without any it
is the provider's built-in one. Only accounts are asked that are ready, and whose models nobody has written down.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from structlog.typing import FilteringBoundLogger

from auth import atomic
from auth.credential import Credential
from auth.pool import Pool
from auth.standing import ALL_MODELS, State
from proxy.dispatch.clock import Clock
from proxy.dispatch.outgoing import located
from proxy.dispatch.snapshot import Snapshot
from proxy.errors import UpstreamError
from proxy.hub.residue import JsonObject
from proxy.providers.base import USER_AGENT, Model, Provider
from proxy.providers.listing import Page, Unreadable, models_of, page_of
from proxy.upstream.base import Call, Deadlines, Upstream

FOLDER, NAME = "state", "models.json"
FIRST_AFTER_SECONDS = 15.0
"""After a start: clients come first."""
LOOK_SECONDS = 60.0
"""For accounts that are new, or ready again."""
AGAIN_SECONDS = 1800.0
"""After a failure."""
KEPT_SECONDS = 30 * 86400.0
"""Of an account that is never asked again."""
PAGES_MAX = 20
PAGE_BYTES_MAX = 16 * 1024 * 1024
FILE_BYTES_MAX = 256 * 1024 * 1024
AT_A_TIME = 4
_DEADLINES = Deadlines(head=30.0, idle=30.0, total=60.0)
_LOST: frozenset[State] = frozenset({"broken", "disabled"})


class Listed(msgspec.Struct, frozen=True):
    """`read_at`: Unix seconds."""

    read_at: float
    models: tuple[Model, ...]


class _File(msgspec.Struct, frozen=True):
    lists: dict[str, Listed]
    version: int = 1


@dataclass(frozen=True, slots=True)
class Account:
    provider: Provider
    credential: Credential

    @property
    def is_asked(self) -> bool:
        """Where nobody has written down what it offers, and a key may ask."""
        return (
            bool(self.provider.list_path)
            and self.provider.executor == "http"
            and not self.provider.own_cli
            and not self.credential.models
            and not self.credential.is_disabled
        )


class ModelLists:
    """`is_wanted`: whether the accounts are real ones. `on_change`: lists are not what they were."""

    def __init__(
        self,
        auth_dir: Path,
        *,
        snapshot: Callable[[], Snapshot],
        pool: Pool,
        clock: Clock,
        is_wanted: Callable[[], bool],
        on_change: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self.path = auth_dir / FOLDER / NAME
        self._snapshot = snapshot
        self._pool = pool
        self._clock = clock
        self._is_wanted = is_wanted
        self._on_change = on_change
        self._log = log
        self._again_at: dict[str, float] = {}
        self._lists = self._read()

    @property
    def known(self) -> dict[str, tuple[Model, ...]]:
        """By credential."""
        return {credential: each.models for credential, each in self._lists.items()}

    def applied(self, snapshot: Snapshot) -> Snapshot:
        """With what is known."""
        return snapshot.relisted(self.known, lambda credential: self._state(credential) in _LOST)

    def _state(self, credential: str) -> State:
        return self._pool.standing((credential, ALL_MODELS), self._clock.monotonic()).state

    async def keep(self, upstream: Upstream) -> None:
        """Until cancelled."""
        await asyncio.sleep(FIRST_AFTER_SECONDS)
        while True:
            await self.look(upstream)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, upstream: Upstream) -> None:
        """At the lists that are due."""
        due = [*self._due()] if self._is_wanted() else []
        room = asyncio.Semaphore(AT_A_TIME)

        async def one(account: Account) -> bool:
            async with room:
                return await self._renew(upstream, account)

        if any(await asyncio.gather(*map(one, due))):
            self._on_change()
        if due:
            await self._save()

    def _due(self) -> Iterator[Account]:
        snapshot = self._snapshot()
        seconds = snapshot.config.model_list_hours * 3600
        providers = {each.name: each for each in snapshot.providers}
        for credential in snapshot.credentials:
            account = Account(providers[credential.provider], credential)
            if seconds and account.is_asked and self._is_due(credential.id, seconds):
                yield account

    def _is_due(self, credential: str, seconds: int) -> bool:
        now = self._clock.unix()
        if now < self._again_at.get(credential, 0.0) or self._state(credential) != "ready":
            return False
        listed = self._lists.get(credential)
        return listed is None or not 0 <= now - listed.read_at < seconds

    async def _renew(self, upstream: Upstream, account: Account) -> bool:
        """Whether it is another list now."""
        own_id = account.credential.id
        try:
            models = models_of(account.provider, await _entries(upstream, account))
        except (UpstreamError, Unreadable) as error:
            self._again_at[own_id] = self._clock.unix() + AGAIN_SECONDS
            why = error.message if isinstance(error, UpstreamError) else f"the list {error}"
            self._log.info("models.unlisted", provider=account.provider.name, credential=own_id, why=why)
            return False
        before = self._lists.get(own_id)
        self._lists[own_id] = Listed(self._clock.unix(), models)
        self._again_at.pop(own_id, None)
        return before is None or before.models != models

    def _read(self) -> dict[str, Listed]:
        try:
            raw = _contents(self.path)
            return msgspec.json.decode(raw, type=_File).lists
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is torn"
            self._log.warning("models.memory_failed", complaint=f"{self.path} is ignored: {why}")
            return {}

    async def _save(self) -> None:
        now = self._clock.unix()
        self._lists = {own_id: each for own_id, each in self._lists.items() if now - each.read_at < KEPT_SECONDS}
        try:
            await asyncio.to_thread(atomic.replace, self.path, msgspec.json.encode(_File(self._lists)))
        except OSError as error:
            self._log.warning("models.memory_failed", complaint=f"{self.path} cannot be written: {error.strerror}")


async def _entries(upstream: Upstream, account: Account) -> list[JsonObject]:
    """Raises `UpstreamError` or `Unreadable`."""
    entries: list[JsonObject] = []
    following = ""
    for _ in range(PAGES_MAX):
        page = await _page(upstream, account, following)
        entries += page.entries
        following = page.following
        if not following:
            break
    return entries


async def _page(upstream: Upstream, account: Account, following: str) -> Page:
    answer = await upstream.send(call_of(account, following))
    try:
        body = await answer.read(PAGE_BYTES_MAX)
    finally:
        await answer.release()
    if answer.status != 200:
        raise Unreadable(f"is refused ({answer.status})")
    return page_of(account.provider, body)


def call_of(account: Account, following: str = "") -> Call:
    provider, credential = account.provider, account.credential
    url = located(credential.base_url or provider.base_url, provider.list_path)
    if following:
        url += f"{'&' if '?' in url else '?'}{following}"
    headers = {"accept": "application/json", "user-agent": USER_AGENT, **dict(provider.headers)}
    headers.update(provider.authorize(credential))
    headers.update({name.lower(): value for name, value in credential.headers.items()})
    return Call(
        method="GET",
        url=url,
        headers=tuple(headers.items()),
        proxy_url=None if credential.proxy_url in {None, "", "direct", "none"} else credential.proxy_url,
        deadlines=_DEADLINES,
        operation="list",
    )


def _contents(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - it is open already
        raw = file.read(FILE_BYTES_MAX + 1)
    if len(raw) > FILE_BYTES_MAX:
        raise ValueError("too large")
    return raw
