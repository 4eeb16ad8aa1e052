from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey

from auth import refresh
from auth.refresh import Keeper, due_at, lead_seconds
from auth.refusal import Refused
from auth.secret import Secret
from auth.service_account import SCOPE, ServiceKey, Signed, Signer, claim
from auth.tokens import Token
from tests.auth.token_server import TokenServer
from tests.pace import SECONDS_MAX

OWN = RSAKey.generate_key(2048)
PEM = OWN.as_pem(private=True).decode()


GOOGLE = "https://oauth2.googleapis.com/token"


def fields(token_url: str = GOOGLE, **instead: str) -> dict[str, str]:
    """A key file as Google gives it."""
    return {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "key-1",
        "private_key": PEM,
        "client_email": "robot@p.iam.gserviceaccount.com",
        "token_uri": token_url,
        **instead,
    }


class Google:
    """Gives a token for a claim that is signed by the account, for it, and within the hour; and remembers them."""

    def __init__(self, server: TokenServer) -> None:
        self.server = server
        self.clock = time.time
        self.claims: list[dict[str, Any]] = []
        self.may = asyncio.Event()
        self.may.set()
        server.act = self.judge

    async def judge(self, form: dict[str, str]) -> web.Response:
        await self.may.wait()
        now = self.clock()
        headers = {"Date": formatdate(now, usegmt=True)}
        token = jwt.decode(form["assertion"], RSAKey.import_key(OWN.as_pem(private=False)), algorithms=["RS256"])
        self.claims.append(token.claims)
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        assert token.header == {"typ": "JWT", "alg": "RS256", "kid": "key-1"}
        assert token.claims["aud"] == self.server.url
        assert (token.claims["iss"], token.claims["scope"]) == ("robot@p.iam.gserviceaccount.com", SCOPE)
        if not now - 3600 < token.claims["iat"] < now + 60 or token.claims["exp"] - token.claims["iat"] > 3600:
            answer = {"error": "invalid_grant", "error_description": "Check your iat and exp values"}
            return web.json_response(answer, status=400, headers=headers)
        token_now = f"access-{len(self.claims)}"
        return web.json_response(
            {"access_token": token_now, "expires_in": 3599, "token_type": "Bearer"}, headers=headers
        )


@pytest.fixture
async def google() -> AsyncIterator[Google]:
    async with TokenServer() as server:
        yield Google(server)


def signer(google: Google) -> Signer:
    return Signer(key=ServiceKey.of(fields(), google.server.url))


async def test_a_token_for_a_signed_claim(google: Google) -> None:
    before = time.time()
    token = await signer(google).exchange()
    assert token.access == Secret("access-1")
    assert token.expires_at is not None
    assert before + 3599 <= token.expires_at <= time.time() + 3599


async def test_another_s_signature_is_none(google: Google) -> None:
    """That the endpoint of these tests does look."""
    key = ServiceKey.of(fields(private_key=RSAKey.generate_key(2048).as_pem(private=True).decode()), google.server.url)
    with pytest.raises(Refused, match="no token for robot@"):
        await Signer(key=key).exchange()
    assert google.claims == []


async def test_by_a_clock_that_is_wrong_it_signs_again_by_the_server_s(google: Google) -> None:
    wrong = signer(google)
    wrong.now = lambda: time.time() + 7200
    token = await wrong.exchange()
    assert token.access == Secret("access-2")
    assert google.claims[0]["iat"] - google.claims[1]["iat"] == pytest.approx(7200, abs=5)


async def test_a_refusal_tells_of_a_wrong_clock(google: Google) -> None:
    async def refuses(_form: dict[str, str]) -> web.Response:
        return web.json_response({"error": "invalid_grant"}, status=400)

    google.server.act = refuses
    wrong = signer(google)
    wrong.now = lambda: time.time() - 600
    with pytest.raises(Refused, match=r"clock is 10 minutes behind"):
        await wrong.exchange()


