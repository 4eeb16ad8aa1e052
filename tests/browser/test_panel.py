"""The panel, as a person uses it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec
from playwright.async_api import Page, expect

from tests.browser.conftest import Tab, signed_in, view
from tests.management.conftest import KEY

HOSTILE = '<img src=x onerror="window.taken=1"><script>window.taken=1</script>"\'&lt;'


async def accept(page: Page) -> None:
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))


async def test_every_view_opens_without_a_complaint(tab: Tab, stage: Any) -> None:
    page = await signed_in(tab, stage)
    for name in ("overview", "accounts", "logins", "usage", "why", "keys", "logs", "settings"):
        await view(page, name)
    assert tab.complaints == []


async def test_a_wrong_key_is_told_and_the_right_one_opens(tab: Tab, stage: Any) -> None:
    page = tab.page
    await page.goto(f"{stage.url}/management.html")
    await page.fill("input[name=key]", "wrong")
    await page.click("button[type=submit]")
    await expect(page.get_by_role("alert")).to_have_text("invalid management key")
    await page.fill("input[name=key]", KEY)
    await page.click("button[type=submit]")
    await page.wait_for_selector("nav")


async def test_the_key_is_in_no_storage_and_gone_with_the_page(tab: Tab, stage: Any) -> None:
    page = await signed_in(tab, stage)
    kept = await page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
    )
    assert KEY not in kept
    await page.reload()
    await page.wait_for_selector("input[name=key]")


async def test_a_message_is_sent_and_seen_as_it_happens(tab: Tab, stage: Any) -> None:
    page = await signed_in(tab, stage)
    await page.fill("input[name=text]", "Hello from the panel")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("main pre")).to_contain_text("Hello from the panel")
    await expect(page.locator("main")).to_contain_text("x-proxy-decision")
    await stage.chat()
    await expect(page.locator("section").last).to_contain_text("sandbox-gpt")


async def test_an_account_is_added_changed_disabled_and_deleted(tab: Tab, stage: Any) -> None:
    page = await signed_in(tab, stage)
    await accept(page)
    await view(page, "accounts")
    form = page.locator("form.fields").last
    await form.locator("input[name=secret]").fill("sk-ant-a-key-of-the-panel")
    await form.locator("input[name=label]").fill("my account")
    await form.get_by_role("button", name="Save").click()
    row = page.locator("tr", has_text="my account")
    await expect(row).to_contain_text("ready")
    (path,) = stage.accounts.glob("*.json")
    assert msgspec.json.decode(path.read_bytes())["api-key"] == "sk-ant-a-key-of-the-panel"
    await row.get_by_role("button", name="Edit").click()
    await row.locator("input[name=priority]").fill("5")
    await row.get_by_role("button", name="Save").click()
    await expect(row.locator("form")).to_have_count(0)
    assert msgspec.json.decode(path.read_bytes())["priority"] == 5
    await row.get_by_role("button", name="Disable").click()
    await expect(row).to_contain_text("disabled")
    await row.get_by_role("button", name="Delete").click()
    await expect(row).to_have_count(0)
    assert not path.exists()
    assert "sk-ant-a-key-of-the-panel" not in await page.content()


async def test_the_configuration_is_edited_and_its_faults_are_told(tab: Tab, stage: Any) -> None:
    page = await signed_in(tab, stage)
    await view(page, "settings")
    text = page.get_by_label("config.yaml")
    good = await text.input_value()
    assert "•••" in good
    before = stage.config.read_bytes()
    await text.fill(good + "request-retry: many\n")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".bad").first).to_contain_text("request-retry must be a whole number")
    assert stage.config.read_bytes() == before
    await text.fill(good + "# mine\nrequest-retry: 2\n")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status")).to_have_text("Saved, and in force.")
    assert stage.house.config.request_retry == 2
    assert b"# mine" in stage.config.read_bytes()
    assert b"\xe2\x80\xa2" not in stage.config.read_bytes(), "a mask stands for its secret"


async def test_a_file_that_somebody_else_changed_is_not_overwritten(tab: Tab, stage: Any) -> None:
    page = await signed_in(tab, stage)
    await view(page, "settings")
    theirs = stage.config.read_text() + "request-retry: 1\n"
    stage.config.write_text(theirs)
    text = page.get_by_label("config.yaml")
    await text.fill(await text.input_value() + "request-retry: 2\n")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("changed by somebody else")
    assert stage.config.read_text() == theirs


async def test_a_client_key_is_made_shown_once_and_deleted(tab: Tab, stage: Any) -> None:
    page = await signed_in(tab, stage)
    await accept(page)
    await view(page, "keys")
    await page.fill("input[name=name]", "laptop")
    await page.get_by_role("button", name="Make a new key").click()
    shown = await page.locator("main .message code").text_content()
    assert shown is not None
    assert re.fullmatch(r"pk-[\w-]{43}", shown)
    assert (await stage.chat(Authorization=f"Bearer {shown}")).status == 200
    assert (await stage.chat(Authorization="Bearer another")).status == 401
    row = page.locator("tr", has_text="laptop")
    await view(page, "overview")
    await view(page, "keys")
    await expect(row).to_be_visible()
    assert shown not in await page.content()
    await row.get_by_role("button", name="Delete").click()
    await expect(row).to_have_count(0)


async def test_why_this_account(tab: Tab, stage: Any) -> None:
    page = await signed_in(tab, stage)
    await view(page, "why")
    await page.get_by_label("Body of a request").fill('{"model": "sandbox-gpt"}')
    await page.get_by_role("button", name="Ask").first.click()
    await expect(page.locator("section").first).to_contain_text("ready: not its turn")
    await stage.chat(X_Request_ID="asked-for-1")
    await expect(page.locator("details").first).to_contain_text("sandbox-gpt")
    await page.get_by_label("Request id").fill("asked-for-1")
    await page.get_by_role("button", name="Ask").nth(1).click()
    by_id = page.locator("section").nth(1)
    await expect(by_id).to_contain_text("chosen by round-robin")
    await expect(by_id.locator("table").last).to_contain_text("200")


async def test_what_a_client_key_would_be_told(tab: Tab, stage: Any) -> None:
    await stage.ask("POST", "/client-keys", {"name": "laptop", "networks": ["10.0.0.0/8"]})
    page = await signed_in(tab, stage)
    await view(page, "why")
    await page.get_by_label("Body of a request").fill('{"model": "sandbox-gpt"}')
    await page.get_by_label("Client keys").select_option("laptop")
    await page.get_by_label("From the address").fill("192.0.2.7")
    await page.get_by_role("button", name="Ask").first.click()
    first = page.locator("section").first
    await expect(first).to_contain_text("403 this client key may not be used from 192.0.2.7")
    await page.get_by_label("From the address").fill("10.0.0.7")
    await page.get_by_role("button", name="Ask").first.click()
    await expect(first).to_contain_text("ready: not its turn")
    assert tab.complaints == []


async def test_T29_what_an_account_is_called_stays_text(tab: Tab, stage: Any) -> None:
    stage.accounts.mkdir(mode=0o700, exist_ok=True)
    (stage.accounts / "hostile.json").write_bytes(
        msgspec.json.encode({"type": "claude-api-key", "api-key": "sk-ant-x", "label": HOSTILE, "note": HOSTILE})
    )
    (stage.accounts / "broken.json").write_text('{"type": "' + HOSTILE.replace('"', "'") + '"}')
    for path in stage.accounts.glob("*.json"):
        path.chmod(0o600)
    await stage.ask("POST", "/reload")
    await stage.house.enrolment.look()
    await stage.chat(model=HOSTILE, **{"x-session-id": "s"})
    page = await signed_in(tab, stage)
    for name in ("overview", "accounts", "usage", "why", "logs"):
        await view(page, name)
        if name == "accounts":
            await expect(page.locator("b", has_text="<img").first).to_be_visible()
    assert await page.evaluate("window.taken") is None
    assert tab.complaints == [], "the policy had nothing to stop"


async def test_T29_the_policy_holds_even_where_our_code_would_not(tab: Tab, stage: Any) -> None:
    page = await signed_in(tab, stage)
    stopped = await page.evaluate(
        """async () => {
            const told = [];
            document.addEventListener("securitypolicyviolation", (event) => told.push(event.effectiveDirective));
            try { document.body.innerHTML = "<b>x</b>"; } catch { told.push("markup refused"); }
            const script = document.createElement("script");
            try { script.text = "window.taken = 1"; document.body.append(script); }
            catch { told.push("script refused"); }
            await fetch("https://example.com/").catch(() => told.push("fetch refused"));
            return [told, window.taken ?? null];
        }"""
    )
    told, taken = stopped
    assert taken is None
    assert {"markup refused", "fetch refused"} <= set(told)


async def test_T29_no_other_page_frames_it(tab: Tab, stage: Any, elsewhere: Any) -> None:
    async with tab.page.expect_event("requestfailed") as failed:
        await tab.page.goto(elsewhere(f'<iframe src="{stage.url}/management.html"></iframe>'))
    assert (await failed.value).url == f"{stage.url}/management.html"
    frame = tab.page.frames[-1]
    assert await frame.locator("input[name=key]").count() == 0


async def test_the_panel_is_small_and_all_ours() -> None:
    folder = Path(__file__).parents[2] / "management" / "panel"
    files = [path for path in folder.iterdir() if path.suffix in {".js", ".css", ".html"}]
    assert sum(path.stat().st_size for path in files) < 200_000
    for path in files:
        text = re.sub(r'placeholder: "[^"]*"', "", path.read_text())
        addresses = re.findall(r"https?://[\w.]+", text)
        assert set(addresses) <= {"http://www.w3.org"}, path


async def test_hundreds_of_accounts_come_in_pages_and_are_changed_together(tab: Tab, stage: Any) -> None:
    stage.accounts.mkdir(mode=0o700, exist_ok=True)
    for number in range(500):
        path = stage.accounts / f"claude-{number:03}.json"
        account = {"type": "claude-api-key", "api-key": f"sk-ant-{number:040}", "label": f"team-{number:03}"}
        path.write_bytes(msgspec.json.encode(account))
        path.chmod(0o600)
    await stage.house.enrolment.look()
    page = await signed_in(tab, stage)
    await accept(page)
    await view(page, "accounts")
    rows = page.locator("main table tbody tr")
    await expect(rows).to_have_count(50)
    await expect(page.get_by_text(re.compile(r"1–50 of 50\d"))).to_be_visible()
    await page.get_by_role("button", name="More").click()
    await expect(page.get_by_text(re.compile(r"51–100 of 50\d"))).to_be_visible()
    await page.get_by_role("searchbox", name="Filter").fill("team-12")
    await expect(rows).to_have_count(10)
    await page.get_by_role("checkbox", name="team-121").check()
    await page.get_by_role("checkbox", name="team-122").check()
    await page.locator(".bulk").get_by_role("button", name="Disable").click()
    await expect(page.get_by_role("status")).to_have_text("Done with 2 of 2.")
    await expect(page.locator("tr", has_text="team-121")).to_contain_text("disabled")
    await expect(page.locator("tr", has_text="team-123")).to_contain_text("ready")
    await page.get_by_role("checkbox", name="all 10").check()
    await page.locator(".bulk").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("Done with 10 of 10.")).to_be_visible()
    assert len([*stage.accounts.glob("*.json")]) == 490
    assert tab.complaints == []


async def test_a_client_key_has_terms_that_change_and_another_secret(tab: Tab, stage: Any) -> None:
    page = await signed_in(tab, stage)
    await accept(page)
    await view(page, "keys")
    await page.fill("input[name=name]", "laptop")
    await page.fill("input[name=requests-per-minute]", "60")
    await page.fill("input[name=models]", "sandbox-gpt, sandbox-c*")
    await page.fill("input[name=tokens]", "1000000")
    await page.get_by_role("button", name="Make a new key").click()
    first = await page.locator("main .message code").text_content()
    row = page.locator("tr", has_text="laptop")
    await expect(row).to_contain_text("requests a minute: 60")
    await expect(row).to_contain_text("0 / 1,000,000")
    await row.get_by_role("button", name="Edit").click()
    await row.locator("input[name=requests-per-minute]").fill("")
    await row.locator("input[name=concurrency]").fill("3")
    await row.get_by_role("button", name="Save").click()
    await expect(row).to_contain_text("Requests at a time: 3")
    (key,) = (await stage.get("/client-keys"))["client-keys"]
    assert (key["models"], key["limits"]["requests-per-minute"]) == (["sandbox-gpt", "sandbox-c*"], 0)
    assert key["budgets"][0]["tokens"] == 1_000_000
    await row.get_by_role("button", name="New secret").click()
    await expect(page.locator("main .message code")).not_to_have_text(str(first))
    second = await page.locator("main .message code").text_content()
    assert (await stage.chat(Authorization=f"Bearer {first}")).status == 401
    assert (await stage.chat(Authorization=f"Bearer {second}")).status == 200
    await row.get_by_role("button", name="Usage").click()
    await expect(row.locator("table")).to_contain_text("sandbox-gpt")
    assert tab.complaints == []
