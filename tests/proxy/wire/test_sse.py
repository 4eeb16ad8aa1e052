from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire import sse
from proxy.wire.sse import SseEvent, SseSplitter, SseTooLong

LINES = st.sampled_from([
    b"data: one", b"data:two", b"data:  three", b"data", b"data:", b"event: ping", b"event:delta ", b": comment",
    b"id: 7", b"retry: 10", b"nonsense", b"", b"", "data: \u00e9\U0001f600".encode(),
])  # fmt: skip
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    return b"".join(draw(LINES) + draw(ENDS) for _ in range(draw(st.integers(0, 20))))


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def split(chunks: list[bytes]) -> list[SseEvent]:
    splitter = SseSplitter()
    return [event for chunk in chunks for event in splitter.feed(chunk)] + splitter.finish()


def by_the_book(data: bytes) -> list[SseEvent]:
    """The WHATWG's algorithm, on the whole stream at once. A last event without its blank line counts, too."""
    events: list[SseEvent] = []
    kind, held = b"", []
    for line in [*re.split(rb"\r\n|\r|\n", data), b""]:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if held:
                events.append(SseEvent(kind, b"\n".join(held)))
            kind, held = b"", []
        elif name == b"data":
            held.append(value)
        elif name == b"event":
            kind = value.strip()
    return events


@given(streams(), st.lists(st.integers(0, 400)))
def test_any_rechunking_gives_the_same_events(data: bytes, cuts: list[int]) -> None:
    assert split(pieces(data, cuts)) == split([data]) == by_the_book(data)


def test_a_line_end_cut_between_cr_and_lf_is_one() -> None:
    splitter = SseSplitter()
    assert splitter.feed(b"data: a\r") == []
    assert splitter.feed(b"\n") == []
    assert splitter.feed(b"\r") == [SseEvent(b"", b"a")]
    assert splitter.feed(b"\ndata: b\r\n\r\n") == [SseEvent(b"", b"b")]


def test_two_carriage_returns_are_two_line_ends_at_once() -> None:
    assert SseSplitter().feed(b"data: a\r\r") == [SseEvent(b"", b"a")]


def test_several_data_lines_are_one_text() -> None:
    assert SseSplitter().feed(b"data: a\ndata:b\ndata\n\n") == [SseEvent(b"", b"a\nb\n")]


def test_one_space_after_the_colon_is_no_data() -> None:
    assert SseSplitter().feed(b"data:  a\n\n") == [SseEvent(b"", b" a")]


def test_an_event_keeps_its_type_for_itself() -> None:
    events = SseSplitter().feed(b"event: x\ndata: 1\n\ndata: 2\n\nevent: lost\n\ndata: 3\n\n")
    assert events == [SseEvent(b"x", b"1"), SseEvent(b"", b"2"), SseEvent(b"", b"3")]


def test_comments_are_counted_and_dropped() -> None:
    splitter = SseSplitter()
    assert splitter.feed(b": ping\n\n:\ndata: 1\n\n") == [SseEvent(b"", b"1")]
    assert splitter.comments == 2


def test_a_byte_order_mark_is_no_data() -> None:
    assert SseSplitter().feed(b"\xef\xbb\xbfdata: 1\n\n") == [SseEvent(b"", b"1")]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
def test_a_last_event_without_its_blank_line_counts(end: bytes) -> None:
    splitter = SseSplitter()
    assert splitter.feed(b"data: 1" + end) == []
    assert splitter.finish() == [SseEvent(b"", b"1")]
    assert splitter.finish() == []


def test_a_code_point_may_be_cut() -> None:
    data = "data: \U0001f600\n\n".encode()
    assert split([data[:8], data[8:]]) == [SseEvent(b"", "\U0001f600".encode())]


def test_an_endless_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LINE_BYTES_MAX", 100)
    splitter = SseSplitter()
    splitter.feed(b"data: " + b"x" * 90)
    with pytest.raises(SseTooLong, match="100 bytes"):
        splitter.feed(b"x" * 10)


def test_an_event_of_endless_lines_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LINE_BYTES_MAX", 100)
    splitter = SseSplitter()
    with pytest.raises(SseTooLong, match="100 bytes"):
        [splitter.feed(b"data: x\n") for _ in range(20)]


def test_many_small_pieces_take_linear_time() -> None:
    """A line of a megabyte in pieces of ten bytes: joined once, not once a piece."""
    splitter = SseSplitter()
    for _ in range(100_000):
        assert splitter.feed(b"0123456789") == []
    assert splitter.feed(b"\n\n") == []
