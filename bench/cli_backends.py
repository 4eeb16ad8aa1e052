"""What it costs that an official CLI asks, and not we: `make bench-clis`, or `python -m bench.cli_backends codex …`

Time to the first token, against a stub of the provider on this machine that answers at once; each figure is the median
over rounds in which all variants take turns. *Added* is over a direct HTTP call to the same stub in the same round, by
the same way (its TLS, its egress proxy). *There* is until the stub has the request, *back* from then on. The processor
time is the server's, and that of the CLI's processes: it tells whose work it is, also on a machine that is busy. The
cold figure is a CLI that is started for each request, as wrappers do it, with its fastest switches. *Hanging up* is how
long it takes until the provider sees that the client has left in the middle of an answer.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import statistics
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import aiohttp
import msgspec

from proxy.upstream.claude_process import ENVIRONMENT
from tests.backends.stage import KEY, STAGES, Stage

MODULES = Path(os.environ.get("PROXY_CLIENT_MODULES", "tests/clients/node_modules")).resolve()
ROUNDS = int(os.environ.get("PROXY_BENCH_ROUNDS", "11"))
REST_SECONDS = float(os.environ.get("PROXY_BENCH_REST", "1.5"))
"""For the next spare to be there, and the machine to be quiet."""
AT_ONCE = 8
ANSWER = "Ahoy from the quay."
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # gitleaks:allow
)
NANO, MILLI = 1e-9, 1e3


@dataclass(frozen=True, slots=True)
class Said:
    """`by`: user, model, call (of the tool) or result."""

    by: str
    text: str = ""
    is_shown: bool = False
    """With an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """In seconds; `ours` and `theirs` of processor time."""

    first: float
    there: float = 0.0
    ours: float = 0.0
    theirs: float = 0.0


