"""Two spellings of one JSON: Google's parsers take snake_case for camelCase, and one object for a list of one.

Requests are read in one spelling; the places that were written otherwise are remembered in the request's shape. Only
keys that this wire knows are respelled: what a client calls its arguments or metadata is its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from proxy.hub.residue import JsonObject, JsonValue

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_GRAMMAR: Mapping[str, Mapping[str, str]] = {
    "request": {
        "contents": "content*",
        "systemInstruction": "content",
        "tools": "tool*",
        "toolConfig": "tool config",
        "generationConfig": "generation",
        "safetySettings": "",
        "cachedContent": "",
        "serviceTier": "",
        "continuationToken": "",
        "modelArmorConfig": "",
        "generateContentRequest": "request",
    },
    "content": {"parts": "part*"},
    "part": {
        "thoughtSignature": "",
        "inlineData": "blob",
        "fileData": "blob",
        "functionCall": "call",
        "functionResponse": "result",
        "executableCode": "",
        "codeExecutionResult": "",
        "toolCall": "",
        "toolResponse": "",
        "videoMetadata": "",
        "mediaResolution": "",
        "partMetadata": "",
    },
    "blob": {"mimeType": "", "displayName": "", "fileUri": ""},
    "call": {"willContinue": "", "partialArgs": ""},
    "result": {"willContinue": "", "parts": "part*"},
    "tool": {
        "functionDeclarations": "declaration*",
        "googleSearch": "",
        "googleSearchRetrieval": "",
        "codeExecution": "",
        "urlContext": "",
        "fileSearch": "",
        "googleMaps": "",
        "computerUse": "",
        "enterpriseWebSearch": "",
        "mcpServers": "",
    },
    "declaration": {"parametersJsonSchema": "", "responseJsonSchema": ""},
    "tool config": {
        "functionCallingConfig": "calling",
        "retrievalConfig": "",
        "includeServerSideToolInvocations": "",
    },
    "calling": {"allowedFunctionNames": "", "streamFunctionCallArguments": ""},
    "generation": {
        "maxOutputTokens": "",
        "topP": "",
        "topK": "",
        "candidateCount": "",
        "stopSequences": "",
        "presencePenalty": "",
        "frequencyPenalty": "",
        "responseLogprobs": "",
        "responseMimeType": "",
        "responseSchema": "",
        "responseJsonSchema": "",
        "responseModalities": "",
        "thinkingConfig": "thinking",
        "mediaResolution": "",
        "speechConfig": "",
        "imageConfig": "",
        "audioTimestamp": "",
    },
    "thinking": {"includeThoughts": "", "thinkingBudget": "", "thinkingLevel": ""},
}
"""What each object may hold, and what kind of object that is; ``*``: a list of them; empty: not looked into."""

_SNAKE: Mapping[str, Mapping[str, str]] = {
    kind: {snake: key for key in keys if (snake := _HUMP.sub("_", key).lower()) != key}
    for kind, keys in _GRAMMAR.items()
}


class Spelled(NamedTuple):
    """`renamed` and `single`: paths in the canonical body, for `written_back`. A renamed path ends in the old key."""

    body: JsonObject
    renamed: list[JsonValue]
    single: list[JsonValue]


def canonical(body: JsonObject, kind: str = "request") -> Spelled:
    spelled = Spelled({}, [], [])
    spelled.body.update(_object(body, kind, [], spelled))
    return spelled


def _object(value: JsonObject, kind: str, path: list[JsonValue], spelled: Spelled) -> JsonObject:
    keys, snakes = _GRAMMAR[kind], _SNAKE[kind]
    body: JsonObject = {}
    for written, item in value.items():
        key = written
        if written in snakes and snakes[written] not in value:
            key = snakes[written]
            spelled.renamed.append([*path, written])
        child = keys.get(key)
        body[key] = _child(item, child, [*path, key], spelled) if child else item
    return body


def _child(value: JsonValue, kind: str, path: list[JsonValue], spelled: Spelled) -> JsonValue:
    if not kind.endswith("*"):
        return _object(value, kind, path, spelled) if isinstance(value, dict) else value
    if isinstance(value, dict):
        spelled.single.append(path)
        value = [value]
    if not isinstance(value, list):
        return value
    return [
        _object(item, kind[:-1], [*path, index], spelled) if isinstance(item, dict) else item
        for index, item in enumerate(value)
    ]


def written_back(body: JsonObject, renamed: JsonValue, single: JsonValue) -> JsonObject:
    """`body` in its writer's spelling. Places that are no more there are passed over."""
    paths = [(path, _unwrap) for path in _paths(single)] + [(path, _rename) for path in _paths(renamed)]
    for path, change in sorted(paths, key=lambda pair: -len(pair[0])):  # children before their parents
        holder = _at(body, path[:-1])
        if holder is not None and isinstance(path[-1], str):
            change(holder, path[-1])
    return body


def _paths(paths: JsonValue) -> list[list[JsonValue]]:
    return [path for path in paths if isinstance(path, list) and path] if isinstance(paths, list) else []


def _at(body: JsonObject, path: list[JsonValue]) -> JsonObject | None:
    value: JsonValue = body
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value if isinstance(value, dict) else None


def _rename(holder: JsonObject, written: str) -> None:
    key = re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), written)
    if key in holder:
        holder[written] = holder.pop(key)


def _unwrap(holder: JsonObject, key: str) -> None:
    items = holder.get(key)
    if isinstance(items, list) and len(items) == 1:
        holder[key] = items[0]
