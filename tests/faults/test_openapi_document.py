"""schemathesis, which nobody here wrote, makes requests of the served OpenAPI document: none is a fault of ours, and
each answer is one that the document foresees. The short form asks some routes; ``make faults`` asks all, more often.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from management import key_ring
from tests.management.conftest import KEY, opened

ROUNDS = int(os.environ.get("PROXY_FAULT_ROUNDS", "2"))
IS_LONG = ROUNDS >= 100
SOME = r"/(auth-files|client-keys|cooldowns|usage|debug|logs|config\.yaml)"
LEFT_OUT = r"(/events|/logins.*|-auth-url|/server/connections-max)$"
"""The first has no end, the next start programs, the last may shut this very test out."""
NOT_ASKED = "positive_data_acceptance,negative_data_rejection"
"""A schema cannot say that a file must be there, and what nobody reads may be anything."""
ACCOUNT = '{"type": "claude-api-key", "api-key": "sk-ant-of-mine"}'


async def test_a_stranger_finds_the_document_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANAGEMENT_PASSWORD", KEY)  # whoever may write the configuration may take the key out of it
    monkeypatch.setattr(key_ring, "DELAY_SECONDS", 0.0)
    text = f"auth-dir: {tmp_path / 'accounts'}\nclaude-api-key: [{{api-key: sk-ant-x-of-mine}}]\n"
    async with opened(tmp_path, text) as stage:
        assert (await stage.ask("POST", "/auth-files?name=a.json", ACCOUNT.encode())).status == 200
        command = [
            Path(sys.executable).with_name("st"), "run", f"{stage.url}/v0/management/openapi.json",
            "--header", f"Authorization: Bearer {KEY}", "--exclude-path-regex", LEFT_OUT,
            *([] if IS_LONG else ["--include-path-regex", SOME]),
            "--phases", "coverage,fuzzing" if IS_LONG else "fuzzing", "--max-examples", str(max(1, ROUNDS // 100)),
            "--exclude-checks", NOT_ASKED, "--seed", "1", "--no-shrink", "--continue-on-failure",
            "--suppress-health-check", "all", "--warnings", "off",
        ]  # fmt: skip
        told = await asyncio.to_thread(
            subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert told.returncode == 0, told.stdout + told.stderr
        assert "Tested:" in told.stdout
