"""How long questions to the usage ledger take when it holds a million requests, beside counting them.

Usage: ``python -m bench.ledger [requests]``. Writes to a temporary folder: some 500 MB for a million.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from proxy.observe import ledger as module
from proxy.observe.database import Connection
from proxy.observe.ledger import Ledger
from proxy.observe.usage import Tokens, Tried, Used
from proxy.observe.usage_queries import Filter, percentiles, requests, series, totals

NOW = 1_800_000_000.0
DAYS, ACCOUNTS, MODELS, KEYS = 30, 50, 10, 20


def used(number: int, wanted: int) -> Used:
    account, model = f"a-{number % ACCOUNTS}", f"m-{number % MODELS}"
    return Used(
        at=NOW - DAYS * 86400 * (1 - number / wanted), request_id=f"r-{number}", route="/v1/messages",
        operation="generate", status=200 if number % 20 else 529, seconds=1.0 + number % 7, key=f"k-{number % KEYS}",
        model_asked=model, model_served=model, provider="anthropic", credential=account, account=account,
        wire_in="anthropic", wire_out="anthropic", tokens=Tokens(input_uncached=number % 999, output=number % 99),
        first_byte_seconds=0.5, finish="stop",
        attempts=(Tried(provider="anthropic", credential=account, model=model, status=200),),
    )  # fmt: skip


QUESTIONS: dict[str, Callable[[Connection], object]] = {
    "totals": lambda c: totals(c, Filter()),
    "totals by account": lambda c: totals(c, Filter(), "account"),
    "totals of the last day": lambda c: totals(c, Filter(since=NOW - 86400)),
    "totals since a moment": lambda c: totals(c, Filter(since=NOW - 10 * 86400 - 1)),
    "totals by model since a moment": lambda c: totals(c, Filter(since=NOW - 10 * 86400 - 1), "model"),
    "totals of what failed": lambda c: totals(c, Filter(is_failed=True)),
    "series by hour": lambda c: series(c, Filter(), "hour"),
    "series by day": lambda c: series(c, Filter(), "day"),
    "series by day since a moment": lambda c: series(c, Filter(since=NOW - 10 * 86400 - 1), "day"),
    "percentiles": lambda c: percentiles(c, Filter()),
    "the newest hundred": lambda c: [*requests(c, Filter(), limit=100)],
    "one by its id": lambda c: [*requests(c, Filter(request_id="r-7"), limit=1)],
}


def seconds(ledger: Ledger, question: Callable[[Connection], object]) -> float:
    began = time.perf_counter()
    ledger.read(question)
    return time.perf_counter() - began


def main(wanted: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "usage.sqlite", now=lambda: NOW)
        module.FLUSH_SECONDS = 600.0
        began = time.perf_counter()
        for start in range(0, wanted, 50_000):
            for number in range(start, min(start + 50_000, wanted)):
                ledger.record(used(number, wanted))
            ledger.ask(lambda _connection: None).result()
        print(f"{wanted} requests written in {time.perf_counter() - began:.1f} s")
        count = min(seconds(ledger, lambda c: c.execute("SELECT COUNT(*) FROM request").fetchone()) for _ in range(3))
        print(f"{'count them':30} {count:8.3f} s")
        for name, question in QUESTIONS.items():
            took = min(seconds(ledger, question) for _ in range(2))
            print(f"{name:30} {took:8.3f} s {took / count:8.1f} times that")
        ledger.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
