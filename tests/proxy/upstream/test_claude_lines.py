from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from proxy.upstream.claude_lines import End, Fault, Frame, Line, Turn, limit_headers, read_line

START = {
    "type": "message_start",
    "message": {"id": "msg_1", "role": "assistant", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}},
}


def event(**told: Any) -> dict[str, Any]:
    return {"type": "stream_event", "event": told, "session_id": "s"}


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    grown = [event(type="content_block_delta", index=index, delta=delta) for delta in deltas]
    return [
        event(type="content_block_start", index=index, content_block=start),
        *grown,
        event(type="content_block_stop", index=index),
    ]


def words(*pieces: str, index: int = 0) -> list[dict[str, Any]]:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": each} for each in pieces))


def call(index: int, call_id: str, name: str, *pieces: str) -> list[dict[str, Any]]:
    start = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    return block(index, start, *({"type": "input_json_delta", "partial_json": each} for each in pieces))


def stop(reason: str, **usage: int) -> list[dict[str, Any]]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [event(type="message_delta", delta=delta, usage=usage), event(type="message_stop")]


def played(turn: Turn, lines: Iterable[dict[str, Any]]) -> list[Any]:
    read = [read_line(msgspec.json.encode(each)) for each in lines]
    return [told for each in read if each is not None for told in turn.feed(each)]


def test_the_provider_s_events_pass_byte_for_byte() -> None:
    raw = b'{"type":"stream_event","event":{"type":"ping", "odd" : 1.0},"session_id":"s"}'
    heard = read_line(raw)
    assert heard is not None
    assert [*Turn(frozenset()).feed(heard)] == [Frame(b'event: ping\ndata: {"type":"ping", "odd" : 1.0}\n\n')]


def test_an_answer_is_put_together_from_its_events() -> None:
    turn = Turn(frozenset({"Bash"}))
    thought = block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Hm"},
        {"type": "thinking_delta", "thinking": "."},
        {"type": "signature_delta", "signature": "c2ln"},
    )
    cited = block(
        1,
        {"type": "text", "text": ""},
        {"type": "text_delta", "text": "Low"},
        {"type": "citations_delta", "citation": {"type": "page", "page": 1}},
    )
    lines = [
        event(**START),
        *thought,
        *cited,
        *call(2, "toolu_1", "Bash", '{"a"', ":1}"),
        *stop("tool_use", output_tokens=9),
    ]
    told = played(turn, lines)
    assert told[-1] == End("parked")
    assert turn.message.whole() == {
        "id": "msg_1",
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "text", "text": "Low", "citations": [{"type": "page", "page": 1}]},
            {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 9},
    }


@pytest.mark.parametrize("reason", ["end_turn", "stop_sequence", "pause_turn", "a_new_reason"])
def test_an_answer_that_came_to_its_end_leaves_a_conversation(reason: str) -> None:
    told = played(Turn(frozenset()), [event(**START), *words("Ahoy"), *stop(reason)])
    assert told[-1] == End("kept")


@pytest.mark.parametrize(
    "lines",
    [
        [*words("Ahoy"), *stop("max_tokens")],
        [*words("Ahoy"), *stop("model_context_window_exceeded")],
        stop("end_turn"),
        [*words(" \n"), *stop("end_turn")],
        [*call(0, "toolu_1", "Read"), *stop("tool_use")],
    ],
    ids=["cut", "full", "nothing", "white", "unknown tool"],
)
def test_where_the_cli_would_go_on_by_itself_it_is_stopped_and_the_answer_is_complete(
    lines: list[dict[str, Any]],
) -> None:
    told = played(Turn(frozenset({"Bash"})), [event(**START), *lines])
    assert told[-1] == End("spoiled", is_going_on=True)
    assert told[-2].data == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    assert sum(b"message_stop" in each.data for each in told if isinstance(each, Frame)) == 1


def test_a_refusal_is_the_provider_s_and_spoils_the_conversation() -> None:
    made_up = {"type": "assistant", "message": {"model": "<synthetic>", "stop_reason": "refusal", "content": []}}
    told = played(Turn(frozenset()), [event(**START), *words("I"), made_up, *stop("refusal")])
    assert told[-1] == End("spoiled")
    assert sum(isinstance(each, Frame) for each in told) == 6


