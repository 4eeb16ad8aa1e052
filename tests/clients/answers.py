"""What upstreams say, written by hand on each wire: a text or a tool call, streamed or whole, and refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from proxy.hub.residue import JsonObject, JsonValue

RPC = "type.googleapis.com/google.rpc."
CREATED = 1_790_000_000


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class Use:
    """One call of a tool."""

    name: str
    arguments: JsonObject
    id: str = "call_harbour1"


@dataclass(frozen=True, slots=True)
class Compacted:
    """The conversation, as only OpenAI can read it; told by the Responses API alone."""

    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """An error status, in the wire's words. `headers`: the vendor's, for when it may be asked again."""

    status: int
    body: JsonObject
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Say | Use | Compacted


def encode(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def _named(*events: JsonObject) -> list[bytes]:
    """With the event's type as its name."""
    return [f"event: {each['type']}\ndata: {encode(each)}\n\n".encode() for each in events]


def _data(*values: JsonObject, end: str = "\n\n") -> list[bytes]:
    return [f"data: {encode(each)}{end}".encode() for each in values]


# Anthropic Messages


def anthropic_whole(answer: Answer, model: str) -> JsonObject:
    match answer:
        case Say(text):
            block: JsonObject = {"type": "text", "text": text}
        case Use(name, arguments, own_id):
            block = {"type": "tool_use", "id": own_id.replace("call_", "toolu_"), "name": name, "input": arguments}
    return {
        "id": "msg_harbour1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [block],
        "stop_reason": "end_turn" if isinstance(answer, Say) else "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 21, "output_tokens": 9},
    }


def anthropic_stream(answer: Answer, model: str) -> list[bytes]:
    whole = anthropic_whole(answer, model)
    block = whole["content"][0]  # type: ignore[index]
    if isinstance(answer, Say):
        opened: JsonObject = {"type": "text", "text": ""}
        deltas: list[JsonObject] = [{"type": "text_delta", "text": each} for each in _halves(answer.text)]
    else:
        opened = {**block, "input": {}}  # type: ignore[dict-item]
        arguments = encode(answer.arguments)
        deltas = [{"type": "input_json_delta", "partial_json": each} for each in _halves(arguments)]
    start: JsonObject = {**whole, "content": [], "stop_reason": None}
    return _named(
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": opened},
        *({"type": "content_block_delta", "index": 0, "delta": each} for each in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
            "usage": {"output_tokens": 9},
        },
        {"type": "message_stop"},
    )


# OpenAI Responses


def _item(answer: Answer) -> JsonObject:
    if isinstance(answer, Compacted):
        return {"type": "compaction", "id": "cmp_1", "encrypted_content": answer.content}
    if isinstance(answer, Say):
        part: JsonObject = {"type": "output_text", "text": answer.text, "annotations": []}
        return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}
    return {
        "type": "function_call",
        "id": "fc_1",
        "call_id": answer.id,
        "name": answer.name,
        "arguments": encode(answer.arguments),
        "status": "completed",
    }


def responses_whole(answer: Answer, model: str) -> JsonObject:
    return {
        "id": "resp_harbour1",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "model": model,
        "output": [_item(answer)],
        "usage": {
            "input_tokens": 21,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 9,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 30,
        },
    }


def responses_stream(answer: Answer, model: str) -> list[bytes]:
    whole = responses_whole(answer, model)
    item = _item(answer)
    begun: JsonObject = {**whole, "status": "in_progress", "output": [], "usage": None}
    events: list[JsonObject] = [{"type": "response.created", "response": begun}]
    at: JsonObject = {"output_index": 0, "item_id": item["id"]}
    if isinstance(answer, Say):
        part: JsonObject = {"type": "output_text", "text": "", "annotations": []}
        place: JsonObject = {**at, "content_index": 0}
        empty: JsonObject = {**item, "status": "in_progress", "content": []}
        events += [
            {"type": "response.output_item.added", "output_index": 0, "item": empty},
            {"type": "response.content_part.added", **place, "part": part},
            *({"type": "response.output_text.delta", **place, "delta": each} for each in _halves(answer.text)),
            {"type": "response.output_text.done", **place, "text": answer.text},
            {"type": "response.content_part.done", **place, "part": {**part, "text": answer.text}},
        ]
    elif isinstance(answer, Compacted):
        events.append({"type": "response.output_item.added", "output_index": 0, "item": item})
    else:
        arguments = encode(answer.arguments)
        empty = {**item, "status": "in_progress", "arguments": ""}
        events += [
            {"type": "response.output_item.added", "output_index": 0, "item": empty},
            *({"type": "response.function_call_arguments.delta", **at, "delta": each} for each in _halves(arguments)),
            {"type": "response.function_call_arguments.done", **at, "arguments": arguments},
        ]
    events += [
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    return _named(*({**each, "sequence_number": number} for number, each in enumerate(events)))


# OpenAI Chat Completions


def chat_whole(answer: Answer, model: str) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": None}
    if isinstance(answer, Say):
        message["content"] = answer.text
    else:
        function: JsonObject = {"name": answer.name, "arguments": encode(answer.arguments)}
        message["tool_calls"] = [{"id": answer.id, "type": "function", "function": function}]
    finish = "stop" if isinstance(answer, Say) else "tool_calls"
    return {
        "id": "chatcmpl-harbour1",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30},
    }


