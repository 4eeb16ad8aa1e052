from __future__ import annotations

import pytest

from proxy.server.archive import Archive, Told, View
from proxy.server.references import known, resolved


@pytest.fixture
def view() -> View:
    archive = Archive()
    archive.keep("me", Told(id="r1", named={"msg_1": b'{"said":1}', "rs_1": b""}), 0.0)
    archive.keep("me", Told(id="r2", named={"msg_2": b'{"said":2}'}, credential="key-1"), 0.0)
    return archive.view("me", now=0.0)


def reference(name: str) -> bytes:
    return b'{"type":"item_reference","id":"%b"}' % name.encode()


def test_without_references_nothing_is_looked_at(view: View) -> None:
    items = (b'{"a": 1}', b"broken")
    assert resolved(items, view) == (items, items, "")


def test_each_goes_to_whoever_can_follow_it(view: View) -> None:
    own = (b'{"a":1}', reference("rs_1"), reference("msg_1"), reference("msg_2"), reference("msg_3"))
    whole, sent, credential = resolved(own, view)
    assert whole == (own[0], b'{"said":1}', b'{"said":2}', own[4])
    assert sent == (own[0], b'{"said":1}', own[3], own[4])
    assert credential == "key-1"
    assert [told.id for told in known(own, view)] == ["r1", "r1", "r2"]


@pytest.mark.parametrize(
    "item",
    [
        b'{"type":"message","id":"msg_1","about":"item_reference"}',
        b'{"type":"item_reference"}',
        b'{"type":"item_reference","id":7}',
        b'{"id":"msg_1","name":"item_reference"}',
        b'["item_reference"]',
    ],
)
def test_what_is_no_reference_stays(view: View, item: bytes) -> None:
    assert resolved((item,), view) == ((item,), (item,), "")
    assert known((item,), view) == []
