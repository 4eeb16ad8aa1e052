"""What is written under ``auth-dir/logs``, within the bounds of the configuration that is in force."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import BinaryIO, cast

from structlog.typing import FilteringBoundLogger

from proxy.config.schema import MIB, Config
from proxy.footing import is_json, log_stream, logs_folder
from proxy.observe.casebook import Casebook
from proxy.observe.log import make_log
from proxy.observe.log_room import make_room
from proxy.observe.outbox import Outbox
from proxy.observe.record import Recorder
from proxy.observe.scrub import Scrubber

TIDIED_SECONDS = 60.0


class LogShelf:
    """`keep` while the server runs, `close` at its end. `config`: in force. Raises `ConfigError`."""

    def __init__(self, config: Callable[[], Config], scrubber: Scrubber, *, is_debug: bool) -> None:
        self._config = config
        self._scrubber = scrubber
        self.folder = logs_folder(config())
        self._stream = log_stream(config(), bytes_total=self._bytes_max)
        self.outbox = Outbox(self._stream)
        self.log: FilteringBoundLogger = make_log(
            cast("BinaryIO", self.outbox),
            redact=scrubber.process,
            is_json=is_json(config()),
            is_debug=is_debug,
        )
        self.cases = Casebook(
            self.folder / "errors",
            scrubber,
            files_max=lambda: config().error_logs_max_files,
            tell=lambda why: self.log.warning("report.failed", why=why),
            clock=time.monotonic,
        )

    def _bytes_max(self) -> int:
        return self._config().logs_max_total_size_mb * MIB

    def recorder(self) -> Recorder:
        """Raises `ConfigError`."""
        return Recorder(self.folder / "requests", self._scrubber)

    async def keep(self) -> None:
        while True:
            await asyncio.to_thread(self.tidy)
            await asyncio.sleep(TIDIED_SECONDS)

    def tidy(self) -> None:
        """Removes what is too much. Blocks."""
        bytes_max = self._bytes_max()
        if not bytes_max:
            return
        folders = (self.folder / "requests", self.folder / "errors")
        try:
            removed = make_room(self.folder / "proxy.log", folders, bytes_max)
        except OSError as error:
            self.log.warning("logs.not_tidied", why=error.strerror)
            return
        if removed:
            self.log.info("logs.tidied", removed=removed)

    async def close(self) -> None:
        await asyncio.to_thread(self.cases.close)
        self.outbox.close()
        if self._stream is not sys.stderr.buffer:
            self._stream.close()
