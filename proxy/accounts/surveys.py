"""What official CLIs tell of their accounts now and then: windows for the pool, the rest for the accounts' files."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from auth.document import JsonValue
from auth.refresh import Kept
from auth.refusal import Refused
from auth.store import Store
from auth.survey import Survey
from auth.surveyor import Surveyor
from proxy.config.account_files import AccountFile, CliLogin
from proxy.providers.enrolled import account_id

OnSurvey: TypeAlias = Callable[[str, Survey, int], None]
"""Called on the loop, with the account's id and what `mark` gave when it was asked."""
EXPIRY_SECONDS_MIN = 86400.0
"""An end of the login that has moved by less is not worth writing: some move it with each refresh."""


class Surveys:
    """`is_wanted`: whether the login of a file is one that can be asked."""

    def __init__(
        self,
        store: Store[AccountFile],
        *,
        on_survey: OnSurvey,
        is_wanted: Callable[[str], bool],
        mark: Callable[[], int] = int,
    ) -> None:
        self._store = store
        self._on_survey = on_survey
        self._surveyor = Surveyor(store.folder, on_survey=self._take, is_wanted=is_wanted, mark=mark)
        self._writing: set[asyncio.Task[None]] = set()

    def keep(self, logins: Sequence[Kept]) -> None:
        self._surveyor.keep(logins)

    def start(self) -> None:
        self._surveyor.start()

    async def close(self) -> None:
        await self._surveyor.close()
        if self._writing:
            await asyncio.wait(self._writing)

    def _take(self, name: str, survey: Survey, asked: int) -> None:
        entry = self._store.entries.get(name)
        if entry is None or entry.value is None or not isinstance(entry.value.settings, CliLogin):
            return
        self._on_survey(account_id(entry.value), survey, asked)
        if edits := news(entry.value.settings, survey):
            task = asyncio.create_task(self._write(name, edits))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _write(self, name: str, edits: Mapping[str, JsonValue]) -> None:
        """Next time, where it cannot be written now."""
        with contextlib.suppress(Refused):
            await asyncio.to_thread(self._store.change, name, edits)


def news(login: CliLogin, survey: Survey) -> dict[str, JsonValue]:
    """What the file should say instead."""
    told = {"email": survey.email, "organization": survey.organization, "plan": survey.plan}
    known = {"email": login.email, "organization": login.organization, "plan": login.plan}
    edits: dict[str, JsonValue] = {name: value for name, value in told.items() if value and value != known[name]}
    if survey.expires_at is not None and abs(survey.expires_at - _seconds(login.login_expires_at)) > EXPIRY_SECONDS_MIN:
        edits["login-expires-at"] = written(survey.expires_at)
    return edits


def written(unix: float | None) -> str:
    return "" if unix is None else dt.datetime.fromtimestamp(unix, dt.UTC).isoformat(timespec="seconds")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        return dt.datetime.fromisoformat(text).timestamp()
    return 0.0
