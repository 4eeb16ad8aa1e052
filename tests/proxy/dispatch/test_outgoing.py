from __future__ import annotations

from typing import Any

import pytest
from multidict import CIMultiDict

from auth.credential import Credential
from auth.secret import Secret
from proxy import __version__
from proxy.dispatch.decision import Candidate
from proxy.dispatch.outgoing import address, call_for
from proxy.providers import anthropic, gemini, openai, vertex
from proxy.providers.base import Provider


def candidate(provider: Provider, model: str = "m", **fields: Any) -> Candidate:
    return Candidate(
        provider, Credential(id="c", provider=provider.name, label="c", secret=Secret("k"), **fields), model
    )


def headers(provider: Provider, client: dict[str, str] | None = None, **fields: Any) -> dict[str, str]:
    call = call_for(candidate(provider, **fields), "generate", b"{}", is_stream=False, client=CIMultiDict(client or {}))
    return dict(call.headers)


def test_we_say_who_we_are() -> None:
    assert headers(anthropic.PROVIDER, {"User-Agent": "somebody/1"}) == {
        "content-type": "application/json",
        "accept": "application/json",
        "user-agent": f"proxy/{__version__}",
        "anthropic-version": "2023-06-01",
        "x-api-key": "k",
    }


def test_the_clients_own_version_and_betas_go_on_and_nothing_else() -> None:
    sent = headers(
        anthropic.PROVIDER,
        {"Anthropic-Version": "2026-10-21", "Anthropic-Beta": "x", "X-Stainless-Lang": "py", "Cookie": "a"},
    )
    assert (sent["anthropic-version"], sent["anthropic-beta"]) == ("2026-10-21", "x")
    assert not {"x-stainless-lang", "cookie"} & sent.keys()


def test_a_credentials_headers_beat_all_others() -> None:
    sent = headers(openai.PROVIDER, headers={"Authorization": "Bearer other", "X-Team": "blue"})
    assert (sent["authorization"], sent["x-team"]) == ("Bearer other", "blue")


@pytest.mark.parametrize(
    ("provider", "base_url", "is_stream", "url"),
    [
        (anthropic.PROVIDER, None, False, "https://api.anthropic.com/v1/messages"),
        (anthropic.PROVIDER, "http://127.0.0.1:9", True, "http://127.0.0.1:9/v1/messages"),
        (anthropic.PROVIDER, "http://127.0.0.1:9/v1", False, "http://127.0.0.1:9/v1/messages"),
        (openai.PROVIDER, None, False, "https://api.openai.com/v1/responses"),
        (
            gemini.PROVIDER, None, True,
            "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent?alt=sse",
        ),
        (gemini.PROVIDER, "http://h/v1beta", False, "http://h/v1beta/models/m:generateContent"),
        (vertex.PROVIDER, None, False, "https://aiplatform.googleapis.com/v1/publishers/google/models/m:generateContent"),
    ],
)  # fmt: skip
def test_addresses(provider: Provider, base_url: str | None, is_stream: bool, url: str) -> None:
    assert address(candidate(provider, base_url=base_url), "generate", is_stream=is_stream) == url


def test_a_models_name_cannot_leave_its_place_in_the_path() -> None:
    url = address(candidate(gemini.PROVIDER, "gemini-/../../x?y#z"), "generate", is_stream=False)
    assert (
        url == "https://generativelanguage.googleapis.com/v1beta/models/gemini-%2F..%2F..%2Fx%3Fy%23z:generateContent"
    )


@pytest.mark.parametrize(
    ("given", "used"), [(None, None), ("", None), ("direct", None), ("socks5://127.0.0.1:1", "socks5://127.0.0.1:1")]
)
def test_egress_proxies(given: str | None, used: str | None) -> None:
    call = call_for(candidate(anthropic.PROVIDER, proxy_url=given), "generate", b"", is_stream=True, client={})
    assert call.proxy_url == used
    assert dict(call.headers)["accept"] == "text/event-stream"


def test_the_key_never_prints() -> None:
    call = call_for(candidate(anthropic.PROVIDER), "generate", b"", is_stream=True, client={})
    assert "'k'" not in repr(call)


CLAUDE = {
    "User-Agent": "claude-cli/9 (external)",
    "X-Claude-Code-Session-Id": "s",
    "Anthropic-Beta": "b",
    "Via": "1.1 x",
}


def test_an_official_clis_headers_and_query_go_on_at_home() -> None:
    call = call_for(
        candidate(anthropic.PROVIDER), "generate", b"{}", is_stream=True, client=CIMultiDict(CLAUDE),
        query={"beta": "true"},
    )  # fmt: skip
    assert call.url == "https://api.anthropic.com/v1/messages?beta=true"
    assert call.headers == (
        ("User-Agent", "claude-cli/9 (external)"),
        ("X-Claude-Code-Session-Id", "s"),
        ("Anthropic-Beta", "b"),
        ("x-api-key", "k"),
    )


def test_elsewhere_they_are_left_out_and_we_say_who_we_are() -> None:
    call = call_for(
        candidate(openai.PROVIDER), "generate", b"{}", is_stream=True, client=CIMultiDict(CLAUDE),
        query={"beta": "true"},
    )  # fmt: skip
    assert call.url == "https://api.openai.com/v1/responses"
    assert dict(call.headers)["user-agent"] == f"proxy/{__version__}"
    assert "x-claude-code-session-id" not in dict(call.headers)


def test_a_credentials_headers_beat_an_official_clis() -> None:
    given = candidate(anthropic.PROVIDER, headers={"ANTHROPIC-BETA": "ours"})
    call = call_for(given, "generate", b"{}", is_stream=True, client=CIMultiDict(CLAUDE))
    assert [value for name, value in call.headers if name.lower() == "anthropic-beta"] == ["ours"]
