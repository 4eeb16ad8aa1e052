"""Files of the auth-dir: list, upload, download, delete, disable, change. Whatever is done passes the store.

Secrets are in no list. A file goes out whole by ``/auth-files/download`` only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar, cast

from auth.credential import Credential
from auth.document import Document
from auth.guarded import check_name
from auth.refusal import Changed, Missing, Refused
from management.accounts import Account, Teller, accounts, found
from management.editing import change
from management.refusal import Refusal, absent, invalid
from management.removal import remove
from management.resources.resting import EVERYTHING, excluding
from management.resources.uploads import Upload, uploads
from management.resources.usage import NO_COUNTS, counts
from management.routes import FORM, JSON, OK, Ask, Parameter, Reply, Route, Schema, decoded
from management.selection import BY, WORDS, selected
from management.state import State
from proxy.config.settings import JsonValue
from proxy.dispatch.reach import Reach

T = TypeVar("T")
PAGE_MAX = 1000
_FIXED = frozenset({"type", "home", "account", "service-account", "service_account"})
"""What makes the account the one it is."""


async def list_accounts(ask: Ask) -> Reply:
    """All of them where no `limit` is named."""
    told = await asyncio.to_thread(_listed, ask.state, Teller(ask.state))
    served = await counts(ask)
    for each in told:
        each.update(served.get(str(each["id"]), NO_COUNTS))
    chosen = selected(told, ask.query)
    offset = ask.number("offset", 0, low=0, high=10**6)
    limit = ask.number("limit", len(chosen) or 1, low=1, high=max(PAGE_MAX, len(chosen)))
    by_status: dict[str, int] = {}
    for each in chosen:
        by_status[str(each["status"])] = by_status.get(str(each["status"]), 0) + 1
    return Reply(
        body={"files": chosen[offset : offset + limit], "total": len(chosen), "offset": offset, "by_status": by_status}
    )


def _listed(state: State, teller: Teller) -> list[dict[str, object]]:
    return [teller.told(account) for account in accounts(state)]


def _file_of(account: Account) -> str:
    if account.entry is None:
        raise Refusal(409, "this account stands in config.yaml: change its entry there")
    return account.entry.name


async def stored(ask: Ask, work: Callable[[], T]) -> T:
    """In a thread; what it changed is in force afterwards. Raises `Refusal`."""
    try:
        done = await asyncio.to_thread(work)
    except Refused as error:
        raise _refusal(error) from error
    await ask.state.look()
    return done


def _refusal(error: Refused) -> Refusal:
    if isinstance(error, Missing):
        return absent(str(error))
    return Refusal(409, str(error)) if isinstance(error, Changed) else invalid(str(error))


async def upload(ask: Ask) -> Reply:
    """One file or several; each for itself."""
    given = await uploads(ask)
    done, failed = await _each(ask, {each.name: partial(_put, ask.state, each) for each in given})
    ask.changes["auth-files"] = {"uploaded": done}
    if failed and len(given) == 1:
        raise failed[given[0].name]
    return _summed("uploaded", done, failed, is_one=len(given) == 1)


async def _each(ask: Ask, works: Mapping[str, Callable[[], object]]) -> tuple[list[str], dict[str, Refusal]]:
    """By name, one after the other in one thread, and in force together: who did well, and why the others did not."""
    failed: dict[str, Refusal] = {}

    def all_of_them() -> None:
        for name, work in works.items():
            try:
                work()
            except Refused as error:
                failed[name] = _refusal(error)

    await asyncio.to_thread(all_of_them)
    await ask.state.look()
    return [name for name in works if name not in failed], failed


def _put(state: State, upload: Upload) -> None:
    check_name(upload.name)
    state.store.put(upload.name, Document.parse(upload.raw))


def _summed(word: str, done: list[str], failed: Mapping[str, Refusal], *, is_one: bool) -> Reply:
    if failed:
        told = [{"name": name[:220], "error": str(refusal)} for name, refusal in failed.items()]
        return Reply(status=207, body={"status": "partial", word: len(done), "files": done, "failed": told})
    return Reply(body={"status": "ok"} if is_one else {"status": "ok", word: len(done), "files": done})


async def delete(ask: Ask) -> Reply:
    names = ask.query.getall("name", [])
    if ask.flag("all"):
        names = [*ask.state.store.entries]
    elif not names:
        raw = await ask.raw()
        names = _names(decoded(raw) if raw else None)
    done, failed = await _each(ask, {name: partial(remove, ask.state.store, name) for name in names})
    if failed and len(names) == 1:
        raise failed[names[0]]
    ask.changes["auth-files"] = {"deleted": done}
    return _summed("deleted", done, failed, is_one=len(names) == 1)


def _names(body: JsonValue) -> list[str]:
    named = body
    if isinstance(body, dict):
        named = body.get("names", body.get("name"))
    names = [named] if isinstance(named, str) else named
    if not isinstance(names, list) or not names or not all(isinstance(each, str) for each in names):
        raise invalid("name the files to delete: ?name=, once for each, or all=true")
    return cast("list[str]", names)


async def download(ask: Ask) -> Reply:
    name = _file_of(found(ask.state, ask.query.get("name"), ask.query.get("auth_index")))
    entry = ask.state.store.entries.get(name)
    if entry is None or entry.document is None:
        raise absent("there is nothing readable under this name")
    ask.changes["auth-files"] = {"downloaded": name}
    return Reply(
        body=entry.document.render(), headers={"Content-Disposition": f'attachment; filename="{name}"'}, kind=JSON
    )


async def set_status(ask: Ask) -> Reply:
    """Of one account, or of several by `names`."""
    body = await ask.json()
    if not isinstance(body, dict) or not isinstance(body.get("disabled"), bool):
        raise invalid("disabled must be true or false")
    is_disabled = body["disabled"]
    named = [found(ask.state, name, None) for name in _names(body)] if "names" in body else [_named(ask, body)]
    files = [_file_of(account) for account in named if account.entry is not None]
    keys = {account.id for account in named if account.entry is None}
    more: dict[str, object] = {}
    if keys:
        await change(ask, lambda tree, _masked: excluding(ask.state, tree, keys, is_excluded=bool(is_disabled)))
        more = {"via": "excluded-models", "excluded_pattern": EVERYTHING}
    for name in files:
        await stored(ask, lambda name=name: ask.state.store.change(name, {"disabled": is_disabled or None}))  # type: ignore[misc]  # the default is its argument
    ask.changes["auth-files"] = {"disabled" if is_disabled else "enabled": [account.id for account in named]}
    return Reply(body={"status": "ok", "disabled": is_disabled, **more})


def _named(ask: Ask, body: Mapping[str, JsonValue]) -> Account:
    name, index = body.get("name"), body.get("auth_index")
    return found(ask.state, name if isinstance(name, str) else None, index if isinstance(index, str) else None)


async def set_fields(ask: Ask) -> Reply:
    """Null goes back to the default; headers are merged."""
    body = await ask.json()
    if not isinstance(body, dict):
        raise invalid()
    account = _named(ask, body)
    name = _file_of(account)
    fields = {key: value for key, value in body.items() if key not in {"name", "auth_index"}}
    if not fields:
        raise invalid("no field is named")
    if fixed := sorted(_FIXED & set(fields)):
        raise invalid(f"{', '.join(fixed)} cannot be changed: upload another file")
    document = account.entry.document if account.entry is not None else None
    if isinstance(fields.get("headers"), dict) and document is not None:
        old = document.fields.get("headers")
        merged = {**(old if isinstance(old, dict) else {}), **cast("dict[str, JsonValue]", fields["headers"])}
        fields["headers"] = {key: value for key, value in merged.items() if value is not None} or None
    await stored(ask, lambda: ask.state.store.change(name, fields))
    ask.changes["auth-files"] = {"name": name, "fields": sorted(fields)}
    return Reply()


async def models_of(ask: Ask) -> Reply:
    """What clients can ask of one account."""
    account = found(ask.state, ask.query.get("name"), ask.query.get("auth_index"))
    if account.credential is None:
        return Reply(body={"models": []})
    return Reply(body={"models": await asyncio.to_thread(_models, ask.state, account.credential)})


def _models(state: State, credential: Credential) -> list[dict[str, object]]:
    """Whatever they can be asked for: there are some that only draw."""
    return [
        {
            "id": model.id,
            "display_name": model.display_name or model.id,
            "type": credential.provider,
            "owned_by": model.owner or credential.provider,
        }
        for model in state.snapshot().catalogue.within(Reach(accounts=(credential.id,))).models()
    ]


_OBJECT: Schema = {"type": "object"}
_NAME = Parameter(name="name", sentence="The file's name.")
_INDEX = Parameter(name="auth_index", sentence="The account's auth_index.")


def _words(*names: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(name=name, sentence=f"Only those of this {name}.") for name in names)


_WHICH: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "auth_index": {"type": "string"},
        "names": {"type": "array", "items": {"type": "string"}},
        "disabled": {"type": "boolean"},
    },
}
ROUTES = (
    Route(
        method="GET",
        path="/auth-files",
        handler=list_accounts,
        sentence="The accounts, with state, cooldowns and usage windows; never a secret.",
        parameters=(
            *_words(*BY),
            Parameter(name=WORDS, sentence="A part of name, label, e-mail address or note."),
            Parameter(name="limit", sentence="How many.", schema={"type": "integer", "minimum": 1}),
            Parameter(name="offset", sentence="After so many.", schema={"type": "integer", "minimum": 0}),
        ),
        reply=_OBJECT,
    ),
    Route(
        method="POST",
        path="/auth-files",
        handler=upload,
        sentence="Put files into the auth-dir: one as JSON with ?name=, or several as a form.",
        parameters=(_NAME,),
        body=_OBJECT,
        body_types=(JSON, FORM),
        reply=OK,
        statuses=(207, 409, 413),
    ),
    Route(
        method="DELETE",
        path="/auth-files",
        handler=delete,
        sentence="Delete files, by ?name= (several times), by a body, or ?all=true.",
        parameters=(_NAME, Parameter(name="all", sentence="Every one.", schema={"enum": ["true", "false"]})),
        body={"type": "object", "properties": {"names": {"type": "array", "items": {"type": "string"}}}},
        reply=OK,
        statuses=(207, 404, 409, 413),
    ),
    Route(
        method="GET",
        path="/auth-files/download",
        handler=download,
        sentence="A file, with its secrets.",
        parameters=(_NAME, _INDEX),
        reply=_OBJECT,
        statuses=(404, 409),
    ),
    Route(
        method="PATCH",
        path="/auth-files/status",
        handler=set_status,
        sentence="Disable or enable an account.",
        body=_WHICH,
        statuses=(404, 409, 413),
    ),
    Route(
        method="PATCH",
        path="/auth-files/fields",
        handler=set_fields,
        sentence="Change members of a file: label, note, prefix, priority, weight, headers …",
        body=_WHICH,
        statuses=(404, 409, 413),
    ),
    Route(
        method="GET",
        path="/auth-files/models",
        handler=models_of,
        sentence="What clients can ask of one account.",
        parameters=(_NAME, _INDEX),
        reply=_OBJECT,
        statuses=(404,),
    ),
)
