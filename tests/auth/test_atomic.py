"""Old or new at any instant: whatever the disk refuses, and wherever the process is killed."""

from __future__ import annotations

import errno
import os
import random
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from auth import atomic
from auth.atomic import locked, opened, put, room, sweep

OLD, NEW = b'{"type": "old"}\n', b'{"type": "new"}\n' * 5000
CALLS = ("open", "fchmod", "write", "fsync", "close", "rename", "unlink")
KILLS = int(os.environ.get("PROXY_FAULT_ROUNDS", "30"))
"""`make faults` asks for more."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.json").write_bytes(OLD)
    (tmp_path / "a.json").chmod(0o600)
    return tmp_path


class Disk:
    """`os`, of which the call of a given number fails. `failed`: its name."""

    def __init__(self, number: int, fault: int) -> None:
        self._left = number
        self._fault = fault
        self.failed = ""

    def __getattr__(self, name: str) -> object:
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*arguments: object, **named: object) -> object:
            self._left -= 1
            if self._left == 0:
                self.failed = name
                if name == "close":
                    real(*arguments)  # the descriptor is gone, whatever close says
                raise OSError(self._fault, os.strerror(self._fault))
            return real(*arguments, **named)

        return call


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_each_call_that_the_disk_refuses_leaves_old_or_new(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    failed = []
    for number in range(1, 30):
        (folder / "a.json").write_bytes(OLD)
        disk = Disk(number, fault)
        with opened(folder) as descriptor:
            monkeypatch.setattr(atomic, "os", disk)
            try:
                put(descriptor, "a.json", NEW)
                is_told = False
            except OSError:
                is_told = True
            monkeypatch.setattr(atomic, "os", os)
        found = (folder / "a.json").read_bytes()
        assert found in {OLD, NEW}
        assert (folder / "a.json").stat().st_mode & 0o777 == 0o600
        if not disk.failed:
            break
        failed.append(disk.failed)
        assert is_told or (found, disk.failed) == (NEW, "unlink"), f"{disk.failed} failed in silence"
        assert [path.name for path in folder.iterdir()] == ["a.json"], f"{disk.failed} left something"
    else:
        pytest.fail("it never ended")
    assert failed == ["open", "fchmod", "write", "fsync", "close", "rename", "fsync", "unlink"]


def test_a_disk_that_takes_little_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data[:7])))
    with opened(folder) as descriptor:
        put(descriptor, "a.json", NEW)
    assert (folder / "a.json").read_bytes() == NEW


def test_T11_whatever_the_umask_nobody_else_may_read_it(folder: Path) -> None:
    before = os.umask(0)
    try:
        with opened(folder) as descriptor:
            put(descriptor, "b.json", NEW)
    finally:
        os.umask(before)
    assert (folder / "b.json").stat().st_mode & 0o777 == 0o600


def test_the_order_that_survives_a_power_cut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def noted(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def call(*arguments: object, **named: object) -> object:
            calls.append(name)
            return real(*arguments, **named)

        return call

    for name in ("write", "fsync", "rename"):
        monkeypatch.setattr(os, name, noted(name))
    with opened(folder) as descriptor:
        put(descriptor, "a.json", NEW)
    assert calls == ["write", "fsync", "rename", "fsync"]


def test_a_symlink_under_the_name_is_replaced_and_not_followed(folder: Path) -> None:
    (folder / "b.json").symlink_to("a.json")
    with opened(folder) as descriptor:
        put(descriptor, "b.json", NEW)
    assert not (folder / "b.json").is_symlink()
    assert (folder / "a.json").read_bytes() == OLD


def test_the_last_look_may_stop_it(folder: Path) -> None:
    def refuse() -> None:
        raise OSError(errno.EBUSY, "changed meanwhile")

    with opened(folder) as descriptor, pytest.raises(OSError, match="changed meanwhile"):
        put(descriptor, "a.json", NEW, check=refuse)
    assert (folder / "a.json").read_bytes() == OLD
    assert [path.name for path in folder.iterdir()] == ["a.json"]


WRITER = (
    "import sys; from pathlib import Path; from auth.atomic import locked, put, sweep\n"
    'old, new = b\'{"type": "old"}\\n\', b\'{"type": "new"}\\n\' * 5000\n'
    "print('go', flush=True)\n"
    "while True:\n"
    "    for raw in (new, old):\n"
    "        with locked(Path(sys.argv[1])) as folder:\n"
    "            sweep(folder); put(folder, 'a.json', raw)\n"
)


def test_a_writer_killed_at_any_instant_leaves_old_or_new(folder: Path) -> None:
    chance = random.Random(7)  # noqa: S311 - the same instants in each run
    for _ in range(KILLS):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"go\n"
            time.sleep(chance.uniform(0, 0.03))
            child.kill()
        assert (folder / "a.json").read_bytes() in {OLD, NEW}
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    with locked(folder) as descriptor:
        sweep(descriptor)
    assert [path.name for path in folder.iterdir()] == ["a.json"]


def test_room_is_made_before_anything_is_asked(folder: Path) -> None:
    with opened(folder) as descriptor:
        with room(descriptor, "a.json", bytes_min=65536) as become:
            (waiting,) = [path for path in folder.iterdir() if path.name != "a.json"]
            assert waiting.stat().st_blocks * 512 >= 65536
            assert waiting.stat().st_mode & 0o777 == 0o600
            assert (folder / "a.json").read_bytes() == OLD
            become(NEW, None)
        assert (folder / "a.json").read_bytes() == NEW
        with room(descriptor, "a.json", bytes_min=65536):
            pass
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("a.json", NEW)]


def test_where_there_is_no_room_nothing_is_begun(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", lambda *_: 4096)
    is_full = pytest.raises(OSError, match="No space left")
    with opened(folder) as descriptor, is_full, room(descriptor, "a.json", bytes_min=65536):
        pytest.fail("nobody may ask for a token now")
    assert [path.name for path in folder.iterdir()] == ["a.json"]


def test_a_file_of_a_folder_of_ours_is_made_with_it_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "accounts" / "state" / "x.json"
    for content in (b"one", b"another"):
        atomic.replace(path, content)
        assert path.read_bytes() == content
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path.parent.parent, path.parent, path)] == [
        0o700, 0o700, 0o600,
    ]  # fmt: skip
    path.parent.rename(tmp_path / "aside")
    (tmp_path / "accounts" / "state").write_bytes(b"no folder")
    with pytest.raises(OSError):  # noqa: PT011 - whichever it is
        atomic.replace(path, b"third")
