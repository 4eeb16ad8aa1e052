"""T15: a token goes to its own provider, and to no address that anybody could have slipped in."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from yarl import URL

from auth.credential import Credential
from auth.secret import Secret
from management import outbound as module
from management.outbound import Outbound, addresses_of, is_public, outbound, send
from management.refusal import Refusal
from proxy.providers import anthropic

HERE = Credential(id="a", provider="anthropic", label="A", secret=Secret("sk-ant-of-mine"))


def asked(url: str = "https://api.anthropic.com/v1/x", credential: Credential = HERE, **more: Any) -> Outbound:
    given: dict[str, Any] = {"method": "get", "headers": {"x-api-key": "$TOKEN$"}, "data": "", **more}
    return outbound(anthropic.PROVIDER, credential, given["method"], url, given["headers"], given["data"])


def test_the_token_stands_in_the_header() -> None:
    call = asked(headers={"X-Api-Key": "$TOKEN$", "Host": "evil.test", "Content-Length": "3"})
    assert call.headers["X-Api-Key"] == "sk-ant-of-mine"
    assert {name.lower() for name in call.headers} == {"x-api-key", "user-agent"}
    assert "sk-ant" not in repr(call)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/v1/x",
        "http://api.anthropic.com/v1/x",
        "https://api.anthropic.com:444/v1/x",
        "https://api.anthropic.com.evil.test/",
        "https://api.anthropic.com@evil.test/",
        "https://evil.test#@api.anthropic.com/",
        "https://user@api.anthropic.com/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://[::1]/",
        "file:///etc/passwd",
        "gopher://api.anthropic.com/",
        "//api.anthropic.com/",
        "https:///v1",
        "",
    ],
)
def test_T15_no_other_place(url: str) -> None:
    with pytest.raises(Refusal) as caught:
        asked(url)
    assert caught.value.status in {400, 403}
    assert "sk-ant" not in str(caught.value)


@pytest.mark.parametrize(
    "more",
    [
        {"method": "CONNECT"},
        {"data": "$TOKEN$"},
        {"url": "https://api.anthropic.com/?k=$TOKEN$"},
        {"headers": {"x": "a\r\nHost: evil.test"}},
        {"credential": Credential(id="a", provider="anthropic", label="A", secret=Secret("s"), proxy_url="http://p:1")},
        {"credential": Credential(id="a", provider="anthropic", label="A")},
    ],
)
def test_T15_nor_in_any_other_way(more: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        asked(**more)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "198.18.0.1", "192.0.2.1", "nonsense",
    ],
)  # fmt: skip
def test_T15_addresses_that_are_not_on_the_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_that_are(address: str) -> None:
    assert is_public(address)


async def test_T15_a_name_that_leads_home_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: object, **__: object) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in ("93.184.216.34", "127.0.0.1")]

    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", getaddrinfo)
    with pytest.raises(Refusal, match=r"leads to 127\.0\.0\.1"):
        await addresses_of(asked())


async def test_what_the_provider_says_comes_back_bounded_and_unredirected(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.headers["x-api-key"])
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/", "Set-Cookie": "a=b"})
        return web.Response(body=b"x" * (module.BYTES_MAX + 1 if request.path == "/much" else 3))

    async with RawTestServer(answer) as server:
        base = str(server.make_url("")).rstrip("/")
        local = Credential(id="a", provider="anthropic", label="A", secret=Secret("sk-ant-of-mine"), base_url=base)
        good = await send(asked(f"{base}/v1", local))
        assert (good["status_code"], good["body"]) == (200, "xxx")
        away: Any = await send(asked(f"{base}/away", local))
        assert (away["status_code"], away["header"]["Location"]) == (302, ["http://127.0.0.1:1/"])
        assert "Set-Cookie" not in away["header"]
        with pytest.raises(Refusal, match="larger than"):
            await send(asked(f"{base}/much", local))
        monkeypatch.setattr(module, "SECONDS_MAX", 0.0)
        with pytest.raises(Refusal, match="no whole answer"):
            await send(asked(f"{base}/v1", local))
    assert seen == ["sk-ant-of-mine"] * 3


async def test_a_place_that_is_shut_is_named() -> None:
    call = Outbound(method="GET", url=URL("http://127.0.0.1:1/"), headers={}, data=b"", is_local=True)
    with pytest.raises(Refusal) as caught:
        await send(call)
    assert caught.value.status == 502
