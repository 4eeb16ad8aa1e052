"""Playbooks on a fake clock: what one account's provider says, who is asked from then on, and when that one is again.

Each row of docs/routing.md that says what a refusal means, or where a window is read, has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from proxy.config.provider_keys import ModelAlias
from proxy.config.schema import Config, Routing
from proxy.dispatch.inquiry import Refused
from proxy.errors import Unreachable

DOCS = Path(__file__).parents[3] / "docs" / "routing.md"
UNIX = 1_800_000_000.0 + 1000.0
"""When the laboratory's clock starts."""
HOUR, DAY = 3600.0, 86400.0
MODELS = ("m-opus", "m-sonnet")
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
ANSWERS: Mapping[str, Any] = {
    "anthropic": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Hi"}], "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
    },
    "openai_chat": {
        "id": "c", "object": "chat.completion", "model": "m", "usage": USAGE,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    },
    "openai_responses": {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed",
        "output": [{
            "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
        }],
    },
    "gemini": {
        "candidates": [{"content": {"parts": [{"text": "Hi"}], "role": "model"}, "finishReason": "STOP", "index": 0}]
    },
}  # fmt: skip
TURN = [{"role": "user", "content": "x"}]
BODIES: Mapping[str, Any] = {
    "anthropic": {"max_tokens": 9, "messages": TURN},
    "openai_chat": {"messages": TURN},
    "openai_responses": {"input": "x"},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "x"}]}]},
}
Rests = Literal["model", "account", "nobody", "told"]


@dataclass(frozen=True, kw_only=True)
class Play:
    """`row`: of docs/routing.md. `rests`: of the account that said it; told: it is the client's own. `seconds`: how
    long; None: until a human acts.
    """

    row: str
    said: str
    wire: str = "anthropic"
    status: int | None = 429
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    rests: Rests
    seconds: float | None = None


def error(kind: str, message: str = "m", **more: Any) -> Any:
    return {"type": "error", "error": {"type": kind, "message": message, **more}}


def google(*details: Any, status: int = 429, message: str = "m") -> Any:
    return {"error": {"code": status, "status": "RESOURCE_EXHAUSTED", "message": message, "details": list(details)}}


