"""``proxy accounts login oidc`` as a person runs it, in a terminal that is a pipe."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.auth.issuer import Issuer

ROOT = Path(__file__).parents[3]
SECONDS_MAX = 60


class Shell:
    """`proxy` with some arguments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told = ""
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *arguments: str, **environment: str) -> None:
        (self.folder / "config.yaml").write_text("auth-dir: accounts\n")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "proxy", *arguments, cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(ROOT), **environment},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    async def hears(self, pattern: str) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(SECONDS_MAX):
            while not (found := re.search(pattern, self.told)):
                piece = await self._process.stdout.read(4096)
                assert piece, self.told
                self.told += piece.decode()
        return found[found.lastindex or 0]

    async def types(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()

    async def ends(self) -> int:
        assert self._process is not None
        async with asyncio.timeout(SECONDS_MAX):
            out, _ = await self._process.communicate()
        self.told += out.decode()
        assert self._process.returncode is not None
        return self._process.returncode

    async def runs(self, *arguments: str) -> tuple[int, str]:
        await self.start(*arguments)
        self.told = ""
        return await self.ends(), self.told

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()

    def files(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(path.read_bytes()) for path in sorted((self.folder / "accounts").glob("*.json"))]


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer(client_secret="client-secret-1") as issuer:
        yield issuer


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    await shell.close()


def asked(issuer: Issuer, *more: str) -> list[str]:
    return [
        "accounts", "login", "oidc", "--issuer", issuer.name, "--client-id", "client",
        "--client-secret-env", "MY_SECRET", "--provider", "gate", "--base-url", "http://127.0.0.1:1/v1",
        "--label", "mine", "--model", "m", *more,
    ]  # fmt: skip


async def test_in_by_the_browser_listed_renewed_and_out(shell: Shell, issuer: Issuer) -> None:
    await shell.start(*asked(issuer, "--no-browser"), MY_SECRET="client-secret-1")
    page = await shell.hears(rf"({re.escape(issuer.name)}/authorize\S+)")
    await shell.hears("here, and press Enter")
    assert "This is your own client at 127.0.0.1" in shell.told
    async with aiohttp.ClientSession() as session, session.get(issuer.consent(page)) as answer:
        assert answer.status == 200
    assert await shell.ends() == 0, shell.told
    assert "Logged in as ada@example.com." in shell.told
    assert "added. It serves every client" in shell.told
    assert "client-secret-1" not in shell.told

    code, listed = await shell.runs("accounts", "--json")
    (row,) = [row for row in msgspec.json.decode(listed) if row["file"]]
    assert (code, row["label"], row["provider"], row["state"]) == (0, "mine", "gate", "ready")

    await shell.start("accounts", "login", "mine", "--no-browser")
    page = await shell.hears(rf"({re.escape(issuer.name)}/authorize\S+)")
    await shell.types("not the address")
    await shell.hears("The state is missing")
    await shell.types(issuer.consent(page))
    assert await shell.ends() == 0, shell.told
    assert "was there, and is renewed" in shell.told

    code, told = await shell.runs("accounts", "logout", "mine", "--yes")
    assert (code, "logged out, and revoked at the provider" in told) == (0, True), told
    assert shell.files() == []
    assert len(issuer.living) == 1, "the login before the last was given up, and not by us"


async def test_by_device_code(shell: Shell, issuer: Issuer) -> None:
    await shell.start(*asked(issuer, "--device"), MY_SECRET="client-secret-1")
    assert await shell.ends() == 0, shell.told
    assert "type this code:\n\n    ABCD-EFGH\n" in shell.told
    assert "Type it on 127.0.0.1 only" in shell.told
    (file,) = shell.files()
    assert (file["client-secret"], file["models"]) == ("client-secret-1", [{"name": "m"}])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["accounts", "login", "oidc"], "oidc needs --issuer"),
        (["accounts", "login", "nobody"], "no account is called 'nobody'"),
        (
            ["accounts", "login", "oidc", "--issuer", "https://a.example", "--client-id", "c", "--provider", "gate"],
            "base-url is needed: gate is none of gemini, vertex, openai, anthropic",
        ),
    ],
)
async def test_a_mistake_is_told(shell: Shell, arguments: list[str], words: str) -> None:
    code, told = await shell.runs(*arguments)
    assert code != 0
    assert words in told
