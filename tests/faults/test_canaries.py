"""G6: secrets are put wherever secrets can stand, the server is asked in every way with everything switched on that
writes, and then nothing of them is found, in any spelling, but in the files that hold them.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from tests.canaries.search import Notes, searched, spellings

START_SECONDS_MAX = 60
PROMPT = "canary-prompt-of-the-client-7c1d"


@dataclass
class Canaries:
    """Each secret once, by the place where it stands."""

    by_place: dict[str, str] = field(default_factory=dict)

    def new(self, place: str, prefix: str = "") -> str:
        assert place not in self.by_place
        self.by_place[place] = f"{prefix}canary/{secrets.token_hex(12)}+{len(self.by_place)}"
        return self.by_place[place]

    def found_in(self, raw: bytes) -> Iterator[str]:
        for place, secret in self.by_place.items():
            for name, spelling in spellings(secret).items():
                if len(spelling) >= 12 and spelling in raw:
                    yield f"{place} ({name})"


def configuration(canaries: Canaries, folder: Path, provider: str) -> str:
    def keys(setting: str, prefix: str, *, also: str = "") -> str:
        entries = []
        for number in range(4):
            key, header = canaries.new(f"{setting} {number}", prefix), canaries.new(f"{setting} header {number}")
            entries.append(
                f"  - api-key: '{key}'\n    base-url: '{provider}'\n    headers: {{X-Extra: '{header}'}}\n"
                f"    models: [{{name: m-{number}, alias: {setting}-{number}}}]\n{also}"
            )
        return f"{setting}:\n{''.join(entries)}"

    compatible = canaries.new("compatible key", "sk-")
    clients = "".join(
        f"  - {{api-key: '{canaries.new(f'client key {n}', 'px-')}', name: client-{n}}}\n" for n in range(4)
    )
    user, word = "user", quote(canaries.new("egress password"), safe="")
    return (
        f"host: 127.0.0.1\nport: 0\nauth-dir: {folder}\ndebug: true\nlogging-to-file: true\nrequest-log: true\n"
        f"remote-management:\n  api-call: true\n  secret-key: '{canaries.new('management key')}'\n"
        f"api-keys:\n{clients}"
        f"webhooks: [{{url: '{provider}/hook?token={canaries.new('webhook token')}', "
        f"secret: '{canaries.new('webhook secret')}'}}]\n"
        + keys("claude-api-key", "sk-ant-")
        + keys("codex-api-key", "sk-")
        + keys("gemini-api-key", "AIza")
        + "openai-compatibility:\n"
        f"  - name: other\n    base-url: '{provider}/v1'\n"
        f"    headers: {{X-Team: '{canaries.new('compatible header')}'}}\n"
        f"    api-key-entries: [{{api-key: '{compatible}'}}]\n    models: [{{name: m-0, alias: other-0}}]\n"
        f"  - name: away\n    base-url: 'https://unreachable.invalid/v1'\n    models: [{{name: m-0, alias: away-0}}]\n"
        f"    api-key-entries: [{{api-key: '{canaries.new('unreachable key', 'sk-')}', "
        f"proxy-url: 'http://{user}:{word}@127.0.0.1:1'}}]\n"
    )


def accounts(canaries: Canaries, folder: Path, provider: str) -> None:
    folder.mkdir(mode=0o700)
    for number in range(12):
        kind, prefix = [("claude-api-key", "sk-ant-"), ("codex-api-key", "sk-"), ("gemini-api-key", "AIza")][number % 3]
        file = {
            "type": kind,
            "api-key": canaries.new(f"file {number}", prefix),
            "base-url": provider,
            "headers": {"X-Own": canaries.new(f"file header {number}")},
            "models": [{"name": f"f-{number}"}],
        }
        put(folder / f"account-{number}.json", msgspec.json.encode(file))
    broken = canaries.new("a file that is not whole", "sk-ant-")
    put(folder / "torn.json", f'{{"type": "claude-api-key", "api-key": "{broken}"'.encode())
    wrong = canaries.new("a member that is unknown")
    put(folder / "odd.json", msgspec.json.encode({"type": "claude-api-key", "api-key": 5, "what": wrong}))


def put(path: Path, raw: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(raw)


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    """A provider that says every header that it was sent, in errors of every kind."""
    body = await request.read()
    told = f"{request.method} {request.path_qs} {dict(request.headers)}"
    coded = base64.b64encode(told.encode()).decode()
    statuses = {"m-1": 401, "m-2": 429, "m-3": 500}
    status = next((number for name, number in statuses.items() if name.encode() in body or name in request.path), 200)
    if b"f-" in body or "f-" in request.path:
        status = 400
    error = {"error": {"message": told, "type": "x", "code": quote(told, safe=""), "detail": coded}}
    return web.json_response(error, status=status if status != 200 else 403, headers={"x-request-id": coded[:200]})


@dataclass
class Served:
    url: str
    process: asyncio.subprocess.Process
    folder: Path
    answers: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def serving(folder: Path, text: str) -> AsyncIterator[Served]:
    config = folder / "config.yaml"
    put(config, text.encode())
    with (folder / "output").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "proxy", "--config", str(config), "--debug", stdout=output, stderr=output, cwd=folder
        )
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                while not (found := re.search(rb"http://127\.0\.0\.1:\d+", (folder / "output").read_bytes())):  # noqa: ASYNC110 - it prints
                    await asyncio.sleep(0.05)
            yield Served(found[0].decode(), process, folder)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await process.wait()


REQUESTS: tuple[tuple[str, str, Any], ...] = (
    ("claude", "/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": PROMPT}]}),
    ("codex", "/v1/chat/completions", {"messages": [{"role": "user", "content": PROMPT}]}),
    ("codex", "/v1/responses", {"input": PROMPT}),
    ("gemini", "/v1/chat/completions", {"stream": True, "messages": [{"role": "user", "content": PROMPT}]}),
)


async def ask_everything(served: Served, canaries: Canaries, session: aiohttp.ClientSession) -> None:
    async def ask(method: str, path: str, body: Any = None, **headers: str) -> bytes:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with session.request(method, served.url + path, json=body, headers=named) as answer:
            told = repr(dict(answer.headers)).encode() + await answer.read()
        served.answers.append(told)
        return told

    watching = asyncio.create_task(watch(served, canaries, session))
    client = canaries.by_place["client key 0"]
    for kind, path, body in REQUESTS:
        for number in range(4):
            for headers in (
                {"Authorization": f"Bearer {client}", "x-proxy-explain": "1"},
                {"x-api-key": client, "x-goog-api-key": canaries.by_place["client key 1"]},
            ):
                await ask("POST", path, {"model": f"{kind}-api-key-{number}", **body}, **headers)
    for number in range(12):
        await ask("POST", "/v1/messages", {"model": f"f-{number}", **REQUESTS[0][2]}, x_api_key=client)
    for model in ("other-0", "away-0", "nothing"):
        await ask("POST", "/v1/chat/completions", {"model": model, **REQUESTS[1][2]}, Authorization=f"Bearer {client}")
    await ask("POST", f"/v1beta/models/gemini-api-key-0:generateContent?key={client}", {"contents": []})
    for wrong in (client[:-1], canaries.by_place["management key"]):
        await ask("GET", "/v1/models", Authorization=f"Bearer {wrong}")
    for path in ("/health", "/metrics", "/v1/models", "/nowhere", f"/v1/{client}"):
        await ask("GET", path, Authorization=f"Bearer {client}")
    served.answers.pop()  # tells the client the path that it asked for itself; what the log has of it is searched
    await ask_management(ask, canaries)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def watch(served: Served, canaries: Canaries, session: aiohttp.ClientSession) -> None:
    """What the panel is told as it happens."""
    url = f"{served.url}/v0/management/events"
    async with session.get(url, headers={"X-Management-Key": canaries.by_place["management key"]}) as answer:
        async for piece in answer.content.iter_any():
            served.answers.append(piece)


async def ask_management(ask: Any, canaries: Canaries) -> None:
    """Everything that can be read, and changes that are refused."""
    key = {"X-Management-Key": canaries.by_place["management key"]}
    prefix = "/v0/management"
    document = msgspec.json.decode(
        (await ask("GET", f"{prefix}/openapi.json", **key)).partition(b"}{")[2].join([b"{", b""])
    )
    for path, methods in document["paths"].items():
        if "get" in methods and not path.endswith(("/events", "-auth-url", "/auth-files/download")):
            await ask("GET", path.replace("{", "").replace("}", ""), **key)
    new, header = canaries.new("uploaded key", "sk-ant-"), canaries.new("uploaded header")
    account = {"type": "claude-api-key", "api-key": new, "base-url": "https://unreachable.invalid"}
    await ask("POST", f"{prefix}/auth-files?name=uploaded.json", account, **key)
    await ask("PATCH", f"{prefix}/auth-files/fields", {"name": "uploaded.json", "headers": {"X-A": header}}, **key)
    await ask("POST", f"{prefix}/auth-files?name=uploaded.yaml", account, **key)
    listed = await ask("GET", f"{prefix}/auth-files?name=uploaded.json", **key)
    index = re.search(rb'"auth_index":"(\w+)"', listed)
    assert index is not None
    call = {"method": "GET", "url": "https://unreachable.invalid/", "header": {"Authorization": "Bearer $TOKEN$"}}
    await ask("POST", f"{prefix}/api-call", {"auth_index": index[1].decode(), **call}, **key)
    await ask("POST", f"{prefix}/auth-files/bulk", {"action": "probe", "all": True}, **key)
    await ask("POST", f"{prefix}/import/config", {"api-keys": [canaries.by_place["client key 1"]]}, **key)
    await ask("PUT", f"{prefix}/config.yaml", {"port": canaries.by_place["client key 2"]}, **key)
    await ask(
        "PATCH", f"{prefix}/claude-api-key", {"match": canaries.by_place["claude-api-key 0"], "value": {"x": 1}}, **key
    )
    await ask("DELETE", f"{prefix}/api-keys?value={quote(canaries.by_place['client key 3'])}x", **key)
    await ask("POST", f"{prefix}/explain", {"model": "claude-api-key-0", "messages": [PROMPT]}, **key)
    await ask("GET", f"{prefix}/version", X_Management_Key=canaries.by_place["client key 2"])
    await ask("POST", f"{prefix}/reload", **key)


def written(folder: Path, keepers: set[Path]) -> Iterator[tuple[Path, bytes]]:
    """All files but those that are meant to hold secrets."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in keepers:
            yield path, path.read_bytes()