def iso(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def http(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


def until_midnight_in_california() -> float:
    """The daily quotas' end; 2027-01-15 is winter."""
    return DAY - (UNIX - 8 * HOUR) % DAY


def unified(**windows: float) -> dict[str, str]:
    told = {}
    for name, seconds in windows.items():
        told[f"anthropic-ratelimit-unified-{name}-status"] = "rejected"
        told[f"anthropic-ratelimit-unified-{name}-reset"] = str(int(UNIX + seconds))
    return told


BURST = "429 of seconds; `rate_limit_exceeded`, `slow_down`"
FULL = "429 with a full window; `usage_limit_reached`, per-day quota"
CROWDED = "529, `overloaded_error`, capacity; also inside a 200"
FAULT = "5xx, 408, refused, reset, silent, HTML, a broken stream"
UNIFIED = "`anthropic-ratelimit-unified-5h-*`, `-7d-*`, `-7d_opus-*` …"
LIMITS = "`anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-*`"
CLIENTS = "400, 404, 409, 413, 415, 422, context length, policy"
PLAYS = (
    Play(row=BURST, said="Retry-After in seconds", headers={"retry-after": "7"}, rests="model", seconds=7),
    Play(row=BURST, said="Retry-After as a date", headers={"retry-after": http(UNIX + 40)}, rests="model", seconds=40),
    Play(row=BURST, said="milliseconds", headers={"retry-after-ms": "1500"}, rests="model", seconds=1.5),
    Play(row=BURST, said="text", wire="openai_chat", rests="model", seconds=1.5,
         body={"error": {"message": "Please try again in 1.5s.", "code": "rate_limit_exceeded"}}),
    Play(row=BURST, said="RetryInfo", wire="gemini", body=google({"retryDelay": "36s"}), rests="model", seconds=36),
    Play(row=BURST, said="a quota per minute", wire="gemini", rests="model", seconds=60,
         body=google({"violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}]})),
    Play(row=BURST, said="nothing", rests="model", seconds=0.5),
    Play(row=FULL, said="resets_at", wire="openai_responses", rests="account", seconds=HOUR,
         body={"error": {"type": "usage_limit_reached", "message": "m", "resets_at": int(UNIX + HOUR)}}),
    Play(row=FULL, said="resets_in_seconds", wire="openai_responses", rests="account", seconds=1800,
         body={"error": {"type": "usage_limit_reached", "message": "m", "resets_in_seconds": 1800}}),
    Play(row=UNIFIED, said="5 hours", headers=unified(**{"5h": HOUR}), rests="account", seconds=HOUR),
    Play(row=UNIFIED, said="a week", headers=unified(**{"7d": 3 * DAY}), rests="account", seconds=3 * DAY),
    Play(row=UNIFIED, said="two of them: the latest", headers=unified(**{"5h": HOUR, "7d": 2 * DAY}), rests="account",
         seconds=2 * DAY),
    Play(row=UNIFIED, said="a week of one model", headers=unified(**{"7d_opus": HOUR}), rests="model", seconds=HOUR),
    Play(row=UNIFIED, said="a window beats Retry-After", headers={**unified(**{"5h": HOUR}), "retry-after": "9"},
         rests="account", seconds=HOUR),
    Play(row=LIMITS, said="requests", rests="model", seconds=40,
         headers={"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": iso(UNIX + 40)}),
    Play(row="`x-ratelimit-*`", said="requests", wire="openai_chat", rests="model", seconds=36,
         headers={"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "36s"}),
    Play(row="`x-codex-{primary,secondary}-*` and named ones", said="primary", wire="openai_responses", rests="account",
         seconds=HOUR, headers={"x-codex-primary-used-percent": "100", "x-codex-primary-window-minutes": "300",
                                "x-codex-primary-reset-after-seconds": "3600"}),
    Play(row="Google's `QuotaFailure`", said="per day, whatever RetryInfo says", wire="gemini", rests="model",
         seconds=until_midnight_in_california(),
         body=google({"violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}, {"retryDelay": "36s"})),
    Play(row=CROWDED, said="529", status=529, body=error("overloaded_error"), rests="nobody"),
    Play(row=CROWDED, said="inside a 200", status=200, body=error("overloaded_error"), rests="nobody"),
    Play(row=FAULT, said="500", status=500, rests="model", seconds=0.5),
    Play(row=FAULT, said="503 with a Retry-After", status=503, headers={"retry-after": "30"}, rests="model",
         seconds=30),
    Play(row=FAULT, said="a page", status=200, body=b"<html>Bad gateway</html>", rests="model", seconds=0.5),
    Play(row=FAULT, said="nobody listens", status=None, rests="account", seconds=0.5),
    Play(row="401, refused key", said="401", status=401, body=error("authentication_error"), rests="account",
         seconds=60),
    Play(row="revoked, disabled, verification wanted", said="disabled", status=403, rests="account",
         body=error("permission_error", "This organization has been disabled.")),
    Play(row="402, balance, spending limit", said="402", wire="openai_chat", status=402, rests="account", seconds=150),
    Play(row="403 of a model or region", said="403", wire="openai_chat", status=403, rests="model", seconds=60),
    Play(row="file not found", said="404", wire="openai_chat", status=404, rests="nobody",
         body={"error": {"message": "No such file: f-1"}}),
    Play(row=CLIENTS, said="400", status=400, body=error("invalid_request_error", "messages: too few"), rests="told"),
    Play(row=CLIENTS, said="a prompt that is too long", wire="openai_chat", status=400, rests="told",
         body={"error": {"message": "too long", "code": "context_length_exceeded"}}),
)  # fmt: skip


class Vendor:
    """Two keys; the first is refused as the playbook says until `is_well`."""

    def __init__(self, lab: Any, make: Any, play: Play) -> None:
        self.play = play
        self.is_well = False
        self.asked: list[str] = []
        self._lab, self._make = lab, make
        self._dispatcher = lab.dispatcher(self._config(), self._answer)

    def _config(self) -> Config:
        aliases = tuple(ModelAlias(name=model) for model in MODELS)
        routing = Routing(strategy="fill-first")
        keys = {"anthropic": "claude_api_key", "openai_responses": "codex_api_key", "gemini": "gemini_api_key"}
        if self.play.wire not in keys:
            compatible = self._make.compatible("v", *MODELS, keys=("k1", "k2"))
            return Config(openai_compatibility=(compatible,), routing=routing, request_retry=0)
        # Of nobody's address in common: one that is out of reach is its own.
        one, two = (self._make.keys(key, models=aliases, base_url=f"http://{key}.test") for key in ("k1", "k2"))
        return Config(**{keys[self.play.wire]: (*one, *two)}, routing=routing, request_retry=0)

    def _answer(self, call: Any) -> Any:
        key = next(value[-2:] for _, value in call.headers if value[-2:] in {"k1", "k2"})
        self.asked.append(key)
        if key == "k2" or self.is_well:
            return self._make.whole(ANSWERS[self.play.wire])
        if self.play.status is None:
            raise Unreachable("refused")
        told = self._make.whole(self.play.body, self.play.status)
        told.headers.update(self.play.headers)
        return told

    async def ask(self, model: str = MODELS[0]) -> list[str]:
        """Which keys were asked for it."""
        self.asked.clear()
        body = BODIES[self.play.wire] if self.play.wire == "gemini" else {"model": model, **BODIES[self.play.wire]}
        await self._lab.read(await self._dispatcher.open(self._lab.inquiry(self.play.wire, body, model=model)))
        return list(self.asked)


@pytest.mark.parametrize("play", PLAYS, ids=[f"{play.row[:24]} - {play.said}" for play in PLAYS])
async def test_playbook(lab: Any, make: Any, play: Play) -> None:
    vendor = Vendor(lab, make, play)
    began = lab.time.now
    if play.rests == "told":
        with pytest.raises(Refused) as told:
            await vendor.ask()
        assert told.value.failure.status == play.status
        vendor.is_well = True
        assert await vendor.ask() == ["k1"]
        return
    assert await vendor.ask() == ["k1", "k2"], "no client sees it"
    assert lab.time.now == began
    vendor.is_well = True
    if play.rests == "nobody":
        assert await vendor.ask() == ["k1"]
        return
    assert await vendor.ask() == ["k2"]
    assert await vendor.ask(MODELS[1]) == (["k1"] if play.rests == "model" else ["k2"])
    if play.seconds is None:
        lab.time.now = began + 40 * DAY
        assert await vendor.ask() == ["k2"]
        return
    lab.time.now = began + play.seconds * 0.99
    assert await vendor.ask() == ["k2"]
    lab.time.now = began + play.seconds
    assert await vendor.ask() == ["k1"]


def test_each_row_of_the_documentation_has_its_playbook() -> None:
    text = DOCS.read_text()
    rows = {
        line.split("|")[1].strip()
        for head in ("| told by | windows |", "| what the upstream says | means |")
        for line in text[text.index(head) :].split("\n\n")[0].splitlines()[2:]
    }
    assert rows == {play.row for play in PLAYS}
