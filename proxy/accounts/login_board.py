"""The logins that the management API has begun: each runs by itself, is asked after, pasted into and cancelled from
afar, and forgotten some time after its end.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import parse_qs, urlsplit

import structlog

from auth.cli.install import CliMissing
from auth.document import JsonValue
from auth.flow import Aborted, Done, ShowCode, Step, Visit, Waiting
from auth.logins.table import GEMINI_CLI, LOGIN_KINDS
from auth.refusal import Refused
from management.board import LoginType
from proxy.accounts.desk import Desk
from proxy.accounts.logins import LoginRun, LoginWish
from proxy.accounts.oidc_login import spec_of, wish_again, wish_for
from proxy.config.account_files import OIDC

RUNNING_MAX = 8
KEPT_SECONDS = 600.0
"""After its end: for whoever asks late."""
FIRST_STEP_SECONDS = 90.0
"""A CLI that has not said by then where to sign in will not do so."""
OWN_CLIENT = "Through a client of your own at a provider that gives tokens for an API: Google, Keycloak, Entra, Okta, …"
_NO_CLIENT: Mapping[str, JsonValue] = MappingProxyType({})
_STATE = re.compile(r"[A-Za-z0-9._-]{8,128}", re.ASCII)


@dataclass(slots=True, kw_only=True)
class LoginTicket:
    """`management.board.Ticket`."""

    id: str
    kind: str
    is_device: bool
    began: float
    run: LoginRun | None = field(default=None, repr=False)
    task: asyncio.Task[None] | None = None
    step: Step = field(default_factory=lambda: Waiting("the official CLI to start"))
    url: str = ""
    elsewhere: str = ""
    code: str = ""
    prompt: str = ""
    ended: float | None = None
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_over(self) -> bool:
        return isinstance(self.step, Done | Aborted)

    @property
    def file(self) -> str:
        added = self.run.added if self.run is not None else None
        return "" if added is None else added.file

    @property
    def is_new(self) -> bool:
        added = self.run.added if self.run is not None else None
        return added is not None and added.is_new

    def take(self, step: Step) -> None:
        """The end is told when all that belongs to it is done: the account serves, or nothing is left of the login."""
        self.step = Waiting("the login to end") if isinstance(step, Done | Aborted) else step
        match step:
            case Visit():
                self.url, self.prompt, self.elsewhere = step.url, step.prompt, step.elsewhere
            case ShowCode():
                self.url, self.code = step.url, step.code
        if isinstance(step, Visit | ShowCode):
            self.has_begun.set()


class LoginBoard:
    """`management.board.Board`. `open_desk` looks into the auth-dir: off the loop. After `look` its accounts serve."""

    def __init__(
        self,
        open_desk: Callable[[], Desk],
        *,
        environment: Mapping[str, str],
        look: Callable[[], Awaitable[None]],
        log: structlog.typing.FilteringBoundLogger,
        unix: Callable[[], float],
    ) -> None:
        self._open_desk = open_desk
        self._environment = environment
        self._look = look
        self._log = log
        self._unix = unix
        self._tickets: dict[str, LoginTicket] = {}

    def types(self) -> Sequence[LoginType]:
        ours = [
            LoginType(
                name=kind.name,
                whose=kind.cli.whose,
                notice=kind.notice,
                port=kind.port,
                has_device=kind.has_device,
                has_browser=kind.has_browser,
                takes_project=kind is GEMINI_CLI,
            )
            for kind in LOGIN_KINDS.values()
        ]
        return [*ours, LoginType(name=OIDC, whose="OpenID Connect", notice=OWN_CLIENT, takes_client=True)]

    def tickets(self) -> Sequence[LoginTicket]:
        self._forget()
        return sorted(self._tickets.values(), key=lambda ticket: -ticket.began)

    def find(self, ticket_id: str) -> LoginTicket | None:
        self._forget()
        return self._tickets.get(ticket_id)

    async def begin(
        self,
        kind: str,
        *,
        is_device: bool,
        has_browser: bool,
        project: str,
        expected: str,
        client: Mapping[str, JsonValue] = _NO_CLIENT,
        renewed: str = "",
    ) -> LoginTicket:
        self._forget()
        if sum(not each.is_over for each in self._tickets.values()) >= RUNNING_MAX:
            raise Refused(f"{RUNNING_MAX} logins are under way already; finish or cancel one")
        desk = await asyncio.to_thread(self._open_desk)
        ticket = LoginTicket(id=secrets.token_hex(16), kind=kind, is_device=is_device, began=self._unix())
        if kind == OIDC and renewed:
            wish = wish_again(desk, desk.file_of(renewed), is_device=is_device, has_browser=has_browser)
        elif kind == OIDC:
            spec = spec_of(client)
            wish = wish_for(desk, spec, is_device=is_device, has_browser=has_browser, expected=expected)
        else:
            wish = _wish(kind, is_device=is_device, has_browser=has_browser, project=project, expected=expected)
        ticket.run = LoginRun(desk=desk, wish=wish, ours=self._environment, on_step=ticket.take)
        ticket.task = asyncio.create_task(self._follow(ticket, ticket.run))
        self._tickets[ticket.id] = ticket
        await self._first_step(ticket)
        self._name(ticket)
        return ticket

    async def _first_step(self, ticket: LoginTicket) -> None:
        assert ticket.task is not None
        beginning = asyncio.create_task(ticket.has_begun.wait())
        try:
            await asyncio.wait(
                {beginning, ticket.task}, timeout=FIRST_STEP_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            beginning.cancel()

    def _name(self, ticket: LoginTicket) -> None:
        """After the state in its address, where there is one: by it panels ask, and it comes back with the answer."""
        state = "".join(parse_qs(urlsplit(ticket.url).query).get("state", []))
        if _STATE.fullmatch(state) and state not in self._tickets:
            del self._tickets[ticket.id]
            ticket.id = state
            self._tickets[state] = ticket

    async def _follow(self, ticket: LoginTicket, run: LoginRun) -> None:
        """A login that fails says so on its ticket; nothing of it is raised."""
        try:
            step = await run.run()
            if isinstance(step, Done):
                await self._look()
            ticket.step = step
        except CliMissing as error:
            ticket.step = Aborted("cli_missing", str(error))
        except Refused as error:
            ticket.step = Aborted("failed", str(error))
        finally:
            if not ticket.is_over:
                ticket.step = Aborted("failed", "it ended without a word; the log may say more")
            ticket.ended = self._unix()
            outcome = "done" if isinstance(ticket.step, Done) else "aborted"
            self._log.info(f"login.{outcome}", kind=ticket.kind, file=ticket.file or None)

    async def paste(self, ticket_id: str, text: str) -> bool:
        ticket = self.find(ticket_id)
        if ticket is None or ticket.run is None or ticket.run.login is None or ticket.is_over:
            return False
        return await ticket.run.login.paste(text)

    def cancel(self, ticket_id: str) -> bool:
        ticket = self.find(ticket_id)
        if ticket is None or ticket.is_over or ticket.run is None or ticket.task is None:
            return False
        login = ticket.run.login
        if login is None:
            ticket.task.cancel()
        elif isinstance(login.step, Done | Aborted):
            return False
        else:
            login.cancel()
        return True

    async def close(self) -> None:
        """Every login that is under way is cancelled, and its CLI gone."""
        tasks = [ticket.task for ticket in self._tickets.values() if ticket.task is not None]
        for ticket in self._tickets.values():
            self.cancel(ticket.id)
        if tasks:
            await asyncio.wait(tasks)

    def _forget(self) -> None:
        now = self._unix()
        old = [key for key, each in self._tickets.items() if each.ended is not None and now - each.ended > KEPT_SECONDS]
        for key in old:
            del self._tickets[key]


def _wish(kind: str, *, is_device: bool, has_browser: bool, project: str, expected: str) -> LoginWish:
    """Through an official CLI. Raises `Refused`."""
    login_kind = LOGIN_KINDS.get(kind)
    if login_kind is None:
        raise Refused(f"there is no login of the kind {kind[:60]!r}; there are {', '.join((*LOGIN_KINDS, OIDC))}")
    if is_device and not login_kind.has_device:
        raise Refused(f"{login_kind.cli.whose} offers no login by device code")
    is_device = is_device or not login_kind.has_browser
    return LoginWish(kind=login_kind, is_device=is_device, has_browser=has_browser, project=project, expected=expected)
