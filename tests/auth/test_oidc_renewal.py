from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from auth import atomic, oidc_renewal, oidc_tokens
from auth.homes import Homes
from auth.oidc import OidcClient
from auth.oidc_renewal import Renewal
from auth.oidc_tokens import INTENT, TOKENS, Intent, OidcTokens, put_tokens, read_intent, read_tokens
from auth.seal import PLAIN, Seal, new_key
from auth.secret import Secret
from auth.told import Told
from tests.auth.issuer import Grant, Issuer

GRANT = "refresh_token"


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer() as issuer:
        issuer.grants.append(Grant(subject="ada", refresh="first"))
        yield issuer


class Login:
    def __init__(self, folder: Path, issuer: Issuer) -> None:
        self.issuer = issuer
        self.home = Homes(folder).make("oidc")
        self.seal = PLAIN
        self.now = 1_800_000_000.0
        self.keep(OidcTokens(access=Secret("old"), refresh=Secret("first"), expires_at=self.now))

    def keep(self, tokens: OidcTokens) -> None:
        put_tokens(self.home, tokens, self.seal)

    @property
    def tokens(self) -> OidcTokens:
        return read_tokens(self.home, self.seal)

    async def renew(self, *, client_id: str = "client", digest: str = "") -> Told:
        client = OidcClient(issuer=self.issuer.name, client_id=client_id)
        digest = digest or self.tokens.access.digest
        return await Renewal(home=self.home, client=client, digest=digest, seal=self.seal, now=lambda: self.now).run()


@pytest.fixture
def login(tmp_path: Path, issuer: Issuer) -> Login:
    return Login(tmp_path, issuer)


async def test_a_rotated_token_is_kept_before_it_is_told(login: Login, issuer: Issuer) -> None:
    assert await login.renew() == Told("refreshed")
    tokens = login.tokens
    assert tokens.refresh == Secret(issuer.grants[0].refresh)
    assert (tokens.expires_at, tokens.life_seconds) == (login.now + 3600, 3600)
    assert tokens.access != Secret("old")
    assert (login.home / TOKENS).stat().st_mode & 0o777 == 0o600
    intent = read_intent(login.home)
    assert intent is not None
    assert intent.digest == Secret("first").digest, "closed by itself: that is not the token in force any more"


async def test_what_another_has_refreshed_is_not_refreshed_again(login: Login, issuer: Issuer) -> None:
    assert await login.renew(digest="of-an-older-one") == Told("fresh")
    assert issuer.asked == []


async def test_a_provider_that_does_not_rotate_leaves_the_refresh_token(login: Login, issuer: Issuer) -> None:
    issuer.gives_refresh = False
    assert await login.renew() == Told("refreshed")
    assert login.tokens.refresh == Secret("first")
    assert await login.renew() == Told("refreshed")


async def test_nothing_to_refresh_with(login: Login, issuer: Issuer) -> None:
    login.keep(OidcTokens(access=Secret("old")))
    told = await login.renew()
    assert told == Told("login_needed", "127.0.0.1 gave no refresh token; log in again")
    assert issuer.asked == []


