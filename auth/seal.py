"""Secrets sealed at rest: whoever steals a backup of the auth-dir has the files, and not what they are for.

A sealed member's value is a text, ``sealed:1:<key's name>:<nonce and ciphertext>``: AES-256-GCM over the JSON that was
there, bound to the kind of file and the member's name, so that it cannot be put anywhere else. Who has no key, or
another one, cannot use the file, and is told so: it is never taken for a logout.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib
import importlib.util
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from auth import aesgcm
from auth.document import Document, JsonValue, canonical
from auth.refusal import Refused
from auth.secret import Secret

VARIABLE = "PROXY_SEAL_KEY"
KEY_BYTES = 32
SECRET_MEMBERS = frozenset(
    {"api-key", "client-secret", "service-account", "headers", "proxy-url", "access-token", "refresh-token"}
)
"""Top-level members that are, or may hold, a secret. They are sealed whole."""
_MARK = "sealed:1:"
_NONCE_BYTES = 12
_KEYRING = "proxy", "seal-key"
"""Service and user, in the system's keyring."""


def new_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """`key`: None: nothing is sealed, and nothing can be opened. `fault`: why there is a key and it is none."""

    key: Secret | None = None
    fault: str = ""

    @classmethod
    def of(cls, text: str) -> Seal:
        """`text`: base64; empty: none."""
        if not text:
            return cls()
        try:
            raw = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != KEY_BYTES:
            return cls(fault=f"{VARIABLE} is no key: it must be {KEY_BYTES} random bytes in base64, as `proxy accounts "
                "seal --new-key` prints them")  # fmt: skip
        return cls(key=Secret(base64.b64encode(raw).decode()))

    @property
    def is_on(self) -> bool:
        """Whether what is written is sealed."""
        return self.key is not None or bool(self.fault)

    @property
    def key_name(self) -> str:
        """Tells keys apart, and tells nothing of them."""
        return hashlib.sha256(b"proxy seal " + self._raw()).hexdigest()[:8]

    def opened(self, document: Document) -> Document:
        """Its fields are what they were; its parts stay sealed. Raises `Refused`, with the end of a sentence."""
        sealed = {name: value for name, value in document.fields.items() if is_sealed(value)}
        if not sealed:
            return document
        fields = dict(document.fields)
        for name, value in sealed.items():
            fields[name] = self._value(str(value), _place(document, name))
        return Document(document.parts, fields)

    def closed(self, document: Document) -> Document:
        """Its secret parts sealed, where that is on; those that are stay as they are. Raises `Refused`."""
        if not self.is_on:
            return document
        parts = dict(document.parts)
        for name, part in document.parts.items():
            if canonical(name) in SECRET_MEMBERS and not is_sealed(msgspec.json.decode(part)):
                parts[name] = msgspec.json.encode(self._text(part, _place(document, name)))
        return Document(parts, document.fields)

    def _text(self, value: bytes, place: bytes) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + aesgcm.sealed(self._raw(), nonce, value, place)
        return f"{_MARK}{self.key_name}:{base64.urlsafe_b64encode(sealed).decode()}"

    def _value(self, text: str, place: bytes) -> JsonValue:
        if self.key is None and not self.fault:
            raise Refused(f"is sealed, and there is no key: set {VARIABLE}")
        raw = self._raw()
        name, _, body = text.removeprefix(_MARK).partition(":")
        if name != self.key_name:
            raise Refused(f"is sealed with another key ({name[:8]!r}; {VARIABLE} holds {self.key_name!r})")
        try:
            sealed = base64.b64decode(body, altchars=b"-_", validate=True)
            opened = aesgcm.opened(raw, sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
            value: JsonValue = msgspec.json.decode(opened)
        except (ValueError, msgspec.DecodeError) as error:
            raise Refused("has a sealed value that was changed, or belongs to another member") from error
        return value

    def _raw(self) -> bytes:
        if self.key is None:
            raise Refused(self.fault or f"is to be sealed, and there is no key: set {VARIABLE}")
        return base64.b64decode(self.key.reveal())


PLAIN = Seal()


def is_sealed(value: JsonValue) -> bool:
    return isinstance(value, str) and value.startswith(_MARK)


def unsealed(document: Document) -> Document:
    """One that was opened, with its parts open, too."""
    parts = {
        name: msgspec.json.encode(document.fields[name]) if is_sealed(msgspec.json.decode(part)) else part
        for name, part in document.parts.items()
    }
    return Document(parts, document.fields)


def of_environment(environment: Mapping[str, str], ask_keyring: Callable[[], str] | None = None) -> Seal:
    """By the variable; else by the system's keyring, where Python's `keyring` is installed."""
    return Seal.of(environment.get(VARIABLE, "") or (ask_keyring or _of_keyring)())


def _of_keyring() -> str:
    if importlib.util.find_spec("keyring") is None:
        return ""
    keyring = importlib.import_module("keyring")
    try:
        return str(keyring.get_password(*_KEYRING) or "")
    except keyring.errors.KeyringError:
        return ""  # locked, or there is none: files that are sealed say that they lack a key


def _place(document: Document, name: str) -> bytes:
    return f"{document.fields.get('type')}.{canonical(name)}".encode()
