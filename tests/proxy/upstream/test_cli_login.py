from __future__ import annotations

from pathlib import Path

import pytest

from proxy.upstream import cli_login
from proxy.upstream.base import Call
from proxy.upstream.cli_login import bearer, saved_login


def test_the_token_that_a_call_names() -> None:
    assert bearer(Call(method="POST", url="u", headers=(("Authorization", "Bearer abc"),))) == "abc"
    assert bearer(Call(method="POST", url="u")) == ""


async def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, looks = tmp_path / "auth.json", 0
    path.write_bytes(b"to")

    def cut(raw: bytes) -> bytes:
        nonlocal looks
        looks += 1
        path.write_bytes(b"torn" if looks < 3 else b"whole")
        if raw != b"whole":
            raise ValueError(raw)
        return raw

    monkeypatch.setattr(cli_login, "LOOK_SECONDS", 0.0)
    assert (await saved_login(path, cut), looks) == (b"whole", 4)