async def test_the_intent_is_on_disk_before_the_token_is_sent(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Intent | None] = []
    asking = oidc_renewal.oidc.ask_for_token

    async def looks_first(*arguments: object) -> object:
        seen.append(read_intent(login.home))
        return await asking(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(oidc_renewal.oidc, "ask_for_token", looks_first)
    await login.renew()
    assert seen == [Intent(digest=Secret("first").digest, at=login.now)]
    assert "first" not in (login.home / INTENT).read_text()


async def test_a_lost_answer_is_uncertain_and_the_old_token_is_tried_once_more(login: Login, issuer: Issuer) -> None:
    issuer.grace, issuer.is_lost = 60.0, True
    told = await login.renew()
    assert told.outcome == "uncertain"
    assert "tried once more" in told.why
    assert login.tokens.access == Secret("old")
    assert issuer.counts[GRANT] == 1, "never repeated by itself"
    assert await login.renew() == Told("refreshed")


async def test_where_a_second_use_ends_the_login_that_is_told_with_its_reason(login: Login, issuer: Issuer) -> None:
    issuer.is_lost = True
    assert (await login.renew()).outcome == "uncertain"
    login.now += 60
    told = await login.renew()
    assert told.outcome == "login_needed"
    assert told.why == (
        "127.0.0.1 has ended the login (invalid_grant): a refresh that was begun at 2027-01-15T08:00:00+00:00 was cut "
        "off before its answer came; log in again"
    )
    assert login.tokens.access == Secret("old"), "it may be good for a while"


async def test_a_login_that_was_revoked_is_over(login: Login, issuer: Issuer) -> None:
    issuer.grants[0].is_over = True
    assert await login.renew() == Told("login_needed", "127.0.0.1 has ended the login (invalid_grant); log in again")
    assert read_intent(login.home) is None


async def test_a_client_that_is_refused_loses_no_login(login: Login) -> None:
    told = await login.renew(client_id="another")
    assert (told.outcome, "invalid_client" in told.why) == ("failed", True)
    assert await login.renew() == Told("refreshed")


async def test_a_provider_that_is_not_reached_changes_nothing(login: Login, issuer: Issuer) -> None:
    issuer.instead = {"token_endpoint": "http://127.0.0.1:1/token"}
    told = await login.renew()
    assert (told.outcome, "is not reached" in told.why) == ("failed", True)
    assert read_intent(login.home) is None
    issuer.instead = {}
    assert await login.renew() == Told("refreshed")


async def test_on_a_full_disk_nothing_is_sent(login: Login, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    told = await login.renew()
    assert (told.outcome, "nothing was begun" in told.why) == ("failed", True)
    assert issuer.asked == []


async def test_an_answer_that_the_disk_does_not_take_is_kept_until_it_does(
    login: Login, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc_renewal, "KEEPING_STEP_SECONDS", 0.001)
    fails = [OSError(errno.EIO, "Input/output error")] * 5
    renaming = os.rename

    def rename(source: str, target: str, **folders: int) -> None:
        if target == TOKENS and fails:
            raise fails.pop()
        renaming(source, target, **folders)

    monkeypatch.setattr(atomic.os, "rename", rename)
    assert await login.renew() == Told("refreshed")
    assert login.tokens.refresh == Secret(issuer.grants[0].refresh)
    assert issuer.counts[GRANT] == 1
    assert sorted(path.name for path in login.home.iterdir()) == [INTENT, TOKENS]


async def test_a_home_that_is_removed_meanwhile_is_not_waited_for(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever logs in again gets a new one."""
    asking = oidc_renewal.oidc.ask_for_token

    async def is_slow(*arguments: object) -> object:
        granted = await asking(*arguments)  # type: ignore[arg-type]
        shutil.rmtree(login.home)
        return granted

    monkeypatch.setattr(oidc_renewal.oidc, "ask_for_token", is_slow)
    told = await login.renew()
    assert (told.outcome, "is gone" in told.why) == ("failed", True)


async def test_what_killed_writers_left_is_swept(login: Login) -> None:
    (login.home / ".tokens.json.tmp.0123456789ab").write_bytes(bytes(65536))
    assert await login.renew() == Told("refreshed")
    assert sorted(path.name for path in login.home.iterdir()) == [INTENT, TOKENS]


async def test_sealed_tokens_are_renewed_sealed(login: Login) -> None:
    login.seal = Seal.of(new_key())
    login.keep(OidcTokens(access=Secret("old"), refresh=Secret("first")))
    assert await login.renew() == Told("refreshed")
    raw = (login.home / TOKENS).read_text()
    assert login.tokens.access.reveal() not in raw
    assert raw.count("sealed:1:") == 2


async def test_without_the_seal_s_key_nothing_is_sent_and_nobody_is_logged_out(login: Login, issuer: Issuer) -> None:
    login.seal = Seal.of(new_key())
    login.keep(OidcTokens(access=Secret("old"), refresh=Secret("first")))
    client = OidcClient(issuer=issuer.name, client_id="client")
    told = await Renewal(home=login.home, client=client, digest="x", seal=PLAIN, now=time.time).run()
    assert (told.outcome, "is sealed, and there is no key" in told.why) == ("failed", True)
    assert issuer.asked == []


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b'{"type": "oidc"}', b'{"type":"oidc","access-token":""}'])
async def test_a_file_that_cannot_be_read_is_no_logout(login: Login, raw: bytes) -> None:
    digest = login.tokens.access.digest
    (login.home / TOKENS).write_bytes(raw)
    assert (await login.renew(digest=digest)).outcome == "failed"


async def test_a_home_without_a_login_needs_one(login: Login) -> None:
    digest = login.tokens.access.digest
    (login.home / TOKENS).unlink()
    assert (await login.renew(digest=digest)).outcome == "login_needed"
    assert oidc_tokens.read_intent(login.home) is None
