from __future__ import annotations

import ssl
from collections.abc import Iterator

import aiohttp
import aiohttp_socks
import pytest

from proxy.errors import Broken, Silent, Unreachable
from proxy.upstream.failures import RAISED, in_body, no_head, not_sent


def raised() -> Iterator[type[Exception]]:
    """All that the two libraries can raise, and the system."""
    for library in (aiohttp.client_exceptions, aiohttp_socks):
        for value in vars(library).values():
            if isinstance(value, type) and issubclass(value, Exception) and value.__module__.startswith("aiohttp"):
                yield value
    yield from (ConnectionResetError, TimeoutError, ssl.SSLError, ssl.CertificateError, BrokenPipeError, ValueError)


@pytest.mark.parametrize("kind", sorted({*raised()}, key=repr), ids=lambda kind: kind.__name__)
def test_everything_is_caught_and_told_in_each_table(kind: type[Exception]) -> None:
    if kind is aiohttp.WSMessageTypeError:  # of WebSockets
        return
    assert issubclass(kind, RAISED)
    error = kind.__new__(kind)
    if issubclass(kind, aiohttp.ClientConnectorError):
        error._os_error = ConnectionRefusedError(111, "secret text")
    if issubclass(kind, aiohttp.ClientConnectorCertificateError):
        error._certificate_error = ssl.SSLCertVerificationError()
        error._certificate_error.verify_message = "self-signed"
    if issubclass(kind, aiohttp.ClientResponseError):
        error.status = 407
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_message = "self-signed"
    assert isinstance(not_sent(error, "host"), Unreachable)
    assert isinstance(no_head(error, "host"), Silent | Broken)
    assert isinstance(in_body(error, "host"), Silent | Broken)
    for told in (not_sent, no_head, in_body):
        assert told(error, "host").message.startswith("host ")
        assert "secret" not in told(error, "host").message


def test_an_address_with_a_key_is_not_repeated() -> None:
    error = aiohttp.InvalidURL("http://x/?key=secret")
    assert not_sent(error, "the upstream").message == (
        "the upstream is no http:// or https:// address; nothing was sent"
    )
