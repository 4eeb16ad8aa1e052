from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.hub.custom import Unwrapper, unwrapped, wrapped

TEXTS = st.text(st.characters(codec="utf-8"))


def unwrap_in_pieces(arguments: str, cuts: list[int]) -> str:
    unwrapper = Unwrapper()
    edges = [0, *sorted(min(cut, len(arguments)) for cut in cuts), len(arguments)]
    return "".join(unwrapper.feed(arguments[start:end]) for start, end in itertools.pairwise(edges))


@given(TEXTS, st.lists(st.integers(0, 300)), st.booleans())
def test_a_text_comes_out_as_it_went_in_whatever_the_cuts(text: str, cuts: list[int], is_ascii: bool) -> None:
    arguments = msgspec.json.encode(wrapped(text)).decode()
    if is_ascii:
        arguments = '{ "input" :  "' + ascii_json(text) + '" }'
    assert unwrapped(arguments) == text
    assert unwrap_in_pieces(arguments, cuts) == text


def ascii_json(text: str) -> str:
    units = text.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


@pytest.mark.parametrize(
    "arguments",
    ["", "ls -la", '{"inp', '{"cmd": "l', '{"cmd": "ls"}', '{"input": 4}', '{"input": "a", "more": 1}', "[1]"],
)
def test_what_is_no_wrapping_stays_as_it_is(arguments: str) -> None:
    assert unwrapped(arguments) == arguments


def test_of_what_was_cut_the_text_goes_as_far_as_it_goes() -> None:
    assert unwrapped('{"input": "ls -l') == "ls -l"


@given(st.lists(st.integers(0, 20)))
def test_fragments_of_what_is_no_wrapping_pass_through(cuts: list[int]) -> None:
    assert unwrap_in_pieces('{"cmd": "ls -la /"}', cuts) == '{"cmd": "ls -la /"}'


def test_the_text_is_not_held_back() -> None:
    unwrapper = Unwrapper()
    assert unwrapper.feed('{"input": "*** Beg') == "*** Beg"
    assert unwrapper.feed("in Patch\\") == "in Patch"
    assert unwrapper.feed('n+x"}') == "\n+x"
