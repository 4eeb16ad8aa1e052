"""Every row of docs/threat-model.md has a test that carries its number, and every such test has its row."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| (T\d\d) \|.*\|([^|]*)\|$", re.MULTILINE)
NAMED = re.compile(r"\bdef (test_\w+)|\"(T\d\d)_\w+\"")
WITHOUT = {"T37"}
"""There is nothing to test: what it is about does not exist here."""
DEPENDENCIES_MAX = 19


def numbers() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        if "node_modules" not in path.parts:
            for name, quoted in NAMED.findall(path.read_text()):
                found.update(re.findall(r"T\d\d", name or quoted))
    return found


def test_every_threat_has_a_test_and_every_test_its_threat() -> None:
    rows = {number for number, _ in ROW.findall((ROOT / "docs" / "threat-model.md").read_text())}
    assert rows == {f"T{number:02}" for number in range(1, 41)}
    assert rows - numbers() == WITHOUT
    assert numbers() <= rows


def test_T39_every_dependency_is_locked_by_its_digest() -> None:
    for name in ("run.txt", "dev.txt"):
        text = (ROOT / "requirements" / name).read_text()
        pinned = re.findall(r"^[a-z0-9][\w.\-\[\]]*==[^\n]*(?:\n    [^\n]*)*", text, re.MULTILINE | re.IGNORECASE)
        assert len(pinned) > 10
        assert [entry.split()[0] for entry in pinned if "--hash=sha256:" not in entry] == []
        assert not re.search(r"^(-e|git\+|https?:)", text, re.MULTILINE)


def test_T39_they_are_few() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert len(project["dependencies"]) <= DEPENDENCIES_MAX
