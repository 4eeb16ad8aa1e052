from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.hub.events import (
    Event,
    Failure,
    Heartbeat,
    OpaqueEvent,
    PartDelta,
    PartEnd,
    PartStart,
    ResponseEnd,
    ResponseStart,
)
from proxy.hub.fold import explode, opened
from proxy.hub.parts import Opaque, Refusal, Text, Thinking, ToolCall
from proxy.hub.residue import Residue
from proxy.hub.response import Finish, FinishReason, Response, Usage
from proxy.wire.base import Reply
from proxy.wire.gemini import WIRE
from proxy.wire.gemini.words import unsealed
from proxy.wire.sse import LINE_BYTES_MAX
from tests.proxy.wire.gemini.conftest import Recording
from tests.proxy.wire.gemini.exchanges import REPLY, answer, fold, frames, parsed, sse

PLAIN = {"text", "thought", "thoughtSignature"}


def piece(*parts: Any, **candidate: Any) -> dict[str, Any]:
    """A chunk in the middle."""
    chunk = answer(*parts, **candidate)
    del chunk["candidates"][0]["finishReason"]
    return chunk


def as_whole(chunks: list[Any]) -> dict[str, Any]:
    """The answer that these chunks would have been without streaming: texts joined, last words taken."""
    candidate: dict[str, Any] = {}
    top: dict[str, Any] = {}
    parts: list[Any] = []
    usage: dict[str, Any] = {}
    for chunk in chunks:
        top.update({key: item for key, item in chunk.items() if key not in {"candidates", "usageMetadata"}})
        usage.update(chunk.get("usageMetadata", {}))
        for each in chunk.get("candidates", []):
            content = each.get("content", {})
            candidate.setdefault("content", {}).update({"parts": parts, "role": content.get("role", "model")})
            for at, part in enumerate(content.get("parts", [])):
                _append(parts, part, is_first=at == 0)
            for key, item in each.items():
                held = candidate.get(key)
                if key != "content":
                    candidate[key] = {**held, **item} if isinstance(held, dict) else item
    return {"candidates": [candidate], "usageMetadata": usage, **top}


def _append(parts: list[Any], part: Any, *, is_first: bool) -> None:
    last = parts[-1] if parts else {}
    if set(part) <= PLAIN and is_first and set(last) <= PLAIN and last and last.get("thought") == part.get("thought"):
        last.update({**part, "text": last["text"] + part["text"]})
    elif part.get("text") != "" or "thoughtSignature" in part:
        parts.append(dict(part))


def assert_grammar(events: list[Event]) -> None:
    """Law 7, part by part: start + deltas = end."""
    open_parts: dict[int, Any] = {}
    texts: dict[int, str] = {}
    for event in events:
        match event:
            case PartStart(index=index, part=part):
                open_parts[index], texts[index] = part, ""
            case PartDelta(index=index, text=text):
                texts[index] += text
            case PartEnd(index=index, part=part):
                assert open_parts.pop(index) == opened(part)
                match part:
                    case Text(text=text) | Refusal(text=text) | ToolCall(arguments=text):
                        assert texts[index] == text
                    case Thinking():
                        assert texts[index] == part.text
    assert open_parts == {}


