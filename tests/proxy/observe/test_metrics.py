from __future__ import annotations

import asyncio
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from proxy.observe.metrics import Metrics
from proxy.observe.usage import Tokens, Tried, Used


def used(*, route: str = "r", status: int = 200, seconds: float = 0.1, **more: Any) -> Used:
    return Used(at=0.0, request_id="x", route=route, operation="generate", status=status, seconds=seconds, **more)


async def figures(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = (await metrics.exposition()).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_finished_request_is_counted_everywhere() -> None:
    metrics = Metrics(version="1.2")
    finished = used(
        route="/v1/messages",
        seconds=3.0,
        first_byte_seconds=0.2,
        provider="anthropic",
        tokens=Tokens(output=7),
        attempts=(
            Tried(provider="openai", credential="a", model="m", status=500),
            Tried(provider="anthropic", credential="b", model="m", status=200),
        ),
        losses=("one", "other"),
    )
    metrics.request_finished(finished)
    metrics.request_finished(finished)
    seen = await figures(metrics)
    route = ("route", "/v1/messages")
    assert seen["proxy_requests_total", (route, ("status", "2xx"))] == 2
    assert seen["proxy_request_seconds_sum", (route,)] == 6
    assert seen["proxy_first_byte_seconds_bucket", (("le", "0.25"), route)] == 2
    assert seen["proxy_tokens_total", (("kind", "output"), ("provider", "anthropic"))] == 14
    assert seen["proxy_attempts_total", (("provider", "openai"), ("result", "failed"))] == 2
    assert seen["proxy_losses_total", ()] == 4
    assert seen["proxy_build_info", (("version", "1.2"),)] == 1
    assert ("process_resident_memory_bytes", ()) in seen


async def test_a_request_without_an_answer_has_no_first_byte() -> None:
    metrics = Metrics(version="1")
    metrics.request_finished(used(route="unknown", status=404))
    seen = await figures(metrics)
    assert seen["proxy_requests_total", (("route", "unknown"), ("status", "4xx"))] == 1
    assert seen["proxy_first_byte_seconds_count", (("route", "unknown"),)] == 0


async def test_each_has_a_registry_of_its_own() -> None:
    first, second = Metrics(version="1"), Metrics(version="2")
    first.in_flight.inc()
    assert (await figures(second))["proxy_requests_in_flight", ()] == 0


async def test_the_tasks_of_the_loop_are_told() -> None:
    metrics = Metrics(version="1")
    before = (await figures(metrics))["proxy_tasks", ()]
    over = asyncio.Event()
    waiting = asyncio.create_task(over.wait())
    assert (await figures(metrics))["proxy_tasks", ()] == before + 1
    over.set()
    await waiting
    assert (await figures(metrics))["proxy_tasks", ()] == before


async def test_what_each_client_key_did_is_told_by_its_name() -> None:
    metrics = Metrics(version="1")
    for status, limit in ((200, None), (429, "client_rate_limit")):
        metrics.request_finished(used(status=status, key="laptop", tokens=Tokens(output=7)), limit=limit)
    metrics.request_finished(used())
    seen = await figures(metrics)
    assert seen["proxy_key_requests_total", (("key", "laptop"), ("status", "2xx"))] == 1
    assert seen["proxy_key_tokens_total", (("key", "laptop"), ("kind", "output"))] == 14
    assert seen["proxy_key_refusals_total", (("key", "laptop"), ("limit", "client_rate_limit"))] == 1
    assert [name for name, _ in seen if name == "proxy_key_requests_total"] == ["proxy_key_requests_total"] * 2
