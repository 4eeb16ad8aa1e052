"""A newcomer's walk: clean clone, empty HOME, `make run`, the printed curl lines, a model answers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.pace import SECONDS_MAX

ROOT = Path(__file__).parents[2]
SETUP_SECONDS_MAX = 300


async def printed_until(process: asyncio.subprocess.Process, last: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or last not in lines[-1]:
        line = await process.stdout.readline()
        assert line, "".join(lines)
        lines.append(line.decode())
    return lines


def newcomers_environment(home: Path) -> dict[str, str]:
    """Nothing of ours but what reaching the package registry needs here."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "LANG", "LC_"))}
    return {**kept, "PATH": os.environ["PATH"], "HOME": str(home)}


async def test_clean_clone_to_an_answer(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    clone = tmp_path / "clone"
    await asyncio.to_thread(subprocess.run, ["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    process = await asyncio.create_subprocess_exec(
        "make", "run", "ARGS=--port 0",
        cwd=clone, env=newcomers_environment(home), start_new_session=True,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SETUP_SECONDS_MAX):
            lines = await printed_until(process, "Stop with Ctrl-C")
        assert any("Sandbox" in line for line in lines)
        curls = [line for line in lines if line.startswith("curl ")]
        assert len(curls) >= 3
        for line in curls:
            answer = await asyncio.to_thread(
                subprocess.run, ["bash", "-c", line.replace("curl ", "curl -sS --fail-with-body ", 1)],
                capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
            )  # fmt: skip
            assert answer.returncode == 0, (line, answer.stdout, answer.stderr)
            assert "simulated" in answer.stdout, (line, answer.stdout)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        async with asyncio.timeout(SECONDS_MAX):
            await process.communicate()
    assert list(home.rglob("*.json")) == [], "a first start leaves nothing in HOME"


@pytest.mark.parametrize("file", ["requirements/run.txt", "requirements/dev.txt"])
def test_the_locks_have_hashes_and_no_index(file: str) -> None:
    text = (ROOT / file).read_text()
    pinned = [line for line in text.splitlines() if "==" in line]
    assert len(pinned) > 20
    assert text.count("--hash=sha256:") >= len(pinned)
    assert "://" not in text


def test_the_compose_file_builds_from_here_and_serves_this_machine_only() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    service = compose["services"]["proxy"]
    assert service["build"] == "."
    assert service["ports"] == ["127.0.0.1:8317:8317"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "USER proxy" in dockerfile
    assert "HEALTHCHECK" in dockerfile
