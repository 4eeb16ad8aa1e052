"""The table: method + path → wire and operation. Clients write base URLs in many ways; all the known ways lead here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeAlias

from proxy.errors import UnknownRoute
from proxy.providers.base import Operation
from proxy.server import code_assist

Kind: TypeAlias = Literal[
    "ask", "models", "model", "codex_models", "codex_usage", "codex_account", "code_assist",
    "socket", "stored", "index", "healthz", "livez", "readyz", "health", "metrics", "idle", "management",
]  # fmt: skip
"""ask: a request to a model; socket: many, over a WebSocket; stored: an earlier answer. The others are answered here;
idle: what a client asks of its vendor by habit.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`label`: the path with its variable parts named; in logs and metrics. `model` of a match is what stood there."""

    label: str
    kind: Kind
    wire: str = "openai_chat"
    operation: Operation = "generate"
    is_stream: bool | None = None
    """None: the body says."""
    is_enveloped: bool = False
    """The body is Code Assist's, with the wire's own inside."""
    default_model: str = ""
    """Of a body that names none; empty: it must."""
    method: str = "GET"

    @property
    def takes_form(self) -> bool:
        return self.operation in {"edit_image", "transcribe", "translate"}


@dataclass(frozen=True, slots=True)
class Match:
    """`model`: what the path names (a model, one of Code Assist's calls, a stored answer); None: the body names it."""

    route: Route
    model: str | None = None


_ASK: Mapping[str, tuple[str, Operation, bool | None]] = {
    "messages": ("anthropic", "generate", None),
    "messages/count_tokens": ("anthropic", "count_tokens", False),
    "responses": ("openai_responses", "generate", None),
    "responses/input_tokens": ("openai_responses", "count_tokens", False),
    "responses/compact": ("openai_responses", "compact", False),
    "chat/completions": ("openai_chat", "generate", None),
    "completions": ("openai_chat", "complete", None),
    "embeddings": ("openai_chat", "embed", False),
    "images/generations": ("openai_chat", "draw", None),
    "images/edits": ("openai_chat", "edit_image", None),
    "audio/transcriptions": ("openai_chat", "transcribe", None),
    "audio/translations": ("openai_chat", "translate", False),
    "audio/speech": ("openai_chat", "speak", False),
    "moderations": ("openai_chat", "moderate", False),
    "rerank": ("openai_chat", "rerank", False),
}
"""Tail after /v1/, and whether the answer is a stream; None: the body says."""
_VERBS: Mapping[str, tuple[Operation, bool]] = {
    "generateContent": ("generate", False),
    "streamGenerateContent": ("generate", True),
    "countTokens": ("count_tokens", False),
    "embedContent": ("embed", False),
    "batchEmbedContents": ("embed_batch", False),
}
"""What Google writes after the model's name, and whether the answer is a stream."""

_DEFAULT_MODELS: Mapping[Operation, str] = {"moderate": "omni-moderation-latest"}
"""OpenAI's own default (openai SDK, `moderations.create`); the other operations have none."""
_STORED_OPERATIONS: tuple[tuple[str, Operation], ...] = (("GET", "retrieve"), ("DELETE", "delete"))

_V1: Mapping[str, Route] = {
    **{
        tail: Route(
            label=f"/v1/{tail}",
            kind="ask",
            wire=wire,
            operation=operation,
            is_stream=is_stream,
            default_model=_DEFAULT_MODELS.get(operation, ""),
            method="POST",
        )
        for tail, (wire, operation, is_stream) in _ASK.items()
    },
    "models": Route(label="/v1/models", kind="models"),
}
_SOCKET = Route(label="/v1/responses (WebSocket)", kind="socket", wire="openai_responses")
_STORED = tuple(
    Route(label="/v1/responses/{id}", kind="stored", wire="openai_responses", operation=operation, method=method)
    for method, operation in _STORED_OPERATIONS
)
_V1_MODEL = Route(label="/v1/models/{model}", kind="model")
_V1BETA: Mapping[str, Route] = {"models": Route(label="/v1beta/models", kind="models", wire="gemini")}
_V1BETA_MODEL = Route(label="/v1beta/models/{model}", kind="model", wire="gemini")
_BY_VERB: Mapping[str, Route] = {
    verb: Route(
        label=f"/v1beta/models/{{model}}:{verb}",
        kind="ask",
        wire="gemini",
        operation=operation,
        is_stream=is_stream,
        method="POST",
    )
    for verb, (operation, is_stream) in _VERBS.items()
}
_CODEX_MODELS = Route(label="/backend-api/codex/models", kind="codex_models", wire="openai_responses")
_ABOUT: Mapping[str, Kind] = {"usage": "codex_usage", "accounts/check": "codex_account", "settings/user": "idle"}
"""What Codex asks of its account."""
_CODEX: Mapping[str, Route] = {
    "/backend-api/codex/models": _CODEX_MODELS,
    **{
        path: Route(label=path, kind=kind, wire="openai_responses")
        for tail, kind in _ABOUT.items()
        for path in (f"/api/codex/{tail}", f"/backend-api/wham/{tail}")
    },
}
_CODE_ASSIST: Mapping[str, Route] = {
    **{
        verb: replace(_BY_VERB[verb], label=f"/v1internal:{verb}", is_enveloped=True)
        for verb in ("generateContent", "streamGenerateContent", "countTokens")
    },
    **{
        name: Route(label=f"/v1internal:{name}", kind="code_assist", wire="gemini", method="POST")
        for name in code_assist.ANSWERS
    },
}
"""After ``/v1internal:``."""
_IDLE: Mapping[str, Route] = {
    "/api/hello": Route(label="/api/hello", kind="idle", wire="anthropic"),
    "/api/event_logging": Route(label="/api/event_logging", kind="idle", wire="anthropic", method="POST"),
}
"""Claude Code's: whether somebody is there, and what it did."""
_OWN: Mapping[str, Route] = {
    "/": Route(label="/", kind="index"),
    "/healthz": Route(label="/healthz", kind="healthz"),
    "/livez": Route(label="/livez", kind="livez"),
    "/readyz": Route(label="/readyz", kind="readyz"),
    "/health": Route(label="/health", kind="health"),
    "/metrics": Route(label="/metrics", kind="metrics"),
}
MANAGEMENT = Route(label="/v0/management", kind="management")
"""Stands for all of them in logs: they have a table of their own."""
UNROUTED = Route(label="unknown", kind="index")
"""Stands for the route in the logs of requests that have none."""

_HEAD_V1 = re.compile(
    r"(?:/(?:api|openai|anthropic))?(?:/v1)+/(?!v1(?:beta|alpha)/)(?P<tail>.+)"
    r"|/v1beta/openai/(?P<beta>.+)"
    r"|/backend-api/codex/(?P<codex>responses(?:/compact)?)"
)
_HEADLESS = re.compile(
    r"(?:/(?:api|openai|anthropic))?"
    r"/(?P<tail>(?:audio|chat|completions|embeddings|images|messages|models|moderations|rerank|responses)(?:/.+)?)"
)
"""Of a base URL whose ``/v1`` was forgotten."""
_HEAD_V1BETA = re.compile(
    r"(?:/(?:api|google|gemini))?(?:/v1)*(?:/v1(?:beta1?|alpha))+/(?:publishers/google/)?"
    r"(?!openai(?:/|\Z))(?P<tail>.+)"
)
_STORED_ID = re.compile(r"responses/(?P<id>[A-Za-z0-9_-]{1,256})")
_CODE_ASSIST_CALL = re.compile(r"/v1internal:(?P<name>\w+)")
_EVENTS = re.compile(r"/api/event_logging(?:/[\w/]*)?")
_DIALECTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r".*/v1(?:beta|alpha)/openai(?:/|\Z)"), "openai_chat"),
    (re.compile(r".*/(?:v1beta1?|v1alpha|v1internal|google|gemini)(?:[/:]|\Z)"), "gemini"),
    (re.compile(r"/anthropic(?:/|\Z)|.*/messages(?:/|\Z)"), "anthropic"),
    (re.compile(r".*/responses(?:/|\Z)|/backend-api/codex(?:/|\Z)"), "openai_responses"),
)
"""Whose words a path without a route is refused in; the first that fits."""
_SLASHES = re.compile("/{2,}")
_NO_QUERY: Mapping[str, str] = MappingProxyType({})


