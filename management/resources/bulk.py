"""One act upon many accounts: those that are named, those that a filter finds, or all. Each for itself: what cannot be
done with one is told, and done with the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from auth.refusal import Changed, Missing, Refused
from management.accounts import Account, Teller, accounts
from management.editing import change
from management.refusal import Refusal, invalid
from management.removal import remove
from management.resources.calls import probed
from management.resources.resting import excluding, places_of
from management.routes import Ask, Reply, Route, Schema
from management.selection import selected
from management.state import State, auth_index

PROBES_AT_ONCE = 8
_ABSENT = "there is no such account"
_ELSEWHERE = "this account stands in config.yaml: change its entry there"

Action: TypeAlias = Literal["enable", "disable", "delete", "clear", "probe"]
Outcome: TypeAlias = "Mapping[str, object]"
"""Of one account: ``error``, where it could not be done; more where there is more to tell."""
Outcomes: TypeAlias = "Mapping[str, Outcome]"
"""By account; whoever is missing went well."""


class By(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """As in the list of accounts; all of them hold."""

    name: str = ""
    auth_index: str = ""
    type: str = ""
    provider: str = ""
    status: str = ""
    source: str = ""
    q: str = ""


class Wish(msgspec.Struct, rename="kebab", forbid_unknown_fields=True):
    """`names`: of files, or auth_indexes; `is_all`: written ``all``. `dry_run`: only says who is meant."""

    action: Action
    names: list[str] = []
    filter: By = msgspec.field(default_factory=By)
    is_all: bool = msgspec.field(default=False, name="all")
    dry_run: bool = False


async def act(ask: Ask) -> Reply:
    """207 where something could not be done."""
    wish = await ask.read(Wish)
    chosen, missing = await _chosen(ask.state, wish)
    outcomes = {} if wish.dry_run else await _ACTS[wish.action](ask, chosen)
    results = [
        *({"account": "", "name": name, "error": _ABSENT} for name in missing),
        *({**_called(each), **outcomes.get(each.id, {})} for each in chosen),
    ]
    done = [each.id for each in chosen if "error" not in outcomes.get(each.id, {})]
    if not wish.dry_run:
        ask.changes["auth-files"] = {"action": wish.action, "accounts": done}
    is_whole = len(done) == len(results)
    body = {"status": "ok" if is_whole else "partial", "action": wish.action, "dry-run": wish.dry_run}
    counts = {"matched": len(chosen), "done": 0 if wish.dry_run else len(done)}
    return Reply(status=200 if is_whole else 207, body={**body, **counts, "results": results})


def _called(account: Account) -> dict[str, object]:
    entry = account.entry
    return {
        "account": account.id,
        "auth_index": auth_index(account.id),
        "name": entry.name if entry is not None else "",
        "label": account.credential.label if account.credential is not None else account.id,
    }


async def _chosen(state: State, wish: Wish) -> tuple[list[Account], list[str]]:
    """Those who are meant, and the names that nobody has. Raises `Refusal`."""
    wanted: dict[str, str] = msgspec.to_builtins(wish.filter)
    ways = bool(wish.names) + bool(wanted) + wish.is_all
    if ways != 1:
        raise invalid("say who is meant, in one way: names, filter, or all")
    teller = Teller(state)
    return await asyncio.to_thread(_found, state, teller, frozenset(wish.names), wanted)


def _found(
    state: State, teller: Teller, names: Collection[str], wanted: Mapping[str, str]
) -> tuple[list[Account], list[str]]:
    there = accounts(state)
    if names:
        named = [(each, {each.entry.name if each.entry else "", each.id, auth_index(each.id)}) for each in there]
        known = {name for _, own in named for name in own}
        return [each for each, own in named if own & set(names)], sorted(set(names) - known)
    ids = {each["id"] for each in selected([teller.told(each) for each in there], wanted)}
    return [each for each in there if each.id in ids], []


async def _enable(ask: Ask, chosen: Sequence[Account]) -> Outcomes:
    return await _switch(ask, chosen, is_off=False)


async def _disable(ask: Ask, chosen: Sequence[Account]) -> Outcomes:
    return await _switch(ask, chosen, is_off=True)


async def _switch(ask: Ask, chosen: Sequence[Account], *, is_off: bool) -> Outcomes:
    """Files say it themselves; entries of the configuration exclude every model, all in one change."""
    state = ask.state
    keys = {each.id for each in chosen if each.entry is None} & places_of(state.config()).keys()
    if keys:
        await change(ask, lambda tree, _masked: excluding(state, tree, keys, is_excluded=is_off))
    rest = [each for each in chosen if each.id not in keys]
    return await _filed(ask, rest, lambda name: state.store.change(name, {"disabled": is_off or None}))


async def _delete(ask: Ask, chosen: Sequence[Account]) -> Outcomes:
    return await _filed(ask, chosen, lambda name: remove(ask.state.store, name))


async def _filed(ask: Ask, chosen: Sequence[Account], work: Callable[[str], object]) -> Outcomes:
    """One after the other in one thread, and in force together."""

    def all_of_them() -> dict[str, Outcome]:
        return {each.id: {"error": error} for each in chosen if (error := _refusal(each, work))}

    outcomes = await asyncio.to_thread(all_of_them)
    await ask.state.look()
    return outcomes


def _refusal(account: Account, work: Callable[[str], object]) -> str:
    """Empty: it went well."""
    if account.entry is None:
        return _ELSEWHERE
    try:
        work(account.entry.name)
    except (Missing, Changed, Refused) as error:
        return str(error)
    return ""


async def _clear(ask: Ask, chosen: Sequence[Account]) -> Outcomes:
    for each in chosen:
        ask.state.pool.reset(each.id)
    return {}


async def _probe(ask: Ask, chosen: Sequence[Account]) -> Outcomes:
    seats = asyncio.Semaphore(PROBES_AT_ONCE)

    async def one(account: Account) -> tuple[str, Outcome]:
        async with seats:
            try:
                return account.id, await probed(ask.state, account)
            except Refusal as refusal:
                return account.id, {"error": str(refusal)}

    return dict(await asyncio.gather(*map(one, chosen)))


_ACTS: Mapping[Action, Callable[[Ask, Sequence[Account]], Awaitable[Outcomes]]] = {
    "enable": _enable,
    "disable": _disable,
    "delete": _delete,
    "clear": _clear,
    "probe": _probe,
}
_REPLY: Schema = {
    "type": "object",
    "properties": {
        "status": {"enum": ["ok", "partial"]},
        "action": {"type": "string"},
        "dry-run": {"type": "boolean"},
        "matched": {"type": "integer"},
        "done": {"type": "integer"},
        "results": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["status", "action", "dry-run", "matched", "done", "results"],
}

ROUTES = (
    Route(
        method="POST",
        path="/auth-files/bulk",
        handler=act,
        sentence="Enable, disable, delete, clear or probe many accounts: by names, by a filter, or all.",
        body=Wish,
        reply=_REPLY,
        statuses=(207, 409, 413),
    ),
)
