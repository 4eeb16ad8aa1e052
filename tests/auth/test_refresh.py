from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from auth import refresh
from auth.homes import Homes
from auth.oidc import OidcClient
from auth.oidc_source import OwnLogin
from auth.oidc_tokens import OidcTokens, put_tokens
from auth.refresh import AT_ONCE_MAX, RETRY_SECONDS, RETRY_SECONDS_MAX, Keeper, Kept, Status, due_at, retry_seconds
from auth.seal import PLAIN
from auth.secret import Secret
from auth.tokens import Token
from auth.told import Told
from tests.pace import SECONDS_MAX

NOW = 1_800_000_000.0


def status(kind_seconds: float = 3600.0, **fields: object) -> Status:
    return Status(token=Token(access=Secret("a"), expires_at=NOW + kind_seconds), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "first", "last"), [("claude-code", 240, 150), ("gemini-cli", 240, 150)])
def test_those_that_refuse_to_be_early_are_asked_in_their_last_five_minutes(kind: str, first: int, last: int) -> None:
    assert due_at(kind, status(chance=0.0)) == NOW + 3600 - first
    assert due_at(kind, status(chance=1.0)) == NOW + 3600 - last


def test_after_failures_it_waits_longer_and_longer() -> None:
    assert [retry_seconds(failures) for failures in (1, 2, 3, 20)] == [60, 120, 240, RETRY_SECONDS_MAX]
    assert due_at("claude-code", status(0, failures=2, tried_at=NOW)) == NOW + 120


def test_after_a_lost_answer_it_is_tried_while_a_provider_may_still_forgive() -> None:
    lost = status(0, failures=1, tried_at=NOW, is_uncertain=True)
    assert due_at("oidc", lost) == NOW + refresh.UNCERTAIN_RETRY_SECONDS <= NOW + 30
    assert due_at("oidc", status(0, failures=2, tried_at=NOW, is_uncertain=True)) == NOW + 120


class TestAClockThatDiffersFromTheProviders:
    """By a year, say: every new token seems to have expired long ago, or to last for ages."""

    def test_ahead_what_was_just_refreshed_is_left_alone(self) -> None:
        year = 365 * 86_400.0
        for kind in ("claude-code", "codex", "gemini-cli", "oidc", "vertex"):
            assert due_at(kind, status(3600 - year, tried_at=NOW)) == NOW + RETRY_SECONDS_MAX
            brief = Token(access=Secret("a"), expires_at=NOW - year, life_seconds=600.0)
            assert due_at(kind, Status(token=brief, tried_at=NOW)) == NOW + 300

    def test_what_was_not_tried_yet_is_due_at_once(self) -> None:
        for kind in ("claude-code", "codex", "gemini-cli", "oidc", "vertex"):
            due = due_at(kind, status(0))
            assert due is not None
            assert due <= NOW
        assert due_at("vertex", Status(tried_at=NOW)) == NOW, "another key has no token yet"

    async def test_ahead_a_token_serves_and_is_refreshed_now_and_then(self, desk: Desk) -> None:
        desk.write("old", NOW - 86_400)
        desk.lasts = -86_400.0
        desk.keep()
        desk.keeper.start()
        await until(desk, has("token-1"))
        for number in (1, 1, 2):
            await until(desk, has(f"token-{number}"))
            await asyncio.sleep(0.05)  # ten looks
            assert len(desk.asked) == number
            found = desk.keeper.status("one")
            assert (found.why, found.is_login_needed) == ("", False)
            desk.now += RETRY_SECONDS_MAX / 2
        await desk.keeper.close()

    async def test_back_the_provider_s_word_counts_and_not_the_date(self, desk: Desk) -> None:
        """Written while the clock was a year ahead."""
        desk.write("old", NOW + 365 * 86_400)
        desk.keep()
        desk.keeper.start()
        await asyncio.sleep(0.05)
        assert desk.asked == []
        await desk.keeper.renew("one", Secret("old").digest)
        assert desk.asked == [Secret("old").digest]
        await desk.keeper.close()


async def test_a_lost_answer_is_told_and_costs_no_login(desk: Desk) -> None:
    desk.write("old", NOW)
    desk.keep()
    desk.outcome = Told("uncertain", "no whole answer; its refresh token is tried once more")
    await desk.keeper.refresh("one")
    found = desk.keeper.status("one")
    assert (found.is_uncertain, found.is_login_needed) == (True, False)
    assert "tried once more" in found.why
    desk.outcome = Told("refreshed")
    await desk.keeper.refresh("one")
    assert (desk.keeper.status("one").is_uncertain, desk.keeper.status("one").why) == (False, "")
    await desk.keeper.close()