def seen_of(pid: int) -> list[tuple[str, bytes]]:
    """What other users of the machine may see of it."""
    proc = Path(f"/proc/{pid}")
    return [(name, (proc / name).read_bytes()) for name in ("cmdline", "environ")] if proc.exists() else []


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


async def test_T19_T20_no_secret_and_no_prompt_gets_out(tmp_path: Path, canaries: Canaries) -> None:
    folder = tmp_path / "accounts"
    async with RawTestServer(echo) as provider:
        url = str(provider.make_url("")).rstrip("/")
        accounts(canaries, folder, url)
        text = configuration(canaries, folder, url)
        assert len(canaries.by_place) >= 60
        async with serving(tmp_path, text) as served:
            async with aiohttp.ClientSession() as session:
                await ask_everything(served, canaries, session)
            outside = seen_of(served.process.pid)
    keepers = {tmp_path / "config.yaml", *folder.glob("*.json")}
    for path in keepers:
        assert path.stat().st_mode & 0o077 == 0, path
    leaks = {
        f"{place} in {name}"
        for name, raw in (
            *((f"answer {number}", raw) for number, raw in enumerate(served.answers)),
            *((str(path.relative_to(tmp_path)), raw) for path, raw in written(tmp_path, keepers)),
            *outside,
        )
        for place in canaries.found_in(raw)
    }
    assert sorted(leaks) == []
    recordings = folder / "logs" / "requests"
    prompts = [  # a provider's own words are for the operator; this one's do not repeat the prompt
        path.relative_to(tmp_path)
        for path, raw in written(tmp_path, keepers)
        if PROMPT.encode() in raw and recordings not in path.parents
    ]
    assert prompts == [], "T20: prompts are in no log, but in the recordings that were asked for"
    for path, _ in written(folder, keepers):
        assert path.stat().st_mode & 0o077 == 0, path
    assert any("'x-extra': '•••'".encode() in raw for raw in served.answers), "what is searched for was there"
    assert any(b"event: usage" in raw for raw in served.answers), "and so were live events"


