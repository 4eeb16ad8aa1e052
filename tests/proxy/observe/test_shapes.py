from __future__ import annotations

import pytest

from proxy.observe.shapes import is_sensitive, is_sensitive_parameter, shape_spans


def hidden(text: str) -> list[str]:
    data = text.encode()
    return [data[start:end].decode() for start, end in shape_spans(data)]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("the key sk-ant-api03-AAAA1111bbbb2222 failed", "sk-ant-api03-AAAA1111bbbb2222"),
        ("sk-proj-AAAA1111bbbb2222.", "sk-proj-AAAA1111bbbb2222"),
        ("AIzaSyA-1234567890abcdefghijklmnop", "AIzaSyA-1234567890abcdefghijklmnop"),
        ("token ya29.a0AfH6SMBxyz_123-456", "ya29.a0AfH6SMBxyz_123-456"),
        ("1//0gabcdefghijklmnop", "1//0gabcdefghijklmnop"),
        ("id eyJhbGciOi.eyJzdWIiOi.c2ln-_ ok", "eyJhbGciOi.eyJzdWIiOi.c2ln-_"),
        ("ghu_0123456789abcdefghij", "ghu_0123456789abcdefghij"),
        ("Authorization: Bearer opaque_token", "opaque_token"),
        ('{"authorization":"Basic dXNlcjpwYXNz"}', "dXNlcjpwYXNz"),
        ('"{\\"Authorization\\": \\"Bearer nested_token\\"}"', "nested_token"),
        ("'proxy-authorization', 'Basic Zm9vYmFy'", "Zm9vYmFy"),
        ("got bearer abcdefgh12345678", "abcdefgh12345678"),
        ("X-Api-Key: my-own-key-1", "my-own-key-1"),
        ('{"api_key": "my-own-key-1"}', "my-own-key-1"),
        ("x-goog-api-key=my-own-key-1&x", "my-own-key-1"),
        ('{"refresh_token":"r-0123456789"}', "r-0123456789"),
        ("GET /v1beta/models?key=plainword HTTP/1.1", "plainword"),
        ("https://host/callback?state=abc&code=xyz", "abc"),
        ("Set-Cookie: session=abc; Path=/", "session=abc; Path=/"),
        ("socks5://user:pass@10.0.0.1:1080", "pass"),
    ],
)
def test_a_credential_is_seen(text: str, secret: str) -> None:
    assert secret in hidden(text)


@pytest.mark.parametrize(
    "text",
    [
        "x-api-key: required header is missing",
        "Bearer authentication required",
        "api_key: must be set",
        "claude-api-key-1f0c22d3 cooled for 30 s",
        'usage {"input_tokens": 1234567890, "output_tokens": 12}',
        "risk-averse-behaviour-of-models",
        "Er4sk-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "https://api.example.com:8443/v1?alt=sse",
        "model gpt-5.1-codex?",
    ],
)
def test_prose_ids_and_blobs_stay(text: str) -> None:
    assert hidden(text) == []


def test_names() -> None:
    assert is_sensitive("X-Goog-Api-Key")
    assert not is_sensitive("key")
    assert is_sensitive_parameter("key")
    assert not is_sensitive_parameter("alt")