class TestLaw3:
    """A stream folds to the answer that it would have been."""

    def test_every_recorded_stream(self, recordings: list[Recording]) -> None:
        failures = []
        for recording in recordings:
            if not recording.raw or recording.status != 200:
                continue
            events = parsed(recording.raw)
            assert_grammar(events)
            if any(isinstance(event, Failure) for event in events):
                failures.append(recording.name)
            elif b"partialArgs" not in recording.raw:
                whole = WIRE.parse_response(as_whole(recording.frames), maker="gemini")
                if fold(events) != whole:
                    failures.append(recording.name)
        assert failures == []

    def test_a_recorded_stream_survives_our_own_renderer(self, recordings: list[Recording]) -> None:
        failures = []
        for recording in recordings:
            if not recording.raw or recording.status != 200:
                continue
            events = parsed(recording.raw)
            renderer = WIRE.stream_renderer(REPLY)
            told = b"".join(renderer.feed(event) for event in events) + renderer.finish()
            before, after = fold(events), fold(parsed(told))
            if told_parts(before) != told_parts(after) or before.finish != after.finish or before.usage != after.usage:
                failures.append(recording.name)
            assert renderer.losses == []
        assert failures == []

    @pytest.mark.parametrize(
        "body",
        [
            answer({"text": "hm", "thought": True}, {"text": "hi", "thoughtSignature": "cw=="}),
            answer({"text": "a"}, {"text": "b"}, {"functionCall": {"name": "f", "args": {"z": 1}}}),
            answer({"text": "x"}, {"text": "", "thoughtSignature": "cw=="}, groundingMetadata={"a": [1]}),
            answer({"executableCode": {"code": "1"}}, {"inlineData": {"mimeType": "image/png", "data": "AA=="}}),
            answer({"thought": True, "thoughtSignature": "cw=="}, finishReason="MAX_TOKENS"),
        ],
    )
    def test_a_stream_of_one_chunk_is_the_whole_answer(self, body: Any) -> None:
        assert fold(parsed(sse(body))) == WIRE.parse_response(body, maker="gemini")

    def test_a_response_exploded_rendered_and_read_is_the_response(self) -> None:
        response = WIRE.parse_response(
            answer({"text": "t", "thought": True, "thoughtSignature": "YQ=="}, {"text": "hi"},
                   {"functionCall": {"name": "f", "args": {"a": "é"}, "id": "1"}, "thoughtSignature": "Yg=="}),
            maker="gemini",
        )  # fmt: skip
        renderer = WIRE.stream_renderer(Reply(model=response.model, request_id="q"))
        told = b"".join(renderer.feed(event) for event in explode(response))
        assert fold(parsed(told)) == response


class TestLaw5:
    CHUNKS = sse(
        piece({"text": "hm €", "thought": True}), piece({"text": "né 😀 "}),
        piece({"text": "x"}, {"functionCall": {"name": "f", "args": {"a": "ü"}}}),
        answer({"text": "", "thoughtSignature": "cw=="}),
    )  # fmt: skip

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.integers(0, len(CHUNKS)), max_size=12))
    def test_any_cut(self, cuts: list[int]) -> None:
        self.assert_same(self.CHUNKS, cuts)

    @pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
    def test_bug_65_each_byte_alone_and_each_line_end(self, line_end: bytes) -> None:
        data = self.CHUNKS.replace(b"\r\n", line_end)
        self.assert_same(data, list(range(len(data))))

    def test_every_recorded_stream(self, recordings: list[Recording]) -> None:
        cut = random.Random(5)  # noqa: S311 - repeatable, no secret
        for recording in recordings:
            if recording.raw:
                self.assert_same(recording.raw, [cut.randrange(len(recording.raw)) for _ in range(40)])

    def assert_same(self, data: bytes, cuts: list[int]) -> None:
        parser = WIRE.stream_parser(maker="gemini")
        edges = [0, *sorted(cuts), len(data)]
        events = [event for start, end in pairwise(edges) for event in parser.feed(data[start:end])]
        assert events + parser.finish() == parsed(data)


