"""Prometheus figures, in a registry of our own. Labels come from fixed sets: no client can make a new series."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """One request, as the figures see it. `tokens` by kind (``input_uncached``, ``output`` …); `attempts`: each one's
    provider and whether it answered (``ok``, ``failed``).
    """

    route: str
    status: int
    seconds: float
    first_byte_seconds: float | None = None
    provider: str = ""
    tokens: Mapping[str, int] = field(default_factory=dict)
    attempts: Sequence[tuple[str, str]] = ()
    losses: int = 0


class Metrics:
    """Children are looked up once: `labels()` costs four times what `inc()` does."""

    def __init__(self, *, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter("proxy_requests", "Requests answered.", ("route", "status"), registry=self.registry)
        self._duration = Histogram(
            "proxy_request_seconds",
            "From the request's head to the last byte of the answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._first_byte = Histogram(
            "proxy_first_byte_seconds",
            "From the request's head to the first byte of content.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._tokens = Counter("proxy_tokens", "Tokens, by kind.", ("provider", "kind"), registry=self.registry)
        self._attempts = Counter(
            "proxy_attempts", "Attempts with a candidate.", ("provider", "result"), registry=self.registry
        )
        self._losses = Counter("proxy_losses", "Parts of requests that a translation lost.", registry=self.registry)
        self.in_flight = Gauge("proxy_requests_in_flight", "Requests being answered.", registry=self.registry)
        Gauge("proxy_build_info", "Always 1.", ("version",), registry=self.registry).labels(version).set(1)
        self._counters: dict[tuple[str, ...], Counter] = {}
        self._histograms: dict[str, tuple[Histogram, Histogram]] = {}

    def request_finished(self, finished: Finished) -> None:
        route = finished.route
        self._count(self._requests, route, f"{finished.status // 100}xx").inc()
        duration, first_byte = self._histograms.get(route) or self._timers(route)
        duration.observe(finished.seconds)
        if finished.first_byte_seconds is not None:
            first_byte.observe(finished.first_byte_seconds)
        for kind, tokens in finished.tokens.items():
            self._count(self._tokens, finished.provider, kind).inc(tokens)
        for provider, result in finished.attempts:
            self._count(self._attempts, provider, result).inc()
        if finished.losses:
            self._losses.inc(finished.losses)

    def _count(self, parent: Counter, *labels: str) -> Counter:
        key = (parent._name, *labels)  # noqa: SLF001 - the counter's only name
        child = self._counters.get(key)
        if child is None:
            child = self._counters[key] = parent.labels(*labels)
        return child

    def _timers(self, route: str) -> tuple[Histogram, Histogram]:
        timers = self._histograms[route] = (self._duration.labels(route), self._first_byte.labels(route))
        return timers

    async def exposition(self) -> bytes:
        """In a thread: a few hundred series take tens of milliseconds."""
        return await asyncio.to_thread(generate_latest, self.registry)
