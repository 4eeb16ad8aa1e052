"""The stream in which Code Assist answers, opened on its way to the caller."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.acp_script import Called
from proxy.upstream.gemini_answer import GeminiListener, canned

USAGE = {"promptTokenCount": 3, "totalTokenCount": 5}


def frame(*parts: dict[str, Any], finish: str = "", **more: Any) -> bytes:
    candidate = {"content": {"role": "model", "parts": [*parts]}, **({"finishReason": finish} if finish else {})}
    return b"data: %b\r\n\r\n" % msgspec.json.encode({"response": {"candidates": [candidate], **more}, "traceId": "t"})


CALL = {"functionCall": {"name": "mcp_tides", "args": {"place": "Kiel", "wait_for_previous": True}, "id": "c1"}}
ANSWER = (
    frame({"text": "Hm.", "thought": True})
    + frame({"text": "Ahoy "})
    + frame({"text": "there."}, usageMetadata=USAGE)
    + frame(CALL, {"text": "", "thoughtSignature": "c2ln"}, finish="STOP", modelVersion="gemini-x")
)


def payloads(told: bytes) -> list[Any]:
    return [msgspec.json.decode(each.removeprefix(b"data: ")) for each in told.split(b"\r\n\r\n") if each]


@given(st.lists(st.integers(0, len(ANSWER)), max_size=12))
def test_cuts_may_fall_anywhere(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(ANSWER)]
    listener = GeminiListener()
    pieces = [ANSWER[start:end] for start, end in itertools.pairwise(places)]
    told = b"".join(map(listener.feed, pieces)) + listener.rest()
    assert [sorted(each) for each in payloads(told)] == [
        ["candidates"], ["candidates"], ["candidates", "usageMetadata"], ["candidates", "modelVersion"],
    ]  # fmt: skip
    assert (listener.calls, listener.finish) == ((Called("mcp_tides", "c1"),), "STOP")
    assert listener.is_over
    assert listener.is_remembered


def test_what_the_cli_adds_to_a_call_is_not_the_caller_s() -> None:
    listener = GeminiListener()
    *_, last = payloads(listener.feed(ANSWER))
    assert last["candidates"][0]["content"]["parts"][0]["functionCall"]["args"] == {"place": "Kiel"}
    own = GeminiListener(waits=True)
    *_, last = payloads(own.feed(ANSWER))
    assert last["candidates"][0]["content"]["parts"][0] == CALL


def test_the_whole_answer() -> None:
    listener = GeminiListener()
    listener.feed(ANSWER)
    whole = listener.whole()
    assert whole is not None
    assert (whole["usageMetadata"], whole["modelVersion"]) == (USAGE, "gemini-x")
    (candidate,) = whole["candidates"]  # type: ignore[misc]
    assert candidate == {
        "content": {
            "role": "model",
            "parts": [
                {"text": "Hm.", "thought": True},
                {"text": "Ahoy there."},
                {"functionCall": {"name": "mcp_tides", "args": {"place": "Kiel"}, "id": "c1"}},
                {"text": "", "thoughtSignature": "c2ln"},
            ],
        },
        "finishReason": "STOP",
    }


def test_an_answer_that_was_refused_is_whole() -> None:
    listener = GeminiListener()
    feedback = {"blockReason": "SAFETY"}
    listener.feed(b'data: {"response":{"promptFeedback":{"blockReason":"SAFETY"}}}\n\n')
    assert listener.whole() == {"promptFeedback": feedback}
    assert not listener.is_remembered


@pytest.mark.parametrize(
    "frames",
    [
        frame({"text": "Ahoy"}),
        frame({"text": "Ahoy"}, finish="MAX_TOKENS"),
        frame({"text": " "}, finish="STOP"),
        frame({"text": "Hm.", "thought": True}, finish="STOP"),
        frame({"text": "Ahoy"}, finish="STOP") + b"data: {\n\n",
    ],
)
def test_what_the_cli_does_not_go_on_from(frames: bytes) -> None:
    listener = GeminiListener()
    listener.feed(frames)
    assert not listener.is_remembered


def test_an_error_in_the_stream_goes_to_the_caller_as_it_is() -> None:
    listener = GeminiListener()
    raw = b'{"error": {"code": 503, "message": "busy"}}'
    assert listener.feed(b"data: " + raw + b"\r\n\r\n") == b"data: " + raw + b"\r\n\r\n"
    assert listener.error == {"code": 503, "message": "busy"}
    assert listener.is_over
    assert listener.whole() is None


def test_a_frame_without_its_end_is_told_at_the_end() -> None:
    listener = GeminiListener()
    assert listener.feed(frame({"text": "Ahoy"}, finish="STOP").rstrip()) == b""
    assert payloads(listener.rest())[0]["candidates"][0]["finishReason"] == "STOP"
    assert listener.rest() == b""


def test_a_canned_answer_is_one_that_was_heard() -> None:
    listener = GeminiListener()
    parts: list[Any] = [{"text": "Ahoy."}, {"functionCall": {"name": "mcp_tides", "args": {}}}]
    listener.feed(canned(parts))
    assert listener.parts == parts
    assert listener.is_remembered
