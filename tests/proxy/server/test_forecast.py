from __future__ import annotations

import base64
import time

import msgspec
import pytest

from proxy.dispatch.inquiry import Inquiry
from proxy.providers.base import Operation
from proxy.server.forecast import OUTPUT_TOKENS, forecast
from proxy.server.limits import total


def inquiry(body: object, operation: Operation = "generate") -> Inquiry:
    return Inquiry(
        request_id="r",
        wire="openai_chat",
        operation=operation,
        model="m",
        is_stream=False,
        body=body if isinstance(body, bytes) else msgspec.json.encode(body),
        headers={},
        query={},
    )


def test_four_bytes_are_a_token() -> None:
    assert forecast(inquiry({"input": "x" * 4000})).input_uncached == 1003


@pytest.mark.parametrize(
    ("said", "output"),
    [
        ({}, OUTPUT_TOKENS),
        ({"max_tokens": 10}, 10),
        ({"max_completion_tokens": 11}, 11),
        ({"max_output_tokens": 12}, 12),
        ({"generationConfig": {"maxOutputTokens": 13}}, 13),
        ({"max_tokens": 64_000}, OUTPUT_TOKENS),
        ({"max_tokens": "many"}, OUTPUT_TOKENS),
        ({"max_tokens": -1}, OUTPUT_TOKENS),
    ],
)
def test_the_answer_is_as_long_as_allowed_or_as_usual(said: dict[str, object], output: int) -> None:
    assert forecast(inquiry(said)).output == output


def test_a_picture_is_no_text() -> None:
    picture = base64.b64encode(bytes(range(256)) * 8000).decode()
    tokens = forecast(inquiry({"url": f"data:image/png;base64,{picture}", "text": "a harbour " * 1000}))
    assert tokens.input_uncached == pytest.approx(1600 + 2500, abs=30)


@pytest.mark.parametrize("operation", ["count_tokens", "generate"])
def test_what_costs_nothing_is_nothing(operation: Operation) -> None:
    body = b"" if operation == "generate" else b"{}"
    assert total(forecast(inquiry(body, operation))) == 0


@pytest.mark.parametrize("body", [b'"' * 20_000_000, b"a" * 20_000_000, b'"' + b"ab" * 10_000_000, b"[" * 100_000])
def test_no_body_takes_long(body: bytes) -> None:
    began = time.process_time()
    forecast(inquiry(body))
    assert time.process_time() - began < 2
