from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from auth.document import Document, JsonValue
from auth.refusal import Changed, Missing, Refused
from auth.store import NEW, Store
from tests.pace import slowness


def interpret(_name: str, document: Document) -> JsonValue:
    if document.fields.get("type") != "key":
        raise Refused("needs type: key")
    return document.fields.get("value")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "accounts"


@pytest.fixture
def store(folder: Path) -> Store[JsonValue]:
    folder.mkdir(mode=0o700)
    return Store(folder, interpret)


def drop(store: Store[JsonValue], name: str, text: str) -> None:
    path = store.folder / name
    path.write_text(text)
    path.chmod(0o600)


def said(store: Store[JsonValue]) -> Mapping[str, tuple[JsonValue, str | None]]:
    store.look()
    return {name: (entry.value, entry.fault) for name, entry in store.entries.items()}


def key(value: JsonValue, **more: JsonValue) -> Document:
    return Document.of({"type": "key", "value": value, **more})


def test_files_are_what_they_say(store: Store[JsonValue]) -> None:
    drop(store, "b.json", '{"type": "key", "value": 2}')
    drop(store, "a.json", '{"type": "key", "value": 1}')
    drop(store, "note.txt", "not an account")
    (store.folder / "homes").mkdir()
    assert said(store) == {"a.json": (1, None), "b.json": (2, None)}
    assert list(store.entries) == ["a.json", "b.json"]


@pytest.mark.parametrize("torn", ["", '{"type": "key", "va', "\x00" * 20, '{"type": "other"}', "[]"])
def test_a_torn_file_keeps_what_it_said_and_is_no_logout(store: Store[JsonValue], torn: str) -> None:
    drop(store, "a.json", '{"type": "key", "value": 1}')
    assert said(store) == {"a.json": (1, None)}
    drop(store, "a.json", torn)
    value, fault = said(store)["a.json"]
    assert value == 1
    assert fault is not None
    drop(store, "a.json", '{"type": "key", "value": 3}')
    assert said(store) == {"a.json": (3, None)}
    drop(store, "a.json", torn)
    drop(store, "a.json", '{"type": "key", "value": 3}')
    assert said(store) == {"a.json": (3, None)}


def test_what_never_was_good_is_listed_with_its_reason(store: Store[JsonValue]) -> None:
    drop(store, "a.json", "{")
    (store.folder / "b.json").symlink_to("a.json")
    drop(store, "c d.json", "{}")
    drop(store, "e.json", '{"type": "key", "value": 5}')
    found = said(store)
    assert list(found) == ["a.json", "b.json", "c d.json", "e.json"]
    assert [value for value, _ in found.values()] == [None, None, None, 5]
    assert str(found["b.json"][1]).startswith("is a symbolic link")
    assert str(found["c d.json"][1]).startswith("is no name")


def test_a_name_that_no_text_holds_is_listed_all_the_same(store: Store[JsonValue]) -> None:
    Path(os.fsdecode(bytes(store.folder) + b"/\xff\n.json")).touch()
    name = next(iter(said(store)))
    assert name == r"'\\xff\n.json'"
    name.encode()


def test_only_a_file_that_is_gone_is_removed(store: Store[JsonValue]) -> None:
    drop(store, "a.json", '{"type": "key", "value": 1}')
    assert said(store)
    moved = store.folder.rename(store.folder.with_name("moved"))
    assert said(store) == {"a.json": (1, None)}
    assert store.fault == f"{store.folder} is gone; what was read before stays in force"
    store.folder.write_text("a file")
    assert said(store) == {"a.json": (1, None)}
    assert "Not a directory" in str(store.fault)
    store.folder.unlink()
    moved.rename(store.folder)
    (store.folder / "a.json").unlink()
    assert said(store) == {}
    assert store.fault is None


def test_a_folder_that_is_not_there_yet_is_made_by_the_first_write(folder: Path) -> None:
    store = Store(folder / "deep", interpret)
    assert said(store) == {}
    assert store.fault is None
    store.put("a.json", key(1), expecting=NEW)
    assert (folder / "deep").stat().st_mode & 0o777 == 0o700
    assert (folder / "deep" / "a.json").stat().st_mode & 0o777 == 0o600


def test_a_look_after_own_changes_finds_nothing_new(store: Store[JsonValue]) -> None:
    store.put("a.json", key(1))
    store.change("a.json", {"value": 2})
    before, after = store.look()
    assert before == after
    store.delete("a.json")
    assert store.look() == ({}, {})


def test_a_change_leaves_all_else_byte_for_byte(store: Store[JsonValue]) -> None:
    drop(store, "a.json", '{"type":"key",  "theirs":{"n": 1.50, "deep":[1,  2]}, "value":1}')
    store.change("a.json", {"value": 2, "note": "n"})
    assert b'"theirs": {"n": 1.50, "deep":[1,  2]}' in (store.folder / "a.json").read_bytes()
    assert store.entries["a.json"].value == 2


