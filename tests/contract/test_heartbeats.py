"""While nobody has said anything: what a client sees of that, byte by byte, in each dialect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import aiohttp
import msgspec
import pytest

from proxy.observe.recording import Recording
from tests.contract.clients import CONTRACT, Clients
from tests.contract.refusals import SAID, refusal
from tests.contract.stage import FORMATS, VENDORS, Stage, answer, capture, faulty

pytestmark = CONTRACT

TURN = [{"role": "user", "content": "Is the tide in?"}]
ASKS: Mapping[str, tuple[str, dict[str, object]]] = {
    "anthropic": ("/v1/messages", {"max_tokens": 99, "stream": True, "messages": TURN}),
    "openai_chat": (
        "/v1/chat/completions",
        {"stream": True, "messages": TURN, "stream_options": {"include_usage": True}},
    ),
    "openai_responses": ("/v1/responses", {"stream": True, "store": False, "input": TURN}),
    "gemini": (
        "/v1beta/models/{model}:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": "Is the tide in?"}]}]},
    ),
}
BEATS: Mapping[str, bytes] = {
    "anthropic": b'event: ping\ndata: {"type": "ping"}\n\n',
    "openai_chat": b": ping\n\n",
    "openai_responses": b": keep-alive\n\n",
    "gemini": b'data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"index":0}]}\r\n\r\n',
}
KEEPALIVE_SECONDS = 1.0

by_format = pytest.mark.parametrize("wire", FORMATS)


class Told:
    """``await told.ask(…)``: the answer as it came. `head_after_seconds`: since it was asked for."""

    def __init__(self, wire: str) -> None:
        self.wire = wire
        self.status = 0
        self.content_type = ""
        self.head_after_seconds = 0.0
        self.body = b""

    async def ask(self, url: str, model: str) -> Told:
        path, body = ASKS[self.wire]
        named = {} if self.wire == "gemini" else {"model": model}
        began = time.monotonic()
        async with (
            aiohttp.ClientSession(url, headers={"Authorization": "Bearer any-word"}) as session,
            session.post(path.format(model=model), json={**named, **body}) as got,
        ):
            self.head_after_seconds = time.monotonic() - began
            self.status, self.content_type = got.status, got.content_type
            self.body = await got.read()
        return self

    @property
    def after_the_beats(self) -> bytes:
        """Fails where there were none."""
        beat, rest = BEATS[self.wire], self.body
        assert rest.startswith(beat), rest[:200]
        while rest.startswith(beat):
            rest = rest.removeprefix(beat)
        return rest


async def at_once(impatient: Clients, lane: str) -> dict[str, Told]:
    """All dialects side by side: what takes time takes it once."""
    told = await asyncio.gather(*(Told(wire).ask(impatient.url, f"{wire}-{lane}") for wire in FORMATS))
    return {each.wire: each for each in told}


def silent(wire: str) -> Recording:
    """Not even a head."""
    return faulty(answer(wire, "text", is_stream=True), "stall")


async def test_before_the_first_upstream_byte_each_dialect_has_its_heartbeats_and_failover_goes_on_unseen(
    stage: Stage, impatient: Clients
) -> None:
    stage.plays(*map(silent, FORMATS), *(answer(wire, "text", is_stream=True) for wire in FORMATS))
    told = await at_once(impatient, "lane3")
    for wire, each in told.items():
        assert (each.status, each.content_type) == (200, "text/event-stream")
        assert each.head_after_seconds >= KEEPALIVE_SECONDS * 0.95, "the head is held until the first heartbeat"
        said = capture(wire, "text.sse").replace(VENDORS[wire].model.encode(), f"{wire}-lane3".encode())
        assert each.after_the_beats == said, "the other account's answer, whole and once"
    assert len(stage.heard) == 2 * len(FORMATS)


async def test_a_final_failure_after_heartbeats_is_told_in_band(stage: Stage, impatient: Clients) -> None:
    failing = [refusal(wire, 500, is_stream=True) for wire in FORMATS]
    stage.plays(*map(silent, FORMATS), *failing)
    told = await at_once(impatient, "lane4")
    for wire, each in told.items():
        assert (each.status, each.content_type) == (200, "text/event-stream")
        rest = each.after_the_beats
        assert SAID.encode() in rest, wire
        assert rest.count(SAID.encode()) == 1
        last = [line for line in rest.splitlines() if line.startswith(b"data: {")][-1]
        value = msgspec.json.decode(last.removeprefix(b"data: "))
        error = value["response"]["error"] if wire == "openai_responses" else value["error"]
        assert SAID in error["message"]
    assert len(stage.heard) == 2 * len(FORMATS)


@by_format
@pytest.mark.parametrize("is_inside", [False, True], ids=["at once", "inside a 200"])
async def test_an_early_failure_keeps_its_true_status(
    stage: Stage, impatient: Clients, wire: str, *, is_inside: bool
) -> None:
    """The head was held: nothing had been said."""
    failing = refusal(wire, 500, is_stream=True)
    stage.plays(faulty(failing, "as_200") if is_inside else failing)
    told = await Told(wire).ask(impatient.url, f"{wire}-lane{5 + is_inside}")
    assert told.status >= 500
    assert told.content_type == "application/json"
    assert SAID in str(msgspec.json.decode(told.body))
    assert len(stage.heard) == 2, "both accounts were asked"


@by_format
async def test_the_head_leaves_with_the_first_content_and_no_heartbeat_before(
    stage: Stage, impatient: Clients, wire: str
) -> None:
    stage.plays(answer(wire, "text", is_stream=True))
    told = await Told(wire).ask(impatient.url, f"{wire}-home")
    assert told.status == 200
    assert not told.body.startswith(BEATS[wire])
    assert told.body
