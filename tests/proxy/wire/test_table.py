from __future__ import annotations

import pytest

from proxy.wire.table import WIRES, wire_named


def test_each_wire_has_its_own_name() -> None:
    assert [wire_named(wire.name) for wire in WIRES] == list(WIRES)
    assert {wire.name for wire in WIRES} == {"anthropic", "openai_chat", "openai_responses", "gemini"}


def test_a_name_that_no_wire_has() -> None:
    with pytest.raises(KeyError):
        wire_named("telegraph")
