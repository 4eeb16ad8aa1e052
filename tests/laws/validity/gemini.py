"""Gemini generateContent."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.hub.profile import Profile
from tests.laws.validity.ground import Json, bad_schema, duplicates, unknown_keys

_KEYS = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier"}
_CONFIG = {
    *("temperature", "topP", "topK", "maxOutputTokens", "stopSequences", "seed", "presencePenalty"),
    *("frequencyPenalty", "candidateCount", "responseLogprobs", "logprobs", "responseMimeType", "responseSchema"),
    *("responseJsonSchema", "thinkingConfig"),
}
_DATA = {"text", "functionCall", "functionResponse", "inlineData", "fileData"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_JSON_SCHEMA = {
    *("$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems"),
    *("minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties"),
    *("required", "propertyOrdering", "default", "pattern", "minLength", "maxLength", "uniqueItems"),
}
_OPENAPI = {
    *("additionalProperties", "defs", "ref", "anyOf", "default", "description", "enum", "example", "format", "items"),
    *("maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum"),
    *("nullable", "pattern", "properties", "propertyOrdering", "required", "title", "type"),
}
_LEVELS = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high", "XHIGH": "xhigh"}


def complaints(body: Json, profile: Profile) -> Iterator[str]:
    yield from unknown_keys(body, _KEYS, "body")
    config = body.get("generationConfig", {})
    yield from unknown_keys(config, _CONFIG, "generationConfig")
    yield from _thinking(config.get("thinkingConfig"), profile)
    yield from _config(config, profile)
    yield from _tools(body, profile)
    yield from _contents(body["contents"], profile)
    system = body.get("systemInstruction")
    if system is not None and not (system["parts"] and all(part.get("text") for part in system["parts"])):
        yield "an empty system instruction"


def _thinking(thinking: Json, profile: Profile) -> Iterator[str]:
    if thinking is None:
        return
    budget, level = thinking.get("thinkingBudget"), thinking.get("thinkingLevel")
    if profile.thinking == "none":
        yield "thinking, of a model that does not"
    if budget is not None and level is not None:
        yield "a budget and a level"
    if level is not None and profile.thinking == "budget":
        yield "a level, where budgets are taken"
    if level is not None and profile.efforts and _LEVELS[level.upper()] not in profile.efforts:
        yield f"level {level}, which the model does not know"
    if budget == 0 and not profile.can_stop_thinking:
        yield "no thinking, of a model that cannot stop"
    is_within = profile.budget_tokens_min <= (budget or 0) <= profile.budget_tokens_max
    if isinstance(budget, int) and budget > 0 and profile.thinking == "budget" and not is_within:
        yield f"a budget of {budget}"


def _config(config: Json, profile: Profile) -> Iterator[str]:
    if len(config.get("stopSequences", [])) > 5:
        yield "more than five stops"
    if config.get("candidateCount", 1) > 1:
        yield "several candidates"
    if profile.max_output_tokens and config.get("maxOutputTokens", 0) > profile.max_output_tokens:
        yield "more tokens than the model writes"
    schemas = [key for key in ("responseSchema", "responseJsonSchema") if key in config]
    if len(schemas) > 1:
        yield "two schemas"
    if schemas and config.get("responseMimeType") != "application/json":
        yield "a schema without its mime type"
    for key in schemas:
        yield from _schema(config[key], key, is_json=key == "responseJsonSchema")
    if "responseJsonSchema" in config:
        yield from bad_schema(config["responseJsonSchema"], "responseJsonSchema")


def _tools(body: Json, profile: Profile) -> Iterator[str]:
    names = []
    kinds = set()
    for at, tool in enumerate(body.get("tools", [])):
        kinds |= tool.keys()
        for number, function in enumerate(tool.get("functionDeclarations", [])):
            where = f"tools[{at}].functionDeclarations[{number}]"
            names.append(function["name"])
            if not _NAME.fullmatch(function["name"]):
                yield f"{where} is called {function['name']!r}"
            yield from unknown_keys(function, {"name", "description", "parameters", "parametersJsonSchema"}, where)
            if "parameters" in function and "parametersJsonSchema" in function:
                yield f"{where} has two schemas"
            if "parametersJsonSchema" in function and not profile.has_full_schema:
                yield f"{where} has a JSON Schema"
            for key in ("parameters", "parametersJsonSchema"):
                if key in function:
                    yield from _schema(function[key], f"{where}.{key}", is_json=key == "parametersJsonSchema")
            if "parametersJsonSchema" in function:
                yield from bad_schema(function["parametersJsonSchema"], where)
    yield from duplicates(names, "the function")
    if not profile.mixes_tools and "functionDeclarations" in kinds and len(kinds) > 1:
        yield f"functions beside {kinds}"
    calling = body.get("toolConfig", {}).get("functionCallingConfig")
    if calling is not None:
        if not names:
            yield "functionCallingConfig without functions"
        if calling.get("allowedFunctionNames") and calling.get("mode") not in {"ANY", "VALIDATED"}:
            yield f"allowed names in mode {calling.get('mode')}"
        if not set(calling.get("allowedFunctionNames", [])) <= set(names):
            yield "the choice of a function that is not there"


def _schema(schema: Json, where: str, *, is_json: bool) -> Iterator[str]:
    if not isinstance(schema, dict):
        if not isinstance(schema, bool):
            yield f"{where} is no schema"
        return
    yield from unknown_keys(schema, _JSON_SCHEMA if is_json else _OPENAPI, where)
    kind = schema.get("type")
    if is_json:
        if "$ref" in schema and any(not key.startswith("$") for key in schema):
            yield f"{where}: $ref beside {sorted(schema)}"
    elif isinstance(kind, list):
        yield f"{where}: a list of types"
    if not is_json:
        if "enum" in schema and any(not isinstance(value, str) for value in schema["enum"]):
            yield f"{where}: an enum of what is no text"
        if str(kind).upper() == "ARRAY" and "items" not in schema:
            yield f"{where}: an array without items"
        if not set(schema.get("required", [])) <= set(schema.get("properties", {})):
            yield f"{where}: requires what it does not have"
    for key, value in schema.items():
        if key in {"properties", "$defs", "defs"}:
            for name, inner in value.items():
                yield from _schema(inner, f"{where}.{key}.{name}", is_json=is_json)
        elif key in {"items", "additionalProperties"}:
            yield from _schema(value, f"{where}.{key}", is_json=is_json)
        elif key in {"anyOf", "oneOf", "prefixItems"}:
            for inner in value:
                yield from _schema(inner, f"{where}.{key}", is_json=is_json)


def _contents(contents: Json, profile: Profile) -> Iterator[str]:
    if not contents or contents[0]["role"] != "user":
        yield "the first turn is not the user's"
    waiting: list[str] = []
    for at, content in enumerate(contents):
        where = f"contents[{at}]"
        if content["role"] not in {"user", "model"}:
            yield f"{where}: the role {content['role']}"
        if not content["parts"]:
            yield f"{where} is empty"
        for part in content["parts"]:
            if len(part.keys() & _DATA) != 1:
                yield f"{where}: a part of {sorted(part)}"
            if "text" in part and not part["text"] and "thoughtSignature" not in part:
                yield f"{where}: an empty text"
            for key in ("functionCall", "functionResponse"):
                if "id" in part.get(key, {}) and not profile.has_call_ids:
                    yield f"{where}: an id"
            if "functionResponse" in part and not isinstance(part["functionResponse"].get("response"), dict):
                yield f"{where}: a result that is no object"
            if "inlineData" in part and not part["inlineData"].get("mimeType"):
                yield f"{where}: data without a type"
        results = [part["functionResponse"]["name"] for part in content["parts"] if "functionResponse" in part]
        if sorted(results) != sorted(waiting):
            yield f"{where} answers {results}, and {waiting} wait"
        calls = [part for part in content["parts"] if "functionCall" in part]
        waiting = [part["functionCall"]["name"] for part in calls]
        if any(not _NAME.fullmatch(name) for name in (*waiting, *results)):
            yield f"{where}: an illegal name among {waiting} and {results}"
        if calls and profile.needs_call_signature and not calls[0].get("thoughtSignature"):
            yield f"{where}: the first call is not signed"
    if waiting:
        yield f"{waiting} are not answered"
