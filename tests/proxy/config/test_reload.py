"""Every way in which a config file changes is seen, ten times in a row."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from auth import lookout
from proxy.config.edit import Put, write_back
from proxy.config.load import Loaded, load
from proxy.config.reload import Reloader
from proxy.errors import ConfigError

PATIENCE_SECONDS = 20.0
"""For a machine that is busy with other things. How fast it is by itself: `test_it_is_seen_within_a_second`."""


class Server:
    """What a reloader talks to: notes what it is told, in order."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[int | str] = asyncio.Queue()
        self.fault: Exception | None = None

    def change(self, loaded: Loaded) -> None:
        if self.fault is not None:
            raise self.fault
        self.told.put_nowait(loaded.config.port)

    def refuse(self, error: ConfigError) -> None:
        self.told.put_nowait(error.message)

    async def hears(self) -> int | str:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.told.get()


@asynccontextmanager
async def reloading(path: Path, server: Server, *, poll_seconds: float | None = None) -> AsyncIterator[Reloader]:
    """Without looks beside the watch's, unless asked for: what is seen, the watch has seen."""
    reloader = Reloader(
        path,
        load(path, is_optional=True),
        loop=asyncio.get_running_loop(),
        on_change=server.change,
        on_refused=server.refuse,
        clock=itertools.count(100.0).__next__,
        poll_seconds=poll_seconds,
    )
    reloader.start()
    try:
        yield reloader
    finally:
        await reloader.close()


@pytest.fixture
def server() -> Server:
    return Server()


def text(port: int) -> str:
    return f"# a comment\nport: {port}\n"


def in_place(path: Path, port: int) -> None:
    path.write_text(text(port))


def in_place_in_pieces(path: Path, port: int) -> None:
    with path.open("w") as file:
        file.write("# a comment\n")
        file.flush()
        file.write(f"port: {port}\n")


def renamed(path: Path, port: int) -> None:
    beside = path.with_name(".config.yaml.tmp")
    beside.write_text(text(port))
    beside.replace(path)


def as_vim_does(path: Path, port: int) -> None:
    """With its default 'backupcopy': the old file becomes the backup, a new one gets the name."""
    probe = path.with_name("4913")
    probe.touch()
    probe.unlink()
    backup = path.with_name("config.yaml~")
    path.rename(backup)
    with path.open("w") as file:
        file.write(text(port))
        file.flush()
        os.fsync(file.fileno())
    backup.unlink()


def by_sed(path: Path, port: int) -> None:
    subprocess.run(["sed", "-i", f"s/^port: .*/port: {port}/", str(path)], check=True)


def deleted_and_made_anew(path: Path, port: int) -> None:
    path.unlink()
    path.write_text(text(port))


def by_ourselves(path: Path, port: int) -> None:
    write_back(path, [Put(("port",), port)], digest=load(path).digest)


WAYS: list[Callable[[Path, int], None]] = [
    in_place,
    in_place_in_pieces,
    renamed,
    as_vim_does,
    by_sed,
    deleted_and_made_anew,
    by_ourselves,
]


@pytest.mark.parametrize("write", WAYS)
async def test_ten_times_in_a_row(tmp_path: Path, server: Server, write: Callable[[Path, int], None]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text(1))
    async with reloading(path, server) as reloader:
        for port in range(2, 12):
            await asyncio.to_thread(write, path, port)
            assert await server.hears() == port
            await reloader.look()
            assert reloader.loaded.config.port == port
    assert server.told.empty()


def kubernetes(folder: Path) -> Iterator[None]:
    """A mounted ConfigMap: each `next` swaps ``..data`` to a new folder, as the kubelet does."""
    for port in itertools.count(1):
        fresh = folder / f"..2026_{port}"
        fresh.mkdir()
        (fresh / "config.yaml").write_text(text(port))
        (folder / "..data_tmp").symlink_to(fresh.name)
        old = folder / "..data"
        stale = old.readlink() if old.is_symlink() else None
        (folder / "..data_tmp").replace(old)
        if stale:
            shutil.rmtree(folder / stale)
        else:
            (folder / "config.yaml").symlink_to("..data/config.yaml")
        yield


async def test_ten_swaps_of_a_symlink(tmp_path: Path, server: Server) -> None:
    swap = kubernetes(tmp_path)
    next(swap)
    async with reloading(tmp_path / "config.yaml", server):
        for port in range(2, 12):
            next(swap)
            assert await server.hears() == port


async def test_a_symlink_s_target_that_changes_in_its_own_folder(tmp_path: Path, server: Server) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "mine.yaml", tmp_path / "config.yaml"
    real.write_text(text(1))
    link.symlink_to("real/mine.yaml")
    async with reloading(link, server):
        for port, write in enumerate((in_place, renamed, by_sed, by_ourselves), start=2):
            write(link if write is by_ourselves else real, port)
            assert await server.hears() == port


