from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.unicode import SurrogateJoiner, well_formed


def halves(text: str) -> str:
    """As a JSON decoder gives text whose pairs came in two strings."""
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(chr(units[i] << 8 | units[i + 1]) for i in range(0, len(units), 2))


def joined(pieces: list[str]) -> str:
    joiner = SurrogateJoiner()
    return "".join([*(joiner.feed(piece) for piece in pieces), joiner.finish()])


@given(st.text(st.characters(codec="utf-8")), st.lists(st.integers(0, 60)))
def test_pairs_come_together_whatever_the_cuts(text: str, cuts: list[int]) -> None:
    split = halves(text)
    edges = [0, *sorted(min(cut, len(split)) for cut in cuts), len(split)]
    assert joined([split[start:end] for start, end in pairwise(edges)]) == text
    assert well_formed(split) == text


@given(st.lists(st.text(st.characters(categories=("Cs", "Lu", "So")))))
def test_what_comes_out_can_be_encoded(pieces: list[str]) -> None:
    text = joined(pieces)
    assert text == well_formed("".join(pieces))
    assert text.encode().decode() == text


def test_a_half_waits_for_the_other() -> None:
    joiner = SurrogateJoiner()
    assert joiner.feed("a\ud83d") == "a"
    assert joiner.feed("") == ""
    assert joiner.feed("\ude00b") == "\U0001f600b"
    assert joiner.finish() == ""


def test_a_half_that_waits_in_vain_is_replaced() -> None:
    joiner = SurrogateJoiner()
    assert joiner.feed("\ud83d") == ""
    assert joiner.finish() == "\ufffd"
    assert joiner.finish() == ""


def test_a_half_in_the_middle_is_replaced() -> None:
    assert well_formed("a\ud83db\ude00c") == "a\ufffdb\ufffdc"
    assert SurrogateJoiner().feed("\ude00x") == "\ufffdx"
