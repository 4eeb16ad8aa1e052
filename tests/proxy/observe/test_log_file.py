from __future__ import annotations

import stat
from pathlib import Path

import pytest

from proxy.observe.log_file import LogFile, older_files


def test_it_is_private_and_appends(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "proxy.log"
    for word in (b"one\n", b"two\n"):
        file = LogFile(path)
        file.write(word)
        file.close()
    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_keeps_a_few_generations_of_a_fixed_size(tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    file = LogFile(path, bytes_max=10, generations=2)
    for number in range(9):
        file.write(b"line %d\n" % number)
    file.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["proxy.log", "proxy.log.1", "proxy.log.2"]
    assert path.read_bytes() == b"line 8\n"
    assert path.with_name("proxy.log.1").read_bytes() == b"line 7\n"


def test_a_line_longer_than_the_file_is_written_whole(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "proxy.log", bytes_max=4, generations=2)
    file.write(b"a long line\n")
    file.close()
    assert (tmp_path / "proxy.log").read_bytes() == b"a long line\n"


def test_a_total_bounds_them_all_as_it_is_just_now(tmp_path: Path) -> None:
    total = 100
    file = LogFile(tmp_path / "proxy.log", bytes_max=20, generations=2, bytes_total=lambda: total)
    for number in range(100, 150):
        file.write(b"line %d\n" % number)
    assert len(older_files(tmp_path / "proxy.log")) == 4
    assert 80 < sum(each.stat().st_size for each in tmp_path.iterdir()) <= 100
    total = 20
    for number in range(200, 210):
        file.write(b"line %d\n" % number)
    assert len(older_files(tmp_path / "proxy.log")) == 1
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= 20
    file.close()


def test_many_lines_at_once_are_parted(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "proxy.log", bytes_max=20, generations=9)
    assert file.write(b"".join(b"line %d\n" % number for number in range(9))) == 63
    file.close()
    texts = [each.read_bytes() for each in (*older_files(tmp_path / "proxy.log"), tmp_path / "proxy.log")]
    assert texts[0] == b"line 0\nline 1\n"
    assert b"".join(texts) == b"".join(b"line %d\n" % number for number in range(9))


def test_a_symlink_is_refused(tmp_path: Path) -> None:
    (tmp_path / "proxy.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        LogFile(tmp_path / "proxy.log")
