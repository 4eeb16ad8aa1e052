from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from auth.survey import Survey
from proxy.accounts.enrolment import open_store
from proxy.accounts.surveys import EXPIRY_SECONDS_MIN, Surveys, news, written
from proxy.config.account_files import CliLogin
from tests.pace import SECONDS_MAX

UNIX = 1_800_000_000.0
LOGIN = CliLogin(
    home="claude-code-0123456789ab", account="a", email="ada@example.test", organization="Quay", plan="pro",
    login_expires_at=written(UNIX),
)  # fmt: skip


@pytest.mark.parametrize(
    ("survey", "edits"),
    [
        (Survey(email="ada@example.test", plan="pro", organization="Quay", expires_at=UNIX), {}),
        (Survey(), {}),
        (Survey(plan="max_20x", expires_at=UNIX + EXPIRY_SECONDS_MIN), {"plan": "max_20x"}),
        (Survey(expires_at=UNIX + 30 * 86400), {"login-expires-at": "2027-02-14T08:00:00+00:00"}),
        (
            Survey(email="ada@other.test", organization="Harbour"),
            {"email": "ada@other.test", "organization": "Harbour"},
        ),
    ],
)
def test_what_is_new_is_written(survey: Survey, edits: dict[str, str]) -> None:
    assert news(LOGIN, survey) == edits


async def test_the_file_says_it_and_the_pool_hears_it(tmp_path: Path) -> None:
    folder = tmp_path / "auth"
    folder.mkdir(mode=0o700)
    fields = {"type": "claude-code", "home": LOGIN.home, "account": "a", "plan": "pro", "of-the-person": 1}
    (folder / "a.json").touch(mode=0o600)
    (folder / "a.json").write_bytes(msgspec.json.encode(fields))
    heard: list[str] = []
    store = open_store(folder)
    surveys = Surveys(store, on_survey=lambda account, _survey, _asked: heard.append(account), is_wanted=lambda _: True)
    surveys._take("a.json", Survey(plan="max"), 1)
    surveys._take("gone.json", Survey(plan="max"), 1)
    async with asyncio.timeout(SECONDS_MAX):
        await surveys.close()
    assert msgspec.json.decode((folder / "a.json").read_bytes()) == {**fields, "plan": "max"}
    assert len(heard) == 1
    assert heard[0].startswith("claude-code-")
