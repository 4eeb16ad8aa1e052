"""The clients of one process: their keys, from the configuration and from a file that is watched, and their limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from auth.lookout import Lookout
from auth.pool import Pool
from auth.trail import signature_of
from proxy.config.client_keys import ClientKey, Rates
from proxy.config.key_file import KeyFile, read_keys
from proxy.config.schema import Config
from proxy.dispatch.clock import Clock
from proxy.dispatch.inquiry import Inquiry
from proxy.dispatch.snapshot import Snapshot
from proxy.errors import ConfigError
from proxy.observe.ledger import Ledger
from proxy.observe.prices import Prices
from proxy.server.access import Client, ClientKeys, weakness_of
from proxy.server.limits import Caller, Limits
from proxy.server.recollection import Recollection
from proxy.server.shares import Shares


def key_file_of(config: Config) -> Path | None:
    return Path(config.api_keys_file).expanduser().absolute() if config.api_keys_file else None


def check_keys(config: Config) -> ClientKeys:
    """Those of a configuration that is not in force. Raises `ConfigError`."""
    path = key_file_of(config)
    return keys_of(config, None if path is None else read_keys(path))


def keys_of(config: Config, file: KeyFile | None) -> ClientKeys:
    """Raises `ConfigError` where a key or a name stands in both places."""
    more = file.keys if file is not None else ()
    hashes, names = {key.hash for key in config.api_keys}, {key.shown_name for key in config.api_keys}
    for key in more:
        if key.hash in hashes or key.shown_name in names:
            raise ConfigError(f"{config.api_keys_file}: {key.shown_name} stands in api-keys, too")
    return ClientKeys.of((*config.api_keys, *more), general=config.limits.key, is_closed=file is not None)


class Clientele:
    """`keys` at each reload; `start` and `recall` on the loop, before anybody is served, and `close` at the end.

    `on_change`: the file of keys says something else; whoever is told asks for `keys` again.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        prices: Prices,
        pool: Pool,
        clock: Clock,
        log: FilteringBoundLogger,
        snapshot: Callable[[], Snapshot],
        on_change: Callable[[], None],
    ) -> None:
        shares = Shares(pool.quotas)
        self.limits = Limits(cost=prices.cost, offers=self._offers, shares=shares, now=clock.monotonic, unix=clock.unix)
        self.fault: str | None = None
        """Why the file of keys as it is now is not in force; None when it is, or there is none."""
        self._snapshot = snapshot
        self._prices = prices
        self._on_change = on_change
        self._log = log
        self._recollection = Recollection(ledger, self.limits, shares, log)
        self._path: Path | None = None
        self._file: KeyFile | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lookout: Lookout | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._keeping: asyncio.Task[None] | None = None

    def keys(self, config: Config) -> ClientKeys:
        """Raises `ConfigError`: then nothing is changed."""
        path, file = key_file_of(config), self._file
        if path is None:
            file = None
        elif path != self._path or file is None:
            file = read_keys(path)
        keys = keys_of(config, file)
        if path != self._path:
            self._path, self.fault = path, None
            self._watch()
        self._take(file)
        self._prices.look()
        self.limits.is_sharing = any(budget.quota_percent for key in config.api_keys for budget in key.budgets)
        for complaint in keys.complaints:
            self._log.warning("client_key.refused", complaint=complaint)
        return keys

    def configured(self, config: Config) -> list[ClientKey]:
        """All of them, also those that let nobody in."""
        return [*config.api_keys, *(self._file.keys if self._file is not None else ())]

    @property
    def beside(self) -> tuple[ClientKey, ...] | None:
        """Those that stand in a file of their own; None: there is no such file."""
        return None if self._file is None else self._file.keys

    def standings(self, config: Config) -> list[dict[str, object]]:
        """Each key's state, as JSON, without the key: whether it lets its client in, what that did in the last minute,
        and what is left of its budgets. Times are in Unix seconds.
        """
        in_file = {key.hash for key in self._file.keys} if self._file is not None else set()
        return [
            {
                "name": key.shown_name,
                "source": "file" if key.hash in in_file else "config",
                **self._standing(key, Client.of(key, config.limits.key)),
            }
            for key in self.configured(config)
        ]

    def _standing(self, key: ClientKey, client: Client) -> dict[str, object]:
        now, unix = self.limits.now(), self.limits.unix()
        state, rates = "active", client.rates or Rates()
        if client.guard is not None and unix >= client.guard.expires_at:
            state = "expired"
        elif weakness_of(key) is not None:
            state = "refused"
        meter = self.limits.meters.find("key", client.scope)
        catalogue = self._snapshot().catalogue
        caller = Caller(client=client, accounts=lambda: catalogue.within(client.reach).accounts())
        return {
            "state": state,
            "limits": {
                "requests-per-minute": rates.requests_per_minute,
                "tokens-per-minute": rates.tokens_per_minute,
                "concurrency": rates.concurrency,
            },
            "last_minute": None
            if meter is None
            else {"requests": meter.requests.total(now), "tokens": meter.tokens.total(now), "running": meter.running},
            "balances": [
                {
                    "per": each.per,
                    "unit": each.unit,
                    "limit": each.limit,
                    "used": round(each.used, 6),
                    "resets_at": each.resets_at,
                }
                for each in self.limits.balances(caller)
            ],
        }

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._watch()
        await self._recollection.recall()
        self._keeping = self._loop.create_task(self._recollection.keep())

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
        if self._lookout is not None:
            await self._lookout.close()
        if self._closing:
            await asyncio.wait(self._closing)

    def _offers(self, inquiry: Inquiry) -> Collection[tuple[str, str]]:
        """Raises `UnknownModel`."""
        catalogue = self._snapshot().catalogue.within(inquiry.reach)
        candidates = catalogue.find(inquiry.model, inquiry.operation, inquiry.wire).candidates
        return {(each.provider.name, each.model) for each in candidates}

    # the file

    def _take(self, file: KeyFile | None) -> None:
        if file is not None and file.warning is not None and (self._file is None or file != self._file):
            self._log.warning("client_keys.open_to_others", warning=file.warning)
        self._file = file

    def _watch(self) -> None:
        loop, path = self._loop, self._path
        if loop is None:
            return
        if self._lookout is not None:
            task = loop.create_task(self._lookout.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._lookout = None
        if path is not None:
            self._lookout = Lookout(
                path,
                loop=loop,
                signature=lambda: signature_of(path),
                is_whole=lambda: _holds_something(path),
                look=self.look,
            )
            self._lookout.start()

    async def look(self) -> None:
        """At the file, now. One that is gone, torn or faulty changes nothing, and that is said once."""
        path, before = self._path, self._file
        if path is None or before is None:
            return
        try:
            file = await asyncio.to_thread(_reread, path, before)
            if path != self._path:
                return
            if file.digest != before.digest:
                self._take(file)
                self._on_change()
                self._log.info("client_keys.reloaded", keys=len(file.keys))
            self.fault = None
        except ConfigError as error:
            self._file = before
            if self.fault != error.message:
                self.fault = error.message
                self._log.error(
                    "client_keys.refused",
                    complaints=error.message.splitlines(),
                    still="the last good keys are in force",
                )


def _reread(path: Path, before: KeyFile) -> KeyFile:
    """Raises `ConfigError`. Without any content it is about to be written, or was lost; with comments it is meant."""
    file = read_keys(path)
    if before.keys and not _holds_something(path):
        raise ConfigError(f"{path}: is empty")
    return file


def _holds_something(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
