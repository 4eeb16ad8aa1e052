from __future__ import annotations

from typing import cast

import pytest
import structlog

from auth.cli import confine
from proxy.accounts.checkup import bare
from proxy.accounts.diagnosis import diagnosed
from proxy.upstream.cli_choice import Room
from proxy.upstream.cli_health import box, health
from proxy.upstream.cli_pool import CliPool


def test_whether_there_is_a_box_is_said_plainly() -> None:
    assert box(7, bubblewrap="") == "Landlock 7"
    assert "signals" in box(3, bubblewrap="/usr/bin/bwrap")
    assert box(0, bubblewrap="/usr/bin/bwrap").startswith("bubblewrap: ")
    assert "a user of its own" in box(0, bubblewrap="")


@pytest.mark.parametrize("bubblewrap", ["/usr/bin/bwrap", ""])
def test_what_health_and_the_doctor_say_is_what_is_done(bubblewrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is asked in one place."""
    monkeypatch.setattr(confine, "version", lambda: 0)
    monkeypatch.setattr(confine, "bubblewrap", lambda: bubblewrap)
    log = cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())
    told = health(CliPool(clock=lambda: 0.0, log=log, room=Room()))["box"]
    (found,) = [each for each in diagnosed(bare("config.yaml", "it is not there")) if each.check == "sandbox"]
    assert found.says == told == box(0, bubblewrap=bubblewrap)
    assert found.state == ("good" if bubblewrap else "note")
    assert (bubblewrap in confine.boxed(["claude", "-p"])) is bool(bubblewrap)


def test_how_much_room_there_is() -> None:
    log = cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())
    told = health(CliPool(clock=lambda: 0.0, log=log, room=Room(processes_max=5)))
    assert told["capacity"] == {"active": 0, "warm": 0, "max": 5, "queued": 0}
    assert isinstance(told["box"], str)
