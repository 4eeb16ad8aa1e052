"""What is asked, and how one run of it is measured."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.lab.gateways import KEY, MODELS, Gateway
from bench.lab.machine import cores, cpu_seconds, pinned

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
TRANSLATED = ("proxy", "LiteLLM")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """`body`: bytes of the request. `beside`: connections, or streams. `rate`: of requests a second, 0: as many as are
    answered; of a stream: microseconds between two frames. `gateways`: who can do it; empty: everybody.
    """

    name: str
    kind: str = "whole"
    model: str = "whole-1024"
    body: int = 1024
    path: str = CHAT
    beside: int = 16
    seconds: float = 1.5
    rate: int = 0
    gateways: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        return "request" if self.kind == "whole" else "frame"

    def is_for(self, name: str) -> bool:
        return not self.gateways or name in self.gateways


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Of one run. `cpu_micros`: of the gateway, for each unit. Others in microseconds, too."""

    units: int
    seconds: float
    cpu_micros: float | None
    latency: float
    latency_99: float
    wrong: int
    first_byte: float | None = None
    transit_99: float | None = None
    late: int = 0
    kept: float | None = None
    complaint: str = ""


def request(scene: Scene, port: int) -> bytes:
    """As a client's library would send it."""
    is_stream = scene.kind == "stream"
    words = "word " * max(0, (scene.body - 300) // 5)
    messages = [{"role": "user", "content": f"{words}end-of-request"}]
    content: dict[str, object] = {"model": scene.model, "stream": is_stream}
    if scene.path == MESSAGES:
        content |= {"max_tokens": 1000, "system": "You are a helpful assistant.", "messages": messages}
    else:
        content |= {"messages": [{"role": "system", "content": "You are a helpful assistant."}, *messages]}
        if is_stream:
            content |= {"stream_options": {"include_usage": True}}
    body = msgspec.json.encode(content)
    head = (
        f"POST {scene.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {KEY}\r\n"
        "User-Agent: lab/1.0\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
        f"X-Stainless-Lang: c\r\nX-Stainless-Retry-Count: 0\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def measure(scene: Scene, port: int, tools: Path, gateway: Gateway | None) -> Sample:
    """`gateway`: None: the upstream itself is asked. Raises SystemExit where the lab fails."""
    file = tools / "request"
    file.write_bytes(request(scene, port))
    words = [scene.kind, str(port), str(file), str(scene.beside), str(scene.seconds), str(scene.rate)]
    before = cpu_seconds(gateway.pid) if gateway is not None else 0.0
    told = subprocess.run(pinned(cores()[0], str(tools / "load"), *words), capture_output=True, check=True).stdout
    spent = cpu_seconds(gateway.pid) - before if gateway is not None else None
    return sample_of(msgspec.json.decode(told), spent, is_stream=scene.kind == "stream")


def sample_of(told: Mapping[str, object], spent: float | None, *, is_stream: bool) -> Sample:
    found = msgspec.convert(told, _Told)
    units = found.frames if is_stream else found.right
    return Sample(
        units=units,
        seconds=found.seconds,
        cpu_micros=None if spent is None or not units else spent * 1e6 / units,
        latency=found.latency.p50,
        latency_99=found.latency.p99,
        wrong=found.wrong + found.broken,
        first_byte=found.first_byte.p50 if found.first_byte else None,
        transit_99=found.transit.p99 if found.transit else None,
        late=found.late,
        kept=found.kept or None,
        complaint=found.complaint,
    )


class _Spread(msgspec.Struct):
    p50: float
    p99: float


class _Told(msgspec.Struct):
    seconds: float
    right: int
    wrong: int
    broken: int
    frames: int
    late: int
    kept: float
    complaint: str
    latency: _Spread
    first_byte: _Spread | None = None
    transit: _Spread | None = None


RELAY_1K = Scene(name="relay 1 KB")
SHORT = (
    RELAY_1K,
    Scene(name="relay 20 KB", body=20_000),
    Scene(name="relay 200 KB", body=200_000),
    Scene(name="relay 1 KB, 50 requests/s", beside=4, rate=50, seconds=2),
    Scene(name="relay 1 KB, another name for the model", model="another-name", gateways=("proxy",)),
    Scene(name="translated 1 KB", path=MESSAGES, gateways=TRANSLATED),
    Scene(name="100 streams × 5 ms", kind="stream", model="stream-200-5000", beside=100, rate=5000, seconds=0.5),
    Scene(name="burst of 1,000 frames", kind="stream", model="stream-1000-0", beside=4, rate=0, seconds=1),
    Scene(
        name="translated burst of 1,000 frames", kind="stream", model="stream-1000-0", path=MESSAGES, beside=4,
        gateways=TRANSLATED, seconds=1,
    ),
)  # fmt: skip
LONG = (
    Scene(name="translated 200 KB", path=MESSAGES, body=200_000, gateways=TRANSLATED),
    Scene(
        name="translated, 100 streams × 5 ms", kind="stream", model="stream-200-5000", path=MESSAGES, beside=100,
        rate=5000, seconds=0.5, gateways=TRANSLATED,
    ),
    Scene(name="1 stream × 5 ms", kind="stream", model="stream-200-5000", beside=1, rate=5000, seconds=0.5),
    Scene(name="500 streams × 5 ms", kind="stream", model="stream-200-5000", beside=500, rate=5000, seconds=0.5),
    Scene(name="1,000 streams × 25 ms", kind="stream", model="stream-200-25000", beside=1000, rate=25_000, seconds=0.5),
    Scene(name="2,000 streams × 25 ms", kind="stream", model="stream-200-25000", beside=2000, rate=25_000, seconds=0.5),
)  # fmt: skip

assert {scene.model for scene in (*SHORT, *LONG)} <= {*MODELS, "another-name"}
