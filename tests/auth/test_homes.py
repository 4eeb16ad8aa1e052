from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from auth.homes import Homes, is_name
from auth.refusal import Refused

HOSTILE = (
    "",
    ".",
    "..",
    "../homes",
    "/etc",
    "codex",
    "codex-0123456789ab/..",
    "codex-0123456789ab\n",
    "Codex-0123456789ab",
)


def test_each_is_new_and_private(tmp_path: Path) -> None:
    homes = Homes(tmp_path / "auth")
    made = [homes.make("claude-code") for _ in range(3)]
    assert len(set(made)) == 3
    for path in (*made, tmp_path / "auth", tmp_path / "auth" / "homes"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert all(is_name(path.name) and homes.path_of(path.name) == path for path in made)
    (made[0] / "deep").mkdir()
    homes.remove(made[0].name)
    homes.remove(made[0].name)
    assert sorted((tmp_path / "auth" / "homes").iterdir()) == sorted(made[1:])


@pytest.mark.parametrize(
    "content", [b'{"type": "codex", "home": "%s"}', b'{"home": "%s", torn', b"%s", b" " * 2**20 + b"%s"]
)
def test_a_home_that_any_file_speaks_of_is_somebody_s(tmp_path: Path, content: bytes) -> None:
    homes = Homes(tmp_path)
    home = homes.make("codex").name
    (tmp_path / "other.JSON").write_bytes(content.replace(b"%s", home.encode()))
    assert homes.is_named(home)


def test_a_home_that_nobody_speaks_of_is_nobody_s(tmp_path: Path) -> None:
    homes = Homes(tmp_path)
    home = homes.make("codex").name
    (tmp_path / "other.json").write_text('{"home": "codex-0123456789ab"}')
    (tmp_path / ".unfinished.json").write_text(home)
    (tmp_path / "notes.txt").write_text(home)
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "link.json").symlink_to(tmp_path / "notes.txt")
    assert not homes.is_named(home)


@pytest.mark.parametrize("name", HOSTILE)
def test_T09_a_hostile_name_leads_nowhere(tmp_path: Path, name: str) -> None:
    homes = Homes(tmp_path)
    kept = homes.make("codex")
    for act in (homes.path_of, homes.remove):
        with pytest.raises(Refused):
            act(name)
    assert kept.is_dir()


def test_a_link_is_no_home(tmp_path: Path) -> None:
    homes = Homes(tmp_path)
    real = homes.make("codex")
    link = real.with_name("codex-000000000000")
    link.symlink_to(real)
    for act in (homes.path_of, homes.remove):
        with pytest.raises(Refused):
            act(link.name)
    assert real.is_dir()


def test_a_folder_open_to_others_is_closed(tmp_path: Path) -> None:
    (tmp_path / "homes").mkdir(mode=0o755)
    os.chmod(tmp_path / "homes", 0o755)  # noqa: PTH101, S103 - whatever the umask is
    Homes(tmp_path).make("codex")
    assert stat.S_IMODE((tmp_path / "homes").stat().st_mode) == 0o700


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    homes = Homes(tmp_path)
    name = homes.make("codex").name
    with homes.owned(name), pytest.raises(Refused, match="another process is using the login"), homes.owned(name):
        pass
    with homes.owned(name) as path:
        assert path.name == name


def test_a_home_that_nobody_leads_to_is_told_unless_somebody_is_at_it(tmp_path: Path) -> None:
    homes = Homes(tmp_path)
    assert homes.strays() == []
    stray, mine, begun = (homes.make("codex").name for _ in range(3))
    (tmp_path / "a.json").write_text(f'{{"home": "{mine}"}}')
    (tmp_path / "homes" / "notes").mkdir()
    with homes.owned(begun):
        assert homes.strays() == [stray]
