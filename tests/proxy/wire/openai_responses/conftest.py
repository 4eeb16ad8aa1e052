"""Recorded exchanges and captured requests, where they are present."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from proxy.hub.residue import JsonObject

DATA = Path(os.environ.get("PROXY_SHARED_DATA", Path(__file__).parents[5] / "shared" / "data"))


def loaded(pattern: str) -> list[tuple[str, JsonObject]]:
    paths = sorted(DATA.glob(pattern))
    if not paths:
        pytest.skip(f"no recordings below {DATA}")
    read = [(path.name, msgspec.json.decode(path.read_bytes())) for path in paths]
    return [(name, value) for name, value in read if isinstance(value, dict)]


@pytest.fixture(scope="session")
def recorded() -> list[tuple[str, JsonObject]]:
    return loaded("cassettes/*/openai-responses*/*.json")


@pytest.fixture(scope="session")
def captured() -> list[tuple[str, JsonObject]]:
    """What clients of this wire ask: request bodies, over HTTP and WebSocket."""
    bodies: list[tuple[str, JsonObject]] = []
    for name, file in loaded("cli-captures/codex/*.json") + loaded("cli-captures/other-clis/*responses*.json"):
        requests = file.get("requests")
        for request in requests if isinstance(requests, list) else []:
            body = request.get("body") if isinstance(request, dict) else None
            if isinstance(body, dict) and "input" in body and "model" in body:
                bodies.append((name, body))
    return bodies
