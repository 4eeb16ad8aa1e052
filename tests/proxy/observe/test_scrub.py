from __future__ import annotations

import base64
import html
import json  # noqa: TID251 - as other programs write it
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import quote, quote_plus

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from auth.secret import Secret
from proxy.observe.scrub import CLEAN_MAX, MARK, Scrubber

KEY = "correct-horse-battery-staple"

ENCODERS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": json.dumps,
    "json, UTF-8": lambda text: msgspec.json.encode(text).decode(),
    "json in json": lambda text: json.dumps(json.dumps(text)),
    "url": lambda text: quote(text, safe=""),
    "path": quote,
    "form": quote_plus,
    "html": html.escape,
    "hex": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "basic": lambda text: base64.b64encode(b"me:" + text.encode()).decode(),
    "repr": repr,
}

secrets = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="•"), min_size=8, max_size=80)
prose = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="•"), max_size=60)


@given(secret=secrets, before=prose, after=prose, encoder=st.sampled_from(sorted(ENCODERS)))
def test_no_registered_secret_survives_in_any_encoding(secret: str, before: str, after: str, encoder: str) -> None:
    written = ENCODERS[encoder](secret)
    if encoder in {"plain", "repr"}:
        core = written.strip("'\"") if encoder == "repr" else written
    else:
        core = written.strip('"')
    scrubber = Scrubber([Secret(secret)])
    line = before + " " + written + " " + after
    for clean in (scrubber.text(line), scrubber.data(line.encode()).decode()):
        assert MARK in clean
        assert core not in clean
        assert secret not in clean


@given(secret=secrets, before=prose, after=prose, cuts=st.lists(st.integers(0, 300), max_size=8))
def test_nor_cut_over_frames(secret: str, before: str, after: str, cuts: list[int]) -> None:
    data = (before + secret + after).encode()
    frames = [data[start:end] for start, end in pairwise([0, *sorted(cuts), len(data) + 300])]
    scrubber = Scrubber([Secret(secret)])
    clean = scrubber.frames(frames)
    assert len(clean) == len(frames)
    assert b"".join(clean) == scrubber.data(data)


@given(text=prose)
def test_nothing_found_gives_the_same_object(text: str) -> None:
    scrubber = Scrubber([Secret(KEY)])
    plain = "a line, " + "".join(letter for letter in text if letter.isalpha())
    assert scrubber.text(plain) is plain


def test_overlapping_secrets_are_hidden_together() -> None:
    scrubber = Scrubber([Secret("aaaa1111bbbb2222"), Secret("bbbb2222cccc3333")])
    assert scrubber.text("<aaaa1111bbbb2222cccc3333>") == f"<{MARK}>"


@pytest.mark.parametrize("size", [6, 14, 15, 16, 300_000])
@pytest.mark.parametrize("shift", range(9))
def test_every_length_at_every_place(size: int, shift: int) -> None:
    secret = "".join(chr(0x21 + (i * 7 + i // 90) % 90) for i in range(size))
    clean = Scrubber([Secret(secret)]).text("\n" * shift + secret)
    assert clean == "\n" * shift + MARK


def test_what_was_added_twice_is_forgotten_when_discarded_twice() -> None:
    scrubber = Scrubber([Secret(KEY), Secret(KEY)])
    scrubber.discard(Secret(KEY))
    assert scrubber.text(KEY) == MARK
    scrubber.discard(Secret(KEY))
    assert scrubber.text(KEY) == KEY
    scrubber.discard(Secret("never added at all"))
    scrubber.add(Secret("tiny-1"))
    assert scrubber.text("tiny-1!") == MARK + "!"
    scrubber.discard(Secret("tiny-1"))
    assert scrubber.text("tiny-1!") == "tiny-1!"


def test_nested_values() -> None:
    scrubber = Scrubber([Secret(KEY)])
    value = {
        "headers": {"Authorization": "whatever", "accept": "x"},
        "pairs": [["X-Api-Key", "word"], ("cookie", "a")],
        f"at {KEY}": [1, None, True, (f"in {KEY}", b"raw " + KEY.encode())],
        "secret": Secret("x"),
        "api_key": False,
    }
    assert scrubber.value(value) == {
        "headers": {"Authorization": MARK, "accept": "x"},
        "pairs": [["X-Api-Key", MARK], ["cookie", MARK]],
        f"at {MARK}": [1, None, True, (f"in {MARK}", b"raw " + MARK.encode())],
        "secret": MARK,
        "api_key": False,
    }


def test_a_log_line_through_structlog() -> None:
    lines: list[str] = []

    class Lines:
        def msg(self, line: str) -> None:
            lines.append(line)

        info = msg

    scrubber = Scrubber([Secret(KEY)])
    log = structlog.wrap_logger(
        Lines(), processors=[structlog.processors.JSONRenderer(), scrubber.process], wrapper_class=structlog.BoundLogger
    )
    log.info("attempt.failed", body=f'{{"echo": "{KEY}"}}', header={"x-api-key": "another-9"})
    assert json.loads(lines[0]) == {
        "body": f'{{"echo": "{MARK}"}}',
        "header": {"x-api-key": MARK},
        "event": "attempt.failed",
    }


def test_before_the_renderer_it_takes_the_event_itself() -> None:
    assert Scrubber([Secret(KEY)]).process(None, "info", {"event": KEY}) == {"event": MARK}


def test_what_was_clean_is_looked_at_again_when_there_is_a_new_secret() -> None:
    scrubber = Scrubber()
    assert scrubber.text("a name of an account") == "a name of an account"
    scrubber.add(Secret("a name of an"))
    assert scrubber.text("a name of an account") == f"{MARK} account"


def test_few_texts_are_remembered() -> None:
    scrubber = Scrubber()
    for number in range(3 * CLEAN_MAX):
        scrubber.text(f"{number}")
        scrubber.vouch(f"id {number}")
    assert len(scrubber._clean) <= CLEAN_MAX
