from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest

from auth import seal as sealing
from auth.document import Document, JsonValue
from auth.refusal import Refused
from auth.seal import PLAIN, SECRET_MEMBERS, VARIABLE, Seal, new_key, of_environment, unsealed
from auth.store import Store

SEAL = Seal.of(new_key())
FILE: dict[str, JsonValue] = {
    "type": "claude-api-key", "api-key": "sk-secret-1", "headers": {"X-Secret": "header-secret"}, "label": "mine",
    "proxy_url": "http://user:proxy-secret@proxy", "service-account": {"private_key": "pem-secret", "project_id": "p"},
}  # fmt: skip
SECRETS = ("sk-secret-1", "header-secret", "proxy-secret", "pem-secret")


def store_at(folder: Path, seal: Seal) -> Store[dict[str, JsonValue]]:
    store = Store(folder, lambda _name, document: dict(document.fields), seal)
    store.look()
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "accounts"
    store_at(folder, SEAL).put("a.json", Document.of(FILE))
    return folder


def test_T12_a_stolen_backup_holds_no_secret(folder: Path) -> None:
    raw = (folder / "a.json").read_text()
    for secret in SECRETS:
        for shape in (secret, base64.b64encode(secret.encode()).decode()[:-4], secret.encode().hex()):
            assert shape not in raw
    assert '"label": "mine"' in raw
    entry = store_at(folder, PLAIN).entries["a.json"]
    assert entry.value is None
    assert entry.fault == f"is sealed, and there is no key: set {VARIABLE}"


def test_with_the_key_it_is_what_it_was(folder: Path) -> None:
    entry = store_at(folder, SEAL).entries["a.json"]
    assert entry.value == FILE
    assert entry.document is not None
    assert not any(secret in entry.document.render().decode() for secret in SECRETS), "what goes out is sealed"
    assert unsealed(entry.document).render() == Document.of(FILE).render()


def test_another_key_is_quarantine_and_no_logout(folder: Path) -> None:
    store = store_at(folder, SEAL)
    other = Seal.of(new_key())
    store.seal = other
    (folder / "a.json").write_text((folder / "a.json").read_text() + " ")
    store.look()
    entry = store.entries["a.json"]
    assert entry.value == FILE, "what it said before stays in force"
    assert entry.fault == f"is sealed with another key ({SEAL.key_name!r}; {VARIABLE} holds {other.key_name!r})"
    assert store_at(folder, other).entries["a.json"].value is None


def test_a_change_seals_what_is_new_and_leaves_the_rest(folder: Path) -> None:
    store = store_at(folder, SEAL)
    before = msgspec.json.decode((folder / "a.json").read_bytes())
    store.change("a.json", {"api-key": "sk-secret-2", "label": "other"})
    after = msgspec.json.decode((folder / "a.json").read_bytes())
    assert after["service-account"] == before["service-account"]
    assert after["api-key"] != before["api-key"]
    assert "sk-secret-2" not in (folder / "a.json").read_text()
    value = store_at(folder, SEAL).entries["a.json"].value
    assert value == {**FILE, "api-key": "sk-secret-2", "label": "other"}


def test_mixed_folders_work(folder: Path) -> None:
    store_at(folder, PLAIN).put("b.json", Document.of({"type": "x", "api-key": "plain"}))
    entries = store_at(folder, SEAL).entries
    assert [entry.fault for entry in entries.values()] == [None, None]
    assert entries["b.json"].value == {"type": "x", "api-key": "plain"}
    assert "plain" in (folder / "b.json").read_text(), "reading changes nothing"


@pytest.mark.parametrize("what", ["member", "kind", "bit", "cut"])
def test_a_value_that_was_moved_or_changed_is_refused(folder: Path, what: str) -> None:
    fields = msgspec.json.decode((folder / "a.json").read_bytes())
    match what:
        case "member":
            fields["headers"] = fields["api-key"]
        case "kind":
            fields["type"] = "gemini-api-key"
        case "bit":
            *mark, body = fields["api-key"].split(":")
            raw = bytearray(base64.urlsafe_b64decode(body))
            raw[-1] ^= 1
            fields["api-key"] = ":".join([*mark, base64.urlsafe_b64encode(raw).decode()])
        case "cut":
            fields["api-key"] = fields["api-key"][:40]
    with pytest.raises(Refused, match="was changed, or belongs to another member"):
        SEAL.opened(Document.of(fields))


def test_the_same_secret_looks_different_each_time() -> None:
    first, second = (SEAL.closed(Document.of(FILE)).parts["api-key"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize("text", ["short", "A" * 43, "not base64!", base64.b64encode(b"x" * 31).decode(), "ü" * 44])
def test_a_bad_key_is_named_and_nothing_is_written_in_plain(tmp_path: Path, text: str) -> None:
    bad = Seal.of(text)
    assert bad.is_on
    with pytest.raises(Refused, match=f"{VARIABLE} is no key") as caught:
        store_at(tmp_path / "accounts", bad).put("a.json", Document.of(FILE))
    assert text not in str(caught.value)
    assert not (tmp_path / "accounts" / "a.json").exists()
    with pytest.raises(Refused, match=f"{VARIABLE} is no key"):
        bad.opened(Document.of({"type": "x", "api-key": "sealed:1:00000000:AA=="}))


def test_a_key_in_either_alphabet_is_the_same() -> None:
    raw = bytes(range(224, 256))
    first, second = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()
    assert first != second
    assert Seal.of(first).key_name == Seal.of(f" {second}\n").key_name


def test_where_the_key_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    key, other = new_key(), new_key()
    assert of_environment({VARIABLE: key}, lambda: other).key_name == Seal.of(key).key_name
    assert of_environment({}, lambda: other).key_name == Seal.of(other).key_name
    assert not of_environment({}, lambda: "").is_on
    monkeypatch.setattr(sealing.importlib.util, "find_spec", lambda _name: None)
    assert not of_environment({}).is_on


def test_of_the_system_s_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key()

    class Keyring:
        class errors:  # noqa: N801 - as the library calls it
            class KeyringError(Exception):
                pass

        is_locked = False

        @classmethod
        def get_password(cls, service: str, user: str) -> str | None:
            if cls.is_locked:
                raise cls.errors.KeyringError
            return key if (service, user) == ("proxy", "seal-key") else None

    monkeypatch.setattr(sealing.importlib.util, "find_spec", lambda _name: object())
    monkeypatch.setattr(sealing.importlib, "import_module", lambda _name: Keyring)
    assert of_environment({}).key_name == Seal.of(key).key_name
    Keyring.is_locked = True
    assert not of_environment({}).is_on


def test_the_key_is_not_shown() -> None:
    key = new_key()
    assert key not in repr(Seal.of(key))
    assert Seal.of(key).key_name not in key


def test_all_that_may_hold_a_secret_is_sealed() -> None:
    document = SEAL.closed(Document.of({"type": "x", **dict.fromkeys(SECRET_MEMBERS, "s"), "note": "n"}))
    assert {name for name in document.parts if b"sealed:1:" in document.parts[name]} == SECRET_MEMBERS
