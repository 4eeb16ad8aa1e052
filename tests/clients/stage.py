"""A CLI, a proxy and an upstream, each a real program or a real socket, all on 127.0.0.1."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from proxy.upstream.replay_server import ReplayServer
from tests.clients.outside import Outside
from tests.clients.tap import Tap
from tests.clients.upstream import Upstream
from tests.folders import contents
from tests.socket_vendor import SocketVendor

ROOT = Path(__file__).parents[2]
MODULES = Path(__file__).parent / "node_modules"
SECONDS_MAX = 240
"""Of whatever is waited for, on a machine that has ten times as much to do as it can."""
SETTINGS_BYTES_MAX = 64 * 1024
CLIENT_KEY = "the-key-of-the-ferryman-4711"
SETTINGS = {
    "anthropic": "claude-api-key",
    "openai_responses": "codex-api-key",
    "gemini": "gemini-api-key",
    "openai_chat": "openai-compatibility",
}
"""By wire, where its accounts stand in the configuration."""
MODELS = {
    "anthropic": "claude-sonnet-5",
    "openai_responses": "gpt-5.5",
    "gemini": "gemini-3.1-pro-preview",
    "openai_chat": "harbour-chat",
}
_URL = re.compile(rb"http://127\.0\.0\.1:\d+")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a CLI said and how it left."""

    code: int
    out: str
    err: str
    began_at: float
    """On the loop's clock, as the next."""
    ended_at: float

    @property
    def told(self) -> str:
        return self.out + self.err


@dataclass(slots=True, kw_only=True)
class Stage:
    """`accounts` before `open`: by wire, the keys that take turns."""

    folder: Path
    server: ReplayServer
    upstream: Upstream
    outside: Outside
    tap: Tap
    """Another way to the proxy, which remembers what came along."""
    url: str = ""
    by_socket: SocketVendor | None = None
    """Plays OpenAI's provider, with the same upstream, for clients that speak over a WebSocket."""
    furniture: Mapping[str, str] = field(default_factory=dict)
    """Files that the CLI finds below its home, by their path there."""
    has_all_models: bool = False
    """Accounts offer what their vendor has, not only the model of `MODELS`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """More of the configuration."""
    authority: Path | None = None
    """A certificate that the proxy trusts, too."""
    outsiders: Sequence[str] = ()
    """Whom the CLI asks for by itself, whatever it is told, as patterns of hosts; nobody answers."""
    environment: dict[str, str] = field(default_factory=dict)
    _process: asyncio.subprocess.Process | None = None

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def work(self) -> Path:
        """Where the CLIs work."""
        return self.folder / "work"

    @property
    def log(self) -> list[dict[str, Any]]:
        whole, _, _ = (self.folder / "log").read_bytes().rpartition(b"\n")  # another line may be on its way
        return [msgspec.json.decode(line) for line in whole.splitlines()]

    def files(self) -> dict[str, str]:
        """Small texts below the home, by their path there: settings, not the CLIs' databases."""
        return {
            str(path.relative_to(self.home)): raw.decode(errors="replace")
            for path, raw in contents(self.home, bytes_max=SETTINGS_BYTES_MAX)
            if path.suffix in {".json", ".toml", ""}
        }

    async def open(self, **accounts: Sequence[str]) -> None:
        """The proxy, with accounts: by wire, their keys. Without any it is a newcomer's: no client key, a sandbox."""
        self.home.mkdir()
        self.work.mkdir()
        for name, text in self.furniture.items():
            (self.home / name).parent.mkdir(parents=True, exist_ok=True)
            (self.home / name).write_text(text)
        names = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")
        below = ("", ".config", ".local/share", ".cache", ".local/state")
        self.environment = {name: str(self.home / each) for name, each in zip(names, below, strict=True)}
        self.environment |= {
            "PATH": os.pathsep.join([str(MODULES / ".bin"), str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
            "PYTHONPATH": str(ROOT),
            "TERM": "dumb",
            "LANG": "C.UTF-8",
            **self.outside.environment,
        }
        config = self.folder / "config.yaml"
        config.write_bytes(msgspec.json.encode(self._settings(accounts)))  # which is YAML, too
        with (self.folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "proxy", "--config", str(config), "--port", "0",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=log,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self.folder),
                    **({"SSL_CERT_FILE": str(self.authority)} if self.authority else {}),
                },
            )  # fmt: skip
        assert self._process.stdout is not None
        async with asyncio.timeout(SECONDS_MAX):
            while not self.url:
                line = await self._process.stdout.readline()
                assert line, (self.folder / "log").read_text()
                if found := _URL.search(line):
                    self.url = self.tap.target = found[0].decode()

    def _settings(self, accounts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        told: dict[str, Any] = {
            "auth-dir": str(self.folder / "auth"),
            **({"api-keys": [{"api-key": CLIENT_KEY, "name": "ferryman"}]} if accounts else {}),
            "log-format": "json",
            "server": {"allowed-hosts": [self.tap.url.removeprefix("http://")]},
            "request-retry": 0,
            "max-retry-interval": 0,
        }
        for wire, keys in accounts.items():
            is_by_socket = self.by_socket is not None and wire == "openai_responses"
            base_url = f"{self.by_socket.url if self.by_socket and is_by_socket else self.server.url}/{wire}"
            models = [] if self.has_all_models else [{"name": MODELS[wire]}]
            if wire == "openai_chat":
                entries = [{"api-key": key} for key in keys]
                entry = {"name": "harbour", "base-url": f"{base_url}/v1", "api-key-entries": entries, "models": models}
                told[SETTINGS[wire]] = [entry]
            else:
                base_url += "/v1" if wire == "openai_responses" else ""
                told[SETTINGS[wire]] = [{"api-key": key, "base-url": base_url, "models": models} for key in keys]
        return {**told, **self.settings}

    async def run(self, *command: str, **environment: str) -> Ran:
        """In the work folder, with an environment of its own and nothing to read."""
        clock = asyncio.get_running_loop().time
        began_at = clock()
        process = await self.started(*command, **environment)
        try:
            async with asyncio.timeout(SECONDS_MAX):
                out, err = await process.communicate()
        finally:
            await killed(process)
        assert process.returncode is not None
        texts = [each.decode(errors="replace") for each in (out, err)]
        return Ran(process.returncode, *texts, began_at=began_at, ended_at=clock())

    async def started(
        self, *command: str, stdin: int = asyncio.subprocess.DEVNULL, **environment: str
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *command, cwd=self.work, env={**self.environment, **environment}, start_new_session=True,
            stdin=stdin, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def close(self) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(SECONDS_MAX):
            await process.communicate()


async def killed(process: asyncio.subprocess.Process) -> None:
    """With all that it has started, unless it is over."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
    await process.communicate()
