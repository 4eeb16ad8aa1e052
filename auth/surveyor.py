"""When logins are surveyed: soon after they are there, then now and then, one at a time, in processes of their own that
outlive the server, as a CLI that is asked may refresh (`auth.refresh_child`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from auth.logins.about import ABOUT
from auth.refresh import Kept, run_child
from auth.survey import Survey

EVERY_SECONDS = 3600.0
SOON_SECONDS_MAX = 5.0
"""Until a new login is surveyed."""
LOOK_SECONDS = 1.0


@dataclass(slots=True)
class _Plan:
    """`due_at`: on the clock that no one sets."""

    login: Kept
    due_at: float


class Surveyor:
    """`on_survey` is called on the loop, with a login's id and what `mark` gave when it was asked. `is_wanted`: whether
    it makes sense now.
    """

    def __init__(
        self,
        data: Path,
        *,
        on_survey: Callable[[str, Survey, int], None],
        is_wanted: Callable[[str], bool],
        mark: Callable[[], int] = int,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._data = data
        self._on_survey = on_survey
        self._is_wanted = is_wanted
        self._mark = mark
        self._now = now
        self._chance = chance
        self._plans: dict[str, _Plan] = {}
        self._looking: asyncio.Task[None] | None = None

    def keep(self, logins: Sequence[Kept]) -> None:
        """These, and no others. One with another home is a new login."""
        before, self._plans = self._plans, {}
        for login in logins:
            plan = before.get(login.id)
            if login.kind not in ABOUT or not login.command:
                continue
            if plan is None or plan.login.home != login.home:
                plan = _Plan(login, self._now() + SOON_SECONDS_MAX * self._chance())
            plan.login = login
            self._plans[login.id] = plan

    def start(self) -> None:
        self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """What is being asked goes on without us."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})

    async def _look(self) -> None:
        while True:
            due = [plan for plan in self._plans.values() if plan.due_at <= self._now()]
            for plan in sorted(due, key=lambda each: each.due_at)[:1]:
                plan.due_at = self._now() + EVERY_SECONDS * (0.8 + 0.4 * self._chance())
                if self._is_wanted(plan.login.id):
                    await self._survey(plan.login)
            await asyncio.sleep(0 if len(due) > 1 else LOOK_SECONDS)

    async def _survey(self, login: Kept) -> None:
        asked = self._mark()
        told = await run_child(self._data, login, "", is_survey=True)
        plan = self._plans.get(login.id)
        if told.survey is not None and plan is not None and plan.login.home == login.home:
            self._on_survey(login.id, told.survey, asked)


async def surveyed(data: Path, login: Kept) -> tuple[Survey | None, str]:
    """Now; or why there is none. For whoever asks once."""
    told = await run_child(data, login, "", is_survey=True)
    return told.survey, told.why


def is_surveyed(kind: str) -> bool:
    return kind in ABOUT
