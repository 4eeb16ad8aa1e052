"""Settings by kind of account: exclusions and aliases of models, meanings of errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from management.editing import Tree, change
from management.masking import Masked
from management.refusal import absent, invalid
from management.resources.lean import lean
from management.resources.settings import Place, open_settings, path_of, schema_at, shown, value_at
from management.routes import OK, Ask, Parameter, Reply, Route, Schema
from proxy.config.edit import Edit, Put, Remove
from proxy.config.settings import JsonValue, MapOf, Setting

_MEMBERS = {
    "oauth-excluded-models": "models",
    "oauth-model-alias": "aliases",
    "oauth-request-scoped-errors": "rules",
}
"""What a PATCH calls the values of a kind of account."""


@dataclass(frozen=True, slots=True)
class MapOfSetting:
    place: Place
    setting: Setting

    @property
    def name(self) -> str:
        return self.place[-1]

    async def get(self, ask: Ask) -> Reply:
        return Reply(body={self.name: shown(ask, self.place)})

    async def put(self, ask: Ask) -> Reply:
        body = await ask.json()
        if not isinstance(body, dict):
            raise invalid()
        items = body["items"] if set(body) == {"items"} and isinstance(body["items"], dict) else body
        await change(ask, lambda _tree, masked: [Put(self.place, lean(masked.restored(items), self.setting.kind))])
        return Reply()

    async def patch(self, ask: Ask) -> Reply:
        body = await ask.json()
        if not isinstance(body, dict):
            raise invalid()
        kind, values = body.get("channel") or body.get("provider"), body.get(_MEMBERS.get(self.name, "value"))
        if not isinstance(kind, str) or not isinstance(values, list):
            raise invalid("missing fields")
        named, new = kind.strip().lower(), cast("JsonValue", values)

        def decide(tree: Tree, masked: Masked) -> list[Edit]:
            if not new:
                return self._without(tree, named)
            item = cast("MapOf", self.setting.kind).item
            return [Put((*self.place, named), lean(masked.restored(new), item))]

        await change(ask, decide)
        return Reply()

    async def delete(self, ask: Ask) -> Reply:
        kind = ask.query.get("channel") or ask.query.get("provider")
        if not kind:
            raise invalid("missing provider")
        await change(ask, lambda tree, _masked: self._without(tree, kind.strip().lower()))
        return Reply()

    def _without(self, tree: Tree, kind: str) -> list[Edit]:
        found = value_at(tree, self.place)
        if not isinstance(found, dict) or kind not in found:
            raise absent()
        return [Remove((*self.place, kind) if len(found) > 1 else self.place)]

    def routes(self) -> Iterator[Route]:
        schema, path, words = schema_at(self.place), path_of(self.place), self.setting.sentence
        member = _MEMBERS.get(self.name, "value")
        one: Schema = {
            "type": "object",
            "properties": {"channel": {"type": "string"}, "provider": {"type": "string"}, member: {"type": "array"}},
            "required": [member],
        }
        reply: Schema = {"type": "object", "properties": {self.name: {"type": "object"}}, "required": [self.name]}
        names = tuple(Parameter(name=name, sentence="The kind of account.") for name in ("provider", "channel"))
        late = (404, 409, 412, 413)
        yield Route(method="GET", path=path, handler=self.get, sentence=words, reply=reply)
        yield Route(
            method="PUT", path=path, handler=self.put, sentence=f"All: {words}", body=schema, reply=OK, statuses=late
        )
        yield Route(
            method="PATCH", path=path, handler=self.patch, sentence=f"One kind: {words}", body=one, statuses=late
        )
        yield Route(
            method="DELETE",
            path=path,
            handler=self.delete,
            sentence=f"Remove one kind: {words}",
            parameters=names,
            statuses=late,
        )


ROUTES = tuple(
    route
    for place, setting in open_settings()
    if isinstance(setting.kind, MapOf)
    for route in MapOfSetting(place, setting).routes()
)
