from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.codex_answer import Listener

ITEM = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Ahoy."}]}
RESPONSE = {"id": "resp_1", "model": "gpt-5.5", "usage": {"input_tokens": 3}}
DELTA = {"type": "response.output_text.delta", "delta": '{"type":"response.completed","response":{}}'}
DONE = {"type": "response.output_item.done", "output_index": 0, "item": ITEM}
COMPLETED = {"type": "response.completed", "response": RESPONSE}


def stream(*events: dict[str, Any], end: bytes = b"\n\n") -> bytes:
    return b"".join(b"event: %s\ndata: %s%s" % (e["type"].encode(), msgspec.json.encode(e), end) for e in events)


def heard(data: bytes) -> Listener:
    listener = Listener()
    listener.feed(data)
    return listener


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_the_items_and_the_end(end: bytes) -> None:
    listener = heard(stream(DELTA, DONE, COMPLETED, end=end))
    assert listener.items == [ITEM]
    assert listener.is_completed
    assert listener.is_over
    assert listener.whole() == {**RESPONSE, "output": [ITEM]}


@given(st.lists(st.integers(min_value=1, max_value=60), min_size=1))
def test_cuts_may_fall_anywhere(sizes: list[int]) -> None:
    data, listener, at, turn = stream(DELTA, DONE, COMPLETED, end=b"\r\n\r\n"), Listener(), 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        listener.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    assert (listener.items, listener.is_completed) == ([ITEM], True)


def test_an_answer_that_lists_its_items_is_believed() -> None:
    whole = {**RESPONSE, "output": [{"type": "reasoning"}]}
    assert heard(stream(DONE, {"type": "response.completed", "response": whole})).whole() == whole


def test_an_answer_that_was_cut() -> None:
    listener = heard(stream(DELTA, DONE))
    assert not listener.is_over
    assert listener.whole() is None


def test_an_incomplete_answer_is_one_but_nothing_to_go_on_from() -> None:
    listener = heard(stream(DONE, {"type": "response.incomplete", "response": {**RESPONSE, "status": "incomplete"}}))
    assert (listener.is_over, listener.is_completed) == (True, False)
    assert listener.whole() == {**RESPONSE, "status": "incomplete", "output": [ITEM]}


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"type": "response.failed", "response": {"error": {"code": "x"}}}, {"code": "x"}),
        ({"type": "response.failed"}, {"message": "the answer failed"}),
        ({"type": "error", "error": {"message": "no"}}, {"message": "no"}),
        ({"type": "error", "code": "x", "message": "no"}, {"code": "x", "message": "no"}),
    ],
)
def test_an_answer_that_failed(event: dict[str, Any], error: dict[str, Any]) -> None:
    listener = heard(stream(DONE, event))
    assert (listener.is_over, listener.is_completed) == (True, False)
    assert listener.whole() == {"error": error}


def test_what_cannot_be_read_is_passed_over() -> None:
    listener = heard(b'data: {"type":"response.completed", broken}\n\n: comment\n\n' + stream(COMPLETED))
    assert listener.is_completed
