"""Starting a Codex that asks for others: what stands in its folder, and what it sees of the machine."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from auth.cli.confine import boxed
from auth.cli.dialogue import Refusal
from auth.cli.install import CODEX, CliMissing, Installed, find
from auth.cli.process import CliProcess, Ended
from proxy.errors import Broken
from proxy.upstream import codex_settings as settings
from proxy.upstream.cli_login import saved_login
from proxy.upstream.cli_traces import CliTraces
from proxy.upstream.codex_process import CodexProcess
from proxy.upstream.codex_relay import CodexRelay, Line, Way

_SEEN = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SystemRoot")
"""Nothing of egress proxies and authorities: it reaches the network by the relay alone, without TLS."""


class CodexStarter:
    """`data`: the auth-dir. `ours`: the environment to take from."""

    def __init__(self, data: Path, ours: Mapping[str, str], *, traces: CliTraces, relay: CodexRelay) -> None:
        self._data = data
        self._ours = {name: ours[name] for name in _SEEN if name in ours}
        self._traces = traces
        self._relay = relay
        self._models: dict[tuple[str, int], bytes] = {}

    async def start(self, account: Path, way: Way, access: str) -> CodexProcess:
        """`account`: its home. `access`: the token to ask with. Raises `Broken`."""
        folder = await asyncio.to_thread(self._traces.make)
        line = await self._relay.open(way)
        try:
            return await self._opened(account, folder, line, access)
        except (CliMissing, Ended, Refusal, OSError, TimeoutError, ValueError) as error:
            why = " ".join(str(error).split())[:500] or "it does not answer"
            raise Broken(f"the codex CLI cannot serve: {why}") from error

    async def _opened(self, account: Path, folder: Path, line: Line, access: str) -> CodexProcess:
        worker: CodexProcess | None = None
        is_open = False
        try:
            process = await self._spawned(account, folder, line, access)
            worker = CodexProcess(process, folder, line, traces=self._traces, relay=self._relay)
            await worker.open()
            is_open = True
        finally:
            if not is_open:
                self._relay.remove(line)
                if worker is not None:
                    await worker.close()
                await asyncio.to_thread(self._traces.remove, folder)
        return worker

    async def _spawned(self, account: Path, folder: Path, line: Line, access: str) -> CliProcess:
        command = await asyncio.to_thread(_program, find(CODEX, self._data, self._ours))
        home = folder / settings.HOME
        models = await self._known_models(command, home)
        saved = await saved_login(account / settings.LOGIN, lambda raw: settings.login(raw, access))
        await asyncio.to_thread(_furnish, folder, account, line.address, models, saved)
        process = await CliProcess.start(
            _boxed([*command, "app-server", "--strict-config"], folder),
            home=home,
            variables=settings.variables(home, proxy=line.proxy),
            ours=self._ours,
            work=folder / settings.EMPTY,
        )
        self._traces.mark(folder, process.pid)
        return process

    async def _known_models(self, command: Sequence[str], home: Path) -> bytes:
        """By the version that is there; asked once. Raises `Ended`, `OSError`, `msgspec.DecodeError`."""
        program = command[-1]
        key = (program, (await asyncio.to_thread(Path(program).stat)).st_mtime_ns)
        if key not in self._models:
            asking = [*command, "debug", "models", "--bundled"]
            process = await CliProcess.start(asking, home=home, variables={"CODEX_HOME": str(home)}, ours=self._ours)
            try:
                bundled = await process.read()
            finally:
                await process.close()
            self._models[key] = settings.models(bundled)
        return self._models[key]


def _program(installed: Installed) -> Sequence[str]:
    """Codex itself, where npm's package has wrapped it in a program of Node's."""
    script = Path(installed.command[-1]).resolve()
    if script.suffix == ".js":
        package = script.parents[1]
        for modules in (package.parents[1], package / "node_modules"):
            for entry in CODEX.entries:
                if (modules / entry).is_file():
                    return [str(modules / entry)]
    return installed.command


def _boxed(command: Sequence[str], folder: Path) -> Sequence[str]:
    """It reaches its own folder, and of the network what the relay lets pass. A wrapper needs all of its package."""
    program = Path(command[0]).resolve()
    if program.suffix:
        return command
    return boxed(command, runs=[program], writes=[folder])


def _furnish(folder: Path, account: Path, relay: str, models: bytes, login: bytes) -> None:
    """Raises `OSError`."""
    home = folder / settings.HOME
    home.mkdir(mode=0o700, exist_ok=True)
    (folder / settings.EMPTY).mkdir(mode=0o700)
    files = {
        settings.CONFIG: settings.config(home, relay=relay).encode(),
        settings.MODELS: models,
        settings.LOGIN: login,
    }
    for name, content in files.items():
        path = home / name
        path.touch(mode=0o600)
        path.write_bytes(content)
    known = account / settings.INSTALLATION
    if known.is_file():  # it is the same installation, by whichever process it asks
        shutil.copyfile(known, home / settings.INSTALLATION)
