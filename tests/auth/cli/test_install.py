from __future__ import annotations

import os
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import pytest

from auth.cli.install import CLAUDE, CLI_TABLE, CODEX, GEMINI, Cli, CliMissing, find, install, pinned, version_of

NPM = """#!{python}
import os, pathlib, sys
arguments = sys.argv[1:]
assert arguments[0] == "ci", arguments
assert "--ignore-scripts" in arguments
assert "SECRET" not in os.environ
folder = pathlib.Path(arguments[arguments.index("--prefix") + 1])
assert (folder / "package-lock.json").read_bytes()
if os.environ.get("npm_config_fail"):
    sys.exit("npm error code EINTEGRITY")
entry = folder / "node_modules" / "{entry}"
entry.parent.mkdir(parents=True)
entry.write_text("#!/bin/sh\\necho 'claude 9.8.7 (Test)'\\n")
entry.chmod(0o700)
"""


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o700)
    return path


@pytest.fixture
def ours(tmp_path: Path) -> dict[str, str]:
    program(tmp_path / "bin" / "npm", NPM.format(python=sys.executable, entry=CLAUDE.entries[0]))
    return {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path), "SECRET": "x"}


async def test_installed_into_the_data_folder(tmp_path: Path, ours: dict[str, str]) -> None:
    data = tmp_path / "data"
    installed = await install(CLAUDE, data, ours)
    assert installed.is_ours
    assert installed.command[0].startswith(str(data / "clis" / "claude"))
    assert await version_of(installed, tmp_path / "scratch", ours) == "9.8.7"
    await install(CLAUDE, data, ours)
    assert [path.name for path in (data / "clis").iterdir()] == ["claude"]


async def test_a_failed_install_changes_nothing(tmp_path: Path, ours: dict[str, str]) -> None:
    data = tmp_path / "data"
    await install(CLAUDE, data, ours)
    with pytest.raises(
        CliMissing, match="npm could not install claude: npm error code EINTEGRITY; nothing was changed"
    ):
        await install(CLAUDE, data, {**ours, "npm_config_fail": "1"})
    assert find(CLAUDE, data, ours).is_ours
    assert [path.name for path in (data / "clis").iterdir()] == ["claude"]


async def test_without_npm(tmp_path: Path) -> None:
    with pytest.raises(CliMissing, match="install Node 22 or newer, and then: proxy cli install codex"):
        await install(CODEX, tmp_path, {"PATH": str(tmp_path)})


def test_ours_comes_before_the_path(tmp_path: Path, ours: dict[str, str]) -> None:
    with pytest.raises(CliMissing, match="the claude CLI is not there; get it with: proxy cli install claude"):
        find(CLAUDE, tmp_path / "data", ours)
    theirs = program(tmp_path / "bin" / "claude", "#!/bin/sh\n")
    assert find(CLAUDE, tmp_path / "data", ours).command == (str(theirs),)
    mine = program(tmp_path / "data/clis/claude/node_modules" / CLAUDE.entries[0], "#!/bin/sh\n")
    assert find(CLAUDE, tmp_path / "data", ours).command == (str(mine),)


def test_a_script_needs_node(tmp_path: Path) -> None:
    program(tmp_path / "clis/gemini/node_modules" / GEMINI.entries[0], "")
    with pytest.raises(CliMissing, match="needs Node 22"):
        find(GEMINI, tmp_path, {"PATH": str(tmp_path)})
    node = program(tmp_path / "node", "")
    assert find(GEMINI, tmp_path, {"PATH": str(tmp_path)}).command[0] == str(node)


async def test_a_broken_one_says_how_to_repair_it(tmp_path: Path) -> None:
    program(tmp_path / "codex", "#!/bin/sh\necho 'cannot execute' >&2\nexit 1\n")
    installed = find(CODEX, tmp_path / "data", {"PATH": str(tmp_path)})
    with pytest.raises(CliMissing, match="does not work: cannot execute; get a working one: proxy cli install codex"):
        await version_of(installed, tmp_path / "scratch", {"PATH": os.environ["PATH"]})


def lock_of(cli: Cli) -> dict[str, Any]:
    raw = (resources.files("auth.cli.pins") / f"{cli.name}.package-lock.json").read_bytes()
    return dict(msgspec.json.decode(raw)["packages"])


@pytest.mark.parametrize("cli", CLI_TABLE.values(), ids=CLI_TABLE)
def test_all_that_npm_gets_is_pinned_by_its_hash(cli: Cli) -> None:
    packages = lock_of(cli)
    root = packages.pop("")
    assert root["dependencies"] == {cli.package: pinned(cli)}
    assert packages[f"node_modules/{cli.package}"]["version"] == pinned(cli)
    assert {name for name, each in packages.items() if not each["integrity"].startswith("sha512-")} == set()
    assert {name for name, each in packages.items() if "resolved" in each} == set(), "the user's own registry"
