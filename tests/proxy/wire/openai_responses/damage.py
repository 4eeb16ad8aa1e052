"""Bodies in which something is missing or of another kind: what clients and upstreams send when they are broken."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from hypothesis import strategies as st

from proxy.hub.residue import JsonObject, JsonValue

Path = tuple[str | int, ...]

ODD: list[JsonValue] = [None, "", 0, -1, 1.5, True, [], {}, "x", ["x"], {"a": 1}, [{}], {"type": "message"}]

REQUEST: JsonObject = {
    "model": "m",
    "instructions": "be short",
    "input": [
        {"type": "additional_tools", "role": "developer", "tools": [{"type": "custom", "name": "late"}]},
        {"type": "message", "id": "msg_0", "role": "developer", "content": [{"type": "input_text", "text": "a"}]},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "c"}],
            "encrypted_content": "d",
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "e", "annotations": []}]},
        {"type": "function_call", "id": "fc_1", "call_id": "f", "name": "g", "namespace": "n", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "h", "name": "late", "input": "i"},
        {"type": "function_call_output", "call_id": "f", "output": "j"},
        {"type": "custom_tool_call_output", "call_id": "h", "output": [{"type": "input_text", "text": "k"}]},
        {"type": "tool_search_call", "call_id": "l", "execution": "client", "arguments": {"query": "m"}},
        {
            "type": "tool_search_output",
            "call_id": "l",
            "execution": "client",
            "tools": [{"type": "custom", "name": "n"}],
        },
        {"type": "item_reference", "id": "msg_9"},
    ],
    "tools": [
        {"type": "function", "name": "o", "description": "p", "parameters": {"type": "object"}, "strict": True},
        {"type": "namespace", "name": "n", "description": "q", "tools": [{"type": "function", "name": "g"}]},
        {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}},
        {"type": "web_search"},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "o"}]},
    "parallel_tool_calls": True,
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "r", "schema": {}, "strict": True}, "verbosity": "low"},
    "metadata": {"s": "t"},
    "include": ["reasoning.encrypted_content"],
    "max_output_tokens": 100,
    "temperature": 0.5,
    "top_logprobs": 2,
    "stream": True,
}

ANSWER: JsonObject = {
    "id": "resp_1",
    "object": "response",
    "created_at": 5,
    "model": "m",
    "status": "incomplete",
    "incomplete_details": {"reason": "max_output_tokens"},
    "error": None,
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "a"}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "b", "annotations": []}, {"type": "refusal", "refusal": "c"}],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "d", "name": "e", "arguments": "{}"},
        {"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}},
    ],
    "usage": {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 2},
    },
}


def paths(value: JsonValue, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*path, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from paths(item, (*path, at))


@st.composite
def damaged(draw: st.DrawFn, body: JsonObject) -> JsonObject:
    broken = copy.deepcopy(body)
    *way, last = draw(st.sampled_from(list(paths(body))))
    place: JsonValue = broken
    for key in way:
        place = place[key]  # type: ignore[index, call-overload]  # the path was made from the body
    if draw(st.booleans()):
        place[last] = copy.deepcopy(draw(st.sampled_from(ODD)))  # type: ignore[index, call-overload]
    else:
        del place[last]  # type: ignore[arg-type, union-attr]
    return broken
