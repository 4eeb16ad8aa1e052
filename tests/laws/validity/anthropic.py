"""Anthropic Messages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.hub.profile import Profile
from tests.laws.validity.ground import Json, bad_schema, duplicates, marks, unknown_keys

_KEYS = {
    *("model", "max_tokens", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "metadata"),
    *("temperature", "top_p", "top_k", "stop_sequences", "service_tier", "speed", "stream"),
}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ID = re.compile(r"[A-Za-z0-9_-]+")
_IMAGES = {"image/png", "image/jpeg", "image/gif", "image/webp"}


def complaints(body: Json, profile: Profile) -> Iterator[str]:
    yield from unknown_keys(body, _KEYS, "body")
    yield from _settings(body, profile)
    yield from _thinking(body, profile)
    yield from _tools(body)
    yield from _turns(body, profile)
    if marks(body, "cache_control") > (4 if profile.has_cache_marks else 0):
        yield "too many cache marks"
    system = body.get("system")
    if system is not None:
        yield from _content(system, "system")


def _settings(body: Json, profile: Profile) -> Iterator[str]:
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        yield "max_tokens is required"
    elif profile.max_output_tokens and body["max_tokens"] > profile.max_output_tokens:
        yield "more max_tokens than the model writes"
    for key in ("temperature", "top_p", "top_k"):
        if key in body and key not in profile.sampling:
            yield f"{key} is refused by this model"
    if body.get("temperature", 0) > 1:
        yield "temperature is above 1"
    if any(not text.strip() for text in body.get("stop_sequences", [])):
        yield "a stop sequence of white space"
    form = body.get("output_config", {}).get("format")
    if form is not None:
        yield from bad_schema(form["schema"], "output_config.format.schema")
        yield from _open_objects(form["schema"], "output_config.format.schema")


def _open_objects(schema: Json, where: str) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _open_objects(item, where)
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and schema.get("additionalProperties") is not False:
            yield f"{where}: an object that is not closed"
        for key, item in schema.items():
            inner = item.values() if key in {"properties", "$defs"} and isinstance(item, dict) else [item]
            for each in inner:
                if key not in {"default", "enum", "const", "examples"}:
                    yield from _open_objects(each, f"{where}.{key}")


def _thinking(body: Json, profile: Profile) -> Iterator[str]:
    thinking = body.get("thinking", {"type": "absent"})
    kind = thinking["type"]
    is_on = kind in {"enabled", "adaptive", "between_tools"}
    effort = body.get("output_config", {}).get("effort")
    if kind == "enabled":
        budget = thinking["budget_tokens"]
        if not 1024 <= budget < body["max_tokens"]:
            yield f"a budget of {budget} of {body['max_tokens']} tokens"
        if profile.must_think_adaptively:
            yield "enabled thinking, where only adaptive is taken"
    if kind == "adaptive" and profile.thinking != "effort":
        yield "adaptive thinking, where only a budget is taken"
    if is_on and profile.thinking == "none":
        yield "thinking, of a model that does not"
    if effort is not None and effort not in profile.efforts:
        yield f"effort {effort}, which the model does not know"
    if is_on and body.get("temperature", 1) != 1:
        yield "temperature together with thinking"
    if is_on and body.get("tool_choice", {}).get("type") in {"any", "tool"}:
        yield "a forced tool choice together with thinking"


def _tools(body: Json) -> Iterator[str]:
    tools = body.get("tools", [])
    yield from duplicates((tool["name"] for tool in tools if "name" in tool), "the tool")
    if "tools" in body and not tools:
        yield "an empty list of tools"
    for at, tool in enumerate(tools):
        if tool.get("type") in {None, "custom"}:
            if not _NAME.fullmatch(tool["name"]):
                yield f"tools[{at}].name {tool['name']!r} is illegal"
            schema = tool.get("input_schema")
            if not isinstance(schema, dict) or schema.get("type") != "object":
                yield f"tools[{at}].input_schema is no object's"
            if isinstance(schema, dict) and schema.keys() & {"anyOf", "oneOf", "allOf"}:
                yield f"tools[{at}].input_schema has alternatives at its top"
            yield from bad_schema(schema, f"tools[{at}].input_schema")
    choice = body.get("tool_choice")
    if choice is not None:
        if not tools:
            yield "tool_choice without tools"
        if choice["type"] == "tool" and choice["name"] not in {tool.get("name") for tool in tools}:
            yield "the choice of a tool that is not there"


def _turns(body: Json, profile: Profile) -> Iterator[str]:
    messages = body["messages"]
    if not messages or messages[0]["role"] != "user":
        yield "the first turn is not the user's"
    if messages and messages[-1]["role"] == "assistant":
        if not profile.has_prefill:
            yield "a prefill, which this model refuses"
        content = messages[-1]["content"]
        text = content if isinstance(content, str) else content[-1].get("text", "")
        if text != text.rstrip():
            yield "a prefill that ends in white space"
    waiting: list[str] = []
    seen: list[str] = []
    for at, message in enumerate(messages):
        if message["role"] == "system" and not profile.has_mid_system:
            yield f"messages[{at}] is a system's"
        yield from _content(message["content"], f"messages[{at}].content")
        blocks = message["content"] if isinstance(message["content"], list) else []
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if message["role"] != "assistant" and sorted(results) != sorted(waiting):
            yield f"messages[{at}] answers {results}, and {waiting} wait"
        if results and any(block["type"] != "tool_result" for block in blocks[: len(results)]):
            yield f"messages[{at}]: results do not come first"
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
        seen += waiting
        if any(not _ID.fullmatch(call_id) for call_id in waiting):
            yield f"messages[{at}]: an illegal id among {waiting}"
        yield from _signed(blocks, profile, f"messages[{at}]")
    yield from duplicates(seen, "the call id")
    if waiting and messages[-1]["role"] == "assistant":
        yield "the last calls are not answered"


def _signed(blocks: Json, profile: Profile, where: str) -> Iterator[str]:
    for block in blocks:
        if block["type"] == "thinking" and not block.get("signature") and not profile.replays_reasoning_text:
            yield f"{where}: thinking without a signature"


def _content(content: Json, where: str) -> Iterator[str]:
    if isinstance(content, str):
        if not content.strip():
            yield f"{where} is empty"
        return
    if not content:
        yield f"{where} is an empty list"
    for at, block in enumerate(content):
        here = f"{where}[{at}]"
        match block["type"]:
            case "text" if not block["text"].strip():
                yield f"{here} is an empty text"
            case "image" | "document":
                source = block["source"]
                if source["type"] == "base64" and block["type"] == "image" and source["media_type"] not in _IMAGES:
                    yield f"{here} is an image of type {source['media_type']}"
                if (
                    source["type"] == "base64"
                    and block["type"] == "document"
                    and source["media_type"] != "application/pdf"
                ):
                    yield f"{here} is a document of type {source['media_type']}"
            case "tool_result" if isinstance(block.get("content"), list):
                if block["content"]:
                    yield from _content(block["content"], f"{here}.content")
            case "tool_use" if not isinstance(block["input"], dict):
                yield f"{here}.input is no object"
