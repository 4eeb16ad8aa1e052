from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth import guarded
from auth.atomic import opened
from auth.refusal import Missing, Refused

GOOD = b'{"type": "x"}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "accounts"
    folder.mkdir(mode=0o700)
    return folder


def read(folder: Path, name: str) -> guarded.Found:
    with opened(folder) as descriptor:
        return guarded.read(descriptor, name)


def refusal(folder: Path, name: str) -> str:
    with pytest.raises(Refused) as caught:
        read(folder, name)
    return str(caught.value)


HOSTILE_NAMES = [
    "../a.json", "..%2fa.json", "..\\a.json", "/etc/passwd", "/a.json", "a/b.json", "a\0.json", "C:a.json",
    "C:\\a.json",
    "\udcc0\udcae\udcc0\udcae\udcc0\udcaf.json", "a" * 4096 + ".json", ".json", ".", "..", "", ".a.json", "a.json.",
    "a.json ", "a .json", "a.JSON", "a", "a.json\n", "a\u2215b.json", "\u202ea.json", "~/a.json", "a*.json", "a.json/",
    "\uff0e\uff0e\uff0fa.json", "%00.json", "a;b.json", "a'b.json",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
def test_T09_no_name_leads_out_of_the_folder(folder: Path, name: str) -> None:
    (folder.parent / "a.json").write_bytes(GOOD)
    with pytest.raises(Refused, match="is no name of an account's file"):
        guarded.check_name(name)
    with pytest.raises(Refused, match="is no name of an account's file"):
        read(folder, name)


@given(st.text(max_size=300))
def test_T09_whatever_passes_is_one_plain_word(name: str) -> None:
    with contextlib.suppress(Refused):
        guarded.check_name(name)
        assert re.fullmatch(r"[A-Za-z0-9@_+-][A-Za-z0-9@._+-]*\.json", name)
        assert len(name) <= 205
        assert Path(name).name == name


@given(st.from_regex(r"[A-Za-z0-9@_+-][A-Za-z0-9@._+-]{0,199}\.json", fullmatch=True))
def test_names_of_accounts_pass(name: str) -> None:
    if name.isascii():
        guarded.check_name(name)


def make(folder: Path, kind: str) -> None:
    path, elsewhere = folder / "a.json", folder.parent / "elsewhere.json"
    elsewhere.write_bytes(GOOD)
    elsewhere.chmod(0o600)
    match kind:
        case "symlink":
            path.symlink_to(elsewhere)
        case "symlink to nothing":
            path.symlink_to(folder / "nothing")
        case "hard link":
            path.hardlink_to(elsewhere)
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with contextlib.chdir(folder), socket.socket(socket.AF_UNIX) as made:
                made.bind("a.json")
        case "device":
            path.symlink_to("/dev/zero")
        case "grows":
            path.write_bytes(GOOD + b" " * guarded.BYTES_MAX)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("symlink", "symbolic link"),
        ("symlink to nothing", "symbolic link"),
        ("hard link", "has 2 names (hard links)"),
        ("folder", "is a folder"),
        ("pipe", "is a pipe"),
        ("socket", "is a socket"),
        ("device", "symbolic link"),
        ("grows", "is larger than 1048576 bytes"),
    ],
)
def test_T10_only_a_plain_file_is_read(folder: Path, kind: str, words: str) -> None:
    make(folder, kind)
    assert words in refusal(folder, "a.json")


def test_T10_a_foreign_owner_is_refused_and_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.json").write_bytes(GOOD)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert refusal(folder, "a.json") == f"belongs to another user (uid {owner}, not {owner + 1})"
    with opened(folder) as descriptor, pytest.raises(Refused, match=f"uid {owner}, not {owner + 1}"):
        guarded.check_folder(descriptor)


def test_T10_a_swap_between_look_and_open_gains_nothing(folder: Path) -> None:
    """Somebody swaps the file for a symlink to a secret as fast as it can: what is read is the file or nothing."""
    secret = folder.parent / "secret.json"
    secret.write_bytes(b'{"stolen": true}')
    secret.chmod(0o600)
    path, is_over = folder / "a.json", threading.Event()

    def swap() -> None:
        while not is_over.is_set():
            (folder / "n").write_bytes(GOOD)
            (folder / "n").replace(path)
            (folder / "l").symlink_to(secret)
            (folder / "l").replace(path)

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    try:
        for _ in range(3000):
            with contextlib.suppress(Refused):
                seen.add(read(folder, "a.json").raw)
    finally:
        is_over.set()
        swapper.join()
    assert seen <= {GOOD}


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o640, 0o604, 0o660, 0o777])
def test_T11_a_file_that_others_may_read_is_closed_and_told(folder: Path, mode: int) -> None:
    path = folder / "a.json"
    path.write_bytes(GOOD)
    path.chmod(mode)
    assert read(folder, "a.json") == guarded.Found(
        GOOD, (f"was open to other users (mode {mode:04o}); now it is 0600",)
    )
    assert path.stat().st_mode & 0o777 == 0o600
    assert read(folder, "a.json").remarks == ()


def test_T11_a_mode_that_cannot_be_mended_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.json").write_bytes(GOOD)
    (folder / "a.json").chmod(0o644)

    def refuse(_descriptor: int, _mode: int) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "fchmod", refuse)
    assert refusal(folder, "a.json").startswith("is open to other users (mode 0644), and that cannot be changed: Read-")


def test_T11_the_folder_likewise(folder: Path) -> None:
    folder.chmod(0o755)
    with opened(folder) as descriptor:
        assert guarded.check_folder(descriptor) == "was open to other users (mode 0755); now it is 0700"
        assert guarded.check_folder(descriptor) is None
    assert folder.stat().st_mode & 0o777 == 0o700


def test_T13_no_more_than_the_limit_is_read_of_a_file_that_grows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.json").write_bytes(GOOD)
    (folder / "a.json").chmod(0o600)
    monkeypatch.setattr(os, "read", lambda _descriptor, count: b" " * min(count, 65536))
    assert "is larger than" in refusal(folder, "a.json")


def test_what_is_not_there(folder: Path) -> None:
    with pytest.raises(Missing):
        read(folder, "a.json")


def test_which_entries_are_meant() -> None:
    names = ["a.json", "a.JSON", "a b.json", ".a.json.tmp.0", ".a.json", "a.cds", "homes", "logs", "a.json~"]
    assert [name for name in names if guarded.is_ours(name)] == ["a.json", "a.JSON", "a b.json"]
