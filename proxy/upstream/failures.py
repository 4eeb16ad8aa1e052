"""What the HTTP library raises, as our errors: one table for each moment.

What tells `Unreachable` from the rest is never the type of an exception but whether a connection had been handed to
the request: up to then not a byte of it can have left.
"""

from __future__ import annotations

import os
import socket
import ssl

import aiohttp
import aiohttp_socks
import httptools

from proxy.codings import BadEncoding
from proxy.errors import Broken, Silent, Unreachable, UpstreamError


class Idle(TimeoutError):
    """Of a body: nothing came for too long."""


RAISED = (
    aiohttp.ClientError,
    httptools.HttpParserError,
    httptools.HttpParserUpgrade,
    aiohttp_socks.ProxyConnectionError,
    aiohttp_socks.ProxyError,
    aiohttp_socks.ProxyTimeoutError,
    OSError,  # TimeoutError and ssl.SSLError are OSErrors
    ValueError,  # an address or a header that HTTP cannot say, or a bad encoding
)
"""All that a call may raise."""

_SOCKS = (aiohttp_socks.ProxyConnectionError, aiohttp_socks.ProxyError, aiohttp_socks.ProxyTimeoutError)

_Table = tuple[tuple[tuple[type[Exception], ...], type[UpstreamError], str, str], ...]
"""What was raised, what it is called here, its code, and a sentence after the host's name. The first that fits."""

_NOT_SENT: _Table = (
    (
        (aiohttp.ClientConnectorCertificateError, ssl.CertificateError),
        Unreachable,
        "tls_certificate",
        "has no certificate that we trust",
    ),
    ((aiohttp.ClientProxyConnectionError, *_SOCKS), Unreachable, "egress_proxy", "is not reached by the egress proxy"),
    ((aiohttp.ClientHttpProxyError,), Unreachable, "egress_proxy", "is refused by the egress proxy"),
    ((aiohttp.ClientSSLError, ssl.SSLError), Unreachable, "tls", "does not speak TLS with us"),
    ((aiohttp.ClientConnectorDNSError, socket.gaierror), Unreachable, "dns", "is an unknown name"),
    ((TimeoutError,), Unreachable, "connect_timeout", "gave no connection in time"),
    ((aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError), Unreachable, "bad_url", "is no http:// or https:// address"),
    ((aiohttp.ClientError, OSError), Unreachable, "connect", "takes no connection"),
    ((Exception,), Unreachable, "bad_call", "was not called"),
)
_NO_HEAD: _Table = (
    ((TimeoutError,), Silent, "head_timeout", "took the request and gave no answer in time"),
    (
        (aiohttp.ClientResponseError, httptools.HttpParserError, httptools.HttpParserUpgrade),
        Broken,
        "not_http",
        "gave an answer that is not HTTP",
    ),
    ((Exception,), Broken, "cut", "closed the connection before its answer"),
)
_IN_BODY: _Table = (
    ((aiohttp.SocketTimeoutError, Idle), Silent, "idle_timeout", "fell silent in the middle of its answer"),
    ((TimeoutError,), Silent, "total_timeout", "did not come to the end of its answer in time"),
    ((BadEncoding,), Broken, "encoding", "gave a body that is not what its content-encoding says"),
    ((Exception,), Broken, "cut", "broke off its answer"),
)


def is_unreachable(error: Exception) -> bool:
    """Nobody is there: no connection came to be."""
    return isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ClientProxyConnectionError, *_SOCKS))


def not_sent(error: Exception, host: str) -> UpstreamError:
    return _told(_NOT_SENT, error, host, "; nothing was sent")


def no_head(error: Exception, host: str) -> UpstreamError:
    """A kept connection that the provider closed just then counts as sent: it looks the same as one that it closed
    because of the request.
    """
    return _told(_NO_HEAD, error, host)


def in_body(error: Exception, host: str) -> UpstreamError:
    return _told(_IN_BODY, error, host)


def too_long(host: str, bytes_max: int) -> Broken:
    return Broken(f"{host} gave more than {bytes_max} bytes", code="too_long")


def _told(table: _Table, error: Exception, host: str, end: str = "") -> UpstreamError:
    if isinstance(error, aiohttp.ClientError) and isinstance(error.__cause__, ssl.SSLError):
        error = error.__cause__  # behind a SOCKS proxy it comes without its name
    kind, code, sentence = next(row[1:] for row in table if isinstance(error, row[0]))
    return kind(f"{host} {sentence}{_detail(error)}{end}", code=code)


def _detail(error: BaseException) -> str:
    """Only texts that cannot hold an address with its key: the system's, TLS's, and our own."""
    match error:
        case aiohttp.ClientHttpProxyError():
            return f": it answered {error.status}"
        case aiohttp.ClientConnectorError():
            return _detail(error.os_error)
        case ssl.SSLCertVerificationError():
            return f": {error.verify_message}"
        case ssl.SSLError():
            return f": {reason}" if (reason := getattr(error, "reason", None)) else ""
        case socket.gaierror():
            return f": {error.strerror}"
        case aiohttp.ClientError() | aiohttp_socks.ProxyConnectionError():
            return _detail(error.__cause__) if error.__cause__ else ""
        case OSError() if error.errno:
            return f": {os.strerror(error.errno)}"
        case ValueError() if not isinstance(error, UnicodeError):
            return f": {error}"
        case _:
            return ""
