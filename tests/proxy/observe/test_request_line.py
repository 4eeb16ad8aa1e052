from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest

from auth.secret import Secret
from proxy.observe.log import make_log
from proxy.observe.request_line import RequestLine, as_json, through
from proxy.observe.scrub import Scrubber

SECRET = "sk-very-private-42"
LINES = (
    RequestLine(request_id="r-1", route="/v1/messages", status=200, seconds=0.5),
    RequestLine(
        request_id="r-2",
        route="/v1/messages",
        status=200,
        seconds=0.25,
        client="laptop",
        model="big",
        model_served="big-1",
        provider="acme",
        credential="a-1",
        first_byte_seconds=0.1,
        tokens={"output": 3},
        retries=2,
        finish="stop",
        losses=["seed: it has none"],
    ),
    RequestLine(request_id=SECRET, route="unknown", status=400, seconds=0.0, model=f"x {SECRET}", error=f"no {SECRET}"),
)


def both(line: RequestLine) -> tuple[dict[str, Any], dict[str, Any]]:
    """Directly, and as the log would."""
    scrubber, stream, written = Scrubber([Secret(SECRET)]), io.BytesIO(), io.BytesIO()
    through(make_log(stream, redact=scrubber.process, is_json=True).info)(line)
    as_json(written.write, scrubber.text, lambda: 1_763_600_000.25)(line)
    return msgspec.json.decode(written.getvalue()), msgspec.json.decode(stream.getvalue())


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.request_id)
def test_it_says_what_the_log_would(line: RequestLine) -> None:
    direct, usual = both(line)
    assert list(direct)[:3] == ["timestamp", "level", "event"]
    assert direct.pop("timestamp") == "2025-11-20T00:53:20.250000Z"
    usual.pop("timestamp")
    assert direct == usual
    assert SECRET not in str(direct)


def test_each_line_ends() -> None:
    written = io.BytesIO()
    tell = as_json(written.write, lambda text: text)
    for line in LINES:
        tell(line)
    assert len(written.getvalue().splitlines()) == len(LINES)


def test_half_a_character_does_not_stop_it() -> None:
    written = io.BytesIO()
    as_json(written.write, str)(RequestLine(request_id="r", route="/", status=404, seconds=0.0, model="half \ud800"))
    assert msgspec.json.decode(written.getvalue())["model"] == "half ?"
