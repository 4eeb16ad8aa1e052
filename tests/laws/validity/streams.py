"""What clients of each wire demand of a stream (wires.md §2.6). A judge gets all bytes of one and yields complaints.

They know nothing of our renderers, and nothing of the hub.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

Json = Any
_TERMINALS = {"response.completed", "response.incomplete", "response.failed"}


def frames(data: bytes) -> list[tuple[str, Json]]:
    """Name and JSON of each event; comments and blank lines are none. ``[DONE]`` stays text."""
    found = []
    for block in data.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [line for line in block.split(b"\n") if line and not line.startswith(b":")]
        if not lines:
            continue
        names = [line[6:].strip().decode() for line in lines if line.startswith(b"event:")]
        texts = [line[5:].strip() for line in lines if line.startswith(b"data:")]
        assert (len(texts), len(lines)) == (1, 1 + len(names)), block
        found.append((names[0] if names else "", "[DONE]" if texts[0] == b"[DONE]" else msgspec.json.decode(texts[0])))
    return found


def anthropic(data: bytes) -> Iterator[str]:
    events = frames(data)
    kinds = [value["type"] for name, value in events if name == value["type"]]
    if len(kinds) != len(events):
        yield "an event is not called what it is"
    kinds = [kind for kind in kinds if kind != "ping"]
    if kinds == ["error"]:
        return
    if kinds[:1] != ["message_start"] or kinds.count("message_start") != 1:
        yield f"it begins with {kinds[:1]}"
    is_failed = kinds[-1] == "error"
    if not is_failed and kinds[-2:] != ["message_delta", "message_stop"]:
        yield f"it ends with {kinds[-2:]}"
    if kinds.count("message_stop") + kinds.count("error") != 1:
        yield "not exactly one end"
    start = events[0][1].get("message", {})
    if not isinstance(start.get("usage", {}).get("input_tokens"), int):
        yield "message_start tells no input_tokens"
    yield from _blocks([value for _, value in events])


_FITS = {
    "text_delta": "text",
    "citations_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "input_json_delta": "tool_use",
}


def _blocks(events: list[Json]) -> Iterator[str]:
    count, kind, is_signed, pieces = 0, "", False, [""]
    is_cut = any(event.get("delta", {}).get("stop_reason") == "max_tokens" for event in events)
    for event in events:
        match event["type"]:
            case "content_block_start":
                if kind:
                    yield f"block {event['index']} begins inside another"
                if event["index"] != count:
                    yield f"block {event['index']} comes as number {count}"
                count, kind, is_signed, pieces = count + 1, event["content_block"]["type"], False, []
            case "content_block_delta":
                delta = event["delta"]
                fits = _FITS.get(delta["type"], kind)
                if event["index"] != count - 1 or (fits != kind and "tool" not in kind):
                    yield f"a {delta['type']} in a {kind} block, {event['index']} of {count}"
                if is_signed:
                    yield "something after the signature"
                is_signed = delta["type"] == "signature_delta"
                pieces.append(delta.get("partial_json", ""))
            case "content_block_stop":
                if not kind or event["index"] != count - 1:
                    yield f"block {event['index']} ends, and is not open"
                if kind == "tool_use" and not is_cut:
                    yield from _json_text("".join(pieces))
                kind = ""
    if kind and not any(event["type"] == "error" for event in events):
        yield "the last block never ends"


def _json_text(text: str) -> Iterator[str]:
    try:
        msgspec.json.decode(text or "{}")
    except ValueError:
        yield f"arguments that are no JSON: {text[:80]}"


def openai_chat(data: bytes) -> Iterator[str]:
    if b"event:" in data.split(b"\n\n")[0]:
        yield "an event has a name"
    values = [value for _, value in frames(data)]
    if "error" in values[-1]:
        return
    if values[-1] != "[DONE]" or values.count("[DONE]") != 1:
        yield "it does not end with [DONE]"
    chunks = [value for value in values if value != "[DONE]"]
    if {chunk["object"] for chunk in chunks} != {"chat.completion.chunk"}:
        yield "a chunk that is none"
    for key in ("id", "model", "created"):
        if len({chunk[key] for chunk in chunks}) != 1:
            yield f"{key} changes"
    if chunks[0]["choices"][0]["delta"].get("role") != "assistant":
        yield "the first chunk tells no role"
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == 0]
    ends = [at for at, choice in enumerate(choices) if choice["finish_reason"]]
    if ends != [len(choices) - 1]:
        yield f"ends at {ends} of {len(choices)}"
    usages = [at for at, chunk in enumerate(chunks) if chunk.get("usage")]
    if usages and (usages != [len(chunks) - 1] or chunks[-1]["choices"]):
        yield f"usage at {usages} of {len(chunks)}"
    yield from _chat_calls([call for choice in choices for call in choice["delta"].get("tool_calls", [])])


def _chat_calls(entries: list[Json]) -> Iterator[str]:
    known: dict[int, str] = {}
    for entry in entries:
        at = entry["index"]
        if at in known:
            if entry.get("id") or entry.get("function", {}).get("name"):
                yield f"call {at} is named twice"
        elif at != len(known) or not entry.get("id") or not entry[entry["type"]].get("name"):
            yield f"call {at} begins as {entry}"
        known.setdefault(at, entry.get("id", ""))
    if len(set(known.values())) != len(known):
        yield f"an id is used twice: {known}"


def openai_responses(data: bytes) -> Iterator[str]:
    events = frames(data)
    if any(name != value["type"] for name, value in events):
        yield "an event is not called what it is"
    values = [value for _, value in events]
    kinds = [value["type"] for value in values]
    if [value["sequence_number"] for value in values] != list(range(len(values))):
        yield "the numbers do not rise by one from 0"
    if kinds[:2] != ["response.created", "response.in_progress"]:
        yield f"it begins with {kinds[:2]}"
    ends = [at for at, kind in enumerate(kinds) if kind in _TERMINALS]
    if ends != [len(kinds) - 1]:
        yield f"it ends at {ends} of {len(kinds)}"
    final = values[-1].get("response", {})
    if len({value["response"]["id"] for value in values if "response" in value}) != 1:
        yield "the id changes"
    yield from _items(values, final)


def _items(values: list[Json], final: Json) -> Iterator[str]:
    done: list[Json] = []
    open_id, texts = "", dict[Any, str]()
    for value in values:
        kind = value["type"]
        if kind == "response.output_item.added":
            if open_id or value["output_index"] != len(done):
                yield f"item {value['output_index']} begins inside another, or out of turn"
            open_id, texts = value["item"].get("id") or "?", {}
        elif kind == "response.output_item.done":
            if value["item"].get("id", "?") != open_id or value["output_index"] != len(done):
                yield f"item {value['item'].get('id')} is done, and {open_id} is open"
            done.append(value["item"])
            yield from _said_twice(value["item"], texts)
            open_id = ""
        elif "item_id" in value:
            if value["item_id"] != open_id or value["output_index"] != len(done):
                yield f"{kind} of {value['item_id']}, and {open_id} is open"
            where = (value.get("content_index"), value.get("summary_index"))
            if kind.endswith(".delta"):
                texts[where] = texts.get(where, "") + value["delta"]
            for key in ("text", "arguments", "input", "refusal"):
                if kind.endswith(".done") and key in value and value[key] != texts.get(where, ""):
                    yield f"{kind} says {value[key][:60]!r}, and {texts.get(where, '')[:60]!r} was told"
    if final.get("status") != "failed" and final.get("output") != done:
        yield "the final output is not what was told"
    if len({item.get("id") for item in done}) != len(done):
        yield "two items have one id"
    usage = final.get("usage")
    if usage is not None and "cache_write_tokens" not in usage["input_tokens_details"]:
        yield "usage without cache_write_tokens"


def _said_twice(item: Json, texts: Mapping[Any, str]) -> Iterator[str]:
    whole = "".join(part.get("text") or part.get("refusal") or "" for part in item.get("content") or [])
    if item["type"] == "message" and "".join(texts.values()) != whole:
        yield "a message is not what its deltas said"


def gemini(data: bytes) -> Iterator[str]:
    if b"event:" in data[:6] or b"[DONE]" in data[-12:]:
        yield "event names, or [DONE]"
    values = [value for _, value in frames(data)]
    if "error" in values[-1]:
        return
    for key in ("responseId", "modelVersion"):
        if len({value[key] for value in values}) != 1:
            yield f"{key} changes"
    candidates = [value["candidates"][0] for value in values if value["candidates"][0].get("index", 0) == 0]
    ends = [at for at, candidate in enumerate(candidates) if candidate.get("finishReason")]
    if ends != [len(candidates) - 1]:
        yield f"ends at {ends} of {len(candidates)}"
    for candidate in candidates:
        for part in candidate["content"]["parts"]:
            if "functionCall" in part and not isinstance(part["functionCall"]["args"], dict):
                yield "a call without arguments"
            if not part:
                yield "a part of nothing"
    if any("usageMetadata" in value for value in values[:-1]):
        yield "usage before the end"


GRAMMARS: Mapping[str, Callable[[bytes], Iterator[str]]] = {
    "anthropic": anthropic,
    "openai_chat": openai_chat,
    "openai_responses": openai_responses,
    "gemini": gemini,
}
