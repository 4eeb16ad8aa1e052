"""Prometheus figures, in a registry of our own. Labels come from fixed sets: no client can make a new series.

Figures are plain numbers here, and become Prometheus's when somebody looks: its own counters take a lock each time, and
a request has eight of them (5.2 µs; so it is 1.1).
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from proxy.observe.usage import BUCKETS, NO_TOKENS, Tokens, Used

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
_BOUNDS = (*(str(float(bound)) for bound in _SECONDS), "+Inf")


class Times:
    """How often something took how long."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * len(_BOUNDS)
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect_left(_SECONDS, seconds)] += 1
        self.seconds += seconds


class Tally:
    """Requests of one kind, and their tokens in the order of `BUCKETS`."""

    __slots__ = ("requests", "tokens")

    def __init__(self) -> None:
        self.requests = 0
        self.tokens = [0] * len(BUCKETS)

    def count(self, tokens: Tokens) -> None:
        sums = self.tokens
        sums[0] += tokens.input_uncached or 0
        sums[1] += tokens.cache_read or 0
        sums[2] += tokens.cache_write or 0
        sums[3] += tokens.output or 0
        sums[4] += tokens.reasoning or 0


class InFlight:
    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def inc(self) -> None:
        self.count += 1

    def dec(self) -> None:
        self.count -= 1


class Metrics:
    """Written by the event loop alone, read by any thread."""

    def __init__(self, *, version: str) -> None:
        self.registry = CollectorRegistry()
        self.in_flight = InFlight()
        self._version = version
        self._tallies: defaultdict[tuple[str, int, str, str], Tally] = defaultdict(Tally)
        """By route, status, provider and client key."""
        self._duration: defaultdict[str, Times] = defaultdict(Times)
        self._first_byte: defaultdict[str, Times] = defaultdict(Times)
        self._attempts: Counter[tuple[str, str]] = Counter()
        self._key_refusals: Counter[tuple[str, str]] = Counter()
        self._losses = 0
        self._tasks = 0
        ProcessCollector(registry=self.registry)
        self.registry.register(_Figures(self))

    def request_finished(self, used: Used, *, limit: str | None = None) -> None:
        """`used.key`: empty where nothing was asked of a model. `limit`: the client's own that refused it."""
        route, first_byte_seconds = used.route, used.first_byte_seconds
        tally = self._tallies[route, used.status // 100, used.provider or "", used.key]
        tally.requests += 1
        if used.tokens is not NO_TOKENS:
            tally.count(used.tokens)
        self._duration[route].observe(used.seconds)
        first_byte = self._first_byte[route]
        if first_byte_seconds is not None:
            first_byte.observe(first_byte_seconds)
        for attempt in used.attempts:
            self._attempts[attempt.provider, attempt.result] += 1
        if used.losses:
            self._losses += len(used.losses)
        if limit is not None and used.key:
            self._key_refusals[used.key, limit] += 1

    async def exposition(self) -> bytes:
        """In a thread: a few hundred series take tens of milliseconds."""
        self._tasks = len(asyncio.all_tasks())
        return await asyncio.to_thread(generate_latest, self.registry)

    def families(self) -> Iterator[Metric]:
        """Of what the loop goes on writing meanwhile: `list` and `tuple` copy in one step."""
        tallies = list(self._tallies.items())
        requests: Counter[tuple[str, str]] = Counter()
        key_requests: Counter[tuple[str, str]] = Counter()
        tokens: Counter[tuple[str, str]] = Counter()
        key_tokens: Counter[tuple[str, str]] = Counter()
        for (route, hundreds, provider, key), tally in tallies:
            requests[route, f"{hundreds}xx"] += tally.requests
            told = [(kind, count) for kind, count in zip(BUCKETS, tuple(tally.tokens), strict=True) if count]
            tokens.update({(provider, kind): count for kind, count in told})
            if key:
                key_requests[key, f"{hundreds}xx"] += tally.requests
                key_tokens.update({(key, kind): count for kind, count in told})
        yield _counted("proxy_requests", "Requests answered.", ("route", "status"), requests)
        yield _timed("proxy_request_seconds", "From the request's head to the last byte of the answer.", self._duration)
        yield _timed(
            "proxy_first_byte_seconds", "From the request's head to the first byte of content.", self._first_byte
        )
        yield _counted("proxy_tokens", "Tokens, by kind.", ("provider", "kind"), tokens)
        yield _counted("proxy_attempts", "Attempts with a candidate.", ("provider", "result"), self._attempts)
        yield _counted("proxy_key_requests", "Requests of each client key.", ("key", "status"), key_requests)
        yield _counted("proxy_key_tokens", "Tokens of each client key, by kind.", ("key", "kind"), key_tokens)
        yield _counted(
            "proxy_key_refusals", "Requests beyond a client key's limits.", ("key", "limit"), self._key_refusals
        )
        yield CounterMetricFamily("proxy_losses", "Parts of requests that a translation lost.", value=self._losses)
        yield GaugeMetricFamily("proxy_requests_in_flight", "Requests being answered.", value=self.in_flight.count)
        yield GaugeMetricFamily("proxy_tasks", "Tasks of the event loop.", value=self._tasks)
        build = GaugeMetricFamily("proxy_build_info", "Always 1.", labels=("version",))
        build.add_metric((self._version,), 1)
        yield build


class _Figures(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics.families()


def _counted(name: str, text: str, labels: tuple[str, ...], counts: Counter[tuple[str, str]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in list(counts.items()):
        family.add_metric(values, count)
    return family


def _timed(name: str, text: str, times: Mapping[str, Times]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=("route",))
    for route, each in list(times.items()):
        sums = accumulate(tuple(each.buckets))
        family.add_metric((route,), [*zip(_BOUNDS, sums, strict=True)], each.seconds)
    return family
