from __future__ import annotations

from pathlib import Path

import pytest

from auth.flow import ShowCode
from auth.identity import Identity
from auth.logins.device import COPILOT, GROK, KIMI, Dialect, offered

KIMI_FILE = ".kimi-code/credentials/kimi-code.json"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("Opening https://a.test/d?user_code=ABCD-1234\nor enter code: ABCD-1234\n",
         ShowCode("https://a.test/d?user_code=ABCD-1234", "ABCD-1234")),
        ("Notice: see https://a.test/terms\nvisit https://b.test/device and enter code WXYZ-99AA.\n",
         ShowCode("https://b.test/device", "WXYZ-99AA")),
        ("open this:\n\n  https://b.test/device\n\n  WXYZ-99AA\nthen https://late.test\n",
         ShowCode("https://b.test/device", "WXYZ-99AA")),
        ("https://b.test/device", None),
        ("WXYZ-99AA", None),
    ],
)  # fmt: skip
def test_where_to_go_and_what_to_type(told: str, expected: ShowCode | None) -> None:
    assert offered(told) == expected


@pytest.mark.parametrize(
    ("dialect", "path", "text", "expected"),
    [
        (GROK, ".grok/auth.json", '{"x::y": {"refresh_token": "r", "user_id": "u", "email": "a@b.test"}}',
         Identity(account="u", email="a@b.test")),
        (GROK, ".grok/auth.json", '{"x::y": {"user_id": "u"}}', None),
        (COPILOT, ".copilot/config.json", '// x\n{"lastLoggedInUser": {"host": "https://github.com", "login": "ada"}}',
         Identity(account="ada@github.com")),
        (COPILOT, ".copilot/config.json", '{"lastLoggedInUser": {"host": "https://x.ghe.com", "login": "ada"}}',
         Identity(account="ada@x.ghe.com", organization="x.ghe.com")),
        (COPILOT, ".copilot/config.json", "{}", None),
        (KIMI, KIMI_FILE, '{"access_token": "e30.eyJzdWIiOiJzIn0.x", "refresh_token": "r"}',
         Identity(account="s")),
        (KIMI, KIMI_FILE, '{"access_token": "", "refresh_token": ""}', None),
        (KIMI, KIMI_FILE, '{"access_token"', None),
    ],
)  # fmt: skip
def test_who_is_logged_in(tmp_path: Path, dialect: Dialect, path: str, text: str, expected: Identity | None) -> None:
    assert dialect.who_is(tmp_path) is None
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(text)
    assert dialect.who_is(tmp_path) == expected
