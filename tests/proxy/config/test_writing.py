from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.complaints import Complaints
from proxy.config.nodes import compose, json_of
from proxy.config.settings import JsonValue
from proxy.config.writing import block, inline

LOOKALIKES = [
    "yes",
    "~",
    "null",
    "1:30",
    "1e3",
    "0x1",
    "---",
    "...",
    "a: b",
    "#a",
    "-",
    "- a",
    "2020-01-02",
    "=",
    "<<",
    "y",
    "",
    " a",
    "a ",
    "é",
    "\u2028",
    "\x85",
    "a\nb\n",
    "\t",
    "*a",
    "&a",
    "!a",
    "%a",
    "@a",
    "`a",
    "{",
    "]",
    ",",
    "?",
    "'",
    '"',
]
TEXTS = st.text() | st.sampled_from(LOOKALIKES)
LEAVES = st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    LEAVES | TEXTS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=8
)


def read(text: str) -> JsonValue:
    complaints = Complaints("c")
    node = compose(text, complaints)
    complaints.raise_if_any()
    assert node is not None
    return json_of(node)


@given(VALUES)
def test_what_is_written_is_read_back(value: JsonValue) -> None:
    assert read(inline(value)) == value
    assert read("\n".join(block(value))) == value
    assert read(f"key: {inline(value)} # comment") == {"key": value}
    assert read(f"[{inline(value)}, {{a: {inline(value)}}}]") == [value, {"a": value}]


@given(TEXTS)
def test_other_readers_see_the_same_text(text: str) -> None:
    assert yaml.safe_load(inline(text)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("https://api.example.com/v1", "https://api.example.com/v1"),
        ("yes", '"yes"'),
        ("1e3", '"1e3"'),
        ("a b", '"a b"'),
        (None, "null"),
        (True, "true"),
        ([1, {"a": "b"}, []], "[1, {a: b}, []]"),
    ],
)
def test_inline(value: JsonValue, text: str) -> None:
    assert inline(value) == text


def test_block() -> None:
    value: JsonValue = {"a": [1, {"b": 2, "c": [3]}, [4, [5]], [], {}], "d": {"e": {}}}
    assert block(value) == [
        "a:",
        "  - 1",
        "  - b: 2",
        "    c:",
        "      - 3",
        "  - - 4",
        "    - - 5",
        "  - []",
        "  - {}",
        "d:",
        "  e: {}",
    ]
