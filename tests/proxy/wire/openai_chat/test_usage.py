from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.hub.response import Usage
from proxy.wire.openai_chat.usage import parse_usage, render_usage


def test_bug_56_cached_tokens_are_counted_once() -> None:
    usage = parse_usage(
        {
            "prompt_tokens": 100,
            "completion_tokens": 30,
            "total_tokens": 130,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
            "completion_tokens_details": {"reasoning_tokens": 20},
        }
    )
    assert usage is not None
    assert replace(usage, residue=None) == Usage(
        input_uncached=30, cache_read=60, cache_write=10, output=10, reasoning=20
    )
    assert (usage.input_total, usage.output_total) == (100, 30)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 1}, Usage(input_uncached=9, output=1)),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5},
            Usage(input_uncached=5, cache_read=4, output=1),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 2},
            Usage(input_uncached=7, cache_read=2, output=1),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "num_cached_tokens": 2},
            Usage(input_uncached=7, cache_read=2, output=1),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": None},
            Usage(input_uncached=9, output=1),
        ),
    ],
    ids=str,
)
def test_dialects(told: Any, usage: Usage) -> None:
    read = parse_usage(told)
    assert read is not None
    assert replace(read, residue=None) == usage
    assert render_usage(read) == told


def test_xais_output_is_without_its_reasoning() -> None:
    told: Any = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 35,
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    usage = parse_usage(told)
    assert usage is not None
    assert (usage.output, usage.reasoning, usage.output_total) == (5, 20, 25)


def test_bug_68_negative_details_are_tolerated() -> None:
    usage = parse_usage(
        {
            "prompt_tokens": 5,
            "completion_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": -1},
            "completion_tokens_details": {"reasoning_tokens": -7},
        }
    )
    assert usage is not None
    assert (usage.input_uncached, usage.cache_read, usage.output, usage.reasoning) == (5, 0, 3, 0)


@pytest.mark.parametrize("told", [None, "x", {}, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}])
def test_what_tells_nothing_is_no_usage(told: Any) -> None:
    assert parse_usage(told) is None


def test_another_wires_usage_in_this_wires_accounting() -> None:
    usage = Usage(input_uncached=30, cache_read=60, cache_write=10, output=10, reasoning=20)
    assert render_usage(usage) == {
        "prompt_tokens": 100,
        "completion_tokens": 30,
        "total_tokens": 130,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    assert render_usage(Usage(input_uncached=1, output=2)) == {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
    }
