"""A request in Gemini's words → what Gemini CLI is told. What it cannot say was taken out, and named, before
(`proxy.providers.gemini_by_cli`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import msgspec

from proxy.hub.residue import JsonObject, JsonValue, list_in, object_in
from proxy.upstream.acp_script import Called, Fate, Results, Say, Step, Turn
from proxy.upstream.acp_words import spelled_out
from proxy.upstream.base import Call
from proxy.upstream.gemini_answer import canned, without_waits

TOOL_PREFIX = "mcp_"
"""Of the name by which the model knows a tool of ours: that of its server, which is called ``mcp``."""
OWN_TOOLS = (
    "activate_skill", "ask_user", "cli_help", "codebase_investigator", "complete_task", "enter_plan_mode",
    "exit_plan_mode", "get_internal_docs", "glob", "google_web_search", "grep_search", "invoke_agent",
    "list_background_processes", "list_directory", "list_mcp_resources", "read_background_output", "read_file",
    "read_many_files", "read_mcp_resource", "replace", "run_shell_command", "save_memory", "tracker_add_dependency",
    "tracker_create_task", "tracker_get_task", "tracker_list_tasks", "tracker_update_task", "tracker_visualize",
    "update_topic", "web_fetch", "write_file", "write_todos",
)  # fmt: skip
"""Those of the CLI's own, which are kept from the model; a caller's tool of such a name would be, too."""
_DRAFT = "http://json-schema.org/draft-04/schema#"
"""A schema that says so is not held against a call's arguments by the CLI, which knows later drafts: whether they will
do is the caller's to judge.
"""
_COMMANDS = ("/", "$")
_APART = "\u200b"
"""Before a text that the CLI might take for a command of its own: no white space to it, and nothing to see."""
_NEWLINES = re.compile(r"\n{3,}")
_SPACE = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
"""White space as JavaScript has it."""
_LOSES_MEDIA = "gemini-3-"
"""How models are called for which the CLI leaves out what a tool's result shows (as of 0.61): it is shown after it."""
_STREAMED = "streamGenerateContent"
_NO_PARAMETERS: JsonObject = {"type": "object", "properties": {}}
_KEPT_APART = frozenset({"contents", "systemInstruction", "tools", "generationConfig", "model"})
_canonical = msgspec.json.Encoder(order="sorted").encode
_decode = cast("Callable[[bytes], JsonObject]", msgspec.json.Decoder(dict[str, object]).decode)


@dataclass(frozen=True, slots=True)
class _Content:
    """What one side said before the other spoke again."""

    role: str
    parts: tuple[JsonObject, ...]

    @property
    def calls(self) -> tuple[Called, ...]:
        calls = (object_in(part.get("functionCall")) for part in self.parts if "functionCall" in part)
        return tuple(Called(str(call.get("name")), str(call.get("id") or "")) for call in calls)


def read_turn(call: Call) -> Turn:
    """Raises `ValueError` (of which `msgspec.DecodeError` is one) for what is no request."""
    body = _decode(call.body)
    contents = tuple(_contents(body.get("contents")))
    if not contents or contents[-1].role == "model":
        raise ValueError("contents: the last one is not the user's")
    tools = tuple(_tools(body.get("tools")))
    settings = _settings(call.model, body)
    instructions = as_instructions(_text(object_in(body.get("systemInstruction")).get("parts")))
    terms: JsonObject = {"instructions": instructions, "tools": [*tools], "settings": settings.decode()}
    return Turn(
        model=call.model,
        is_stream=_STREAMED in call.url,
        instructions=instructions,
        tools=tools,
        settings=settings,
        said=tuple(digest(content.role, content.parts) for content in contents),
        terms=hashlib.sha256(_canonical(terms)).digest(),
        steps=lambda known, pending: tuple(_steps(contents[known:], pending, call.model.startswith(_LOSES_MEDIA))),
    )


def resumed(body: bytes, before: Sequence[JsonObject]) -> bytes:
    """With what was said before in front, unless it tells a history of its own. Raises `ValueError`."""
    told = _decode(body)
    contents = list_in(told.get("contents"))
    if any(object_in(content).get("role") == "model" for content in contents):
        return body
    return msgspec.json.encode({**told, "contents": [*before, *contents]})


def said(body: bytes, parts: Sequence[JsonObject]) -> list[JsonObject]:
    """All that a request tells, with the model's answer to it, for `resumed`."""
    contents = [object_in(content) for content in list_in(_decode(body).get("contents"))]
    kept: list[JsonValue] = [part for part in parts if _says(part)]
    return [*contents, {"role": "model", "parts": kept}]


def as_instructions(text: str) -> str:
    """As the CLI passes it on: without white space at its ends, and without more than one empty line at a time."""
    return _NEWLINES.sub("\n\n", text.strip(_SPACE))


def _contents(value: JsonValue) -> Iterator[_Content]:
    """Those of one role that follow each other are one."""
    last: _Content | None = None
    for each in list_in(value):
        content = object_in(each)
        role = "model" if content.get("role") == "model" else "user"
        parts = tuple(object_in(part) for part in list_in(content.get("parts")) if _says(object_in(part)))
        if last is not None and last.role == role:
            last = replace(last, parts=(*last.parts, *parts))
            continue
        if last is not None:
            yield last
        last = _Content(role, parts)
    if last is not None:
        yield last


def _says(part: JsonObject) -> bool:
    """Thoughts are the model's own, and not told to it again."""
    return part.get("thought") is not True and part.get("text") != ""