def failure(**result: Any) -> list[dict[str, Any]]:
    message = {"model": "<synthetic>", "stop_reason": "stop_sequence", "content": []}
    return [
        {"type": "assistant", "message": message, "error": result.pop("word", "unknown")},
        *stop("stop_sequence"),
        {"type": "result", "is_error": True, **result},
    ]


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        (
            {"api_error_status": 400, "api_error_type": "invalid_request_error", "result": "API Error: 400 too many"},
            Fault(400, "invalid_request_error", "too many"),
        ),
        (
            {"api_error_status": 401, "result": "Failed to authenticate. API Error: 401 bad token"},
            Fault(401, "authentication_error", "bad token"),
        ),
        ({"api_error_status": 529, "result": "API Error: Overloaded"}, Fault(529, "overloaded_error", "Overloaded")),
        ({"api_error_status": 418, "result": "x"}, Fault(418, "api_error", "x")),
        (
            {"word": "authentication_failed", "result": "Not logged in"},
            Fault(401, "authentication_error", "Not logged in"),
        ),
        ({"result": "API Error: Connection lost"}, Fault(0, "api_error", "Connection lost")),
        ({}, Fault(0, "api_error", "Claude Code failed and did not say why")),
    ],
)
def test_a_failure_is_the_provider_s_status_and_nothing_made_up_passes(result: dict[str, Any], fault: Fault) -> None:
    assert played(Turn(frozenset()), failure(**result)) == [fault]


def test_a_failure_in_the_middle_ends_the_stream_with_an_error() -> None:
    told = played(Turn(frozenset()), [event(**START), *words("Ahoy")[:-1], *failure(api_error_status=529, result="x")])
    assert [type(each) for each in told] == [Frame, Frame, Frame, Fault]
    assert told[-1].frame == (
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n'
    )


def test_an_answer_that_broke_off_behind_a_whole_block_is_no_answer() -> None:
    told = played(Turn(frozenset()), [event(**START), *words("Ahoy"), event(type="message_stop"), event(**START)])
    assert [type(each) for each in told] == [Frame, Frame, Frame, Frame, Fault]
    assert told[-1] == Fault(0, "api_error", "the provider's answer broke off", is_going_on=True)


def test_an_end_without_an_answer_is_a_failure() -> None:
    told = played(Turn(frozenset()), [{"type": "system", "subtype": "status"}, {"type": "result", "is_error": False}])
    assert told == [Fault(502, "api_error", "Claude Code ended without an answer")]


def test_after_the_end_nothing_is_told() -> None:
    turn = Turn(frozenset())
    played(turn, [event(**START), *words("Ahoy"), *stop("end_turn")])
    assert played(turn, [event(**START), {"type": "result", "is_error": False}]) == []


@pytest.mark.parametrize("raw", [b"", b"warning: x", b"[1]", b'{"type":1}', b"\xff", b"{"])
def test_what_is_no_line_is_passed_over(raw: bytes) -> None:
    assert read_line(raw) is None


def test_what_the_cli_offers_its_model_is_known() -> None:
    heard = Line(tools=["Bash"], mcp_servers=[{"name": "api", "status": "connected"}])
    assert heard.offers == {"Bash", "api"}


def test_usage_windows_are_told_as_the_headers_that_they_were() -> None:
    info = {
        "status": "rejected",
        "resetsAt": 1_795_169_634,
        "rateLimitType": "five_hour",
        "unifiedWindows": {
            "five_hour": {"utilization": 1, "resetsAt": 1_795_169_634, "status": "rejected"},
            "seven_day_opus": {"utilization": 0.4, "resetsAt": 1_795_252_434},
        },
    }
    unified = "anthropic-ratelimit-unified"
    assert limit_headers(info) == {
        f"{unified}-status": "rejected",
        f"{unified}-reset": "1795169634",
        f"{unified}-representative-claim": "five_hour",
        f"{unified}-5h-status": "rejected",
        f"{unified}-5h-utilization": "1",
        f"{unified}-5h-reset": "1795169634",
        f"{unified}-7d_opus-status": "allowed",
        f"{unified}-7d_opus-utilization": "0.4",
        f"{unified}-7d_opus-reset": "1795252434",
    }
    assert limit_headers({}) == {}
