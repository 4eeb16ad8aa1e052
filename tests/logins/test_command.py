"""``proxy --…-login`` as a person runs it, in a terminal that is a pipe."""

from __future__ import annotations

import asyncio
import codecs
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from auth.cli.install import CLI_TABLE, pinned
from auth.tokens import mark_refused, read_token
from proxy.accounts.login_terminal import Place, qr_code
from tests.logins.conftest import MODULES, House, until
from tests.logins.person import comes_back
from tests.logins.stage import SECONDS_MAX, Server
from tests.logins.vendor import ASKED, Vendor


class Shell:
    """One run of the command."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._process: asyncio.subprocess.Process | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.told = ""

    async def start(self, *arguments: str, **environment: str) -> None:
        config = self._house.folder.parent / "config.yaml"
        config.write_text(f"auth-dir: {self._house.folder}\n")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "proxy", "--config", str(config), *arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={**self._house.environment, "HOME": str(self._house.folder.parent), **environment},
        )  # fmt: skip

    async def hears(self, pattern: str) -> str:
        """Reads on until the pattern comes; its first group."""
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(SECONDS_MAX):
            while not (found := re.search(pattern, self.told)):
                piece = await self._process.stdout.read(4096)
                assert piece, self.told
                self.told += self._decoder.decode(piece)
        return found[found.lastindex or 0]

    async def types(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ends(self) -> int:
        assert self._process is not None
        async with asyncio.timeout(SECONDS_MAX):
            out, _ = await self._process.communicate()
        self.told += self._decoder.decode(out)
        assert self._process.returncode is not None
        return self._process.returncode

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()


@pytest.fixture
async def shell(house: House) -> AsyncIterator[Shell]:
    shell = Shell(house)
    yield shell
    await shell.close()


async def test_claude_by_paste(house: House, shell: Shell) -> None:
    await shell.start("--claude-login", "--no-browser")
    state = await shell.hears(r"[?&]state=([\w-]+)")
    await shell.hears("Paste the code that the page shows, here, and press Enter:\n")
    await shell.types("good-code")
    await shell.hears("The state is missing: ")
    await shell.types(f"good-code#{state}")
    assert await shell.ends() == 0, shell.told
    assert "Logged in as ada@example.test · max_20x · Harbour Works." in shell.told
    assert next(iter(house.files)) in shell.told
    assert "Anthropic's terms" in shell.told


async def test_codex_by_device_code(house: House, shell: Shell, vendor: Vendor) -> None:
    await shell.start("--codex-login", "--device")
    assert await shell.hears(r"\n +([A-Z]{4}-\d{5})\n") == "ABCD-12345"
    await shell.hears("on auth.openai.com only")
    vendor.is_device_confirmed = True
    assert await shell.ends() == 0, shell.told
    assert len(house.files) == 1


@pytest.mark.skipif(Place.of({}).is_container, reason="a container has no browser")
async def test_a_browser_is_opened_where_there_is_one(shell: Shell, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {opened}.part\nmv {opened}.part {opened}\n')
    browser.chmod(0o700)
    await shell.start("--codex-login", DISPLAY=":7", BROWSER=str(browser))
    url = await shell.hears(r"(https://auth\.openai\.com/oauth/authorize\S+)\n")
    async with asyncio.timeout(SECONDS_MAX):
        while not opened.exists():  # noqa: ASYNC110 - nobody tells us when a file is there
            await asyncio.sleep(0.02)
    assert opened.read_text() == url


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_interrupted(house: House, shell: Shell, number: int) -> None:
    """The fixture waits until nothing that was started is left."""
    await shell.start("--login", "--no-browser")
    await shell.hears("Paste the address")
    assert house.processes()
    shell.signal(number)
    assert await shell.ends() == 130
    assert shell.told.endswith("proxy: cancelled; nothing was changed.\n")
    assert (house.files, house.homes) == ({}, [])


@pytest.mark.parametrize("flag", ["--claude-login", "--codex-login", "--login"])
async def test_killed_outright_leaves_no_process(house: House, shell: Shell, server: Server, flag: str) -> None:
    """Each CLI ends when its input does. The home that it has begun goes when the server starts."""
    await shell.start(flag, "--no-browser")
    await shell.hears("Paste the ")
    assert house.processes()
    await server.start()
    assert len(house.homes) == 1, "somebody is at it"
    await server.close()
    shell.signal(signal.SIGKILL)
    await shell.ends()
    await until(lambda: not house.processes())
    await server.start()
    assert (house.files, house.homes) == ({}, [])


async def test_another_account(shell: Shell) -> None:
    await shell.start("--claude-login", "--no-browser", "--account", "bea@example.test")
    state = await shell.hears(r"[?&]state=([\w-]+)")
    await shell.types(f"good-code#{state}")
    assert await shell.ends() == 5
    assert (
        "proxy: this is ada@example.test, not bea@example.test; nothing was changed; what was granted is revoked.\n"
        in shell.told
    )


async def test_hints_for_ssh(shell: Shell) -> None:
    await shell.start("--codex-login", SSH_CONNECTION="10.0.0.1 1 10.0.0.2 22", DISPLAY=":7")
    await shell.hears("ssh -L 1455:127.0.0.1:1455 HOST")
    assert "--device is simpler" in shell.told
    shell.signal(signal.SIGINT)
    assert await shell.ends() == 130


async def test_the_page_as_a_qr_code(shell: Shell) -> None:
    await shell.start("--claude-login", "--no-browser", "--qr")
    url = await shell.hears(r"(https://\S+)\n")
    await shell.hears("Paste the code that the page shows")
    assert qr_code(url) in shell.told
    shell.signal(signal.SIGINT)
    assert await shell.ends() == 130


async def test_logout(house: House, shell: Shell, vendor: Vendor) -> None:
    vendor.is_device_confirmed = True
    await shell.start("--codex-login", "--device")
    assert await shell.ends() == 0
    (name,) = house.files
    await shell.start("accounts", "logout", name.removesuffix(".json"), "--yes")
    assert await shell.ends() == 0, shell.told
    assert vendor.revoked == ["rt-fake-1"]
    assert (house.files, house.homes) == ({}, [])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("claude-code", "works: ada@example.test · max_20x · Harbour Works, 5-hour 12 % (until "),
        ("codex", "works: ada@example.test · pro · Personal, 5-hour 12 % (until "),
        ("gemini-cli", "has a token; more its CLI does not tell"),
    ],
)
async def test_a_login_is_tested_through_its_cli(
    house: House, shell: Shell, vendor: Vendor, kind: str, words: str
) -> None:
    await house.login(kind, comes_back()).finish()
    (name,) = house.files
    vendor.asked.clear()
    await shell.start("accounts", "test")
    assert await shell.ends() == 0, shell.told
    assert f"{name.removesuffix('.json')} ({kind}): {words}" in shell.told
    assert not any(asked.path in ASKED for asked in vendor.asked)
    mark_refused(house.folder / "homes" / house.homes[0], read_token(kind, house.folder / "homes" / house.homes[0]))
    await shell.start("accounts", "test", name)
    assert await shell.ends() == 1
    assert "the provider has refused the login" in shell.told


async def test_the_clis_are_listed_with_their_versions(shell: Shell) -> None:
    await shell.start("cli", "list")
    assert await shell.ends() == 0
    assert [line.split(";")[0] for line in shell.told.splitlines()] == [
        f"{name}: {pinned(cli)}" if (MODULES / ".bin" / name).exists() else f"{name}: the {name} CLI is not there"
        for name, cli in CLI_TABLE.items()
    ]
