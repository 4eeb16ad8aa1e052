from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from auth.document import JsonValue
from auth.homes import Homes
from auth.oidc_tokens import OidcTokens, put_tokens
from auth.seal import PLAIN
from auth.secret import Secret
from proxy.accounts.enrolment import Enrolment
from proxy.config.load import parse
from proxy.server.app import Quarantine
from tests.pace import SECONDS_MAX

CONFIG = parse(b"").config
KEY = '{"type": "claude-api-key", "api-key": "%s", "models": [{"name": "x", "alias": "%s"}]}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "accounts"
    folder.mkdir(mode=0o700)
    return folder


def drop(folder: Path, name: str, text: str) -> None:
    (folder / name).touch(mode=0o600)
    (folder / name).write_text(text)


def open_at(folder: Path) -> Enrolment:
    return Enrolment(folder, log=structlog.get_logger(), on_change=lambda: None)


def models(enrolment: Enrolment) -> list[str]:
    return [model.id for model in enrolment.snapshot(CONFIG).catalogue.models()]


def test_files_are_part_of_the_snapshot(folder: Path) -> None:
    drop(folder, "a.json", KEY % ("key-a", "one"))
    drop(folder, "b.json", KEY % ("key-b", "two"))
    enrolment = open_at(folder)
    assert models(enrolment) == ["one", "two"]
    assert [secret.reveal() for secret in enrolment.secrets()] == ["key-a", "key-b"]
    assert not enrolment.is_empty
    assert enrolment.quarantined() == []


def test_a_broken_file_is_told_in_every_place(folder: Path) -> None:
    drop(folder, "a.json", "{")
    with capture_logs() as logs:
        enrolment = open_at(folder)
    assert [(line["event"], line["file"], line["still"]) for line in logs] == [
        ("account.quarantined", "a.json", "it is not used")
    ]
    (broken,) = enrolment.quarantined()
    assert (broken.file, broken.is_served) == ("a.json", False)
    assert enrolment.notes() == [f"Not used: a.json {broken.why}"]
    assert not enrolment.is_empty, "nobody wants simulated accounts because a file is broken"


def test_no_folder_is_no_fault(tmp_path: Path) -> None:
    enrolment = open_at(tmp_path / "none")
    assert enrolment.is_empty
    assert enrolment.quarantined() == []
    assert models(enrolment) == []


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (broken,) = open_at(tmp_path / "file").quarantined()
    assert broken.file == str(tmp_path / "file")
    assert "Not a directory" in broken.why


async def test_a_change_is_in_force_before_it_is_told(folder: Path) -> None:
    changed = asyncio.Event()
    enrolment = Enrolment(folder, log=structlog.get_logger(), on_change=changed.set)
    enrolment.start(asyncio.get_running_loop())
    try:
        for text in (KEY % ("key-a", "one"), KEY % ("key-a", "one") + "}"):
            drop(folder, "a.json", text)
            async with asyncio.timeout(SECONDS_MAX):
                await changed.wait()
            changed.clear()
            assert models(enrolment) == ["one"]
    finally:
        await enrolment.close()
    (broken,) = enrolment.quarantined()
    assert broken == Quarantine(file="a.json", why=broken.why, is_served=True)


def test_five_hundred_accounts_of_every_kind_within_a_second(folder: Path) -> None:
    """Of our own time: this machine may have other things to do."""
    homes = Homes(folder)
    for number in range(500):
        match number % 5:
            case 0:
                fields: dict[str, JsonValue] = {"type": "claude-api-key", "api-key": f"key-{number}"}
            case 1:
                fields = {
                    "type": "openai-compatibility", "name": f"gate-{number}", "base-url": "http://127.0.0.1:1/v1",
                    "api-key": f"key-{number}", "models": [{"name": f"model-{number}"}],
                }  # fmt: skip
            case 2:
                home = homes.make("oidc")
                put_tokens(home, OidcTokens(access=Secret(f"token-{number}")), PLAIN)
                fields = {
                    "type": "oidc", "home": home.name, "account": f"user-{number}", "issuer": "https://login.example",
                    "client-id": "c", "provider": "gemini",
                }  # fmt: skip
            case 3:
                home = homes.make("claude-code")
                saved = {"claudeAiOauth": {"accessToken": f"token-{number}", "expiresAt": 9e12}}
                (home / ".credentials.json").write_bytes(msgspec.json.encode(saved))
                fields = {"type": "claude-code", "home": home.name, "account": f"user-{number}"}
            case _:
                fields = {
                    "type": "vertex", "location": f"place-{number}",
                    "service-account": {"client_email": "a@b", "private_key": "k", "project_id": "p"},
                }  # fmt: skip
        drop(folder, f"account-{number}.json", msgspec.json.encode(fields).decode())
    began = time.process_time()
    enrolment = open_at(folder)
    snapshot = enrolment.snapshot(CONFIG)
    took = time.process_time() - began
    assert len(snapshot.credentials) == 400, "a service account has its token as soon as the server runs"
    assert took < 1.0


def test_a_login_that_has_to_be_made_again_is_told_in_every_place(folder: Path) -> None:
    fields = {
        "type": "oidc", "home": "oidc-0123456789ab", "account": "ada", "issuer": "https://login.example",
        "client-id": "c", "provider": "gemini", "email": "ada@example.com",
    }  # fmt: skip
    drop(folder, "a.json", msgspec.json.encode(fields).decode())
    enrolment = open_at(folder)
    enrolment.snapshot(CONFIG)
    (lacking,) = enrolment.quarantined()
    assert (lacking.file, lacking.is_served) == ("a.json", False)
    assert "there is no login in" in lacking.why
    assert enrolment.notes() == ["Log in again: a.json (ada@example.com)"]
    assert (enrolment.found.lacking, enrolment.found.unused) == ({"a.json"}, {"a.json": lacking.why})


def test_a_token_that_is_on_its_way_is_no_fault(folder: Path) -> None:
    service = {"client_email": "a@b", "private_key": "k", "project_id": "p"}
    drop(folder, "a.json", msgspec.json.encode({"type": "vertex", "service-account": service}).decode())
    enrolment = open_at(folder)
    enrolment.snapshot(CONFIG)
    assert enrolment.quarantined() == []
    assert enrolment.notes() == []
