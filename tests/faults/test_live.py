"""The pool at work in a real process: in the sandbox with scripted quotas, and over restarts."""

from __future__ import annotations

import asyncio
import signal
import stat
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.faults.running import START_SECONDS_MAX, Running, started

USER = [{"role": "user", "content": "Hello"}]


def asked(wire: str, model: str, *, is_stream: bool = False) -> tuple[str, dict[str, Any]]:
    """Path and body."""
    match wire:
        case "anthropic":
            return "/v1/messages", {"model": model, "max_tokens": 99, "stream": is_stream, "messages": USER}
        case "openai_chat":
            return "/v1/chat/completions", {"model": model, "stream": is_stream, "messages": USER}
        case "openai_responses":
            return "/v1/responses", {"model": model, "stream": is_stream, "input": "Hello"}
        case _:
            verb = "streamGenerateContent?alt=sse" if is_stream else "generateContent"
            return f"/v1beta/models/{model}:{verb}", {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


WIRES = ("anthropic", "openai_chat", "openai_responses", "gemini")


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[tuple[Running, aiohttp.ClientSession]]:
    (tmp_path / "config.yaml").write_text("max-retry-interval: 0\n")
    async with started(tmp_path, "--sandbox") as running, aiohttp.ClientSession(running.url) as client:
        yield running, client


async def health(client: aiohttp.ClientSession) -> dict[str, Any]:
    async with client.get("/health", params={"detail": "1"}) as answer:
        return {account["id"]: account for account in (await answer.json())["accounts"]}


async def test_no_client_sees_an_error_while_any_account_can_serve(
    sandbox: tuple[Running, aiohttp.ClientSession],
) -> None:
    """Some of the simulated accounts run out, some fail in every way; all four formats, whole and streamed, at once."""
    _, client = sandbox
    statuses: Counter[int] = Counter()

    async def ask(wire: str, model: str, *, is_stream: bool) -> None:
        path, body = asked(wire, model, is_stream=is_stream)
        async with client.post(path, json=body) as answer:
            statuses[answer.status] += 1
            told = await answer.text()
            assert "simulated" in told, (wire, model, told)
            assert '"error":{' not in told, (wire, model, told)

    models = ("sandbox-claude", "sandbox-gpt", "sandbox-gemini", "sandbox-flaky")
    for _ in range(3):
        await asyncio.gather(
            *(
                ask(wire, model, is_stream=is_stream)
                for wire in WIRES
                for model in models
                for is_stream in (False, True)
            )
        )
    assert statuses == {200: 96}


async def test_quotas_run_out_account_by_account_and_then_every_client_hears_it_in_its_own_words(
    sandbox: tuple[Running, aiohttp.ClientSession],
) -> None:
    _, client = sandbox
    served: Counter[str] = Counter()
    for number in range(6):
        path, body = asked(WIRES[number % 4], "sandbox-limited")
        async with client.post(path, json=body) as answer:
            assert answer.status == 200
            served[answer.headers["x-proxy-account"]] += 1
    assert set(served.values()) == {2}
    windows = {name: account.get("windows") for name, account in (await health(client)).items()}
    assert windows["sandbox-claude-2"][0] | {"age_seconds": 0, "resets_at": 0} == {
        "name": "5-hour", "used": 1.0, "seconds": 18000.0, "resets_at": 0, "age_seconds": 0, "models": "*",
        "source": "anthropic-ratelimit-unified-5h", "is_rejected": False,
    }  # fmt: skip
    assert windows["sandbox-gpt-2"][0]["source"] == "x-codex-primary"
    told = {}
    for wire in WIRES:
        path, body = asked(wire, "sandbox-limited")
        async with client.post(path, json=body) as answer:
            assert answer.status == 429
            assert 1 <= int(answer.headers["retry-after"]) <= 63
            told[wire] = (await answer.json())["error"]
    assert told["anthropic"]["type"] == "rate_limit_error"
    assert told["openai_chat"]["code"] == "accounts_exhausted"
    # A minute is about the time from which clients give up: the words are those for waiting or those for giving up.
    assert told["openai_responses"]["code"] in {"accounts_exhausted", "rate_limit_exceeded"}
    [reason] = [detail["reason"] for detail in told["gemini"]["details"] if "reason" in detail]
    assert reason in {"RATE_LIMIT_EXCEEDED", "QUOTA_EXHAUSTED"}
    assert all(error["message"].count("simulated") == 3 for error in told.values())


async def test_whoever_asks_is_told_why_this_account(sandbox: tuple[Running, aiohttp.ClientSession]) -> None:
    _, client = sandbox
    path, body = asked("anthropic", "sandbox-claude")
    headers = {"x-proxy-explain": "1", "x-claude-code-session-id": "s-1"}
    async with client.post(path, json=body, headers=headers) as answer:
        assert answer.headers["x-proxy-decision"].startswith("round-robin: ")
    async with client.post(path, json=body, headers=headers) as answer:
        assert answer.headers["x-proxy-decision"].startswith("affinity: ")


class Vendor:
    """An OpenAI-compatible provider whose first key has spent its quota."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        key = request.headers["authorization"].removeprefix("Bearer ")
        self.keys.append(key)
        if key == "key-of-mine-1":
            error = {"message": "slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
            return web.json_response({"error": error}, status=429, headers={"retry-after": "7200"})
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}
        return web.json_response(
            {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]},
            headers={"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "60",
                     "x-ratelimit-reset-requests": "1h"},
        )  # fmt: skip


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[Vendor]:
    vendor = Vendor()
    application = web.Application()
    application.router.add_post("/v1/chat/completions", vendor.answer)
    async with TestServer(application) as server:
        (tmp_path / "config.yaml").write_text(
            "auth-dir: accounts\nopenai-compatibility:\n"
            f"  - {{name: vendor, base-url: '{server.make_url('/v1')}', models: [{{name: m}}],\n"
            "     api-key-entries: [{api-key: key-of-mine-1}, {api-key: key-of-mine-2}]}\n"
        )
        yield vendor


async def serve(client: aiohttp.ClientSession) -> None:
    async with client.post("/v1/chat/completions", json={"model": "m", "messages": USER}) as answer:
        assert answer.status == 200


async def written(path: Path, *, needle: bytes) -> None:
    async with asyncio.timeout(START_SECONDS_MAX):
        while not await asyncio.to_thread(lambda: path.exists() and needle in path.read_bytes()):  # noqa: ASYNC110 - another process writes
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_restart_forgets_no_cooldown(tmp_path: Path, vendor: Vendor, number: signal.Signals) -> None:
    memory = tmp_path / "accounts" / "state" / "pool.json"
    async with started(tmp_path) as running, aiohttp.ClientSession(running.url) as client:
        await serve(client)
        if number is signal.SIGKILL:
            await written(memory, needle=b"x-ratelimit-requests")
        await running.stop(number)
    assert vendor.keys == ["key-of-mine-1", "key-of-mine-2"]
    assert stat.S_IMODE(memory.stat().st_mode) == 0o600
    assert b"key-of-mine" not in memory.read_bytes()
    async with started(tmp_path) as running, aiohttp.ClientSession(running.url) as client:
        one, two = (await health(client)).values()
        assert (one["state"], one["why"]) == ("cooling", "it is rate limited")
        [window] = two["windows"]
        assert (window["name"], window["used"]) == ("requests", 0.4)
        for _ in range(4):
            await serve(client)
    assert vendor.keys[2:] == ["key-of-mine-2"] * 4


async def test_a_torn_memory_is_ignored_and_told(tmp_path: Path, vendor: Vendor) -> None:
    folder = tmp_path / "accounts" / "state"
    folder.mkdir(parents=True, mode=0o700)
    (tmp_path / "accounts").chmod(0o700)
    (folder / "pool.json").write_text('{"version": 1, "coold')
    async with started(tmp_path) as running, aiohttp.ClientSession(running.url) as client:
        complaint = (await running.logged("pool.memory_failed"))["complaint"]
        assert "is ignored" in complaint
        await serve(client)
    assert len(vendor.keys) == 2
