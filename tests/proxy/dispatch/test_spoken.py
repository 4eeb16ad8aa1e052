from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from auth.credential import Credential
from auth.secret import Secret
from proxy import __version__
from proxy.dispatch.decision import Candidate
from proxy.dispatch.inquiry import Inquiry, Said, Tie
from proxy.dispatch.splice import members
from proxy.dispatch.spoken import handshake, message, spoken_for
from proxy.providers import anthropic, codex, openai
from proxy.providers.base import Provider
from proxy.upstream.base import Spoken
from proxy.upstream.line import Line
from tests.proxy.dispatch.conftest import Lab

CODEX = {"User-Agent": "codex_exec/0.169.0 (Debian)", "originator": "codex_exec"}


def candidate(provider: Provider, **fields: Any) -> Candidate:
    return Candidate(
        provider, Credential(id="c", provider=provider.name, label="c", secret=Secret("k"), **fields), "gpt-5.5"
    )


def inquiry(said: bytes = b'{"type":"response.create"}', headers: object = None, **fields: Any) -> Inquiry:
    told = Said(line=Line(), headers=CIMultiDict(headers or {}), members=members(said))
    return Lab.inquiry("openai_responses", {"model": "gpt-5.5"}, **{"said": told, "headers": told.headers, **fields})


def spoken(asked: Inquiry, provider: Provider = openai.PROVIDER, **fields: Any) -> Spoken | None:
    return spoken_for(asked, candidate(provider, **fields), b'{"model":"gpt-5.5","stream":true}')


class TestWhoIsAskedSo:
    def test_a_provider_that_takes_it(self) -> None:
        assert spoken(inquiry()) is not None

    @pytest.mark.parametrize(
        ("asked", "provider", "fields"),
        [
            (replace(inquiry(), said=None), openai.PROVIDER, {}),
            (inquiry(operation="compact"), openai.PROVIDER, {}),
            (inquiry(), anthropic.PROVIDER, {}),
            (inquiry(), openai.PROVIDER, {"is_http_only": True}),
            (inquiry(), codex.PROVIDER, {}),
        ],
        ids=["over HTTP", "another operation", "no WebSocket", "not with this key", "its own CLI's account"],
    )
    def test_nobody_else(self, asked: Inquiry, provider: Provider, fields: dict[str, Any]) -> None:
        assert spoken(asked, provider, **fields) is None

    def test_a_login_is_asked_so_for_its_own_cli(self) -> None:
        assert spoken(inquiry(headers=CODEX), codex.PROVIDER) is not None

    def test_what_it_goes_on_from(self) -> None:
        tie = Tie("c", is_hard=True, previous="resp_1")
        told = spoken(inquiry(tie=tie))
        assert told is not None
        assert told.previous == "resp_1"


class TestHandshake:
    def test_we_say_who_we_are(self) -> None:
        client = CIMultiDict({"User-Agent": "somebody/1", "OpenAI-Beta": "responses_websockets=1", "Cookie": "x"})
        assert dict(handshake(candidate(openai.PROVIDER), client)) == {
            "user-agent": f"proxy/{__version__}",
            "openai-beta": "responses_websockets=1",
            "authorization": "Bearer k",
        }

    def test_codex_s_own_goes_on_but_for_the_account(self) -> None:
        client = CIMultiDict({"Host": "x", "Authorization": "Bearer client", "chatgpt-account-id": "theirs", **CODEX})
        login = candidate(codex.PROVIDER, headers={"chatgpt-account-id": "ours"})
        assert handshake(login, client) == (
            *CODEX.items(),
            ("authorization", "Bearer k"),
            ("chatgpt-account-id", "ours"),
        )


class TestMessage:
    @staticmethod
    def said(client: bytes, body: bytes) -> bytes:
        return message(Said(line=Line(), headers={}, members=members(client)), body)

    def test_the_client_s_own_words_in_its_order(self) -> None:
        client = b'{"type":"response.create","model":"m","stream":true,"input":[1.00, {"a" : 1}],"generate":false}'
        body = b'{"model":"m","stream":true,"input":[1.00, {"a" : 1}]}'
        assert self.said(client, body) == client

    def test_what_was_changed(self) -> None:
        client = b'{"type":"response.create","previous_response_id":"r","model":"m","input":"x"}'
        body = b'{"model":"other","input":["the whole"],"stream":true,"temperature":1}'
        assert self.said(client, body) == (
            b'{"type":"response.create","model":"other","input":["the whole"],"temperature":1}'
        )

    def test_lanes_are_ours(self) -> None:
        client = b'{"type":"response.create","stream_id":"a","background":false,"model":"m"}'
        told = msgspec.json.decode(self.said(client, b'{"model":"m","stream":true}'))
        assert told == {"type": "response.create", "model": "m"}