class Bench(ABC):
    """One CLI, asked in its provider's own dialect."""

    targets: ClassVar[Mapping[str, int]]
    """Added milliseconds at most, on two cores of their own."""
    token: ClassVar[bytes]
    """Stands in an answer when its first words are there."""
    called: ClassVar[bytes]
    """… and when a call is complete."""
    path: ClassVar[str]
    """At the server."""
    key: ClassVar[str] = "authorization"
    is_shared: ClassVar[bool] = True
    """One process holds many conversations."""

    def __init__(self, stage: Stage, session: aiohttp.ClientSession) -> None:
        self.stage, self.session = stage, session
        self.talk = [Said("user", "Who is there?")]
        self.serial = 0
        self.tls = ssl.create_default_context(cafile=str(stage.backend.authority))
        stage.backend.plays = self._play

    @abstractmethod
    def body(self, talk: Sequence[Said], *, has_tools: bool) -> Mapping[str, Any]: ...

    @abstractmethod
    def own(self) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        """Headers and body of a direct request."""

    def cold_command(self, home: Path) -> tuple[Sequence[str], Mapping[str, str], bytes] | None:  # noqa: ARG002 - theirs
        """With its environment, and what stands in its output with the first words."""
        return None

    # variants

    async def direct(self) -> Sample:
        host, path = self.stage.backend.place
        headers, body = self.own()
        how: dict[str, Any] = {"proxy": self.stage.backend.environment["HTTPS_PROXY"], "ssl": self.tls}
        return await self._first(f"https://{host}{path}", headers, body, **how)

    async def continuing(self) -> Sample:
        sample = await self._ours(self.talk)
        self.talk += [Said("model", ANSWER), Said("user", "And now?")]
        return sample

    async def new(self) -> Sample:
        return await self._ours([Said("user", f"Who is there? {self._next()}")])

    async def results(self) -> Sample:
        asked = Said("user", f"What is it like? {self._next()}")
        await self._ours([asked], has_tools=True, until=self.called)
        return await self._ours([asked, Said("call"), Said("result", "rain")], has_tools=True)

    async def history(self) -> Sample:
        serial = self._next()
        turns = [
            (Said("user", f"Who is there? {serial} {turn}", is_shown=True), Said("model", f"Ahoy {turn}."))
            for turn in range(10)
        ]
        return await self._ours([*(each for turn in turns for each in turn), Said("user", "And now?")])

    async def at_once(self) -> Sample:
        """The last of so many."""
        return max(await asyncio.gather(*(self.new() for _ in range(AT_ONCE))), key=lambda sample: sample.first)

    async def hanging_up(self) -> Sample:
        """The answer's end does not come."""
        backend, (*words, _) = self.stage.backend, self.stage.says.pieces(ANSWER)
        plays, backend.plays = backend.plays, lambda _turn: [*words, asyncio.Event()]
        backend.dropped.clear()
        url, headers, body = self._asked([Said("user", f"Who is there? {self._next()}")], has_tools=False)
        answer = await self.session.post(url, json=body, headers=headers)
        told = b""
        while self.token not in told:
            told += await answer.content.readany()
        await asyncio.sleep(REST_SECONDS)
        began = time.perf_counter()
        answer.close()
        await backend.dropped.wait()
        seconds = time.perf_counter() - began
        backend.plays = plays
        return Sample(first=seconds)

    async def cold(self) -> Sample:
        home = self.stage.folder / "cold"
        home.mkdir(exist_ok=True)
        told = self.cold_command(home)
        assert told is not None
        command, variables, words = told
        (home / Path(self.stage.login_file).name).write_bytes(self.stage.says.login("cold"))
        path = os.pathsep.join([str(MODULES / ".bin"), "/usr/bin", "/bin"])
        environment = {**self.stage.backend.environment, "HOME": str(home), "PATH": path, **variables}
        await asyncio.sleep(REST_SECONDS)
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *command, cwd=tempfile.mkdtemp(dir=self.stage.folder), env=environment, limit=2**24,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout is not None
        while words not in (line := await process.stdout.readline()):
            assert line, f"{command[0]} gave no answer"
        seconds = time.perf_counter() - began
        await process.communicate()
        return Sample(first=seconds)

    # how

    def _next(self) -> int:
        self.serial += 1
        return self.serial

    def _play(self, turn: Any) -> bytes:
        is_asked = "What is it like?" in turn.asked
        return bytes(self.stage.says.calls("weather", {}) if is_asked else self.stage.says.said(ANSWER))

    def _asked(self, talk: Sequence[Said], *, has_tools: bool) -> tuple[str, Mapping[str, str], Mapping[str, Any]]:
        key = f"Bearer {KEY}" if self.key == "authorization" else KEY
        return f"{self.stage.url}{self.path}", {self.key: key}, self.body(talk, has_tools=has_tools)

    async def _ours(self, talk: Sequence[Said], *, has_tools: bool = False, until: bytes = b"") -> Sample:
        await asyncio.sleep(REST_SECONDS)
        url, headers, body = self._asked(talk, has_tools=has_tools)
        assert self.stage.pid is not None
        servants = [*self.stage.servants()]
        ours, theirs = _spent([self.stage.pid]), _spent(servants)
        sample = await self._first(url, headers, body, until=until)
        return replace(sample, ours=_spent([self.stage.pid]) - ours, theirs=_spent(servants) - theirs)

    async def _first(
        self, url: str, headers: Mapping[str, str], body: Mapping[str, Any], *, until: bytes = b"", **how: Any
    ) -> Sample:
        """Until the first piece of text."""
        began = time.perf_counter()
        told, seconds = b"", 0.0
        async with self.session.post(url, json=body, headers=headers, **how) as answer:
            async for piece in answer.content.iter_any():
                told += piece
                if not seconds and (until or self.token) in told:
                    seconds = time.perf_counter() - began
        assert seconds, told
        return Sample(first=seconds, there=self.stage.backend.times[-1] - began)


