"""What makes a value wrong although its type is right. Each gives the end of a sentence, or None.

A fault never repeats the value where that may hold a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from auth.secret import Secret
from proxy.config.settings import Fault

PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
NO_PROXY = ("direct", "none")
"""Words that say: no egress proxy, whatever the one above says."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
SAMPLE_KEYS = frozenset(
    {"your-api-key", *(f"your-api-key-{n}" for n in range(1, 10)), "a-key-that-you-made-up", "a-long-random-word"}
)
"""Keys that stand in documentation, ours and the well-known system's, and that everybody therefore knows."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PREFIX = re.compile(r"[A-Za-z0-9._@+-]+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_UNSENDABLE = frozenset(
    {"connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that belong to the connection (RFC 9110 §7.6.1), not to whoever writes a config."""


def _split(url: str) -> SplitResult | None:
    """None when it is no URL. `hostname` and `port` of the result are safe to read."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.hostname and url.isprintable() and " " not in url else None


def base_url(value: str) -> Fault:
    if not value:
        return None
    parts = _split(value)
    if parts is None or parts.scheme not in {"http", "https"}:
        return "must be a URL such as https://api.example.com/v1"
    if parts.username or parts.password:
        return "must not hold a user or password; keys belong into api-key"
    if parts.query or parts.fragment:
        return "must end with the path: no ? and no #"
    return None


def safe_url(value: str) -> Fault:
    """Secrets go there: over TLS, or to this machine."""
    if fault := base_url(value):
        return fault
    parts = urlsplit(value)
    if value and parts.scheme != "https" and parts.hostname not in LOOPBACK:
        return "must begin with https://: secrets are sent there"
    return None


def web_address(value: str) -> Fault:
    """Of a receiver; what follows ? may be its secret."""
    parts = _split(value)
    if parts is None or parts.scheme not in {"http", "https"} or parts.fragment:
        return "must be a URL such as https://hooks.example.com/x"
    return None


def database(value: str) -> Fault:
    if not value:
        return None
    parts = _split(value)
    if parts is None or parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/"):
        return "must be an address such as postgresql://user:password@host/name"
    return None


def proxy_url(value: str) -> Fault:
    if not value or value in NO_PROXY:
        return None
    parts = _split(value)
    if parts is None or parts.scheme not in PROXY_SCHEMES:
        return f"must be a URL that begins with {', '.join(PROXY_SCHEMES)}, or the word direct"
    return None


def origin(value: str) -> Fault:
    scheme, separator, rest = value.partition("://")
    if not (separator and _SCHEME.fullmatch(scheme) and _HOST.fullmatch(rest)):
        return "must be an exact origin such as https://app.example.com: no path, no *"
    return None


def host_name(value: str) -> Fault:
    if not _HOST.fullmatch(value):
        return "must be a host name or address as browsers send it (proxy.example.com or proxy.example.com:8443), no *"
    return None


def prefix(value: str) -> Fault:
    if value and not _PREFIX.fullmatch(value):
        return "must be one word of letters, digits and . _ - @ +, without a slash"
    return None


def api_key(value: Secret) -> Fault:
    text = value.reveal()
    if not text:
        return "is empty"
    if not all("!" <= character <= "~" for character in text):
        return "holds a blank, a line break or a character that no key has"
    return None


def filled(value: str) -> Fault:
    return None if value.strip() else "is empty"


def headers(value: Mapping[str, str]) -> Fault:
    for name, text in value.items():
        if not _TOKEN.fullmatch(name):
            return f"holds {name!r}, which is no name of a header"
        if name.lower() in _UNSENDABLE:
            return f"holds {name}, which belongs to the connection"
        if text.startswith("$"):
            return f"asks to copy a client's header into {name}; that is not supported"
        if not all(" " <= c <= "~" or "\xa0" <= c <= "\xff" for c in text) or text != text.strip():
            return f"gives {name} a value that no header can have"
    return None


def fallbacks(value: Mapping[str, tuple[str, ...]]) -> Fault:
    for model, others in value.items():
        if model in others:
            return f"has {model} go on with itself"
        if not all(name.strip() for name in others):
            return f"has an empty name behind {model}"
    return None


def model_map(value: Mapping[str, str]) -> Fault:
    for name, other in value.items():
        if name == other:
            return f"has {name} stand for itself"
        if not name.strip() or not other.strip():
            return "has an empty name"
    return None


def is_sample(value: Secret) -> bool:
    """Whether it was copied from documentation, and protects nothing."""
    return value.reveal() in SAMPLE_KEYS
