from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest

from auth.secret import Secret
from management.sieve import Sieve, SieveFile
from proxy.accounts.checkup import gathered
from proxy.accounts.desk import Desk
from proxy.accounts.diagnosis import Facts
from proxy.config.provider_keys import ProviderKey
from proxy.config.schema import Config, RemoteManagement
from proxy.upstream.claude_process import FLAGS

FOLDER = "accounts"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH with a Claude Code on it that knows all switches but one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    switches = " ".join(flag for flag in FLAGS if flag.startswith("--") and flag != "--setting-sources")
    claude = folder / "claude"
    claude.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "2.1.328 (Claude Code)" || echo "{switches}"\n')
    claude.chmod(0o755)
    return folder


def examined(tmp_path: Path, programs: Path | None = None, config: Config | None = None) -> Facts:
    config = config or replace(Config(), port=0)
    desk = Desk(tmp_path / FOLDER, config)
    environment = {"PATH": os.pathsep.join([str(programs or "/nonexistent"), "/usr/bin", "/bin"])}
    return asyncio.run(gathered(desk, config, "config.yaml", (), environment))


def account(tmp_path: Path, name: str = "ada") -> Path:
    folder = tmp_path / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    home = folder / "homes" / "claude-code-000000000001"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    login = home / ".credentials.json"
    login.touch(mode=0o600)
    claims = {"accessToken": "t", "refreshToken": "r", "expiresAt": 4_102_444_800_000, "scopes": ["user:inference"]}
    login.write_bytes(msgspec.json.encode({"claudeAiOauth": claims}))
    file = folder / f"{name}.json"
    file.touch(mode=0o600)
    file.write_text('{"type":"claude-code","home":"claude-code-000000000001","account":"a","email":"a@example.test"}')
    return folder


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    facts = examined(tmp_path)
    assert (facts.folder_mode, facts.loose, facts.unwritable, facts.rows) == (None, (), "", [])
    assert not (tmp_path / FOLDER).exists(), "looking makes nothing"


def test_an_account_and_the_cli_that_it_needs(tmp_path: Path, programs: Path) -> None:
    folder = account(tmp_path)
    facts = examined(tmp_path, programs)
    assert [(row.label, row.state) for row in facts.rows] == [("ada", "ready")]
    clis = {cli.name: cli for cli in facts.clis}
    claude = clis["claude"]
    assert (claude.version, claude.place, claude.is_needed) == ("2.1.328", str(programs / "claude"), True)
    assert claude.lacking == ("--setting-sources",)
    assert clis["codex"].missing.startswith("the codex CLI is not there")
    assert not clis["codex"].is_needed
    assert sorted(path.name for path in folder.iterdir()) == ["ada.json", "homes"], "nothing is left behind"


def test_an_old_cli_does_not_ask_for_others(tmp_path: Path, programs: Path) -> None:
    account(tmp_path)
    (programs / "claude").write_text("#!/bin/sh\necho 2.0.1\n")
    claude = next(cli for cli in examined(tmp_path, programs).clis if cli.name == "claude")
    assert "too old" in claude.outdated


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is shut to root")
def test_a_folder_that_takes_nothing(tmp_path: Path) -> None:
    folder = account(tmp_path)
    folder.chmod(0o500)
    try:
        assert examined(tmp_path).unwritable == "Permission denied"
    finally:
        folder.chmod(0o700)


def test_what_others_could_read(tmp_path: Path) -> None:
    folder = account(tmp_path)
    desk_config = replace(Config(), port=0)
    desk = Desk(folder, desk_config)
    folder.chmod(0o755)  # behind the desk's back, which mends it where it looks
    (folder / "homes").chmod(0o755)
    (folder / "homes" / "claude-code-000000000001").chmod(0o700)
    facts = asyncio.run(gathered(desk, desk_config, "", (), {"PATH": "/nonexistent"}))
    assert facts.loose == (str(folder), str(folder / "homes"))


def test_the_newest_file_of_the_folder(tmp_path: Path) -> None:
    folder = account(tmp_path)
    later = time.time() + 5000
    os.utime(folder / "ada.json", (later, later))
    facts = examined(tmp_path)
    assert facts.newest == pytest.approx(later, abs=1)
    assert facts.now < later


def test_a_port_that_somebody_has(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(0)
        facts = examined(tmp_path, config=replace(Config(), port=taken.getsockname()[1], host="127.0.0.1"))
    assert not facts.is_serving
    assert f"(process {os.getpid()})" in facts.port_owner


@pytest.fixture
def server() -> Iterator[int]:
    """That calls itself as ours does."""

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "proxy", ""

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving.server_port
        serving.shutdown()
        thread.join()


def test_a_server_that_runs(tmp_path: Path, server: int) -> None:
    facts = examined(tmp_path, config=replace(Config(), port=server, host="127.0.0.1"))
    assert (facts.is_serving, facts.port_owner) == (True, "")


def test_whether_anything_is_known_of_the_management_key(tmp_path: Path) -> None:
    stored = "$2a$10$" + "a" * 53
    config = replace(Config(), port=0, remote_management=RemoteManagement(secret_key=Secret(stored)))
    assert "proxy keys prove" in examined(tmp_path, config=config).management_key.lower()
    SieveFile(account(tmp_path), pytest.fail).keep(Sieve.of("its key", stored))
    assert examined(tmp_path, config=config).management_key == ""
    assert examined(tmp_path).management_key == ""


def test_a_config_that_holds_keys_is_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("port: 0\n")
    keyed = replace(Config(), port=0, claude_api_key=(ProviderKey(api_key=Secret("sk-ant-of-mine")),))

    def is_open(config: Config) -> bool:
        desk = Desk(tmp_path / FOLDER, config)
        return asyncio.run(gathered(desk, config, str(path), (), {"PATH": ""})).is_config_open

    path.chmod(0o640)
    assert (is_open(keyed), is_open(replace(Config(), port=0))) == (True, False)
    path.chmod(0o600)
    assert not is_open(keyed)
