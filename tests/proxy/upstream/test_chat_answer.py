"""How OpenAI Chat answers, read on its way, and made anew."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.acp_script import Called
from proxy.upstream.chat_answer import ChatListener, canned


def frame(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: %b\n\n" % msgspec.json.encode({"id": "c1", "model": "big", "choices": choices, **more})


def call(index: int, **more: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, **more}]}


ANSWER = b"".join(
    (
        frame({"role": "assistant", "reasoning_content": "Hm."}),
        frame({"content": "Let me "}),
        frame({"content": "see."}, logprobs=None),
        frame(call(0, id="c1", type="function", function={"name": "api_tides", "arguments": ""})),
        frame(call(0, function={"arguments": '{"at":'})),
        frame(call(1, id="c2", type="function", function={"name": "api_wind", "arguments": "{}"})),
        frame(call(0, function={"arguments": ' "Kiel"}'})),
        frame({}, "tool_calls"),
        frame(None, usage={"prompt_tokens": 3}),
        b"data: [DONE]\n\n",
    )
)
MESSAGE = {
    "role": "assistant",
    "content": "Let me see.",
    "reasoning_content": "Hm.",
    "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "api_tides", "arguments": '{"at": "Kiel"}'}},
        {"id": "c2", "type": "function", "function": {"name": "api_wind", "arguments": "{}"}},
    ],
}


@given(st.lists(st.integers(0, len(ANSWER)), max_size=12))
def test_cuts_may_fall_anywhere(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(ANSWER)]
    listener = ChatListener()
    pieces = [ANSWER[start:end] for start, end in itertools.pairwise(places)]
    assert b"".join(map(listener.feed, pieces)) + listener.rest() == ANSWER, "the caller gets what has come"
    assert listener.message == MESSAGE
    assert listener.calls == (Called("api_tides", "c1", {"at": "Kiel"}), Called("api_wind", "c2", {}))
    assert listener.is_over
    assert listener.is_remembered


def test_the_whole_answer() -> None:
    listener = ChatListener()
    listener.feed(ANSWER)
    assert listener.whole() == {
        "id": "c1",
        "model": "big",
        "object": "chat.completion",
        "usage": {"prompt_tokens": 3},
        "choices": [{"index": 0, "message": MESSAGE, "logprobs": None, "finish_reason": "tool_calls"}],
    }


def test_log_probabilities_are_put_together() -> None:
    listener = ChatListener()
    for token in ("A", "hoy"):
        choice = {"index": 0, "delta": {"content": token}, "logprobs": {"content": [{"token": token}]}}
        listener.feed(b"data: %b\n\n" % msgspec.json.encode({"choices": [choice]}))
    listener.feed(frame({}, "stop"))
    whole: Any = listener.whole()
    assert whole["choices"][0]["logprobs"] == {"content": [{"token": "A"}, {"token": "hoy"}]}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (frame({"content": "A"}) + b'data: {"error": {"message": "busy"}}\n\n', {"message": "busy"}),
        (frame({"content": "A"}) + b"data: {torn\n\n", None),
    ],
)
def test_a_stream_that_fails_is_no_answer(answer: bytes, error: object) -> None:
    listener = ChatListener()
    assert listener.feed(answer) == answer
    assert (listener.is_over, listener.is_remembered, listener.whole()) == (True, False, None)
    assert listener.error == error


@pytest.mark.parametrize("last", [b"", frame({}, "length"), frame({"content": "   "}, "stop")])
def test_what_is_cut_or_says_nothing_is_not_remembered(last: bytes) -> None:
    listener = ChatListener()
    listener.feed(frame({"content": " "}) + last)
    assert not listener.is_remembered


def test_what_is_known_is_told_as_it_was() -> None:
    listener = ChatListener()
    listener.feed(canned(MESSAGE))
    assert (listener.message, listener.finish) == (MESSAGE, "tool_calls")
    plain = ChatListener()
    plain.feed(canned({"role": "assistant", "content": "Ahoy.", "refusal": None}))
    assert (plain.message, plain.finish) == ({"role": "assistant", "content": "Ahoy."}, "stop")
