from __future__ import annotations

import os
from pathlib import Path

from proxy.observe.log_room import make_room


def put(path: Path, size: int, at: int) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (at, at))


def names(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if not each.is_dir()}


def test_the_oldest_go_whatever_they_are(tmp_path: Path) -> None:
    log, requests, errors = tmp_path / "proxy.log", tmp_path / "requests", tmp_path / "errors"
    put(log, 40, 1)
    put(tmp_path / "proxy.log.1", 30, 4)
    put(tmp_path / "proxy.log.2", 30, 2)
    put(requests / "a.json", 30, 3)
    put(requests / "b.json", 30, 6)
    put(errors / "c.json", 30, 5)
    put(tmp_path / "audit.log.1", 500, 0)
    everything = names(tmp_path)
    assert make_room(log, (requests, errors), 190) == 0
    assert names(tmp_path) == everything
    assert make_room(log, (requests, errors), 130) == 2
    assert names(tmp_path) == everything - {"proxy.log.2", "requests/a.json"}
    assert make_room(log, (requests, errors), 10) == 3
    assert names(tmp_path) == {"proxy.log", "audit.log.1"}, "what is being written stays, and who changed what"


def test_links_and_strangers_are_left_alone(tmp_path: Path) -> None:
    requests = tmp_path / "requests"
    put(tmp_path / "elsewhere", 100, 1)
    put(requests / "notes.txt", 100, 1)
    (requests / "link.json").symlink_to(tmp_path / "elsewhere")
    assert make_room(tmp_path / "proxy.log", (requests, tmp_path / "absent"), 1) == 0
    assert names(tmp_path) == {"elsewhere", "requests/notes.txt", "requests/link.json"}


def test_where_nothing_is_nothing_goes(tmp_path: Path) -> None:
    assert make_room(tmp_path / "absent" / "proxy.log", (), 1) == 0
