"""Recorded exchanges, where they are: they are nobody's to ship, and each law over them is skipped without."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from proxy.hub.profile import Profile
from proxy.hub.residue import JsonObject

DATA = Path(os.environ.get("PROXY_SHARED_DATA", Path(__file__).parents[4].parent / "shared" / "data"))


class Recording(NamedTuple):
    name: str
    request: JsonObject | None
    answer: JsonObject | None
    stream: bytes


@pytest.fixture(scope="session")
def recordings() -> list[Recording]:
    paths = sorted(DATA.glob("cassettes/*/anthropic/*.json"))
    if not paths:
        pytest.skip("no recordings here")
    return [recording(path) for path in paths]


def recording(path: Path) -> Recording:
    exchange = msgspec.json.decode(path.read_bytes())
    body = exchange["response"]["body"]
    answer = body if isinstance(body, dict) and "content" in body else None
    stream = (exchange["response"].get("sse") or "").encode()
    return Recording(path.name, exchange["request"]["body"], answer, stream)


@pytest.fixture(scope="session")
def counts() -> list[Recording]:
    """Of the count operation; `answer` only where it succeeded."""
    paths = sorted(DATA.glob("cassettes/*/anthropic-count/*.json"))
    if not paths:
        pytest.skip("no recordings here")
    return [counted(path) for path in paths]


def counted(path: Path) -> Recording:
    exchange = msgspec.json.decode(path.read_bytes())
    answer = exchange["response"]["body"] if exchange["response"]["status"] == 200 else None
    return Recording(path.name, exchange["request"]["body"], answer, b"")


@pytest.fixture(scope="session")
def captured_requests() -> list[tuple[str, JsonObject]]:
    """What command line clients sent."""
    paths = sorted(DATA.glob("cli-captures/*/*.json"))
    if not paths:
        pytest.skip("no captures here")
    found = []
    for path in paths:
        capture = msgspec.json.decode(path.read_bytes())
        for sent in capture.get("requests", []) if isinstance(capture, dict) else []:
            body, at = sent.get("body"), sent.get("path") or sent.get("path_qs") or ""
            if "/v1/messages" in at and isinstance(body, dict) and "messages" in body:
                found.append((f"{path.name} {at}", body))
    return found


@pytest.fixture(scope="session")
def able() -> Profile:
    """A model that takes whatever this wire can say."""
    return Profile(
        maker="anthropic",
        efforts=("low", "medium", "high", "xhigh", "max"),
        budget_tokens_max=1_000_000,
        has_mid_system=True,
        has_cache_marks=True,
        extras=frozenset({"speed"}),
        hosted_tools=frozenset({"web_search", "code_execution", "url_fetch"}),
    )
