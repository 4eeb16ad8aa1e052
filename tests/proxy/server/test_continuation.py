from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.dispatch.inquiry import Report, Tie
from proxy.dispatch.splice import members
from proxy.errors import Malformed, TooLarge
from proxy.server.archive import Archive, Told
from proxy.server.continuation import Turn, input_items, is_stored, turn_of
from proxy.server.scribe import Scribe

ITEM = b'{"role": "user", "n": 1.0}'
HOME = Report(request_id="q", model_asked="m", is_relay=True, credential="key-1")
ABROAD = Report(request_id="q", model_asked="m", is_relay=False, credential="key-2")


def turn(body: object, *known: Told, bytes_max: int = 10_000) -> Turn:
    fields = members(body if isinstance(body, bytes) else msgspec.json.encode(body))
    archive = Archive()
    for each in known:
        archive.keep("me", each, 0.0)
    return turn_of(fields, archive.view("me", now=0.0), bytes_max=bytes_max)


def sent(turn: Turn) -> Any:
    return msgspec.json.decode(turn.body)


def answered(output: list[object]) -> Scribe:
    scribe = Scribe()
    scribe.read_whole(msgspec.json.encode({"id": "resp_2", "output": output}))
    return scribe


def test_the_first_request_stays_as_it_is() -> None:
    body = b'{"model":"m","input":[{"role": "user", "n": 1.0}],"previous_response_id":null}'
    first = turn(body)
    assert first.body == b'{"model":"m","input":[{"role": "user", "n": 1.0}]}'
    assert (first.own, first.parent, first.tie) == ((ITEM,), None, None)


def test_the_whole_conversation_is_put_into_the_request() -> None:
    first = Told(id="r1", items=(b'{"a":1}', b'{"b":2.0}'))
    second = Told(id="r2", parent=first, items=(b'{"c":3}',))
    asked = turn(b'{"previous_response_id":"r2","input":[ {"d": 4} ],"x":1e2}', first, second)
    assert asked.body == b'{"input":[{"a":1},{"b":2.0},{"c":3},{"d": 4}],"x":1e2}'
    assert asked.tie is None


def test_a_text_goes_on_as_a_message() -> None:
    asked = turn({"previous_response_id": "r1", "input": 'say "hi" \u2028'}, Told(id="r1", items=(b"{}",)))
    assert sent(asked)["input"][1] == {"type": "message", "role": "user", "content": 'say "hi" \u2028'}


def test_without_input_it_goes_on_from_what_was_said() -> None:
    assert sent(turn({"previous_response_id": "r1"}, Told(id="r1", items=(b'{"a":1}',)))) == {"input": [{"a": 1}]}


def test_bug_71_a_tools_output_finds_its_call() -> None:
    call = b'{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"}'
    output = {"type": "function_call_output", "call_id": "c1", "output": "done"}
    asked = turn({"previous_response_id": "r1", "input": [output]}, Told(id="r1", items=(ITEM, call)))
    assert [each.get("type") for each in sent(asked)["input"]] == [None, "function_call", "function_call_output"]


def test_what_a_provider_keeps_is_asked_of_the_account_that_made_it() -> None:
    kept = Told(id="r1", credential="key-1")
    asked = turn({"previous_response_id": "r1", "input": [{"a": 1}]}, kept)
    assert sent(asked) == {"previous_response_id": "r1", "input": [{"a": 1}]}
    assert asked.tie == Tie("key-1", is_hard=True)


def test_what_was_said_since_then_goes_with_it() -> None:
    kept = Told(id="r1", credential="key-1")
    since = Told(id="r2", parent=kept, items=(b'{"a":1}',))
    asked = turn({"previous_response_id": "r2", "input": [{"b": 2}]}, kept, since)
    assert sent(asked) == {"previous_response_id": "r1", "input": [{"a": 1}, {"b": 2}]}
    assert asked.tie == Tie("key-1", is_hard=True)


def test_what_only_refers_to_the_providers_memory_stays_as_it_is() -> None:
    body = b'{"input":"text","previous_response_id":"r1"}'
    assert turn(body, Told(id="r1", credential="key-1", items=(ITEM,))).body == body


def test_where_that_account_cannot_go_on_the_whole_conversation_does() -> None:
    first = Told(id="r1", credential="key-1", items=(b'{"a":1}', b'{"b":2}'))
    second = Told(id="r2", credential="key-1", items=(b'{"c":3}',), parent=first)
    asked = turn({"previous_response_id": "r2", "input": "x", "model": "m"}, first, second)
    untied = asked.untied()
    assert untied.tie is None
    assert sent(untied) == {
        "input": [{"a": 1}, {"b": 2}, {"c": 3}, {"type": "message", "role": "user", "content": "x"}],
        "model": "m",
    }
    assert (untied.parent, untied.own) == (second, asked.own)
    assert "previous_response_id" in sent(asked), "the tied request is left as it was"


def test_an_unknown_answer_is_refused_in_the_words_that_clients_know() -> None:
    with pytest.raises(Malformed) as raised:
        turn({"previous_response_id": "r1"})
    assert (raised.value.status, raised.value.code) == (400, "previous_response_not_found")
    assert raised.value.path == "previous_response_id"


