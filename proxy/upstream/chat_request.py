"""A request in OpenAI Chat's words → what a CLI is told that asks its provider in the same. What it cannot say was
taken out, and named, before (`proxy.providers.chat_by_cli`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import msgspec

from proxy.hub.residue import JsonObject, JsonValue, list_in, object_in
from proxy.upstream.acp_profile import Asked
from proxy.upstream.acp_script import Called, Fate, Results, Say, Step, Turn
from proxy.upstream.base import Call
from proxy.upstream.chat_answer import calls_of, canned

APART = "\u200b"
"""Before a text that the CLI would take for a command of its own: no white space to it, and nothing to see."""
SPACE = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
"""White space as JavaScript has it."""
_COMMAND = "/"
_SYSTEM = frozenset({"system", "developer"})
_CONVERSATION = frozenset({"model", "messages", "tools", "stream", "stream_options"})
_NO_PARAMETERS: JsonObject = {"type": "object", "properties": {}}
_DATA, _BASE64 = "data:", ";base64,"
_canonical = msgspec.json.Encoder(order="sorted").encode
_decode = cast("Callable[[bytes], JsonObject]", msgspec.json.Decoder(dict[str, object]).decode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """`prefix`: of the names of a caller's tools, as the model knows them. `settings`: the CLI's file of a model,
    instructions, and what else a request says. `schema`: added to each tool's. `no_instructions`: what stands for none.
    `audio`: the kind of block that brings it.
    """

    prefix: str
    settings: Callable[[str, str, JsonObject], bytes]
    schema: JsonObject = field(default_factory=dict)
    no_instructions: str = ""
    audio: str = "audio"


@dataclass(frozen=True, slots=True)
class _Said:
    """What one side said before the other spoke again. Of the model: one message; of the user: results of tools as
    messages, and parts of content.
    """

    by_model: bool
    parts: tuple[JsonObject, ...]

    @property
    def results(self) -> list[JsonObject]:
        return [part for part in self.parts if part.get("role") == "tool"]


def read_turn(call: Call, dialect: Dialect) -> Turn:
    """Raises `ValueError` (of which `msgspec.DecodeError` is one) for what is no request."""
    body = _decode(call.body)
    messages = [object_in(each) for each in list_in(body.get("messages"))]
    instructions = "\n\n".join(_text(each) for each in _leading(messages)) or dialect.no_instructions
    told = tuple(_told(messages))
    if not told or told[-1].by_model:
        raise ValueError("messages: the last one is not the user's")
    tools = tuple(_tools(body.get("tools"), dialect))
    rest = {key: value for key, value in body.items() if key not in _CONVERSATION}
    settings = dialect.settings(call.model, instructions, rest)
    terms: JsonObject = {"instructions": instructions, "tools": [*tools], "settings": settings.decode()}
    return Turn(
        model=call.model,
        is_stream=body.get("stream") is True,
        instructions=instructions,
        tools=tools,
        settings=settings,
        said=tuple(digest(each.parts) for each in told),
        terms=hashlib.sha256(_canonical(terms)).digest(),
        steps=lambda known, pending: tuple(_steps(told[known:], pending, dialect)),
    )


def resumed(body: bytes, before: Sequence[JsonObject]) -> bytes:
    """With what was said before in front, unless it tells a history of its own. Raises `ValueError`."""
    told = _decode(body)
    messages = [object_in(each) for each in list_in(told.get("messages"))]
    if any(each.get("role") == "assistant" for each in messages):
        return body
    system = len(_leading(messages))
    return msgspec.json.encode({**told, "messages": [*messages[:system], *before, *messages[system:]]})


def said(body: bytes, parts: Sequence[JsonObject]) -> list[JsonObject]:
    """All that a request tells but its instructions, with the model's answer to it, for `resumed`."""
    messages = [object_in(each) for each in list_in(_decode(body).get("messages"))]
    return [*messages[len(_leading(messages)) :], *parts]


# the conversation


def _leading(messages: Sequence[JsonObject]) -> Sequence[JsonObject]:
    end = next((at for at, each in enumerate(messages) if each.get("role") not in _SYSTEM), len(messages))
    return messages[:end]


def _told(messages: Sequence[JsonObject]) -> Iterator[_Said]:
    """What one side says in several messages is one."""
    last: _Said | None = None
    for message in messages[len(_leading(messages)) :]:
        by_model = message.get("role") == "assistant"
        parts = (message,) if by_model or message.get("role") == "tool" else tuple(_content(message))
        if last is None or last.by_model != by_model:
            if last is not None:
                yield last
            last = _Said(by_model, parts)
        else:
            last = replace(last, parts=(_joined(last.parts[0], message),) if by_model else (*last.parts, *parts))
    if last is not None:
        yield last


def _joined(one: JsonObject, other: JsonObject) -> JsonObject:
    """Two messages of the model's as one."""
    calls = [*list_in(one.get("tool_calls")), *list_in(other.get("tool_calls"))]
    told: JsonObject = {**one, **other, "content": _text(one) + _text(other)}
    return {**told, "tool_calls": calls} if calls else told