class TestParse:
    def test_texts_go_on_from_chunk_to_chunk(self) -> None:
        events = parsed(sse(piece({"text": "He"}), piece({"text": "llo"}), answer({"text": ""})))
        assert [type(event).__name__ for event in events] == [
            "ResponseStart", "PartStart", "PartDelta", "PartDelta", "PartEnd", "ResponseEnd",
        ]  # fmt: skip
        assert fold(events).parts == (Text(text="Hello", origin="gemini"),)

    def test_the_first_token_is_not_held_back(self) -> None:
        parser = WIRE.stream_parser(maker="gemini")
        assert parser.feed(sse(piece({"text": "He"})))[-1] == PartDelta(0, "He")

    def test_bug_11_a_signature_read_from_a_stream_is_that_of_the_whole_answer(self) -> None:
        whole = WIRE.parse_response(answer({"text": "Hello", "thoughtSignature": "cw=="}), maker="gemini")
        for chunks in (
            (piece({"text": "Hel"}), answer({"text": "lo", "thoughtSignature": "cw=="})),
            (piece({"text": "Hello"}), answer({"text": "", "thoughtSignature": "cw=="})),
            (piece({"text": "Hel", "thoughtSignature": "cw=="}), answer({"text": "lo"})),
        ):
            assert fold(parsed(sse(*chunks))).parts == whole.parts

    def test_a_second_signature_begins_a_second_text(self) -> None:
        chunks = sse(
            piece({"text": "a", "thoughtSignature": "MQ=="}), answer({"text": "b", "thoughtSignature": "Mg=="})
        )
        assert [(part.text, part.signature) for part in fold(parsed(chunks)).parts if isinstance(part, Text)] == [
            ("a", "MQ=="), ("b", "Mg=="),
        ]  # fmt: skip

    def test_usage_runs_and_the_last_word_stands(self) -> None:
        first, second = piece({"text": "a"}), answer({"text": "b"})
        first["usageMetadata"] = {"promptTokenCount": 9, "trafficType": "X"}
        second["usageMetadata"] = {"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13}
        late = {"usageMetadata": {"candidatesTokenCount": 5, "totalTokenCount": 14}}
        events = parsed(sse(first, second, late))
        assert isinstance(events[0], ResponseStart)
        assert events[0].usage == Usage(input_uncached=9)
        usage = fold(events).usage
        assert usage is not None
        assert (usage.input_uncached, usage.output) == (9, 5)

    def test_bug_61_a_call_in_an_earlier_chunk_counts(self) -> None:
        events = parsed(sse(piece({"functionCall": {"name": "f"}}), answer({"text": ""})))
        assert fold(events).finish == Finish("tool_calls", "STOP")

    def test_bug_24_parallel_calls_stay_apart(self) -> None:
        calls = [{"functionCall": {"name": "f", "args": {"n": n}}} for n in range(3)]
        parts = fold(parsed(sse(piece(calls[0], calls[1]), answer(calls[2])))).parts
        assert [part.arguments for part in parts if isinstance(part, ToolCall)] == ['{"n":0}', '{"n":1}', '{"n":2}']
        assert len({part.id for part in parts if isinstance(part, ToolCall)}) == 3

    def test_bug_34_a_call_without_arguments_has_an_empty_object(self) -> None:
        (part,) = fold(parsed(sse(answer({"functionCall": {"name": "f"}})))).parts
        assert isinstance(part, ToolCall)
        assert part.arguments == "{}"

    def test_log_probabilities_go_on(self) -> None:
        first = piece({"text": "a"}, logprobsResult={"chosenCandidates": [1], "topCandidates": [2]})
        last = answer(
            {"text": "b"}, logprobsResult={"chosenCandidates": [3], "topCandidates": [4]}, citationMetadata={}
        )
        residue = fold(parsed(sse(first, last))).residue
        assert residue is not None
        assert residue.fields == {
            "candidates[0].logprobsResult": {"chosenCandidates": [1, 3], "topCandidates": [2, 4]},
            "candidates[0].citationMetadata": {},
        }  # fmt: skip

    def test_other_candidates_pass_by(self) -> None:
        other = {"content": {"parts": [{"text": "b"}]}, "index": 1}
        events = parsed(sse({"candidates": [other]}, answer({"text": "a"})))
        assert OpaqueEvent("gemini", "candidate", other) in events
        assert fold(events).parts == (Text(text="a", origin="gemini"),)

    def test_a_surrogate_pair_cut_in_two(self) -> None:
        def frame(text: str) -> bytes:
            return b'data: {"candidates":[{"content":{"parts":[{"text":"%s"}]}}]}\n\n' % text.encode()

        events = parsed(frame("a\\ud83d") + frame("\\ude00b") + frame("\\ud83d") + sse(answer()))
        assert [event.text for event in events if isinstance(event, PartDelta)] == ["a", "😀b", "\ufffd"]
        assert_grammar(events)

    def test_a_blocked_prompt(self) -> None:
        events = parsed(sse({"promptFeedback": {"blockReason": "SAFETY"}}))
        assert fold(events).finish == Finish("refusal", "SAFETY")

    def test_done_is_passed_over(self) -> None:
        assert fold(parsed(sse(answer({"text": "a"})) + b"data: [DONE]\n\n")).parts

    def test_an_array_from_an_upstream_that_knows_no_sse(self) -> None:
        body = msgspec.json.encode([piece({"text": "a"}), answer({"text": "b"})])
        assert fold(parsed(b"\r\n" + body)).parts == (Text(text="ab", origin="gemini"),)


class TestParseBroken:
    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (b"", "without a candidate"),
            (b": nothing\r\n\r\n", "without a candidate"),
            (sse(piece({"text": "a"})), "without a finishReason"),
            (sse(piece({"text": "a"})) + b'data: {"cand', "no JSON"),
            (sse(piece({"text": "a"})) + b"data: 5\n\n", "no object"),
            (b"data: nonsense\n\n", "no JSON"),
            (b"<html>502</html>", "no JSON"),
            (b"[1]", "no object"),
            (sse({"usageMetadata": {}}), "without a candidate"),
        ],
    )  # fmt: skip
    def test_one_failure_and_then_nothing(self, data: bytes, why: str) -> None:
        parser = WIRE.stream_parser(maker="gemini")
        events = parser.feed(data) + parser.finish()
        failures = [event for event in events if isinstance(event, Failure)]
        assert events[-1:] == failures
        assert why in failures[0].message
        assert failures[0].kind == "stream_corrupt"
        assert parser.feed(sse(answer({"text": "more"}))) == []
        assert parser.finish() == []

    @pytest.mark.parametrize("is_sse", [True, False])
    def test_an_error_in_the_middle_or_instead(self, is_sse: bool) -> None:
        error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
        events = parsed(sse(piece({"text": "a"}), error) if is_sse else msgspec.json.encode([error]))
        failure = events[-1]
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.status, failure.message) == ("overloaded", 503, "overloaded")

    def test_too_long_a_line(self) -> None:
        parser = WIRE.stream_parser(maker="gemini")
        parser.feed(b"data: ")
        events = parser.feed(b"x" * (LINE_BYTES_MAX + 1))
        assert [type(event) for event in events] == [Failure]
        parser = WIRE.stream_parser(maker="gemini")
        assert parser.feed(b"[") == []
        assert [type(event) for event in parser.feed(b"x" * (LINE_BYTES_MAX + 1))] == [Failure]

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=60) | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
            st.sampled_from(["candidates", "content", "parts", "text", "functionCall", "partialArgs", "jsonPath",
                             "index", "stringValue", "willContinue", "name", "usageMetadata", "error", "thought",
                             "finishReason"]),
            inner, max_size=3),
        max_leaves=12,
    ).map(sse))  # fmt: skip
    def test_nothing_that_an_upstream_sends_raises(self, data: bytes) -> None:
        events = parsed(sse(piece({"text": "a"})) + data)
        if not isinstance(events[-1], Failure):
            fold(events)


