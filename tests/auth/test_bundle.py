from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth.bundle import FILE_BYTES_MAX, MAGIC, gathered, pack, restore, unpack
from auth.refusal import Refused
from auth.secret import Secret

WORD = Secret("a passphrase of some length, äöü")


def laid_out(folder: Path) -> Path:
    home = folder / "homes" / "codex-0123456789ab"
    (home / "deep").mkdir(parents=True)
    (home / "auth.json").write_text("token-of-mine")
    (home / "deep" / "x").write_bytes(b"\0\1")
    (home / "large").write_bytes(b"x" * (FILE_BYTES_MAX + 1))
    (home / "link").symlink_to("/etc/passwd")
    os.mkfifo(home / "pipe")
    (folder / "a.json").write_text('{"type": "x"}')
    (folder / "b.json").symlink_to("/etc/passwd")
    (folder / "prices.yaml").write_text("{}")
    (folder / "logs").mkdir()
    (folder / "logs" / "c.json").write_text("no account")
    return folder


def told(folder: Path, files: dict[str, bytes], *, is_replacing: bool = False) -> dict[str, str]:
    return {each.path: each.outcome for each in restore(folder, files, is_replacing=is_replacing)}


@settings(max_examples=10, deadline=None)  # each takes a tenth of a second, on purpose
@given(files=st.dictionaries(st.text(max_size=20), st.binary(max_size=200), max_size=5))
def test_what_goes_in_comes_out(files: dict[str, bytes]) -> None:
    raw = pack(WORD, files)
    assert unpack(WORD, raw) == files


def test_nothing_can_be_read_or_changed_without_the_passphrase() -> None:
    raw = pack(WORD, {"a.json": b"sk-of-mine" * 10})
    assert b"of-mine" not in raw
    assert pack(WORD, {"a.json": b"x"}) != pack(WORD, {"a.json": b"x"})
    with pytest.raises(Refused, match="passphrase is wrong, or the bundle is damaged"):
        unpack(Secret("another passphrase"), raw)
    for place in (len(MAGIC), len(MAGIC) + 20, len(raw) // 2, len(raw) - 1):
        damaged = bytearray(raw)
        damaged[place] ^= 1
        with pytest.raises(Refused):
            unpack(WORD, bytes(damaged))
    for cut in (len(MAGIC), len(MAGIC) + 5, len(raw) - 1):
        with pytest.raises(Refused):
            unpack(WORD, raw[:cut])
    with pytest.raises(Refused, match="no bundle"):
        unpack(WORD, b"PK\3\4")


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(Refused, match="12 characters"):
        pack(Secret("short"), {})


def test_accounts_homes_and_named_files_are_taken_and_nothing_else(tmp_path: Path) -> None:
    assert sorted(gathered(laid_out(tmp_path))) == [
        "a.json",
        "homes/codex-0123456789ab/auth.json",
        "homes/codex-0123456789ab/deep/x",
        "prices.yaml",
    ]


def test_it_stands_elsewhere_as_it_stood_here(tmp_path: Path) -> None:
    here, there = laid_out(tmp_path / "here"), tmp_path / "there"
    files = gathered(here)
    assert told(there, files) == {"homes/codex-0123456789ab": "added", "a.json": "added", "prices.yaml": "added"}
    assert gathered(there) == files
    assert stat.S_IMODE((there / "a.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((there / "homes" / "codex-0123456789ab" / "auth.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((there / "homes" / "codex-0123456789ab").stat().st_mode) == 0o700
    assert told(there, files) == {
        "homes/codex-0123456789ab": "kept",
        "a.json": "unchanged",
        "prices.yaml": "unchanged",
    }


def test_what_is_there_and_differs_stays_unless_it_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("mine")
    assert told(tmp_path, {"a.json": b"theirs"}) == {"a.json": "kept"}
    assert (tmp_path / "a.json").read_text() == "mine"
    assert told(tmp_path, {"a.json": b"theirs"}, is_replacing=True) == {"a.json": "replaced"}
    assert (tmp_path / "a.json").read_text() == "theirs"


@pytest.mark.parametrize(
    "path",
    [
        "../a.json", "/etc/x.json", "homes/../../x", "homes/codex-0123456789ab/../../../x", "homes/evil/x", "a\\b.json",
        "homes/codex-0123456789ab/", "state/x", "a.txt", ".hidden.json", "", "x\0.json", "homes/codex-0123456789ab",
    ],
)  # fmt: skip
def test_T11_no_path_leads_elsewhere(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "auth"
    assert set(told(folder, {path: b"{}"}).values()) == {"refused"}
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_T11_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    folder = tmp_path / "auth"
    folder.mkdir()
    (folder / "a.json").symlink_to(outside)
    told(folder, {"a.json": b"theirs"}, is_replacing=True)
    assert outside.read_text() == "mine"
