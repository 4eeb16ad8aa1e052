"""The server as a process of its own, with accounts of one CLI, and the official SDKs in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import msgspec

from tests.backends import claude_backend, codex_backend, gemini_backend, opencode_backend, qwen_backend
from tests.backends.backend import Backend
from tests.backends.chat_backend import ChatBackend
from tests.backends.claude_backend import ClaudeBackend
from tests.backends.codex_backend import CodexBackend
from tests.backends.gemini_backend import GeminiBackend
from tests.contract.clients import Clients

KEY = "the-key-of-the-ferryman-4711"
ACCOUNTS = ("harbour", "quay")
SECONDS_MAX = 240
"""Of whatever is waited for, on a machine that has ten times as much to do as it can."""
_URL = re.compile(rb"http://127\.0\.0\.1:\d+")


@dataclass(slots=True, kw_only=True)
class Stage:
    """`says`: the module with the words of its provider. `kind`: of the accounts, whose files say `more`. `login_file`:
    a login, below its home; where there is none, an account's own file. `home_variable`: names to the CLI what it has
    here. `serving`: stands in the command of those that ask for others. `interrupt`: what they are told when nobody
    listens any more. `programs`: a pattern of the files that they are made of.
    """

    folder: Path
    backend: Backend[Any]
    modules: Path
    says: ModuleType
    kind: str
    login_file: str
    home_variable: str
    serving: str
    interrupt: str
    programs: str
    more: tuple[tuple[str, str], ...] = ()
    url: str = ""
    _process: asyncio.subprocess.Process | None = None

    @property
    def data(self) -> Path:
        """The auth-dir."""
        return self.folder / "auth"

    @property
    def pid(self) -> int | None:
        """Of the server."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> list[dict[str, Any]]:
        whole, _, _ = (self.folder / "log").read_bytes().rpartition(b"\n")  # another line may be on its way
        return [msgspec.json.decode(line) for line in whole.splitlines()]

    @property
    def home(self) -> Path:
        """That holds the first account's `login_file`."""
        return self.data / "homes" / f"{self.kind}-{0:012x}"

    def account_file(self, account: str, number: int) -> dict[str, str]:
        name = f"{self.kind}-{number:012x}"
        home = self.data / "homes" / name
        home.mkdir(mode=0o700, parents=True)
        (home / self.login_file).parent.mkdir(exist_ok=True)
        (home / self.login_file).write_bytes(self.says.login(account))
        named = {"type": self.kind, "home": name, "account": account, "email": f"{account}@example.test"}
        return {**named, **dict(self.more)}

    async def open(self, more: Mapping[str, Any] = MappingProxyType({})) -> None:
        (self.data / "homes").mkdir(mode=0o700, parents=True)
        for number, account in enumerate(ACCOUNTS):
            file = {**self.account_file(account, number), "priority": -number, **more}
            (self.data / f"{account}.json").write_bytes(msgspec.json.encode(file))
        for path in self.data.rglob("*.json"):
            path.chmod(0o600)
        self.data.chmod(0o700)
        (self.data / "homes").chmod(0o700)
        settings = {
            "auth-dir": str(self.data),
            "api-keys": [KEY],
            "proxy-url": self.backend.environment["HTTPS_PROXY"],
            "log-format": "json",
            "request-retry": 0,
            "max-retry-interval": 0,
        }
        (self.folder / "config.yaml").write_bytes(msgspec.json.encode(settings))
        await self.start()

    async def restart(self, *under: str) -> None:
        await self.close()
        await self.start(*under)

    async def start(self, *under: str) -> None:
        """`under`: a program that starts it."""
        environment = {
            **self.backend.environment,
            "PATH": os.pathsep.join([str(self.modules / ".bin"), "/usr/bin", "/bin"]),
            "HOME": str(self.folder),
            "HARBOUR_SECRET": "a-secret-of-the-server",
        }
        with (self.folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *under, sys.executable, "-m", "proxy", "--config", str(self.folder / "config.yaml"), "--port", "0",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=log, env=environment,
            )  # fmt: skip
        assert self._process.stdout is not None
        told = b""
        async with asyncio.timeout(SECONDS_MAX):
            while not (found := _URL.search(told)):
                piece = await self._process.stdout.read(4096)
                assert piece, (self.folder / "log").read_text()
                told += piece
        self.url = found[0].decode()

    async def kill(self) -> None:
        """The server, without a word."""
        assert self._process is not None
        self._process.kill()
        await self._process.communicate()

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(SECONDS_MAX):
                await self._process.communicate()

    async def be_equal(self) -> None:
        """The accounts are asked in turn."""
        await self.close()
        for file in self.data.glob("*.json"):
            known = msgspec.json.decode(file.read_bytes())
            file.write_bytes(msgspec.json.encode({**known, "priority": 0}))
        await self.start()

    async def asked(self, question: str = "Who is there?", **more: Any) -> Any:
        """A question by the Chat API, and its answer."""
        async with self.clients() as clients:
            messages: Any = [{"role": "user", "content": question}]
            return await clients.openai.chat.completions.create(model=self.says.MODEL, messages=messages, **more)

    @asynccontextmanager
    async def clients(self) -> AsyncIterator[Clients]:
        async with Clients(self.url, KEY, timeout_seconds=SECONDS_MAX) as clients:
            yield clients

    def processes(self) -> dict[int, str]:
        """Those of the CLI that work in this place, by their number."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if f"{self.home_variable}={self.data}".encode() in (process / "environ").read_bytes():
                    found[int(process.name)] = command
            except OSError:
                continue
        return found

    def servants(self) -> Iterator[int]:
        """The processes that ask for others."""
        return (pid for pid, command in self.processes().items() if self.serving in command)

    def kill_servants(self) -> None:
        """All of them, as the system does when memory runs out."""
        for pid in self.servants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def leftovers(self) -> Iterator[Path]:
        """What the CLIs have left on the disk."""
        yield from (self.data / "state" / "clis").glob("cli-*")


async def written(trace: Path) -> None:
    """By strace, which ends a little later than who is traced."""
    mark = str(trace).encode()

    def is_at_work() -> bool:
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (process / "cmdline").read_bytes():
                    return True
        return False

    async with asyncio.timeout(SECONDS_MAX):
        while await asyncio.to_thread(is_at_work):  # noqa: ASYNC110 - nobody tells us when a process is gone
            await asyncio.sleep(0.05)


@dataclass(slots=True, kw_only=True)
class CodexStage(Stage):
    backend: CodexBackend
    says: ModuleType = codex_backend
    kind: str = "codex"
    login_file: str = "auth.json"
    home_variable: str = "CODEX_HOME"
    serving: str = "--strict-config"
    interrupt: str = "turn/interrupt"
    programs: str = r".*/bin/codex$"


@dataclass(slots=True, kw_only=True)
class ClaudeStage(Stage):
    backend: ClaudeBackend
    says: ModuleType = claude_backend
    kind: str = "claude-code"
    login_file: str = ".credentials.json"
    home_variable: str = "CLAUDE_CONFIG_DIR"
    serving: str = "--disable-slash-commands"
    interrupt: str = '"subtype\\":\\"interrupt'
    programs: str = r".*/claude(\.exe)?$"


@dataclass(slots=True, kw_only=True)
class GeminiStage(Stage):
    backend: GeminiBackend
    says: ModuleType = gemini_backend
    kind: str = "gemini-cli"
    login_file: str = ".gemini/oauth_creds.json"
    home_variable: str = "GEMINI_SYSTEM_MD"
    serving: str = "--acp"
    interrupt: str = "session/cancel"
    programs: str = r".*/@google/gemini-cli/|.*/bin/node$"
    more: tuple[tuple[str, str], ...] = (("project-id", "harbour-project"),)


@dataclass(slots=True, kw_only=True)
class KeyStage(Stage):
    """Its accounts are keys."""

    backend: ChatBackend
    login_file: str = "harbour.json"
    interrupt: str = "session/cancel"

    @property
    def home(self) -> Path:
        return self.data

    def account_file(self, account: str, number: int) -> dict[str, str]:
        del number
        place = f"https://{self.says.HOST}/v1"
        named = {"type": "openai-compatibility", "name": "harbour-models", "base-url": place, "cli": self.kind}
        return {**named, "api-key": self.says.login(account).decode()}


@dataclass(slots=True, kw_only=True)
class OpenCodeStage(KeyStage):
    says: ModuleType = opencode_backend
    kind: str = "opencode"
    home_variable: str = "OPENCODE_CONFIG"
    serving: str = "--hostname"
    programs: str = r".*/opencode(\.exe)?$"


@dataclass(slots=True, kw_only=True)
class QwenStage(KeyStage):
    says: ModuleType = qwen_backend
    kind: str = "qwen"
    home_variable: str = "QWEN_SYSTEM_MD"
    serving: str = "--acp"
    programs: str = r".*/@qwen-code/qwen-code/|.*/bin/node$"


STAGES: Mapping[str, tuple[Callable[..., Backend[Any]], Callable[..., Stage]]] = {
    "claude": (ClaudeBackend, ClaudeStage),
    "codex": (CodexBackend, CodexStage),
    "gemini": (GeminiBackend, GeminiStage),
    "qwen": (ChatBackend, QwenStage),
    "opencode": (ChatBackend, OpenCodeStage),
}
