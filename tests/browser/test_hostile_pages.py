"""A web page of somebody else's, in the browser of whoever runs the server: it reads nothing, changes nothing, and
locks nobody out.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from auth.callback import Door, opened
from auth.flow import Answer, Ignored, LoginFlow, Visit
from auth.secret import Secret
from tests.browser.conftest import REBOUND, Tab
from tests.management.conftest import KEY
from tests.pace import slowness

ATTACKS = {
    "T04_plain_post": "fetch(at('/config.yaml'), {method: 'POST', mode: 'no-cors', body: 'debug: true'})",
    "T04_put_with_key": "fetch(at('/debug'), {method: 'PUT', headers: {'X-Management-Key': KEY, 'Content-Type': "
    "'application/json'}, body: '{\"value\": true}'})",
    "T04_text_plain": "fetch(at('/reload'), {method: 'POST', mode: 'no-cors', headers: {'Content-Type': 'text/plain'}, "
    "body: '{}'})",
    "T05_get_with_key": "fetch(at('/config'), {headers: {Authorization: 'Bearer ' + KEY}})",
    "T05_get_without": "fetch(at('/auth-files'))",
    "T05_credentials": "fetch(at('/auth-files'), {credentials: 'include'})",
    "T04_upload": '(() => {const f = new FormData(); f.append(\'file\', new Blob([\'{"type": "claude-api-key", '
    "\"api-key\": \"sk-ant-evil\"}']), 'evil.json'); return fetch(at('/auth-files'), {method: 'POST', mode: 'no-cors', "
    "body: f})})()",
    "T04_delete": "fetch(at('/auth-files?all=true'), {method: 'DELETE', headers: {Authorization: 'Bearer ' + KEY}})",
    "T04_beacon": "(navigator.sendBeacon(at('/reload'), '{}'), Promise.resolve(null))",
    "T05_event_source": "new Promise((done) => {const s = new EventSource(at('/events')); s.onmessage = (e) => "
    "done(e.data); s.onerror = () => {s.close(); done('')}})",
    "T05_web_socket": "new Promise((done) => {const s = new WebSocket(BASE.replace('http', 'ws') + '/v1/responses'); "
    "s.onopen = () => done('open'); s.onerror = () => done('')})",
    "T05_script": "new Promise((done) => {const s = document.createElement('script'); s.src = at('/openapi.json'); "
    "s.onload = () => done(''); s.onerror = () => done(''); document.head.append(s)})",
    "T05_image": "new Promise((done) => {const i = new Image(); i.onload = () => done('image'); i.onerror = () => "
    "done(''); i.src = at('/logs')})",
    "T04_login": "fetch(at('/codex-auth-url'), {mode: 'no-cors'})",
    "T25_callback": "fetch(at('/oauth-callback'), {method: 'POST', mode: 'no-cors', body: '{\"provider\": \"codex\", "
    '"code": "x", "state": "forged"}\'})',
    "T05_v1_chat": "fetch(BASE + '/v1/chat/completions', {method: 'POST', mode: 'no-cors', headers: {'Content-Type': "
    '\'text/plain\'}, body: \'{"model": "sandbox-gpt", "messages": [{"role": "user", "content": "x"}]}\'})',
    "T05_v1_models": "fetch(BASE + '/v1/models')",
    "T05_v1_health": "fetch(BASE + '/health')",
}
READ = """async (attack) => {
    try {
        const found = await eval(attack);
        if (found === null || typeof found === "string") return found ?? "";
        return found.type === "opaque" ? "" : await found.text();
    } catch (error) {
        return "";
    }
}"""


def armed(url: str) -> str:
    return f"<script>const BASE = '{url}', KEY = '{KEY}', at = (path) => BASE + '/v0/management' + path;</script>"


async def state_of(stage: Any) -> tuple[bytes, list[str], int]:
    served = await stage.get("/usage")
    return (
        stage.config.read_bytes(),
        sorted(path.name for path in stage.accounts.glob("*.json")),
        served["totals"]["requests"],
    )


@pytest.mark.parametrize("origin", ["another site", "null"])
async def test_T04_T05_a_page_reads_and_changes_nothing(tab: Tab, stage: Any, elsewhere: Any, origin: str) -> None:
    before = await state_of(stage)
    page, frame = tab.page, tab.page.main_frame
    if origin == "null":
        await page.goto(elsewhere("<body>"))
        await page.evaluate(
            "(markup) => new Promise((done) => {const f = document.createElement('iframe'); f.onload = () => done(); "
            "f.sandbox = 'allow-scripts'; f.srcdoc = markup; document.body.append(f)})",
            armed(stage.url),
        )
        frame = page.frames[-1]
    else:
        await page.goto(elsewhere(armed(stage.url)))
    read = {name: await frame.evaluate(READ, attack) for name, attack in ATTACKS.items()}
    assert {name: told for name, told in read.items() if told} == {}
    assert await state_of(stage) == before


async def test_T03_a_rebound_name_reaches_nothing(tab: Tab, stage: Any) -> None:
    """The attacker's own name leads here, so that the browser takes us for the attacker's own site."""
    port = stage.url.rpartition(":")[2]
    before = await state_of(stage)
    for path in ("/management.html", "/v0/management/config", "/v1/models", "/health", "/"):
        answer = await tab.page.goto(f"http://{REBOUND}:{port}{path}")
        assert answer is not None
        assert answer.status in {403, 404, 421}, path
        assert b"sandbox" not in await answer.body()
    read = await tab.page.evaluate(
        "(key) => fetch('/v0/management/config', {headers: {Authorization: 'Bearer ' + key}}).then((r) => r.status)",
        KEY,
    )
    assert read in {403, 421}
    assert await state_of(stage) == before


async def test_T06_a_thousand_keyless_hits_lock_nobody_out(tab: Tab, stage: Any, elsewhere: Any) -> None:
    await tab.page.goto(elsewhere(armed(stage.url)))
    await tab.page.evaluate(
        "async () => {for (let i = 0; i < 20; i++) await Promise.all(Array.from({length: 50}, () => "
        "fetch(at('/config'), {mode: 'no-cors'}).catch(() => 0)))}"
    )
    began = time.monotonic()
    answer = await stage.ask("GET", "/config")
    seconds = time.monotonic() - began
    assert (answer.status, seconds / slowness() < 1.0) == (200, True)


async def test_T25_a_page_cannot_end_or_finish_a_login(tab: Tab, elsewhere: Any) -> None:
    """By the port that the browser comes back to: with a forged state, with none, with an error, by the box."""
    state = "the-state-that-only-the-vendor-knows"
    flow = LoginFlow(whose="the vendor").offered(Visit("https://vendor.test/", "Paste it"), state=Secret(state))
    arrived: list[object] = []

    async def take(answer: Answer) -> bool:
        _, what = flow.answered(answer)
        arrived.append(what)
        return not isinstance(what, Ignored)

    async def paste(text: str) -> bool:
        return await take(Answer.of_paste(text))

    async with opened(Door(port=0, path="/callback"), take, paste) as port:
        await tab.page.goto(elsewhere("<body>"))
        read = await tab.page.evaluate(
            """async (base) => {
                const queries = ["code=x&state=forged", "code=x", "error=access_denied", "error=x&state=", ""];
                const told = [];
                for (const query of queries) {
                    const url = base + "/callback?" + query;
                    await fetch(url, {mode: "no-cors"}).catch(() => 0);
                    await new Promise((done) => { const i = new Image(); i.onload = i.onerror = done; i.src = url; });
                    told.push(await fetch(url).then((r) => r.text()).catch(() => ""));
                }
                const body = new URLSearchParams("answer=x#forged");
                await fetch(base + "/paste", {method: "POST", mode: "no-cors", body}).catch(() => 0);
                return told.join("");
            }""",
            f"http://127.0.0.1:{port}",
        )
        assert read == "", "nothing can be read"
        assert arrived, "the page reached the port"
        assert all(isinstance(what, Ignored) for what in arrived)
        assert not flow.is_over
        assert await take(Answer.of_query(f"code=good&state={state}")), "the login itself goes on"
