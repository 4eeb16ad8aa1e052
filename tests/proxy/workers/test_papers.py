"""A follower sees what the owner sees, by what it was told on paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from proxy.accounts.enrolment import Enrolment
from proxy.config.key_file import KeyFile, parse_keys
from proxy.config.load import parse
from proxy.providers.base import Model
from proxy.server.clientele import keys_of
from proxy.workers.messages import Papers
from proxy.workers.papers import Standpoint, papers_of, stand

CONFIG = b"""
port: 1
api-keys: [{api-key: a-client-key-of-ours, name: laptop, models: ["m*"]}]
claude-api-key: [{api-key: sk-ant-configured, concurrency: 2}]
openai-compatibility:
  - {name: lab, base-url: "http://127.0.0.1:9/v1", api-key-entries: [{api-key: sk-lab}], models: [{name: m-1}]}
model-map: {mapped: m-1}
"""
SERVICE = {"client_email": "a@b", "private_key": "THE-PRIVATE-KEY", "project_id": "p"}
FILES: Mapping[str, Mapping[str, object]] = {
    "key.json": {"type": "gemini-api-key", "api-key": "a-gemini-key", "note": "ours"},
    "off.json": {"type": "gemini-api-key", "api-key": "another-gemini-key", "disabled": True},
    "one.json": {"type": "openai-compatibility", "name": "one", "base-url": "http://127.0.0.1:9/v1", "concurrency": 1},
    "service.json": {"type": "vertex", "service-account": SERVICE},
    "oidc.json": {
        "type": "oidc", "home": "oidc-0123456789ab", "account": "ada", "issuer": "https://login.example",
        "client-id": "c", "client-secret": "THE-CLIENT-SECRET", "provider": "gemini",
    },
}  # fmt: skip
KEY_FILE = KeyFile(keys=parse_keys(b"phone: a-key-in-a-file-of-its-own\n", name="keys"), digest="")
LISTS = {"gemini-api-key-x": (Model(id="g"),)}


def told(folder: Path, raw: bytes = CONFIG, *, is_real: bool = True) -> tuple[Enrolment, Papers]:
    """What goes over the link."""
    folder.chmod(0o700)
    for name, fields in FILES.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(msgspec.json.encode(fields))
    enrolment = Enrolment(folder, log=structlog.get_logger(), on_change=lambda: None)
    config = parse(raw).config
    enrolment.snapshot(config)
    papers = papers_of(config, raw, enrolment, KEY_FILE.keys, LISTS, is_real)
    return enrolment, msgspec.msgpack.decode(msgspec.msgpack.encode(papers), type=Papers)


def standing(papers: Papers) -> Standpoint:
    return stand(papers, lambda _credential: False)


def test_accounts_and_models_are_the_owners(tmp_path: Path) -> None:
    enrolment, papers = told(tmp_path)
    config = parse(CONFIG).config
    mine = enrolment.snapshot(config).relisted(LISTS, lambda _credential: False)
    yours = standing(papers).snapshot
    assert [each.id for each in yours.credentials] == [each.id for each in mine.credentials]
    assert yours.catalogue.models() == mine.catalogue.models()
    plain = {each.id: each for each in yours.credentials}
    for each in mine.credentials:
        if each.id in standing(papers).plain:
            assert plain[each.id] == each


def test_the_keys_are_the_owners_and_those_of_the_file_are_hashes(tmp_path: Path) -> None:
    _, papers = told(tmp_path)
    yours, mine = standing(papers).edition.keys, keys_of(parse(CONFIG).config, KEY_FILE)
    for key in ("a-client-key-of-ours", "a-key-in-a-file-of-its-own"):
        client = yours.find(key)
        assert client is not None
        assert client == mine.find(key)
    assert yours.find("a-key-of-nobody") is None
    assert b"a-key-in-a-file" not in msgspec.msgpack.encode(papers)


def test_whose_login_it_is_is_told_but_not_the_login(tmp_path: Path) -> None:
    _, papers = told(tmp_path)
    raw = msgspec.msgpack.encode(papers)
    assert b"THE-PRIVATE-KEY" not in raw
    assert b"THE-CLIENT-SECRET" not in raw
    assert b"a-gemini-key" in raw
    assert papers.tokens.keys() == {"service.json", "oidc.json"}


def test_who_needs_nothing_but_a_key_is_plain(tmp_path: Path) -> None:
    _, papers = told(tmp_path)
    papers.tokens = dict.fromkeys(papers.tokens, "")  # there are tokens
    found = standing(papers)
    labels = {each.label for each in found.snapshot.credentials if each.id in found.plain}
    assert labels == {"lab key 1", "key", "off"}
    assert {each.label for each in found.snapshot.credentials} - labels == {"anthropic key 1", "one", "service", "oidc"}


def test_what_the_command_line_says_instead_holds(tmp_path: Path) -> None:
    _, papers = told(tmp_path)
    papers.host, papers.port = "0.0.0.0", 7
    assert (standing(papers).config.host, standing(papers).config.port) == ("0.0.0.0", 7)


def test_what_is_secret_is_known_to_be(tmp_path: Path) -> None:
    _, papers = told(tmp_path)
    known = {secret.reveal() for secret in standing(papers).secrets()}
    assert {"a-client-key-of-ours", "sk-lab", "a-gemini-key", "sk-ant-configured"} <= known
