from __future__ import annotations

from proxy.dispatch.recall import Recall
from proxy.hub.parts import Part, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import Message, Request

THOUGHT = Thinking(sections=("hm",), signature="s1", origin="anthropic")
ASKED = Message(role="user", parts=(Text(text="go"),))
CALL = ToolCall(id="call-1", name="f", arguments="{}")


def history(*parts: Part) -> Request:
    return Request(
        model="m",
        messages=(
            ASKED,
            Message(role="assistant", parts=parts),
            Message(role="tool", parts=(ToolResult(call_id="call-1"),)),
        ),
    )


def restored(recall: Recall, *parts: Part, client: str = "c", maker: str = "anthropic", now: float = 1.0) -> list[Part]:
    return list(recall.restore(client, history(*parts), maker=maker, now=now).messages[1].parts)


def test_thoughts_come_back_before_their_call() -> None:
    recall = Recall()
    recall.remember("c", [THOUGHT, Text(text="I will"), CALL], 0.0)
    assert restored(recall, Text(text="I will"), CALL) == [THOUGHT, Text(text="I will"), CALL]


def test_they_take_the_place_of_the_unsigned_ones_that_the_client_brought() -> None:
    recall = Recall()
    recall.remember("c", [THOUGHT, CALL], 0.0)
    assert restored(recall, Thinking(sections=("hm",)), CALL) == [THOUGHT, CALL]


def test_signed_ones_of_the_client_are_left_alone() -> None:
    recall = Recall()
    recall.remember("c", [THOUGHT, CALL], 0.0)
    own = Thinking(sections=("hm",), signature="own", origin="anthropic")
    assert restored(recall, own, CALL) == [own, CALL]


def test_thinking_between_calls_keeps_its_place() -> None:
    recall = Recall()
    second = Thinking(signature="s2", origin="anthropic")
    other = ToolCall(id="call-2", name="g")
    recall.remember("c", [THOUGHT, CALL, second, other], 0.0)
    assert restored(recall, CALL, other) == [THOUGHT, CALL, second, other]


def test_a_calls_own_signature() -> None:
    recall = Recall()
    signed = ToolCall(id="call-1", name="f", signature="g1", origin="gemini")
    parallel = ToolCall(id="call-2", name="f")
    recall.remember("c", [signed, parallel], 0.0)
    assert restored(recall, CALL, parallel, maker="gemini") == [signed, parallel]


def test_a_texts_signature_and_thoughts_when_there_is_no_call() -> None:
    recall = Recall()
    signed = Text(text="done", signature="t1", origin="gemini")
    thought = Thinking(signature="s9", origin="gemini")
    recall.remember("c", [thought, signed], 0.0, after=ASKED)
    assert restored(recall, Text(text="done"), maker="gemini") == [thought, signed]
    assert restored(recall, Text(text="changed"), maker="gemini") == [Text(text="changed")]


def test_the_same_text_to_another_question_was_thought_about_differently() -> None:
    recall = Recall()
    other = Message(role="user", parts=(Text(text="go elsewhere"),))
    recall.remember("c", [THOUGHT, Text(text="Done.")], 0.0, after=other)
    assert restored(recall, Text(text="Done.")) == [Text(text="Done.")]
    results = Message(role="tool", parts=(ToolResult(call_id="call-9"),))
    recall.remember("c", [THOUGHT, Text(text="Done.")], 0.0, after=results)
    assert restored(recall, Text(text="Done.")) == [Text(text="Done.")]
    recall.remember("c", [THOUGHT, Text(text="Done.")], 0.0, after=ASKED)
    assert restored(recall, Text(text="Done.")) == [THOUGHT, Text(text="Done.")]


def test_only_their_maker_gets_them_and_only_for_the_same_client() -> None:
    recall = Recall()
    recall.remember("c", [THOUGHT, CALL], 0.0)
    assert restored(recall, CALL, maker="gemini") == [CALL]
    assert restored(recall, CALL, client="somebody else") == [CALL]


def test_what_was_not_signed_is_not_kept() -> None:
    recall = Recall()
    recall.remember("c", [Thinking(sections=("hm",)), CALL, Text(text="x")], 0.0)
    assert len(recall) == 0


def test_it_expires() -> None:
    recall = Recall(seconds_max=10.0)
    recall.remember("c", [THOUGHT, CALL], 0.0)
    assert restored(recall, CALL, now=9.9) == [THOUGHT, CALL]
    assert restored(recall, CALL, now=10.0) == [CALL]
    assert len(recall) == 0


def test_it_is_bounded_in_number_and_bytes_and_the_oldest_go() -> None:
    recall = Recall(entries_max=3)
    for number in range(5):
        recall.remember("c", [THOUGHT, ToolCall(id=f"call-{number}", name="f")], 0.0)
    assert len(recall) == 3
    assert restored(recall, ToolCall(id="call-1", name="f")) == [ToolCall(id="call-1", name="f")]
    small = Recall(bytes_max=2000)
    for number in range(5):
        small.remember("c", [Thinking(signature="x" * 500, origin="a"), ToolCall(id=f"c{number}", name="f")], 0.0)
    assert len(small) == 2


def test_a_request_without_anything_to_restore_is_the_same_object() -> None:
    recall = Recall()
    recall.remember("c", [THOUGHT, CALL], 0.0)
    request = history(Text(text="other"))
    assert recall.restore("c", request, maker="anthropic", now=0.0) is request
