from __future__ import annotations

import pytest

from proxy.config.client_keys import Rates
from proxy.dispatch.reach import EVERYTHING, Reach
from proxy.server.access import Client
from proxy.server.limits import Caller
from proxy.workers.messages import Papers
from proxy.workers.papers import stand
from proxy.workers.scope import Scope, stands_alone

BASE = """
openai-compatibility:
  - {name: lab, base-url: "http://127.0.0.1:9/v1", api-key-entries: [{api-key: sk-lab}], models: [{name: m}, {name: n}]}
  - {name: narrow, base-url: "http://127.0.0.1:9/v1", models: [{name: m, alias: narrow}, {name: n}],
     api-key-entries: [{api-key: sk-narrow, concurrency: 1}]}
"""


def scope(more: str = "", *, is_real: bool = True) -> Scope:
    papers = Papers(number=1, config=(BASE + more).encode(), host="127.0.0.1", port=1, is_real=is_real)
    return Scope(stand(papers, lambda _credential: False))


def caller(**more: object) -> Caller:
    return Caller(client=Client(name="c", is_keyed=True), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "is_served"),
    [
        ("m", True),
        ("m(high)", True),
        ("narrow", False),  # it has a count of requests under way
        ("n", False),  # so has one of those who serve it
        ("unknown", False),  # to refuse it is the owner's business
    ],
)
def test_a_model_is_served_where_all_who_have_it_are_plain(model: str, *, is_served: bool) -> None:
    found = scope()
    for _ in range(2):
        assert found.serves(model, "openai_chat", EVERYTHING) is is_served
        assert found.serves(model, "anthropic", EVERYTHING) is is_served


def test_it_is_judged_by_what_the_client_sees() -> None:
    assert scope().serves("n", "openai_chat", Reach((), ("lab",)))
    assert not scope().serves("m", "openai_chat", Reach(("n",), ()))


def test_those_who_would_go_on_in_its_place_count() -> None:
    chain = "routing: {fallbacks: {m: [%s]}}\n"
    assert not scope(chain % "narrow").serves("m", "openai_chat", EVERYTHING)
    assert scope(chain % "nobody-has-it").serves("m", "openai_chat", EVERYTHING)


@pytest.mark.parametrize(
    ("content", "is_alone"),
    [
        (b'{"model":"m","input":"hi","store":false}', True),
        (b'{"model":"m","input":"hi","store":true}', False),
        (b'{"model":"m","input":"hi"}', False),
        (b'{"model":"m","input":"hi","store":false,"previous_response_id":"resp_1"}', False),
        (b'{"model":"m","input":[{"type":"item_reference","id":"msg_1"}],"store":false}', False),
    ],
)
def test_of_responses_those_that_nobody_keeps(content: bytes, *, is_alone: bool) -> None:
    assert stands_alone(content) is is_alone


@pytest.mark.parametrize("limit", ["ip", "session"])
def test_whoever_is_limited_is_the_owners(limit: str) -> None:
    assert scope().admits(caller())
    assert not scope().admits(caller(**{limit: Rates(requests_per_minute=1)}))
    client = Client(name="c", is_keyed=True, rates=Rates(concurrency=1))
    assert not scope().admits(Caller(client=client))


@pytest.mark.parametrize(
    ("more", "is_real"),
    [
        ("", False),
        ("request-log: true\n", True),
        ("api-keys: [{api-key: a-long-client-key, budgets: [{quota-percent: 20}]}]\n", True),
    ],
)
def test_sometimes_everything_is(more: str, *, is_real: bool) -> None:
    assert not scope(more, is_real=is_real).admits(caller())
