from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from proxy.dispatch.inquiry import Inquiry, Said
from proxy.dispatch.reach import Reach
from proxy.dispatch.splice import members
from proxy.errors import Malformed
from proxy.hub.request import Reasoning
from proxy.server.sessions import Sessions
from proxy.server.wishes import Desk, heeded, told
from proxy.upstream.line import Line
from tests.proxy.dispatch.conftest import Lab
from tests.proxy.server.conftest import House

KEY = "sk-of-the-client-itself-4711"


def desk(*, takes_own_keys: bool = True) -> Desk:
    return Desk(sessions=Sessions(), takes_own_keys=takes_own_keys, now=0.0, new_id=lambda: "made-1")


def inquiry(wire: str = "openai_chat", body: object = None, /, **headers: str) -> Inquiry:
    named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Lab.inquiry(wire, body or {"model": "m"}, headers=named)


def heard(wire: str = "openai_chat", body: object = None, /, **headers: str) -> Inquiry:
    return heeded(inquiry(wire, body, **headers), desk())


def test_without_a_wish_nothing_is_touched() -> None:
    asked = inquiry(User_Agent="somebody/1")
    assert heeded(asked, desk()) is asked


class TestWho:
    def test_each_header_narrows(self) -> None:
        asked = heard(X_Proxy_Provider="anthropic, openai", X_Proxy_Account="work*", X_Claude_Code="true")
        assert asked.reach.only == (("anthropic", "openai"), ("work*",), ("claude-code",))

    def test_the_key_s_own_limits_stay(self) -> None:
        bound = replace(inquiry(X_Proxy_Account="work"), reach=Reach(models=("gpt-*",), accounts=("team-*",)))
        reach = heeded(bound, desk()).reach
        assert (reach.models, reach.accounts, reach.only) == (("gpt-*",), ("team-*",), (("work",),))

    @pytest.mark.parametrize("value", ["false", "0", "", "no"])
    def test_claude_code_is_not_forced(self, value: str) -> None:
        asked = heard(X_Claude_Code=value)
        assert (asked.reach.only, asked.session) == ((), "")

    @pytest.mark.parametrize("value", ["", " , ", ",".join("abcdefghijklmnopq")])
    def test_nobody_or_too_many(self, value: str) -> None:
        with pytest.raises(Malformed) as caught:
            heard(X_Proxy_Account=value)
        assert caught.value.path == "x-proxy-account"


class TestHowMuch:
    @pytest.mark.parametrize(
        ("word", "reasoning"),
        [
            ("high", Reasoning(effort="high")),
            ("None", Reasoning(effort="none")),
            ("2048", Reasoning(budget_tokens=2048)),
            ("auto", Reasoning(is_adaptive=True)),
        ],
    )
    def test_in_a_header(self, word: str, reasoning: Reasoning) -> None:
        assert heard("anthropic", X_Proxy_Effort=word).reasoning == reasoning

    def test_in_a_body(self) -> None:
        asked = heard("openai_chat", {"model": "m", "effort": "low", "messages": [1.0]})
        assert asked.reasoning == Reasoning(effort="low")
        assert asked.body == b'{"model":"m","messages":[1.0]}'

    def test_the_header_beats_the_body(self) -> None:
        assert heard("openai_chat", {"model": "m", "effort": "low"}, X_Proxy_Effort="max").reasoning == Reasoning(
            effort="max"
        )

    def test_what_others_call_effort_is_theirs(self) -> None:
        for wire, body in (
            ("openai_responses", {"model": "m", "effort": "low"}),
            ("openai_chat", {"model": "m", "reasoning": {"effort": "low"}}),
        ):
            asked = heard(wire, body)
            assert (asked.reasoning, msgspec.json.decode(asked.body)) == (None, body)

    @pytest.mark.parametrize("effort", ["much", "", True, 1.5, ["high"]])
    def test_what_means_nothing(self, effort: Any) -> None:
        with pytest.raises(Malformed) as caught:
            heard("openai_chat", {"model": "m", "effort": effort})
        assert caught.value.path == "effort"


