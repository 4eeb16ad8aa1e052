from __future__ import annotations

import os
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest
from watchdog.events import FileClosedNoWriteEvent, FileModifiedEvent, FileMovedEvent, FileOpenedEvent

from auth import trail
from auth.trail import Watch, names_of, signature_of


def relative(names: frozenset[Path], root: Path) -> set[str]:
    return {os.path.relpath(name, root) for name in names}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """As the system sees it: no symlink on the way."""
    return tmp_path.resolve()


def test_a_plain_file(root: Path) -> None:
    (root / "c").touch()
    assert relative(names_of(root / "c"), root) == {"c"}


def test_each_symlink_on_the_way_and_what_it_leads_to(root: Path) -> None:
    """As Kubernetes mounts a ConfigMap."""
    (root / "..2026").mkdir()
    (root / "..2026" / "c").touch()
    (root / "..data").symlink_to("..2026")
    (root / "c").symlink_to("..data/c")
    (root / "etc").symlink_to(root)
    assert relative(names_of(root / "etc" / "c"), root) == {"etc", "c", "..data", "..2026/c"}


def test_what_is_missing_is_waited_for_where_it_would_appear(root: Path) -> None:
    assert relative(names_of(root / "a" / "b" / "c"), root) == {"a"}
    (root / "l").symlink_to("gone/c")
    assert relative(names_of(root / "l"), root) == {"l", "gone"}


def test_a_loop_ends(root: Path) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    assert relative(names_of(root / "a"), root) == {"a", "b"}


def test_a_relative_path(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "in").mkdir()
    (root / "c").touch()
    monkeypatch.chdir(root / "in")
    assert relative(names_of(Path("../c")), root) == {"c"}


def test_the_signature_differs_after_each_kind_of_change(root: Path) -> None:
    path = root / "c"
    seen = [signature_of(path)]
    path.write_text("a")
    seen.append(signature_of(path))
    path.write_text("ab")
    seen.append(signature_of(path))
    (root / "n").write_text("ab")
    (root / "n").replace(path)
    seen.append(signature_of(path))
    path.unlink()
    assert len(set(seen)) == 4
    assert signature_of(path) == seen[0]


@pytest.fixture
def stirs() -> queue.Queue[None]:
    return queue.Queue()


@pytest.fixture
def opened(root: Path, stirs: queue.Queue[None]) -> Iterator[Watch]:
    found = Watch(root / "in" / "c", lambda: stirs.put(None))
    found.open()
    yield found
    found.close()


def test_a_folder_that_comes_and_goes(root: Path, opened: Watch, stirs: queue.Queue[None]) -> None:
    for _ in range(3):
        (root / "in").mkdir()
        stirs.get(timeout=10)
        opened.follow()
        (root / "in" / "c").write_text("x")
        stirs.get(timeout=10)
        (root / "in" / "c").unlink()
        (root / "in").rmdir()
        while not stirs.empty():
            stirs.get()
        opened.follow()


def test_other_files_of_the_folder_do_not_stir(root: Path, stirs: queue.Queue[None]) -> None:
    path = root / "c"
    unopened = Watch(path, lambda: stirs.put(None))
    unopened._names = frozenset({str(path)})
    unopened.on_any_event(FileModifiedEvent(str(root / "d")))
    unopened.on_any_event(FileMovedEvent(str(root / "x"), str(root / "y")))
    assert stirs.empty()
    unopened.on_any_event(FileMovedEvent(str(root / "x"), str(path)))
    assert stirs.qsize() == 1


def test_reading_does_not_stir() -> None:
    assert not {FileOpenedEvent, FileClosedNoWriteEvent} & set(trail._EVENTS)


def test_without_watches_left_it_keeps_silent(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr(trail, "Observer", refuse)
    found = Watch(root / "c", lambda: None)
    found.open()
    found.follow()
    found.close()
