"""What is asked of providers by hand: any call with an account's token, and whether an account works again."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from management.accounts import Account, found
from management.outbound import outbound, send
from management.refusal import Refusal, invalid
from management.routes import Ask, Reply, Route, Schema
from management.state import State, auth_index
from proxy.observe.scrub import Scrubber


class ApiCall(msgspec.Struct):
    """`auth_index` in any of three spellings; ``$TOKEN$`` in a header stands for the account's token."""

    method: str
    url: str
    auth_index: str = ""
    authIndex: str = ""  # noqa: N815 - as panels send it
    AuthIndex: str = ""
    header: Mapping[str, str] = {}
    data: str = ""


async def api_call(ask: Ask) -> Reply:
    if not ask.state.config().remote_management.api_call:
        raise Refusal(403, "api-call is off; remote-management.api-call in config.yaml turns it on")
    sent = await ask.read(ApiCall)
    account = found(ask.state, None, sent.auth_index or sent.authIndex or sent.AuthIndex)
    credential = account.credential
    if credential is None:
        raise invalid("this account serves nothing, so that its token is sent nowhere")
    provider = next(each for each in ask.state.snapshot().providers if each.name == credential.provider)
    call = outbound(provider, credential, sent.method, sent.url, sent.header, sent.data)
    ask.changes["api-call"] = {"account": credential.id, "method": call.method, "host": call.url.host}
    told = await send(call)
    scrubber = Scrubber([credential.secret] if credential.secret is not None else [])
    return Reply(body=msgspec.json.decode(scrubber.text(msgspec.json.encode(told).decode())))


async def probe(ask: Ask) -> Reply:
    """A request that costs nothing. Where it works, what a fault or a refused key had brought about is over."""
    body = await ask.json()
    named = body if isinstance(body, dict) else {}
    name, index = named.get("name"), named.get("auth_index")
    account = found(ask.state, name if isinstance(name, str) else None, index if isinstance(index, str) else None)
    told = await probed(ask.state, account)
    ask.changes["probe"] = {"account": account.id, "works": told["works"], "cleared": told["cleared"]}
    return Reply(body={"auth_index": auth_index(account.id), **told})


async def probed(state: State, account: Account) -> dict[str, object]:
    """Whether it works, why, and what is over therefore. Raises `Refusal`."""
    if account.credential is None:
        raise invalid("this account serves nothing that could be tried")
    if state.probe is None:
        raise Refusal(503, "this server asks no provider")
    works, why = await state.probe(account.credential.id)
    return {"works": works, "why": why, "cleared": _clear(state, account) if works else []}


def _clear(state: State, account: Account) -> list[str]:
    """Not what a limit holds: that a list of models is given says nothing about it."""
    over = [
        model
        for (each, model), standing in state.pool.standings(state.clock.monotonic())
        if each == account.id and (standing.is_transient or standing.state == "broken")
    ]
    for model in over:
        state.pool.reset(account.id, model)
    return over


_OBJECT: Schema = {"type": "object"}

ROUTES = (
    Route(
        method="POST",
        path="/api-call",
        handler=api_call,
        sentence="Any call to an account's own provider, with its token; off unless the configuration allows it.",
        body=ApiCall,
        reply=_OBJECT,
        statuses=(404, 413, 502),
    ),
    Route(
        method="POST",
        path="/cooldowns/probe",
        handler=probe,
        sentence="Asks an account's provider for what costs nothing; where that works, faults are over.",
        body={
            "type": "object",
            "properties": {"name": {"type": "string"}, "auth_index": {"type": "string"}},
        },
        reply=_OBJECT,
        statuses=(404, 413, 503),
    ),
)
