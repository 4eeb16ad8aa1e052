"""What one event of a stream costs: parsed and rendered, next to the JSON library alone. `make bench-events`

Each figure is the median over rounds, in microseconds an event; wires and baselines take turns in each round, so that a
machine whose speed drifts moves all of them. The ratio to the baseline is what can be compared between machines.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import msgspec

from proxy.hub.events import Event
from proxy.hub.fold import explode
from proxy.hub.parts import Text, Thinking, ToolCall
from proxy.hub.response import Finish, Response, Usage
from proxy.wire.base import Reply, Wire
from proxy.wire.sse import SseSplitter
from proxy.wire.table import WIRES

EVENTS = 2_000
ROUNDS = 15
WORD = " a word or two"


def stream_events() -> list[Event]:
    """An answer as models give it: some thinking, much text, a call."""
    parts = (Thinking(sections=(WORD * 3,)), Text(text=WORD), ToolCall(id="call_1", name="look", arguments='{"a":1}'))
    response = Response(
        id="answer-1", model="a-model", created=1, parts=parts, finish=Finish("tool_calls"),
        usage=Usage(input_uncached=10, output=20),
    )  # fmt: skip
    events: list[Event] = []
    for event in explode(response):
        is_text = type(event).__name__ == "PartDelta" and getattr(event, "index", None) == 1
        events += [event] * (EVENTS if is_text else 1)
    return events


def rendered(wire: Wire, events: list[Event]) -> list[bytes]:
    renderer = wire.stream_renderer(Reply(model="a-model", request_id="request-1", created=1))
    return [renderer.feed(event) for event in events]


def timed(work: Callable[[], object]) -> float:
    """Microseconds an event."""
    started = time.process_time_ns()
    work()
    return (time.process_time_ns() - started) / 1000 / EVENTS


def measure(wire: Wire) -> dict[str, float]:
    events = stream_events()
    frames = rendered(wire, events)
    chunks = [b"".join(frames[start : start + 8]) for start in range(0, len(frames), 8)]
    splitter = SseSplitter()
    payloads = [event.data for chunk in chunks for event in splitter.feed(chunk) if event.data[:1] == b"{"]
    values = [msgspec.json.decode(payload) for payload in payloads]
    encode, decode = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode

    def parse() -> None:
        parser = wire.stream_parser(maker=wire.name)
        for chunk in chunks:
            parser.feed(chunk)

    works: dict[str, Callable[[], object]] = {
        "parse": parse,
        "decode alone": lambda: [decode(payload) for payload in payloads],
        "render": lambda: rendered(wire, events),
        "encode alone": lambda: [encode(value) for value in values],
    }
    samples: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            samples[name].append(timed(work))
    return {name: statistics.median(each) for name, each in samples.items()}


def main() -> None:
    print(
        f"CPU microseconds an event, median of {ROUNDS} rounds of {EVENTS} text deltas; Python {sys.version.split()[0]}"
    )
    print(f"{'wire':<18}{'parse':>8}{'decode':>8}{'ratio':>7}{'render':>9}{'encode':>8}{'ratio':>7}")
    for wire in WIRES:
        cost = measure(wire)
        parse, decode, render, encode = (cost[k] for k in ("parse", "decode alone", "render", "encode alone"))
        print(
            f"{wire.name:<18}{parse:>8.2f}{decode:>8.2f}{parse / decode:>7.1f}"
            f"{render:>9.2f}{encode:>8.2f}{render / encode:>7.1f}"
        )


if __name__ == "__main__":
    main()
