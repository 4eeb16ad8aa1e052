from __future__ import annotations

import pytest
from multidict import CIMultiDict

from proxy.dispatch.genuine import is_genuine, own_headers, with_query
from proxy.providers import anthropic, gemini, gemini_cli, openai, vertex
from proxy.providers.base import Provider

CLAUDE = {"User-Agent": "Claude-CLI/9.9 (external, cli)", "X-Claude-Code-Session-Id": "s"}
CODEX = {"User-Agent": "codex_exec/9.9 (Linux)", "originator": "codex_exec"}
GEMINI = {"user-agent": "GeminiCLI/9.9/m (linux)"}


@pytest.mark.parametrize(
    ("provider", "headers", "expected"),
    [
        (anthropic.PROVIDER, CLAUDE, True),
        (anthropic.PROVIDER, {"User-Agent": "claude-cli/0.24 (external, cli)", "x-app": "cli"}, False),
        (anthropic.PROVIDER, CODEX, False),
        (openai.PROVIDER, CODEX, True),
        (openai.PROVIDER, {"User-Agent": "codex-of-another/1"}, False),
        (openai.PROVIDER, CLAUDE, False),
        (gemini.PROVIDER, GEMINI, True),
        (gemini.PROVIDER, {"user-agent": "google-genai-sdk/1"}, False),
        (vertex.PROVIDER, GEMINI, False),
        (anthropic.PROVIDER, {}, False),
    ],
)
def test_a_cli_is_known_by_its_own_marks_and_at_its_own_vendor(
    provider: Provider, headers: dict[str, str], *, expected: bool
) -> None:
    assert is_genuine(provider, CIMultiDict(headers)) is expected


def test_taken_out_of_its_envelope_it_is_its_own_no_more() -> None:
    headers = CIMultiDict(GEMINI)
    assert is_genuine(gemini_cli.PROVIDER, headers, b"{}")
    assert not is_genuine(gemini_cli.PROVIDER, headers)
    assert not is_genuine(gemini.PROVIDER, headers, b"{}")
    assert not is_genuine(gemini_cli.PROVIDER, CIMultiDict({"user-agent": "curl"}), b"{}")


def test_what_belongs_to_the_hop_or_to_an_account_stays_here() -> None:
    given = [
        ("Host", "127.0.0.1:1"),
        ("User-Agent", "claude-cli/9"),
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("Content-Encoding", "zstd"),
        ("Content-Length", "9"),
        ("Content-Type", "application/json"),
        ("Authorization", "Bearer client"),
        ("x-api-key", "client"),
        ("chatgpt-account-id", "acct"),
        ("Cookie", "a=b"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("Via", "1.1 nginx"),
        ("CF-Connecting-IP", "10.0.0.1"),
        ("x-proxy-explain", "1"),
        ("anthropic-beta", "one"),
        ("X-Stainless-OS", "Linux"),
        ("anthropic-beta", "two"),
    ]
    assert list(own_headers(CIMultiDict(given)).items()) == [
        ("User-Agent", "claude-cli/9"),
        ("Content-Type", "application/json"),
        ("anthropic-beta", "one"),
        ("X-Stainless-OS", "Linux"),
        ("anthropic-beta", "two"),
    ]


@pytest.mark.parametrize(
    ("url", "query", "told"),
    [
        ("http://h/p", {}, "http://h/p"),
        ("http://h/p", {"beta": "true"}, "http://h/p?beta=true"),
        ("http://h/p?alt=sse", {"alt": "sse"}, "http://h/p?alt=sse"),
        ("http://h/p?alt=sse", {"alt": "x", "a b": "&"}, "http://h/p?alt=sse&a+b=%26"),
    ],
)
def test_the_query_goes_on_behind_what_the_address_has(url: str, query: dict[str, str], told: str) -> None:
    assert with_query(url, query) == told


def test_what_is_asked_of_a_gateway_stays_here() -> None:
    headers = CIMultiDict({"X-Claude-Code": "true", "X-Claude-Session-ID": "s", "X-Proxy-Account": "a", "X-Other": "1"})
    assert dict(own_headers(headers)) == {"X-Other": "1"}
