from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from auth.callback import Door, opened
from auth.flow import Answer, Deliver, LoginFlow, Visit
from auth.ports import PortTaken, is_free, take
from auth.secret import Secret

STATE = "a-state-that-nobody-could-guess-0123456789"
NAUGHTY = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "%3Csvg/onload=alert(1)%3E",
    "http://evil.example/", "//evil.example", "\r\nSet-Cookie: a=b", "{{7*7}}", "'; DROP TABLE accounts; --",
    "é😀\u202e",
)  # fmt: skip


class House:
    """A login that waits, its port, and a browser."""

    def __init__(self) -> None:
        visit = Visit("https://page.example", "Paste it")
        self.flow = LoginFlow(whose="x").offered(visit, state=Secret(STATE))
        self.delivered: list[Deliver] = []
        self.url = ""
        self.port = 0
        self.browser = aiohttp.ClientSession()

    async def take(self, answer: Answer) -> bool:
        self.flow, what = self.flow.answered(answer)
        return self._done(what)

    async def paste(self, text: str) -> bool:
        self.flow, what = self.flow.pasted(text)
        return self._done(what)

    def _done(self, what: object) -> bool:
        if isinstance(what, Deliver):
            self.delivered.append(what)
        return isinstance(what, Deliver)

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.browser.get(self.url + path, headers=headers, allow_redirects=False) as response:
            assert "Location" not in response.headers
            assert "Set-Cookie" not in response.headers
            return response.status, await response.text()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    async with house.browser, opened(Door(port=0, path="/callback"), house.take, house.paste) as house.port:
        house.url = f"http://127.0.0.1:{house.port}"
        yield house


async def test_the_answer_arrives(house: House) -> None:
    status, page = await house.get(f"/callback?code=the-code&state={STATE}&scope=x")
    assert status == 200
    assert "You can close this page" in page
    assert house.delivered == [Deliver("the-code", STATE)]


async def test_the_box(house: House) -> None:
    status, page = await house.get("/")
    assert status == 200
    assert '<form method="post" action="/paste">' in page
    for text, status in (("nonsense", 400), (f"the-code#{STATE}", 200), (f"the-code#{STATE}", 400)):
        async with house.browser.post(f"{house.url}/paste", data={"answer": text}) as response:
            assert response.status == status
    assert house.delivered == [Deliver("the-code", STATE)]


async def test_T25_forged_callbacks_and_then_the_real_one(house: House) -> None:
    forged = [
        "",
        "?",
        "?code=evil",
        "?code=evil&state=",
        "?code=evil&state=x",
        "?error=access_denied",
        f"?state={STATE}",
    ]
    forged += [f"?code=evil&state={STATE}&state=x", "?" + "&".join(f"a{n}=1" for n in range(100)), "?state=%ff%fe"]
    for query in forged * 20:
        status, page = await house.get(f"/callback{query}")
        assert status == 400
        assert "Nothing was changed" in page
    assert house.delivered == []
    assert (await house.get(f"/callback?code=real&state={STATE}"))[0] == 200
    assert (await house.get(f"/callback?code=again&state={STATE}"))[0] == 400
    assert house.delivered == [Deliver("real", STATE)]


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_T25_only_get_calls_back(house: House, method: str) -> None:
    async with house.browser.request(method, f"{house.url}/callback?code=evil&state={STATE}") as response:
        assert response.status in {404, 405}
    assert house.delivered == []


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "localhost:1", "127.0.0.1.evil.example"]
)
async def test_T25_a_rebound_name_is_refused(house: House, host: str) -> None:
    assert (await house.get(f"/callback?code=evil&state={STATE}", Host=host))[0] == 421
    assert (await house.get("/", Host=host))[0] == 421
    assert house.delivered == []


@pytest.mark.parametrize("path", ["/callback/", "/callback//", "/Callback", "/x/../callback", "/%63allback", "/x"])
async def test_T25_the_path_is_exact(house: House, path: str) -> None:
    async with house.browser.get(f"http://127.0.0.1:{house.port}/") as response:
        assert response.status == 200
    reader_status = await _raw(house.port, f"GET {path}?code=c&state={STATE} HTTP/1.1\r\nHost: 127.0.0.1:{house.port}")
    assert reader_status == 404
    assert house.delivered == []


async def test_T25_another_site_s_form_is_refused(house: House) -> None:
    data = {"answer": f"the-code#{STATE}"}
    own = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    foreign = [
        {"Origin": each} for each in ("http://evil.example", f"{house.url}.evil.example", "https" + house.url[4:])
    ]
    for headers in (*foreign, {**own, "Sec-Fetch-Site": "cross-site"}, {**own, "Sec-Fetch-Site": "same-site"}):
        async with house.browser.post(f"{house.url}/paste", data=data, headers=headers) as response:
            assert response.status == 400
    assert house.delivered == []
    async with house.browser.post(f"{house.url}/paste", data=data, headers=own) as response:
        assert response.status == 200


async def test_T26_it_is_on_loopback_only_and_gone_afterwards() -> None:
    house = House()
    async with house.browser, opened(Door(port=0), house.take, house.paste) as port:
        for address in _own_addresses():
            with socket.socket() as probe:
                probe.settimeout(2)
                assert probe.connect_ex((address, port)) != 0
        with pytest.raises(PortTaken):
            async with opened(Door(port=port), house.take, house.paste):
                pass
        async with house.browser.get(f"http://127.0.0.1:{port}/callback?code=c&state={STATE}") as response:
            assert response.status == 404, "this door has only the box"
    assert is_free(port)


async def test_T26_a_squatted_port_is_an_error_at_once() -> None:
    house = House()
    squatter = take(0)
    try:
        async with house.browser:
            with pytest.raises(PortTaken, match="is taken by"):
                async with opened(Door(port=squatter[0].getsockname()[1]), house.take, house.paste):
                    pass
    finally:
        for each in squatter:
            each.close()


@pytest.mark.parametrize("naughty", NAUGHTY)
async def test_T27_nothing_of_a_request_stands_in_a_page(house: House, naughty: str) -> None:
    plain = {(await house.get(path))[1] for path in ("/", "/callback", "/nowhere")}
    async with house.browser.get(
        f"{house.url}/callback", params={"code": naughty, "state": naughty, "error": naughty, "redirect": naughty}
    ) as response:
        assert await response.text() in plain
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        assert not re.search(r"unsafe|\*|http:|script-src", policy)
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Frame-Options"] == "DENY"
    async with house.browser.post(f"{house.url}/paste", data={"answer": naughty}) as response:
        assert await response.text() in plain


async def test_a_page_without_script(house: House) -> None:
    for path in ("/", "/callback", "/nowhere", f"/callback?code=c&state={STATE}"):
        _, page = await house.get(path)
        assert not re.search(r"<script|https?:|javascript|<img|<link", page)


async def _raw(port: int, head: str) -> int:
    """A request that no client library would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    await writer.wait_closed()
    return status


def _own_addresses() -> set[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: only asks by which way it would go
        except OSError:
            return set()
        return {probe.getsockname()[0]} - {"127.0.0.1"}
