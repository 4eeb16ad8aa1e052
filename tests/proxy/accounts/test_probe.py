from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from auth.credential import Credential
from auth.secret import Secret
from proxy.accounts.probe import call_of, probe
from proxy.providers import anthropic, gemini, openai, vertex
from proxy.providers.base import Provider
from proxy.providers.oidc import KNOWN
from proxy.providers.openai_compatible import provider_named
from proxy.upstream.http import HttpUpstream

COMPATIBLE = provider_named("groq", "https://api.example.com/v1", ())


@dataclass
class Vendor:
    """Answers everything with `status` and `body`, and notes what was asked."""

    url: str = ""
    status: int = 200
    body: str = "{}"
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.raw_path, {k.lower(): v for k, v in request.headers.items()}))
        return web.Response(status=self.status, text=self.body, content_type="application/json")


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    application = web.Application()
    application.router.add_route("*", "/{any:.*}", vendor.answer)
    async with TestServer(application) as server:
        vendor.url = str(server.make_url("")).rstrip("/")
        yield vendor


def credential(provider: Provider, base_url: str | None = None) -> Credential:
    return Credential(
        id="c", provider=provider.name, label="work", secret=Secret("sk-very-secret"), base_url=base_url,
        headers={"X-Team": "blue"},
    )  # fmt: skip


async def asked(vendor: Vendor, provider: Provider, path: str = "") -> tuple[bool, str]:
    upstream = HttpUpstream()
    try:
        return await probe(upstream, provider, credential(provider, vendor.url + path))
    finally:
        await upstream.close()


@pytest.mark.parametrize(
    ("provider", "url", "method"),
    [
        (anthropic.PROVIDER, "https://api.anthropic.com/v1/models?limit=1", "GET"),
        (openai.PROVIDER, "https://api.openai.com/v1/models", "GET"),
        (gemini.PROVIDER, "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1", "GET"),
        (COMPATIBLE, "https://api.example.com/v1/models", "GET"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_each_provider_is_asked_where_it_lists_its_models(provider: Provider, url: str, method: str) -> None:
    call = call_of(provider, credential(provider))
    assert (call.url, call.method) == (url, method)
    assert "sk-very-secret" in str(dict(call.headers))
    assert dict(call.headers)["x-team"] == "blue"
    assert dict(call.headers)["user-agent"].startswith("proxy/")


def test_who_lists_none_counts_tokens() -> None:
    call = call_of(vertex.PROVIDER, credential(vertex.PROVIDER))
    assert call.method == "POST"
    assert call.url.endswith(":countTokens")


@pytest.mark.parametrize("base", ["https://llm.example.com", "https://llm.example.com/v1"])
def test_a_base_url_with_and_without_a_version(base: str) -> None:
    call = call_of(anthropic.PROVIDER, credential(anthropic.PROVIDER, base))
    assert call.url == "https://llm.example.com/v1/models?limit=1"


@pytest.mark.parametrize("word", ["direct", "none", ""])
def test_words_for_no_egress_proxy(word: str) -> None:
    mine = replace(credential(COMPATIBLE), proxy_url=word)
    assert call_of(COMPATIBLE, mine).proxy_url is None
    assert call_of(COMPATIBLE, replace(mine, proxy_url="http://127.0.0.1:1")).proxy_url == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("status", "body", "works", "words"),
    [
        (200, '{"data": []}', True, "works: the provider takes it"),
        (401, '{"error": {"message": "no such key sk-very-secret"}}', False, "(401): no such key •••"),
        (403, '{"error": "blocked"}', False, "refused by the provider (403): blocked"),
        (429, '{"error": {"message": "slow down"}}', True, "limited at the moment (429): slow down"),
        (404, "<html>", False, "cannot be tested"),
        (500, '{"message": "oh\\n no"}', False, "(500): oh no"),
        (502, "bad gateway", False, "no reason given"),
    ],
)
async def test_what_it_says(vendor: Vendor, status: int, body: str, works: bool, words: str) -> None:
    vendor.status, vendor.body = status, body
    found, why = await asked(vendor, anthropic.PROVIDER)
    assert found is works
    assert words in why
    ((method, path, headers),) = vendor.asked
    assert (method, path, headers["x-api-key"]) == ("GET", "/v1/models?limit=1", "sk-very-secret")
    assert headers["anthropic-version"]


async def test_nobody_there() -> None:
    with socket.socket() as nobody:  # has a port, and does not listen
        nobody.bind(("127.0.0.1", 0))
        works, why = await asked(Vendor(url=f"http://127.0.0.1:{nobody.getsockname()[1]}"), COMPATIBLE)
    assert not works
    assert "sk-very-secret" not in why
    assert why


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        (KNOWN["gemini"], "/v1beta/models?pageSize=1"),
        (KNOWN["openai"], "/models"),
        (KNOWN["anthropic"], "/v1/models?limit=1"),
        (KNOWN["vertex"], "/publishers/google/models/"),
    ],
)
async def test_with_a_token_in_place_of_a_key(vendor: Vendor, provider: Provider, path: str) -> None:
    assert (await asked(vendor, provider))[0]
    ((_, asked_path, headers),) = vendor.asked
    assert asked_path.startswith(path)
    assert headers["authorization"] == "Bearer sk-very-secret"
