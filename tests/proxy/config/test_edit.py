"""An edit changes what it names, and nothing else."""

from __future__ import annotations

import difflib
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.complaints import Complaints
from proxy.config.edit import Append, Edit, Place, Put, Remove, changed, edited, spelled
from proxy.config.nodes import Mapping, Node, Scalar, Sequence, compose, json_of
from proxy.config.sample import sample
from proxy.config.settings import JsonValue
from proxy.errors import ConfigError

TEXT = """\
# mine
host: 127.0.0.1   # where
port: 8317 # p

tls:
  enable: false
  #cert: x

claude-api-key:
  # first
  - api-key: a # A
    weight: 2
  # second
  - api-key: b
    models: [{name: x, alias: y}]

api-keys: [a, b] # two
debug:
"""


def difference(*edits: Edit, text: str = TEXT) -> str:
    """The lines that the edits take away (-) and bring (+), each with what stands above it."""
    after = edited(text.encode(), edits).decode()
    lines = difflib.unified_diff(text.splitlines(), after.splitlines(), n=0, lineterm="")
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


def lines(text: str) -> str:
    return textwrap.dedent(text).strip("\n")


TRANSCRIPT: dict[str, tuple[Edit, str]] = {
    "a value": (Put(("port",), 1), "-port: 8317 # p\n+port: 1 # p"),
    "a value keeps the blanks around it": (
        Put(("host",), "::"),
        '-host: 127.0.0.1   # where\n+host: "::"   # where',
    ),
    "a value where there was none": (Put(("debug",), True), "-debug:\n+debug: true"),
    "a value in an item": (Put(("claude-api-key", 0, "weight"), 9), "-    weight: 2\n+    weight: 9"),
    "a value inside brackets": (
        Put(("claude-api-key", 1, "models", 0, "alias"), "a b"),
        '-    models: [{name: x, alias: y}]\n+    models: [{name: x, alias: "a b"}]',
    ),
    "a value that becomes a block": (
        Put(("port",), {"a": [1]}),
        "-port: 8317 # p\n+port: # p\n+  a:\n+    - 1",
    ),
    "a block that becomes a value": (
        Put(("tls",), None),
        "-tls:\n-  enable: false\n+tls: null",
    ),
    "a new key": (Put(("strict",), True), "+strict: true"),
    "a new key in a group": (Put(("tls", "key"), "/k"), "+  key: /k"),
    "a new key in an item": (Put(("claude-api-key", 0, "prefix"), "p"), "+    prefix: p"),
    "a new key and the group for it": (
        Put(("remote-management", "secret-key"), "$2b$12$x"),
        '+remote-management:\n+  secret-key: "$2b$12$x"',
    ),
    "below the line where it is off": (Put(("tls", "cert"), "/c"), "+  cert: /c"),
    "an item": (
        Append(("claude-api-key",), {"api-key": "c", "headers": {"A": "b"}}),
        "+  - api-key: c\n+    headers:\n+      A: b",
    ),
    "an item inside brackets": (Append(("api-keys",), "c"), "-api-keys: [a, b] # two\n+api-keys: [a, b, c] # two"),
    "an item of a new list": (Append(("codex-api-key",), {"api-key": "k"}), "+codex-api-key:\n+  - api-key: k"),
    "brackets that become a block": (
        Put(("api-keys",), [{"api-key": "a"}]),
        "-api-keys: [a, b] # two\n+api-keys: # two\n+  - api-key: a",
    ),
    "a key taken out": (Remove(("port",)), "-port: 8317 # p"),
    "the first key of an item taken out": (
        Remove(("claude-api-key", 0, "api-key")),
        "-  - api-key: a # A\n-    weight: 2\n+  - weight: 2",
    ),
    "the last key of a group taken out": (Remove(("tls", "enable")), "-tls:\n-  enable: false\n+tls: {}"),
    "an item taken out": (Remove(("claude-api-key", 0)), "-  - api-key: a # A\n-    weight: 2"),
    "an item inside brackets taken out": (Remove(("api-keys", 0)), "-api-keys: [a, b] # two\n+api-keys: [b] # two"),
}


@pytest.mark.parametrize(("edit", "expected"), TRANSCRIPT.values(), ids=TRANSCRIPT)
def test_transcript(edit: Edit, expected: str) -> None:
    assert difference(edit) == expected


def test_where_a_new_key_goes() -> None:
    after = edited(TEXT.encode(), [Put(("tls", "cert"), "/c")]).decode()
    assert "  #cert: x\n  cert: /c\n" in after


def test_in_the_shipped_file_a_setting_goes_on_below_its_own_description() -> None:
    edits = [
        Put(("proxy-url",), "socks5://h:1"),
        Append(("claude-api-key",), {"api-key": "k"}),
        Append(("api-keys",), "c"),
    ]
    after = edited(sample().encode(), edits).decode()
    assert "#proxy-url: socks5://user:password@127.0.0.1:1080\nproxy-url: socks5://h:1\n\n# Log more" in after
    assert "#  - api-key: the-key-of-your-account\nclaude-api-key:\n  - api-key: k\n\n# OpenAI" in after
    assert "#    strict: false\napi-keys:\n  - c\n\n# File with" in after


