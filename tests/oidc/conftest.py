"""A certified provider as a process, and somebody who signs in on its pages. ``make test-clients`` installs it."""

from __future__ import annotations

import asyncio
import html
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
import msgspec
import pytest

from auth.oidc import OidcClient
from auth.secret import Secret

HERE = Path(__file__).parent
NODE = HERE.parent / "clients" / "node_modules" / ".bin"
collect_ignore_glob = [] if (HERE / "node_modules" / ".installed").exists() else ["test_*.py"]
SECONDS_MAX = 240
CONFIDENTIAL = "a +secret/of:its own%"


@dataclass(slots=True)
class Provider:
    issuer: str
    process: asyncio.subprocess.Process

    async def set(self, **setting: float) -> dict[str, int]:
        """And what it has counted so far."""
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(setting) + b"\n")
        return await self._line()

    async def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(SECONDS_MAX):
            return msgspec.json.decode(await self.process.stdout.readline(), type=dict[str, Any])

    def client(self, name: str = "public") -> OidcClient:
        secret = Secret(CONFIDENTIAL if name == "confidential" else "")
        return OidcClient(issuer=self.issuer, client_id=name, secret=secret)


@asynccontextmanager
async def started() -> AsyncIterator[Provider]:
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / "provider.mjs"), "0",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PATH": f"{NODE}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    provider = Provider("", process)
    try:
        provider.issuer = (await provider._line())["issuer"]
        yield provider
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with started() as provider:
        yield provider


async def sign_in(page: str, *, subject: str = "ada", is_declined: bool = False, **first: str) -> str:
    """Through the provider's own pages, as a browser goes through them; where it is sent back to, or the last page.
    `first`: what is typed into the first form.
    """
    typed = {"login": subject, "password": "any", **first}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        url, form = page, None
        for _ in range(20):
            method = "GET" if form is None else "POST"
            async with session.request(method, url, data=form, allow_redirects=False) as answer:
                text, ahead = await answer.text(), answer.headers.get("Location", "")
            if ahead:
                url, form = urljoin(url, ahead), None
                if "/callback" in url or (is_declined and "error=" in url):
                    return url
                continue
            if is_declined and (abort := re.search(r'href="([^"]*/abort)"', text)):
                url = urljoin(url, html.unescape(abort[1]))
                continue
            action = re.search(r'<form[^>]*action="([^"]+)"', text)
            if action is None:
                return text
            fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', text))
            asked = re.findall(r'name="([^"]+)"', text)
            url = urljoin(url, html.unescape(action[1]))
            form = {**{name: html.unescape(value) for name, value in fields.items()}}
            form |= {name: value for name, value in typed.items() if name in asked}
    raise AssertionError(f"{page} leads nowhere")
