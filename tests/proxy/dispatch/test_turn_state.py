from __future__ import annotations

import msgspec
import pytest
from multidict import CIMultiDict

from auth.credential import Credential
from proxy.dispatch.affinity import Affinity
from proxy.dispatch.decision import Candidate
from proxy.dispatch.inquiry import Inquiry, Said
from proxy.dispatch.turn_state import (
    HEADER,
    brought_in,
    event,
    given_by,
    is_brought,
    keep_apart,
    told_in,
)
from proxy.providers import codex
from proxy.upstream.base import Call, Spoken
from proxy.upstream.line import Line
from tests.proxy.dispatch.conftest import Lab

NOW = 100.0
SAID = b'{"type":"response.create", "input":[1.00],"client_metadata":{"x-codex-turn-state":"s-1","turn_id":"t"}}'


def inquiry(*, headers: dict[str, str] | None = None, said: bytes = b"") -> Inquiry:
    fields = {"said": Said(line=Line(), headers=CIMultiDict(), members={})} if said else {}
    asked = Lab.inquiry(
        "openai_responses", {"model": "gpt-5.5"}, headers=CIMultiDict(headers or {}), client="team", **fields
    )
    asked.body = said or asked.body
    return asked


def states(client: str = "team") -> Affinity:
    """The account "harbour" has given s-1."""
    affinity = Affinity()
    harbour = Candidate(codex.PROVIDER, Credential(id="harbour", provider="codex", label="harbour"), "gpt-5.5")
    affinity.keep_turn(client, "s-1", harbour, NOW)
    return affinity


def call() -> Call:
    headers = (("Accept", "*/*"), (HEADER.title(), "s-1"))
    return Call(
        method="POST", url="http://x", headers=headers, body=SAID,
        spoken=Spoken(line=Line(), headers=headers, message=SAID),
    )  # fmt: skip


def test_another_account_is_not_shown_it() -> None:
    asked = call()
    keep_apart(asked, states(), inquiry(), "quay", NOW)
    left = b'{"type":"response.create","input":[1.00],"client_metadata":{"turn_id":"t"}}'
    assert asked.spoken is not None
    assert (asked.headers, asked.body) == ((("Accept", "*/*"),), left)
    assert (asked.spoken.headers, asked.spoken.message) == ((("Accept", "*/*"),), left)


@pytest.mark.parametrize(
    ("affinity", "account", "now"),
    [
        (states(), "harbour", NOW),
        (Affinity(), "quay", NOW),
        (states("others"), "quay", NOW),
        (states(), "quay", NOW + 7 * 3600),
    ],
    ids=["it is its own", "nobody knows whose it is", "it is another client's", "long ago"],
)
def test_otherwise_each_byte_stays(affinity: Affinity, account: str, now: float) -> None:
    asked = call()
    keep_apart(asked, affinity, inquiry(), account, now)
    assert asked.spoken is not None
    assert (asked.headers, asked.body) == (call().headers, SAID)
    assert (asked.spoken.headers, asked.spoken.message) == (call().headers, SAID)


def test_where_a_client_brings_it() -> None:
    assert is_brought(inquiry(headers={HEADER: "s"}))
    assert is_brought(inquiry(said=SAID))
    assert not is_brought(inquiry())
    assert not is_brought(inquiry(said=b"{}"))


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (SAID, "s-1"),
        (b"{}", ""),
        (b'{"input":"x-codex-turn-state"}', ""),
        (b'{"client_metadata":{"x-codex-turn-state":1}}', ""),
        (b'{"client_metadata":["x-codex-turn-state"]}', ""),
        (b'{"client_metadata":{"x-codex-turn-state', ""),
    ],
)
def test_in_a_body_it_stands_in_one_place(body: bytes, state: str) -> None:
    assert brought_in(body) == state


def test_what_an_answer_gives() -> None:
    over_socket, over_http = inquiry(said=SAID), inquiry()
    told = b'{"type":"response.metadata","headers":{"a":"b","x-codex-turn-state":"s\\"2"}}\n{"type":"response.created"}'
    assert given_by(CIMultiDict({HEADER: "s-1"}), b"", over_http) == "s-1"
    assert given_by({}, told, over_socket) == 's"2'
    assert given_by({}, told, over_http) == "", "there it stands in the header"
    assert given_by({}, b'{"type":"response.created","x-codex-turn-state":"s"}', over_socket) == ""


def test_the_event_is_read_as_it_is_told() -> None:
    assert msgspec.json.decode(event("s\n1")) == {"type": "response.metadata", "headers": {HEADER: "s\n1"}}
    assert told_in(event("s\n1")) == "s\n1"
