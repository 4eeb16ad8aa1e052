from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from proxy.hub.events import PartDelta, PartEnd, PartStart
from proxy.hub.names import IdMap, NameMap, synthetic_call_id, tag, untag
from proxy.hub.parts import Text, ToolCall
from proxy.hub.response import Response

WORD = re.compile(r"[A-Za-z0-9_-]+")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*")
NAMES = st.lists(st.text(max_size=80))


@given(NAMES)
def test_names_become_legal_and_stay_apart(names: list[str]) -> None:
    for legal in (WORD, IDENTIFIER):
        mapped = NameMap.within(names, legal=legal, length_max=64)
        sent = {name: mapped.to_upstream(name) for name in names}
        assert all(legal.fullmatch(name) and len(name) <= 64 for name in sent.values())
        assert len(set(sent.values())) == len(sent)
        assert {name: mapped.to_client(theirs) for name, theirs in sent.items()} == {name: name for name in sent}


def test_legal_names_are_kept() -> None:
    mapped = NameMap.within(["get_weather", "Bash"], legal=WORD, length_max=64)
    assert mapped == NameMap()


@given(NAMES)
def test_names_are_mapped_the_same_way_each_time(names: list[str]) -> None:
    first = NameMap.within(names, legal=WORD, length_max=64)
    assert first == NameMap.within(names, legal=WORD, length_max=64)


def test_bug_41_collisions() -> None:
    """Two names that differ only in what is illegal, and one that already looks like the result of the mapping."""
    first = NameMap.within(["a.b"], legal=WORD, length_max=64).to_upstream("a.b")
    mapped = NameMap.within(["a.b", "a/b", first], legal=WORD, length_max=64)
    assert mapped.to_upstream(first) == first
    assert len({mapped.to_upstream(name) for name in ("a.b", "a/b", first)}) == 3


def test_long_names_with_one_beginning() -> None:
    names = ["mcp__server__" + "x" * 100, "mcp__server__" + "x" * 101]
    mapped = NameMap.within(names, legal=WORD, length_max=64)
    sent = [mapped.to_upstream(name) for name in names]
    assert [name[:20] for name in sent] == ["mcp__server__xxxxxxx"] * 2
    assert sent[0] != sent[1]


def test_names_are_restored_in_answers_and_streams() -> None:
    mapped = NameMap({"a.b": "a_b_1"}, {"a_b_1": "a.b"})
    theirs, ours = ToolCall(id="1", name="a_b_1"), ToolCall(id="1", name="a.b")
    other = ToolCall(id="2", name="kept")
    assert mapped.restore_event(PartStart(0, theirs)) == PartStart(0, ours)
    assert mapped.restore_event(PartEnd(0, theirs)) == PartEnd(0, ours)
    assert mapped.restore_event(PartDelta(0, "a_b_1")) == PartDelta(0, "a_b_1")
    text = Text(text="a_b_1")
    answer = Response(id="1", model="m", parts=(text, theirs, other))
    assert mapped.restore_response(answer).parts == (text, ours, other)
    assert NameMap().restore_response(answer) is answer


@given(st.lists(st.text(max_size=100)))
def test_ids_become_legal_and_results_still_match(ids: list[str]) -> None:
    mapped = IdMap(WORD, 40)
    sent = {call_id: mapped.to_upstream(call_id) for call_id in ids}
    assert all(WORD.fullmatch(call_id) and len(call_id) <= 40 for call_id in sent.values())
    assert len(set(sent.values())) == len(sent)
    again = IdMap(WORD, 40)
    assert {call_id: again.to_upstream(call_id) for call_id in reversed(ids)} == sent


def test_legal_ids_are_kept_verbatim() -> None:
    assert IdMap(WORD, 64).to_upstream("toolu_01A-b") == "toolu_01A-b"
    assert IdMap(WORD, 64, prefix="toolu_").to_upstream("functions.get:0").startswith("toolu_")


def test_bug_28_made_up_ids_are_unique_and_never_random() -> None:
    first = synthetic_call_id(0, "get_weather", "{}")
    assert first == synthetic_call_id(0, "get_weather", "{}")
    assert first != synthetic_call_id(1, "get_weather", "{}")
    assert WORD.fullmatch(first)
    assert len(first) <= 40


@given(st.sampled_from(["anthropic", "gemini", "openai_responses", "x-1"]), st.text())
def test_a_tagged_blob_comes_back_byte_for_byte(origin: str, blob: str) -> None:
    assert untag(tag(origin, blob), native="here") == (origin, blob)


def test_what_bears_no_tag_is_the_natives() -> None:
    assert untag("EqQBCkYIB", native="anthropic") == ("anthropic", "EqQBCkYIB")
    assert untag("px1.", native="gemini") == ("gemini", "px1.")
    assert untag(tag("a", tag("b", "blob")), native="x") == ("a", "px1.b.blob")