def test_edits_follow_one_another() -> None:
    edits = [Remove(("claude-api-key", 0)), Remove(("claude-api-key", 0)), Append(("claude-api-key",), "z")]
    after = edited(TEXT.encode(), edits).decode()
    assert "claude-api-key:\n  - z\n  # first\n  # second\n" in after


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_line_ends_and_a_byte_order_mark_stay(newline: str, end: str) -> None:
    raw = ("\ufeff" + newline.join(["port: 1", "debug: true"]) + end.replace("\n", newline)).encode()
    after = edited(raw, [Put(("strict",), True), Put(("port",), 2)])
    expected = newline.join(["\ufeffport: 2", "debug: true", "strict: true", ""])
    assert after.decode().startswith(expected)
    assert set(after.decode()[len(expected) :]) <= set(newline)


@pytest.mark.parametrize("text", ["", "# only\n", "---\n", "# no line end"])
def test_into_an_empty_file(text: str) -> None:
    assert (
        edited(text.encode(), [Put(("port",), 1)]).decode()
        == (text + "\n" if text[-3:] == "end" else text) + "port: 1\n"
    )


IMPOSSIBLE: dict[str, tuple[Edit, str]] = {
    "no such key": (Remove(("nothing",)), "there is no nothing"),
    "no such item": (Put(("claude-api-key", 7, "weight"), 1), r"there is no claude-api-key\[7\]\.weight"),
    "no such item to take out": (Remove(("api-keys", 2)), r"there is no api-keys\[2\]"),
    "below a text": (Put(("host", "x"), 1), r"there is no host\.x"),
    "an item of no list": (Append(("port",), 1), "port is no list"),
    "everything": (Put((), 1), "cannot be edited in the way that the file is written; do it by hand"),
}


