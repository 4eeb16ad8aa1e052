"""A backend, accounts whose CLIs ask it, and a server in front of them: new for each test, and nobody leaves it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.backends.claude_backend import ClaudeBackend
from tests.backends.codex_backend import CodexBackend
from tests.backends.gemini_backend import GeminiBackend
from tests.backends.stage import ClaudeStage, CodexStage, GeminiStage, Stage

MODULES = Path(os.environ.get("PROXY_CLIENT_MODULES", Path(__file__).parents[1] / "clients" / "node_modules"))
LOG_CHARACTERS_SHOWN = 8000
collect_ignore_glob = [] if (MODULES / ".installed").exists() else ["test_*.py"]
"""``make test-clients`` installs the CLIs."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what the proxy had to say."""
    report = yield
    arguments = getattr(item, "funcargs", {})
    stage = arguments.get("codex") or arguments.get("claude") or arguments.get("gemini")
    log = stage.folder / "log" if stage is not None else None
    if report.failed and log is not None and log.exists():
        report.sections.append(("the proxy's log", log.read_text()[-LOG_CHARACTERS_SHOWN:]))
    return report


@pytest.fixture
async def codex(tmp_path: Path) -> AsyncIterator[CodexStage]:
    """Two accounts; the first is asked first."""
    async with CodexBackend(tmp_path) as backend:
        stage = CodexStage(folder=tmp_path, backend=backend, modules=MODULES)
        async with _played(stage):
            yield stage


@pytest.fixture
async def claude(tmp_path: Path) -> AsyncIterator[ClaudeStage]:
    """Two accounts; the first is asked first."""
    async with ClaudeBackend(tmp_path) as backend:
        stage = ClaudeStage(folder=tmp_path, backend=backend, modules=MODULES)
        async with _played(stage):
            yield stage


@pytest.fixture
async def gemini(tmp_path: Path) -> AsyncIterator[GeminiStage]:
    """Two accounts; the first is asked first."""
    async with GeminiBackend(tmp_path) as backend:
        stage = GeminiStage(folder=tmp_path, backend=backend, modules=MODULES)
        async with _played(stage):
            yield stage


@asynccontextmanager
async def _played(stage: Stage) -> AsyncIterator[None]:
    try:
        await stage.open()
        yield
    finally:
        await stage.close()
    async with asyncio.timeout(10):
        while stage.processes():  # noqa: ASYNC110 - nobody tells us when a process is gone
            await asyncio.sleep(0.02)
    assert [*stage.leftovers()] == []