class Claude(Bench):
    targets = MappingProxyType(
        {"continuing turn": 40, "new conversation": 200, "20 turns of history": 400, "hanging up": 100}
    )
    token, called = b"text_delta", b"message_stop"
    path = "/v1/messages"
    is_shared = False

    def body(self, talk: Sequence[Said], *, has_tools: bool) -> Mapping[str, Any]:
        body = {"model": self.stage.says.MODEL, "max_tokens": 99, "system": "Be kind.", "stream": True}
        tools = [{"name": "weather", "input_schema": {"type": "object"}}]
        return {**body, "messages": [*map(self._message, talk)], **({"tools": tools} if has_tools else {})}

    def _message(self, said: Said) -> Mapping[str, Any]:
        match said.by:
            case "call":
                use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
                return {"role": "assistant", "content": [use]}
            case "result":
                result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": said.text}
                return {"role": "user", "content": [result]}
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
        role = "assistant" if said.by == "model" else "user"
        return {"role": role, "content": [*([image] if said.is_shown else []), {"type": "text", "text": said.text}]}

    def own(self) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        return {"authorization": "Bearer direct"}, self.body([Said("user", "Who is there?")], has_tools=False)

    def cold_command(self, home: Path) -> tuple[Sequence[str], Mapping[str, str], bytes]:
        command = (
            "claude", "-p", "Who is there?", "--model", self.stage.says.MODEL, "--output-format", "stream-json",
            "--verbose", "--include-partial-messages", "--tools", "", "--strict-mcp-config", "--setting-sources", "",
            "--disable-slash-commands", "--no-session-persistence", "--system-prompt", "Be kind.",
        )  # fmt: skip
        return command, {**ENVIRONMENT, "CLAUDE_CONFIG_DIR": str(home)}, b"text_delta"


class Codex(Bench):
    targets = MappingProxyType(
        {"continuing turn": 30, "new conversation": 60, "20 turns of history": 120, "hanging up": 100}
    )
    token, called = b"output_text.delta", b"response.completed"
    path = "/v1/responses"

    def body(self, talk: Sequence[Said], *, has_tools: bool) -> Mapping[str, Any]:
        body = {"model": self.stage.says.MODEL, "instructions": "Be kind.", "stream": True, "store": False}
        tool = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
        return {**body, "input": [*map(self._item, talk)], "tools": [tool] if has_tools else []}

    def _item(self, said: Said) -> Mapping[str, Any]:
        match said.by:
            case "call":
                return {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
            case "result":
                return {"type": "function_call_output", "call_id": "call_1", "output": said.text}
            case "model":
                return {"role": "assistant", "content": said.text}
        image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}
        text = {"type": "input_text", "text": said.text}
        return {"role": "user", "content": [*([image] if said.is_shown else []), text]}

    def own(self) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        return {"chatgpt-account-id": "direct"}, self.body([Said("user", "Who is there?")], has_tools=False)

    def cold_command(self, home: Path) -> tuple[Sequence[str], Mapping[str, str], bytes]:
        self.stage.backend.person.account = "cold"
        off = ("features.plugins", "features.apps", "analytics.enabled")
        command = (
            "codex", "exec", "--json", "--ephemeral", "--skip-git-repo-check", "-m", self.stage.says.MODEL,
            *(word for name in off for word in ("-c", f"{name}=false")), "Who is there?",
        )  # fmt: skip
        return command, {"CODEX_HOME": str(home)}, ANSWER.encode()


class Gemini(Bench):
    targets = MappingProxyType(
        {"continuing turn": 15, "new conversation": 80, "20 turns of history": 160, "hanging up": 100}
    )
    token, called = b'"text"', b"functionCall"
    key = "x-goog-api-key"

    @property
    def path(self) -> str:  # type: ignore[override]  # it holds the model
        return f"/v1beta/models/{self.stage.says.MODEL}:streamGenerateContent?alt=sse"

    def body(self, talk: Sequence[Said], *, has_tools: bool) -> Mapping[str, Any]:
        system = {"parts": [{"text": "Be kind."}]}
        tools = [{"functionDeclarations": [{"name": "weather", "description": "Weather."}]}]
        contents = [*map(self._content, talk)]
        return {"contents": contents, "systemInstruction": system, **({"tools": tools} if has_tools else {})}

    def _content(self, said: Said) -> Mapping[str, Any]:
        match said.by:
            case "call":
                return {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {}}}]}
            case "result":
                answer = {"name": "weather", "response": {"result": said.text}}
                return {"role": "user", "parts": [{"functionResponse": answer}]}
        image = {"inlineData": {"mimeType": "image/png", "data": PIXEL}}
        return {"role": said.by, "parts": [*([image] if said.is_shown else []), {"text": said.text}]}

    def own(self) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        body = {"contents": [self._content(Said("user", "Who is there?"))], "session_id": "s"}
        asked = {"model": self.stage.says.MODEL, "project": "p", "request": body}
        return {"authorization": "Bearer ya29.direct-1"}, asked