def test_what_would_be_broken_is_not_written(store: Store[JsonValue]) -> None:
    store.put("a.json", key(1))
    before = (store.folder / "a.json").read_bytes()
    with pytest.raises(Refused, match=r"'a\.json' needs type: key"):
        store.change("a.json", {"type": "other"})
    deep: JsonValue = 1
    for _ in range(40):
        deep = [deep]
    with pytest.raises(Refused, match="deeper than"):
        store.change("a.json", {"note": deep})
    with pytest.raises(Refused, match="would be larger"):
        store.change("a.json", {"note": "x" * 1_100_000})
    assert (store.folder / "a.json").read_bytes() == before
    assert store.entries["a.json"].value == 1


def test_whoever_was_slower_is_told(store: Store[JsonValue]) -> None:
    entry = store.put("a.json", key(1), expecting=NEW)
    with pytest.raises(Changed):
        store.put("a.json", key(2), expecting=NEW)
    store.change("a.json", {"value": 3}, expecting=entry.digest)
    with pytest.raises(Changed):
        store.change("a.json", {"value": 4}, expecting=entry.digest)
    assert store.entries["a.json"].value == 3
    with pytest.raises(Missing):
        store.change("b.json", {"value": 4})
    with pytest.raises(Missing):
        store.delete("b.json")


def test_T09_no_change_reaches_out_of_the_folder(store: Store[JsonValue]) -> None:
    outside = store.folder.parent / "a.json"
    outside.write_text("{}")
    for name in ("../a.json", str(outside), "homes/../../a.json", "a\0.json"):
        for act in (store.delete, lambda name: store.put(name, key(1)), lambda name: store.change(name, {"value": 2})):
            with pytest.raises(Refused, match="is no name"):
                act(name)
    assert outside.read_text() == "{}"
    (store.folder / "b.json").symlink_to(outside)
    with pytest.raises(Refused, match="symbolic link"):
        store.change("b.json", {"value": 2})
    store.put("b.json", key(1))
    assert outside.read_text() == "{}"


def test_T10_a_folder_of_somebody_else_is_not_read(store: Store[JsonValue], monkeypatch: pytest.MonkeyPatch) -> None:
    drop(store, "a.json", '{"type": "key", "value": 1}')
    assert said(store)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert said(store) == {"a.json": (1, None)}
    assert "belongs to another user" in str(store.fault)
    with pytest.raises(Refused, match=r"'a\.json' is not written: .*accounts belongs to another user"):
        store.put("a.json", key(2))


def test_T11_what_was_open_is_closed_and_told_once(store: Store[JsonValue]) -> None:
    drop(store, "a.json", '{"type": "key", "value": 1}')
    (store.folder / "a.json").chmod(0o644)
    store.folder.chmod(0o755)
    before, after = store.look()
    assert after["a.json"].remarks == ("was open to other users (mode 0644); now it is 0600",)
    assert store.remarks == (f"{store.folder} was open to other users (mode 0755); now it is 0700",)
    before, after = store.look()
    assert before == after
    assert store.remarks == ()


def test_T13_giants_and_bombs_do_no_harm_to_their_neighbours(store: Store[JsonValue]) -> None:
    drop(store, "a.json", '{"type": "key", "value": 1}')
    drop(store, "b.json", '{"type": "key", "value": "' + "x" * 1_100_000 + '"}')
    drop(store, "c.json", '{"type":' * 100_000)
    drop(store, "d.json", '{"type": "key", "value": 1e999}')
    found = said(store)
    assert found["a.json"] == (1, None)
    assert all(found[name][1] for name in ("b.json", "c.json", "d.json"))


def test_two_writes_within_one_tick_of_the_clock_are_two(store: Store[JsonValue]) -> None:
    drop(store, "a.json", '{"type": "key", "value": 1}')
    found = (store.folder / "a.json").stat()
    assert said(store) == {"a.json": (1, None)}
    with (store.folder / "a.json").open("r+") as file:
        file.write('{"type": "key", "value": 2}')
    os.utime(store.folder / "a.json", ns=(found.st_atime_ns, found.st_mtime_ns))
    assert said(store) == {"a.json": (2, None)}


def test_writers_in_threads_and_what_killed_ones_left(store: Store[JsonValue]) -> None:
    (store.folder / ".a.json.tmp.0123").write_text("half of it")
    store.put("a.json", Document.of({"type": "key"}))

    def write(number: int) -> None:
        for _ in range(20):
            store.change("a.json", {f"n{number}": time.time()})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    document = store.entries["a.json"].document
    assert document is not None
    assert set(document.fields) == {"type", "n0", "n1", "n2", "n3"}
    assert [path.name for path in store.folder.iterdir()] == ["a.json"]


def test_five_hundred_files_within_a_second(store: Store[JsonValue]) -> None:
    for number in range(500):
        drop(store, f"{number}.json", key(number, note="x" * 500).render().decode())
    seconds = []
    for _ in range(3):  # the best of a few: how busy the machine is besides is not what is measured
        fresh = Store(store.folder, interpret)
        start = time.monotonic()
        fresh.look()
        assert len(fresh.entries) == 500
        seconds.append((time.monotonic() - start) / slowness())
    assert min(seconds) < 1.0