async def test_a_child_that_takes_very_long_is_left_to_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its home is another's, and it waits."""
    home = Homes(tmp_path).make("oidc")
    login = OwnLogin(
        id="one",
        home=home.name,
        client=OidcClient(issuer="http://127.0.0.1:1", client_id="c"),
        seal=PLAIN,
        environment={},
    )
    put_tokens(home, OidcTokens(access=Secret("old"), refresh=Secret("r")), PLAIN)
    digest = login.read(tmp_path).access.digest
    monkeypatch.setattr(refresh, "CHILD_SECONDS_MAX", 0.05)
    with Homes(tmp_path).owned(home.name):
        assert (await login.renew(tmp_path, digest)).why.startswith("the refresh is still under way")
    monkeypatch.undo()
    assert "is not reached" in (await login.renew(tmp_path, digest)).why
    await asyncio.gather(*refresh.talks)


def test_a_refused_token_is_not_tried_again() -> None:
    refused = Secret("a").digest
    assert due_at("codex", status(0, refused_digest=refused)) is None
    assert due_at("codex", Status(token=Token(access=Secret("a")))) is None
    assert due_at("codex", Status()) is None


class Desk:
    """A home whose CLI does what the test says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = Homes(folder).make("claude-code")
        self.asked: list[str] = []
        self.outcome = Told("refreshed")
        self.may = asyncio.Event()
        self.may.set()
        self.changes: list[str] = []
        self.changed = asyncio.Event()
        self.now = NOW
        self.lasts = 8 * 3600.0
        self.keeper = Keeper(folder, on_change=self._note, now=lambda: self.now, chance=lambda: 0.0)
        monkeypatch.setattr(refresh, "run_child", self._child)
        monkeypatch.setattr(refresh, "LOOK_SECONDS", 0.005)

    def write(self, access: str, until: float) -> None:
        saved = {"claudeAiOauth": {"accessToken": access, "expiresAt": until * 1000}}
        (self.home / ".credentials.json").write_bytes(msgspec.json.encode(saved))

    async def _child(self, _data: Path, _login: Kept, digest: str) -> Told:
        self.asked.append(digest)
        await self.may.wait()
        if self.outcome.outcome == "refreshed":
            self.write(f"token-{len(self.asked)}", self.now + self.lasts)
        return self.outcome

    def _note(self, login: str) -> None:
        self.changes.append(login)
        self.changed.set()

    def keep(self) -> None:
        kept = Kept(id="one", kind="claude-code", home=self.home.name, command=["claude"], variables={}, environment={})
        self.keeper.keep([kept])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


async def until(desk: Desk, is_so: Callable[[Status], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not is_so(desk.keeper.status("one")):
            desk.changed.clear()
            await desk.changed.wait()


def has(access: str) -> Callable[[Status], bool]:
    return lambda status: status.token is not None and status.token.access.reveal() == access


async def test_refreshed_when_due_and_not_before(desk: Desk) -> None:
    desk.write("old", NOW + 600)
    desk.keep()
    desk.keeper.start()
    await asyncio.sleep(0.05)
    assert desk.asked == []
    desk.now += 400
    await until(desk, has("token-1"))
    assert desk.asked == [Secret("old").digest]
    assert "one" in desk.changes
    await desk.keeper.close()


async def test_one_exchange_for_all_who_ask_and_for_those_who_leave(desk: Desk) -> None:
    desk.write("old", NOW)
    desk.keep()
    desk.may.clear()
    asks = [asyncio.create_task(desk.keeper.refresh("one")) for _ in range(100)]
    await asyncio.sleep(0)
    for each in asks[:99]:
        each.cancel()
    desk.may.set()
    assert await asks[99] == Told("refreshed")
    assert len(desk.asked) == 1
    await asyncio.wait(asks)
    await desk.keeper.close()


async def test_a_token_that_somebody_replaced_is_seen(desk: Desk) -> None:
    desk.write("old", NOW + 8 * 3600)
    desk.keep()
    desk.keeper.start()
    desk.write("theirs", NOW + 9 * 3600)
    await until(desk, has("theirs"))
    assert desk.asked == []
    await desk.keeper.close()


async def test_a_torn_file_is_no_logout(desk: Desk) -> None:
    desk.write("good", NOW + 8 * 3600)
    desk.keep()
    (desk.home / ".credentials.json").write_text('{"claudeAiOauth": {"acc')
    desk.keep()
    status = desk.keeper.status("one")
    assert status.token is not None
    assert status.token.access.reveal() == "good"
    assert not status.is_login_needed
    assert "is not readable now" in status.why
    desk.write("good", NOW + 8 * 3600)
    desk.keep()
    assert desk.keeper.status("one").why == ""


async def test_a_refused_login_waits_for_a_human(desk: Desk) -> None:
    desk.write("old", NOW)
    desk.outcome = Told("login_needed", "log in again")
    desk.keep()
    desk.keeper.start()
    await until(desk, lambda status: status.is_login_needed)
    desk.now += 86_400
    await asyncio.sleep(0.05)
    assert len(desk.asked) == 1
    assert desk.keeper.status("one").is_login_needed
    desk.write("new", desk.now + 8 * 3600)
    await until(desk, has("new"))
    assert not desk.keeper.status("one").is_login_needed
    await desk.keeper.close()


class TestATokenThatTheProviderRefused:
    digest = Secret("old").digest

    async def test_one_refresh_for_all_who_met_it(self, desk: Desk) -> None:
        desk.write("old", NOW + 8 * 3600)
        desk.keep()
        await asyncio.gather(*(desk.keeper.renew("one", self.digest) for _ in range(100)))
        await desk.keeper.renew("one", self.digest)
        assert desk.asked == [self.digest]
        assert has("token-1")(desk.keeper.status("one"))
        await desk.keeper.close()

    async def test_another_one_on_disk_is_enough(self, desk: Desk) -> None:
        desk.write("old", NOW + 8 * 3600)
        desk.keep()
        desk.write("theirs", NOW + 8 * 3600)
        await desk.keeper.renew("one", self.digest)
        assert has("theirs")(desk.keeper.status("one"))
        assert (desk.asked, desk.changes) == ([], ["one"])

    async def test_what_was_tried_a_moment_ago_is_left_alone(self, desk: Desk) -> None:
        desk.write("old", NOW + 8 * 3600)
        desk.outcome = Told("failed", "the provider is down")
        desk.keep()
        for seconds, asked in ((0, 1), (1, 1), (60, 2)):
            desk.now += seconds
            await desk.keeper.renew("one", self.digest)
            assert len(desk.asked) == asked
        await desk.keeper.close()

    async def test_nobody_is_asked_for_a_login_that_a_human_must_mend(self, desk: Desk) -> None:
        desk.write("old", NOW + 8 * 3600)
        desk.outcome = Told("login_needed", "log in again")
        desk.keep()
        for _ in range(2):
            await desk.keeper.renew("one", self.digest)
            desk.now += 3600
        assert len(desk.asked) == 1
        await desk.keeper.renew("nobody", self.digest)
        await desk.keeper.close()


class TestAClockThatIsSet:
    async def test_a_day_ahead_is_no_stampede(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Fifty logins are due at once: no more than a few are refreshed at a time, and each once."""
        homes = [Homes(tmp_path).make("claude-code") for _ in range(50)]
        at_once, most, asked, now = 0, 0, [], NOW

        def write(home: Path, access: str) -> None:
            saved = {"claudeAiOauth": {"accessToken": access, "expiresAt": (now + 8 * 3600) * 1000}}
            (home / ".credentials.json").write_bytes(msgspec.json.encode(saved))

        async def child(_data: Path, login: Kept, _digest: str) -> Told:
            nonlocal at_once, most
            at_once, most = at_once + 1, max(most, at_once + 1)
            asked.append(login.home)
            await asyncio.sleep(0)
            write(tmp_path / "homes" / login.home, f"{login.home}-again")
            at_once -= 1
            return Told("refreshed")

        monkeypatch.setattr(refresh, "run_child", child)
        monkeypatch.setattr(refresh, "LOOK_SECONDS", 0.001)
        for home in homes:
            write(home, home.name)
        keeper = Keeper(tmp_path, on_change=lambda _: None, now=lambda: now, chance=lambda: 0.5)
        keeper.keep([
            Kept(id=home.name, kind="claude-code", home=home.name, command=["claude"], variables={}, environment={})
            for home in homes
        ])  # fmt: skip
        keeper.start()
        now += 86_400
        async with asyncio.timeout(SECONDS_MAX):
            while len(asked) < len(homes):  # noqa: ASYNC110 - time is what is tested
                await asyncio.sleep(0.001)
        await keeper.close()
        assert (sorted(asked), most) == (sorted(home.name for home in homes), AT_ONCE_MAX)

    async def test_a_day_back_keeps_nobody_from_a_refresh(self, desk: Desk) -> None:
        desk.write("old", NOW + 8 * 3600)
        desk.outcome = Told("failed", "down")
        desk.keep()
        digest = Secret("old").digest
        await desk.keeper.renew("one", digest)
        desk.now -= 86_400
        desk.keep()
        desk.now += RETRY_SECONDS
        await desk.keeper.renew("one", digest)
        assert len(desk.asked) == 2
        await desk.keeper.close()
