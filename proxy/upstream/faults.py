"""How an upstream misbehaves, as a table: a recording's `fault` turns its response into a plan for the socket.

=====================  ==============================================================================================
refuse                 nothing listens (`ReplayUpstream`); on a `ReplayServer`'s own socket: reset before a byte
stall, cut, reset      silence, end or RST: after `after_bytes` of the body, or, without it, before the head
cut_in_frame           the end comes in the middle of the last frame
cut_in_code_point      the end comes inside the body's first character of several bytes
as_200                 an error body with status 200
html_page              a web page instead of JSON, with the recorded status (502 where that is below 400)
wrong_type             the right body as ``text/plain``
gzip_lie               a plain body that is called gzip
wrong_length           a content-length that is `size` (10) bytes too long, then the end
infinite               the frames again and again, every `seconds`
giant_line             one line of `size` bytes (32 MiB), without end
drip                   a byte every `seconds` (1)
informational          ``103 Early Hints`` every `seconds` (1), and never a head
not_http               a greeting of another protocol
=====================  ==============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain, cycle, repeat
from typing import Literal

from proxy.observe.recording import Fault, Frame, Pairs, Recording, Response

GIANT_LINE_BYTES = 32 * 1024 * 1024
_PIECE = b"a" * (64 * 1024)
_PAGE = b"<!DOCTYPE html><html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>\n"

Ending = Literal["end", "close", "reset", "stall"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What happens on the socket: `raw` as it is, then the head unless there is none, then the body's frames.

    `length`: the content-length; None for chunks. `stop_after`: bytes of the body after which `ending` comes; without
    it the `ending` comes after the last frame.
    """

    status: int = 200
    headers: Pairs = ()
    frames: Iterable[Frame] = ()
    length: int | None = None
    raw: Iterable[Frame] = ()
    has_head: bool = True
    stop_after: int | None = None
    ending: Ending = "end"


def plan(recording: Recording) -> Plan:
    """Raises ValueError on an unknown kind of fault."""
    response = recording.response
    sound = Plan(
        status=response.status,
        headers=response.headers,
        frames=response.frames,
        length=None if response.is_streamed else len(response.body),
    )
    fault = recording.fault
    if fault is None:
        return sound
    if fault.kind not in FAULTS:
        raise ValueError(f"unknown fault {fault.kind!r}; known: {', '.join(sorted(FAULTS))}")
    return FAULTS[fault.kind](sound, fault, response)


def _refuse(sound: Plan, _fault: Fault, _response: Response) -> Plan:
    return replace(sound, has_head=False, ending="reset")


def _stopping(ending: Ending) -> Callable[[Plan, Fault, Response], Plan]:
    def stop(sound: Plan, fault: Fault, _response: Response) -> Plan:
        return replace(sound, has_head=fault.after_bytes is not None, stop_after=fault.after_bytes, ending=ending)

    return stop


def _cut_in_frame(sound: Plan, _fault: Fault, response: Response) -> Plan:
    last = len(response.frames[-1].data) if response.frames else 0
    return replace(sound, stop_after=len(response.body) - last + last // 2, ending="close")


def _cut_in_code_point(sound: Plan, _fault: Fault, response: Response) -> Plan:
    first = next((at for at, byte in enumerate(response.body) if byte >= 0xC0), None)
    if first is None:
        raise ValueError("cut_in_code_point: the body has no character of several bytes")
    return replace(sound, stop_after=first + 1, ending="close")


def _as_200(sound: Plan, _fault: Fault, _response: Response) -> Plan:
    return replace(sound, status=200)


def _html_page(sound: Plan, _fault: Fault, _response: Response) -> Plan:
    return Plan(
        status=sound.status if sound.status >= 400 else 502,
        headers=(("Content-Type", "text/html; charset=utf-8"),),
        frames=(Frame(data=_PAGE),),
        length=len(_PAGE),
    )


def _wrong_type(sound: Plan, _fault: Fault, _response: Response) -> Plan:
    others = tuple(pair for pair in sound.headers if pair[0].lower() != "content-type")
    return replace(sound, headers=(*others, ("Content-Type", "text/plain")))


def _gzip_lie(sound: Plan, _fault: Fault, _response: Response) -> Plan:
    return replace(sound, headers=(*sound.headers, ("Content-Encoding", "gzip")))


def _wrong_length(sound: Plan, fault: Fault, response: Response) -> Plan:
    return replace(sound, length=len(response.body) + (fault.size or 10), ending="close")


def _infinite(sound: Plan, fault: Fault, response: Response) -> Plan:
    paced = (replace(frame, after_seconds=fault.seconds) for frame in response.frames or (Frame(data=b"\n"),))
    return replace(sound, frames=cycle(paced), length=None)


def _giant_line(sound: Plan, fault: Fault, _response: Response) -> Plan:
    pieces, rest = divmod(fault.size or GIANT_LINE_BYTES, len(_PIECE))
    line = chain((Frame(data=b"data: "),), repeat(Frame(data=_PIECE), pieces), (Frame(data=_PIECE[:rest]),))
    return replace(sound, frames=line, length=None)


def _drip(sound: Plan, fault: Fault, response: Response) -> Plan:
    seconds = fault.seconds or 1.0
    return replace(sound, frames=(Frame(data=bytes((byte,)), after_seconds=seconds) for byte in response.body))


def _informational(sound: Plan, fault: Fault, _response: Response) -> Plan:
    hint = Frame(data=b"HTTP/1.1 103 Early Hints\r\n\r\n", after_seconds=fault.seconds or 1.0)
    return replace(sound, raw=repeat(hint), has_head=False)


def _not_http(sound: Plan, _fault: Fault, _response: Response) -> Plan:
    return replace(sound, raw=(Frame(data=b"SSH-2.0-OpenSSH_9.9\r\n"),), has_head=False, ending="close")


FAULTS: dict[str, Callable[[Plan, Fault, Response], Plan]] = {
    "refuse": _refuse,
    "stall": _stopping("stall"),
    "cut": _stopping("close"),
    "reset": _stopping("reset"),
    "cut_in_frame": _cut_in_frame,
    "cut_in_code_point": _cut_in_code_point,
    "as_200": _as_200,
    "html_page": _html_page,
    "wrong_type": _wrong_type,
    "gzip_lie": _gzip_lie,
    "wrong_length": _wrong_length,
    "infinite": _infinite,
    "giant_line": _giant_line,
    "drip": _drip,
    "informational": _informational,
    "not_http": _not_http,
}
