"""Logins from afar: begin one, show its page, paste what the page gave, ask how it stands, cancel it.

``/logins`` is ours. ``…-auth-url``, ``get-auth-status``, ``oauth-callback`` and ``oauth-session`` are the same in the
words of the well-known API. All of them ask for the key, and whether an answer counts is decided in `auth.flow` alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from auth.flow import Aborted, Answer, Done, Enter, ShowCode, Step, Visit, Waiting
from auth.refusal import Refused
from management.board import Board, LoginType, Ticket
from management.refusal import Refusal, absent, invalid
from management.routes import OK, Ask, Parameter, Reply, Route, Schema
from proxy.config.settings import JsonValue

_STATE = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
PANEL_NAMES: Mapping[str, tuple[str, bool]] = {
    "anthropic": ("claude-code", False),
    "codex": ("codex", False),
    "gemini-cli": ("gemini-cli", False),
    "kimi": ("kimi-code", True),
    "xai": ("grok", True),
    "github-copilot": ("copilot", True),
}
"""What the well-known API calls a provider → the kind of login here, and whether it is by device code."""


class Begin(msgspec.Struct, rename="kebab", forbid_unknown_fields=True):
    """`browser`: ``here``, on the machine of the server, which its answer comes back to; or ``elsewhere``. `client`:
    for ``oidc``: members of the account's file: issuer, client-id, client-secret, provider, … `renew`: instead, the
    file of a login of that kind that is there.
    """

    kind: str
    device: bool = False
    browser: str = "elsewhere"
    project: str = ""
    account: str = ""
    client: dict[str, str | list[str]] = {}
    renew: str = ""


class Pasted(msgspec.Struct, forbid_unknown_fields=True):
    text: str


class Callback(msgspec.Struct):
    """As panels send it: the address that the browser could not open, or its parts."""

    provider: str = ""
    redirect_url: str = ""
    code: str = ""
    state: str = ""
    error: str = ""


def board_of(ask: Ask) -> Board:
    if ask.state.board is None:
        raise Refusal(503, "this server drives no logins: it plays accounts of its own, or recordings")
    return ask.state.board


def ticket_of(ask: Ask, ticket_id: str) -> Ticket:
    ticket = board_of(ask).find(ticket_id)
    if ticket is None:
        raise absent("no such login, or it ended long ago")
    return ticket


async def begun(ask: Ask, wish: Begin) -> Ticket:
    if wish.browser not in {"here", "elsewhere"}:
        raise invalid("browser must be here or elsewhere")
    try:
        ticket = await board_of(ask).begin(
            wish.kind,
            is_device=wish.device,
            has_browser=wish.browser == "here",
            project=wish.project,
            expected=wish.account,
            client=cast("dict[str, JsonValue]", wish.client),
            renewed=wish.renew,
        )
    except Refused as error:
        raise invalid(str(error)) from None
    ask.changes["login"] = {"kind": wish.kind, "begun": True}
    return ticket


def told(ticket: Ticket) -> dict[str, object]:
    return {
        "id": ticket.id,
        "kind": ticket.kind,
        "device": ticket.is_device,
        "began": round(ticket.began, 3),
        "url": ticket.url,
        "elsewhere": ticket.elsewhere,
        "code": ticket.code,
        "prompt": ticket.prompt,
        "file": ticket.file,
        "renewed": bool(ticket.file) and not ticket.is_new,
        **step_told(ticket.step),
    }


def step_told(step: Step) -> dict[str, object]:
    match step:
        case Visit():
            return {"step": "visit", "message": ""}
        case ShowCode():
            return {"step": "show-code", "message": ""}
        case Enter(complaint=complaint):
            return {"step": "enter", "message": complaint}
        case Waiting(for_what=what):
            return {"step": "waiting", "message": what}
        case Done(account=account):
            return {"step": "done", "message": str(account)}
        case Aborted(reason=reason, why=why):
            return {"step": "aborted", "message": why, "reason": reason}


# ours


async def list_logins(ask: Ask) -> Reply:
    board = board_of(ask)
    return Reply(
        body={
            "kinds": [_type_told(each) for each in board.types()],
            "logins": [told(each) for each in board.tickets()],
        }
    )


def _type_told(each: LoginType) -> dict[str, object]:
    return {
        "kind": each.name,
        "name": each.whose,
        "notice": each.notice,
        "port": each.port,
        "device": each.has_device,
        "browser": each.has_browser,
        "project": each.takes_project,
        "client": each.takes_client,
    }


async def begin_login(ask: Ask) -> Reply:
    return Reply(body=told(await begun(ask, await ask.read(Begin))))


async def show_login(ask: Ask) -> Reply:
    return Reply(body=told(ticket_of(ask, ask.path["id"])))


async def paste(ask: Ask) -> Reply:
    ticket = ticket_of(ask, ask.path["id"])
    pasted = await ask.read(Pasted)
    counts = await board_of(ask).paste(ticket.id, pasted.text)
    return Reply(body={**told(ticket), "accepted": counts})


async def cancel(ask: Ask) -> Reply:
    ticket = ticket_of(ask, ask.path["id"])
    is_cancelled = board_of(ask).cancel(ticket.id)
    ask.changes["login"] = {"kind": ticket.kind, "cancelled": is_cancelled}
    return Reply(body={"status": "ok", "cancelled": is_cancelled})


# in the words of panels


def _url_route(name: str, kind: str, *, is_device: bool) -> Route:
    async def handler(ask: Ask) -> Reply:
        query = ask.query
        # The page that comes back to this machine: a browser elsewhere shows its address, which panels ask for.
        wish = Begin(kind=kind, device=is_device, browser="here", project=query.get("project_id", ""))
        ticket = await begun(ask, wish)
        if isinstance(ticket.step, Aborted):
            raise Refusal(409, ticket.step.why)
        body: dict[str, object] = {"status": "ok", "url": ticket.url, "state": ticket.id}
        if ticket.code:
            body |= {"flow": "device", "user_code": ticket.code, "expires_in": 900}
        return Reply(body=body)

    return Route(
        method="GET",
        path=f"/{name}-auth-url",
        handler=handler,
        sentence=f"Begins a login ({kind}), and says where to sign in; its state stands for it.",
        parameters=(
            Parameter(name="is_webui", sentence="Sent by panels; it changes nothing here.", schema={}),
            Parameter(name="project_id", sentence="The Google Cloud project, for gemini-cli."),
        ),
        reply=_OBJECT,
        statuses=(409, 503),
    )


def _state_in(ask: Ask) -> str:
    state = ask.query.get("state", "")
    if state and not _STATE.fullmatch(state):
        raise invalid("invalid state")
    return state


async def no_antigravity(_ask: Ask) -> Reply:
    raise Refusal(409, "there are no Antigravity accounts here: no official program of theirs serves others")


async def auth_status(ask: Ask) -> Reply:
    """Always 200: what panels poll."""
    ticket = board_of(ask).find(_state_in(ask))
    if ticket is None:
        return Reply(body={"status": "ok"} if not ask.query.get("state") else {"status": "error", "error": "unknown"})
    match ticket.step:
        case Done():
            return Reply(body={"status": "ok"})
        case Aborted(why=why):
            return Reply(body={"status": "error", "error": why})
        case _:
            return Reply(body={"status": "wait"})


async def end_session(ask: Ask) -> Reply:
    state = _state_in(ask)
    if not state:
        raise invalid("state is needed")
    is_cancelled = board_of(ask).cancel(state)
    ask.changes["login"] = {"cancelled": is_cancelled}
    return Reply(body={"status": "ok", "cancelled": is_cancelled})


async def callback(ask: Ask) -> Reply:
    """What the browser was sent back with, from a machine that it could not come back to."""
    sent = await ask.read(Callback) if ask.request.method == "POST" else msgspec.convert({**ask.query}, Callback)
    states = Answer.of_paste(sent.redirect_url).states if sent.redirect_url else (sent.state,)
    if len(states) != 1 or not _STATE.fullmatch(states[0]):
        raise _callback_refusal(400, "invalid state")
    ticket = board_of(ask).find(states[0])
    if ticket is None:
        raise _callback_refusal(404, "unknown or expired state")
    if isinstance(ticket.step, Done | Aborted) or not ticket.prompt:
        raise _callback_refusal(409, "this login is not waiting for it")
    if not await board_of(ask).paste(ticket.id, sent.redirect_url or _address_of(sent, ticket.url)):
        complaint = ticket.step.complaint if isinstance(ticket.step, Enter) else "it does not count"
        raise _callback_refusal(400, complaint)
    return Reply()


def _address_of(sent: Callback, page: str) -> str:
    """Where the page leads a browser with these parts: a code counts for the address that it was made for."""
    given = {"code": sent.code, "state": sent.state, "error": sent.error}
    back = "".join(parse_qs(urlsplit(page).query).get("redirect_uri", [])[:1])
    return f"{back}?{urlencode({name: value for name, value in given.items() if value})}"


def _callback_refusal(status: int, why: str) -> Refusal:
    refusal = Refusal(status, why)
    refusal.body["status"] = "error"
    return refusal


_OBJECT: Schema = {"type": "object"}
_STATE_PARAMETER = Parameter(name="state", sentence="As it was given when the login began.")

ROUTES = (
    Route(
        method="GET",
        path="/logins",
        handler=list_logins,
        sentence="The kinds of login, and those that are under way or have just ended.",
        reply=_OBJECT,
        statuses=(503,),
    ),
    Route(
        method="POST",
        path="/logins",
        handler=begin_login,
        sentence="Begins one; the reply says where to sign in.",
        body=Begin,
        reply=_OBJECT,
        statuses=(413, 503),
    ),
    Route(
        method="GET",
        path="/logins/{id}",
        handler=show_login,
        sentence="How one stands.",
        reply=_OBJECT,
        statuses=(404, 503),
    ),
    Route(
        method="POST",
        path="/logins/{id}/paste",
        handler=paste,
        sentence="The code, or the address that the browser could not open.",
        body=Pasted,
        reply=_OBJECT,
        statuses=(404, 413, 503),
    ),
    Route(
        method="DELETE",
        path="/logins/{id}",
        handler=cancel,
        sentence="Cancels one.",
        reply=OK,
        statuses=(404, 503),
    ),
    *(_url_route(name, kind, is_device=is_device) for name, (kind, is_device) in PANEL_NAMES.items()),
    Route(
        method="GET",
        path="/antigravity-auth-url",
        handler=no_antigravity,
        sentence="Says that there are no such accounts here.",
        parameters=(Parameter(name="is_webui", sentence="Sent by panels; it changes nothing here.", schema={}),),
        reply=_OBJECT,
        statuses=(409,),
    ),
    Route(
        method="GET",
        path="/get-auth-status",
        handler=auth_status,
        sentence="How a login stands: wait, ok or error.",
        parameters=(_STATE_PARAMETER,),
        reply=OK,
        statuses=(503,),
    ),
    Route(
        method="DELETE",
        path="/oauth-session",
        handler=end_session,
        sentence="Cancels a login.",
        parameters=(_STATE_PARAMETER,),
        reply=OK,
        statuses=(503,),
    ),
    Route(
        method="POST",
        path="/oauth-callback",
        handler=callback,
        sentence="What a browser was sent back with, for the login whose state it carries.",
        body=Callback,
        statuses=(404, 409, 413, 503),
    ),
    Route(
        method="GET",
        path="/oauth-callback",
        handler=callback,
        sentence="The same in the query.",
        parameters=tuple(
            Parameter(name=name, sentence=sentence)
            for name, sentence in {
                "provider": "Whose login it is.",
                "redirect_url": "The address that the browser could not open; or its parts:",
                "code": "The code.",
                "state": "As it was given when the login began.",
                "error": "Why there is no code.",
            }.items()
        ),
        statuses=(404, 409, 503),
    ),
)
