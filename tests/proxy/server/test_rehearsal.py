"""What of a request is heard in a dry run. That it says what is done: ``tests/proxy/dispatch/test_rehearsal.py``; over
the management API: ``tests/management/resources/test_decisions.py``.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from auth.secret import Secret
from proxy.config.client_keys import ClientKey
from proxy.config.schema import Config
from proxy.dispatch.decision import Decision
from proxy.dispatch.inquiry import Inquiry
from proxy.errors import Malformed
from proxy.server.access import ClientKeys
from proxy.server.rehearsal import Rehearsal
from proxy.server.sessions import HEADER, Sessions
from proxy.server.wishes import Desk

BODY = b'{"model": "m", "messages": []}'
KEY = ClientKey(api_key=Secret("the-key-of-ann-1"), name="ann", models=("m",), strict=True)


class Stand:
    def __init__(self) -> None:
        self.heard: list[Inquiry] = []
        self.sessions = Sessions()
        desk = Desk(sessions=self.sessions, takes_own_keys=False, now=0.0, new_id=lambda: "new")
        edition = SimpleNamespace(keys=ClientKeys.of([KEY]), config=Config())
        self.app = cast("Any", SimpleNamespace(edition=lambda: edition, desk=lambda _now: desk))
        self.rehearsal = Rehearsal(self.app, self, lambda: 0.0)

    def explain(self, inquiry: Inquiry) -> Decision:
        self.heard.append(inquiry)
        return Decision(chosen=None, rule="nobody", now=0.0)

    def ask(self, headers: dict[str, str], key: str = "") -> Inquiry:
        self.rehearsal.explain(
            BODY, model="m", wire="openai_chat", operation="generate", is_stream=False, headers=headers, key=key
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
