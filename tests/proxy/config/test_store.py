"""The file on disk: one writer at a time, old or new at any instant."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from proxy.config.edit import Append, Put, replace, write_back
from proxy.config.load import digest_of, load
from proxy.errors import ConfigChanged, ConfigError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("port: 1 # mine\n")
    return path


def digest(path: Path) -> str:
    return digest_of(path.read_bytes())


def names(folder: Path) -> list[str]:
    return [found.name for found in folder.iterdir()]


def test_an_edit_is_written_and_what_it_gives_is_returned(path: Path) -> None:
    loaded = write_back(path, [Put(("port",), 2), Append(("api-keys",), "a")], digest=digest(path))
    assert path.read_text() == "port: 2 # mine\napi-keys:\n  - a\n"
    assert (loaded.config.port, loaded.digest) == (2, digest(path))


def test_a_file_that_was_changed_meanwhile_is_not_overwritten(path: Path) -> None:
    before = digest(path)
    path.write_text("port: 3\n")
    with pytest.raises(
        ConfigChanged, match=r"config\.yaml: was changed by somebody else meanwhile; nothing was written"
    ):
        write_back(path, [Put(("port",), 2)], digest=before)
    assert path.read_text() == "port: 3\n"


def test_nor_one_that_an_editor_saves_while_we_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last look is right before the rename."""
    sync = os.fsync

    def interfere(descriptor: int) -> None:
        sync(descriptor)
        path.write_text("port: 4\n")

    monkeypatch.setattr(os, "fsync", interfere)
    with pytest.raises(ConfigChanged):
        write_back(path, [Put(("port",), 2)], digest=digest(path))
    assert path.read_text() == "port: 4\n"
    assert names(path.parent) == ["config.yaml"]


def test_an_edit_that_gives_no_good_config_is_not_written(path: Path) -> None:
    with pytest.raises(ConfigError, match="port must be at most 65535"):
        write_back(path, [Put(("port",), 70000)], digest=digest(path))
    assert path.read_text() == "port: 1 # mine\n"
    assert names(path.parent) == ["config.yaml"]


def test_a_whole_text_can_be_put_in_its_place(path: Path) -> None:
    assert replace(path, b"# new\nport: 9\n", digest=digest(path)).config.port == 9
    assert path.read_bytes() == b"# new\nport: 9\n"
    with pytest.raises(ConfigError, match=":1: is no YAML"):
        replace(path, b"a: b: c", digest=digest(path))
    assert path.read_bytes() == b"# new\nport: 9\n"


def test_a_missing_file_is_made_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    write_back(path, [Put(("port",), 2)], digest=digest_of(b""))
    assert path.read_text() == "port: 2\n"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("mode", "after"), [(0o600, 0o600), (0o640, 0o640), (0o644, 0o600), (0o666, 0o600)])
def test_T11_what_everybody_could_read_is_its_owners_alone_and_else_the_mode_stays(
    path: Path, mode: int, after: int
) -> None:
    path.chmod(mode)
    write_back(path, [Put(("port",), 2)], digest=digest(path))
    assert path.stat().st_mode & 0o777 == after


def test_whoever_owns_it_can_still_read_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.chmod(0o644)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    write_back(path, [Put(("port",), 2)], digest=digest(path))
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_file_is_a_new_one_and_complete_before_it_gets_its_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    sync, rename = os.fsync, os.rename

    def noted_sync(descriptor: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def noted_rename(source: str, target: str, **folders: int) -> None:
        calls.append(f"rename to {target}")
        rename(source, target, **folders)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "rename", noted_rename)
    inode = path.stat().st_ino
    write_back(path, [Put(("port",), 2)], digest=digest(path))
    assert calls == ["file", "rename to config.yaml", "folder"]
    assert path.stat().st_ino != inode


def test_a_symlink_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "proxy.yaml"
    real.write_text("port: 1\n")
    link = tmp_path / "config.yaml"
    link.symlink_to("real/proxy.yaml")
    write_back(link, [Put(("port",), 2)], digest=digest(link))
    assert link.readlink() == Path("real/proxy.yaml")
    assert real.read_text() == "port: 2\n"
    assert names(real.parent) == ["proxy.yaml"]


def test_nothing_to_change_writes_nothing(path: Path) -> None:
    before = path.stat()
    write_back(path, [Put(("port",), 1)], digest=digest(path))
    assert path.stat() == before


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "cannot be written: No space left on device"),
        (errno.EROFS, "cannot be written: Read-only file system"),
        (
            errno.EBUSY,
            "cannot be written: Device or resource busy; it is mounted as a single file, mount its folder instead",
        ),
    ],
)
def test_a_disk_that_refuses_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    def refuse(_source: str, _target: str, **_folders: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(ConfigError, match=message):
        write_back(path, [Put(("port",), 2)], digest=digest(path))
    assert path.read_text() == "port: 1 # mine\n"
    assert names(path.parent) == ["config.yaml"]


def write_until_done(path: Path, writer: int, rounds: int) -> int:
    """Append `rounds` keys, reading again whenever somebody else was faster; how often that was."""
    conflicts = 0
    for number in range(rounds):
        while True:
            try:
                write_back(path, [Append(("api-keys",), f"w{writer}-{number}")], digest=digest(path))
            except ConfigChanged:
                conflicts += 1
            else:
                break
    return conflicts


def test_two_writers_lose_nothing(path: Path) -> None:
    threads = [threading.Thread(target=write_until_done, args=(path, writer, 40)) for writer in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [key.api_key.reveal() for key in load(path).config.api_keys]
    assert sorted(keys) == sorted(f"w{writer}-{number}" for writer in range(2) for number in range(40))
    assert path.read_text().startswith("port: 1 # mine\n")


def test_a_writer_that_is_killed_at_any_instant_leaves_old_or_new(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from proxy.config.edit import Put, write_back; from proxy.config.load import digest_of\n"
        "path = Path(sys.argv[1]); print('go', flush=True)\n"
        "while True:\n"
        "    raw = path.read_bytes()\n"
        "    write_back(path, [Put(('port',), 2 if b'port: 1' in raw else 1)], digest=digest_of(raw))\n"
    )
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"go\n"
            for _ in range(50):  # meanwhile it writes
                assert path.read_text() in {"port: 1 # mine\n", "port: 2 # mine\n"}
            child.kill()
        assert path.read_text() in {"port: 1 # mine\n", "port: 2 # mine\n"}
