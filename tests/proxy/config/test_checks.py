from __future__ import annotations

import pytest

from auth.secret import Secret
from proxy.config import checks


@pytest.mark.parametrize(
    "url", ["", "https://api.example.com", "http://127.0.0.1:8080/v1/", "https://[::1]:1/x", "HTTPS://x"]
)
def test_base_urls(url: str) -> None:
    assert checks.base_url(url) is None


@pytest.mark.parametrize(
    "url",
    ["x", "//x", "https://", "https:x", "http://[::1", "http://x:y", "file:///etc/passwd", "http://x\n", "https://a b"],
)
def test_no_base_urls(url: str) -> None:
    assert checks.base_url(url)


@pytest.mark.parametrize(
    "url", ["", "direct", "none", "http://h:1", "https://h", "socks5://u:p@h:1080/", "socks5h://h"]
)
def test_proxy_urls(url: str) -> None:
    assert checks.proxy_url(url) is None


@pytest.mark.parametrize("url", ["h:1080", "socks4://h", "ftp://h", "socks5://", "Direct"])
def test_no_proxy_urls(url: str) -> None:
    assert checks.proxy_url(url)


@pytest.mark.parametrize(
    "origin", ["https://app.example.com", "http://localhost:3000", "http://[::1]:1", "app://desktop"]
)
def test_origins(origin: str) -> None:
    assert checks.origin(origin) is None


@pytest.mark.parametrize(
    "origin", ["*", "null", "https://a/", "https://a/b", "app.example.com", "https://*.a", "HTTPS://a", ""]
)
def test_no_origins(origin: str) -> None:
    assert checks.origin(origin)


@pytest.mark.parametrize("host", ["a", "a.example.com", "a:8317", "10.0.0.1", "[::1]", "[::1]:8317"])
def test_host_names(host: str) -> None:
    assert checks.host_name(host) is None


@pytest.mark.parametrize("host", ["", "*", "*.a", "http://a", "a/b", "a b", "::1", "a:b"])
def test_no_host_names(host: str) -> None:
    assert checks.host_name(host)


def test_keys_of_documentation_are_known() -> None:
    assert [checks.is_sample(Secret(key)) for key in ("your-api-key-1", "a-key-that-you-made-up", "k-7f3a")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("chains", "fault"),
    [
        ({}, None),
        ({"a": ("b", "c")}, None),
        ({"a": ("b", "a")}, "has a go on with itself"),
        ({"a": ("b", " ")}, "has an empty name behind a"),
    ],
)
def test_chains_of_models(chains: dict[str, tuple[str, ...]], fault: str | None) -> None:
    assert checks.fallbacks(chains) == fault
