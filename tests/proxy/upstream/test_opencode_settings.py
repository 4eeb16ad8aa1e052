"""OpenCode's settings: all that a caller asks, and nothing that it would fill in."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.upstream.acp_profile import Place
from proxy.upstream.base import Call
from proxy.upstream.opencode_settings import PROFILE

PLACE = Place(relay="http://127.0.0.1:1/key", key="key", instructions="/x/instructions.md", talks="/x/talks")


def settings(**body: Any) -> bytes:
    told = {"model": "big", "messages": [{"role": "user", "content": "Who?"}], **body}
    return PROFILE.read(Call(method="POST", url="", body=msgspec.json.encode(told), model="vendor/big")).settings


def test_what_is_asked_besides_goes_into_the_body() -> None:
    told = msgspec.json.decode(settings(seed=7, reasoning_effort="low"))
    model = told["provider"]["account"]["models"]["vendor/big"]
    assert told["model"] == "account/vendor/big"
    assert model["options"] == {"max_tokens": None, "seed": 7, "reasoningEffort": "low"}
    limited = msgspec.json.decode(settings(max_tokens=5))
    assert limited["provider"]["account"]["models"]["vendor/big"]["options"] == {"max_tokens": 5}


def test_what_it_would_fill_in_is_spelled_so_that_it_does_not() -> None:
    words = "{file:/etc/passwd} and {env:HOME} and {other}"
    raw = settings(messages=[{"role": "system", "content": words}, {"role": "user", "content": "x"}], stop=["{env:X}"])
    assert b"{file:" not in raw
    assert b"{env:" not in raw
    told = msgspec.json.decode(raw)
    assert told["agent"]["caller"]["prompt"] == words
    assert told["provider"]["account"]["models"]["vendor/big"]["options"]["stop"] == ["{env:X}"]


def test_nothing_of_its_own_is_left() -> None:
    told = msgspec.json.decode(settings())
    assert told["agent"]["caller"]["tools"] == {"*": False, "api_*": True}
    assert {name for name, each in told["agent"].items() if each != {"disable": True}} == {"caller"}
    variables = PROFILE.variables(PLACE)
    alike = msgspec.json.decode(variables["OPENCODE_CONFIG_CONTENT"])
    assert alike["permission"] == {"*": "deny", "api_*": "allow"}
    assert alike["provider"]["account"]["options"] == {"baseURL": PLACE.relay, "apiKey": "key"}
    assert variables["OPENCODE_SERVER_PASSWORD"] == "key"
    assert variables["OPENCODE_CONFIG"] == "/x/talks/settings.json"