class TestPieces:
    """streamFunctionCallArguments: a call's arguments one by one."""

    def test_a_call_in_pieces(self) -> None:
        def part(**call: Any) -> dict[str, Any]:
            return piece({"functionCall": call})

        signed = piece({"functionCall": {"name": "f", "willContinue": True}, "thoughtSignature": "cw=="})
        arguments = [
            {"jsonPath": "$.items[0].name", "stringValue": "ap", "willContinue": True},
            {"jsonPath": "$.items[0].name", "stringValue": "ple"},
            {"jsonPath": "$.items[0].price", "numberValue": 0.5},
            {"jsonPath": "$['a key']", "boolValue": False},
            {"jsonPath": "$.none", "nullValue": "NULL_VALUE"},
        ]
        chunks = [part(partialArgs=[each], willContinue=True) for each in arguments]
        for ending in ([part()], []):
            events = parsed(sse(signed, *chunks, *ending, answer({"text": ""})))
            assert_grammar(events)
            response = fold(events)
            (call,) = response.parts
            assert isinstance(call, ToolCall)
            assert (call.name, call.signature) == ("f", "cw==")
            assert msgspec.json.decode(call.arguments) == {
                "items": [{"name": "apple", "price": 0.5}], "a key": False, "none": None,
            }  # fmt: skip
            assert response.finish == Finish("tool_calls", "STOP")

    def test_bug_62_a_call_that_was_cut_off_is_no_call(self) -> None:
        begun = piece({"functionCall": {"name": "f", "willContinue": True}})
        response = fold(parsed(sse(begun, answer(finishReason="MAX_TOKENS"))))
        assert (response.parts, response.finish) == ((), Finish("length", "MAX_TOKENS"))

    def test_one_after_the_other(self) -> None:
        chunks = [
            piece(
                {
                    "functionCall": {
                        "name": name,
                        "willContinue": True,
                        "partialArgs": [{"jsonPath": "$.a", "numberValue": 1}],
                    }
                }
            )
            for name in "fg"
        ]
        parts = fold(parsed(sse(*chunks, piece({"text": "and"}), answer()))).parts
        assert [getattr(part, "name", None) for part in parts] == ["f", "g", None]

    @pytest.mark.parametrize(
        "pieces", [[{"jsonPath": "a"}], [{"jsonPath": "$"}], [{}], [{"jsonPath": "$.a[999999999]", "numberValue": 1}]]
    )
    def test_a_path_that_leads_nowhere_is_a_broken_stream(self, pieces: Any) -> None:
        events = parsed(sse(piece({"functionCall": {"name": "f", "partialArgs": pieces}})))
        assert isinstance(events[-1], Failure)


