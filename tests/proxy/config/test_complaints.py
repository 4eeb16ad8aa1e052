from __future__ import annotations

import pytest

from proxy.config.complaints import SHOWN_MAX, Complaints
from proxy.errors import ConfigError


def test_in_the_order_of_lines_and_each_once() -> None:
    complaints = Complaints("/etc/proxy/config.yaml")
    for line, message in ((12, "b"), (3, "z"), (12, "a"), (3, "z")):
        complaints.add(line, message)
    with pytest.raises(ConfigError) as caught:
        complaints.raise_if_any()
    assert caught.value.message.splitlines() == [
        f"/etc/proxy/config.yaml:{rest}" for rest in ("3: z", "12: a", "12: b")
    ]


def test_a_flood_is_cut_and_counted() -> None:
    complaints = Complaints("c")
    for line in range(1, 1001):
        complaints.add(line, "x")
    with pytest.raises(ConfigError) as caught:
        complaints.raise_if_any()
    lines = caught.value.message.splitlines()
    assert len(lines) == SHOWN_MAX + 1
    assert lines[-1] == f"c: and {1000 - SHOWN_MAX} more"


def test_a_warning_refuses_nothing() -> None:
    complaints = Complaints("c")
    complaints.warn(2, "is old")
    complaints.raise_if_any()
    assert complaints.is_empty
    assert complaints.warnings() == ("c:2: is old",)