def _content(message: JsonObject) -> Iterator[JsonObject]:
    content = message.get("content")
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    yield from map(object_in, list_in(content))


def _text(message: JsonObject) -> str:
    return "".join(str(part.get("text") or "") for part in _content(message))


def _tools(value: JsonValue, dialect: Dialect) -> Iterator[JsonObject]:
    for each in list_in(value):
        function = object_in(object_in(each).get("function"))
        schema = object_in(function.get("parameters")) or _NO_PARAMETERS
        yield {
            "name": str(function.get("name")).removeprefix(dialect.prefix),
            "description": str(function.get("description") or ""),
            "inputSchema": {**schema, "type": "object", **dialect.schema},
        }


# steps


def _steps(told: Sequence[_Said], pending: Sequence[Called], dialect: Dialect) -> Iterator[Step]:
    """Raises `ValueError`."""
    for at, each in enumerate(told):
        if each.by_model:
            pending = calls_of(each.parts[0])
            continue
        then = Fate.GOES_ON if at + 1 == len(told) else canned(told[at + 1].parts[0])
        results = tuple(_result(message) for message in _answers(each.results, pending))
        blocks = tuple(_blocks([part for part in each.parts if part.get("role") != "tool"], dialect))
        if results:
            yield Step(Results((*pending,), results), Fate.IS_REFUSED if blocks else then)
        if blocks:
            yield Step(Say(blocks), then)
        if not results and not blocks:
            raise ValueError("messages: the user says nothing")


def _answers(results: Sequence[JsonObject], pending: Sequence[Called]) -> list[JsonObject]:
    """One for each call, in their order. Raises `ValueError`."""
    ids = [call.id for call in pending]
    named = [str(result.get("tool_call_id") or "") for result in results]
    if sorted(named) != sorted(ids):
        raise ValueError(f"messages: {len(pending)} calls have {len(results)} results that fit")
    return [results[named.index(each)] for each in ids]


def _result(message: JsonObject) -> JsonObject:
    return {"content": [{"type": "text", "text": _text(message)}]}


def _blocks(parts: Sequence[JsonObject], dialect: Dialect) -> Iterator[JsonObject]:
    """Raises `ValueError`."""
    words = "".join(str(part.get("text") or "") for part in parts)
    is_command = words.lstrip(SPACE).startswith(_COMMAND)
    for part in parts:
        if part.get("type") == "text":
            text = str(part.get("text") or "")
            yield {"type": "text", "text": (APART if is_command else "") + text}
            is_command = False
        else:
            yield _media(part, dialect)


def _media(part: JsonObject, dialect: Dialect) -> JsonObject:
    """Raises `ValueError`."""
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)}} if url.startswith(_DATA) and _BASE64 in url:
            return _block("image", url)
        case {"type": "file", "file": {"file_data": str(url)}} if url.startswith(_DATA) and _BASE64 in url:
            return _block("image", url)
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(form)}}:
            return {"type": dialect.audio, "mimeType": f"audio/{form}", "data": data}
        case _:
            raise ValueError(f"messages: a part of type {part.get('type')} cannot be said to the CLI")


def _block(kind: str, url: str) -> JsonObject:
    head, _, data = url.partition(_BASE64)
    return {"type": kind, "mimeType": head.removeprefix(_DATA), "data": data}


# what was said


def digest(parts: Iterable[JsonObject]) -> bytes:
    """The same for what the model answered and for what a client sends back of it: clients leave ids, thoughts and
    signatures out, and write arguments their own way.
    """
    told: list[JsonValue] = []
    text = ""
    for part in parts:
        match part:
            case {"role": str(role)}:
                calls = [(call.name, call.arguments) for call in calls_of(part)]
                told.append([role, _text(part), [[name, arguments] for name, arguments in calls]])
            case {"type": "text"}:
                text += str(part.get("text") or "")
            case _:
                told.append(part)
    return hashlib.sha256(_canonical([text, told])).digest()


# what it asks


class _Function(msgspec.Struct):
    name: str = ""


class _Tool(msgspec.Struct):
    type: str = ""
    function: _Function = msgspec.field(default_factory=_Function)


class _Request(msgspec.Struct):
    model: str
    messages: list[msgspec.Raw]
    tools: list[_Tool] = []


_read_request = msgspec.json.Decoder(_Request).decode


def asked(body: bytes, headers: Mapping[str, str], *, session: str, until: str = "") -> Asked:
    """`session`: the header that names the conversation. `until`: where its instructions begin to be the CLI's. Raises
    `ValueError`.
    """
    request = _read_request(body)
    first = _decode(bytes(request.messages[0])) if request.messages else {}
    instructions = _text(first) if first.get("role") in _SYSTEM else ""
    if until and until in instructions:
        instructions = instructions.rpartition(until)[0]
    return Asked(
        conversation=headers.get(session, ""),
        model=request.model,
        instructions=instructions,
        tools=frozenset(tool.function.name or tool.type for tool in request.tools),
    )


def refusal(status: int, message: str) -> bytes:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": None}})
