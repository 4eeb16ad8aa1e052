from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from auth.quota import DAY, Quotas, Window
from auth.secret import Secret
from proxy.config.client_keys import Budget, ClientKey, RateLimits, Rates
from proxy.dispatch.inquiry import Inquiry, Outcome, Refused, Report
from proxy.errors import UnknownModel
from proxy.hub.events import Failure
from proxy.hub.response import Usage
from proxy.observe.usage import Tokens, Used
from proxy.server.access import Client, ClientKeys
from proxy.server.limits import Caller, Grant, Limits
from proxy.server.shares import Shares
from tests.pace import SECONDS_MAX
from tests.proxy.server.conftest import chunked, echo, outcome

if TYPE_CHECKING:
    from tests.proxy.server.conftest import House, Open

NOON = 1_795_176_000.0
"""Of 2026-11-20."""
PRICES = {("p", "cheap"): 1.0, ("p", "dear"): 10.0}
"""Dollars for a million tokens."""


class Clock:
    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> float:
        return 1000.0 + self.passed

    def unix(self) -> float:
        return NOON + self.passed


def cost(provider: str | None, model: str | None, tokens: Tokens) -> float | None:
    price = PRICES.get((provider or "", model or ""))
    return None if price is None else price * ((tokens.input_uncached or 0) + (tokens.output or 0)) / 1_000_000


class Desk:
    """Asks, and tells how it went."""

    def __init__(self, *, quotas: Quotas | None = None) -> None:
        self.clock = Clock()
        self.offers: Collection[tuple[str, str]] = [("p", "cheap")]
        self.limits = Limits(
            cost=cost,
            offers=lambda _inquiry: self.offers,
            shares=None if quotas is None else Shares(quotas),
            now=self.clock.now,
            unix=self.clock.unix,
        )

    def caller(self, name: str = "a", **key: Any) -> Caller:
        client = Client.of(ClientKey(api_key=Secret(f"a-long-key-of-{name}"), name=name, **key))
        return Caller(client=client, accounts=lambda: {"acc"})

    def enter(self, caller: Caller, *, size: int = 0, wire: str = "openai_chat", **headers: str) -> Grant:
        inquiry = Inquiry(
            request_id="r",
            wire=wire,
            operation="generate",
            model="m",
            is_stream=True,
            body=b'{"max_tokens":0,"input":"%b"}' % (b"x " * (2 * size)),
            headers=headers,
            query={},
            client=caller.client.name,
        )
        grant = self.limits.admit(caller, inquiry)
        assert grant is not None
        return grant

    def refused(self, caller: Caller, **asked: Any) -> Refused:
        with pytest.raises(Refused) as caught:
            self.enter(caller, **asked)
        return caught.value


def used(tokens: int | None = None, *, model: str | None = "cheap", account: str = "acc") -> Used:
    """`model`: None: nobody has answered."""
    return Used(
        at=NOON,
        request_id="r",
        route="/",
        operation="generate",
        status=200,
        seconds=0.1,
        model_served=model,
        provider="p",
        credential=account,
        wire_out=None if model is None else "openai_chat",
        tokens=Tokens() if tokens is None else Tokens(input_uncached=tokens, output=0),
    )


def over(grant: Grant | None, told: Used) -> None:
    assert grant is not None
    grant.settle(told)


def headers(refused: Refused) -> Mapping[str, str]:
    return dict(refused.headers)


def test_who_has_no_limit_costs_nothing() -> None:
    desk = Desk()
    assert desk.limits.admit(Caller(client=Client()), None) is None  # type: ignore[arg-type]  # it is not looked at
    grant = desk.enter(desk.caller())
    assert grant.headers("openai_chat") == ()
    over(grant, used(700))
    assert desk.limits.spending.used("a", "day", NOON).tokens == 700, "a budget may come later"