class TestSession:
    def test_one_is_made_and_told(self) -> None:
        asked = heard(X_Claude_Code="1")
        assert (asked.session, told(asked)) == ("made-1", (("x-claude-session-id", "made-1"),))
        assert asked.headers["X-Claude-Session-ID"] == "made-1", "what is said now can be resumed"

    def test_one_is_gone_on_with(self) -> None:
        assert told(heard(X_Claude_Session_ID="mine")) == (("x-claude-session-id", "mine"),)

    @pytest.mark.parametrize("name", ["a b", "ä", "x" * 129])
    def test_a_name_that_is_none(self, name: str) -> None:
        with pytest.raises(Malformed):
            heard(X_Claude_Session_ID=name)

    def test_nobody_else_hears_of_it(self) -> None:
        assert told(heard(X_Proxy_Account="work")) == ()


class TestOwnKey:
    @pytest.mark.parametrize(
        ("header", "provider"),
        [("X_OpenAI_API_Key", "openai"), ("X_Anthropic_API_Key", "anthropic"), ("X_Gemini_API_Key", "gemini")],
    )
    def test_it_is_taken_out_and_kept_secret(self, header: str, provider: str) -> None:
        asked = inquiry("openai_responses", None, **{header: KEY})
        said = Said(line=Line(), headers=asked.headers, members=members(b"{}"))
        asked = heeded(replace(asked, said=said), desk())
        assert asked.own_key is not None
        assert asked.said is not None
        assert (asked.own_key.provider.name, asked.own_key.secret.reveal()) == (provider, KEY)
        assert KEY not in repr(asked)
        assert header.replace("_", "-") not in asked.headers
        assert header.replace("_", "-") not in asked.said.headers

    def test_where_the_operator_wants_none_it_is_refused(self) -> None:
        with pytest.raises(Malformed, match="own-provider-keys is off") as caught:
            heeded(inquiry(X_OpenAI_API_Key=KEY), desk(takes_own_keys=False))
        assert KEY not in str(caught.value)

    @pytest.mark.parametrize(
        "headers",
        [{"X_OpenAI_API_Key": ""}, {"X_OpenAI_API_Key": "a b"}, {"X_OpenAI_API_Key": "a", "X_Gemini_API_Key": "b"}],
    )
    def test_one_key_or_none(self, headers: dict[str, str]) -> None:
        with pytest.raises(Malformed):
            heard(**headers)


class TestThroughTheServer:
    @pytest.mark.parametrize("is_stream", [False, True])
    async def test_the_answer_names_the_session(self, house: House, is_stream: bool) -> None:
        body = {"model": "big", "stream": is_stream}
        first = await house.post("/v1/chat/completions", body, X_Claude_Code="true")
        name = first.headers["X-Claude-Session-ID"]
        again = await house.post("/v1/messages", {"model": "big"}, X_Claude_Session_ID=name)
        assert again.headers["X-Claude-Session-ID"] == name
        assert [each.session for each in house.dispatcher.inquiries] == [name, name]
        assert house.dispatcher.inquiries[0].reach.only == (("claude-code",),)

    async def test_an_own_key_is_refused_in_the_client_s_words_and_never_logged(self, house: House) -> None:
        answer = await house.post("/v1/chat/completions", {"model": "big"}, X_OpenAI_API_Key=KEY)
        assert (answer.status, answer.json["error"]["code"]) == (400, "own_key_refused")
        assert house.dispatcher.inquiries == []
        assert KEY not in house.written.getvalue().decode()

    async def test_where_it_is_taken_it_goes_along(self, house: House) -> None:
        house.edition = replace(house.edition, config=replace(house.edition.config, own_provider_keys=True))
        await house.post("/v1/chat/completions", {"model": "big"}, X_OpenAI_API_Key=KEY)
        (asked,) = house.dispatcher.inquiries
        assert asked.own_key is not None
        assert "x-openai-api-key" not in asked.headers
        assert KEY not in house.written.getvalue().decode()
