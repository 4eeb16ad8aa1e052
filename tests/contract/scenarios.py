"""What is asked and what is answered in each scenario, in no SDK's words. The answers stand in tests/captures."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict

from proxy.hub.residue import JsonObject

SYSTEM = "You are the harbour master's clerk. Answer in one “short” sentence."
OUTPUT_TOKENS_MAX = 4_000
EFFORT = "high"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
"""A PNG."""


class Berth(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    metres: int


class Harbour(BaseModel):
    """What the structured scenario asks for."""

    model_config = ConfigDict(extra="forbid")

    harbour: str
    berths: list[Berth]
    has_fuel: bool


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    description: str
    schema: JsonObject


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Disjoint: the prompt is the first three, what the model wrote the last two."""

    uncached: int
    read: int
    written: int
    output: int
    reasoning: int

    @property
    def prompt(self) -> int:
        return self.uncached + self.read + self.written

    @property
    def answer(self) -> int:
        return self.output + self.reasoning


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The user's `text` comes first, then the `calls` of the model and their `results`, in the same order."""

    text: str
    image: bytes | None = None
    tools: tuple[Tool, ...] = ()
    calls: tuple[Call, ...] = ()
    results: tuple[str, ...] = ()
    effort: str | None = None
    output: type[BaseModel] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`text`, `thinking` and `calls` are the answer's."""

    ask: Ask
    text: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()

    def usage(self, upstream: str) -> Usage:
        """As the captures of that wire tell it. Gemini does not tell what was written into a cache."""
        reasoning = 33 if self.thinking else 0
        written = 0 if upstream == "gemini" else 128
        return Usage(uncached=21, read=640, written=written, output=57 - reasoning, reasoning=reasoning)


TOOLS = (
    Tool(
        "tide_table",
        "Times of high and low water at a harbour.",
        {
            "type": "object",
            "properties": {
                "harbour": {"type": "string", "description": "Its name on the chart"},
                "day": {"type": "string", "description": "As YYYY-MM-DD"},
            },
            "required": ["harbour", "day"],
        },
    ),
    Tool(
        "wind_forecast",
        "Wind for the hours to come.",
        {
            "type": "object",
            "properties": {
                "harbour": {"type": "string"},
                "hours": {"type": "integer", "minimum": 1},
                "gusts": {"type": "boolean"},
                "note": {"type": "string"},
            },
            "required": ["harbour"],
        },
    ),
)
TIDES = Call("tide_table", {"harbour": "Oban", "day": "2026-11-21"})
WIND = Call("wind_forecast", {"harbour": "Stornoway", "hours": 6, "gusts": True, "note": "line 1\nline 2 “ø”"})
THOUGHT = "Two ferries leave at the same time, so they close in on each other. The slower one needs 90 minutes."

SCENARIOS: Mapping[str, Scenario] = MappingProxyType({
    "text": Scenario(
        ask=Ask(text="How tall is the lighthouse at Skerry Point? 🌊"),
        text="The lighthouse at Skerry Point is 41 m tall — its lamp turns every 12 s. 🗼\n"
        "“Fair winds”, as the keeper's \"log\" says.",
    ),
    "tools": Scenario(
        ask=Ask(text="When can I leave Oban for Stornoway?", tools=TOOLS),
        text="I'll look at both harbours.",
        calls=(TIDES, WIND),
    ),
    "results": Scenario(
        ask=Ask(
            text="When can I leave Oban for Stornoway?",
            tools=TOOLS,
            calls=(TIDES, WIND),
            results=('{"high":"06:12","low":"12:31"}', "5 to 6 Beaufort until noon"),
        ),
        text="Oban has high water at 06:12; Stornoway blows 5 to 6 Beaufort until noon.",
    ),
    "image": Scenario(
        ask=Ask(text="Which harbour is this?", image=PIXEL), text="A single dark pixel: not much of a harbour."
    ),
    "thinking": Scenario(
        ask=Ask(text="When do the ferries meet?", effort=EFFORT), text="They meet after 36 minutes.", thinking=THOUGHT
    ),
    "structured": Scenario(
        ask=Ask(text="Describe Oban's harbour.", output=Harbour),
        text='{"harbour": "Oban", "berths": [{"name": "North Pier", "metres": 82}, '
        '{"name": "Railway Pier", "metres": 64}], "has_fuel": true}',
    ),
})  # fmt: skip
SIGNED = Scenario(
    ask=Ask(text="When is high water at Oban?", tools=TOOLS, effort=EFFORT), thinking=THOUGHT, calls=(TIDES,)
)
"""Thoughts that only their maker can read, before a call: they must come back with its result."""
OBAN = Harbour(
    harbour="Oban",
    berths=[Berth(name="North Pier", metres=82), Berth(name="Railway Pier", metres=64)],
    has_fuel=True,
)
REFUSED = "harbour: 'Atlantis' is not on any chart"
BROKEN = "The harbour is overloaded"
"""What the error captures say: at once, and in the middle of a stream."""


def call_ids(calls: Sequence[Call]) -> list[str]:
    """For calls of a history: as no upstream of ours has made them."""
    return [f"call_of_old_{number}" for number, _ in enumerate(calls, 1)]
