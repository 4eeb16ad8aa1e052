"""A login through a client of one's own, clicked through: our panel and the provider's own pages in a real Chromium."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.async_api import Page, async_playwright, expect

from management import key_ring
from tests.management.conftest import KEY, opened
from tests.oidc.conftest import CONFIDENTIAL, SECONDS_MAX, Provider

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="`make test-clients` installs it")
expect.set_options(timeout=SECONDS_MAX * 1000)


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.delenv("MANAGEMENT_PASSWORD", raising=False)
    stored = key_ring.hashed(KEY, 4)
    text = f"auth-dir: {tmp_path / 'accounts'}\nremote-management:\n  secret-key: '{stored}'\n"
    async with opened(tmp_path, text) as stage:
        yield stage


@pytest.fixture
async def page(stage: Any) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page(locale="en-GB")
        page.context.set_default_timeout(SECONDS_MAX * 1000)
        await page.goto(f"{stage.url}/management.html")
        await page.fill("input[name=key]", KEY)
        await page.click("button[type=submit]")
        await page.click('nav a[href="#logins"]')
        yield page
        await browser.close()


async def fill_in(page: Page, provider: Provider, *, device: bool) -> None:
    form = page.locator("form").filter(has=page.locator("input[name=issuer]"))
    fields = {
        "issuer": provider.issuer, "client-id": "confidential", "client-secret": CONFIDENTIAL, "provider": "gate",
        "base-url": "http://127.0.0.1:1/v1",
    }  # fmt: skip
    for name, value in fields.items():
        await form.locator(f"input[name={name}]").fill(value)
    await form.locator("input[name=device]").set_checked(device)
    await form.get_by_role("button", name="Log in").click()


async def sign_in(page: Page, *, code: str = "") -> None:
    """On the provider's pages."""
    async with page.expect_popup() as opened:
        await page.get_by_role("link", name="Open the provider's page").first.click()
    there = await opened.value
    if code:
        await there.locator("input[name=user_code]").fill(code)
        await there.get_by_role("button", name="Continue").click()
        await expect(there.locator("body")).to_contain_text(code)  # is it this one?
        await there.get_by_role("button", name="Continue").click()
    await there.locator("input[name=login]").fill("ada")
    await there.locator("input[name=password]").fill("any")
    await there.get_by_role("button", name="Sign-in").click()
    await there.get_by_role("button", name="Continue").click()


@pytest.mark.parametrize("device", [False, True])
async def test_clicked_through_until_the_account_is_there(
    page: Page, stage: Any, provider: Provider, device: bool
) -> None:
    await fill_in(page, provider, device=device)
    card = page.locator(".card").first
    await sign_in(page, code=await card.locator(".code").inner_text() if device else "")
    await expect(card).to_contain_text("Logged in: ada@example.com")
    ((path),) = stage.accounts.glob("*.json")
    saved = msgspec.json.decode(path.read_bytes())
    assert (saved["type"], saved["issuer"], saved["email"]) == ("oidc", provider.issuer, "ada@example.com")
    await page.click('nav a[href="#accounts"]')
    await expect(page.locator("tr", has_text="ada@example.com")).to_contain_text("ready")
    assert CONFIDENTIAL not in await page.content()


async def test_what_was_filled_in_wrong_is_told(page: Page, stage: Any, provider: Provider) -> None:
    form = page.locator("form").filter(has=page.locator("input[name=issuer]"))
    for name, value in {"issuer": provider.issuer, "client-id": "public", "provider": "gate"}.items():
        await form.locator(f"input[name={name}]").fill(value)
    await form.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_contain_text("base-url is needed")
    assert not list(stage.accounts.glob("*.json"))