async def test_a_file_and_a_folder_that_were_not_there(tmp_path: Path, server: Server) -> None:
    path = tmp_path / "etc" / "config.yaml"
    async with reloading(path, server) as reloader:
        assert reloader.loaded.config.port == 8317
        path.parent.mkdir()
        path.write_text(text(2))
        assert await server.hears() == 2


async def test_a_folder_that_is_replaced(tmp_path: Path, server: Server) -> None:
    """Nothing tells of that but a look from time to time."""
    path = tmp_path / "etc" / "config.yaml"
    path.parent.mkdir()
    path.write_text(text(1))
    async with reloading(path, server, poll_seconds=0.01):
        for port in range(2, 5):
            fresh = tmp_path / "fresh"
            fresh.mkdir()
            (fresh / "config.yaml").write_text(text(port))
            path.parent.rename(tmp_path / f"old{port}")
            fresh.rename(path.parent)
            assert await server.hears() == port
        in_place(path, 9)
        assert await server.hears() == 9


async def test_without_a_watch_a_look_from_time_to_time_is_enough(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text(1))
    monkeypatch.setattr(lookout.Watch, "open", lambda _self: None)
    async with reloading(path, server, poll_seconds=0.01):
        for port in range(2, 12):
            renamed(path, port)
            assert await server.hears() == port


async def test_a_change_between_loading_and_watching_is_seen(tmp_path: Path, server: Server) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text(1))
    async with reloading(path, server):
        path.write_text(text(2))
        assert await server.hears() == 2


async def test_a_refused_reload_changes_nothing_and_says_why(tmp_path: Path, server: Server) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text(1))
    async with reloading(path, server) as reloader:
        before, since = reloader.loaded, reloader.loaded_at
        path.write_text("port: x\nprot: 1\n")
        complaint = (
            f"{path}:1: port must be a whole number, not a text\n{path}:2: prot is not known; did you mean port?"
        )
        assert await server.hears() == complaint
        assert (reloader.loaded, reloader.loaded_at) == (before, since)
        assert reloader.last_error is not None
        assert reloader.last_error.message == complaint
        path.write_text(text(2))
        assert await server.hears() == 2
        await reloader.look()
        assert (reloader.last_error, reloader.loaded_at > since) == (None, True)


async def test_a_fault_that_is_taken_back_is_over(tmp_path: Path, server: Server) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text(1))
    async with reloading(path, server) as reloader:
        path.write_text("port: x\n")
        await server.hears()
        path.write_text(text(1))
        await reloader.look()
        assert reloader.last_error is None
        await reloader.look()
    assert server.told.empty()


@pytest.mark.parametrize(("raw", "state"), [(None, "is gone"), (b"", "is empty")])
async def test_a_file_that_is_lost_leaves_the_config_in_force(
    tmp_path: Path, server: Server, raw: bytes | None, state: str
) -> None:
    """The defaults would open the server to everybody on this machine."""
    path = tmp_path / "config.yaml"
    path.write_text(text(1) + "api-keys: [a]\n")
    async with reloading(path, server) as reloader:
        path.unlink()
        if raw is not None:
            path.write_bytes(raw)
        assert await server.hears() == f"{path}: {state}; what was loaded before stays in force"
        assert len(reloader.loaded.config.api_keys) == 1
        path.write_text(text(2))
        assert await server.hears() == 2


async def test_what_cannot_be_put_into_force_is_refused(tmp_path: Path, server: Server) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text(1))
    async with reloading(path, server) as reloader:
        server.fault = ConfigError("tls.cert: there is no such file")
        path.write_text(text(2))
        assert await server.hears() == "tls.cert: there is no such file"
        assert (reloader.loaded.config.port, reloader.last_error) == (1, server.fault)
        server.fault = None
        path.write_text(text(3))
        assert await server.hears() == 3


async def test_a_defect_in_the_server_does_not_end_the_watch(tmp_path: Path, server: Server) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text(1))
    reported: asyncio.Queue[object] = asyncio.Queue()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.put_nowait(context["exception"]))
    async with reloading(path, server) as reloader:
        server.fault = ZeroDivisionError()
        path.write_text(text(2))
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await reported.get() is server.fault
        await reloader.look()
        assert str(reloader.last_error) == f"{path}: the new config was not put into force: ZeroDivisionError"
        assert reloader.loaded.config.port == 1
        server.fault = None
        path.write_text(text(3))
        assert await server.hears() == 3


async def test_a_content_that_is_the_same_is_no_change(tmp_path: Path, server: Server) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text(1))
    async with reloading(path, server) as reloader:
        renamed(path, 1)
        in_place(path, 1)
        await reloader.look()
        assert reloader.loaded_at == 100.0
    assert server.told.empty()


def test_it_is_seen_within_a_second() -> None:
    """Of its own waiting, even where no watch tells and the file is long in motion."""
    assert lookout.POLL_SECONDS + lookout.SETTLE_SECONDS * lookout.SETTLE_ROUNDS_MAX < 1.0
    assert lookout.SETTLE_SECONDS * 2 <= 0.15
