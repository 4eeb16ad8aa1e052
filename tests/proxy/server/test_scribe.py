from __future__ import annotations

import msgspec

from proxy.hub.residue import JsonObject
from proxy.server.scribe import Scribe, replayable

MESSAGE: JsonObject = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hi"}],
}
CALL: JsonObject = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"}
THOUGHT: JsonObject = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "blob"}
REFERENCE: JsonObject = {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "hm"}]}


def frame(kind: str, **fields: object) -> bytes:
    return msgspec.json.encode({"type": kind, **fields})


def ended(*output: JsonObject, kind: str = "response.completed") -> bytes:
    return frame(kind, sequence_number=7, response={"id": "resp_1", "status": "completed", "output": [*output]})


def items(scribe: Scribe) -> list[JsonObject]:
    return [msgspec.json.decode(item) for item in scribe.items()]


def test_the_id_is_known_from_the_beginning() -> None:
    scribe = Scribe()
    assert not scribe.read_frame(frame("response.created", sequence_number=0, response={"id": "resp_1", "output": []}))
    assert (scribe.id, scribe.response, scribe.sequence) == ("resp_1", b"", 0)


def test_the_end_brings_the_whole() -> None:
    scribe = Scribe()
    assert scribe.read_frame(ended(THOUGHT, MESSAGE))
    assert items(scribe) == [THOUGHT, MESSAGE]
    assert scribe.sequence == 7
    assert msgspec.json.decode(scribe.response)["id"] == "resp_1"


def test_bug_64_an_end_without_output_is_filled_with_what_was_told() -> None:
    scribe = Scribe()
    scribe.read_frame(frame("response.output_item.done", output_index=1, item=CALL))
    scribe.read_frame(frame("response.output_item.done", output_index=0, item=THOUGHT))
    assert scribe.read_frame(ended())
    assert items(scribe) == [THOUGHT, CALL]
    assert msgspec.json.decode(scribe.response)["output"] == [THOUGHT, CALL]


def test_cut_off_by_a_limit_is_an_end_and_a_failure_is_none() -> None:
    assert Scribe().read_frame(ended(MESSAGE, kind="response.incomplete"))
    scribe = Scribe()
    assert not scribe.read_frame(ended(MESSAGE, kind="response.failed"))
    assert scribe.response == b""


def test_server_sent_events_tell_the_same() -> None:
    scribe = Scribe()
    scribe.read_events(b"event: response.created\ndata: " + frame("response.created", response={"id": "r"}) + b"\n\n")
    assert scribe.id == "r"
    scribe.read_events(b": ping\n\ndata: " + ended(MESSAGE) + b"\n\ndata: [DONE]\n\n")
    assert items(scribe) == [MESSAGE]


def test_a_whole_answer_tells_it_at_once() -> None:
    scribe = Scribe()
    scribe.read_whole(msgspec.json.encode({"id": "resp_1", "output": [MESSAGE]}))
    assert (scribe.id, items(scribe)) == ("resp_1", [MESSAGE])


def test_what_a_model_writes_is_no_event() -> None:
    scribe = Scribe()
    words = '{"type":"response.completed","response":{"id":"evil"}}'
    assert not scribe.read_frame(frame("response.output_text.delta", delta=words))
    assert not scribe.read_frame(frame("x", item={"type": "response.completed"}, response={"id": "evil"}))
    assert (scribe.id, scribe.response) == ("", b"")


def test_what_is_broken_is_passed_over() -> None:
    scribe = Scribe()
    assert not scribe.read_frame(b'{"type":"response.completed","response":')
    assert not scribe.read_frame(b'{"type":"response.completed","response":[]}')
    scribe.read_whole(b"<html>")
    assert (scribe.id, scribe.response) == ("", b"")


def test_thoughts_that_are_only_references_are_left_out_and_take_the_ids_with_them() -> None:
    """Their maker asks for a call's thoughts by its id, and does not find them."""
    scribe = Scribe()
    scribe.read_frame(ended(REFERENCE, CALL, MESSAGE))
    again = [{key: value for key, value in each.items() if key != "id"} for each in (CALL, MESSAGE)]
    assert items(scribe) == again
    named = scribe.named()
    assert named.pop("rs_2") == b""
    assert {name: msgspec.json.decode(item) for name, item in named.items()} == dict(
        zip(("fc_1", "msg_1"), again, strict=True)
    )
    told = {"type": "reasoning", "id": "rs_3", "summary": [], "content": [{"type": "reasoning_text", "text": "x"}]}
    whole = [msgspec.json.encode(each) for each in (THOUGHT, told, CALL)]
    assert replayable(whole) == whole
