"""The style of the house, as a test: limits on maxima, and no disguise."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("proxy", "auth", "management")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FILE_LINES_MAX = 400
LOADED_LATE = {"auth/aesgcm.py", "auth/oidc.py", "auth/service_account.py", "proxy/accounts/login_terminal.py"}
"""Files that load a library of a megabyte and more when somebody needs it, which few ever do."""
FUNCTION_LINES_MAX = 60
README_LINES_MAX = 150

FORBIDDEN_FILE_NAMES = {"utils", "helpers", "common", "manager", "service", "misc"}
DISGUISE = re.compile(
    r"claude-cli/\d|x-anthropic-billing|codex_cli_rs/|GeminiCLI[-/]|claude-code-20\d\d|oauth-20\d\d-|You are Claude C"
)
"""Another client's identity: its User-Agent, billing line, beta list, system prompt."""
UNFINISHED = re.compile(r"NotImplementedError|\b(TODO|FIXME|XXX)\b")
MACHINE_PATH = re.compile(r"(^|[^a-zA-Z0-9_.])/(work|farm)/|/root/\.pyenv")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_there_are_sources() -> None:
    assert len(SOURCES) > 30


@pytest.mark.parametrize("path", SOURCES, ids=relative)
class TestSource:
    def test_a_file_fits_a_head(self, path: Path) -> None:
        assert len(path.read_text().splitlines()) <= FILE_LINES_MAX

    def test_a_function_fits_the_screen(self, path: Path) -> None:
        tree = ast.parse(path.read_text())
        spans = {f.name: (f.end_lineno or f.lineno) - f.lineno + 1 for f in functions(tree)}
        assert {name: lines for name, lines in spans.items() if lines > FUNCTION_LINES_MAX} == {}

    def test_it_says_what_it_is(self, path: Path) -> None:
        assert ast.get_docstring(ast.parse(path.read_text())), "a module starts with a sentence"

    def test_nothing_is_imported_inside_a_function(self, path: Path) -> None:
        tree = ast.parse(path.read_text())
        nodes = [node for function in functions(tree) for node in ast.walk(function)]
        inner = [node.lineno for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        assert inner == [] or relative(path) in LOADED_LATE

    def test_its_name_is_a_noun(self, path: Path) -> None:
        assert path.stem not in FORBIDDEN_FILE_NAMES

    def test_it_imitates_nobody(self, path: Path) -> None:
        assert DISGUISE.search(path.read_text()) is None

    def test_it_is_finished(self, path: Path) -> None:
        assert UNFINISHED.search(path.read_text()) is None

    def test_no_path_of_a_machine(self, path: Path) -> None:
        assert MACHINE_PATH.search(path.read_text()) is None


def test_every_exception_is_caught_where_a_request_or_the_process_ends_only() -> None:
    catchers = {
        relative(path)
        for path in SOURCES
        if re.search(r"^\s*except (Base)?Exception\b", path.read_text(), re.MULTILINE)
    }
    assert catchers <= {"proxy/server/handle.py", "proxy/server/express.py", "proxy/__main__.py"}


def test_tests_mirror_the_tree() -> None:
    """Each test file under tests/{proxy,auth,management} is named after a source file."""
    known = {relative(path) for path in SOURCES}
    strays = []
    for package in PACKAGES:
        for test in (ROOT / "tests" / package).rglob("test_*.py"):
            mirrored = test.relative_to(ROOT / "tests").with_name(test.name.removeprefix("test_"))
            as_package = mirrored.with_suffix("") / "__init__.py"
            if str(mirrored) not in known and str(as_package) not in known:
                strays.append(relative(test))
    assert strays == []


def test_the_readme_is_short() -> None:
    readme = ROOT / "README.md"
    assert len(readme.read_text().splitlines()) <= README_LINES_MAX
