"""A vendor, an auth-dir and a person, new for each test. The CLIs are those of the client tests."""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from auth import refresh
from auth.logins.table import LOGIN_KINDS
from proxy.accounts.desk import Desk
from proxy.accounts.logins import LoginRun, LoginWish
from proxy.config.schema import Config
from tests.logins.person import Act, Login
from tests.logins.stage import SECONDS_MAX, Server
from tests.logins.vendor import Vendor

HERE = Path(__file__).parent
MODULES = Path(os.environ.get("PROXY_CLIENT_MODULES", HERE.parent / "clients" / "node_modules"))
collect_ignore_glob = [] if (MODULES / ".installed").exists() else ["test_*.py"]
"""``make test-clients`` installs the CLIs."""


async def until(is_so: Callable[[], bool]) -> None:
    """Of what nobody tells us: when a process is gone, when a file is there."""
    async with asyncio.timeout(SECONDS_MAX):
        while not is_so():  # noqa: ASYNC110 - as said
            await asyncio.sleep(0.02)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever waits for the ports does not use up a test's own time by that."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(func_only=True))


@pytest.fixture(autouse=True)
def _ports() -> Iterator[None]:
    """The ports of logins are fixed by the vendors: one test at a time has those of a network."""
    network = Path("/proc/self/ns/net")
    name = f"login-ports-{network.stat().st_ino if network.exists() else 0}.lock"
    with (Path(tempfile.gettempdir()) / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[Vendor]:
    async with Vendor(tmp_path) as vendor:
        yield vendor


class House:
    """Where logins are kept."""

    def __init__(self, folder: Path, vendor: Vendor) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.pathsep.join([str(MODULES / ".bin"), "/usr/bin", "/bin"]),
            "LANG": "C.UTF-8",
            **vendor.environment,
        }

    @property
    def desk(self) -> Desk:
        return Desk(self.folder, Config())

    def login(self, kind: str, act: Act, **wish: Any) -> Login:
        login = Login(act)
        login.run = LoginRun(
            desk=self.desk,
            wish=LoginWish(kind=LOGIN_KINDS[kind], **wish),
            ours=self.environment,
            on_step=login.see,
        )
        return login

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        return {path.name: msgspec.json.decode(path.read_bytes()) for path in sorted(self.folder.glob("*.json"))}

    @property
    def homes(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "homes").glob("*"))

    def processes(self) -> list[str]:
        """Command lines of all that knows of this place."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if str(self.folder).encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found


@pytest.fixture
async def house(tmp_path: Path, vendor: Vendor) -> AsyncIterator[House]:
    house = House(tmp_path / "auth", vendor)
    yield house
    if refresh.talks:  # with children that outlive whoever asked them
        await asyncio.wait(set(refresh.talks))
    # A killed process is gone when the system has cleaned up after it.
    await until(lambda: not house.processes())


@pytest.fixture
async def server(house: House) -> AsyncIterator[Server]:
    server = Server(house)
    yield server
    await server.close()
