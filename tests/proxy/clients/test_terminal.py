"""``proxy run`` as a process: it becomes the client, which finds what it needs in its environment."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.observe.recording import Frame, Recording, Request, Response
from proxy.upstream.replay import Deck
from proxy.upstream.replay_server import ReplayServer

LIST = b'{"data":[{"id":"harbour","context_length":32000}]}'


@pytest.fixture
async def server() -> AsyncIterator[ReplayServer]:
    request = Request(method="GET", path="/v1/models")
    async with ReplayServer(
        Deck([Recording(request=request, response=Response(frames=(Frame(data=LIST),)))]), pace=0
    ) as server:
        yield server


async def proxy(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy", *arguments,
        cwd=folder,
        env={"PATH": f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin", "HOME": str(folder), **environment},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def install(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(stat.S_IRWXU)


def names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


async def test_it_becomes_the_client_and_writes_nothing(tmp_path: Path, server: ReplayServer) -> None:
    install(
        tmp_path, "claude", 'echo "$*"; echo "$ANTHROPIC_BASE_URL $ANTHROPIC_AUTH_TOKEN $ANTHROPIC_API_KEY."; exit 7'
    )
    code, out, err = await proxy(
        tmp_path, "run", "--url", server.url, "--key", "a-key-of-a-client", "claude", "-p", "hello world",
        ANTHROPIC_API_KEY="another's",
    )  # fmt: skip
    assert (code, err) == (7, "")
    assert out == f"-p hello world\n{server.url} a-key-of-a-client .\n"
    assert names(tmp_path) == ["claude"]


async def test_the_config_says_where_and_with_which_key(tmp_path: Path, server: ReplayServer) -> None:
    (tmp_path / "config.yaml").write_text(f"port: {server.port}\napi-keys: [the-key-of-the-config]\n")
    install(tmp_path, "qwen", 'echo "$OPENAI_API_KEY $OPENAI_BASE_URL $OPENAI_MODEL"')
    code, out, _ = await proxy(tmp_path, "run", "qwen")
    assert (code, out) == (0, f"the-key-of-the-config {server.url}/v1 harbour\n")


async def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    code, _, err = await proxy(tmp_path, "run", "--url", "http://127.0.0.1:1", "claude")
    assert code == 1
    assert "start the server with `proxy`" in err


async def test_a_setup_and_its_undoing(tmp_path: Path, server: ReplayServer) -> None:
    (tmp_path / "config.yaml").write_text(f"port: {server.port}\nauth-dir: {tmp_path}/auth\n")
    install(tmp_path, "codex", 'test -f "$HOME/.codex/config.toml" && echo ready')
    code, _, err = await proxy(tmp_path, "setup", "--yes", "codex")
    assert (code, "Codex answered: ready" in err) == (0, True)
    code, _, err = await proxy(tmp_path, "setup", "--yes", "--undo", "codex")
    assert code == 0
    assert not (tmp_path / ".codex" / "config.toml").exists()


async def test_a_setup_that_fails_says_so_with_its_exit_code(tmp_path: Path, server: ReplayServer) -> None:
    install(tmp_path, "codex", "exit 1")
    code, _, err = await proxy(tmp_path, "setup", "--yes", "--url", server.url, "codex")
    assert code == 1
    assert "--undo" in err


async def test_the_models_of_the_running_server(tmp_path: Path, server: ReplayServer) -> None:
    code, out, err = await proxy(tmp_path, "models", "--url", server.url, "--key", "a-key-of-a-client")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["harbour"]
