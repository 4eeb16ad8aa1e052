"""A login through a client of one's own, from the first page to the account's file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import msgspec
import pytest
from joserfc.jwk import RSAKey

from auth import login as login_module
from auth.flow import Aborted, Done, Enter, ShowCode, Step, Visit
from auth.identity import Identity
from auth.logins import oidc as oidc_login
from auth.refusal import Refused
from proxy.accounts.desk import Desk
from proxy.accounts.logins import LoginRun
from proxy.accounts.logout import log_out
from proxy.accounts.oidc_login import spec_of, wish_again, wish_for
from proxy.config.schema import Config
from tests.auth.issuer import Issuer

ADA = Identity(account="ada", email="ada@example.com")


class Person:
    """Somebody who logs in; `act` is what they do when they see a page or a code."""

    def __init__(self, folder: Path, issuer: Issuer) -> None:
        self.folder = folder
        self.issuer = issuer
        self.steps: list[Step] = []
        self.act: Callable[[Visit | ShowCode], Awaitable[object]] = self.come_back
        self.answers: list[tuple[int, str]] = []
        self.run: LoginRun | None = None
        self._acting: list[asyncio.Task[object]] = []

    @property
    def desk(self) -> Desk:
        return Desk(self.folder, Config())

    @property
    def files(self) -> dict[str, Any]:
        return {path.name: msgspec.json.decode(path.read_bytes()) for path in sorted(self.folder.glob("*.json"))}

    @property
    def homes(self) -> list[Path]:
        return sorted((self.folder / "homes").glob("*"))

    def fields(self, **more: object) -> dict[str, Any]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        secret = {"client-secret": self.issuer.client_secret} if self.issuer.client_secret else {}
        return {
            "issuer": self.issuer.name, "client-id": self.issuer.client_id, "provider": "gate",
            "base-url": "http://127.0.0.1:1/v1", **secret, **named,
        }  # fmt: skip

    async def log_in(self, **wish: Any) -> Step:
        more = wish.pop("fields", {})
        return await self.go(wish_for(self.desk, spec_of(self.fields(**more)), **wish))

    async def go(self, wish: Any) -> Step:
        self.run = LoginRun(desk=self.desk, wish=wish, ours={}, on_step=self._see)
        step = await self.run.run()
        for each in self._acting:
            await each
        return step

    def _see(self, step: Step) -> None:
        self.steps.append(step)
        if isinstance(step, Visit | ShowCode):
            self._acting.append(asyncio.ensure_future(self.act(step)))

    async def browse(self, address: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(address) as response:
            self.answers.append((response.status, await response.text()))
        return self.answers[-1]

    async def paste(self, text: str) -> bool:
        assert self.run is not None
        assert self.run.login is not None
        return await self.run.login.paste(text)

    async def come_back(self, step: Visit | ShowCode) -> None:
        await self.browse(self.issuer.consent(step.url))


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer() as issuer:
        yield issuer


@pytest.fixture
def person(tmp_path: Path, issuer: Issuer) -> Person:
    return Person(tmp_path / "accounts", issuer)


@pytest.mark.parametrize("secret", ["", "s3 :+%cret"])
async def test_by_the_browser_that_comes_back(person: Person, issuer: Issuer, secret: str) -> None:
    issuer.client_secret = secret
    assert await person.log_in(fields={"label": "mine"}) == Done(ADA)
    assert [status for status, _ in person.answers] == [200]
    ((name, file),) = person.files.items()
    (home,) = person.homes
    assert name.startswith("oidc-")
    assert (file["type"], file["home"], file["email"], file["label"]) == ("oidc", home.name, ADA.email, "mine")
    tokens = msgspec.json.decode((home / "tokens.json").read_bytes())
    assert tokens["refresh-token"] == issuer.grants[0].refresh
    assert (home / "tokens.json").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700


async def test_a_secret_in_the_form_where_the_provider_takes_no_other(person: Person, issuer: Issuer) -> None:
    issuer.client_secret = "s3cret"
    issuer.instead = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert await person.log_in() == Done(ADA)
    assert issuer.asked[0]["client_secret"] == "s3cret"


async def test_by_what_is_pasted(person: Person, issuer: Issuer) -> None:
    async def paste(step: Visit | ShowCode) -> None:
        address = issuer.consent(step.url)
        assert not await person.paste("nonsense")
        assert not await person.paste(address.replace("state=", "state=x"))
        assert not await person.paste(address.partition("&iss=")[0])
        assert await person.paste(f" {address} \r\n")
        assert not await person.paste(address)

    person.act = paste
    assert await person.log_in(has_browser=False) == Done(ADA)
    complaints = [step.complaint for step in person.steps if isinstance(step, Enter)]
    assert ["The state is missing" in each or "belongs to another" in each for each in complaints[:2]] == [True, True]
    assert complaints[2].startswith("It does not say that it comes from http://127.0.0.1")


async def test_by_device_code(person: Person, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc_login, "SLOWER_SECONDS", 0.01)
    issuer.device_answers = ["authorization_pending", "slow_down", "authorization_pending"]

    async def types_it(step: Visit | ShowCode) -> None:
        assert step == ShowCode(f"{issuer.name}/activate", "ABCD-EFGH")

    person.act = types_it
    assert await person.log_in(is_device=True) == Done(ADA)
    assert issuer.counts["urn:ietf:params:oauth:grant-type:device_code"] == 4


async def test_T28_a_device_code_is_asked_for_no_faster_than_is_wished(
    person: Person, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc_login, "SLOWER_SECONDS", 0.2)
    issuer.device_answers = ["slow_down", "authorization_pending"]
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def waits(_step: Visit | ShowCode) -> None:
        pass

    person.act = waits
    assert await person.log_in(is_device=True) == Done(ADA)
    assert loop.time() - began >= 0.4


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        ("access_denied", "declined", "consent was declined on the page of 127.0.0.1; nothing was changed"),
        ("expired_token", "timed_out", "nobody has typed the code in time"),
        ("invalid_client", "failed", "was refused with 400: invalid_client"),
    ],
)
async def test_a_device_code_that_comes_to_nothing(
    person: Person, issuer: Issuer, error: str, reason: str, words: str
) -> None:
    issuer.device_answers = [error]

    async def waits(_step: Visit | ShowCode) -> None:
        pass

    person.act = waits
    step = await person.log_in(is_device=True)
    assert isinstance(step, Aborted)
    assert (step.reason, words in step.why) == (reason, True), step.why
    assert (person.files, person.homes) == ({}, [])


async def test_declined(person: Person, issuer: Issuer) -> None:
    async def declines(step: Visit | ShowCode) -> None:
        asked = parse_qs(urlsplit(step.url).query)
        query = f"error=access_denied&state={asked['state'][0]}&iss={issuer.name}"
        await person.browse(f"{asked['redirect_uri'][0]}?{query}")

    person.act = declines
    assert await person.log_in() == Aborted(
        "declined", "consent was declined on the page of 127.0.0.1; nothing was changed"
    )
    assert (person.files, person.homes) == ({}, [])


async def test_T25_a_forged_callback_changes_nothing(person: Person, issuer: Issuer) -> None:
    async def is_attacked(step: Visit | ShowCode) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(step.url).query).items()}
        back, state = asked["redirect_uri"], asked["state"]
        for query in (
            "code=forged", f"code=forged&state={'x' * 43}", "error=access_denied",
            f"error=access_denied&state={'x' * 43}",
            f"code=forged&state={state}&iss=https://attacker.test", f"code=forged&state={state}",
            f"code=forged&state={state}&state={state}&iss={issuer.name}",
            f"code=a&code=b&state={state}&iss={issuer.name}", f"error=access_denied&state={state}&iss=https://attacker.test",
        ):  # fmt: skip
            assert (await person.browse(f"{back}?{query}"))[0] == 400
        assert (await person.browse(issuer.consent(step.url)))[0] == 200

    person.act = is_attacked
    assert await person.log_in() == Done(ADA)
    assert issuer.counts["authorization_code"] == 1


async def test_T26_a_stolen_code_is_of_no_use_without_the_verifier(person: Person, issuer: Issuer) -> None:
    async def is_robbed(step: Visit | ShowCode) -> None:
        asked = parse_qs(urlsplit(step.url).query)
        assert len(asked["code_challenge"][0]) == 43
        stolen = issuer.consent(step.url.replace(asked["code_challenge"][0], "A" * 43))
        await person.browse(stolen)

    person.act = is_robbed
    step = await person.log_in()
    assert step == Aborted("wrong_code", "127.0.0.1 refused the code: it is incomplete, expired or used; start again")


OTHER_KEY = RSAKey.generate_key(2048, {"kid": "one"})


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://attacker.test"}, {"aud": "another-client"}, {"nonce": "another"}, {"exp": 1}, {"sub": None},
        {"aud": ["client", "another"], "azp": "another"}, {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, {"iat": 2**33},
    ],
)  # fmt: skip
async def test_T25_an_id_token_that_does_not_hold_is_no_login(
    person: Person, issuer: Issuer, claims: dict[str, Any]
) -> None:
    issuer.claims = claims
    step = await person.log_in()
    assert isinstance(step, Aborted)
    assert "an ID token that does not hold" in step.why
    assert (person.files, person.homes) == ({}, [])


async def test_T25_an_id_token_of_another_key_is_no_login(person: Person, issuer: Issuer) -> None:
    issuer.key = OTHER_KEY
    step = await person.log_in()
    assert isinstance(step, Aborted)
    assert "an ID token that does not hold" in step.why


@pytest.mark.parametrize("algorithms", [["HS256"], ["none"], ["HS256", "none"]])
async def test_T25_an_id_token_that_anybody_could_sign_is_no_login(
    person: Person, issuer: Issuer, algorithms: list[str]
) -> None:
    issuer.instead = {"id_token_signing_alg_values_supported": algorithms}
    step = await person.log_in()
    assert isinstance(step, Aborted)
    assert "they would prove nothing" in step.why
    assert (person.files, person.homes) == ({}, [])


@pytest.mark.parametrize(
    ("instead", "words"),
    [
        ({"issuer": "https://attacker.test"}, "calls itself 'https://attacker.test'"),
        ({"token_endpoint": "http://attacker.test/token"}, "names a token_endpoint without TLS"),
        ({"jwks_uri": "file:///etc/passwd"}, "names a jwks_uri without TLS"),
        ({"token_endpoint": None}, "names no token_endpoint"),
        ({"authorization_endpoint": None}, "has no login page"),
    ],
)
async def test_T25_a_provider_that_cannot_be_trusted_is_not_asked(
    person: Person, issuer: Issuer, instead: dict[str, Any], words: str
) -> None:
    issuer.instead = instead
    step = await person.log_in()
    assert isinstance(step, Aborted)
    assert words in step.why
    assert issuer.asked == []


async def test_no_scope_that_the_provider_does_not_know(person: Person, issuer: Issuer) -> None:
    issuer.instead = {"scopes_supported": ["openid", "email"]}
    assert await person.log_in() == Done(ADA)
    assert isinstance(person.steps[0], Visit)
    assert parse_qs(urlsplit(person.steps[0].url).query)["scope"] == ["openid email"]


async def test_nobody_comes(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    async def waits(_step: Visit | ShowCode) -> None:
        pass

    person.act = waits
    monkeypatch.setattr("proxy.accounts.logins.LOGIN_MINUTES_MAX", 0.005)
    step = await person.log_in()
    assert isinstance(step, Aborted)
    assert step.reason == "timed_out"
    assert (person.files, person.homes) == ({}, [])
    assert login_module.LOGIN_MINUTES_MAX == 10


async def test_another_account_than_was_meant(person: Person) -> None:
    step = await person.log_in(expected="grace@example.com")
    why = "this is ada@example.com, not grace@example.com; nothing was changed; what was granted is revoked"
    assert step == Aborted("wrong_account", why)
    assert (person.files, person.homes) == ({}, [])


async def test_two_logins_at_once_do_not_disturb_each_other(tmp_path: Path, issuer: Issuer) -> None:
    first, second = Person(tmp_path / "accounts", issuer), Person(tmp_path / "accounts", issuer)
    steps = await asyncio.gather(first.log_in(), second.log_in(fields={"client-id": "client", "provider": "other"}))
    assert steps == [Done(ADA), Done(ADA)]
    assert len(first.files) == len(first.homes) == 2


async def test_a_fixed_port_that_is_taken_is_named(person: Person) -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    step = await person.log_in(fields={"redirect_uri": f"http://localhost:{port}/"})
    assert isinstance(step, Aborted)
    assert step.reason == "port_taken"
    assert f"port {port} is taken by" in step.why
    taken.close()
    await taken.wait_closed()


async def test_the_place_to_come_back_to_may_be_the_root(person: Person, issuer: Issuer) -> None:
    async def comes_to_the_root(step: Visit | ShowCode) -> None:
        back = issuer.consent(step.url)
        assert urlsplit(back).path == "/"
        assert "paste" in (await person.browse(back.partition("?")[0]))[1].lower()
        await person.browse(back)

    person.act = comes_to_the_root
    assert await person.log_in(fields={"redirect_uri": "http://localhost:0/"}) == Done(ADA)


async def test_again_it_renews(person: Person) -> None:
    await person.log_in()
    (before,) = person.homes
    ((name, _),) = person.files.items()
    assert await person.go(wish_again(person.desk, name)) == Done(ADA)
    (after,) = person.homes
    assert after != before
    assert [*person.files] == [name]
    assert person.run is not None
    assert person.run.added is not None
    assert not person.run.added.is_new
    assert isinstance(person.steps[-3], Visit)
    assert "login_hint=ada%40example.com" in person.steps[-3].url


async def test_logging_out_revokes(person: Person, issuer: Issuer) -> None:
    await person.log_in()
    ((name, _),) = person.files.items()
    assert await log_out(person.desk, name, {}) == "logged out, and revoked at the provider"
    assert issuer.living == []
    assert (person.files, person.homes) == ({}, [])


async def test_where_logging_out_is_not_possible_the_login_stays(person: Person, issuer: Issuer) -> None:
    await person.log_in()
    ((name, _),) = person.files.items()
    issuer.instead = {"revocation_endpoint": "http://127.0.0.1:1/revoke"}
    with pytest.raises(Refused, match="has not revoked the login"):
        await log_out(person.desk, name, {})
    assert len(person.files) == len(person.homes) == 1
    issuer.instead = {"revocation_endpoint": None}
    assert "no way to revoke" in await log_out(person.desk, name, {})


async def test_what_is_asked_of_a_client_is_told(person: Person) -> None:
    for fields, words in (
        ({"issuer": "http://login.example"}, "must begin with https://"),
        ({"provider": "gate", "base_url": ""}, "base-url is needed: gate is none of"),
        ({"provider": "vertex"}, "project-id is needed for vertex"),
        ({"redirect_uri": "https://example.com/cb"}, "must be a place on this machine"),
    ):
        with pytest.raises(Refused, match=words):
            wish_for(person.desk, spec_of(person.fields(**fields)))