def told(*events: Event, reply: Reply = REPLY) -> Any:
    renderer = WIRE.stream_renderer(reply)
    return frames(b"".join(renderer.feed(event) for event in events) + renderer.finish())


def parts_of(chunks: Any) -> list[Any]:
    return [
        part for chunk in chunks for each in chunk["candidates"] for part in each.get("content", {}).get("parts", [])
    ]


def told_parts(response: Response) -> Any:
    """As a client reads them: made-up ids hang on the answer's own id, which we made up, too."""
    body: Any = WIRE.render_response(response, REPLY).body
    return body["candidates"][0]["content"]["parts"]


START = ResponseStart(id="r", model="m")
END = ResponseEnd(finish=Finish("stop", "end_turn"), usage=Usage(input_uncached=3, output=2))


class TestRender:
    def test_a_refusal_is_told_once(self) -> None:
        chunks = told(
            START,
            PartStart(0, Refusal(text="")),
            PartDelta(0, "I "),
            PartDelta(0, "will not."),
            PartEnd(0, Refusal(text="I will not.")),
            END,
        )
        assert "".join(part["text"] for part in parts_of(chunks)) == "I will not."

    def test_a_text(self) -> None:
        chunks = told(
            START,
            PartStart(0, Text(text="")),
            PartDelta(0, "He"),
            PartDelta(0, "llo"),
            PartEnd(0, Text(text="Hello")),
            END,
        )
        ids = {"modelVersion": "client-model", "responseId": "r"}
        assert chunks == [
            {"candidates": [{"content": {"parts": [{"text": "He"}], "role": "model"}, "index": 0}], **ids},
            {"candidates": [{"content": {"parts": [{"text": "llo"}], "role": "model"}, "index": 0}], **ids},
            {"candidates": [
                {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "STOP", "index": 0}],
             "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}, **ids},
        ]  # fmt: skip

    def test_frames_are_closed_as_google_closes_them(self) -> None:
        renderer = WIRE.stream_renderer(REPLY)
        renderer.feed(PartStart(0, Text(text="")))
        frame = renderer.feed(PartDelta(0, 'a"\n\u2028'))
        assert frame.startswith(b'data: {"candidates":')
        assert frame.endswith(b"}\r\n\r\n")
        assert frame.count(b"\n") == 2

    def test_each_token_goes_out_at_once(self) -> None:
        renderer = WIRE.stream_renderer(REPLY)
        renderer.feed(START)
        renderer.feed(PartStart(0, Thinking()))
        assert parts_of(frames(renderer.feed(PartDelta(0, "hm")))) == [{"text": "hm", "thought": True}]

    def test_sections_are_set_apart(self) -> None:
        part = Thinking(sections=("a", "b"), signature="sig", origin="openai_responses")
        chunks = told(START, PartStart(0, Thinking()), PartDelta(0, "a"), PartDelta(0, "b", 1), PartEnd(0, part), END)
        *thoughts, closing, _ = parts_of(chunks)
        assert thoughts == [{"text": "a", "thought": True}, {"text": "\n\nb", "thought": True}]
        assert unsealed(closing.pop("thoughtSignature")) == ("openai_responses", "sig")
        assert closing == {"text": "", "thought": True}

    def test_a_call_goes_out_whole(self) -> None:
        call = ToolCall(id="c", name="f", arguments='{"a": 1}')
        renderer = WIRE.stream_renderer(REPLY)
        sent = [
            renderer.feed(event) for event in (PartStart(0, opened(call)), PartDelta(0, '{"a"'), PartDelta(0, ": 1}"))
        ]
        assert sent == [b"", b"", b""]
        assert parts_of(frames(renderer.feed(PartEnd(0, call)))) == [
            {"functionCall": {"name": "f", "args": {"a": 1}, "id": "c"}}
        ]

    def test_bug_35_broken_arguments_travel_in_an_object(self) -> None:
        call = ToolCall(id="c", name="f", arguments='{"a": ')
        renderer = WIRE.stream_renderer(REPLY)
        renderer.feed(PartStart(0, opened(call)))
        assert renderer.feed(PartEnd(0, call)) == b""
        (part,) = parts_of(frames(renderer.feed(PartStart(1, Text(text="")))))
        assert part["functionCall"]["args"] == {"input": '{"a": '}
        assert [loss.path for loss in renderer.losses] == ["content[0].arguments"]

    @pytest.mark.parametrize("arguments", ['{"a": ', ""])
    @pytest.mark.parametrize(("reason", "count"), [("length", 0), ("tool_calls", 1)])
    def test_bug_62_no_call_is_made_of_what_was_cut(self, arguments: str, reason: FinishReason, count: int) -> None:
        call = ToolCall(id="c", name="f", arguments=arguments)
        chunks = told(START, PartStart(0, opened(call)), PartEnd(0, call), ResponseEnd(finish=Finish(reason)))
        assert len([part for part in parts_of(chunks) if "functionCall" in part]) == count

    def test_bug_25_parts_that_interleave_come_one_after_the_other(self) -> None:
        call = ToolCall(id="c", name="f")
        chunks = told(
            START, PartStart(0, Text(text="")), PartStart(1, opened(call)), PartStart(2, Text(text="")),
            PartDelta(2, "late"), PartDelta(0, "fi"), PartDelta(1, "{}"), PartEnd(1, call), PartDelta(0, "rst"),
            PartEnd(0, Text(text="first")), PartDelta(2, "r"), PartEnd(2, Text(text="later")), END,
        )  # fmt: skip
        parts = [part.get("text", "CALL") for part in parts_of(chunks)]
        assert parts == ["fi", "rst", "CALL", "late", "r", ""]

    def test_hosted_parts_and_foreign_ones(self) -> None:
        own = Opaque(wire="gemini", kind="executableCode", value={"executableCode": {"code": "1"}})
        foreign = Opaque(wire="anthropic", kind="server_tool_use", value={})
        renderer = WIRE.stream_renderer(REPLY)
        data = b"".join(
            renderer.feed(event)
            for at, part in enumerate((own, foreign))
            for event in (PartStart(at, part), PartEnd(at, part))
        )
        assert parts_of(frames(data)) == [{"executableCode": {"code": "1"}}]
        assert [loss.what for loss in renderer.losses] == ["server_tool_use"]

    def test_residue_of_the_end(self) -> None:
        home = Residue(wire="gemini", fields={"candidates[0].groundingMetadata": {"a": 1}, "new": 2})
        last = told(START, ResponseEnd(finish=Finish("refusal", "SPII"), residue=home))[-1]
        assert last["candidates"][0]["groundingMetadata"] == {"a": 1}
        assert (last["candidates"][0]["finishReason"], last["new"]) == ("SPII", 2)
        renderer = WIRE.stream_renderer(REPLY)
        renderer.feed(
            ResponseEnd(finish=Finish("stop"), residue=Residue(wire="anthropic", fields={"container": {"id": 1}}))
        )
        assert [loss.path for loss in renderer.losses] == ["container"]

    def test_an_answer_without_an_id_takes_ours(self) -> None:
        assert told(ResponseStart(id="", model="m"), END)[0]["responseId"] == "req_1"

    @pytest.mark.parametrize("framing", ["sse", "json-array"])
    def test_bug_65_an_error_ends_the_stream_in_the_dialect(self, framing: str) -> None:
        renderer = WIRE.stream_renderer(Reply(model="m", request_id="q", framing=framing))
        data = renderer.feed(PartStart(0, Text(text=""))) + renderer.feed(PartDelta(0, "a"))
        data += renderer.feed(Failure(kind="overloaded", message="busy", status=529))
        assert renderer.feed(END) == renderer.feed(Heartbeat()) == b""
        data += renderer.finish()
        chunks = frames(data) if framing == "sse" else msgspec.json.decode(data)
        assert chunks[1] == {"error": {"code": 529, "message": "busy", "status": "UNAVAILABLE"}}
        assert next(iter(chunks[1])) == "error"  # Google's SDK looks at the first key

    def test_a_heartbeat_is_an_empty_text(self) -> None:
        """Google's SDKs fail on SSE comments, or on blank lines."""
        renderer = WIRE.stream_renderer(REPLY)
        thought = [PartStart(0, Thinking(sections=("",))), PartDelta(0, "a"), Heartbeat(), PartDelta(0, "b")]
        events = [Heartbeat(), START, Heartbeat(), *thought, PartEnd(0, Thinking(sections=("ab",))), Heartbeat(), END]
        data = b"".join(map(renderer.feed, events)) + renderer.finish()
        assert frames(data)[0] == {
            "candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "index": 0}],
        }
        assert all(block.startswith(b"data: {") for block in data.removesuffix(b"\r\n\r\n").split(b"\r\n\r\n"))
        told = fold(parsed(data))
        assert told.finish == Finish("stop", "STOP")
        assert [part.sections for part in told.parts if isinstance(part, Thinking)] == [("ab",)]
        assert len(told.parts) == 1

    def test_other_candidates_and_other_wires_events(self) -> None:
        other = OpaqueEvent("gemini", "candidate", {"index": 1, "content": {}})
        assert told(other)[0]["candidates"] == [{"index": 1, "content": {}}]
        assert told(OpaqueEvent("anthropic", "ping", {})) == []


class TestArray:
    """Without alt=sse: one JSON array."""

    REPLY = Reply(model="m", request_id="q", framing="json-array")

    def test_an_array(self) -> None:
        renderer = WIRE.stream_renderer(self.REPLY)
        events = [Heartbeat(), START, PartStart(0, Text(text="")), PartDelta(0, "a"), Heartbeat(), PartDelta(0, "b"),
                  PartEnd(0, Text(text="ab")), END]  # fmt: skip
        data = b"".join(map(renderer.feed, events)) + renderer.finish()
        assert [part["text"] for part in parts_of(msgspec.json.decode(data))] == ["a", "b", ""]
        assert fold(parsed(data)).parts == (Text(text="ab", origin="gemini"),)

    def test_nothing_is_an_empty_array(self) -> None:
        assert msgspec.json.decode(WIRE.stream_renderer(self.REPLY).finish()) == []

    def test_sse_needs_no_closing(self) -> None:
        renderer = WIRE.stream_renderer(REPLY)
        renderer.feed(END)
        assert renderer.finish() == b""


def test_a_long_answer_costs_what_its_length_costs() -> None:
    """No text is copied again and again: 40,000 deltas in well under a second of work."""
    renderer = WIRE.stream_renderer(REPLY)
    call = ToolCall(id="c", name="f", arguments='{"a":"' + "x" * 40_000 + '"}')
    renderer.feed(PartStart(0, Text(text="")))
    renderer.feed(PartStart(1, opened(call)))
    size = sum(len(renderer.feed(PartDelta(0, "x"))) for _ in range(40_000))
    assert size < 40_000 * 200
    assert renderer.feed(PartEnd(1, call)) == b""
    response = Response(id="r", model="m", parts=(call,), finish=Finish("tool_calls"))
    assert parts_of(told(*explode(response)))[0]["functionCall"]["args"]["a"] == "x" * 40_000
