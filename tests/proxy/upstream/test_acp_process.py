"""Which versions of an ACP CLI are used."""

from __future__ import annotations

import pytest

from proxy.upstream.acp_process import outdated
from proxy.upstream.gemini_settings import PROFILE


@pytest.mark.parametrize("version", ["0.61.0", "0.61.1", "0.100.0-preview.1", "1.0.0"])
def test_a_version_that_is_known_or_newer_is_used(version: str) -> None:
    assert outdated(PROFILE, version) is None


@pytest.mark.parametrize("version", ["0.60.9", "", "unknown", "0.61"])
def test_any_other_is_refused_with_what_to_do(version: str) -> None:
    why = outdated(PROFILE, version)
    assert why is not None
    assert "proxy cli install gemini" in why
