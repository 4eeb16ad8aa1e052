from __future__ import annotations

import pytest

from auth.quota import DAY, HOUR
from auth.survey import Gauge, Survey, claude_gauges, codex_gauges
from proxy.dispatch.windows import Moment, read_windows

UNIX = 1_800_000_000.0


def test_claude_code_s_windows_have_the_slots_of_anthropic_s_headers() -> None:
    usage = {
        "rate_limits_available": True,
        "rate_limits": {
            "five_hour": {"utilization": 12, "resets_at": "2027-01-15T10:00:00Z"},
            "seven_day": {"utilization": 130.5, "resets_at": None},
            "seven_day_opus": {"utilization": 99, "resets_at": "2027-01-18T08:00:00+00:00"},
            "seven_day_sonnet": None,
            "seven_day_oauth_apps": {"utilization": 1},
            "model_scoped": [{"display_name": "Fable", "utilization": 5, "resets_at": None}, {"display_name": "a b"}],
            "extra_usage": {"is_enabled": False},
        },
    }
    five, seven, opus, fable = claude_gauges(usage)
    assert five == Gauge("anthropic-ratelimit-unified-5h", 5 * HOUR, 0.12, 1_800_007_200.0)
    assert (seven.slot, seven.used, seven.resets_at) == ("anthropic-ratelimit-unified-7d", 1.305, None)
    assert (opus.slot, opus.models) == ("anthropic-ratelimit-unified-7d_opus", "*opus*")
    assert (fable.slot, fable.models) == ("anthropic-ratelimit-unified-7d_fable", "*fable*")
    headers = {f"{opus.slot}-status": "allowed", f"{opus.slot}-utilization": "0.5"}
    (told,) = read_windows(headers, Moment(now=0.0, unix=UNIX, model="claude-opus-5"))
    assert (told.slot, told.models, told.seconds) == (opus.slot, opus.models, opus.seconds)


@pytest.mark.parametrize("usage", [{}, {"rate_limits": None}, {"rate_limits": []}, {"rate_limits": {"five_hour": 7}}])
def test_what_claude_code_does_not_tell_is_unknown(usage: dict[str, object]) -> None:
    assert claude_gauges(usage) == ()  # type: ignore[arg-type] - as from JSON


def test_codex_s_windows_have_the_slots_of_its_headers() -> None:
    main = {
        "limitId": "codex",
        "primary": {"usedPercent": 12, "windowDurationMins": 300, "resetsAt": 1_800_001_000},
        "secondary": {"usedPercent": 34, "windowDurationMins": 10_080, "resetsAt": None},
    }
    spark = {"limitId": "spark", "normalModelSlug": "gpt-5.3-spark", "primary": {"usedPercent": 100}}
    nameless = {"limitId": "other", "primary": {"usedPercent": 100}}
    limits = {"rateLimits": main, "rateLimitsByLimitId": {"codex": main, "spark": spark, "other": nameless}}
    assert codex_gauges(limits) == (
        Gauge("x-codex-primary", 5 * HOUR, 0.12, 1_800_001_000),
        Gauge("x-codex-secondary", 7 * DAY, 0.34, None),
        Gauge("x-codex-spark-primary", None, 1.0, None, "gpt-5.3-spark"),
    )
    assert codex_gauges({"rateLimits": {"primary": None, "secondary": None}}) == ()
    assert codex_gauges({"rateLimits": 1}) == ()


def test_a_survey_s_windows_are_on_the_pool_s_clock() -> None:
    gauges = (
        Gauge("x-codex-primary", 5 * HOUR, 0.5, UNIX + 60),
        Gauge("x-codex-secondary", 7 * DAY, 0.9, UNIX - 1),
        Gauge("x-codex-a-primary", 5 * HOUR, 0.9, UNIX + 11 * HOUR),
        Gauge("x-codex-b-primary", None, 0.2),
    )
    window, nameless = Survey(gauges=gauges).windows(1000.0, UNIX)
    assert (window.slot, window.name, window.used, window.resets_at) == ("x-codex-primary", "5-hour", 0.5, 1060.0)
    assert (window.read_at, window.is_full, window.models) == (1000.0, False, "*")
    assert (nameless.name, nameless.resets_at) == ("x-codex-b-primary", None)
