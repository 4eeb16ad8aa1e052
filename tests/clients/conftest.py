"""The stage on which one CLI plays, new for each test, and nobody leaves it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest

from proxy.upstream.replay_server import ReplayServer
from tests.clients.outside import Outside
from tests.clients.stage import MODULES, Stage
from tests.clients.tap import Tap
from tests.clients.upstream import Upstream

LOG_CHARACTERS_SHOWN = 8000
collect_ignore_glob = [] if (MODULES / ".installed").exists() else ["test_*.py"]
"""``make test-clients`` installs the CLIs."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what the proxy had to say."""
    report = yield
    stage = getattr(item, "funcargs", {}).get("stage")
    log = stage.folder / "log" if stage is not None else None
    if report.failed and log is not None and log.exists():
        report.sections.append(("the proxy's log", log.read_text()[-LOG_CHARACTERS_SHOWN:]))
    return report


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Open it with the accounts that the test needs."""
    upstream = Upstream()
    async with ReplayServer(upstream, pace=0) as server, Outside() as outside, Tap() as tap:
        stage = Stage(folder=tmp_path, server=server, upstream=upstream, outside=outside, tap=tap)
        try:
            yield stage
        finally:
            await stage.close()
        allowed = re.compile(f"CONNECT ({'|'.join(stage.outsiders)}):443 HTTP/1.1")
        assert [line for line in outside.asked if not allowed.fullmatch(line)] == [], "a CLI asked for somebody else"
        assert upstream.unknown == [], "the proxy asked an upstream for something that no provider has"
