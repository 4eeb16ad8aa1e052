from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.accounts.desk import Desk
from proxy.bundle_commands import VARIABLE, bundle_group
from proxy.config.schema import Config


def run(folder: Path, *arguments: str, word: str = "a passphrase of ours") -> tuple[int, str]:
    group = bundle_group(lambda _path: Desk(folder, Config()))
    result = CliRunner().invoke(group, [*arguments], env={VARIABLE: word})
    return result.exit_code, result.output


def test_out_here_and_in_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here, there, file = tmp_path / "here", tmp_path / "there", tmp_path / "x.bundle"
    here.mkdir()
    (here / "a.json").write_text('{"type": "claude-api-key", "api-key": "sk-ant-of-mine"}')
    (tmp_path / "config.yaml").write_text("port: 1234\n")
    code, told = run(here, "export", str(file))
    assert (code, "2 files" in told) == (0, True)
    assert (file.stat().st_mode & 0o777, b"of-mine" in file.read_bytes()) == (0o600, False)
    code, told = run(there, "import", str(file), "--config-to", "new.yaml")
    assert (code, told.splitlines()) == (0, ["a.json: added", "new.yaml: written"])
    assert (there / "a.json").read_text() == (here / "a.json").read_text()
    assert (tmp_path / "new.yaml").read_text() == "port: 1234\n"
    assert "unchanged" in run(there, "import", str(file))[1]


def test_a_wrong_passphrase_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    file = tmp_path / "x.bundle"
    run(tmp_path / "here", "export", str(file))
    code, told = run(tmp_path / "here", "import", str(file), word="another passphrase")
    assert (code, told) == (1, "Error: the passphrase is wrong, or the bundle is damaged\n")
    assert run(tmp_path / "here", "export", str(tmp_path / "y"), word="short")[0] == 1
    assert not (tmp_path / "y").exists()
