"""Logins as a person clicks through them: the panel in a real Chromium, the real server, the real CLIs, and a page of
the vendor's in another tab.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from playwright.async_api import Locator, Page, async_playwright, expect

from auth.logins.table import LOGIN_KINDS
from tests.logins.conftest import House
from tests.logins.stage import MANAGEMENT_KEY, MODELS, SECONDS_MAX, Server, asks
from tests.logins.vendor import Vendor

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="`make test-clients` installs it")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
expect.set_options(timeout=SECONDS_MAX * 1000)


@dataclass(slots=True)
class Panel:
    page: Page
    server: Server
    house: House

    async def view(self, name: str) -> None:
        await self.page.click(f'nav a[href="#{name}"]')
        await self.page.wait_for_selector(f'nav a[href="#{name}"][aria-current]')

    async def begin(self, kind: str, **boxes: bool) -> Locator:
        """The card of the login that is under way."""
        await self.view("logins")
        heading = self.page.get_by_role("heading", name=LOGIN_KINDS[kind].cli.whose, exact=True)
        form = self.page.locator(".tiles > div").filter(has=heading).locator("form")
        for name, is_ticked in boxes.items():
            await form.locator(f"input[name={name}]").set_checked(is_ticked)
        await form.get_by_role("button", name="Log in").click()
        return self.page.locator(".card").filter(has=self.page.get_by_role("heading", name=kind, exact=True)).first

    async def open(self, card: Locator) -> Page:
        """The vendor's page, in a tab of its own."""
        async with self.page.expect_popup() as opened:
            await card.get_by_role("link", name="Open the provider's page").first.click()
        page = await opened.value
        page.set_default_timeout(SECONDS_MAX * 1000)
        await page.wait_for_load_state()
        return page

    async def shows_account(self, kind: str) -> None:
        """And it serves."""
        await self.view("accounts")
        row = self.page.locator("tr", has_text="ada@example.test")
        await expect(row).to_contain_text("ready")
        assert "Ahoy from the quay." in await asks(self.server, kind, 1)


@pytest.fixture
async def panel(house: House, server: Server, vendor: Vendor) -> AsyncIterator[Panel]:
    await server.start()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*FLAGS, f"--proxy-server={vendor.url}"]
        )
        context = await browser.new_context(ignore_https_errors=True, locale="en-GB")
        context.set_default_timeout(SECONDS_MAX * 1000)
        page = await context.new_page()
        await page.goto(f"{server.url}/management.html")
        await page.fill("input[name=key]", MANAGEMENT_KEY)
        await page.click("button[type=submit]")
        await page.wait_for_selector("nav")
        yield Panel(page, server, house)
        await browser.close()


@pytest.mark.parametrize("kind", MODELS)
async def test_clicked_through_until_the_account_is_there(panel: Panel, kind: str) -> None:
    card = await panel.begin(kind)
    page = await panel.open(card)
    await page.get_by_role("link", name="Allow").click()
    await expect(card).to_contain_text("Logged in: ada@example.test")
    await panel.shows_account(kind)
    await panel.view("logins")
    await panel.page.get_by_role("button", name="Log in again").click()
    again = panel.page.locator(".card").first
    page = await panel.open(again)
    await page.get_by_role("link", name="Allow").click()
    await expect(again).to_contain_text("Renewed: ada@example.test")
    assert len(panel.house.files) == len(panel.house.homes) == 1


async def test_a_browser_elsewhere_pastes_what_the_page_shows(panel: Panel) -> None:
    card = await panel.begin("claude-code", here=False)
    page = await panel.open(card)
    await page.get_by_role("link", name="Allow").click()
    code = await page.locator("code").inner_text()
    for text, words in (
        ("nonsense", "The state is missing"),
        (code.replace("#", "#x"), "That belongs to another login"),
        (code, "Logged in: ada@example.test"),
    ):
        await card.get_by_role("textbox").fill(text)
        await card.get_by_role("button", name="Send").click()
        await expect(card).to_contain_text(words)
    await panel.shows_account("claude-code")


async def test_by_device_code(panel: Panel) -> None:
    card = await panel.begin("codex", device=True)
    page = await panel.open(card)
    await page.get_by_label("Code").fill(await card.locator(".code").inner_text())
    await page.get_by_role("button", name="Continue").click()
    await expect(card).to_contain_text("Logged in: ada@example.test")
    await panel.shows_account("codex")


async def test_what_goes_wrong_is_told_on_its_card(panel: Panel, vendor: Vendor) -> None:
    """Declined, cancelled, a port that is taken, a code that the vendor refuses."""
    declined = await panel.begin("claude-code")
    page = await panel.open(declined)
    await page.get_by_role("link", name="Decline").click()
    await expect(declined).to_contain_text("consent was declined on Claude's page")
    cancelled = await panel.begin("codex")
    await expect(cancelled.get_by_role("link", name="Open the provider's page")).to_be_visible()
    late = await panel.begin("codex")
    await expect(late).to_contain_text(re.compile("port 1455 is taken by codex"))
    cancelled = panel.page.locator(".card").nth(1)
    await cancelled.get_by_role("button", name="Cancel").click()
    await expect(cancelled).to_contain_text("cancelled; nothing was changed")
    vendor.codes = {"another-code"}
    refused = await panel.begin("gemini-cli")
    page = await panel.open(refused)
    vendor.codes = set()
    await page.get_by_role("link", name="Allow").click()
    await expect(refused).to_contain_text("Google refused the code")
    assert (panel.house.files, panel.house.homes) == ({}, [])
