"""Hot reload: look, build beside, swap, or keep the old config and say why. A refused reload changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from auth.lookout import POLL_SECONDS, Lookout
from auth.trail import signature_of
from proxy.config.load import Loaded, digest_of, parse, read
from proxy.errors import ConfigError

AT_START = ("host", "port", "tls", "auth-dir", "log-format", "logging-to-file", "debug", "usage-database", "workers")
"""Settings that only a start reads."""
_NOTHING = digest_of(b"")


class Reloader:
    """Keeps `loaded` in step with the file. Lives on `loop`; both callbacks are called there.

    `on_change` puts a config into force. When it raises `ConfigError` the reload is refused as if the file were faulty;
    any other exception goes to the loop's exception handler, and watching goes on.
    `on_refused` is told once for each faulty content. `clock` gives the time that `loaded_at` is kept in.
    `poll_seconds`: None for no looks beside the watch's.
    """

    def __init__(
        self,
        path: Path,
        loaded: Loaded,
        *,
        loop: asyncio.AbstractEventLoop,
        on_change: Callable[[Loaded], None],
        on_refused: Callable[[ConfigError], None],
        clock: Callable[[], float],
        poll_seconds: float | None = POLL_SECONDS,
    ) -> None:
        self._path = path
        self._loop = loop
        self._on_change = on_change
        self._on_refused = on_refused
        self._clock = clock
        self._looking = asyncio.Lock()
        self._lookout = Lookout(
            path,
            loop=loop,
            signature=lambda: signature_of(path),
            is_whole=self._holds_something,
            look=self.look,
            poll_seconds=poll_seconds,
        )
        self._seen = loaded.digest
        self.loaded = loaded
        """What is in force."""
        self.loaded_at = clock()
        self.last_error: ConfigError | None = None
        """Why the file as it is now is not in force; None when it is."""

    def start(self) -> None:
        self._lookout.start()

    async def close(self) -> None:
        await self._lookout.close()

    def _holds_something(self) -> bool:
        try:
            return self._path.stat().st_size > 0
        except OSError:
            return False

    async def look(self) -> None:
        """Compare the file with what is in force, now. After it `loaded` and `last_error` are up to date."""
        async with self._looking:
            seen, outcome = await asyncio.to_thread(self._examine)
            if seen == self._seen:
                return
            self._seen = seen
            if isinstance(outcome, ConfigError):
                self._refuse(outcome)
            elif outcome.digest == self.loaded.digest:
                self.last_error = None
            else:
                await self._apply(outcome)

    def _examine(self) -> tuple[str, Loaded | ConfigError]:
        """What the file is now, and a word that is the same as long as it stays so."""
        try:
            raw = read(self._path)
            if not raw and self.loaded.digest != _NOTHING:
                return self._lost("is gone" if raw is None else "is empty")
            digest = digest_of(raw or b"")
            return digest, self.loaded if digest == self.loaded.digest else parse(raw or b"", name=str(self._path))
        except ConfigError as error:
            return error.message, error

    def _lost(self, state: str) -> tuple[str, ConfigError]:
        """Somebody is about to write it, or made a mistake: not what the defaults are for."""
        return state, ConfigError(f"{self._path}: {state}; what was loaded before stays in force")

    async def _apply(self, loaded: Loaded) -> None:
        async def change() -> None:
            self._on_change(loaded)

        task = self._loop.create_task(change())
        await asyncio.wait([task])
        fault = task.exception()
        if isinstance(fault, ConfigError):
            self._refuse(fault)
        elif fault is not None:
            message = "the new config was not put into force"
            self.last_error = ConfigError(f"{self._path}: {message}: {type(fault).__name__}")
            self._loop.call_exception_handler({"message": message, "exception": fault})
        else:
            self.loaded, self.loaded_at, self.last_error = loaded, self._clock(), None

    def _refuse(self, error: ConfigError) -> None:
        self.last_error = error
        self._on_refused(error)