def chat_stream(answer: Answer, model: str) -> list[bytes]:
    whole = chat_whole(answer, model)
    deltas: list[JsonObject] = [{"role": "assistant", "content": ""}]
    if isinstance(answer, Say):
        deltas += [{"content": each} for each in _halves(answer.text)]
    else:
        first, second = _halves(encode(answer.arguments))
        call: JsonObject = {"index": 0, "id": answer.id, "type": "function"}
        deltas += [
            {"tool_calls": [{**call, "function": {"name": answer.name, "arguments": first}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": second}}]},
        ]
    head: JsonObject = {
        "id": whole["id"],
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": model,
    }
    finish = "stop" if isinstance(answer, Say) else "tool_calls"
    chunks: list[JsonObject] = [
        {**head, "choices": [{"index": 0, "delta": each, "finish_reason": None}]} for each in deltas
    ]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append({**head, "choices": [], "usage": whole["usage"]})
    return [*_data(*chunks), b"data: [DONE]\n\n"]


# Gemini generateContent


def _content(parts: list[JsonObject], finish: str | None) -> JsonObject:
    candidate: JsonObject = {"content": {"role": "model", "parts": [*parts]}, "index": 0}
    return {"candidates": [{**candidate, "finishReason": finish} if finish else candidate]}


def _tail(model: str) -> JsonObject:
    usage: JsonObject = {"promptTokenCount": 21, "candidatesTokenCount": 9, "totalTokenCount": 30}
    return {"usageMetadata": usage, "modelVersion": model, "responseId": "harbour1"}


def _parts(answer: Answer) -> list[JsonObject]:
    if isinstance(answer, Say):
        return [{"text": each} for each in _halves(answer.text) if each]
    return [{"functionCall": {"name": answer.name, "args": answer.arguments}, "thoughtSignature": "aGFyYm91cg=="}]


def gemini_whole(answer: Answer, model: str) -> JsonObject:
    return {**_content(_parts(answer), "STOP"), **_tail(model)}


def gemini_stream(answer: Answer, model: str) -> list[bytes]:
    *earlier, last = _parts(answer)
    chunks = [*(_content([each], None) for each in earlier), _content([last], "STOP")]
    return _data(*({**each, **_tail(model)} for each in chunks), end="\r\n\r\n")


STREAMS: Mapping[str, Callable[[Answer, str], list[bytes]]] = {
    "anthropic": anthropic_stream,
    "openai_responses": responses_stream,
    "openai_chat": chat_stream,
    "gemini": gemini_stream,
}
WHOLES: Mapping[str, Callable[[Answer, str], JsonObject]] = {
    "anthropic": anthropic_whole,
    "openai_responses": responses_whole,
    "openai_chat": chat_whole,
    "gemini": gemini_whole,
}


# Refusals: an account that has used up its share


def exhausted(wire: str, seconds: int) -> Refuse:
    """For so long. As each vendor tells it: in headers, or in the body."""
    words = "The weekly allowance of this account is used up."
    match wire:
        case "anthropic":
            body: JsonObject = {"type": "error", "error": {"type": "rate_limit_error", "message": words}}
            return Refuse(status=429, body=body, headers={"retry-after": str(seconds)})
        case "gemini":
            details: list[JsonValue] = [
                {"@type": f"{RPC}ErrorInfo", "reason": "QUOTA_EXHAUSTED", "domain": "googleapis.com"},
                {"@type": f"{RPC}RetryInfo", "retryDelay": f"{seconds}s"},
            ]
            error: JsonObject = {"code": 429, "message": words, "status": "RESOURCE_EXHAUSTED", "details": details}
            return Refuse(status=429, body={"error": error})
        case "openai_responses":
            error = {"type": "usage_limit_reached", "message": words, "resets_in_seconds": seconds}
            return Refuse(status=429, body={"error": error}, headers={"retry-after": str(seconds)})
        case _:
            error = {"type": "rate_limit_error", "message": words, "code": "rate_limit_exceeded", "param": None}
            return Refuse(status=429, body={"error": error}, headers={"retry-after": str(seconds)})