class TestRates:
    def test_the_refusal_has_everything_a_client_wants(self) -> None:
        desk = Desk()
        caller = desk.caller(requests_per_minute=1)
        grant = desk.enter(caller)
        assert dict(grant.headers("openai_chat"))["x-ratelimit-remaining-requests"] == "0"
        desk.clock.passed = 10
        refused = desk.refused(caller)
        assert refused.failure.status == 429
        assert headers(refused) == {
            "retry-after": "51",
            "x-ratelimit-limit-requests": "1",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "51s",
        }
        assert refused.report.failure is refused.failure

    def test_keys_do_not_share(self) -> None:
        desk = Desk()
        desk.enter(desk.caller("a", requests_per_minute=1))
        desk.enter(desk.caller("b", requests_per_minute=1))

    def test_addresses_do_and_a_household_is_one(self) -> None:
        desk = Desk()
        rates = Rates(requests_per_minute=1)
        desk.enter(Caller(client=Client(), address="2001:db8::1", ip=rates))
        assert "this address" in desk.refused(Caller(client=Client(), address="2001:db8::2", ip=rates)).failure.message
        desk.enter(Caller(client=Client(), address="2001:db8:0:1::2", ip=rates))

    def test_conversations_are_each_clients_own(self) -> None:
        desk = Desk()
        rates = Rates(requests_per_minute=1)
        one, other = (Caller(client=desk.caller(name).client, session=rates) for name in "ab")
        desk.enter(one, session_id="s")
        desk.enter(one, session_id="t")
        desk.enter(other, session_id="s")
        desk.enter(one)
        assert "this conversation" in desk.refused(one, session_id="s").failure.message

    def test_tokens_are_believed_then_known(self) -> None:
        desk = Desk()
        caller = desk.caller(tokens_per_minute=1000)
        grant = desk.enter(caller, size=600)
        assert "more do not fit now" in desk.refused(caller, size=600).failure.message
        over(grant, used(100))
        over(grant, used(900))
        over(desk.enter(caller, size=600), used(None, model=None))
        desk.enter(caller, size=600)

    def test_an_answer_that_broke_off_untold_counts_as_believed(self) -> None:
        desk = Desk()
        caller = desk.caller(tokens_per_minute=1000)
        over(desk.enter(caller, size=600), used(None))
        assert desk.refused(caller, size=600)
        assert desk.limits.spending.used("a", "day", NOON).tokens == pytest.approx(600, abs=20)

    def test_the_next_one_may_begin_when_one_has_ended(self) -> None:
        desk = Desk()
        caller = desk.caller(concurrency=1)
        grant = desk.enter(caller)
        refused = desk.refused(caller)
        assert headers(refused) == {"retry-after": "2"}
        over(grant, used())
        desk.enter(caller)


class TestBudgets:
    def test_tokens_of_a_day(self) -> None:
        desk = Desk()
        caller = desk.caller(budgets=(Budget(per="day", tokens=1000),))
        grant = desk.enter(caller, size=500)
        assert dict(grant.headers("anthropic"))["x-proxy-budget"].startswith("day tokens 5")
        over(grant, used(1100))
        refused = desk.refused(caller)
        assert refused.failure.kind == "quota"
        assert "1000 tokens a day is used up" in refused.failure.message
        assert headers(refused) == {
            "retry-after": "43200",
            "x-should-retry": "false",
            "x-proxy-budget": "day tokens 1100/1000",
        }
        desk.clock.passed = DAY / 2
        desk.enter(caller)

    def test_a_refused_request_holds_nothing(self) -> None:
        desk = Desk()
        caller = desk.caller(budgets=(Budget(per="day", tokens=1000),), requests_per_minute=1)
        grant = desk.enter(caller, size=100)
        for _ in range(20):
            desk.refused(caller, size=100)
        over(grant, used(0))
        desk.clock.passed = 61
        desk.enter(caller, size=900)

    def test_money_is_held_at_the_price_of_the_dearest(self) -> None:
        desk = Desk()
        desk.offers = [("p", "cheap"), ("p", "dear")]
        caller = desk.caller(budgets=(Budget(per="month", dollars=0.01),))
        grant = desk.enter(caller, size=900)
        assert "is believed to take $0.009" in desk.refused(caller, size=900).failure.message
        over(grant, used(900, model="cheap"))
        assert desk.limits.spending.used("a", "month", NOON).dollars == pytest.approx(0.0009)
        desk.enter(caller, size=900)

    def test_what_has_no_price_is_refused_where_money_counts(self) -> None:
        desk = Desk()
        desk.offers = [("p", "cheap"), ("q", "new")]
        refused = desk.refused(desk.caller(budgets=(Budget(dollars=1.0),)))
        assert (refused.failure.status, refused.failure.code) == (400, "model_unpriced")
        desk.enter(desk.caller("b", budgets=(Budget(tokens=1000),)))

    def test_a_model_that_nobody_has_is_the_dispatchers_to_refuse(self) -> None:
        def unknown(_inquiry: Inquiry) -> Collection[tuple[str, str]]:
            raise UnknownModel("no")

        desk = Desk()
        desk.limits._offers = unknown
        desk.enter(desk.caller(budgets=(Budget(dollars=1.0),)))

    def test_a_share_of_the_accounts_windows(self) -> None:
        quotas = Quotas()
        desk = Desk(quotas=quotas)
        desk.limits.is_sharing = True
        caller, other = desk.caller(budgets=(Budget(per="week", quota_percent=20),)), desk.caller("b")
        over(desk.enter(caller), used(700))
        quotas.note("acc", [self.window(0.1)])
        for each, tokens in ((caller, 500), (other, 1500)):
            over(desk.enter(each), used(tokens))
        assert dict(desk.enter(caller).headers("gemini"))["x-proxy-budget"] == "week quota 2.5/20"
        quotas.note("acc", [self.window(0.8)])
        refused = desk.refused(caller)
        assert "20 % of its accounts' windows a week is used up; it will reset at 2026-11-2" in refused.failure.message
        desk.enter(other)

    def window(self, used: float) -> Window:
        return Window(
            slot="7d", name="weekly", read_at=0.0, source="t", seconds=7 * DAY, used=used, resets_at=1000.0 + 5 * DAY
        )


