from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from proxy.dispatch.relay import _SPEECH
from proxy.dispatch.sameness import Sameness

TAP = _SPEECH["openai_chat"].tap
END = b"\n\n"


def frame(text: str, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + msgspec.json.encode({"id": "c", "choices": [choice], **more})


def taught(by: bytes) -> Sameness:
    sameness = Sameness()
    sameness.learn(by)
    return sameness


def test_other_words_are_the_same() -> None:
    sameness = taught(frame("a"))
    assert all(sameness.fits(frame(text)) for text in ("", "b", "a longer one", "ü", "{}[]:"))


def test_what_is_not_the_same_is_looked_at() -> None:
    sameness = taught(frame("a"))
    assert not sameness.fits(frame('a "quoted" word'))
    assert not sameness.fits(frame("a").replace(b"null", b'"stop"'))
    assert not sameness.fits(frame("a", usage={"prompt_tokens": 1}))
    assert not sameness.fits(frame("a") + frame("b"))
    assert not sameness.fits(frame("a")[:-1])
    assert not sameness.fits(b"data: [DONE]")
    assert not Sameness().fits(b"x")
    assert Sameness().fits(b"")


def test_nothing_is_learnt_of_what_has_no_words() -> None:
    for other in (b"data: [DONE]", frame("with \\ in it"), b'data: {"content":"'):
        assert not taught(other).fits(other)


@given(st.lists(st.text(max_size=20), max_size=10), st.data())
def test_what_fits_holds_nothing_that_is_looked_for(texts: list[str], data: st.DataObject) -> None:
    sameness = Sameness()
    for text in texts:
        told = frame(text)
        if data.draw(st.booleans()):
            told = data.draw(
                st.sampled_from(
                    [
                        told.replace(b"null", b'"stop"'),
                        frame(text, usage={"x": 1}),
                        frame(text, error={"a": 1}),
                        told[:-3],
                    ]
                )
            )
        if sameness.fits(told):
            assert TAP.search(told) is None
        elif TAP.search(told) is None:
            sameness.learn(told)


def test_one_frame_with_its_end_is_known_at_once() -> None:
    sameness = taught(frame("a"))
    assert all(sameness.is_one(frame(text) + END) for text in ("", "b", "ü", "{}[]:"))
    assert not Sameness().is_one(b"")
    assert not sameness.is_one(frame("b"))
    assert not sameness.is_one(frame("b") + END + frame("c") + END)
    assert not sameness.is_one(frame("b").replace(b'"b"', b'"\r"') + END)
    assert not sameness.is_one(frame("b").replace(b'"b"', b'"\n\ndata: [DONE]\n\n"') + END)
    assert not sameness.is_one(b": ping" + END)


@given(st.lists(st.text('ab"\\\r\n{}', max_size=6), max_size=4), st.integers(0, 400), st.integers(0, 400))
def test_what_is_one_fits_whatever_it_is_cut_from(texts: list[str], start: int, end: int) -> None:
    sameness = taught(frame("a"))
    block = b"".join(frame(text) + END for text in texts)
    for part in (block, block[start:end], frame("a")[:start] + block):
        if sameness.is_one(part):
            assert part.endswith(END)
            assert part.count(END) == 1
            assert sameness.fits(part.removesuffix(END))
            assert TAP.search(part) is None
