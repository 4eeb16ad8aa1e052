"""How each SDK's users go on: the model's turn as they got it, and their next one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from anthropic.types import Message
from google.genai import types
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tests.contract.judge import Said, Words

RESULT = '{"high":"06:12"}'
QUESTION = "And on the way back?"
Next: TypeAlias = Callable[[Words, Said], Words]


def chat(words: Words, said: Said) -> Words:
    """Only what the format knows: many clients drop all else, thoughts first."""
    final = said.final
    assert isinstance(final, ChatCompletion)
    message = final.choices[0].message.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True)
    for call in message.get("tool_calls", []):
        call.pop("index", None)
    mine = [{"role": "tool", "tool_call_id": call_id, "content": RESULT} for call_id in said.ids]
    return {**words, "messages": [*words["messages"], message, *(mine or [{"role": "user", "content": QUESTION}])]}


def responses(words: Words, said: Said) -> Words:
    final = said.final
    assert isinstance(final, Response)
    mine = [{"type": "function_call_output", "call_id": call_id, "output": RESULT} for call_id in said.ids]
    return {**words, "input": [*words["input"], *final.output, *(mine or [{"role": "user", "content": QUESTION}])]}


def anthropic(words: Words, said: Said) -> Words:
    final = said.final
    assert isinstance(final, Message)
    turn = {"role": "assistant", "content": final.content}
    results = [{"type": "tool_result", "tool_use_id": call_id, "content": RESULT} for call_id in said.ids]
    return {**words, "messages": [*words["messages"], turn, {"role": "user", "content": results or QUESTION}]}


def gemini(words: Words, said: Said) -> Words:
    """Of a stream, the parts of all its chunks."""
    chunks = said.final
    assert isinstance(chunks, list)
    contents = [chunk.candidates[0].content for chunk in chunks]
    turn = types.Content(role="model", parts=[part for content in contents for part in content.parts])
    results = [
        types.Part(function_response=types.FunctionResponse(id=call_id, name=call.name, response={"result": RESULT}))
        for call_id, call in zip(said.ids, said.calls, strict=True)
    ]
    mine = types.Content(role="user", parts=results or [types.Part.from_text(text=QUESTION)])
    return {**words, "contents": [*words["contents"], turn, mine]}


NEXT_TURNS: Mapping[str, Next] = MappingProxyType({
    "openai_chat": chat,
    "openai_responses": responses,
    "anthropic": anthropic,
    "gemini": gemini,
})  # fmt: skip


def signed_in(wire: str, body: Words) -> list[tuple[str, str]]:
    """What is signed in a request, and with what: the kind of the thing, and the blob."""
    return _SIGNED[wire](body)


def _signed_responses(body: Words) -> list[tuple[str, str]]:
    reasoning = [item for item in body["input"] if item.get("type") == "reasoning"]
    return [("thinking", item["encrypted_content"]) for item in reasoning if item.get("encrypted_content")]


def _signed_anthropic(body: Words) -> list[tuple[str, str]]:
    turns: Sequence[Words] = [message for message in body["messages"] if message["role"] == "assistant"]
    blocks = [block for turn in turns if isinstance(turn["content"], list) for block in turn["content"]]
    return [("thinking", block["signature"]) for block in blocks if block["type"] == "thinking"]


def _signed_gemini(body: Words) -> list[tuple[str, str]]:
    """In the alphabet of the one who signed; the SDK uses the other one for what it read."""
    parts = [part for content in body["contents"] for part in content["parts"]]
    return [
        ("call" if "functionCall" in part else "text", part["thoughtSignature"].translate(_USUAL))
        for part in parts
        if "thoughtSignature" in part
    ]


_USUAL = str.maketrans("-_", "+/")
_SIGNED: Mapping[str, Callable[[Words], list[tuple[str, str]]]] = MappingProxyType({
    "openai_responses": _signed_responses,
    "anthropic": _signed_anthropic,
    "gemini": _signed_gemini,
})  # fmt: skip
