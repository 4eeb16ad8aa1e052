from __future__ import annotations

import re
from itertools import islice

import pytest

from proxy.observe.recording import Fault, Frame, Recording, Request, Response
from proxy.upstream import faults
from proxy.upstream.faults import FAULTS, Plan, plan

REQUEST = Request(path="/")
STREAM = Response(
    headers=(("content-type", "text/event-stream"), ("x", "y")),
    frames=(Frame(data=b"data: 1\n\n", after_seconds=2), Frame(data="data: é\n\n".encode())),
    is_streamed=True,
)


def made(kind: str, response: Response = STREAM, **parameters: object) -> Plan:
    return plan(Recording(request=REQUEST, response=response, fault=Fault(kind=kind, **parameters)))


def test_the_docstring_is_the_table() -> None:
    named = re.findall(r"^([a-z_0-9, ]+?)   +", faults.__doc__ or "", re.MULTILINE)
    assert {name for names in named for name in names.split(", ")} == set(FAULTS)


def test_without_a_fault_it_is_the_recording() -> None:
    sound = plan(Recording(request=REQUEST, response=STREAM))
    assert sound == Plan(status=200, headers=STREAM.headers, frames=STREAM.frames)
    whole = plan(Recording(request=REQUEST, response=Response(status=201, frames=(Frame(data=b"{}"),))))
    assert whole == Plan(status=201, frames=(Frame(data=b"{}"),), length=2)


def test_an_unknown_kind() -> None:
    with pytest.raises(ValueError, match="unknown fault 'explode'; known: as_200, cut"):
        made("explode")


@pytest.mark.parametrize(("kind", "ending"), [("stall", "stall"), ("cut", "close"), ("reset", "reset")])
def test_where_it_stops(kind: str, ending: str) -> None:
    before = made(kind)
    assert (before.has_head, before.ending) == (False, ending)
    within = made(kind, after_bytes=3)
    assert (within.has_head, within.stop_after, within.ending) == (True, 3, ending)


def test_cuts_that_find_their_place() -> None:
    assert made("cut_in_frame").stop_after == 9 + 5
    assert made("cut_in_code_point").stop_after == 9 + 7
    with pytest.raises(ValueError, match="no character of several bytes"):
        made("cut_in_code_point", Response())


def test_wrong_words() -> None:
    assert made("as_200", Response(status=529)).status == 200
    page = made("html_page", Response(status=403))
    assert (page.status, page.headers[0][1]) == (403, "text/html; charset=utf-8")
    assert made("html_page").status == 502
    assert made("wrong_type").headers == (("x", "y"), ("Content-Type", "text/plain"))
    assert made("gzip_lie").headers[-1] == ("Content-Encoding", "gzip")
    assert made("wrong_length").length == len(STREAM.body) + 10
    assert made("wrong_length", size=3).length == len(STREAM.body) + 3


def test_too_much_and_too_slow() -> None:
    endless = made("infinite", seconds=0.5)
    assert [frame.after_seconds for frame in islice(endless.frames, 5)] == [0.5] * 5
    line = b"".join(frame.data for frame in made("giant_line", size=100_000).frames)
    assert (len(line), line.count(b"\n")) == (100_006, 0)
    drip = list(made("drip", seconds=0.1).frames)
    assert b"".join(frame.data for frame in drip) == STREAM.body
    assert {(len(frame.data), frame.after_seconds) for frame in drip} == {(1, 0.1)}
    assert next(iter(made("informational").raw)).after_seconds == 1
    assert made("not_http").raw
    assert made("refuse").ending == "reset"
