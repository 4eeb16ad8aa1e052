"""Homes that are to go do go, whoever is killed on the way, and no other does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from auth import lease
from auth.departures import Departures, Note
from auth.document import Document
from auth.homes import Homes
from tests.auth.departing import NAME, WHAT, fill, point, store_of

ROOT = Path(__file__).parents[2]


def all_kills(what: str) -> list[Any]:
    told = subprocess.run(
        [sys.executable, "-m", "tests.auth.departing", what], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, check=True, timeout=120,
    ).stdout  # fmt: skip
    return [msgspec.json.decode(line) for line in told.splitlines()]


@pytest.mark.parametrize("what", WHAT)
def test_killed_at_each_step_it_is_done_or_was_never_begun(what: str) -> None:
    """The account and its login, or neither; and nothing that nobody knows of."""
    kills = all_kills(what)
    assert len(kills) > 10
    for number, told in enumerate(kills):
        assert told["homes"] == ([told["named"]] if told["named"] else []), (number, told)
        assert told["whole"], (number, told)
        assert told["notes"] == [], (number, told)
    assert any(told["left"] != told["homes"] for told in kills), "nothing was left to be finished"
    assert (kills[-1]["named"] == kills[-1]["before"]) == (what == "give-up")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def home(data: Path) -> Path:
    """Its account's file is gone, and whoever wanted to remove it, too."""
    home = Homes(data).make("codex")
    fill(home)
    point(data, home.name)
    store_of(data).delete(NAME, into=Departures(data).room_for(home.name))
    return home


def test_what_was_begun_is_finished(data: Path, home: Path) -> None:
    assert Departures(data).finish() == [home.name]
    assert not home.exists()
    assert Departures(data).finish() == []


@pytest.mark.parametrize("other", ["b.json", "B.JSON"])
def test_an_account_that_came_back_keeps_its_home(data: Path, home: Path, other: str) -> None:
    """Restored from a backup, under whatever name."""
    (data / other).write_text(f'{{"type": "codex", "home": "{home.name}"}}')
    assert Departures(data).finish() == []
    (data / other).unlink()
    assert Departures(data).finish() == [], "what was void once stays so"
    assert home.exists()


@pytest.mark.parametrize("torn", ["", '{"type": "codex", "ho', "[]", "\0"])
def test_while_a_file_is_torn_nothing_goes(data: Path, home: Path, torn: str) -> None:
    (data / "b.json").write_text(torn)
    assert Departures(data).finish() == []
    (data / "b.json").write_text('{"type": "codex", "home": "codex-000000000000"}')
    assert Departures(data).finish() == [home.name]


def test_while_a_process_has_it_it_stays(data: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auth.departures.PATIENCE_SECONDS", 0.0)
    with Homes(data).owned(home.name):
        assert Departures(data).finish() == []
        assert "at the next start" in Departures(data).released(home.name)
    assert Departures(data).finish() == [home.name]


def test_while_another_host_has_it_it_stays(data: Path, home: Path) -> None:
    (home / lease.NAME).write_text("another-host\n1 x\n")
    assert Departures(data).finish() == []
    old = home.stat().st_mtime - lease.STALE_SECONDS - 1
    os.utime(home / lease.NAME, (old, old))
    assert Departures(data).finish() == [home.name]


def test_a_home_that_no_note_tells_of_is_left_alone(data: Path, home: Path) -> None:
    """Its file may be on its way: moved, renamed, in an editor."""
    orphan = Homes(data).make("codex")
    assert Departures(data).finish() == [home.name]
    assert orphan.exists()


def test_a_renewal_of_an_account_that_nobody_finds_waits(data: Path) -> None:
    """Its file was moved away between the note and the change, or after it: which home it speaks of is unknown."""
    departures = Departures(data)
    old, new = Homes(data).make("codex"), Homes(data).make("codex")
    departures.renewing(old.name, new.name)
    assert departures.finish() == []
    store_of(data).put(NAME, Document.of({"type": "codex", "home": new.name}))
    assert departures.finish() == [old.name]
    assert new.exists()


@pytest.mark.parametrize(
    "name",
    ["..gone", "codex-0123456789ab", "../x.gone", "codex-0123456789ab.begun.gone", "Codex-0123456789ab.gone",
     "codex-0123456789ab.renewed", "codex-0123456789ab.codex-0123456789ac.gone", ".gone", "a.begun"],
)  # fmt: skip
def test_T09_a_hostile_note_says_nothing(name: str) -> None:
    assert Note.of(Path("/x") / name) is None


def test_T09_a_note_of_a_link_removes_nothing(data: Path, home: Path) -> None:
    link = home.with_name("codex-000000000000")
    link.symlink_to(home)
    (data / "state" / "homes" / f"{link.name}.gone").touch()
    (data / "b.json").write_text(f'{{"home": "{home.name}"}}')
    assert Departures(data).finish() == []
    assert (home / "auth.json").exists()


def test_on_another_disk_the_note_comes_first(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Homes(data).make("codex")
    point(data, home.name)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("auth.store.os.rename", refuse)
    store_of(data).delete(NAME, into=Departures(data).room_for(home.name))
    monkeypatch.undo()
    assert not (data / NAME).exists()
    assert Departures(data).finish() == [home.name]
