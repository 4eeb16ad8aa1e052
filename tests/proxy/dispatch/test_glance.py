from __future__ import annotations

import msgspec
import pytest

from proxy.dispatch.glance import glance
from proxy.dispatch.relay import read_whole
from proxy.hub.residue import JsonObject
from proxy.wire.table import wire_named

CHAT: JsonObject = {
    "id": "c",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3}},
}
CLAUDE: JsonObject = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 4},
}


def choice(**changes: object) -> JsonObject:
    message = {"role": "assistant", "content": "hi", **changes}
    return {**CHAT, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


@pytest.mark.parametrize(("wire", "answer"), [("openai_chat", CHAT), ("anthropic", CLAUDE)])
def test_it_tells_what_a_full_reading_tells(wire: str, answer: JsonObject) -> None:
    body = msgspec.json.encode(answer)
    seen, full = glance(wire, body), read_whole(wire_named(wire), body, wire)
    assert seen is not None
    assert seen.usage is not None
    assert full.usage is not None
    for name in ("input_uncached", "cache_read", "cache_write", "output", "reasoning"):
        assert getattr(seen.usage, name) == getattr(full.usage, name)
    assert (seen.finish, seen.has_content, seen.is_ended, seen.failure) == (full.finish, True, True, None)


@pytest.mark.parametrize(
    ("wire", "answer"),
    [
        ("openai_chat", choice(content=None, tool_calls=[{"id": "1"}])),
        ("openai_chat", choice(tool_calls=[{"id": "1"}])),
        ("openai_chat", choice(content="")),
        ("openai_chat", choice(refusal="no")),
        ("openai_chat", {**CHAT, "choices": []}),
        ("openai_chat", {**CHAT, "error": {"message": "x"}}),
        ("openai_chat", {**CHAT, "usage": None}),
        ("anthropic", {**CLAUDE, "content": [{"type": "thinking", "thinking": "x", "signature": "s"}]}),
        ("anthropic", {**CLAUDE, "content": []}),
        ("anthropic", {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}),
        ("gemini", CHAT),
    ],
)
def test_whatever_is_not_the_usual_is_read_in_full(wire: str, answer: JsonObject) -> None:
    assert glance(wire, msgspec.json.encode(answer)) is None


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"[]", b"[" * 5000, b'{"choices":[],"choices":NaN}'])
def test_what_is_no_json_is_somebody_elses_to_tell(body: bytes) -> None:
    assert glance("openai_chat", body) is None
