from __future__ import annotations

import sys
from pathlib import Path

import pytest

from proxy.config.schema import Config
from proxy.errors import ConfigError
from proxy.footing import auth_folder, is_json, log_stream


def test_a_home_is_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert auth_folder(Config(auth_dir="~/accounts")) == tmp_path / "accounts"


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("")
    with pytest.raises(ConfigError, match=r"logging-to-file: .*proxy\.log"):
        log_stream(Config(auth_dir=str(tmp_path), logging_to_file=True))


@pytest.mark.parametrize(
    ("fields", "is_terminal", "expected"),
    [
        ({}, True, False),
        ({}, False, True),
        ({"logging_to_file": True}, True, True),
        ({"log_format": "json"}, True, True),
        ({"log_format": "console", "logging_to_file": True}, False, False),
    ],
)
def test_a_person_reads_lines_and_a_program_json(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, object], is_terminal: bool, expected: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    assert is_json(Config(**fields)) is expected  # type: ignore[arg-type]