def _tools(value: JsonValue) -> Iterator[JsonObject]:
    for group in list_in(value):
        for each in list_in(object_in(group).get("functionDeclarations")):
            tool = object_in(each)
            schema = tool.get("parametersJsonSchema") or tool.get("parameters") or _NO_PARAMETERS
            yield {
                "name": str(tool.get("name")).removeprefix(TOOL_PREFIX),
                "description": str(tool.get("description") or ""),
                "inputSchema": {**object_in(schema), "type": "object", "$schema": _DRAFT},
            }


def _settings(model: str, body: JsonObject) -> bytes:
    """A model of the conversation's own, by the name that it has anyway: nothing of what the CLI would add to it."""
    generation: JsonObject = {
        **object_in(body.get("generationConfig")),
        **{key: value for key, value in body.items() if key not in _KEPT_APART},
    }
    alias: JsonObject = {"modelConfig": {"model": model, "generateContentConfig": spelled_out(generation)}}
    return _canonical({"model": {"name": model}, "modelConfigs": {"customAliases": {model: alias}}})


# steps


def _steps(contents: Sequence[_Content], pending: Sequence[Called], loses_media: bool) -> Iterator[Step]:
    """Raises `ValueError`."""
    for at, content in enumerate(contents):
        if content.role == "model":
            pending = content.calls
            continue
        follower = contents[at + 1] if at + 1 < len(contents) else None
        then = Fate.GOES_ON if follower is None else canned(follower.parts)
        answers = _answers(content, pending)
        blocks = (*(_shown(answers) if loses_media else ()), *_blocks(content))
        results = tuple(_result(answer, shows=not loses_media) for answer in answers)
        if results:
            yield Step(Results((*pending,), results), Fate.IS_REFUSED if blocks else then)
        if blocks:
            yield Step(Say(blocks), then)
        if not results and not blocks:
            raise ValueError("contents: the user says nothing")


def _answers(content: _Content, pending: Sequence[Called]) -> list[JsonObject]:
    """One for each call, in their order. Raises `ValueError`."""
    answers = [object_in(part["functionResponse"]) for part in content.parts if "functionResponse" in part]
    if len(answers) != len(pending):
        raise ValueError(f"contents: {len(pending)} calls have {len(answers)} results")
    ids = [call.id for call in pending]
    named = [str(answer.get("id") or "") for answer in answers]
    if all(named) and sorted(named) == sorted(ids):
        answers.sort(key=lambda answer: ids.index(str(answer.get("id"))))
    for answer, call in zip(answers, pending, strict=True):
        if answer.get("name", call.name) != call.name:
            raise ValueError(f"contents: a result of {answer.get('name')} stands where {call.name} was called")
    return answers


def _result(answer: JsonObject, *, shows: bool) -> JsonObject:
    text: JsonValue = {"type": "text", "text": _told(answer.get("response"))}
    return {"content": [text, *(_media(object_in(part)) for part in list_in(answer.get("parts")) if shows)]}


def _shown(answers: Iterable[JsonObject]) -> Iterator[JsonObject]:
    for answer in answers:
        for part in list_in(answer.get("parts")):
            yield {"type": "text", "text": f"[shown by {answer.get('name')}]"}
            yield _media(object_in(part))


def _told(response: JsonValue) -> str:
    """Text as text, and whatever else there is as JSON."""
    match response:
        case {"result": str(text), **rest} | {"output": str(text), **rest} if not rest:
            return text
        case _:
            return msgspec.json.encode({} if response is None else response).decode()


def _blocks(content: _Content) -> Iterator[JsonObject]:
    """Raises `ValueError`."""
    parts = [part for part in content.parts if "functionResponse" not in part]
    leading = ""
    for part in parts:
        if "text" not in part:
            break
        leading += str(part["text"])
    is_command = leading.lstrip(_SPACE).startswith(_COMMANDS)
    for at, part in enumerate(parts):
        if "text" in part:
            yield {"type": "text", "text": (_APART if is_command and at == 0 else "") + str(part["text"])}
        else:
            yield _media(part)


def _media(part: JsonObject) -> JsonObject:
    """Raises `ValueError`."""
    data = object_in(part.get("inlineData"))
    if not data:
        raise ValueError(f"contents: {', '.join(part)} cannot be said to Gemini CLI")
    media_type = str(data.get("mimeType") or "application/octet-stream")
    kind = "audio" if media_type.startswith("audio/") else "image"
    return {"type": kind, "mimeType": media_type, "data": data.get("data")}


# what was said


def digest(role: str, parts: Sequence[JsonObject]) -> bytes:
    """The same for what the model answered and for what a client sends back of it: clients leave ids, signatures and
    thoughts out, and cut texts elsewhere.
    """
    text = "".join(str(part["text"]) for part in parts if "text" in part and part.get("thought") is not True)
    others: list[JsonValue] = []
    for part in parts:
        for kind in ("functionCall", "functionResponse"):
            if kind in part:
                named = {key: value for key, value in object_in(part[kind]).items() if key != "id"}
                others.append({kind: without_waits(named) if kind == "functionCall" else named})
        if "inlineData" in part:
            others.append(object_in(part["inlineData"]).get("data"))
    return hashlib.sha256(_canonical([role, text, others])).digest()


def _text(parts: JsonValue) -> str:
    return "\n\n".join(str(object_in(part).get("text") or "") for part in list_in(parts))
