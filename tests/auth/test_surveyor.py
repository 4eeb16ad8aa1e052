from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from auth import surveyor
from auth.refresh import Kept
from auth.survey import Survey
from auth.surveyor import EVERY_SECONDS, SOON_SECONDS_MAX, Surveyor
from auth.told import Told
from tests.pace import SECONDS_MAX

LOGIN = Kept(id="one", kind="claude-code", home="claude-code-1", command=["claude"], variables={}, environment={})
SURVEY = Survey(email="ada@example.test", plan="max")


class Field:
    """Logins that are asked by nobody but the test; time moves when it says so."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.at_once = 0
        self.heard: list[tuple[str, Survey]] = []
        self.is_able = True
        self.unwanted: set[str] = set()
        monkeypatch.setattr(surveyor, "run_child", self._child)
        monkeypatch.setattr(surveyor, "LOOK_SECONDS", 0.0)
        self.surveyor = Surveyor(
            folder,
            on_survey=lambda login, survey, _: self.heard.append((login, survey)),
            is_wanted=lambda login: login not in self.unwanted,
            now=lambda: self.now,
            chance=lambda: 1.0,
        )

    async def _child(self, _data: Path, login: Kept, _digest: str, *, is_survey: bool) -> Told:
        assert is_survey
        self.asked.append(login.home)
        self.at_once += 1
        await asyncio.sleep(0)
        assert self.at_once == 1, "one at a time"
        self.at_once -= 1
        return Told("fresh", survey=SURVEY) if self.is_able else Told("failed", "why")

    async def passes(self, seconds: float) -> None:
        """And everything that is due is done."""
        self.now += seconds
        asked, quiet = len(self.asked), 0
        async with asyncio.timeout(SECONDS_MAX):
            while quiet < 20:
                await asyncio.sleep(0)
                quiet, asked = (quiet + 1, asked) if len(self.asked) == asked else (0, len(self.asked))


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Field:
    return Field(tmp_path, monkeypatch)


async def test_soon_after_it_is_there_and_then_now_and_then(field: Field) -> None:
    field.surveyor.keep([LOGIN])
    field.surveyor.start()
    await field.passes(SOON_SECONDS_MAX - 1)
    assert field.asked == []
    await field.passes(1)
    assert field.heard == [("one", SURVEY)]
    field.surveyor.keep([LOGIN])
    await field.passes(EVERY_SECONDS)
    assert len(field.asked) == 1
    await field.passes(EVERY_SECONDS * 0.2 + 1)
    assert len(field.asked) == 2
    await field.surveyor.close()


async def test_each_of_many_in_its_turn_and_a_new_home_is_a_new_login(field: Field) -> None:
    many = [replace(LOGIN, id=str(number), home=f"home-{number}") for number in range(20)]
    field.surveyor.keep(many)
    field.surveyor.start()
    await field.passes(SOON_SECONDS_MAX)
    assert sorted(field.asked) == sorted(each.home for each in many)
    field.surveyor.keep([replace(many[0], home="again"), *many[1:]])
    await field.passes(SOON_SECONDS_MAX)
    assert field.asked[20:] == ["again"]
    await field.surveyor.close()


async def test_whoever_cannot_be_asked_is_not(field: Field) -> None:
    field.unwanted.add("dead")
    field.surveyor.keep(
        [replace(LOGIN, id="dead"), replace(LOGIN, id="gemini", kind="gemini-cli"), replace(LOGIN, id="no", command=[])]
    )
    field.surveyor.start()
    await field.passes(SOON_SECONDS_MAX)
    assert field.asked == []
    await field.surveyor.close()


async def test_a_cli_that_tells_nothing_changes_nothing(field: Field) -> None:
    field.is_able = False
    field.surveyor.keep([LOGIN])
    field.surveyor.start()
    await field.passes(SOON_SECONDS_MAX)
    assert (len(field.asked), field.heard) == (1, [])
    await field.surveyor.close()
