"""A request in the words of OpenAI Responses → what Codex's app-server is told, and by what a conversation is known.

The history goes in as it is, item by item (``thread/inject_items``); the turn is then begun with nothing more to say
(``turn/start``). What cannot be told has been taken out, and named, before (`proxy.providers.codex_limits`).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict, cast

import msgspec

from proxy.hub.residue import JsonObject, JsonValue, list_in, object_in

_CALLS = frozenset({"function_call", "custom_tool_call"})
_RESULTS = frozenset({"function_call_output", "custom_tool_call_output"})
_BOOK_KEEPING = frozenset({"id", "status", "namespace", "internal_chat_message_metadata_passthrough"})
"""Of an item: clients send these back or not, as they like."""
_NO_PARAMETERS: JsonObject = {"type": "object", "properties": {}}
_canonical = msgspec.json.Encoder(order="sorted").encode
_decode_object = cast("Callable[[bytes], JsonObject]", msgspec.json.Decoder(dict[str, object]).decode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one request asks. `items`: the whole history. `said`: a digest of each of them that a caller must repeat to
    go on (all but reasoning, which many leave out); `places`: where those stand in `items`. `terms`: a digest of what
    a thread is begun with. `thread`, `turn`: the parameters of ``thread/start`` and ``turn/start``. `tools`: names.
    """

    model: str
    is_stream: bool
    items: tuple[JsonObject, ...]
    said: tuple[bytes, ...]
    places: tuple[int, ...]
    terms: bytes
    thread: JsonObject
    turn: JsonObject
    tools: frozenset[str]

    def new_items(self, known: int) -> tuple[JsonObject, ...]:
        """Behind the first `known` that were said."""
        return self.items[self.places[known - 1] + 1 :] if known else self.items

    @property
    def has_history(self) -> bool:
        """Whether the caller tells what the model has said, too."""
        return any(item.get("role") == "assistant" or item.get("type") in _CALLS for item in self.items)

    def after(self, before: Sequence[JsonObject]) -> Turn:
        """The same, with what was said before in front."""
        return replace(self, **_said((*before, *self.items)))


class _Said(TypedDict):
    items: tuple[JsonObject, ...]
    said: tuple[bytes, ...]
    places: tuple[int, ...]


def _said(items: tuple[JsonObject, ...]) -> _Said:
    told = [*_digests(items)]
    return {"items": items, "said": tuple(each for each, _ in told), "places": tuple(at for _, at in told)}


def said_in(items: Iterable[JsonObject]) -> tuple[bytes, ...]:
    """As in `Turn`."""
    return tuple(each for each, _ in _digests(items))


def _digests(items: Iterable[JsonObject]) -> Iterator[tuple[bytes, int]]:
    """And the place of each. Messages of the model's that follow each other are one: clients that read a stream send
    back its pieces.
    """
    words: list[JsonValue] = []
    place = -1
    for at, item in enumerate(items):
        if item.get("type") == "reasoning":
            continue
        if item.get("type") == "message" and item.get("role") == "assistant":
            words += list_in(item.get("content"))
            place = at
            continue
        if words:
            yield digest({"type": "message", "role": "assistant", "content": words}), place
            words = []
        yield digest(item), at
    if words:
        yield digest({"type": "message", "role": "assistant", "content": words}), place


def read_turn(body: bytes) -> Turn:
    """Raises `ValueError` (of which `msgspec.DecodeError` is one) for what is no request."""
    request = _decode_object(body)
    thread = _thread(request)
    turn = _turn(request)
    sticky: JsonObject = {**thread, **{key: value for key, value in turn.items() if key != "outputSchema"}}
    return Turn(
        model=str(request.get("model")),
        is_stream=bool(request.get("stream")),
        **_said(tuple(_items(request.get("input")))),
        terms=hashlib.sha256(_canonical(sticky)).digest(),
        thread=thread,
        turn=turn,
        tools=frozenset(name for name in map(_name, list_in(thread.get("dynamicTools"))) if name),
    )


def _items(value: JsonValue) -> Iterator[JsonObject]:
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    for item in list_in(value):
        if isinstance(item, dict):
            yield _message(item) if item.get("type", "message") == "message" else item


def _message(item: JsonObject) -> JsonObject:
    """`developer` is what `system` is called now; Codex takes no other, and its contents as lists only."""
    role, content = item.get("role"), item.get("content")
    if isinstance(content, str):
        content = [{"type": "output_text" if role == "assistant" else "input_text", "text": content}]
    return {**item, "type": "message", "role": "developer" if role == "system" else role, "content": content}


