from __future__ import annotations

from typing import cast

import structlog

from proxy.upstream.cli_choice import Room
from proxy.upstream.cli_health import box, health
from proxy.upstream.cli_pool import CliPool


def test_whether_there_is_a_box_is_said_plainly() -> None:
    assert box(7) == "Landlock 7"
    assert "signals" in box(3)
    assert "a user of its own" in box(0)


def test_how_much_room_there_is() -> None:
    log = cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())
    told = health(CliPool(clock=lambda: 0.0, log=log, room=Room(processes_max=5)))
    assert told["capacity"] == {"active": 0, "warm": 0, "max": 5, "queued": 0}
    assert isinstance(told["box"], str)
