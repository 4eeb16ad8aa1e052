"""Lists of the configuration: client keys, providers' keys, compatible providers; and plain lists of texts.

Entries are named by ``index``, by what they are (``match``, ``old``, ``value``: a key, or its mask) or by ``name``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from management.editing import Tree, change
from management.masking import Masked, mask_of
from management.refusal import Refusal, absent, invalid
from management.resources.lean import lean
from management.resources.settings import Place, canonical, open_settings, path_of, schema_at, shown, value_at
from management.routes import ANY, OK, Ask, Parameter, Reply, Route, Schema
from management.state import auth_index
from proxy.config.edit import Append, Edit, Put, Remove
from proxy.config.edit import Place as FilePlace
from proxy.config.schema import Config
from proxy.config.settings import GroupOf, JsonValue, ListOf, Setting
from proxy.providers.configured import PROVIDER_OF, compatible_name, key_id

_INDEX = "auth-index"
_REFUSES_EMPTY = frozenset({"api-keys"})
Item = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class ListOfSetting:
    """`place`: where it is in the file."""

    place: Place
    setting: Setting

    @property
    def name(self) -> str:
        return self.place[-1]

    @property
    def _item(self) -> GroupOf | None:
        kind = cast("ListOf", self.setting.kind).item
        return kind if isinstance(kind, GroupOf) else None

    @property
    def is_textual(self) -> bool:
        """Its entries are single words, or may be: client keys."""
        return self._item is None or self.name == "api-keys"

    @property
    def identity(self) -> str:
        """The member by which an entry is known."""
        return {"openai-compatibility": "name", "webhooks": "url"}.get(self.name, "api-key")

    # the shape of entries

    def lean(self, item: JsonValue) -> JsonValue:
        """Without defaults, and as a text where that says it all."""
        if isinstance(item, dict):
            item = {key: value for key, value in item.items() if key != _INDEX}
        return lean(item, cast("ListOf", self.setting.kind).item)

    def full(self, item: JsonValue) -> JsonValue:
        """As an object, where entries are objects."""
        plain = None if self._item is None else self._item.plain
        return {plain: item} if plain is not None and isinstance(item, str) else item

    def is_called(self, item: JsonValue, word: str) -> bool:
        """`word`: what an entry is known by, or its mask."""
        known = item if isinstance(item, str) else item.get(self.identity) if isinstance(item, dict) else None
        return isinstance(known, str) and bool(word) and word in {known, mask_of(known)}

    def items(self, tree: Tree) -> list[JsonValue]:
        found = value_at(tree, self.place)
        return found if isinstance(found, list) else []

    # what is done with it

    async def get(self, ask: Ask) -> Reply:
        items = cast("list[JsonValue]", shown(ask, self.place))
        if self.is_textual:
            return Reply(body={self.name: [self.lean(item) for item in items]})
        ids = _ids(ask.state.config(), self.name)
        told = [{**cast("Item", item), **({_INDEX: ids[at]} if at < len(ids) else {})} for at, item in enumerate(items)]
        return Reply(body={self.name: told})

    async def put(self, ask: Ask) -> Reply:
        body = await ask.json()
        wanted = body.get("items") if isinstance(body, dict) else body
        if not isinstance(wanted, list):
            raise invalid()
        if not wanted and isinstance(body, dict) and self.name in _REFUSES_EMPTY:
            raise invalid("items is empty: send an empty list itself to remove them all")
        items = wanted

        def decide(tree: Tree, masked: Masked) -> list[Edit]:
            new = [self.lean(masked.restored(item)) for item in items]
            return replacing(self.place, self.items(tree), new, self.lean)

        await change(ask, decide)
        return Reply()

    async def patch(self, ask: Ask) -> Reply:
        body = await ask.json()
        if not isinstance(body, dict):
            raise invalid()
        fields = body

        def decide(tree: Tree, masked: Masked) -> list[Edit]:
            items = self.items(tree)
            if self.is_textual and "old" in fields:
                return self._exchanged(items, masked, fields)
            if fields.get("value") is None:
                raise invalid("missing fields")
            value, at = masked.restored(fields["value"]), self._found(items, fields, ask)
            if isinstance(value, dict) and self._item is not None:
                value = _merged(cast("Item", self.full(items[at])), value)
            return exchanging((*self.place, at), items[at], self.lean(value))

        await change(ask, decide)
        return Reply()

    def _exchanged(self, items: Sequence[JsonValue], masked: Masked, fields: Item) -> list[Edit]:
        old, new = fields.get("old"), fields.get("new")
        if not isinstance(old, str) or not isinstance(new, str) or not new:
            raise invalid("missing fields")
        value = masked.restored(new)
        for at, item in enumerate(items):
            if self.is_called(item, old):
                return [Put((*self.place, at, "api-key") if isinstance(item, dict) else (*self.place, at), value)]
        return [Append(self.place, value)]

    def _found(self, items: Sequence[JsonValue], fields: Item, ask: Ask) -> int:
        """Raises `Refusal`."""
        index = fields.get("index")
        if index is not None:
            if not isinstance(index, int) or isinstance(index, bool):
                raise invalid("index must be a whole number")
            return _checked(index, items)
        word = fields.get("name" if self.identity == "name" else "match", fields.get("match"))
        if not isinstance(word, str):
            raise invalid("missing fields")
        return self._only(items, word, ask.query.get("base-url"))

    def _only(self, items: Sequence[JsonValue], word: str, base_url: str | None) -> int:
        found = [
            at
            for at, item in enumerate(items)
            if self.is_called(item, word)
            and (base_url is None or (item.get("base-url", "") if isinstance(item, dict) else "") == base_url)
        ]
        if not found:
            raise absent()
        if len(found) > 1:
            raise invalid(f"{len(found)} entries match: name one by index")
        return found[0]

    async def delete(self, ask: Ask) -> Reply:
        query = ask.query
        names = ("value",) if self.is_textual else (self.identity, "api-key", "name")
        word = next((query[name] for name in names if query.get(name)), None)
        if word is None and not query.get("index"):
            raise invalid("missing index or " + names[0])

        def decide(tree: Tree, _masked: Masked) -> list[Edit]:
            items = self.items(tree)
            if word is None:
                at = _checked(ask.number("index", 0, low=0, high=10**6), items)
            else:
                at = self._only(items, word, query.get("base-url"))
            return [Remove((*self.place, at))]

        await change(ask, decide)
        return Reply()

    def routes(self) -> Iterator[Route]:
        schema, path, words = schema_at(self.place), path_of(self.place), self.setting.sentence
        reply: Schema = {"type": "object", "properties": {self.name: {"type": "array"}}, "required": [self.name]}
        index = Parameter(name="index", sentence="Its place, from 0.", schema={"type": "integer"})
        known = Parameter(name="value" if self.is_textual else self.identity, sentence="What it is known by.")
        address = Parameter(name="base-url", sentence="Of several entries, the one with this address.")
        lists: Schema = {"anyOf": [schema, {"type": "object", "properties": {"items": schema}}]}  # type: ignore[list-item, dict-item]  # mappings are JSON
        late = (404, 409, 412, 413)
        yield Route(method="GET", path=path, handler=self.get, sentence=words, reply=reply)
        yield Route(
            method="PUT", path=path, handler=self.put, sentence=f"All: {words}", body=lists, statuses=late, reply=OK
        )
        yield Route(
            method="PATCH",
            path=path,
            handler=self.patch,
            sentence=f"One: {words}",
            parameters=(address,),
            body=_PATCH,
            statuses=late,
        )
        yield Route(
            method="DELETE",
            path=path,
            handler=self.delete,
            sentence=f"Remove one: {words}",
            parameters=(index, known, address),
            statuses=late,
        )


_PATCH: Schema = {
    "type": "object",
    "properties": {
        "index": {"type": "integer"},
        "match": {"type": "string"},
        "name": {"type": "string"},
        "old": {"type": "string"},
        "new": {"type": "string"},
        "value": dict(ANY),
    },
}


def replacing(
    place: Place, old: Sequence[JsonValue], new: Sequence[JsonValue], shape: Callable[[JsonValue], JsonValue]
) -> list[Edit]:
    """What makes the one list of the other, and leaves alone what is the same: comments stand between entries."""
    before, after = [canonical(shape(item)) for item in old], [canonical(item) for item in new]
    if not old:
        return [Put(place, list(new))]
    rest = iter(enumerate(before))
    kept = {next((at for at, item in rest if item == each), -1) for each in after}
    if len(kept) == len(after) and -1 not in kept:
        return [Remove((*place, at)) for at in reversed(range(len(old))) if at not in kept]
    both = min(len(old), len(new))
    return [
        *(edit for at in range(both) if before[at] != after[at] for edit in exchanging((*place, at), old[at], new[at])),
        *(Append(place, item) for item in new[both:]),
        *(Remove((*place, at)) for at in reversed(range(both, len(old)))),
    ]


def exchanging(place: FilePlace, old: JsonValue, new: JsonValue) -> list[Edit]:
    """What makes the one entry of the other, member by member."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [Put(place, new)]
    return [
        *(Put((*place, key), value) for key, value in new.items() if key not in old or old[key] != value),
        *(Remove((*place, key)) for key in old if key not in new),
    ]


def _merged(old: Item, new: Item) -> Item:
    """A member that is null goes back to its default."""
    return {key: value for key, value in {**old, **new}.items() if value is not None}


def _checked(index: int, items: Sequence[JsonValue]) -> int:
    if not 0 <= index < len(items):
        raise Refusal(404, "item not found")
    return index


def _ids(config: Config, name: str) -> list[str]:
    """What panels call the account behind each entry."""
    if name == "openai-compatibility":
        return [
            auth_index(
                key_id(compatible_name(each.name), each.api_key_entries[0].api_key if each.api_key_entries else None)
            )
            for each in config.openai_compatibility
        ]
    if name not in PROVIDER_OF:
        return []
    keys = getattr(config, name.replace("-", "_"))
    return [auth_index(key_id(name, each.api_key, each.base_url)) for each in keys]


LISTS = tuple(ListOfSetting(place, setting) for place, setting in open_settings() if isinstance(setting.kind, ListOf))
ROUTES = tuple(route for each in LISTS for route in each.routes())
