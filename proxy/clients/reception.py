"""Asking the running server what it has, before a client is sent there."""

from __future__ import annotations

import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

import msgspec

from auth.secret import Secret
from proxy.clients.base import Offer
from proxy.errors import AccessDenied, ConfigError, Unreachable

SECONDS_MAX = 10.0
LIST_BYTES_MAX = 16 * 1024 * 1024


class _Model(msgspec.Struct):
    id: str
    context_length: int | None = None
    max_completion_tokens: int | None = None


class _List(msgspec.Struct):
    data: list[_Model]


def offers(url: str, key: Secret) -> tuple[Offer, ...]:
    """Raises `Unreachable`, `AccessDenied` or `ConfigError`, each with what to do."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"--url must be http://host:port or https://host:port, not {url!r}")
    connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = connect(parts.hostname, parts.port, timeout=SECONDS_MAX)
    try:
        connection.request("GET", f"{parts.path}/v1/models", headers={"Authorization": f"Bearer {key.reveal()}"})
        answer = connection.getresponse()
        body = answer.read(LIST_BYTES_MAX)
    except (OSError, HTTPException, ssl.SSLError) as error:
        raise Unreachable(f"nothing answers at {url} ({error}): start the server with `proxy`, or say --url") from None
    finally:
        connection.close()
    if answer.status in {401, 403}:
        raise AccessDenied(f"{url} does not know this key: say --key, one of its api-keys")
    if answer.status == 421:
        raise ConfigError(f"{url} is not one of the server's names: add it to its server.allowed-hosts")
    try:
        listed = msgspec.json.decode(body, type=_List).data
    except ValueError:
        raise ConfigError(f"what answers at {url} (status {answer.status}) is not this server") from None
    if not listed:
        raise ConfigError(f"{url} has no model to offer: give it an account first")
    return tuple(
        Offer(id=each.id, context_tokens=each.context_length, output_tokens=each.max_completion_tokens)
        for each in listed
    )
