"""The program as a whole: a process, its exit codes, signals and files. The rest is tested where it lives."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.pace import slowness

START_SECONDS_MAX = 60


@dataclass
class Running:
    process: asyncio.subprocess.Process
    url: str
    log: list[dict[str, object]] = field(default_factory=list)

    async def logged(self, event: str) -> dict[str, object]:
        """The next log line of that event."""
        assert self.process.stderr is not None
        async with asyncio.timeout(START_SECONDS_MAX):
            while True:
                line = await self.process.stderr.readline()
                assert line, f"{event} was not logged; {self.log}"
                self.log.append(msgspec.json.decode(line))
                if self.log[-1]["event"] == event:
                    return self.log[-1]


def command(*arguments: str) -> Sequence[str]:
    return (sys.executable, "-m", "proxy", *arguments)


def environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home)}


@asynccontextmanager
async def started(folder: Path, *arguments: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *command("--port", "0", *arguments), cwd=folder, env=environment(folder),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    running = Running(process, "")
    try:
        urls = (await running.logged("server.started"))["urls"]
        assert isinstance(urls, list)
        running.url = str(urls[0])
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ran(folder: Path, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command(*arguments), cwd=folder, env=environment(folder),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(START_SECONDS_MAX):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--config", "none.yaml"], 1, "none.yaml: there is no such file"),
        (["--host", "0.0.0.0"], 1, "api-keys is empty"),
        (["--port", "many"], 2, "'many' is not a valid integer"),
        (["--no-such-flag"], 2, "No such option"),
        (["nonsense"], 2, "No such command"),
        (["--kimi-login", "--grok-login"], 2, "one login at a time"),
        (["--replay", "nowhere"], 2, "does not exist"),
        (["config", "check", "bad.yaml"], 1, "bad.yaml:2:"),
    ],
)
async def test_a_mistake_is_one_clear_line(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    (tmp_path / "bad.yaml").write_text("debug: true\nprot: 1\n")
    returned, out, err = await ran(tmp_path, *arguments)
    assert (returned, out) == (code, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert err.startswith("proxy: ")
    assert "Traceback" not in err


async def test_every_complaint_comes_at_once(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("port: many\ndebug: 7\nhots: x\n")
    code, _, err = await ran(tmp_path, "config", "check")
    assert code == 1
    assert [line.split()[1] for line in err.splitlines()] == ["config.yaml:1:", "config.yaml:2:", "config.yaml:3:"]


async def test_config_commands_print_what_tools_can_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("claude-api-key:\n  - api-key: sk-ant-a-secret-of-mine\n")
    code, out, _ = await ran(tmp_path, "config", "show")
    assert code == 0
    assert "sk-ant-a-secret-of-mine" not in out
    assert "port: 8317" in out
    code, out, _ = await ran(tmp_path, "config", "schema")
    assert code == 0
    assert msgspec.json.decode(out)["$schema"].startswith("https://json-schema.org/")
    code, out, _ = await ran(tmp_path, "config", "check")
    assert (code, out) == (0, "config.yaml: good\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_peace(tmp_path: Path, number: signal.Signals) -> None:
    async with started(tmp_path) as running:
        running.process.send_signal(number)
        await running.logged("server.stopped")
        async with asyncio.timeout(START_SECONDS_MAX):
            assert await running.process.wait() == 0


async def test_a_stream_finishes_after_a_sigterm(tmp_path: Path) -> None:
    body = {"model": "sandbox-gpt", "stream": True, "messages": [{"role": "user", "content": "say 60 words"}]}
    async with (
        started(tmp_path) as running,
        aiohttp.ClientSession(running.url) as client,
        client.post("/v1/chat/completions", json=body) as answer,
    ):
        assert answer.status == 200
        received = await answer.content.readany()
        running.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(START_SECONDS_MAX):
            received += await answer.content.read()
            assert received.rstrip().endswith(b"data: [DONE]")
            assert await running.process.wait() == 0


async def test_a_changed_config_is_in_force_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("# mine\n")
    async with started(tmp_path) as running, aiohttp.ClientSession(running.url) as client:
        path.write_text("claude-api-key:\n  - api-key: sk-ant-one\n    models: [{name: claude-x, alias: mine}]\n")
        await running.logged("config.reloaded")
        async with client.get("/v1/models") as answer:
            listed = {model["id"] for model in (await answer.json())["data"]}
        assert "mine" in listed
        assert not any(name.startswith("sandbox") for name in listed)
        path.write_text("claude-api-key: [{api-kye: x}]\n")
        refusal = await running.logged("config.refused")
        assert "api-kye" in str(refusal["complaints"])
        async with client.get("/health", params={"detail": "1"}) as answer:
            health = await answer.json()
        assert "api-kye" in health["config_error"]
        assert [account["provider"] for account in health["accounts"]] == ["anthropic"]


async def test_no_secret_is_logged_and_logs_go_where_they_are_sent(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "api-keys: [a-client-key-of-mine]\nlogging-to-file: true\nrequest-log: true\nauth-dir: accounts\n"
        "openai-compatibility:\n"
        "  - {name: local, base-url: 'http://127.0.0.1:9/v1', models: [{name: m}],\n"
        "     api-key-entries: [{api-key: an-upstream-key-of-mine}]}\n"
    )
    process = await asyncio.create_subprocess_exec(
        *command("--port", "0", "--debug"), cwd=tmp_path, env=environment(tmp_path),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    banner = b""
    async with asyncio.timeout(START_SECONDS_MAX):
        while b"Stop with" not in banner:
            banner += await process.stdout.readline()
    url = next(
        word for word in banner.decode().split() if word.startswith("http://127.0.0.1:") and word.endswith("/v1")
    )
    body = {"model": "m", "messages": [{"role": "user", "content": "a-private-prompt"}]}
    headers = {"authorization": "Bearer a-client-key-of-mine"}
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"{url}/chat/completions", json=body, headers=headers) as answer,
    ):
        assert answer.status in {502, 503}
        told = await answer.text()
    process.send_signal(signal.SIGTERM)
    _, err = await process.communicate()
    assert process.returncode == 0
    log = tmp_path / "accounts" / "logs" / "proxy.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    written = log.read_text()
    assert "request.finished" in written
    for secret in ("a-client-key-of-mine", "an-upstream-key-of-mine"):
        assert secret not in written + told + err.decode() + banner.decode()
    assert "a-private-prompt" not in written
    recordings = list((tmp_path / "accounts" / "logs" / "requests").iterdir())
    assert recordings
    assert all("an-upstream-key-of-mine" not in path.read_text() for path in recordings)


class Vendor:
    """An OpenAI-compatible provider on this machine, which notes the keys that it is sent."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers["authorization"])
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}
        return web.json_response(
            {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        )


async def listed(client: aiohttp.ClientSession, name: str, *, is_there: bool = True) -> float:
    """Seconds until a model is listed, or no longer; as on a machine that does nothing else."""
    start = time.monotonic()
    async with asyncio.timeout(START_SECONDS_MAX):
        while True:
            async with client.get("/v1/models") as answer:
                if (name in {model["id"] for model in (await answer.json())["data"]}) is is_there:
                    return (time.monotonic() - start) / slowness()
            await asyncio.sleep(0.02)


async def test_a_key_that_is_dropped_into_the_auth_dir_serves_within_a_second(tmp_path: Path) -> None:
    vendor, folder = Vendor(), tmp_path / "accounts"
    application = web.Application()
    application.router.add_post("/v1/chat/completions", vendor.answer)
    (tmp_path / "config.yaml").write_text("auth-dir: accounts\n")
    seconds = []
    async with (
        TestServer(application) as server,
        started(tmp_path) as running,
        aiohttp.ClientSession(running.url) as client,
    ):
        folder.mkdir(mode=0o700)
        for number in range(3):  # the best of a few: how busy the machine is besides is not what is measured
            account = {
                "type": "openai-compatibility", "name": "vendor", "base-url": str(server.make_url("/v1")),
                "api-key": f"a-key-of-mine-{number}", "models": [{"name": "m", "alias": f"dropped-{number}"}],
            }  # fmt: skip
            (folder / "work.json").touch(mode=0o600)
            (folder / "work.json").write_bytes(msgspec.json.encode(account))
            seconds.append(await listed(client, f"dropped-{number}"))
            body = {"model": f"dropped-{number}", "messages": [{"role": "user", "content": "hi"}]}
            async with client.post("/v1/chat/completions", json=body) as answer:
                assert (answer.status, (await answer.json())["choices"][0]["message"]["content"]) == (200, "hello")
        (folder / "work.json").write_text("{")
        refusal = await running.logged("account.quarantined")
        assert (refusal["file"], refusal["still"]) == ("work.json", "what it said before is in force")
        async with client.get("/health", params={"detail": "1"}) as answer:
            health = await answer.json()
        assert [(each["file"], each["is_served"]) for each in health["quarantined"]] == [("work.json", True)]
        assert [account["label"] for account in health["accounts"]] == ["work"]
        await listed(client, "dropped-2")
        (folder / "work.json").unlink()
        await listed(client, "dropped-2", is_there=False)
    assert vendor.keys == [f"Bearer a-key-of-mine-{number}" for number in range(3)]
    assert min(seconds) < 1.0, seconds
    assert "a-key-of-mine" not in str(running.log)


async def test_usage_outlives_a_kill_and_is_told_to_whoever_has_the_key(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("# mine\nremote-management:\n  secret-key: a-management-key-of-mine\n")
    body = {"model": "sandbox-gpt", "messages": [{"role": "user", "content": "hello"}]}
    key = {"authorization": "Bearer a-management-key-of-mine"}
    async with started(tmp_path, "--sandbox") as running, aiohttp.ClientSession(running.url) as client:
        async with client.post("/v1/chat/completions", json=body) as answer:
            assert answer.status == 200
        async with client.get("/v0/management/usage", headers=key) as answer:  # what is told is written
            assert (await answer.json())["totals"]["requests"] == 1
        await running.logged("management.key_hashed")
        running.process.kill()
        await running.process.wait()
    assert "a-management-key-of-mine" not in path.read_text()
    assert path.read_text().startswith("# mine\n")
    ledger = tmp_path / ".proxy" / "state" / "usage.sqlite"
    assert stat.S_IMODE(ledger.stat().st_mode) == 0o600
    async with started(tmp_path, "--sandbox") as running, aiohttp.ClientSession(running.url) as client:
        async with client.get("/v0/management/usage", headers=key) as answer:
            assert (await answer.json())["totals"]["requests"] == 1
        async with client.get("/v0/management/usage") as answer:
            assert answer.status == 401
