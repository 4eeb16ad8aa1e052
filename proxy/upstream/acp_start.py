"""Starting an ACP CLI that asks for others: what stands in its folder, and what it sees of the machine."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from auth.cli.confine import boxed
from auth.cli.dialogue import Refusal
from auth.cli.install import CliMissing, Installed, find
from auth.cli.process import CliProcess, Ended
from proxy.errors import Broken
from proxy.hub.residue import JsonObject
from proxy.upstream.acp_process import HOME, INSTRUCTIONS, TALKS, AcpProcess
from proxy.upstream.acp_profile import AcpProfile, Place
from proxy.upstream.acp_relay import AcpRelay, Line
from proxy.upstream.cli_traces import CliTraces

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class AcpStarter:
    """`data`: the auth-dir. `ours`: the environment to take from; its egress proxies are not for the CLI, which reaches
    the network by the relay alone.
    """

    def __init__(
        self, profile: AcpProfile, data: Path, ours: Mapping[str, str], *, traces: CliTraces, relay: AcpRelay
    ) -> None:
        self._profile = profile
        self._data = data
        self._ours = {name: value for name, value in ours.items() if name.lower() not in _PROXIES}
        self._traces = traces
        self._relay = relay

    async def start(self, project: str) -> AcpProcess:
        """Raises `Broken`."""
        folder = await asyncio.to_thread(self._traces.make)
        line = await self._relay.open(project)
        try:
            return await self._opened(folder, line)
        except (CliMissing, Ended, Refusal, OSError, TimeoutError) as error:
            why = " ".join(str(error).split())[:500] or "it does not answer"
            raise Broken(f"the {self._profile.cli.name} CLI cannot serve: {why}") from error

    async def _opened(self, folder: Path, line: Line) -> AcpProcess:
        worker: AcpProcess | None = None
        is_open = False
        try:
            process = await self._spawned(folder, line)
            worker = AcpProcess(self._profile, process, folder, line, traces=self._traces, relay=self._relay)
            await worker.open()
            is_open = True
        finally:
            if not is_open:
                self._relay.remove(line)
                if worker is not None:
                    await worker.close()
                await asyncio.to_thread(self._traces.remove, folder)
        return worker

    async def _spawned(self, folder: Path, line: Line) -> CliProcess:
        profile = self._profile
        installed = await asyncio.to_thread(find, profile.cli, self._data, self._ours)
        command = await asyncio.to_thread(program, installed, self._ours)
        await asyncio.to_thread(_furnish, folder, profile.files)
        place = Place(
            relay=line.address, key=line.key, instructions=str(folder / INSTRUCTIONS), talks=str(folder / TALKS)
        )
        process = await CliProcess.start(
            [*_boxed(command, folder, profile.listens), *profile.arguments],
            home=folder / HOME,
            variables=profile.variables(place),
            ours=self._ours,
            work=folder / TALKS,
        )
        self._traces.mark(folder, process.pid)
        return process


def program(installed: Installed, ours: Mapping[str, str]) -> Sequence[str]:
    """Itself, without the program that would find Node for it. Raises `CliMissing`."""
    script = Path(installed.command[-1]).resolve()
    if not installed.cli.needs_node:
        return [str(script)]
    node = (
        installed.command[0] if len(installed.command) > 1 else shutil.which("node", path=ours.get("PATH", os.defpath))
    )
    if node is None:
        raise CliMissing(f"the {installed.cli.name} CLI needs Node 22 or newer on the PATH")
    return [str(Path(node).resolve()), str(script)]


def _boxed(command: Sequence[str], folder: Path, listens: Sequence[int]) -> Sequence[str]:
    """It reads its own package and its own folder, and runs itself."""
    packages = [parent for parent in Path(command[-1]).parents if (parent / "package.json").is_file()][:1]
    return boxed(command, runs=[Path(command[0])], reads=packages, writes=[folder], listens=listens)


def _furnish(folder: Path, files: Mapping[str, JsonObject]) -> None:
    for name, content in files.items():
        path = folder / HOME / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.encode(content))
    (folder / INSTRUCTIONS).touch(mode=0o600)
    (folder / TALKS).mkdir(mode=0o700)
