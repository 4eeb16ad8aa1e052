"""What of a request is heard in a dry run, and that of any client key it says what comes of its terms.

Of any pool: ``tests/proxy/dispatch/test_rehearsal.py``; over the API: ``tests/management/resources/test_decisions.py``.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from multidict import CIMultiDict

from auth.secret import Secret
from management import key_ring
from proxy.config.client_keys import ClientKey
from proxy.config.schema import Config
from proxy.dispatch.clock import Clock
from proxy.dispatch.decision import Decision
from proxy.dispatch.draft import Draft
from proxy.dispatch.inquiry import Inquiry, Refused
from proxy.errors import AccessDenied, Malformed
from proxy.observe.usage import Used
from proxy.server.access import ClientKeys
from proxy.server.app import Edition
from proxy.server.limits import Grant, Limits
from proxy.server.rehearsal import Rehearsal
from proxy.server.sessions import HEADER, Sessions
from proxy.server.wishes import Desk
from tests.management.conftest import KEY as MANAGEMENT_KEY
from tests.management.conftest import Stage, opened
from tests.proxy.server.conftest import FakeListing

BODY = b'{"model": "m", "messages": []}'
KEY = ClientKey(api_key=Secret("the-key-of-ann-1"), name="ann", models=("m",), strict=True)


class Stand:
    def __init__(self) -> None:
        self.heard: list[Inquiry] = []
        self.sessions = Sessions()
        desk = Desk(sessions=self.sessions, takes_own_keys=False, now=0.0, new_id=lambda: "new")
        edition = Edition(config=Config(), keys=ClientKeys.of([KEY]), listing=FakeListing())
        self.app = cast(
            "Any",
            SimpleNamespace(edition=lambda: edition, desk=lambda _now: desk, limits=Limits(), now=lambda: 0.0),
        )
        self.rehearsal = Rehearsal(self.app, self, lambda: 0.0)

    def explain(self, inquiry: Inquiry) -> Decision:
        self.heard.append(inquiry)
        return Decision(chosen=None, rule="nobody", now=0.0)

    def ask(self, headers: dict[str, str], key: str = "") -> Inquiry:
        self.rehearsal.explain(
            Draft(
                body=BODY,
                model="m",
                wire="openai_chat",
                operation="generate",
                is_stream=False,
                headers=headers,
                key=key,
                address="",
            )
        )
        return self.heard[-1]


def test_of_the_asker_nothing_goes_along_but_what_the_request_would_say() -> None:
    heard = Stand().ask({"Authorization": "Bearer the-management-key", "X-Management-Key": "k", "X-Session-Id": "s"})
    assert dict(heard.headers) == {"X-Session-Id": "s"}
    assert (heard.client, heard.is_strict) == ("", False)


def test_it_is_the_named_client_with_all_that_its_key_says() -> None:
    heard = Stand().ask({}, key="ann")
    assert (heard.client, heard.reach.models, heard.is_strict) == ("ann", ("m",), True)
    with pytest.raises(LookupError):
        Stand().ask({}, key="bob")


def test_no_session_begins() -> None:
    stand = Stand()
    heard = stand.ask({HEADER: "mine"})
    assert heard.session == "mine"
    assert len(stand.sessions) == 0
    stand.sessions.resume("", "mine", 0.0, lambda: "new")
    assert len(stand.sessions.copy()) == 1


def test_what_its_client_would_be_told_is_told() -> None:
    with pytest.raises(Malformed, match="own-provider-keys is off"):
        Stand().ask({"X-OpenAI-API-Key": "sk-of-the-client"})


ROUNDS = max(25, int(os.environ.get("PROXY_FAULT_ROUNDS", "2")))
MODELS = ("sandbox-gpt", "sandbox-claude", "sandbox-limited", "no-such-model")
PLACES = ("127.0.0.1", "127.0.0.2", "127.0.0.9")
DAY = 86400.0
PRICES = "sandbox-gpt: {input: 1, output: 2}\nsandbox-claude: {input: 1000, output: 2000}\n"
DIALECTS = {"openai_chat": "/v1/chat/completions", "anthropic": "/v1/messages"}


@dataclass
class Time:
    """Stands still, but for steps and for who waits: what is told of it can be compared to the letter."""

    passed: float = 0.0
    began: float = field(default_factory=time.time)

    def monotonic(self) -> float:
        return 1_000_000.0 + self.passed

    def unix(self) -> float:
        return self.began + self.passed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.passed += seconds


@dataclass(frozen=True)
class Said:
    """One request. `key`: of those that there are."""

    key: int
    model: str
    wire: str
    place: str
    session: str
    size: int
    is_stream: bool

    @property
    def body(self) -> dict[str, Any]:
        messages = [{"role": "user", "content": "x " * self.size}]
        return {"model": self.model, "max_tokens": 9, "messages": messages, "stream": self.is_stream}

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Session-Id": self.session} if self.session else {}


class Theatre:
    """A running server; worlds follow each other in it, each with keys of its own."""

    def __init__(self, runner: asyncio.Runner, stage: Stage, time: Time) -> None:
        self.runner, self.stage, self.time = runner, stage, time
        self.head = stage.config.read_text()
        self.worlds = itertools.count()
        self.grants: list[Grant] = []
        self.keys: list[str] = []

    async def reset(self, keys: list[dict[str, Any]], limits: dict[str, Any]) -> None:
        number, at = next(self.worlds), self.time.unix()
        self.keys = [f"the-key-{each}-of-world-{number}" for each in range(len(keys))]
        listed: list[dict[str, Any]] = [
            {"api-key": name, **key, "name": name} for name, key in zip(self.keys, keys, strict=True)
        ]
        for each in listed:
            if "expires" in each:
                each["expires"] = datetime.fromtimestamp(at + each["expires"], UTC).isoformat()
        settings = (
            f"{name}: {msgspec.json.encode(value).decode()}\n"
            for name, value in (("api-keys", listed), ("limits", limits))
        )
        self.stage.config.write_text(self.head + "".join(settings))
        await self.stage.house._reloader.look()  # type: ignore[union-attr]
        assert self.stage.house.reload_error() is None

    def state(self) -> object:
        house = self.stage.house
        return house.clientele.standings(house.config)

    def hold(self, said: Said) -> None:
        """A request that is under way for a while."""
        house, keys = self.stage.house, self.stage.house.standpoint.edition.keys
        body, model = msgspec.json.encode(said.body), said.model
        with suppress(Refused, AccessDenied):
            caller = house.standpoint.edition.caller(keys.named(self.keys[said.key % len(self.keys)]), said.place)
            inquiry = Inquiry(
                request_id="", wire=said.wire, operation="generate", model=model, is_stream=True, body=body,
                headers=CIMultiDict(said.headers), query={}, client=caller.client.name, reach=caller.client.reach,
            )  # fmt: skip
            if grant := house.clientele.limits.admit(caller, inquiry):
                self.grants.append(grant)

    def end(self) -> None:
        """What is under way ends, as it was believed."""
        for grant in self.grants:
            grant.settle(
                Used(
                    at=0.0, request_id="", route="", operation="generate", status=200, seconds=1.0, wire_out="anthropic"
                )
            )
        self.grants.clear()

    async def ask(self, said: Said) -> None:
        name = self.keys[said.key % len(self.keys)]
        path = f"/explain?key={name}&address={said.place}&wire={said.wire}"
        before = self.state()
        dry = [await self.stage.ask("POST", path, said.body, **said.headers) for _ in range(2)]
        assert self.state() == before, "a dry run changes nothing"
        assert dry[0].body == dry[1].body
        status, told, account = await self.really(said, name)
        foretold = dry[0].json
        if dry[0].status != 200:
            assert (dry[0].status, foretold["error"]) == (status, told)
        elif refusal := foretold.get("refusal"):
            assert (refusal["status"], refusal["message"]) == (status, told)
        elif foretold["chosen"] is None:
            assert status in {429, 503}
        else:
            assert foretold["chosen"]["account"] == account
        event(told[:26] if status != 200 else foretold["rule"])

    async def really(self, said: Said, name: str) -> tuple[int, str, str]:
        """Status, the error's message, and the first account that was asked."""
        plain = self.stage.house.config.api_keys[self.keys.index(name)].api_key.reveal()
        request_id = f"r-{next(self.worlds)}"
        headers = {
            "X-Request-Id": request_id,
            "Content-Type": "application/json",
            "Authorization": f"Bearer {plain}",
            **said.headers,
        }
        connector = aiohttp.TCPConnector(local_addr=(said.place, 0))
        async with (
            aiohttp.ClientSession(connector=connector, headers=headers) as session,
            session.post(self.stage.url + DIALECTS[said.wire], data=msgspec.json.encode(said.body)) as answer,
        ):
            content = await answer.read()
        past = await self.stage.ask("GET", f"/explain/{request_id}")
        decisions = past.json["decisions"] if past.status == 200 else []
        first = next((each["chosen"]["account"] for each in decisions if each["chosen"]), "")
        return answer.status, "" if answer.status == 200 else msgspec.json.decode(content)["error"]["message"], first