def test_the_search_finds_what_is_there(canaries: Canaries) -> None:
    secret = canaries.new("here", "sk-")
    for coded in (secret, quote(secret), secret.encode().hex(), base64.b64encode(f"ab{secret}cd".encode()).decode()):
        assert list(canaries.found_in(f"… {coded} …".encode())), coded


def test_whatever_was_a_secret_in_a_program_is_found_in_what_it_let_out(tmp_path: Path) -> None:
    """The search through the whole suite (``make faults``), upon a program that tells one secret of two."""
    here = Path(__file__).parents[1] / "canaries"
    told, kept = f"told-{secrets.token_hex(12)}", f"kept-{secrets.token_hex(12)}"
    program = (
        "import base64, io, pathlib\n"
        "from auth.secret import Secret\nfrom proxy.errors import Malformed\nfrom proxy.observe.log import make_log\n"
        f"told, kept = Secret('{told}'), Secret('{kept}')\n"
        "log = make_log(io.BytesIO(), redact=lambda _l, _m, event: event, is_json=True)\n"
        "log.debug('x', secret=kept, coded=base64.b64encode(told.reveal().encode()).decode())\n"
        "Malformed('no ' + told.reveal())\n"
        "print('printed', told.reveal())\n"
        "from auth import atomic\n"
        f"folder = pathlib.Path('{tmp_path}')\n"
        "atomic.replace(folder / 'private', kept.reveal().encode())\n"
        "atomic.replace(folder / 'open', kept.reveal().encode())\n(folder / 'open').chmod(0o644)\n"
        "(folder / 'its-own').write_text(kept.reveal())\n"
    )
    notes = tmp_path / "notes"
    notes.mkdir()
    environment = {"PATH": "", "PYTHONPATH": f"{here}:{here.parents[1]}", "PROXY_CANARIES": str(notes)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    found = searched(Notes.read(notes))
    assert {(each.where.partition(" ")[0], each.spelling[:6]) for each in found} == {
        ("log", "base64"),
        ("error", "plain"),
        ("printed", "plain"),
        ("file", "plain"),
    }
    assert [each.where for each in found if kept in each.excerpt] == [f"file {tmp_path / 'open'}"]
