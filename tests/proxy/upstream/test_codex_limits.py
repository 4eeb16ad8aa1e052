from __future__ import annotations

import msgspec
import pytest

from proxy.upstream.codex_limits import headers_of, is_limits


def told(**fields: object) -> bytes:
    return msgspec.json.encode({"type": "codex.rate_limits", **fields})


def test_both_windows() -> None:
    primary = {"used_percent": 12.5, "window_minutes": 300, "reset_at": 1700009000}
    secondary = {"used_percent": 73, "window_minutes": 10080, "reset_at": 1700600000}
    message = told(plan_type="pro", rate_limits={"primary": primary, "secondary": secondary})
    assert is_limits(message)
    assert headers_of(message) == {
        "x-codex-primary-used-percent": "12.5",
        "x-codex-primary-window-minutes": "300",
        "x-codex-primary-reset-at": "1700009000",
        "x-codex-secondary-used-percent": "73",
        "x-codex-secondary-window-minutes": "10080",
        "x-codex-secondary-reset-at": "1700600000",
    }


def test_a_window_with_a_name_of_its_own() -> None:
    windows = {"primary": {"used_percent": 1}, "secondary": None}
    assert headers_of(told(metered_limit_name="gpt_reserve", rate_limits=windows)) == {
        "x-codex-gpt-reserve-primary-used-percent": "1"
    }
    assert [*headers_of(told(metered_limit_name="codex", rate_limits=windows))] == ["x-codex-primary-used-percent"]


@pytest.mark.parametrize(
    "message",
    [told(), told(rate_limits=None), told(rate_limits={"primary": {"used_percent": "x"}}), told(rate_limits=[1])],
)
def test_what_cannot_be_read_is_no_news(message: bytes) -> None:
    assert headers_of(message) == {}


def test_a_name_that_is_no_header() -> None:
    windows = {"primary": {"used_percent": 1}}
    assert [*headers_of(told(metered_limit_name="a\r\nb", rate_limits=windows))] == ["x-codex-primary-used-percent"]


def test_what_a_model_writes_is_not_mistaken_for_it() -> None:
    delta = {"type": "response.output_text.delta", "delta": '{"type":"codex.rate_limits"}'}
    assert not is_limits(msgspec.json.encode(delta))
