"""Recordings, and upstreams that can do everything."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.hub.profile import ALL_EFFORTS, Profile

SHARED = Path(os.environ.get("PROXY_SHARED_DATA", Path(__file__).parents[5] / "shared" / "data"))


@dataclass(frozen=True)
class Recording:
    name: str
    request: dict[str, Any] | None
    body: dict[str, Any] | None
    sse: str | None

    @property
    def is_answer(self) -> bool:
        return self.body is not None and "choices" in self.body


@pytest.fixture(scope="session")
def recordings() -> list[Recording]:
    files = sorted((SHARED / "cassettes").glob("*/openai-chat/*.json"))
    if not files:
        pytest.skip("the recordings are not here")
    read = [(path, msgspec.json.decode(path.read_bytes())) for path in files]
    return [
        Recording(path.name, each["request"]["body"], each["response"]["body"], each["response"].get("sse"))
        for path, each in read
    ]


@pytest.fixture(scope="session")
def able() -> Profile:
    """Can do whatever this wire can say."""
    return Profile(
        maker="openai_chat",
        efforts=ALL_EFFORTS,
        has_mid_system=True,
        has_cache_marks=True,
        media=frozenset({"image", "document", "audio", "video"}),
        replays_reasoning_text=True,
        hosted_tools=frozenset({"web_search"}),
        extras=frozenset(
            {
                *("verbosity", "service_tier", "cache_key", "metadata", "user"),
                *("parallel_switch", "max_completion_tokens", "top_logprobs", "store"),
            }
        ),
    )
