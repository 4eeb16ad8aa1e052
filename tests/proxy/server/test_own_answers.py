"""What a client that may not go everywhere is told: there is nothing else."""

from __future__ import annotations

import pytest

from auth.secret import Secret
from proxy.config.client_keys import ClientKey
from proxy.server.accounts import AccountState
from tests.proxy.server.conftest import House, Open

KEY, OPEN_KEY = "a-good-long-key-of-the-team", "a-good-long-key-of-everybody"
FAR = {"X_Forwarded_For": "203.0.113.9"}


@pytest.fixture
async def house(open_house: Open) -> House:
    limited = ClientKey(api_key=Secret(KEY), name="team", models=("vendor/*",), accounts=("a-1",))
    house = await open_house(keys=[limited, OPEN_KEY])
    house.status.states = [
        AccountState(id="a-1", label="first", provider="anthropic", state="ready"),
        AccountState(id="a-2", label="second", provider="openai", state="cooling", until=1_800_000_060.0),
    ]
    return house


@pytest.mark.parametrize(("path", "field"), [("/v1/models", "id"), ("/v1beta/models", "name")])
async def test_lists_of_models_hold_what_may_be_asked_for(house: House, path: str, field: str) -> None:
    async def listed(key: str) -> list[str]:
        told = (await house.get(path, x_api_key=key, Authorization=f"Bearer {key}")).json
        models = told.get("data", told.get("models"))
        return [each[field].removeprefix("models/") for each in models]  # type: ignore[index, union-attr, call-overload]

    assert await listed(KEY) == ["vendor/small"]
    assert await listed(OPEN_KEY) == ["big", "vendor/small"]


async def test_one_model_is_there_or_not(house: House) -> None:
    assert (await house.get("/v1/models/vendor/small", x_api_key=KEY)).status == 200
    assert (await house.get("/v1/models/big", x_api_key=KEY)).status == 404


async def test_codex_hears_of_the_accounts_that_serve_it(house: House) -> None:
    async def is_told(key: str) -> object:
        limit = (await house.get("/api/codex/usage", x_api_key=key)).json["rate_limit"]
        return limit["primary_window"]  # type: ignore[index, call-overload]

    assert await is_told(KEY) is None
    assert await is_told(OPEN_KEY)


async def test_the_detail_of_health_names_nobody_else(house: House) -> None:
    async def labels(key: str) -> list[str]:
        told = (await house.get("/health?detail=1", x_api_key=key, **FAR)).json["accounts"]
        return [each["label"] for each in told]  # type: ignore[index, union-attr, call-overload]

    assert await labels(KEY) == ["first"]
    assert await labels(OPEN_KEY) == ["first", "second"]


async def test_figures_of_all_are_not_for_who_sees_some(house: House) -> None:
    assert (await house.get("/metrics", x_api_key=OPEN_KEY, **FAR)).status == 200
    assert (await house.get("/metrics", x_api_key=KEY, **FAR)).status == 403


async def test_the_dispatcher_is_told_how_far_a_client_may_go(house: House) -> None:
    await house.post("/v1/messages", x_api_key=KEY)
    (inquiry,) = house.dispatcher.inquiries
    assert (inquiry.reach.models, inquiry.reach.accounts) == (("vendor/*",), ("a-1",))


async def test_a_key_is_bound_to_where_a_trusted_proxy_says_its_client_is(open_house: Open) -> None:
    key = ClientKey(api_key=Secret(KEY), networks=("203.0.113.0/24",))
    house = await open_house(keys=[key], trusted_proxies=("127.0.0.1",))
    assert (await house.post("/v1/messages", x_api_key=KEY, **FAR)).status == 200
    away = await house.post("/v1/messages", x_api_key=KEY, X_Forwarded_For="203.0.113.9, 198.51.100.7")
    assert (away.status, away.error["type"]) == (403, "permission_error")
    assert (await house.post("/v1/messages", x_api_key=KEY)).status == 403


async def test_a_list_that_the_client_has_is_not_told_again(house: House) -> None:
    for path in ("/v1/models", "/v1beta/models", "/v1/models/big", "/v1/models?client_version=1"):
        first = await house.get(path, x_api_key=OPEN_KEY)
        mark = first.headers["ETag"]
        for known in (mark, f'"other", W/{mark}', "*"):
            again = await house.get(path, x_api_key=OPEN_KEY, If_None_Match=known)
            assert (again.status, again.body, again.headers["ETag"]) == (304, b"", mark)
            assert again.headers["X-Request-ID"]
        assert (await house.get(path, x_api_key=OPEN_KEY, If_None_Match='"other"')).body == first.body
    assert "ETag" not in (await house.get("/")).headers
    mark = (await house.get("/v1/models", x_api_key=OPEN_KEY)).headers["ETag"]
    assert (await house.get("/v1/models", x_api_key=KEY, If_None_Match=mark)).status == 200, "another key sees less"
