"""The nouns of the API: a route, what is asked there, and what is replied. Resources are tables of routes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar, cast

import msgspec
from aiohttp import web
from multidict import MultiDict

from management.refusal import Refusal, invalid
from management.state import State
from proxy.config.settings import JsonValue

T = TypeVar("T")
BODY_BYTES_MAX = 1024 * 1024
DEPTH_MAX = 64
PREFIX = "/v0/management"
JSON, YAML, TEXT, BYTES, CSV = (
    "application/json", "application/yaml", "text/plain", "application/octet-stream", "text/csv",
)  # fmt: skip
EVENTS, FORM = "text/event-stream", "multipart/form-data"

Method: TypeAlias = Literal["GET", "PUT", "POST", "PATCH", "DELETE"]
Schema: TypeAlias = "Mapping[str, JsonValue]"
ANY: Schema = {}
OK: Schema = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`body`: JSON; where `kind` is another type, bytes."""

    status: int = 200
    body: object = field(default_factory=lambda: {"status": "ok"})
    kind: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body, enc_hook=str)


@dataclass(slots=True, kw_only=True)
class Ask:
    """One request. `path`: the variable parts of its path. `changes`: what the audit log gets: setting → before and
    after, masked.
    """

    state: State
    path: Mapping[str, str]
    query: MultiDict[str]
    request: web.BaseRequest
    peer: str
    request_id: str
    dressed: Callable[[web.StreamResponse], web.StreamResponse]
    changes: dict[str, object] = field(default_factory=dict)

    async def raw(self, bytes_max: int = BODY_BYTES_MAX) -> bytes:
        """Raises `Refusal`."""
        length = self.request.content_length
        if length is not None and length > bytes_max:
            raise too_large(bytes_max)
        pieces, left = [], bytes_max
        async for piece in self.request.content.iter_any():
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                raise too_large(bytes_max)
        return b"".join(pieces)

    async def json(self) -> JsonValue:
        """Raises `Refusal`."""
        return decoded(await self.raw())

    async def read(self, shape: type[T]) -> T:
        """The body, as that shape. Raises `Refusal`."""
        try:
            return msgspec.convert(await self.json(), shape)
        except msgspec.ValidationError as error:
            raise invalid(f"invalid body: {error}") from None

    def number(self, name: str, default: int, *, low: int, high: int) -> int:
        """A query parameter. Raises `Refusal`."""
        text = self.query.get(name)
        if text is None or text == "":
            return default
        if not re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII) or not low <= int(text) <= high:
            raise invalid(f"{name} must be a whole number from {low} to {high}")
        return int(text)

    def word(self, name: str, words: Sequence[str], default: str = "") -> str:
        """Raises `Refusal`."""
        text = self.query.get(name) or default
        if text and text not in words:
            raise invalid(f"{name} must be one of {', '.join(words)}")
        return text

    def flag(self, name: str) -> bool | None:
        """None: not said. Raises `Refusal`."""
        text = self.word(name, ("true", "false", "1", "0"))
        return text in {"true", "1"} if text else None


def decoded(raw: bytes) -> JsonValue:
    """Raises `Refusal`."""
    try:
        value = cast("JsonValue", msgspec.json.decode(raw))
        msgspec.json.encode(value)  # half a surrogate pair cannot be written again
    except (ValueError, RecursionError) as error:
        raise invalid(f"invalid body: {error}"[:300]) from None
    if _depth(value) > DEPTH_MAX:
        raise invalid(f"invalid body: nested deeper than {DEPTH_MAX} levels")
    return value


def _depth(value: JsonValue) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        level = [
            each
            for outer in level
            for each in (outer if isinstance(outer, list) else outer.values() if isinstance(outer, dict) else ())
        ]
        if deepest > DEPTH_MAX:
            break
    return deepest


def too_large(bytes_max: int = BODY_BYTES_MAX) -> Refusal:
    return Refusal(413, f"the body is larger than {bytes_max} bytes")


Handler: TypeAlias = Callable[[Ask], Awaitable[Reply | web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    sentence: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    is_required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`path`: after the prefix, with ``{name}`` for a variable part. `body`, `reply`: JSON Schemas, or types that have
    one; `body` None: there is none. `statuses`: what else than 200 is foreseen beside 400 and 401.
    """

    method: Method
    path: str
    handler: Handler
    sentence: str
    parameters: tuple[Parameter, ...] = ()
    body: Schema | type | None = None
    body_types: tuple[str, ...] = (JSON,)
    reply: Schema | type = field(default_factory=lambda: OK)
    reply_type: str = JSON
    more_types: Mapping[str, Schema] = field(default_factory=dict)
    """What else it may be, by a parameter."""
    statuses: tuple[int, ...] = ()

    is_noted: bool = True
    """In the audit log, even where it changed nothing that can be told; False: a POST that only asks."""

    @property
    def is_change(self) -> bool:
        return self.method != "GET"


_VARIABLE = re.compile(r"\{(\w+)\}")


class Table:
    """Finds the route of a method and a path."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._fixed: dict[str, dict[str, Route]] = {}
        self._variable: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        patterns: dict[str, dict[str, Route]] = {}
        for route in routes:
            if "{" in route.path:
                patterns.setdefault(route.path, {})[route.method] = route
            else:
                self._fixed.setdefault(route.path, {})[route.method] = route
        for path, methods in patterns.items():
            self._variable.append((re.compile(_VARIABLE.sub(r"(?P<\1>[^/]+)", path)), methods))

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        """Raises `Refusal`."""
        methods, parts = self._methods(path)
        if not methods:
            raise Refusal(404, f"there is no {PREFIX}{path[:200]}")
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            raise Refusal(
                405, f"this takes {', '.join(sorted(methods))}", headers={"Allow": ", ".join(sorted(methods))}
            )
        return route, parts

    def _methods(self, path: str) -> tuple[dict[str, Route], Mapping[str, str]]:
        if path in self._fixed:
            return self._fixed[path], {}
        for pattern, methods in self._variable:
            if found := pattern.fullmatch(path):
                return methods, found.groupdict()
        return {}, {}
