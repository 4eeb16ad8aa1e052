"""Nothing is quadratic in the length of an answer, and memory stays in proportion.

Times are processor times of this process, the better of two, and what is allowed is far from what is expected:
four times the length may cost ten times the time; what is quadratic costs sixteen times.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Mapping
from functools import partial

import msgspec
import pytest

from proxy.hub.events import PartDelta, PartEnd, PartStart, ResponseEnd, ResponseStart
from proxy.hub.fold import Fold, opened
from proxy.hub.parts import Part, Text, Thinking, ToolCall
from proxy.hub.response import Finish
from proxy.wire.base import Wire
from proxy.wire.table import WIRES
from tests.laws.answers import REPLY

by_wire = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
DELTAS = 1_500
PIECE = "word " * 40
"""So long that copying what came before would soon cost more than anything else."""
RATIO_MAX = 10.0


def rendered(wire: Wire, part: Part, count: int) -> list[bytes]:
    renderer = wire.stream_renderer(REPLY)
    start = [ResponseStart(id="a", model="m"), PartStart(0, opened(part))]
    told = [renderer.feed(event) for event in start]
    told += [renderer.feed(PartDelta(0, PIECE)) for _ in range(count)]
    finished = {Text: Text(text=PIECE * count), Thinking: Thinking(sections=(PIECE * count,))}.get(type(part))
    call = ToolCall(id="c", name="f", arguments=f'"{PIECE * count}"')
    told.append(renderer.feed(PartEnd(0, finished or call)))
    told.append(renderer.feed(ResponseEnd(finish=Finish("stop"))))
    told.append(renderer.finish())
    return told


def parsed(wire: Wire, chunks: list[bytes]) -> None:
    parser = wire.stream_parser(maker=wire.name)
    fold = Fold()
    for chunk in chunks:
        for event in parser.feed(chunk):
            fold.feed(event)
    for event in parser.finish():
        fold.feed(event)
    assert fold.failure is None


def seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    gc.disable()
    try:
        for _ in range(2):
            begun = time.process_time()
            work()
            best = min(best, time.process_time() - begun)
    finally:
        gc.enable()
    return best


def is_linear(work: Callable[[int], Callable[[], object]], size: int) -> bool:
    small, large = work(size), work(4 * size)
    return seconds(large) < RATIO_MAX * max(seconds(small), 0.002)


PARTS: Mapping[str, Part] = {
    "text": Text(text=""),
    "thinking": Thinking(origin="somebody"),
    "call": ToolCall(id="c", name="f", arguments=""),
}


@by_wire
@pytest.mark.parametrize("kind", PARTS)
def test_many_deltas(wire: Wire, kind: str) -> None:
    """Told to a client, and read from an upstream."""
    part = PARTS[kind]
    assert is_linear(lambda size: lambda: rendered(wire, part, size), DELTAS)
    assert is_linear(lambda size: partial(parsed, wire, rendered(wire, part, size)), DELTAS)


@by_wire
def test_one_long_line_in_small_pieces(wire: Wire) -> None:
    def work(size: int) -> Callable[[], object]:
        line = next(chunk for chunk in rendered(wire, Text(text=""), 1) if b"word" in chunk)
        long = line.replace(b"word ", b"word " * size, 1)
        pieces = [long[at : at + 16] for at in range(0, len(long), 16)]

        def feed() -> None:
            parser = wire.stream_parser(maker=wire.name)
            for piece in pieces:
                parser.feed(piece)

        return feed

    assert is_linear(work, 4_000)


@by_wire
def test_many_calls_at_once(wire: Wire) -> None:
    """Interleaved: what waits its turn waits in proportion."""

    def work(size: int) -> Callable[[], object]:
        def tell() -> None:
            renderer = wire.stream_renderer(REPLY)
            renderer.feed(ResponseStart(id="a", model="m"))
            for index in range(size):
                renderer.feed(PartStart(index, ToolCall(id=f"c{index}", name="f", arguments="")))
            for index in range(size):
                renderer.feed(PartDelta(index, "{}"))
            for index in reversed(range(size)):
                renderer.feed(PartEnd(index, ToolCall(id=f"c{index}", name="f")))
            renderer.feed(ResponseEnd(finish=Finish("tool_calls")))

        return tell

    assert is_linear(work, 300)


@by_wire
def test_a_long_history(wire: Wire) -> None:
    """A request of many turns, read and written."""

    def work(size: int) -> Callable[[], object]:
        body = msgspec.json.encode(history(wire, size))
        return lambda: wire.parse_request(msgspec.json.decode(body), model="m")

    assert is_linear(work, 200)


def history(wire: Wire, size: int) -> object:
    turns = [("user", "Look."), ("assistant", "I looked.")] * size
    match wire.name:
        case "gemini":
            words = {"user": "user", "assistant": "model"}
            return {"contents": [{"role": words[role], "parts": [{"text": text}]} for role, text in turns]}
        case "openai_responses":
            return {"model": "m", "input": [{"role": role, "content": text} for role, text in turns]}
        case _:
            return {
                "model": "m",
                "max_tokens": 9,
                "messages": [{"role": role, "content": text} for role, text in turns],
            }


@by_wire
def test_memory_is_that_of_the_answer(wire: Wire) -> None:
    """At most a few times the text that was told, however many pieces it came in."""
    count = 10_000
    chunks = rendered(wire, Text(text=""), count)
    tracemalloc.start()
    try:
        parsed(wire, chunks)
        _, read = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        renderer = wire.stream_renderer(REPLY)
        renderer.feed(ResponseStart(id="a", model="m"))
        renderer.feed(PartStart(0, Text(text="")))
        base, _ = tracemalloc.get_traced_memory()
        for _ in range(count):
            renderer.feed(PartDelta(0, PIECE))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read < 8 * len(PIECE) * count  # Responses says it all four times, and the last time in one event
    assert kept - base < 2 * len(PIECE) * count
