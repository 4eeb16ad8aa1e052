from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from auth.document import JsonValue
from auth.endpoint import Answered
from auth.oidc import GOOGLE, OidcClient, discover, issuer_of, page_of, revoke, scope_of
from auth.refusal import Refused
from auth.secret import Secret
from tests.auth.issuer import Issuer

CLIENT = OidcClient(issuer="https://login.example", client_id="c")


def told(**more: JsonValue) -> Answered:
    fields: dict[str, JsonValue] = {
        "issuer": "https://login.example", "token_endpoint": "https://login.example/token",
        "authorization_endpoint": "https://login.example/authorize?tenant=a", **more,
    }  # fmt: skip
    return Answered(status=200, fields=fields)


def test_what_a_provider_may_leave_out() -> None:
    issuer = issuer_of(CLIENT, told())
    assert (issuer.takes_basic, issuer.says_who, issuer.algorithms) == (True, False, {"RS256"})
    assert (issuer.device_url, issuer.revocation_url, issuer.scopes) == ("", "", frozenset())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"issuer": "https://login.example/"}, "calls itself 'https://login.example/'"),
        ({"issuer": None}, "calls itself ''"),
        ({"revocation_endpoint": "http://login.example/revoke"}, "revocation_endpoint without TLS"),
        ({"userinfo_endpoint": "http://127.0.0.1/me"}, "userinfo_endpoint without TLS"),
        ({"jwks_uri": "https://[::1"}, "jwks_uri without TLS"),
        ({"token_endpoint": 5}, "names no token_endpoint"),
    ],
)
def test_T25_what_a_provider_may_not_say(more: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        issuer_of(CLIENT, told(**more))


def test_google_s_words_for_a_refresh_token() -> None:
    client = replace(CLIENT, issuer=GOOGLE)
    issuer = issuer_of(client, told(issuer=GOOGLE, scopes_supported=["openid", "email", "profile"]))
    page = page_of(client, issuer, redirect_uri="http://127.0.0.1:1/cb", state="s", nonce="n", verifier="v" * 43)
    query = parse_qs(urlsplit(page).query)
    assert (query["access_type"], query["scope"], query["tenant"]) == (["offline"], ["openid email"], ["a"])
    assert scope_of(client, replace(issuer, scopes=frozenset())) == "openid email offline_access"


def test_the_page_says_all_that_must_be_said_and_no_secret() -> None:
    client = replace(CLIENT, secret=Secret("s3cret"))
    issuer = issuer_of(client, told())
    page = page_of(client, issuer, redirect_uri="http://127.0.0.1:1/cb", state="st", nonce="no", verifier="v" * 43)
    query = parse_qs(urlsplit(page).query)
    assert query == {
        "tenant": ["a"], "response_type": ["code"], "client_id": ["c"], "redirect_uri": ["http://127.0.0.1:1/cb"],
        "scope": ["openid email offline_access"], "state": ["st"], "nonce": ["no"], "prompt": ["consent"],
        "code_challenge": query["code_challenge"], "code_challenge_method": ["S256"],
    }  # fmt: skip
    assert "s3cret" not in page
    assert "v" * 43 not in page


async def test_a_place_that_is_no_provider() -> None:
    async with Issuer() as issuer:
        client = OidcClient(issuer=f"{issuer.name}/elsewhere", client_id="c")
        with pytest.raises(Refused, match=r"is no OpenID configuration \(404\)"):
            await discover(client)
    with pytest.raises(Refused, match=r"says nothing of itself: 127\.0\.0\.1 is not reached"):
        await discover(replace(client, issuer="http://127.0.0.1:1"))


async def test_revoking_says_why_not() -> None:
    issuer = issuer_of(CLIENT, told())
    assert await revoke(CLIENT, issuer, Secret("t")) == "the provider has no way to revoke it"
    nowhere = replace(issuer, revocation_url="http://127.0.0.1:1/revoke")
    assert "is not reached" in await revoke(CLIENT, nowhere, Secret("t"))