def find(path: str, method: str, headers: Mapping[str, str], query: Mapping[str, str] = _NO_QUERY) -> Match:
    """Raises `UnknownRoute`: 404, 405 (`allowed` says what would do) or 426. `path` is decoded; `headers` and `query`
    decide the shape of model lists only.
    """
    route = _V1.get(path[4:]) if path.startswith("/v1/") else None
    matches = [Match(route)] if route is not None else _matches(path)
    for match in matches:
        if method == match.route.method or (method == "HEAD" and match.route.method == "GET"):
            shaped = _shaped(match.route, path, headers, query)
            return match if shaped is match.route else Match(shaped, match.model)
    if matches and _wants_websocket(headers):
        if method == "GET" and matches[0].route is _V1["responses"]:
            return Match(_SOCKET)
        raise NoWebSocket(f"{path} is served over HTTP: send a POST", code="websocket_not_served")
    if matches and not _is_unknown_verb(matches[0], method):
        raise WrongMethod(path, method, [match.route.method for match in matches])
    raise UnknownRoute(f"there is no {path}; GET / lists what there is", code="unknown_route")


class WrongMethod(UnknownRoute):
    status = 405

    def __init__(self, path: str, method: str, methods: list[str]) -> None:
        self.allowed = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
        super().__init__(f"{path} takes {self.allowed}, not {method}", code="method_not_allowed")