@pytest.mark.parametrize(("edit", "why"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_cannot_be_is_refused(edit: Edit, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        edited(TEXT.encode(), [edit])


def test_a_faulty_file_is_not_edited() -> None:
    with pytest.raises(ConfigError, match=r"^my\.yaml:1: is no YAML"):
        edited(b"a: b: c", [Put(("port",), 1)], name="my.yaml")


# ── the law, over texts as people write them ──────────────────────────────────────────────────────────────────────

WORDS = ["a", "b c", "'q'", '"d: #"', "0", "-1.5", "true", "~", "http://x:1/y", "é"]
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.sampled_from(["t", "two words", "yes", "", "l1\nl2", "#"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def comments(draw: st.DrawFn) -> list[str]:
    return draw(st.lists(st.sampled_from(["", "# c", "#k0: off", "#  # deep"]), max_size=2))


@st.composite
def trailing(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(["", "", " # t", "   #t", " "]))


@st.composite
def flows(draw: st.DrawFn) -> str:
    return draw(
        st.sampled_from(["[]", "{}", "[a, 'b']", "{k0: 1, k1: [x]}", "[{k0: a}, {k0: b, k1: c}]", "[a,\n    b]"])
    )


@st.composite
def values(draw: st.DrawFn, depth: int) -> list[str]:
    """Lines of a value: the first goes behind the colon or dash (it may be empty), the others below it."""
    form = draw(
        st.sampled_from(["word", "word", "nothing", "flow", "text", "mapping", "sequence"] if depth else ["word"])
    )
    tail = draw(trailing())
    match form:
        case "word":
            return [draw(st.sampled_from(WORDS)) + tail]
        case "flow":
            return (draw(flows()) + tail).split("\n")
        case "text":
            return ["|" if draw(st.booleans()) else ">-", "  l1", "", "  l2"]
        case "mapping" | "sequence":
            inner = draw(mappings(depth - 1) if form == "mapping" else sequences(depth - 1))
            step = draw(st.sampled_from([2, 4] if form == "mapping" else [0, 2]))
            return [tail, *(" " * step + line if line else "" for line in inner)]
    return [tail]


@st.composite
def mappings(draw: st.DrawFn, depth: int) -> list[str]:
    found: list[str] = []
    for index in range(draw(st.integers(1, 3))):
        first, *rest = draw(values(depth))
        found += [*draw(comments()), f"k{index}: {first}".rstrip(" ") if first.strip() else f"k{index}:{first}", *rest]
    return found


@st.composite
def sequences(draw: st.DrawFn, depth: int) -> list[str]:
    found: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        found += draw(comments())
        if depth and draw(st.booleans()):
            inner = draw(mappings(depth - 1))
            head = inner[0] if inner[0] and not inner[0].startswith("#") else None
            first, rest = (f"- {head}", inner[1:]) if head else ("-", inner)
            found += [first, *("  " + line if line else "" for line in rest)]
        else:
            first, *rest = draw(values(0))
            found += [f"- {first}", *rest]
    return found


@st.composite
def documents(draw: st.DrawFn) -> str:
    text = "\n".join([*draw(comments()), *draw(mappings(3)), *draw(comments())])
    # A last line end that is missing belongs to the value of a block of lines: nothing can be added behind it.
    return text + draw(st.sampled_from(["", "\n"])) if not text.endswith("l2") else text + "\n"


def nodes(node: Node, place: Place = ()) -> dict[Place, Node]:
    found = {place: node}
    match node:
        case Mapping():
            for entry in node.entries:
                found |= nodes(entry.value, (*place, entry.key.text))
        case Sequence():
            for index, item in enumerate(node.items):
                found |= nodes(item, (*place, index))
        case Scalar():
            pass
    return found


@st.composite
def edits(draw: st.DrawFn, found: dict[Place, Node]) -> Edit:
    place = draw(st.sampled_from(sorted((place for place in found if place), key=repr)))
    node = found[place]
    forms = ["put", "remove"]
    if isinstance(node, Mapping) or (isinstance(node, Scalar) and node.is_null):
        forms += ["add"] * 2
    if isinstance(node, Sequence) or (isinstance(node, Scalar) and node.is_null):
        forms += ["append"] * 2
    match draw(st.sampled_from(forms)):
        case "add":
            return Put((*place, draw(st.sampled_from(["new", "k0", "k9"]))), draw(VALUES))
        case "append":
            return Append(place, draw(VALUES))
        case "remove":
            return Remove(place)
        case _:
            return Put(place, draw(VALUES))


def composed(text: str) -> Node:
    complaints = Complaints("c")
    node = compose(text, complaints)
    complaints.raise_if_any()
    return node or Mapping(line=1, start=0, end=0, entries=(), is_flow=False)


def named_lines(text: str, found: dict[Place, Node], edit: Edit) -> range:
    """The lines, from 0, of what an edit names. None of them may be missed when the edit only adds."""
    place = edit.place
    if isinstance(edit, Remove):
        while len(place) > 1 and len(inner(found[place[:-1]])) == 1:
            place = place[:-1]  # the last one goes, and leaves [] or {} in the place of its parent
    else:
        while place not in found:
            place = place[:-1]
    for depth in range(len(place)):
        node = found[place[:depth]]
        if isinstance(node, Sequence | Mapping) and node.is_flow:
            place = place[:depth]
            break
    node = found[place]
    only_adds = isinstance(edit, Append) or edit.place not in found
    if only_adds and inner(node) and not (isinstance(node, Sequence | Mapping) and node.is_flow):
        return range(0)
    first = text.count("\n", 0, node.start)
    parent = found[place[:-1]] if place else None
    if isinstance(parent, Mapping) and (entry := parent.get(str(place[-1]))):
        first = text.count("\n", 0, entry.key.start)
    elif parent is not None:
        before = text[: node.start].split("\n")
        while "-" not in before[first] or before[first].lstrip().startswith("#"):
            first -= 1  # the dash stands above
    last = text.count("\n", 0, node.end)
    if isinstance(edit, Remove) and isinstance(parent, Mapping) and parent.entries[0].value is node:
        following = parent.entries[1].key.start if len(parent.entries) > 1 else node.end
        if "-" in text[text.rfind("\n", 0, parent.start) + 1 : parent.start]:
            last = text.count("\n", 0, following)  # it moves up to the dash
    return range(first, last + 1)


def inner(node: Node) -> tuple[object, ...]:
    match node:
        case Mapping():
            return node.entries
        case Sequence():
            return node.items
    return ()


def keeps_the_rest(before: str, after: str, named: range) -> bool:
    """All lines but the named ones stand there still, in order; where none is named, new ones stand together."""
    old, new = before.splitlines(), after.splitlines()
    if named:
        head, tail = old[: named.start], old[named.stop :]
        return len(head) + len(tail) <= len(new) and new[: len(head)] == head and new[len(new) - len(tail) :] == tail
    added = len(new) - len(old)
    return any(new[:index] + new[index + added :] == old for index in range(len(old) + 1))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_random_edit_changes_only_what_it_names(data: st.DataObject) -> None:
    text = data.draw(documents())
    found = nodes(composed(text))
    edit = data.draw(edits(found))
    after = edited(text.encode(), [edit]).decode()
    assert json_of(composed(after)) == changed(json_of(found[()]), edit)
    assert keeps_the_rest(text, after, named_lines(text, found, edit)), f"{edit}\n{text}\n--- became ---\n{after}"


def test_places_are_spelled_as_in_complaints() -> None:
    assert spelled(("claude-api-key", 0, "models", 3, "name")) == "claude-api-key[0].models[3].name"