@pytest.mark.parametrize(
    "address",
    [
        "http://oauth2.googleapis.com/token",
        "https://oauth2.googleapis.com.attacker.test/token",
        "https://attacker.test/token#.googleapis.com",
        "https://attacker.test\\.googleapis.com/token",
        "https://oauth2.googleapis.com@attacker.test/token",
        "https://oauth2.googleapis.com:8443/token",
        "https://googleapis.com.test/token",
        "https://127.0.0.1/token",
        "https://[::1",
    ],
)
def test_T15_a_forged_key_file_has_its_claims_sent_nowhere(address: str) -> None:
    with pytest.raises(Refused, match="not Google's"):
        ServiceKey.of(fields(address))
    assert (
        ServiceKey.of(fields(address), "https://emulator.example/token").token_url == "https://emulator.example/token"
    )


@pytest.mark.parametrize(
    "address", ["https://oauth2.googleapis.com/token", "https://accounts.google.com/o/oauth2/token", ""]
)
def test_google_s_own_places(address: str) -> None:
    assert ServiceKey.of(fields(address)).token_url in {address, "https://oauth2.googleapis.com/token"}


@pytest.mark.parametrize("key", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
async def test_a_broken_key_is_named_and_not_shown(key: str) -> None:
    with pytest.raises(Refused, match="no RSA key in PEM") as caught:
        claim(ServiceKey.of(fields(private_key=key)), 0.0)
    assert "AAAA" not in str(caught.value)
    assert PEM not in repr(ServiceKey.of(fields()))


def test_it_is_refreshed_ahead_of_its_end_each_at_its_own_moment() -> None:
    hour = Token(access=Secret("a"), expires_at=3600.0, life_seconds=3600.0)
    assert [round(lead_seconds("vertex", hour, chance)) for chance in (0.0, 0.5, 1.0)] == [288, 360, 432]
    short = Token(access=Secret("a"), expires_at=60.0, life_seconds=60.0)
    assert 20 < lead_seconds("vertex", short, 0.0) < lead_seconds("vertex", short, 1.0) < 40
    assert due_at("vertex", refresh.Status()) == float("-inf")


async def test_one_exchange_however_many_ask(google: Google, tmp_path: Path) -> None:
    changed = asyncio.Event()
    keeper = Keeper(tmp_path, on_change=lambda _id: changed.set())
    keeper.keep([Signed(id="one", signer=signer(google))])
    google.may.clear()
    asks = [asyncio.create_task(keeper.refresh("one")) for _ in range(200)]
    await asyncio.sleep(0)
    for each in asks[1:]:
        each.cancel()
    google.may.set()
    assert (await asks[0]).outcome == "refreshed"
    await asyncio.wait(asks)
    assert len(google.claims) == 1
    assert changed.is_set()
    await keeper.close()


async def test_it_has_a_token_soon_after_the_start_and_keeps_it_fresh(
    google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "LOOK_SECONDS", 0.005)
    seen: asyncio.Queue[Token | None] = asyncio.Queue()
    now = [time.time()]
    keeper = Keeper(tmp_path, on_change=lambda each: seen.put_nowait(keeper.status(each).token), now=lambda: now[0])
    keeper.keep([Signed(id="one", signer=signer(google))])
    assert keeper.status("one").token is None
    keeper.start()
    async with asyncio.timeout(SECONDS_MAX):
        first = await seen.get()
        assert first is not None
        assert first.access == Secret("access-1")
        now[0] += 3599 - 200
        second = await seen.get()
    assert second is not None
    assert second.access == Secret("access-2")
    await keeper.close()


async def test_a_failure_leaves_the_token_and_is_told(google: Google, tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, on_change=lambda _id: None)
    keeper.keep([Signed(id="one", signer=signer(google))])
    await keeper.refresh("one")

    async def fails(_form: dict[str, str]) -> web.Response:
        return web.Response(status=503)

    google.server.act = fails
    assert (await keeper.refresh("one")).outcome == "failed"
    status = keeper.status("one")
    assert status.token is not None
    assert not status.is_login_needed
    assert "no token for robot@" in status.why
    await keeper.close()


async def test_another_key_needs_another_token(google: Google, tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, on_change=lambda _id: None)
    keeper.keep([Signed(id="one", signer=signer(google))])
    await keeper.refresh("one")
    keeper.keep([Signed(id="one", signer=signer(google))])
    due = due_at("vertex", keeper.status("one"))
    assert due is not None
    assert due <= time.time(), "at once"
    await keeper.close()