def _thread(request: JsonObject) -> JsonObject:
    reasoning, text = object_in(request.get("reasoning")), object_in(request.get("text"))
    tools = [object_in(tool) for tool in list_in(request.get("tools"))]
    settings: JsonObject = {}
    if text.get("verbosity"):
        settings["model_verbosity"] = text["verbosity"]
    if any(str(tool.get("type")).startswith("web_search") for tool in tools):
        settings["web_search"] = "live"
    thread: JsonObject = {
        "model": request.get("model"),
        "baseInstructions": request.get("instructions") or "",
        "dynamicTools": [_dynamic(tool) for tool in tools if tool.get("type") == "function"],
        "config": {**settings, "model_reasoning_summary": reasoning.get("summary") or "none"},
        "ephemeral": True,
        "approvalPolicy": "never",
        "sandbox": "read-only",
        "environments": [],
    }
    return {**thread, "serviceTier": request["service_tier"]} if request.get("service_tier") else thread


def _dynamic(tool: JsonObject) -> JsonObject:
    return {
        "type": "function",
        "name": tool.get("name"),
        "description": tool.get("description") or "",
        "inputSchema": tool.get("parameters") or _NO_PARAMETERS,
    }


def _turn(request: JsonObject) -> JsonObject:
    """An effort holds for the turns after it, too; so do the thread's terms (`read_turn`)."""
    turn: JsonObject = {"input": []}
    if effort := object_in(request.get("reasoning")).get("effort"):
        turn["effort"] = effort
    schema = object_in(object_in(request.get("text")).get("format")).get("schema")
    if isinstance(schema, dict):
        turn["outputSchema"] = schema
    return turn


# what was said


def digest(item: JsonObject) -> bytes:
    """The same for an item that the model wrote and for the same one as a client sends it back."""
    told = {key: value for key, value in item.items() if key not in _BOOK_KEEPING}
    kind = item.get("type")
    if kind == "message":
        told = {"type": kind, "role": item.get("role"), "content": [*_joined(map(_part, list_in(item.get("content"))))]}
    elif kind == "function_call":
        told["arguments"] = _arguments(item.get("arguments"))
    elif kind in _RESULTS and isinstance(item.get("output"), list):
        told["output"] = [_part(part) for part in list_in(item["output"])]
    return hashlib.sha256(_canonical(told)).digest()


def _joined(parts: Iterable[JsonValue]) -> Iterator[JsonValue]:
    """Texts that follow each other as one."""
    for are_texts, alike in itertools.groupby(parts, lambda part: isinstance(part, str)):
        if are_texts:
            yield "".join(map(str, alike))
        else:
            yield from alike


def _part(value: JsonValue) -> JsonValue:
    part = object_in(value)
    kind = str(part.get("type"))
    if kind.endswith("text"):
        return part.get("text")
    return {key: each for key, each in part.items() if not (key == "detail" and each == "auto")}


def _arguments(text: JsonValue) -> JsonValue:
    """Whose white space and order clients change."""
    try:
        value: JsonValue = msgspec.json.decode(str(text))
    except (ValueError, RecursionError):
        return text
    return value


# calls of the caller's tools


def calls_of(items: Sequence[JsonObject]) -> tuple[str, ...]:
    """The ids of the calls that an answer asks for."""
    return tuple(str(item.get("call_id")) for item in items if item.get("type") in _CALLS)


def can_be_parked(items: Sequence[JsonObject], tools: Collection[str]) -> bool:
    """Whether Codex waits for us with each call of an answer: what it does not know or cannot read, it answers."""
    calls = [item for item in items if item.get("type") in _CALLS]
    return all(
        call.get("type") == "function_call"
        and call.get("name") in tools
        and isinstance(_arguments(call.get("arguments")), dict)
        for call in calls
    )


def results(items: Sequence[JsonObject], pending: Collection[str]) -> Mapping[str, JsonObject] | None:
    """By call, what Codex is answered when its caller's tools have run; None where that says less than the items do:
    another call's result, something more than results, or what it would spell in another way.
    """
    found: dict[str, JsonObject] = {}
    for item in items:
        output = item.get("output")
        call = str(item.get("call_id"))
        if item.get("type") not in _RESULTS or call not in pending or call in found or not isinstance(output, str):
            return None
        found[call] = {"contentItems": [{"type": "inputText", "text": output}], "success": True}
    return found if len(found) == len(pending) else None


def _name(tool: JsonValue) -> str:
    name = object_in(tool).get("name")
    return name if isinstance(name, str) else ""
