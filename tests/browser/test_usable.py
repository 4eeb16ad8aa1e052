"""The panel for everybody: by keyboard alone, on a telephone, in the dark, with nothing, little or much to show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Tab, signed_in, view
from tests.management.conftest import KEY, opened

VIEWS = ("overview", "accounts", "logins", "usage", "why", "keys", "logs", "settings")

FAULTS = """() => {
  const told = [];
  const isSeen = (each) => each.checkVisibility({ visibilityProperty: true }) && each.getClientRects().length > 0;
  const all = [...document.querySelectorAll("body *")].filter(isSeen);
  const brief = (each) => each.outerHTML.slice(0, 120);

  // Every control has a name, and is no smaller than a finger finds.
  const named = (each) => each.ariaLabel || [...each.labels ?? []].map((label) => label.innerText).join("").trim()
    || each.innerText?.trim() || each.title;
  for (const each of all.filter((each) => each.matches("a[href], button, input, select, textarea, summary"))) {
    if (!named(each)) told.push(`has no name: ${brief(each)}`);
    const box = each.getBoundingClientRect();
    const isInText = getComputedStyle(each).display === "inline" || each.matches("summary, [type=checkbox]");
    if (!isInText && (box.width < 24 || box.height < 24)) told.push(`is ${box.width} by ${box.height}: ${brief(each)}`);
  }
  for (const each of all.filter((each) => each.matches("meter, svg[role=img], pre[tabindex], nav, main")))
    if (!each.ariaLabel) told.push(`has no name: ${brief(each)}`);

  // Text stands out from what is behind it: 4.5 to 1, large text 3 to 1; the edge of a field 3 to 1.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = rgba(colour).map((each) => linear(each / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (each) => {
    for (let at = each; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (rgba(colour)[3] === 255) return colour;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  for (const each of all) {
    const style = getComputedStyle(each);
    const hasText = [...each.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    const isOff = each.closest(":disabled, [aria-disabled=true]");
    if (hasText && !isOff && !each.closest("svg, option")) {
      const size = parseFloat(style.fontSize);
      const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
      const found = contrast(style.color, ground(each));
      if (found < (isLarge ? 3 : 4.5)) told.push(`${found.toFixed(2)} to 1: ${brief(each)}`);
    }
    if (each.matches("input:not([type=checkbox]), select, textarea")) {
      const found = contrast(style.borderTopColor, ground(each.parentElement));
      if (found < 3) told.push(`its edge is ${found.toFixed(2)} to 1: ${brief(each)}`);
      const words = contrast(getComputedStyle(each, "::placeholder").color, ground(each));
      if (each.placeholder && words < 4.5) told.push(`its placeholder is ${words.toFixed(2)} to 1: ${brief(each)}`);
    }
  }

  // What holds the page together.
  const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
  if (new Set(ids).size < ids.length) told.push(`ids twice: ${ids}`);
  if (!document.documentElement.lang) told.push("has no language");
  if (document.querySelectorAll("main").length !== 1) told.push("has not one main");
  if (document.querySelectorAll("h1").length !== 1) told.push("has not one h1");
  if (document.documentElement.scrollWidth > innerWidth) told.push(`is ${document.documentElement.scrollWidth} wide`);
  if (document.querySelector("[tabindex]:not([tabindex='0'], [tabindex='-1'])")) told.push("has an order of its own");
  return told;
}"""

FOCUSED = """() => {
  const each = document.activeElement;
  const style = getComputedStyle(each);
  const box = each.getBoundingClientRect();
  return {
    at: [...document.querySelectorAll("*")].indexOf(each), tag: each.tagName,
    spoken: each.ariaLabel ?? each.labels?.[0]?.innerText ?? each.innerText ?? "",
    ring: each.matches(":focus-visible") ? parseFloat(style.outlineWidth) : 0,
    isSeen: box.bottom > 0 && box.top < innerHeight,
  };
}"""


async def add_accounts(stage: Any, count: int) -> None:
    stage.accounts.mkdir(mode=0o700, exist_ok=True)
    for number in range(count):
        path = stage.accounts / f"claude-{number:03}.json"
        account = {"type": "claude-api-key", "api-key": f"sk-ant-{number:040}", "label": f"team-{number:03}"}
        path.write_bytes(msgspec.json.encode({**account, "note": "of some department with a rather long name"}))
        path.chmod(0o600)
    broken = stage.accounts / "broken.json"
    broken.write_text('{"type": "nonsense"}')
    broken.chmod(0o600)
    await stage.house.enrolment.look()
    for number in range(12):
        await stage.chat(("sandbox-gpt", "sandbox-claude", "there-is-none")[number % 3])
    key = {"name": "laptop", "requests-per-minute": 60, "budgets": [{"per": "month", "tokens": 1000}]}
    assert (await stage.ask("POST", "/client-keys", key)).status == 200


@pytest.mark.parametrize("accounts", [0, 3, 500])
async def test_every_view_is_sound_in_light_and_dark_wide_and_narrow(
    browser: Browser, stage: Any, accounts: int
) -> None:
    if accounts:
        await add_accounts(stage, accounts)
    for width, scheme in ((360, "light"), (360, "dark"), (1280, "light"), (1280, "dark")):
        context = await browser.new_context(viewport={"width": width, "height": 740}, color_scheme=scheme)  # type: ignore[arg-type]
        tab = Tab(await context.new_page())
        tab.listen()
        page = await signed_in(tab, stage)
        for name in VIEWS:
            await view(page, name)
            await expect(page.locator("main[aria-busy]")).to_have_count(0)
            assert await page.evaluate(FAULTS) == [], (name, width, scheme)
        assert tab.complaints == []
        await context.close()


async def test_every_control_is_reached_by_the_tab_key_in_its_order_and_seen(tab: Tab, stage: Any) -> None:
    await add_accounts(stage, 3)
    page = await signed_in(tab, stage)
    for name in VIEWS:
        await view(page, name)
        await expect(page.locator("main[aria-busy]")).to_have_count(0)
        wanted = await page.evaluate(
            """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
                .filter((each) => !each.disabled && each.checkVisibility() && each.getClientRects().length).length"""
        )
        await to_the_top(page)
        order = []
        for _ in range(wanted):
            await page.keyboard.press("Tab")
            found = await page.evaluate(FOCUSED)
            assert found["ring"] >= 2, (name, found)
            assert found["isSeen"], (name, found)
            order.append(found["at"])
        assert order == sorted(set(order)), f"{name}: once each, from the top to the bottom"


async def test_a_day_s_work_without_a_mouse(tab: Tab, stage: Any) -> None:
    page = tab.page
    await page.goto(f"{stage.url}/management.html")
    await page.keyboard.type(KEY)  # the field has the keyboard
    await page.keyboard.press("Enter")
    await page.wait_for_selector("nav")
    await go(page, "Accounts")
    await tab_to(page, "Key")
    await page.keyboard.type("sk-ant-by-keyboard")
    await page.keyboard.press("Tab")
    await page.keyboard.type("typed")
    await page.keyboard.press("Enter")
    row = page.locator("tr", has_text="typed")
    await expect(row).to_contain_text("ready")
    await row.get_by_role("button", name="Edit").focus()
    await page.keyboard.press("Enter")
    await expect(row.get_by_label("Label")).to_be_focused()
    await tab_to(page, "Cancel")
    await page.keyboard.press("Enter")
    await expect(row.get_by_role("button", name="Edit")).to_be_focused()
    await row.get_by_role("button", name="Disable").focus()
    await page.keyboard.press("Enter")
    await expect(row).to_contain_text("disabled")
    await expect(row.get_by_role("button", name="Enable")).to_be_visible()
    assert (await page.evaluate(FOCUSED))["tag"] in {"BUTTON", "INPUT"}, "what is drawn anew keeps the keyboard"
    await go(page, "Why")
    await tab_to(page, "Ask")
    await page.keyboard.press("Enter")
    await expect(page.locator("section").first).to_contain_text("ready: not its turn")
    await expect(page.get_by_role("button", name="Ask").first).to_be_focused()


async def go(page: Page, name: str) -> None:
    await to_the_top(page)
    await tab_to(page, name)
    await page.keyboard.press("Enter")
    await page.wait_for_selector(f'nav a[aria-current]:text-is("{name}")')
    await page.wait_for_selector("main:not([aria-busy]) section")


async def to_the_top(page: Page) -> None:
    """As a page is when it has just been opened."""
    await page.evaluate("""() => {
        const title = document.querySelector("h1");
        title.tabIndex = -1;
        title.focus();
        title.removeAttribute("tabindex");
    }""")


async def tab_to(page: Page, name: str) -> None:
    for _ in range(200):
        await page.keyboard.press("Tab")
        if (await page.evaluate(FOCUSED))["spoken"].strip() == name:
            return
    pytest.fail(f"the tab key does not lead to {name}")


async def test_a_server_that_is_gone_is_told_of_and_looked_for_again(tab: Tab, stage: Any) -> None:
    page = await signed_in(tab, stage)
    await page.route("**/v0/management/**", lambda route: route.abort())
    await page.click('nav a[href="#usage"]')
    await expect(page.get_by_role("alert")).to_have_text("The server does not answer.")
    await page.unroute("**/v0/management/**")
    await page.get_by_role("button", name="Load again").click()
    await expect(page.locator("main")).to_contain_text("First byte")


async def test_what_is_opened_stays_open_while_requests_come(tab: Tab, stage: Any) -> None:
    await stage.chat()
    page = await signed_in(tab, stage)
    await view(page, "why")
    await page.locator("details summary").first.click()
    before = await page.locator("details").count()
    await stage.chat("sandbox-claude")
    await expect(page.locator("details")).to_have_count(before + 1)
    await expect(page.locator("details[open]")).to_have_count(1)
    await expect(page.locator("details").first).to_contain_text("sandbox-claude")


async def test_the_panel_s_own_requests_do_not_fill_its_log(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANAGEMENT_PASSWORD", KEY)
    async with opened(tmp_path, f"auth-dir: {tmp_path / 'accounts'}\nlogging-to-file: true\n") as stage:
        await stage.chat()
        tab = Tab(await browser.new_page())
        tab.listen()
        page = await signed_in(tab, stage)
        await view(page, "logs")
        log = page.get_by_role("log")
        await expect(log).to_contain_text("route=/v1/chat/completions")
        await expect(log).not_to_contain_text("route=/v0/management")
        await page.get_by_label("also of this panel and the API").check()
        await expect(log).to_contain_text("route=/v0/management")
        await page.get_by_label("Filter").fill("chat/completions")
        await expect(log).to_have_text(re.compile(r"^\S+ info request\.finished[^\n]*$"))
    stage.house.shelf.outbox._stream.close()  # which the end of a process does
