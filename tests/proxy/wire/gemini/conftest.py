from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

DATA = Path(os.environ.get("PROXY_SHARED_DATA", Path(__file__).parents[5] / "shared" / "data"))


class Recording(NamedTuple):
    """`request`, `body`: None where there is none. `frames`: a stream's, and `raw`, as it came (SSE or JSON array)."""

    name: str
    status: int
    request: Any
    body: Any
    frames: list[Any]
    raw: bytes


@pytest.fixture(scope="session")
def recordings() -> list[Recording]:
    """Every recorded exchange of this wire; the test is skipped where there are none."""
    index = DATA / "cassettes" / "MANIFEST.json"
    if not index.is_file():
        pytest.skip("the recordings are not here")
    entries = [each for each in msgspec.json.decode(index.read_bytes()) if each["format"].startswith("gemini")]
    return [_read(index.parent / entry["path"], entry) for entry in entries]


def _read(path: Path, entry: dict[str, Any]) -> Recording:
    value = msgspec.json.decode(path.read_bytes())
    answer = value["response"]
    body, frames, raw = answer["body"], [], b""
    if answer["sse"]:
        raw = answer["sse"].encode()
        frames = [msgspec.json.decode(line[5:]) for line in raw.splitlines() if line.startswith(b"data:")]
    elif isinstance(body, list):
        raw, frames, body = msgspec.json.encode(body), body, None
    return Recording(entry["path"], entry["status"], value["request"]["body"], body, frames, raw)


@pytest.fixture(scope="session")
def cli_requests() -> list[tuple[str, Any]]:
    """What official CLIs asked of a stub, in Code Assist's envelope or without."""
    files = sorted((DATA / "cli-captures").glob("*/*.json"))
    if not files:
        pytest.skip("the captures are not here")
    found = []
    for path in files:
        value = msgspec.json.decode(path.read_bytes())
        for request in value.get("requests", []) if isinstance(value, dict) else []:
            route, body = str(request.get("path_qs", "")), request.get("body")
            if ("enerateContent" in route or "countTokens" in route) and isinstance(body, dict) and len(body) > 1:
                found.append((path.name, body))
    return found
