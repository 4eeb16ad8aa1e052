"""One official CLI, started so that it sees its own account and nothing else, and ended so that nothing is left of it.

It gets a private home, an empty working folder, a process group of its own, limits, and an environment made from a list
of names: never ours. Secrets go through its standard input, never through its arguments.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LINE_BYTES_MAX = 16 * 1024 * 1024
"""Claude Code's first answer alone is some 100 kB."""
TAIL_BYTES_MAX = 64 * 1024
"""Of what it says on its standard error, the end is kept."""
GRACE_SECONDS = 3.0
"""Between SIGTERM and SIGKILL."""

INHERITED = (
    "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SystemRoot",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "CODEX_CA_CERTIFICATE",
)  # fmt: skip
"""What of our own environment it may see: how to speak to the user, and how to reach the network."""
QUIET = {
    "TERM": "dumb",
    "NO_COLOR": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DO_NOT_TRACK": "1",
    "GEMINI_CLI_NO_RELAUNCH": "1",
    "QWEN_CODE_NO_RELAUNCH": "1",
}
"""No telemetry, no updates, no second process."""
_LIMITS = {
    resource.RLIMIT_CORE: 0,  # a core dump would hold tokens
    resource.RLIMIT_FSIZE: 1024**3,
    resource.RLIMIT_NOFILE: 4096,
    resource.RLIMIT_CPU: 3600,
}


class Ended(Exception):
    """The CLI is gone, or no longer speaks. The message is what it said last, if anything."""


def environment(home: Path, variables: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """`variables`: what this CLI needs besides."""
    below = {
        "XDG_CONFIG_HOME": ".config",
        "XDG_DATA_HOME": ".local/share",
        "XDG_STATE_HOME": ".local/state",
        "XDG_CACHE_HOME": ".cache",
    }
    return {
        **{name: ours[name] for name in INHERITED if name in ours},
        **QUIET,
        **{name: str(home / each) for name, each in below.items()},
        "HOME": str(home),
        "USERPROFILE": str(home),
        **variables,
    }


@dataclass(slots=True, kw_only=True)
class CliProcess:
    """Made by `start`; to be closed, whatever happens."""

    _process: asyncio.subprocess.Process
    _folder: str | None
    """To be removed with it."""
    _listening: asyncio.Task[None]
    _tail: bytearray = field(repr=False)

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        home: Path,
        variables: Mapping[str, str] | None = None,
        ours: Mapping[str, str] | None = None,
        work: Path | None = None,
    ) -> CliProcess:
        """`home`: made if there is none. `ours`: the environment to take from. `work`: an empty folder to work in, for
        whoever made it to remove; None: one of its own. Raises `Ended` when it cannot start.
        """
        home.mkdir(mode=0o700, parents=True, exist_ok=True)  # noqa: ASYNC240 - once, before anything runs
        own = tempfile.mkdtemp(prefix="cli-") if work is None else None
        folder = str(work) if own is None else own
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=folder,
                env=environment(home, {"TMPDIR": folder, **(variables or {})}, os.environ if ours is None else ours),
                start_new_session=True,
                limit=LINE_BYTES_MAX,
            )
        except OSError as error:
            if own is not None:
                shutil.rmtree(own, ignore_errors=True)
            raise Ended(f"{command[0]} cannot be started: {error.strerror}") from error
        _limit(process.pid)
        tail = bytearray()
        assert process.stderr is not None
        listening = asyncio.create_task(_listen(process.stderr, tail))
        return cls(_process=process, _folder=own, _listening=listening, _tail=tail)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def told(self) -> str:
        """The end of its standard error."""
        return self._tail.decode("utf-8", "replace").strip()

    async def write(self, raw: bytes) -> None:
        """Raises `Ended`."""
        assert self._process.stdin is not None
        if self._process.stdin.is_closing():  # uvloop does not take what comes then for a broken connection
            raise Ended(await self._last_words())
        try:
            self._process.stdin.write(raw)
            await self._process.stdin.drain()
        except ConnectionError as error:
            raise Ended(await self._last_words()) from error

    def tell(self, raw: bytes) -> None:
        """Without waiting, for what is short; lost where it has ended."""
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(raw)

    async def line(self) -> bytes:
        """Without its end. Raises `Ended`."""
        assert self._process.stdout is not None
        try:
            raw = await self._process.stdout.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            if error.partial.strip():
                return error.partial
            raise Ended(await self._last_words()) from error
        except asyncio.LimitOverrunError as error:
            raise Ended(f"it wrote a line of more than {LINE_BYTES_MAX} bytes") from error
        return raw.rstrip(b"\r\n")

    async def read(self) -> bytes:
        """All that it says until it ends by itself, at most a line's limit. Its input is closed."""
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        pieces, left = [], LINE_BYTES_MAX
        while left > 0 and (piece := await self._process.stdout.read(min(left, 65536))):
            pieces.append(piece)
            left -= len(piece)
        await asyncio.wait([self._listening], timeout=1)
        return b"".join(pieces)

    async def finished(self) -> int:
        """Its exit code, once it has ended by itself."""
        return await self._process.wait()

    def kill(self) -> None:
        """At once, the whole group, before it does another thing. `close` is still to be called."""
        _signal_group(self.pid, signal.SIGKILL)

    async def close(self) -> None:
        """The whole group: TERM, then KILL; reaped. May be called again."""
        try:
            await asyncio.shield(self._end())
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    async def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        _signal_group(self.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await self._process.wait()
        _signal_group(self.pid, signal.SIGKILL)  # also what the CLI itself has started and left behind
        await self._process.wait()
        self._listening.cancel()
        await asyncio.wait([self._listening])

    async def _last_words(self) -> str:
        """What it said before it went; its standard error may come a moment after its output ended."""
        await asyncio.wait([self._listening], timeout=1)
        return self.told.splitlines()[-1] if self.told else "it ended without a word"


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _limit(pid: int) -> None:
    """From outside: between fork and exec nothing of ours may run, as we have threads."""
    if sys.platform != "linux":
        return
    for which, most in _LIMITS.items():
        with contextlib.suppress(OSError, ValueError):
            hard = resource.prlimit(pid, which)[1]
            most_allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.prlimit(pid, which, (most_allowed, most_allowed))


async def _listen(stream: asyncio.StreamReader, tail: bytearray) -> None:
    while piece := await stream.read(65536):
        tail += piece
        del tail[:-TAIL_BYTES_MAX]
