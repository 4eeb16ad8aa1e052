"""A real Chromium in front of the real server. ``make test-browser`` runs these."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from playwright.async_api import Browser, Page, async_playwright, expect

from management import key_ring
from tests.management.conftest import KEY, Stage, opened

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
collect_ignore_glob = [] if CHROMIUM else ["test_*.py"]
SECONDS_MAX = 120
"""Of whatever is waited for, on a machine that has ten times as much to do as it can."""
expect.set_options(timeout=SECONDS_MAX * 1000)
REBOUND = "rebound.example"
"""A name of the attacker's that leads to this machine."""
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1",
)  # fmt: skip


@dataclass
class Tab:
    """A page, and everything that it complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.context.set_default_timeout(SECONDS_MAX * 1000)
        self.page.on("console", lambda told: self.complaints.append(told.text) if told.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*_FLAGS])
        yield browser
        await browser.close()


@pytest.fixture
async def tab(browser: Browser) -> Tab:
    tab = Tab(await browser.new_page())
    tab.listen()
    return tab


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """In the sandbox, with its key as a real hash."""
    monkeypatch.delenv("MANAGEMENT_PASSWORD", raising=False)
    stored = key_ring.hashed(KEY, 4)
    text = f"auth-dir: {tmp_path / 'accounts'}\nremote-management:\n  secret-key: '{stored}'\n"
    async with opened(tmp_path, text) as stage:
        yield stage


@pytest.fixture
async def elsewhere() -> AsyncIterator[Callable[[str], str]]:
    """Another site: gives the address of a page with that markup. It knows nothing but addresses."""
    pages: dict[str, str] = {}

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=pages.get(request.path, ""), content_type="text/html")

    async with RawTestServer(answer) as server:

        def at(markup: str) -> str:
            path = f"/{len(pages)}"
            pages[path] = markup
            return str(server.make_url(path))

        yield at


async def signed_in(tab: Tab, stage: Any) -> Page:
    page = tab.page
    await page.goto(f"{stage.url}/management.html")
    await page.fill("input[name=key]", KEY)
    await page.click("button[type=submit]")
    await page.wait_for_selector("nav")
    return page


async def view(page: Page, name: str) -> None:
    await page.click(f'nav a[href="#{name}"]')
    await page.wait_for_selector(f'nav a[href="#{name}"][aria-current]')
    await page.wait_for_selector("main section")