class NoWebSocket(UnknownRoute):
    """Codex goes over to HTTP at once on this status, and after seconds on any other."""

    status = 426


def _wants_websocket(headers: Mapping[str, str]) -> bool:
    """Also where a reverse proxy took ``Upgrade`` out: then only the rest of the handshake is left."""
    return headers.get("upgrade", "").strip().lower() == "websocket" or "sec-websocket-key" in headers


def _is_unknown_verb(match: Match, method: str) -> bool:
    """``POST …/models/x:predict``: Google has it, we have not."""
    return method == "POST" and match.route.kind == "model" and ":" in (match.model or "")


def dialect(path: str, headers: Mapping[str, str]) -> str:
    """The wire in whose words to refuse what has no route."""
    for pattern, wire in _DIALECTS:
        if pattern.match(path):
            return wire
    return next((wire for name, wire in _MARKS if name in headers), "openai_chat")


def endpoints() -> list[str]:
    """For ``GET /``: method and path of all that is served."""
    routes = (
        *_V1.values(), _SOCKET, *_STORED, _V1_MODEL, *_BY_VERB.values(), *_V1BETA.values(), _V1BETA_MODEL,
        *_CODEX.values(), *_CODE_ASSIST.values(), *_OWN.values(),
    )  # fmt: skip
    return [f"{route.method} {route.label}" for route in routes]


def _matches(path: str) -> list[Match]:
    path = _SLASHES.sub("/", path)
    if len(path) > 1:
        path = path.removesuffix("/")
    for table in (_OWN, _CODEX, _IDLE):
        if path in table:
            return [Match(table[path])]
    if _EVENTS.fullmatch(path):
        return [Match(_IDLE["/api/event_logging"])]
    if (found := _CODE_ASSIST_CALL.fullmatch(path)) and found["name"] in _CODE_ASSIST:
        route = _CODE_ASSIST[found["name"]]
        return [Match(route, found["name"] if route.kind == "code_assist" else None)]
    if found := _HEAD_V1BETA.fullmatch(path):
        return _under(found["tail"], _V1BETA, _V1BETA_MODEL)
    if found := _HEAD_V1.fullmatch(path):
        return _under(found["tail"] or found["beta"] or found["codex"], _V1, _V1_MODEL)
    if found := _HEADLESS.fullmatch(path):
        return _under(found["tail"], _V1, _V1_MODEL)
    return []


def _under(tail: str, table: Mapping[str, Route], one_model: Route) -> list[Match]:
    if tail in table:
        return [Match(table[tail])]
    if found := _STORED_ID.fullmatch(tail):
        return [Match(route, found["id"]) for route in _STORED]
    if not tail.startswith("models/"):
        return []
    model = tail.removeprefix("models/").removeprefix("models/")
    matches = [Match(one_model, model)]
    name, colon, verb = model.rpartition(":")
    if colon and name and verb in _BY_VERB:
        matches.insert(0, Match(_BY_VERB[verb], name))
    return matches


def _shaped(route: Route, path: str, headers: Mapping[str, str], query: Mapping[str, str]) -> Route:
    """OpenAI's, Anthropic's and (since v1) Google's clients ask for models at the same path."""
    if route is not _V1["models"] and route is not _V1_MODEL:
        return route
    if "client_version" in query and route.kind == "models":
        return _CODEX_MODELS
    for head, wire in _HEADS:
        if path.startswith(head):
            return _LISTS[wire, route.kind]
    for name, wire in _MARKS:
        if name in headers:
            return _LISTS[wire, route.kind]
    return route


_HEADS = (("/anthropic/", "anthropic"), ("/openai/", "openai_chat"), ("/v1beta/openai/", "openai_chat"))
_MARKS = (
    ("anthropic-version", "anthropic"),
    ("x-goog-api-key", "gemini"),
    ("x-goog-api-client", "gemini"),
    ("x-api-key", "anthropic"),
)
"""Headers by which a vendor's clients can be told, the surest first."""
_LISTS: Mapping[tuple[str, Kind], Route] = {
    (wire, route.kind): replace(route, wire=wire)
    for wire in ("openai_chat", "anthropic", "gemini")
    for route in (_V1["models"], _V1_MODEL)
}
