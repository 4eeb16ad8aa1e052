"""OpenAI Responses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.hub.profile import Profile
from tests.laws.validity.ground import Json, bad_schema, duplicates, marks, unknown_keys

_KEYS = {
    *("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens"),
    *("temperature", "top_p", "top_logprobs", "include", "text", "reasoning", "store", "stream", "user", "metadata"),
    *("service_tier", "prompt_cache_key"),
}
_EXTRAS = {
    "user": "user",
    "metadata": "metadata",
    "service_tier": "service_tier",
    "prompt_cache_key": "cache_key",
    "parallel_tool_calls": "parallel_switch",
    "store": "store",
}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_FORMAT_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_INPUT = {"input_text", "input_image", "input_file"}


def complaints(body: Json, profile: Profile) -> Iterator[str]:
    yield from unknown_keys(body, _KEYS, "body")
    for key, extra in _EXTRAS.items():
        if key in body and extra not in profile.extras:
            yield f"{key}, which this upstream does not take"
    yield from _settings(body, profile)
    yield from _tools(body, profile)
    yield from _items(body["input"], profile)
    if marks(body, "prompt_cache_breakpoint") > (4 if profile.has_cache_marks else 0):
        yield "too many cache marks"


def _settings(body: Json, profile: Profile) -> Iterator[str]:
    if body.get("max_output_tokens", 16) < 16:
        yield "fewer than 16 max_output_tokens"
    for key in ("temperature", "top_p"):
        if key in body and key not in profile.sampling:
            yield f"{key}, which this model does not take"
    if body.get("temperature", 0) > 2:
        yield "temperature is above 2"
    effort = body.get("reasoning", {}).get("effort")
    if effort is not None and effort not in profile.efforts and not (effort == "none" and profile.can_stop_thinking):
        yield f"effort {effort}, which the model does not know"
    if body.get("reasoning") and profile.thinking == "none":
        yield "reasoning, of a model that does not"
    if body.get("instructions") == "":
        yield "empty instructions"
    form = body.get("text", {}).get("format", {"type": "text"})
    if form["type"] == "json_schema":
        if not _FORMAT_NAME.fullmatch(form.get("name") or ""):
            yield f"a format named {form.get('name')!r}"
        yield from bad_schema(form.get("schema"), "text.format.schema")
    if len(body.get("metadata", {})) > 16:
        yield "more than 16 metadata"
    for key in ("user", "prompt_cache_key"):
        if len(body.get(key, "")) > 64:
            yield f"{key} of more than 64 characters"


def _tools(body: Json, profile: Profile) -> Iterator[str]:
    tools = body.get("tools", [])
    names = []
    for at, tool in enumerate(tools):
        if tool["type"] in {"function", "custom"}:
            names.append(tool["name"])
            if not _NAME.fullmatch(tool["name"]):
                yield f"tools[{at}] is called {tool['name']!r}"
        if tool["type"] == "function":
            if not isinstance(tool.get("strict"), bool):
                yield f"tools[{at}].strict is not said, which means true"
            if tool.get("parameters") is not None:
                yield from bad_schema(tool["parameters"], f"tools[{at}]")
        if tool["type"] == "custom" and not profile.has_custom_tools:
            yield f"tools[{at}] is a custom one"
    yield from duplicates(names, "the tool")
    if "tool_choice" in body and not tools:
        yield "tool_choice without tools"
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") in {"function", "custom"} and choice["name"] not in names:
        yield "the choice of a tool that is not there"


def _items(items: Json, profile: Profile) -> Iterator[str]:
    if not items:
        yield "no input"
    calls: list[str] = []
    answered: list[str] = []
    for at, item in enumerate(items):
        where = f"input[{at}]"
        match item["type"]:
            case "message":
                yield from _message(item, where, profile)
            case "function_call" | "custom_tool_call":
                calls.append(item["call_id"])
                if not _ID.fullmatch(item["call_id"]):
                    yield f"{where}: the id {item['call_id']!r}"
                if not _NAME.fullmatch(item["name"]):
                    yield f"{where}: a call of {item['name']!r}"
                if item["type"] == "function_call" and not isinstance(item["arguments"], str):
                    yield f"{where}: arguments that are no text"
            case "function_call_output" | "custom_tool_call_output":
                if item["call_id"] not in calls:
                    yield f"{where} answers {item['call_id']!r}, which nobody called"
                answered.append(item["call_id"])
                if isinstance(item["output"], list):
                    yield from _parts(item["output"], _INPUT, where, profile)
            case "reasoning":
                if not item.get("encrypted_content") and not profile.replays_reasoning_text:
                    yield f"{where}: reasoning that nobody stored"
            case other:
                yield f"{where} is a {other}"
    yield from duplicates(answered, "the answer to")
    if sorted(calls) != sorted(answered):
        yield f"calls {calls}, answers {answered}"


def _message(item: Json, where: str, profile: Profile) -> Iterator[str]:
    if item["role"] not in {"user", "assistant", "developer", "system"}:
        yield f"{where}: the role {item['role']}"
    if item["role"] == "developer" and not profile.has_developer_role:
        yield f"{where} is a developer's"
    content = item["content"]
    if not content:
        yield f"{where} is empty"
    if isinstance(content, list):
        kinds = {"output_text", "refusal"} if item["role"] == "assistant" else _INPUT
        yield from _parts(content, kinds, where, profile)


def _parts(parts: Json, kinds: set[str], where: str, profile: Profile) -> Iterator[str]:
    for part in parts:
        if part["type"] not in kinds:
            yield f"{where}: a {part['type']}"
        if part["type"] == "input_image":
            if "detail" not in part or ("image_url" in part) == ("file_id" in part):
                yield f"{where}: an image without detail, or without exactly one source"
            if "image" not in profile.media:
                yield f"{where}: an image"
        if part["type"] == "input_file" and "file_data" in part and "filename" not in part:
            yield f"{where}: a file without a name"
