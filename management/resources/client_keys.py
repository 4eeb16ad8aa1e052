"""Client keys as objects: what each may do and has done. A key itself is told when it is made, and kept as a hash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from management.editing import Tree, change
from management.masking import Masked
from management.refusal import Refusal, absent, invalid
from management.resources.lean import lean
from management.resources.lists import exchanging
from management.resources.usage import asked
from management.routes import Ask, Reply, Route, Schema
from proxy.config.client_keys import ClientKey, hash_of, new_key
from proxy.config.edit import Append, Edit, Put, Remove
from proxy.config.json_schema import group_schema
from proxy.config.settings import Group, JsonValue, group_kind
from proxy.observe.usage_queries import Filter, totals

PLACE = ("api-keys",)
_GROUP = cast("type[Group]", ClientKey)
_SECRETS = frozenset({"api-key", "key-hash"})
_TERMS = frozenset({"requests-per-minute", "tokens-per-minute", "concurrency", "name", *_SECRETS})
"""What is told of a key by other names, or not at all."""
Item = dict[str, JsonValue]


async def get_all(ask: Ask) -> Reply:
    return Reply(body={"client-keys": told(ask)})


def told(ask: Ask) -> list[dict[str, object]]:
    configured = _terms(ask)
    return [
        {**standing, **{key: value for key, value in configured.get(standing["name"], {}).items() if key not in _TERMS}}
        for standing in ask.state.clients()
    ]


async def get_usage(ask: Ask) -> Reply:
    """Its totals, by model, since ever or since a time; and what is left of its budgets."""
    name = ask.path["name"]
    standing = next((each for each in ask.state.clients() if each["name"] == name), None)
    if standing is None:
        raise absent(f"there is no client key {name!r}")
    since = ask.number("since", -1, low=0, high=2**40)
    chosen = Filter(key=name, since=None if since < 0 else since)
    whole = await asked(ask, lambda connection: totals(connection, chosen))
    models = await asked(ask, lambda connection: totals(connection, chosen, "model"))
    return Reply(body={**standing, "totals": whole[0], "models": models})


async def post(ask: Ask) -> Reply:
    item = await _body(ask)
    name = item.get("name")
    if not isinstance(name, str) or not name:
        raise invalid("a name is needed")
    if any(each["name"] == name for each in ask.state.clients()):
        raise Refusal(409, f"there is a client key {name!r} already")
    key = None
    if not _SECRETS & item.keys():
        key = new_key()
        item = {"key-hash": hash_of(key), **item}

    def decide(_tree: Tree, masked: Masked) -> list[Edit]:
        return [Append(PLACE, lean(masked.restored(item), group_kind(_GROUP)))]

    await change(ask, decide)
    return Reply(body={"status": "ok", "name": name, **({"api-key": key} if key is not None else {})})


async def patch(ask: Ask) -> Reply:
    """What is null goes back to its default."""
    wanted = await _body(ask)
    if _SECRETS & wanted.keys():
        raise invalid("a key is not changed by hand: rotate it")

    def decide(tree: Tree, masked: Masked) -> list[Edit]:
        at, item, old = _found(tree, ask)
        merged = {**old, **cast("Item", masked.restored(wanted))}
        kept: Item = {key: value for key, value in merged.items() if value is not None}
        return exchanging((*PLACE, at), item, lean(kept, group_kind(_GROUP)))

    await change(ask, decide)
    return Reply()


async def rotate(ask: Ask) -> Reply:
    """Another key in its place, with the same terms. The old one lets nobody in from now on."""
    key = new_key()

    def decide(tree: Tree, _masked: Masked) -> list[Edit]:
        at, _, old = _found(tree, ask)
        return [Put((*PLACE, at), {"key-hash": hash_of(key), **_without(old, _SECRETS), "name": ask.path["name"]})]

    await change(ask, decide)
    return Reply(body={"status": "ok", "name": ask.path["name"], "api-key": key})


async def delete(ask: Ask) -> Reply:
    def decide(tree: Tree, _masked: Masked) -> list[Edit]:
        return [Remove((*PLACE, _found(tree, ask)[0]))]

    await change(ask, decide)
    return Reply()


def _found(tree: Tree, ask: Ask) -> tuple[int, JsonValue, Item]:
    """Its place, the entry as it stands there, and as an object. Raises `Refusal`."""
    name = ask.path["name"]
    items = tree.get(PLACE[0])
    for at, item in enumerate(cast("Sequence[JsonValue]", items) if isinstance(items, list) else ()):
        whole = _whole(item)
        if whole is not None and _shown_name(whole) == name:
            return at, item, whole
    if any(each["name"] == name for each in ask.state.clients()):
        raise Refusal(409, f"{name!r} stands in api-keys-file: change it there")
    raise absent(f"there is no client key {name!r}")


def _whole(item: JsonValue) -> Item | None:
    if isinstance(item, str | int | float):
        return {"api-key": str(item)}
    return item if isinstance(item, dict) else None


def _shown_name(item: Item) -> str:
    name, key, hashed = (str(item.get(each) or "") for each in ("name", "api-key", "key-hash"))
    return ClientKey(name=name, key_hash=hashed or hash_of(key)).shown_name


def _terms(ask: Ask) -> dict[object, Item]:
    """By name."""
    config = ask.state.config()
    items = cast("list[Item]", Masked(config).settings["api-keys"])
    return {key.shown_name: item for key, item in zip(config.api_keys, items, strict=True)}


def _without(item: Item, keys: frozenset[str]) -> Item:
    return {key: value for key, value in item.items() if key not in keys}


async def _body(ask: Ask) -> Item:
    body = await ask.json()
    if not isinstance(body, dict):
        raise invalid("an object is needed")
    return body


_SCHEMA: Schema = group_schema(_GROUP)
_TOLD: Schema = {"type": "object"}
_MADE: Schema = {
    "type": "object",
    "properties": {"status": {"type": "string"}, "name": {"type": "string"}, "api-key": {"type": "string"}},
    "required": ["status", "name"],
}
_LATE = (404, 409, 412, 413)

ROUTES = (
    Route(
        method="GET",
        path="/client-keys",
        handler=get_all,
        sentence="Client keys: their terms, their state, the last minute, what is left of their budgets. Never a key.",
        reply={"type": "object", "properties": {"client-keys": {"type": "array"}}, "required": ["client-keys"]},
    ),
    Route(
        method="POST",
        path="/client-keys",
        handler=post,
        sentence="One more. Without api-key or key-hash a key is made, told in the reply and nowhere else.",
        body=_SCHEMA,
        reply=_MADE,
        statuses=_LATE,
    ),
    Route(
        method="PATCH",
        path="/client-keys/{name}",
        handler=patch,
        sentence="Other terms for one: only what is named changes, and null is the default.",
        body={"type": "object"},
        statuses=_LATE,
    ),
    Route(
        method="DELETE",
        path="/client-keys/{name}",
        handler=delete,
        sentence="Remove one: it lets nobody in from now on.",
        statuses=_LATE,
    ),
    Route(
        method="POST",
        path="/client-keys/{name}/rotate",
        handler=rotate,
        sentence="Another key with the same terms, told in the reply and nowhere else.",
        reply=_MADE,
        statuses=_LATE,
    ),
    Route(
        method="GET",
        path="/client-keys/{name}/usage",
        handler=get_usage,
        sentence="What one has used, whole and by model, and what is left of its budgets.",
        reply=_TOLD,
        statuses=(404, 503),
    ),
)
