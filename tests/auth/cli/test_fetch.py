from __future__ import annotations

import base64
import hashlib
import io
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from auth.cli import install as installing
from auth.cli.fetch import Locked, NotFetched, fetch, locked, registry_of
from auth.cli.install import CLI_TABLE, CODEX, GEMINI, CliMissing, find, install


def archive(*names: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as opened:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mode = 2, 0o755
            opened.addfile(member, io.BytesIO(b"#!"))
    return made.getvalue()


def pin_of(raw: bytes) -> Locked:
    digest = base64.b64encode(hashlib.sha512(raw).digest()).decode()
    return Locked(version="1.2.3", integrity=f"sha512-{digest}", name="@openai/codex")


class Registry:
    def __init__(self) -> None:
        self.url = ""
        self.raw = b""
        self.asked: list[str] = []

    async def tell(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.Response(body=self.raw, status=200 if self.raw else 404)


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    registry = Registry()
    app = web.Application()
    app.router.add_get("/{path:.*}", registry.tell)
    async with TestServer(app) as server:
        registry.url = str(server.make_url("")).rstrip("/")
        yield registry


async def test_without_npm_the_native_package_is_got_and_checked(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = CODEX.entries[0]
    registry.raw = archive(f"package/{entry.partition('/')[2].partition('/')[2]}")
    monkeypatch.setattr(installing, "locked", lambda _cli, _package: pin_of(registry.raw))
    ours = {"PATH": str(tmp_path), "HOME": str(tmp_path), "npm_config_registry": f"{registry.url}/"}
    installed = await install(CODEX, tmp_path / "data", ours)
    assert installed.command == (str(tmp_path / "data/clis/codex/node_modules" / entry),)
    assert registry.asked == ["/@openai/codex/-/codex-1.2.3.tgz"]
    assert os.access(installed.command[0], os.X_OK)


async def test_another_hash_changes_nothing(tmp_path: Path, registry: Registry) -> None:
    registry.raw = archive("package/codex")
    ours = {"PATH": str(tmp_path), "HOME": str(tmp_path), "npm_config_registry": registry.url}
    with pytest.raises(CliMissing, match=r"codex is not what was pinned: .* has another SHA-512; nothing was changed"):
        await install(CODEX, tmp_path / "data", ours)
    with pytest.raises(CliMissing, match="is not there"):
        find(CODEX, tmp_path / "data", ours)
    assert [*(tmp_path / "data" / "clis").iterdir()] == []


async def test_what_is_not_there_is_told(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(NotFetched, match="answers 404"):
        await fetch("p", pin_of(b""), tmp_path, registry=registry.url, ours={})
    with pytest.raises(NotFetched, match="is not to be had"):
        await fetch("p", pin_of(b""), tmp_path, registry="http://127.0.0.1:1", ours={})


async def test_nothing_is_unpacked_outside(tmp_path: Path, registry: Registry) -> None:
    registry.raw = archive("package/../../evil")
    with pytest.raises(NotFetched, match="cannot be unpacked"):
        await fetch("p", pin_of(registry.raw), tmp_path / "m", registry=registry.url, ours={})
    assert not (tmp_path / "evil").exists()


async def test_whoever_names_no_registry_is_told_how(tmp_path: Path) -> None:
    ours = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    with pytest.raises(
        CliMissing, match=r"or name npm's registry: npm_config_registry=https://… proxy cli install codex"
    ):
        await install(CODEX, tmp_path, ours)
    with pytest.raises(CliMissing, match=r"install Node 22 or newer, and then: proxy cli install gemini$"):
        await install(GEMINI, tmp_path, {**ours, "npm_config_registry": "http://127.0.0.1:1"})


def test_the_registry_is_the_person_s(tmp_path: Path) -> None:
    assert registry_of({"HOME": str(tmp_path)}) == ""
    (tmp_path / ".npmrc").write_text("fund=false\nregistry = https://npm.example.test/\n")
    assert registry_of({"HOME": str(tmp_path)}) == "https://npm.example.test"
    assert registry_of({"HOME": str(tmp_path), "npm_config_registry": "https://b.test/x/"}) == "https://b.test/x"


@pytest.mark.parametrize("name", ["claude", "codex", "copilot"])
def test_each_native_cli_is_pinned_for_this_platform(name: str) -> None:
    assert any(locked(name, "/".join(entry.split("/")[:2])) for entry in CLI_TABLE[name].entries)


def test_a_package_of_no_scope_is_pinned_too() -> None:
    assert locked("opencode", "opencode-linux-x64") is not None
