"""What YAML may not say here, and where nodes begin and end."""

from __future__ import annotations

import pytest

from proxy.config.complaints import Complaints
from proxy.config.nodes import DEPTH_MAX, NODES_MAX, Mapping, Node, Scalar, Sequence, compose, json_of
from proxy.errors import ConfigError

ALIAS = "has an anchor (&) or an alias (*); write the value out"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{below}'] * 9)}]\n" for below, name in zip("abcdef", "bcdefg", strict=True)
)


def complaints_of(text: str) -> list[str]:
    complaints = Complaints("c")
    compose(text, complaints)
    try:
        complaints.raise_if_any()
    except ConfigError as error:
        return error.message.splitlines()
    return []


def good(text: str) -> Node | None:
    complaints = Complaints("c")
    node = compose(text, complaints)
    complaints.raise_if_any()
    return node


def test_an_alias_bomb_of_a_few_hundred_bytes_is_only_complained_of() -> None:
    assert len(BOMB) < 300
    assert complaints_of(BOMB) == [f"c:{line}: {ALIAS}" for line in range(1, 8)]


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        ("a: &x 1\nb: *x", [f"c:1: {ALIAS}", f"c:2: {ALIAS}"]),
        ("a: *nowhere", [f"c:1: {ALIAS}"]),
        ("a: !!str 5", ["c:1: has a tag (!); types follow from the setting"]),
        (
            "a: !x y\nb: !!python/object/apply:os.system [id]",
            [f"c:{n}: has a tag (!); types follow from the setting" for n in (1, 2)],
        ),
        ("<<: {a: 1}", ["c:1: has a merge key (<<); write the values out"]),
        ("a: 1\nb: 2\na: 3", ["c:3: a is written twice; first in line 1"]),
        ("x:\n  a: 1\n  'a': 3", ["c:3: a is written twice; first in line 2"]),
        ("[a]: 1", ["c:1: has a list or an object for a key"]),
        ("? {a: 1}\n: 1", ["c:1: has a list or an object for a key"]),
        ("a: 1\n---\nb: 2", ["c:2: begins a second document; a config is one"]),
        ("a: " + "[" * 40, [f"c:1: is nested deeper than {DEPTH_MAX} levels"]),
        ("[" * 100_000, [f"c:1: is nested deeper than {DEPTH_MAX} levels"]),
        ("\n".join("  " * n + "a:" for n in range(40)), [f"c:32: is nested deeper than {DEPTH_MAX} levels"]),
        ("a: [" + "x," * NODES_MAX + "]", [f"c:1: is the {NODES_MAX + 1}th value; so many are not read"]),
        ('a: "\\uD800"', ["c:1: holds one half of a surrogate pair, which is no character"]),
        ('a: "\\UFFFFFFFF"', ["c:1: is no YAML"]),
        ("a: 1\nb: \x00", ["c:2: holds a character that no text has; is it a text file in UTF-8?"]),
        ("a: 1\n\tb: 2", ["c:2: is no YAML: a tab where a value begins; indent with blanks"]),
        ("a: b: c", ["c:1: is no YAML: mapping values are not allowed here"]),
        (
            "a: 1\nb: [1,\nc: 2",
            [
                (
                    "c:3: is no YAML: expected ',' or ']', but got '<stream end>', "
                    "while parsing a flow sequence that begins in line 2"
                )
            ],
        ),
        (
            "a: 'x",
            ["c:1: is no YAML: found unexpected end of stream, while scanning a quoted scalar that begins in line 1"],
        ),
        (
            "a: %x",
            ["c:1: is no YAML: found character '%' that cannot start any token"],
        ),
        (
            "a:\n  - 1\n b: 2",
            [
                (
                    "c:3: is no YAML: expected <block end>, but found '<block mapping start>', "
                    "while parsing a block mapping that begins in line 1"
                )
            ],
        ),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, str) else "",
)
def test_what_is_not_read(text: str, complaints: list[str]) -> None:
    assert complaints_of(text) == complaints


def test_nothing_is_a_document_without_content() -> None:
    assert [good(text) for text in ("", "# only a comment\n", "\n\n")] == [None, None, None]
    assert json_of(good("---\n") or Mapping(line=0, start=0, end=0, entries=(), is_flow=True)) is None


def test_values_follow_the_core_schema() -> None:
    text = """
    nothing: [~, null, ]
    flags: [true, FALSE, yes, on, 'true']
    whole: [0, -1, +7, 12345678901234567890]
    texts: [0x1f, 0o17, 007a, 1_000, 12:30, 2020-01-02, .inf, .nan, 1e999, '1', "2"]
    numbers: [1.5, 1e3, -.5, 1.]
    lines: |
      a
      b
    """
    assert json_of(good(text) or pytest.fail("nothing")) == {
        "nothing": [None, None],
        "flags": [True, False, "yes", "on", "true"],
        "whole": [0, -1, 7, 12345678901234567890],
        "texts": ["0x1f", "0o17", "007a", "1_000", "12:30", "2020-01-02", ".inf", ".nan", "1e999", "1", "2"],
        "numbers": [1.5, 1000.0, -0.5, 1.0],
        "lines": "a\nb\n",
    }


def spans(text: str) -> dict[str, tuple[int, str]]:
    """Key → line and text of the value, for each key in `text`."""
    found: dict[str, tuple[int, str]] = {}

    def walk(node: Node) -> None:
        match node:
            case Mapping():
                for entry in node.entries:
                    found[entry.key.text] = (entry.value.line, text[entry.value.start : entry.value.end])
                    walk(entry.value)
            case Sequence():
                for item in node.items:
                    walk(item)
            case Scalar():
                pass

    walk(good(text) or pytest.fail("nothing"))
    return found


def test_a_node_ends_with_its_content_not_with_the_comment_behind_it() -> None:
    text = (
        "a: é # c\nb: # d\n  - x\n  - y: 'q'  # e\n\n# f\nc: [1, # g\n  2]\nd: |\n  l1\n\n  l2\n\n# h\ne:\nf: >-\n  z"
    )
    assert spans(text) == {
        "a": (1, "é"),
        "b": (3, "- x\n  - y: 'q'"),
        "y": (4, "'q'"),
        "c": (7, "[1, # g\n  2]"),
        "d": (9, "|\n  l1\n\n  l2"),
        "e": (15, ""),
        "f": (16, ">-\n  z"),
    }
