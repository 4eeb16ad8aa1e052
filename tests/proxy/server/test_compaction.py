from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec
import pytest

from proxy.dispatch.splice import members
from proxy.server.compaction import ASK, FOUND, MARK, Summary, concerns, expanded, is_asked, is_ours, request

HELLO = b'{"type":"message","role":"user","content":"hello"}'
TRIGGER = b'{"type":"compaction_trigger"}'
THEIRS = b'{"type":"compaction","encrypted_content":"gAAAAAB"}'
CREATED = {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "output": []}}
ADDED = {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": {}}
USAGE = {"input_tokens": 9, "output_tokens": 3}


def ours(notes: str) -> bytes:
    content = MARK + base64.urlsafe_b64encode(notes.encode()).decode()
    return msgspec.json.encode({"type": "compaction", "id": "cmp_1", "encrypted_content": content})


def delta(text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "sequence_number": 2, "delta": text}


def end(kind: str = "completed", **fields: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "status": kind, "output": [{"type": "message"}], "usage": USAGE, **fields}
    return {"type": f"response.{kind}", "sequence_number": 9, "response": response}


def framed(events: Iterable[dict[str, Any]], framing: str) -> list[bytes]:
    told = [msgspec.json.encode(each) for each in events]
    return [b"data: " + each + b"\n\n" if framing == "sse" else each + b"\n" for each in told]


async def body(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def told(*events: dict[str, Any], framing: str = "frames") -> list[Any]:
    whole = b"".join([chunk async for chunk in Summary(body(framed(events, framing)), framing)])
    if framing == "sse":
        lines = whole.decode().split("\n\n")[:-1]
        found = [line.split("\n") for line in lines]
        assert [name for name, _ in found] == [f"event: {msgspec.json.decode(data[6:])['type']}" for _, data in found]
        return [msgspec.json.decode(data[6:]) for _, data in found]
    return [msgspec.json.decode(line) for line in whole.splitlines()]


class TestRequests:
    def test_it_is_asked_for_by_the_last_item(self) -> None:
        assert is_asked((HELLO, TRIGGER))
        assert not is_asked((TRIGGER, HELLO))
        assert not is_asked(())
        assert not is_asked((b"5",))
        assert not is_asked((b'{"type":"compaction_trigger"',))

    def test_what_may_concern_it(self) -> None:
        assert concerns(b'{"input":[%b]}' % TRIGGER)
        assert concerns(ours("x"))
        assert not concerns(b'{"input":[%b,%b]}' % (HELLO, THEIRS))
        assert is_ours(ours("x"))
        assert not is_ours(THEIRS)

    def test_all_that_was_said_goes_along_and_no_tool_is_used(self) -> None:
        fields = members(b'{"model":"m","input":[],"tools":[1.0],"tool_choice":"auto"}')
        asked = request(fields, [HELLO, TRIGGER])
        assert {key: bytes(value) for key, value in asked.items() if key != "input"} == {
            "model": b'"m"', "tools": b"[1.0]", "tool_choice": b'"none"',
        }  # fmt: skip
        first, last = msgspec.json.decode(asked["input"])
        assert first == msgspec.json.decode(HELLO)
        assert last["content"][0]["text"] == ASK

    def test_the_notes_come_back_as_a_text(self) -> None:
        first, second, third = expanded((ours("Ahoy — später."), THEIRS, HELLO))
        assert msgspec.json.decode(first)["content"][0]["text"] == f"{FOUND}Ahoy — später."
        assert (second, third) == (THEIRS, HELLO)

    @pytest.mark.parametrize(
        "item",
        [
            HELLO,
            b'{"type":"message","role":"user","content":"proxy-summary.YQ=="}',
            b'{"type":"compaction","encrypted_content":"proxy-summary.!"}',
            b'{"type":"compaction","encrypted_content":"proxy-summary./w=="}',
            b'{"type":"compaction","encrypted_content":["proxy-summary."]}',
        ],
    )
    def test_what_is_none_of_ours_stays(self, item: bytes) -> None:
        assert expanded((item,)) == (item,)


class TestAnswers:
    @pytest.mark.parametrize("framing", ["frames", "sse"])
    async def test_the_text_becomes_the_one_item(self, framing: str) -> None:
        created, added, done, completed = await told(CREATED, ADDED, delta("Ah"), delta("oy."), end(), framing=framing)
        assert created == CREATED
        item = done["item"]
        assert (item["type"], item["id"]) == ("compaction", "cmp_resp_1")
        assert expanded((msgspec.json.encode(item),)) != (msgspec.json.encode(item),)
        assert added == {"type": "response.output_item.added", "output_index": 0, "item": item, "sequence_number": 1}
        assert (done["type"], done["sequence_number"]) == ("response.output_item.done", 2)
        assert completed["sequence_number"] == 3
        assert completed["response"]["output"] == [item]
        assert completed["response"]["usage"] == USAGE
        assert msgspec.json.decode(expanded((msgspec.json.encode(item),))[0])["content"][0]["text"] == f"{FOUND}Ahoy."

    async def test_notes_that_had_no_room_to_end_are_notes(self) -> None:
        *_, last = await told(CREATED, delta("Ah"), end("incomplete", incomplete_details={"reason": "x"}))
        assert (last["type"], last["response"]["status"]) == ("response.completed", "completed")
        assert last["response"]["incomplete_details"] is None

    async def test_a_failure_and_an_answer_without_a_word_stay_what_they_are(self) -> None:
        failed = {"type": "response.failed", "sequence_number": 1, "response": {"id": "resp_1"}}
        assert await told(CREATED, delta("Ah"), failed) == [CREATED, failed]
        assert await told(CREATED, end()) == [CREATED, end()]

    async def test_who_leaves_ends_it(self) -> None:
        chunks = body(framed([CREATED], "frames"))
        summary = Summary(chunks, "frames")
        await anext(summary)
        await summary.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)
