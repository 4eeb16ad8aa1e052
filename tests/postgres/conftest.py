"""A real PostgreSQL, started for these tests alone. ``make test-postgres`` runs them."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from auth.secret import Secret
from proxy.observe import ledger
from tests.management.conftest import cheap_hash, open_stage

__all__ = ["cheap_hash", "open_stage"]
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
collect_ignore_glob = [] if PROGRAMS else ["test_*.py"]
PORTS = 20_000, 32_000
SECONDS_MAX = 240
USER = "postgres"
"""It refuses to run as root; Debian's package has made this user."""


def as_user(*command: str | Path) -> None:
    switch = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*switch, *map(str, command)], check=False, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr


def free_port() -> int:
    """That is still free when the server comes to it, and whenever it comes back: of those that the system gives to
    nobody who does not ask for it by name.
    """
    while True:
        port = random.randint(*PORTS)  # noqa: S311 - no secret
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """`stop` and `start` as often as a test likes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        as_user(PROGRAMS[0] / "initdb", "-D", folder / "data", "-A", "trust", "-U", USER, "--no-sync")

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self._port} -k {self._folder} -c fsync=off"
        self._control("start", "-o", options, "-l", self._folder / "log")

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")

    def _control(self, verb: str, *options: str | Path) -> None:
        as_user(PROGRAMS[0] / "pg_ctl", "-D", self._folder / "data", "-w", "-t", str(SECONDS_MAX), *options, verb)

    def address(self, database: str) -> str:
        return f"postgresql://{USER}:a-password-of-mine@127.0.0.1:{self._port}/{database}"


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "FLUSH_SECONDS", SECONDS_MAX)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, USER)
    try:
        server = Server(folder)
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def url(server: Server, request: pytest.FixtureRequest) -> Secret:
    """Of a database that is new."""
    name = f"test_{abs(hash(request.node.nodeid))}"
    with psycopg.connect(server.address("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return Secret(server.address(name))
