from __future__ import annotations

import pytest

from proxy.hub.residue import JsonObject, JsonValue
from proxy.hub.response import Usage
from proxy.wire.openai_responses.usage import parse_usage, render_usage


def buckets(usage: Usage | None) -> tuple[int | None, ...]:
    assert usage is not None
    return usage.input_uncached, usage.cache_read, usage.cache_write, usage.output, usage.reasoning


FULL: JsonObject = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 150,
}


def test_bug_56_cached_tokens_count_once() -> None:
    usage = parse_usage(FULL)
    assert buckets(usage) == (30, 60, 10, 30, 20)
    assert usage is not None
    assert (usage.input_total, usage.output_total) == (100, 50)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"input_tokens": 7, "output_tokens": 3}, (7, None, None, 3, None)),
        (
            {"input_tokens": 7, "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 9}},
            (7, None, None, 3, 9),
        ),
        ({"input_tokens": 7, "input_tokens_details": {"cached_tokens": 9}}, (0, 9, None, None, None)),
        ({"input_tokens": 0, "output_tokens": 0}, (0, None, None, 0, None)),
    ],
)
def test_usage_as_vendors_tell_it(raw: JsonObject, expected: tuple[int | None, ...]) -> None:
    assert buckets(parse_usage(raw)) == expected
    assert render_usage(parse_usage(raw)) == raw


def test_bug_68_negative_details_are_none() -> None:
    raw: JsonObject = {"input_tokens": 7, "input_tokens_details": {"cached_tokens": -1}, "output_tokens": 1}
    assert buckets(parse_usage(raw)) == (7, 0, None, 1, None)


@pytest.mark.parametrize("raw", [None, {}, {"total_tokens": 3}, [], {"input_tokens": None}])
def test_what_is_no_usage(raw: JsonValue) -> None:
    assert parse_usage(raw) is None


def test_bug_59_the_details_are_always_there() -> None:
    assert render_usage(Usage(input_uncached=1, output=2)) == {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 3,
    }
    assert render_usage(None) is None


@pytest.mark.parametrize(
    ("usage", "input_tokens", "output_tokens"),
    [
        (Usage(input_uncached=10, cache_read=20, cache_write=30, output=1), 60, 1),
        (Usage(input_uncached=10, output=1, reasoning=9), 10, 10),
    ],
)
def test_bugs_57_58_thoughts_are_output_and_caches_are_input(
    usage: Usage, input_tokens: int, output_tokens: int
) -> None:
    rendered = render_usage(usage)
    assert isinstance(rendered, dict)
    assert (rendered["input_tokens"], rendered["output_tokens"]) == (input_tokens, output_tokens)
    assert rendered["total_tokens"] == input_tokens + output_tokens
