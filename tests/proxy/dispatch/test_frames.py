from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dispatch.frames import HELD_BYTES_MAX, FrameCutter, FrameTooLong, frame_at, frames, payloads

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


@given(
    st.lists(st.sampled_from([b"data: a", b"data: bb", b": c", b"event: d\ndata: e"]), min_size=1, max_size=8),
    st.data(),
)
def test_a_byte_stands_in_its_frame(written: list[bytes], data: st.DataObject) -> None:
    ends = [data.draw(st.sampled_from([b"\n\n", b"\r\n\r\n"])) for _ in written]
    whole = [frame + end for frame, end in zip(written, ends, strict=True)]
    block = b"".join(whole)
    number = data.draw(st.integers(0, len(whole) - 1))
    start = sum(map(len, whole[:number]))
    position = start + data.draw(st.integers(0, len(written[number]) - 1))
    assert block[frame_at(block, position)] == whole[number]
