from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.providers.base import Model
from proxy.server.accounts import AccountState
from proxy.server.codex import account as its_account
from proxy.server.codex import catalogue, usage

if TYPE_CHECKING:
    from tests.proxy.server.conftest import House

NOW = 1_800_000_000.0


def account(number: int, state: str, until: float | None = None) -> AccountState:
    return AccountState(id=f"a-{number}", label=f"account {number}", provider="openai", state=state, until=until)


class Listing:
    def models(self) -> tuple[Model, ...]:
        return (
            Model(
                id="claude-opus-5", display_name="Opus", context_tokens=1_000_000, modalities=("text", "image", "pdf")
            ),
            Model(id="gpt-5.5", context_tokens=272_000),
            Model(id="harbour"),
        )


def test_the_catalogue_leaves_out_what_codex_knows_better() -> None:
    opus, harbour = catalogue(Listing())["models"]  # type: ignore[misc, union-attr]  # two objects
    assert (opus["slug"], opus["context_window"], opus["input_modalities"]) == (
        "claude-opus-5", 1_000_000, ["text", "image"],
    )  # fmt: skip
    assert (harbour["slug"], harbour["display_name"], "context_window" in harbour) == ("harbour", "harbour", False)
    assert opus["base_instructions"]


def test_a_rested_pool_has_no_window() -> None:
    assert usage([account(1, "ready"), account(2, "disabled")], NOW)["rate_limit"] == {
        "allowed": True, "limit_reached": False, "primary_window": None, "secondary_window": None,
    }  # fmt: skip


def test_the_share_that_rests_and_when_the_first_is_back() -> None:
    told = usage([account(1, "ready"), account(2, "cooling", NOW + 90), account(3, "cooling", NOW + 30)], NOW)
    limit = told["rate_limit"]
    assert isinstance(limit, dict)
    assert (limit["allowed"], limit["limit_reached"]) == (True, False)
    assert limit["primary_window"] == {
        "used_percent": 67, "limit_window_seconds": 30, "reset_after_seconds": 30, "reset_at": round(NOW) + 30,
    }  # fmt: skip


def test_nobody_is_left() -> None:
    limit = usage([account(1, "cooling", NOW + 60), account(2, "broken")], NOW)["rate_limit"]
    assert isinstance(limit, dict)
    assert (limit["allowed"], limit["limit_reached"]) == (False, True)


async def test_the_routes(house: House) -> None:
    for path in ("/v1/models?client_version=0.169.0", "/backend-api/codex/models?client_version=0.169.0"):
        models = (await house.get(path)).json["models"]
        assert [each["slug"] for each in models] == ["big", "vendor/small"]  # type: ignore[index, union-attr]
    for path in ("/api/codex/usage", "/backend-api/wham/usage"):
        assert (await house.get(path)).json["plan_type"] == "team"


def test_its_account_is_the_one_that_it_names() -> None:
    told = its_account({"chatgpt-account-id": "theirs"})
    (entry,) = told["accounts"]  # type: ignore[misc, union-attr]  # one object
    assert (entry["id"], told["default_account_id"], told["account_ordering"]) == ("theirs", "theirs", ["theirs"])
    assert entry["workspace_backend_origin"] == "https://chatgpt.com"
    assert its_account({})["default_account_id"] == "proxy"


@pytest.mark.parametrize("head", ["/api/codex", "/backend-api/wham"])
async def test_what_it_asks_of_its_account(house: House, head: str) -> None:
    told = (await house.get(f"{head}/accounts/check", chatgpt_account_id="theirs")).json
    assert told["default_account_id"] == "theirs"
    assert (await house.get(f"{head}/settings/user")).json == {}
    assert house.dispatcher.inquiries == []


async def test_half_a_websocket_handshake_sends_codex_over_to_http(house: House) -> None:
    refused = await house.get("/backend-api/codex/responses", Connection="Upgrade", Upgrade="websocket")
    assert (refused.status, refused.error["code"]) == (426, "websocket_not_served")


async def test_claude_codes_probes_cost_nothing(house: House) -> None:
    assert (await house.ask("HEAD", "/api/hello", None)).status == 200
    assert (await house.post("/api/event_logging/v2/batch", {"events": []})).status == 200
    assert house.dispatcher.inquiries == []
