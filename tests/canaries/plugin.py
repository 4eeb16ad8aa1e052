"""``python -m pytest -p tests.canaries.plugin``: whatever was ever a `Secret` in any test, or in a program that one
started, is looked for in everything that was let out: each line of the log at debug level, each error, the figures,
what commands print, and the files that our own code wrote and others may read, ``config.yaml`` among them. What is
found fails the run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.canaries.collector import VARIABLE, install
from tests.canaries.search import Notes, searched

_FOLDER = pytest.StashKey[str]()
_NOT_UNDER_IT = frozenset(
    {
        "test_debug_is_silent_unless_asked_for",
        "test_probes_do_not_fill_the_log",
        "test_T22_it_sees_its_account_and_nothing_else",
    }
)
"""They see that the log is at debug level, and that a program has one more file open: its notes."""
_HERE = str(Path(__file__).parent)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if VARIABLE not in os.environ:  # workers of xdist have it from whoever started them
        folder = config.stash[_FOLDER] = tempfile.mkdtemp(prefix="canaries-")
        os.environ[VARIABLE] = folder
        config.option.basetemp = str(Path(folder) / "tmp")  # which no later run of somebody's clears
    install(Path(os.environ[VARIABLE]))
    _follow_children()


def _follow_children() -> None:
    begin = subprocess.Popen.__init__

    def start(self: Any, command: Any, *more: Any, **named: Any) -> None:
        first = command[0] if isinstance(command, list | tuple) and command else ""
        if os.fsdecode(first) == sys.executable:
            ours = dict(os.environ if named.get("env") is None else named["env"])
            ours["PYTHONPATH"] = os.pathsep.join(filter(None, (_HERE, ours.get("PYTHONPATH", ""))))
            for name in (VARIABLE, "PYTEST_CURRENT_TEST"):
                if name in os.environ:
                    ours.setdefault(name, os.environ[name])
            named["env"] = ours
        begin(self, command, *more, **named)

    subprocess.Popen.__init__ = start  # type: ignore[method-assign, assignment]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if item.nodeid.rpartition("::")[2] in _NOT_UNDER_IT]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    folder = session.config.stash.get(_FOLDER, None)
    if folder is None:
        return
    notes = Notes.read(Path(folder))
    found = searched(notes)
    print(f"\n{len(notes.secrets)} secrets looked for in {len(notes.told)} texts: {len(found)} found")  # noqa: T201 - the report
    for each in found[:200]:
        print(f"  {each}")  # noqa: T201 - likewise
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    else:
        shutil.rmtree(folder)
