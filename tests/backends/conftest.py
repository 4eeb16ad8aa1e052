"""A backend, accounts whose CLIs ask it, and a server in front of them: new for each test, and nobody leaves it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.backends.stage import SECONDS_MAX, STAGES, Stage

MODULES = Path(os.environ.get("PROXY_CLIENT_MODULES", Path(__file__).parents[1] / "clients" / "node_modules"))
LOG_CHARACTERS_SHOWN = 8000
collect_ignore_glob = [] if (MODULES / ".installed").exists() else ["test_*.py"]
"""``make test-clients`` installs the CLIs."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what the proxy had to say."""
    report = yield
    arguments = getattr(item, "funcargs", {})
    stages = [arguments[name] for name in ("stage", *STAGES) if name in arguments]
    stages += [stage for stage, _ in getattr(arguments.get("enter"), "stages", {}).values()]
    for log in (stage.folder / "log" for stage in stages):
        if report.failed and log.exists():
            report.sections.append((f"the proxy's log, {log}", log.read_text()[-LOG_CHARACTERS_SHOWN:]))
    return report


@pytest.fixture
async def codex(tmp_path: Path) -> AsyncIterator[Stage]:
    """Two accounts; the first is asked first."""
    async with played("codex", tmp_path) as stage:
        yield stage


@pytest.fixture
async def claude(tmp_path: Path) -> AsyncIterator[Stage]:
    async with played("claude", tmp_path) as stage:
        yield stage


@pytest.fixture
async def gemini(tmp_path: Path) -> AsyncIterator[Stage]:
    async with played("gemini", tmp_path) as stage:
        yield stage


@pytest.fixture(params=[*STAGES])
async def stage(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """One of them after the other."""
    async with played(request.param, tmp_path) as stage:
        yield stage


@asynccontextmanager
async def played(name: str, folder: Path, **more: Any) -> AsyncIterator[Stage]:
    """`more`: of each account's file."""
    make_backend, make_stage = STAGES[name]
    async with make_backend(folder) as backend:
        stage = make_stage(folder=folder, backend=backend, modules=MODULES)
        try:
            await stage.open(more)
            yield stage
        finally:
            await stage.close()
        async with asyncio.timeout(SECONDS_MAX):
            while stage.processes():  # noqa: ASYNC110 - nobody tells us when a process is gone
                await asyncio.sleep(0.02)
        assert [*stage.leftovers()] == []
