from __future__ import annotations

import io
import logging
from pathlib import Path

import msgspec
import pytest
from structlog.typing import EventDict

from auth.secret import Secret
from proxy.observe.log import LibraryLog, make_log


def redact(_logger: object, _method: str, event: EventDict | bytes) -> EventDict | bytes:
    if isinstance(event, bytes):
        return event.replace(b"hidden", "•••".encode())
    return {name: value.replace("hidden", "•••") if isinstance(value, str) else value for name, value in event.items()}


def lines(stream: io.BytesIO) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json() -> None:
    stream = io.BytesIO()
    log = make_log(stream, redact=redact, is_json=True)
    log.info("request.finished", status=200, key=Secret("sk-1"), losses=["a"], text="it is hidden")
    (line,) = lines(stream)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "request.finished",
        "level": "info",
        "status": 200,
        "key": "•••",
        "losses": ["a"],
        "text": "it is •••",
    }


def test_debug_is_silent_unless_asked_for() -> None:
    stream = io.BytesIO()
    make_log(stream, redact=redact, is_json=True).debug("x.seen")
    make_log(stream, redact=redact, is_json=True, is_debug=True).debug("y.seen")
    assert [line["event"] for line in lines(stream)] == ["y.seen"]


def test_a_traceback_is_redacted_too() -> None:
    for is_json in (True, False):
        stream = io.BytesIO()
        log = make_log(stream, redact=redact, is_json=is_json)
        try:
            int("hidden")
        except ValueError:
            log.exception("request.failed")
        written = stream.getvalue().decode()
        assert "base 10: '•••'" in written
        assert "test_log.py" in written


def test_half_a_character_does_not_stop_the_log() -> None:
    for is_json in (True, False):
        stream = io.BytesIO()
        make_log(stream, redact=redact, is_json=is_json).info("x.seen", text="a\ud800b")
        assert b"x.seen" in stream.getvalue()


def test_a_full_disk_costs_lines_and_not_requests() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        with pytest.raises(OSError, match="No space left"):
            full.write(b"x")
        log = make_log(full, redact=redact, is_json=True)  # type: ignore[arg-type]  # as much of one as is needed
        log.info("x.seen")
    log.info("y.seen after it was closed")


def test_console_lines_are_for_eyes() -> None:
    stream = io.BytesIO()
    make_log(stream, redact=redact, is_json=False).warning("config.refused", line=3)
    written = stream.getvalue().decode()
    assert "config.refused" in written
    assert "line=3" in written
    assert "\x1b" not in written, "no colours where there is no terminal"


def test_what_libraries_say_comes_here() -> None:
    stream = io.BytesIO()
    logger = logging.getLogger("a.library")
    handler = LibraryLog(make_log(stream, redact=redact, is_json=True))
    logger.addHandler(handler)
    try:
        logger.warning("%s went wrong", "hidden")
    finally:
        logger.removeHandler(handler)
    (line,) = lines(stream)
    assert (line["event"], line["library"], line["message"]) == ("library.logged", "a.library", "••• went wrong")
    assert line["level"] == "warning"


class Holder:
    def __repr__(self) -> str:
        return "holds what is hidden"


@pytest.mark.parametrize("is_json", [True, False])
def test_an_object_that_becomes_text_is_redacted_too(is_json: bool) -> None:
    stream = io.BytesIO()
    make_log(stream, redact=redact, is_json=is_json).info("thing.seen", thing=Holder())
    assert "holds what is •••" in stream.getvalue().decode()