async def test_opencode_is_not_sent_to_sleep_for_days() -> None:
    desk = Desk()
    caller = desk.caller(budgets=(Budget(per="day", tokens=10),))
    over(desk.enter(caller), used(11))
    refused = desk.refused(caller, **{"user-agent": "opencode/1.0"})
    assert (refused.failure.status, "retry-after" in headers(refused)) == (402, False)


KEY = "a-good-long-key-of-the-team"


class TestServed:
    """Through a running server, whoever answers."""

    async def house(self, open_house: Open, limits: RateLimits | None = None, **key: Any) -> House:
        return await open_house(keys=[ClientKey(api_key=Secret(KEY), name="team", **key)], limits=limits)

    @pytest.mark.parametrize("is_stream", [False, True])
    async def test_answers_tell_what_is_left_in_each_format(self, open_house: Open, is_stream: bool) -> None:
        house = await self.house(open_house, requests_per_minute=9, budgets=(Budget(tokens=10**6),))
        body = {"model": "big", "stream": is_stream, "max_tokens": 1}
        told = await house.post("/v1/chat/completions", body, x_api_key=KEY)
        assert (told.status, told.headers["x-ratelimit-remaining-requests"]) == (200, "8")
        told = await house.post("/v1/messages", body, x_api_key=KEY)
        assert (told.status, told.headers["anthropic-ratelimit-requests-remaining"]) == (200, "7")
        assert "x-ratelimit-remaining-requests" not in told.headers
        verb = "streamGenerateContent?alt=sse" if is_stream else "generateContent"
        told = await house.post(f"/v1beta/models/big:{verb}", {"contents": []}, x_goog_api_key=KEY)
        assert (told.status, told.headers["x-ratelimit-remaining-requests"]) == (200, "6")
        assert told.headers["x-proxy-budget"].startswith("month tokens ")

    async def test_a_refusal_is_in_the_clients_words_and_counts_in_the_figures(self, open_house: Open) -> None:
        house = await self.house(open_house, requests_per_minute=1)
        await house.post("/v1/messages", x_api_key=KEY)
        refused = await house.post("/v1/messages", x_api_key=KEY)
        assert refused.status == 429
        assert refused.error["type"] == "rate_limit_error"
        assert "this client key may make 1 requests a minute" in str(refused.error["message"])
        assert 50 <= int(refused.headers["Retry-After"]) <= 61
        assert refused.headers["anthropic-ratelimit-requests-remaining"] == "0"
        google = await house.post("/v1beta/models/big:generateContent", {"contents": []}, x_goog_api_key=KEY)
        assert google.error["status"] == "RESOURCE_EXHAUSTED"
        assert len(house.dispatcher.inquiries) == 1
        figures = (await house.app.metrics.exposition()).decode()
        assert 'proxy_key_requests_total{key="team",status="4xx"} 2.0' in figures
        assert 'proxy_key_refusals_total{key="team",limit="client_rate_limit"} 2.0' in figures
        assert KEY not in figures

    async def test_lists_of_models_are_free(self, open_house: Open) -> None:
        house = await self.house(open_house, requests_per_minute=1)
        for _ in range(3):
            assert (await house.get("/v1/models", x_api_key=KEY)).status == 200

    async def test_an_error_of_the_upstream_gives_its_place_back(self, open_house: Open) -> None:
        async def refuse(_inquiry: Inquiry) -> Outcome:
            raise Refused(Failure(kind="server", message="m", status=500), Report(request_id="r", model_asked="m"))

        house = await self.house(open_house, concurrency=1)
        house.dispatcher.answer = refuse
        for _ in range(3):
            told = await house.post("/v1/messages", x_api_key=KEY)
            assert told.status == 500

    async def test_who_hangs_up_gives_its_place_back(self, open_house: Open) -> None:
        house = await self.house(open_house, concurrency=1)
        begun, held = asyncio.Event(), asyncio.Event()

        async def hang(inquiry: Inquiry) -> Outcome:
            begun.set()
            await held.wait()
            return await echo(inquiry)

        house.dispatcher.answer = hang
        first = asyncio.create_task(house.post("/v1/messages", x_api_key=KEY))
        await begun.wait()
        crowded = await house.post("/v1/messages", x_api_key=KEY)
        assert (crowded.status, crowded.headers["Retry-After"]) == (429, "2")
        first.cancel()
        held.set()
        async with asyncio.timeout(SECONDS_MAX):
            while (await house.post("/v1/messages", x_api_key=KEY)).status != 200:  # noqa: ASYNC110 - it is a request
                await asyncio.sleep(0.01)

    async def test_no_more_than_the_limit_pass_together(self, open_house: Open) -> None:
        house = await self.house(open_house, requests_per_minute=7)
        answers = await asyncio.gather(*(house.post("/v1/messages", x_api_key=KEY) for _ in range(40)))
        assert sorted(answer.status for answer in answers) == [200] * 7 + [429] * 33

    async def test_usage_is_counted_once_the_stream_is_over(self, open_house: Open) -> None:
        async def answer(inquiry: Inquiry) -> Outcome:
            told = outcome(inquiry, chunked(b"data: 1\n\n"))
            told.report.model_served = "big"
            told.report.usage = Usage(input_uncached=10, cache_read=5, output=3, reasoning=2)
            return told

        house = await self.house(open_house, budgets=(Budget(per="day", tokens=2000),))
        house.dispatcher.answer = answer
        body = {"model": "big", "stream": True, "max_tokens": 0}
        for _ in range(3):
            await house.post("/v1/chat/completions", body, x_api_key=KEY)
        assert house.app.limits.spending.used("team", "day", time.time()).tokens == 60

    async def test_addresses_that_a_trusted_proxy_tells(self, open_house: Open) -> None:
        limits = RateLimits(ip=Rates(requests_per_minute=1))
        house = await open_house(limits=limits, trusted_proxies=("127.0.0.1",), keys=[KEY])
        for address, status in (("203.0.113.1", 200), ("203.0.113.2", 200), ("203.0.113.1", 429)):
            told = await house.post("/v1/messages", x_api_key=KEY, X_Forwarded_For=address)
            assert told.status == status

    async def test_each_answer_on_a_websocket_counts(self, open_house: Open) -> None:
        house = await self.house(open_house, requests_per_minute=1)
        async with house.session.ws_connect(f"{house.url}/v1/responses", headers={"x-api-key": KEY}) as socket:
            for _ in range(2):
                await socket.send_json({"type": "response.create", "model": "big", "input": "a", "store": False})
            told = b""
            async with asyncio.timeout(SECONDS_MAX):
                while b"this client key may make 1 requests a minute" not in told:
                    told = (await socket.receive()).data.encode()
        assert msgspec.json.decode(told)["type"] in {"error", "response.failed"}
        assert len(house.dispatcher.inquiries) == 1

    async def test_a_key_that_is_gone_is_gone_on_an_open_websocket_too(self, open_house: Open) -> None:
        house = await self.house(open_house)
        async with house.session.ws_connect(f"{house.url}/v1/responses", headers={"x-api-key": KEY}) as socket:
            house.edition = replace(house.edition, keys=ClientKeys.of([ClientKey(api_key=Secret("another-long-key"))]))
            await socket.send_json({"type": "response.create", "model": "big", "input": "a", "store": False})
            assert "not known here any more" in str((await socket.receive()).data)
        assert house.dispatcher.inquiries == []
