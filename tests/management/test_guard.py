"""Who may use the management API."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from management.guard import Visitor, admit
from management.key_ring import HERE, KeyRing
from management.refusal import Refusal

KEY = "the-right-key"
WITH_KEY = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def ring() -> KeyRing:
    ring = KeyRing()
    ring.use(stored=KEY)
    return ring


async def status(
    ring: KeyRing, headers: dict[str, str], *, is_local: bool = True, allows_remote: bool = False, method: str = "PUT"
) -> int:
    visitor = Visitor(
        peer=("127.0.0.1", 1),
        site=HERE,
        is_local=is_local,
        method=method,
        headers=CIMultiDict({"Host": "127.0.0.1:8317", **headers}),
    )
    try:
        await admit(visitor, ring, allows_remote=allows_remote)
    except Refusal as refusal:
        return refusal.status if set(refusal.body) == {"error"} else 0
    return 200


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        (WITH_KEY, 200),
        ({"authorization": f"bearer   {KEY}"}, 200),
        ({"X-Management-Key": KEY}, 200),
        ({}, 401),
        ({"Authorization": KEY}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"X-Management-Key": "wrong"}, 401),
        ({"Cookie": f"key={KEY}", "X-Api-Key": KEY}, 401),
    ],
)
async def test_the_key_has_two_places(ring: KeyRing, headers: dict[str, str], wanted: int) -> None:
    assert await status(ring, headers) == wanted


async def test_T01_only_the_connection_says_what_is_local(ring: KeyRing) -> None:
    assert await status(ring, WITH_KEY, is_local=False) == 403
    assert await status(ring, WITH_KEY, is_local=False, allows_remote=True) == 200
    assert await status(ring, {**WITH_KEY, "X-Forwarded-For": "127.0.0.1"}, is_local=False) == 403


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "page",
    [
        {"Origin": "https://attacker.test"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_T04_a_page_of_another_site_changes_nothing_even_with_the_key(
    ring: KeyRing, page: dict[str, str], method: str
) -> None:
    assert await status(ring, {**WITH_KEY, **page}, method=method) == 403


async def test_T04_a_form_is_no_request_of_the_panel(ring: KeyRing) -> None:
    mine = {**WITH_KEY, "Origin": "http://127.0.0.1:8317", "Sec-Fetch-Site": "same-origin"}
    assert await status(ring, {**mine, "Content-Type": "application/json"}) == 200
    assert await status(ring, {**mine, "Content-Type": "text/plain"}) == 415
    assert await status(ring, {**mine, "Content-Type": "application/x-www-form-urlencoded"}) == 415
    curl = {**WITH_KEY, "Content-Type": "application/x-www-form-urlencoded"}
    assert await status(ring, curl) == 200


async def test_T06_a_missing_key_is_no_guess(ring: KeyRing) -> None:
    for _ in range(1000):
        assert await status(ring, {"Sec-Fetch-Site": "none"}) == 401
    assert ring._by_site.of(HERE) == 0
    assert await status(ring, WITH_KEY) == 200
