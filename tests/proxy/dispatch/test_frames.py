from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dispatch.frames import HELD_BYTES_MAX, FrameCutter, FrameTooLong, frames, payloads

COMPLETE = b'event: a\ndata: {"x":1}\n\ndata: 2\r\n\r\n: ping\n\ndata: 3\r\rdata: 4\n\n'
REST = b"data: unfinished"


@given(st.lists(st.integers(1, 20), min_size=1))
def test_wherever_it_is_cut_only_whole_frames_pass(sizes: list[int]) -> None:
    cutter, passed, at = FrameCutter(), [], 0
    source = COMPLETE + REST
    for size in sizes * len(source):
        passed.append(cutter.feed(source[at : at + size]))
        at += size
    assert b"".join(passed) == COMPLETE
    assert all(each.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")) for each in passed if each)
    assert cutter.finish() == REST
    assert cutter.finish() == b""


def test_a_frame_without_an_end_is_bounded() -> None:
    cutter = FrameCutter()
    cutter.feed(b"x" * HELD_BYTES_MAX)
    with pytest.raises(FrameTooLong):
        cutter.feed(b"x")


def test_frames_keep_their_ends() -> None:
    assert list(frames(COMPLETE)) == [
        b'event: a\ndata: {"x":1}\n\n', b"data: 2\r\n\r\n", b": ping\n\n", b"data: 3\r\r", b"data: 4\n\n"
    ]  # fmt: skip
    assert b"".join(frames(COMPLETE + REST)) == COMPLETE + REST


def test_payloads_are_the_data_alone() -> None:
    assert payloads(COMPLETE) == [b'{"x":1}', b"2", b"3", b"4"]