BENCHES: Mapping[str, Callable[[Stage, aiohttp.ClientSession], Bench]] = {
    "claude": Claude,
    "codex": Codex,
    "gemini": Gemini,
}


def _spent(pids: Iterable[int]) -> float:
    """Seconds of processor time so far, of all threads."""
    spent = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                spent += int(thread.read_bytes().split()[0])
            except OSError:
                continue
    return spent * NANO


async def measure(bench: Bench) -> dict[str, list[Sample]]:
    variants: dict[str, Callable[[], Awaitable[Sample]]] = {
        "direct": bench.direct,
        "continuing turn": bench.continuing,
        "results of tools": bench.results,
        "new conversation": bench.new,
        "20 turns of history": bench.history,
        "hanging up": bench.hanging_up,
    }
    if bench.is_shared:
        variants[f"{AT_ONCE} new ones at once"] = bench.at_once
    if bench.cold_command(Path()) is not None:
        variants["cold"] = bench.cold
    for variant in [*variants.values(), bench.new]:
        await variant()  # everything is loaded, and the conversation has begun
    samples: dict[str, list[Sample]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, variant in variants.items():
            samples[name].append(await variant())
    return samples


def tell(name: str, bench: Bench, samples: Mapping[str, Sequence[Sample]]) -> dict[str, float]:
    """The table; and the medians of what is added, in ms."""
    columns = ("median", "added", "at most", "there", "back", "our CPU", "its CPU")
    sys.stdout.write(f"\n{name + ', ms':24}" + "".join(f"{column:>9}" for column in columns) + "\n")
    added: dict[str, float] = {}
    direct = samples["direct"]
    for variant, each in samples.items():
        median = statistics.median(one.first for one in each) * MILLI
        cells = [f"{median:.1f}"]
        if variant not in {"direct", "hanging up"}:
            pairs = [*zip(each, direct, strict=True)]
            added[variant] = statistics.median(one.first - other.first for one, other in pairs) * MILLI
            there = statistics.median(one.there - other.there for one, other in pairs) * MILLI
            cells += [f"{added[variant]:.1f}", str(bench.targets.get(variant, ""))]
            if variant != "cold":
                cells += [f"{there:.1f}", f"{added[variant] - there:.1f}"]
                cells += [f"{statistics.median(getattr(one, whose) for one in each) * MILLI:.1f}"
                          for whose in ("ours", "theirs")]  # fmt: skip
        elif variant in bench.targets:
            added[variant] = median
            cells += ["", str(bench.targets[variant])]
        sys.stdout.write(f"{variant:24}" + "".join(f"{cell:>9}" for cell in cells) + "\n")
    if "cold" in added:
        ratio = added["cold"] / added["continuing turn"]
        sys.stdout.write(f"a continuing turn adds {ratio:.0f} times less than a cold start\n")
    return {variant: round(value, 1) for variant, value in added.items()}


async def run(name: str) -> dict[str, float]:
    make_backend, make_stage = STAGES[name]
    with tempfile.TemporaryDirectory() as folder:
        async with make_backend(Path(folder)) as backend, aiohttp.ClientSession() as session:
            stage = make_stage(folder=Path(folder), backend=backend, modules=MODULES)
            await stage.open()
            try:
                bench = BENCHES[name](stage, session)
                return tell(name, bench, await measure(bench))
            finally:
                await stage.close()


async def main() -> int:
    found = {name: await run(name) for name in sys.argv[1:] or BENCHES}
    sys.stdout.write(f"\n{msgspec.json.encode(found).decode()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
