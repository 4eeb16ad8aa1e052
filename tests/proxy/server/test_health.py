from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.server.accounts import AccountState
from proxy.server.app import Quarantine

if TYPE_CHECKING:
    from tests.proxy.server.conftest import House, Open

KEY = "sk-a-long-random-word-1"


def account(state: str) -> AccountState:
    return AccountState(id="a-1", label="first", provider="anthropic", state=state)


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/health"])
async def test_it_is_alive_for_everybody(open_house: Open, path: str) -> None:
    house = await open_house(keys=[KEY])
    answer = await house.get(path, X_Forwarded_For="203.0.113.9")
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert (await house.ask("HEAD", path, None)).status == 200


@pytest.mark.parametrize(
    ("states", "status", "words"),
    [
        (["ready"], 200, "ready"),
        (["broken", "cooling"], 200, "ready"),
        (["broken", "disabled"], 503, "no credentials"),
        ([], 503, "no credentials"),
    ],
)
async def test_it_is_ready_while_somebody_may_serve(house: House, states: list[str], status: int, words: str) -> None:
    house.status.states = [account(state) for state in states]
    answer = await house.get("/readyz")
    assert (answer.status, answer.json) == (status, {"status": words})


async def test_the_detail_names_accounts_and_the_refused_reload(house: House) -> None:
    house.status.states = [
        AccountState(id="a-1", label="first", provider="anthropic", state="cooling", until=1_800_000_060.0, why="429")
    ]
    house.status.error = "config.yaml:3: port must be a number"
    house.status.broken = [Quarantine(file="a.json", why="is empty", is_served=True)]
    detail = (await house.get("/health?detail=1")).json
    assert detail.pop("version")
    assert detail == {
        "status": "ready",
        "uptime_seconds": 0.0,
        "requests_in_flight": 1,
        "workers": {"asked": 1, "running": 1},
        "config_error": "config.yaml:3: port must be a number",
        "accounts": [
            {
                "id": "a-1",
                "label": "first",
                "provider": "anthropic",
                "state": "cooling",
                "until": 1_800_000_060.0,
                "why": "429",
            }
        ],
        "quarantined": [{"file": "a.json", "why": "is empty", "is_served": True}],
    }


async def test_the_detail_is_for_this_machine_or_a_key(open_house: Open) -> None:
    house = await open_house(keys=[KEY])
    assert (await house.get("/health?detail=1")).status == 200
    stranger = await house.get("/health?detail=1", X_Forwarded_For="203.0.113.9")
    assert stranger.status == 401
    assert "accounts" not in stranger.json
    known = await house.get("/health?detail=1", X_Forwarded_For="203.0.113.9", Authorization=f"Bearer {KEY}")
    assert known.json["accounts"]