def test_a_conversation_may_grow_as_large_as_a_request() -> None:
    with pytest.raises(TooLarge):
        turn({"previous_response_id": "r1", "input": "x"}, Told(id="r1", items=(b" " * 500,)), bytes_max=500)


@pytest.mark.parametrize("body", [{"input": 1}, {"input": {"role": "user"}}, {"input": True}])
def test_an_input_of_another_kind_is_refused(body: object) -> None:
    with pytest.raises(Malformed) as raised:
        turn(body)
    assert raised.value.path == "input"


def test_an_id_of_another_kind_is_refused() -> None:
    with pytest.raises(Malformed, match="must be a string"):
        turn({"previous_response_id": 3})


def test_items_keep_their_spelling() -> None:
    assert input_items(members(b'{"input":[{"a": 1.0},{"b":"\\u00e4"}]}')) == (b'{"a": 1.0}', b'{"b":"\\u00e4"}')
    assert input_items(members(b'{"input":null}')) == input_items(members(b"{}")) == ()


@pytest.mark.parametrize(("body", "expected"), [(b"{}", True), (b'{"store":null}', True), (b'{"store":false}', False)])
def test_answers_are_stored_unless_the_client_does_not_want_it(body: bytes, expected: bool) -> None:
    assert is_stored(members(body)) is expected
    with pytest.raises(Malformed):
        is_stored(members(b'{"store":"no"}'))


class TestReferences:
    """The AI SDK names the items of stored answers, and does not repeat them."""

    REFERENCE = {"type": "item_reference", "id": "msg_1"}  # noqa: RUF012 - nobody writes to it

    def test_what_is_kept_here_is_put_in(self) -> None:
        said = Told(id="r1", named={"msg_1": b'{"said": 1.0}', "rs_1": b""})
        references = [{"type": "item_reference", "id": "rs_1"}, self.REFERENCE]
        asked = turn({"input": [{"a": 1}, *references, {"b": 2}]}, said)
        assert asked.body == b'{"input":[{"a":1},{"said": 1.0},{"b":2}]}'
        assert asked.own == (b'{"a":1}', b'{"said": 1.0}', b'{"b":2}')
        assert (asked.tie, asked.parent) == (None, None)

    def test_what_a_provider_keeps_is_followed_by_its_account(self) -> None:
        said = Told(id="r1", named={"msg_1": b'{"said":1}'}, credential="key-1")
        asked = turn({"input": [self.REFERENCE, {"b": 2}]}, said)
        assert sent(asked) == {"input": [self.REFERENCE, {"b": 2}]}
        assert asked.tie == Tie("key-1", is_hard=True)
        assert asked.own == (b'{"said":1}', b'{"b":2}'), "what goes on from it needs it in full"
        assert sent(asked.untied()) == {"input": [{"said": 1}, {"b": 2}]}

    def test_what_nobody_knows_is_its_providers_to_judge(self) -> None:
        body = b'{"input":[{"type": "item_reference", "id": "msg_1"}]}'
        assert turn(body).body == body

    def test_words_are_no_reference(self) -> None:
        body = b'{"input":[{"type":"message","content":"\\"item_reference\\"","x":"item_reference","id":"msg_1"}]}'
        assert turn(body, Told(id="r1", named={"msg_1": b"{}"})).body == body

    def test_references_stand_beside_a_conversation(self) -> None:
        first = Told(id="r1", items=(b'{"a":1}',), named={"msg_1": b'{"a":1}'})
        asked = turn({"previous_response_id": "r1", "input": [self.REFERENCE]}, first)
        assert sent(asked) == {"input": [{"a": 1}, {"a": 1}]}


class TestWhatIsKept:
    def test_of_a_translated_answer_all_that_was_said(self) -> None:
        parent = Told(id="r1", items=(b"{}",))
        asked = turn({"previous_response_id": "r1", "input": [{"a": 1}]}, parent)
        told = asked.told(answered([{"b": 2}]), ABROAD, is_stored=True)
        assert told is not None
        assert (told.id, told.parent, told.items) == ("resp_2", parent, (b'{"a":1}', b'{"b":2}'))
        assert msgspec.json.decode(told.response)["id"] == "resp_2"

    def test_not_to_be_stored_is_not_to_be_fetched(self) -> None:
        told = turn({"input": []}).told(answered([]), ABROAD, is_stored=False)
        assert told is not None
        assert told.response == b""

    def test_of_what_the_provider_stores_also_who_has_it(self) -> None:
        told = turn({"input": [{"a": 1}]}).told(answered([{"b": 2}]), HOME, is_stored=True)
        assert told is not None
        assert (told.credential, told.model, told.response) == ("key-1", "m", b"")
        assert told.items == (b'{"a":1}', b'{"b":2}')

    def test_of_what_the_provider_forgets_all_that_was_said(self) -> None:
        told = turn({"input": [{"a": 1}]}).told(answered([{"b": 2}]), HOME, is_stored=False)
        assert told is not None
        assert (told.credential, told.items) == ("", (b'{"a":1}', b'{"b":2}'))

    def test_of_an_answer_without_its_end_nothing(self) -> None:
        begun = Scribe()
        begun.read_frame(b'{"type":"response.created","response":{"id":"r"}}')
        assert turn({"input": []}).told(begun, ABROAD, is_stored=True) is None
        assert turn({"input": []}).told(Scribe(), HOME, is_stored=True) is None
