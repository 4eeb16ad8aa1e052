"""OpenAI Chat Completions, as OpenAI takes it; compatible servers take less, and their profile says so."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.hub.profile import Profile
from tests.laws.validity.ground import Json, bad_schema, duplicates, marks, unknown_keys

_KEYS = {
    *("model", "messages", "tools", "tool_choice", "parallel_tool_calls", "max_tokens", "max_completion_tokens"),
    *("temperature", "top_p", "top_k", "stop", "seed", "presence_penalty", "frequency_penalty", "logprobs"),
    *("top_logprobs", "response_format", "reasoning_effort", "stream", "stream_options", "user", "metadata"),
    *("service_tier", "verbosity", "prompt_cache_key", "web_search_options", "store"),
}
_EXTRAS = {
    "user": "user",
    "metadata": "metadata",
    "service_tier": "service_tier",
    "verbosity": "verbosity",
    "prompt_cache_key": "cache_key",
    "parallel_tool_calls": "parallel_switch",
    "max_completion_tokens": "max_completion_tokens",
    "top_logprobs": "top_logprobs",
}
_SAMPLING = ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty", "logprobs", "stop")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PARTS = {
    "user": {"text", "image_url", "input_audio", "file", "video_url", "file_url", "document_url"},
    "assistant": {"text", "refusal", "thinking"},
    "tool": {"text", "image_url", "file", "input_audio"},
    "system": {"text"},
    "developer": {"text"},
}


def complaints(body: Json, profile: Profile) -> Iterator[str]:
    yield from unknown_keys(body, _KEYS, "body")
    for key, extra in _EXTRAS.items():
        if key in body and extra not in profile.extras:
            yield f"{key}, which this upstream does not take"
    for key in _SAMPLING:
        if key in body and key not in profile.sampling:
            yield f"{key}, which this model does not take"
    yield from _settings(body, profile)
    yield from _tools(body, profile)
    yield from _messages(body, profile)
    if marks(body, "prompt_cache_breakpoint") > (4 if profile.has_cache_marks else 0):
        yield "too many cache marks"


def _settings(body: Json, profile: Profile) -> Iterator[str]:
    if "max_tokens" in body and "max_completion_tokens" in body:
        yield "two limits"
    if len(body.get("stop", [])) > 4 and isinstance(body["stop"], list):
        yield "more than four stops"
    effort = body.get("reasoning_effort")
    if effort is not None and effort not in profile.efforts and not (effort == "none" and profile.can_stop_thinking):
        yield f"effort {effort}, which the model does not know"
    if "stream_options" in body and not body.get("stream"):
        yield "stream_options without a stream"
    if body.get("stream") and not body.get("stream_options", {}).get("include_usage"):
        yield "a stream that tells no usage"
    if "top_logprobs" in body and not body.get("logprobs"):
        yield "top_logprobs without logprobs"
    form = body.get("response_format")
    if form is not None and form["type"] == "json_schema":
        inner = form["json_schema"]
        if not _NAME.fullmatch(inner.get("name", "")):
            yield f"a format named {inner.get('name')!r}"
        if not profile.has_json_schema:
            yield "a schema, which this upstream does not take"
        yield from bad_schema(inner.get("schema", {}), "response_format")
    if form is not None and form["type"] == "json_object" and "json" not in str(body["messages"]).lower():
        yield "json mode, and no message speaks of JSON"


def _tools(body: Json, profile: Profile) -> Iterator[str]:
    tools = body.get("tools", [])
    if "tools" in body and not tools:
        yield "an empty list of tools"
    for key in ("tool_choice", "parallel_tool_calls"):
        if key in body and not tools:
            yield f"{key} without tools"
    names = []
    for at, tool in enumerate(tools):
        kind = tool["type"]
        if kind == "custom" and not profile.has_custom_tools:
            yield f"tools[{at}] is a custom one"
        inner = tool[kind]
        names.append(inner["name"])
        if not _NAME.fullmatch(inner["name"]):
            yield f"tools[{at}] is called {inner['name']!r}"
        if "parameters" in inner:
            yield from bad_schema(inner["parameters"], f"tools[{at}]")
        if inner.get("strict") is not None and not profile.has_strict_schema:
            yield f"tools[{at}].strict"
    yield from duplicates(names, "the tool")
    choice = body.get("tool_choice")
    is_named = isinstance(choice, dict) and choice["type"] in {"function", "custom"}
    if is_named and choice[choice["type"]]["name"] not in names:
        yield "the choice of a tool that is not there"


def _messages(body: Json, profile: Profile) -> Iterator[str]:
    waiting: list[str] = []
    for at, message in enumerate(body["messages"]):
        role, where = message["role"], f"messages[{at}]"
        if role == "developer" and not profile.has_developer_role:
            yield f"{where} is a developer's"
        if role == "tool":
            if message["tool_call_id"] not in waiting:
                yield f"{where} answers {message['tool_call_id']!r}, and {waiting} wait"
            else:
                waiting.remove(message["tool_call_id"])
        elif waiting:
            yield f"{where} comes while {waiting} wait"
            waiting = []
        yield from _content(message.get("content"), role, where, profile)
        if role == "assistant":
            calls = message.get("tool_calls", [])
            waiting = [call["id"] for call in calls]
            if not calls and not message.get("content") and not message.get("refusal"):
                yield f"{where} says nothing"
            for call in calls:
                if len(call["id"]) > 64 or not call["id"]:
                    yield f"{where}: the id {call['id']!r}"
                inner = call[call["type"]]
                if not _NAME.fullmatch(inner["name"]):
                    yield f"{where}: a call of {inner['name']!r}"
            yield from duplicates(waiting, "the call id")
    if waiting:
        yield f"{waiting} are not answered"


def _content(content: Json, role: str, where: str, profile: Profile) -> Iterator[str]:
    if content is None:
        if role != "assistant":
            yield f"{where} has no content"
        return
    if isinstance(content, str):
        if not content and role in {"user", "system", "developer"}:
            yield f"{where} is empty"
        return
    if not content:
        yield f"{where} has an empty list of parts"
    for part in content:
        if part["type"] not in _PARTS[role]:
            yield f"{where}: a {part['type']} in a message of role {role}"
        if part["type"] == "text" and not part["text"]:
            yield f"{where}: an empty text"
        if part["type"] == "image_url" and "image" not in profile.media:
            yield f"{where}: an image"
        if role == "tool" and part["type"] != "text" and not profile.has_media_in_results:
            yield f"{where}: a file in a result"
    if not profile.has_text_lists and all(part["type"] == "text" for part in content):
        yield f"{where}: a list of texts"