@pytest.fixture
def theatre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Theatre]:
    still = Time()
    monkeypatch.setattr(
        "proxy.house.Clock", lambda: Clock(monotonic=still.monotonic, unix=still.unix, sleep=still.sleep)
    )
    monkeypatch.setattr("proxy.house.time", SimpleNamespace(time=still.unix))
    monkeypatch.delenv("MANAGEMENT_PASSWORD", raising=False)
    accounts = tmp_path / "accounts"
    accounts.mkdir(mode=0o700)
    (accounts / "prices.yaml").write_text(PRICES)
    stored = key_ring.hashed(MANAGEMENT_KEY, 4)
    text = f"auth-dir: {accounts}\nremote-management:\n  secret-key: '{stored}'\n"
    with asyncio.Runner() as runner:
        running = opened(tmp_path, text)
        yield Theatre(runner, runner.run(running.__aenter__()), still)
        runner.run(running.__aexit__(None, None, None))


few = st.sampled_from([0, 0, 1, 2])
rates = st.fixed_dictionaries(
    {},
    optional={
        "requests-per-minute": few,
        "tokens-per-minute": st.sampled_from([0, 40, 3000]),
        "concurrency": few,
    },
)
budgets = st.builds(
    lambda per, limit: {"per": per, **limit},
    st.sampled_from(["day", "week", "month"]),
    st.sampled_from([{"tokens": 30}, {"tokens": 1000}, {"tokens": 5000}, {"dollars": 0.0001}, {"dollars": 0.5}]),
)
fatal = {
    "models": ["sandbox-gpt"],
    "accounts": ["sandbox-claude"],
    "expires": -1.0,
    "networks": ["10.0.0.0/8"],
    "api-key": "changeme",
}
"""With which it may nothing, or next to it."""
keys = st.builds(
    lambda terms, own, which: {**terms, **own, **({which: fatal[which]} if which in fatal else {})},
    st.fixed_dictionaries(
        {},
        optional={
            "models": st.just(["sandbox-*"]),
            "accounts": st.sampled_from([["sandbox-gpt", "sandbox-limited"], ["sandbox-*"]]),
            "expires": st.sampled_from([45.0, 2 * DAY, 60 * DAY]),
            "networks": st.sampled_from([["127.0.0.2", "127.0.0.9"], ["127.0.0.0/30"]]),
            "budgets": st.lists(budgets, max_size=2),
        },
    ),
    rates,
    st.sampled_from([*fatal, *[""] * 15]),
)
limits = st.fixed_dictionaries({}, optional={"key": rates, "ip": rates, "session": rates})
requests = st.builds(
    Said,
    key=st.integers(0, 2),
    model=st.sampled_from([*MODELS[:2], *MODELS]),
    wire=st.sampled_from([*DIALECTS]),
    place=st.sampled_from(PLACES),
    session=st.sampled_from(["", "s", "t"]),
    size=st.sampled_from([1, 100, 2000]),
    is_stream=st.booleans(),
)
steps = st.one_of(
    *[st.builds(lambda said: lambda theatre: theatre.runner.run(theatre.ask(said)), requests)] * 4,
    st.builds(lambda said: lambda theatre: theatre.hold(said), requests),
    st.just(lambda theatre: theatre.end()),
    st.builds(
        lambda seconds: lambda theatre: setattr(theatre.time, "passed", theatre.time.passed + seconds),
        st.sampled_from([1.0, 30.0, 61.0, DAY, 8 * DAY]),
    ),
)


@given(
    keys=st.lists(keys, min_size=1, max_size=3, unique_by=lambda each: each.get("api-key", object())),
    limits=limits,
    script=st.lists(steps, min_size=5, max_size=20),
)
@settings(
    max_examples=ROUNDS,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_is_said_of_a_key_is_what_its_client_is_told(
    theatre: Theatre, keys: list[dict[str, Any]], limits: dict[str, Any], script: list[Callable[[Theatre], object]]
) -> None:
    """The same refusal to the letter, or the same account first."""
    theatre.runner.run(theatre.reset(keys, limits))
    for step in script:
        step(theatre)
    theatre.end()
