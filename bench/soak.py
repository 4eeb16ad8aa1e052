"""A soak: thousands of streams through the real server while everything around it breaks. `make soak`

Six vendors (processes that are killed every two seconds and come up again) with eight accounts each, all four formats
on both sides; meanwhile the configuration is reloaded, accounts appear and vanish, clients leave early and read slowly,
and vendors limit, overload, fail inside a 200 and reset. Then all vendors fail at once, then none of them is there, and
then they are back. At the end every stream must have ended exactly one way, the server must be as it was before, and
its usage ledger must say what the vendors' own books say. A table goes to stderr, JSON to stdout.

Memory: the baseline is what the server takes after a warm-up of the same kind, storm and outages, in which every code
path, cache and buffer has been used; what more it takes after four times as much and longer outages is judged. What is
kept on purpose is bounded, and most of it full by then: the last 512 decisions (each names up to 48 accounts and why),
SQLite's pages, remembered names and profiles. The rest is how the heap is torn. That nothing waits for the collector of
cycles is tested apart (`tests/faults/test_garbage.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.soak_books import Row, audit, ledger, mishaps, vendors_books  # noqa: E402 - found on the path set above
from bench.soak_processes import Server, Vendor, restart, serving  # noqa: E402
from bench.soak_wires import MODEL, PIECES, WIRES, Reading, Wire, ask  # noqa: E402

VENDORS: tuple[Wire, ...] = ("anthropic", "anthropic", "openai_responses", "gemini", "openai_chat", "openai_chat")
KILL_SECONDS = 2.0
DOWN_SECONDS = 0.4
CHANGE_SECONDS = 0.25
LEAVING, SLOW = 0.05, 0.05
WARM_UP_MAX = 2_500
CALLS_MAX, RECOVERED_MIN = 1.2, 0.999
DESCRIPTORS_MAX, TASKS_MAX, MEGABYTES_MAX = 2, 2, 15.0
"""More than after the warm-up."""
GOOD_ENDS = frozenset({"whole", "told", "left", "refused", "told before content"})
LOST_ENDS = frozenset({"refused", "told before content"})
OUTAGES = ("failing", "gone")


@dataclass
class Tally:
    """How each stream of a phase ended, by its canary. `faults`: what no stream may be."""

    ends: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    pairs: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def judge(self, reading: Reading, end: str) -> None:
        fault = reading.fault(is_whole=end != "left")
        self.ends[reading.canary] = fault or end
        if fault is not None:
            self.faults.append(f"{reading.canary} {reading.wire}: {fault} {reading.errors} …{reading.text[-80:]!r}")

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.ends.values())


@dataclass
class Soak:
    folder: Path
    vendors: list[Vendor]
    concurrency: int
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    changes: int = 0
    kills: int = 0
    _asked: int = 0
    _ended: int = 0
    _has_ended: asyncio.Event = field(default_factory=asyncio.Event)

    def write_config(self) -> None:
        """As an editor would: beside it, then in its place."""
        self.changes += 1
        config: dict[str, Any] = {"auth-dir": "accounts", "log-format": "json"}
        for vendor in self.vendors:
            setting, entries = vendor.settings(self.changes)
            config.setdefault(setting, []).extend(entries)
        # Streams break here a hundred times as often as elsewhere: two rescues are not enough for ten thousand.
        config["streaming"] = {"keepalive-seconds": 5 + self.changes % 5, "bootstrap-retries": 4}
        beside = self.folder / "config.yaml.new"
        beside.write_bytes(msgspec.json.encode(config))
        beside.rename(self.folder / "config.yaml")

    def write_account(self) -> None:
        """A file of the auth-dir appears, changes, and vanishes."""
        path = self.folder / "accounts" / "extra.json"
        if self.changes % 3 == 2:
            path.unlink(missing_ok=True)
            return
        vendor = self.vendors[-1]
        account = {
            "type": "openai-compatibility", "name": "extra", "base-url": f"http://127.0.0.1:{vendor.port}/v1",
            "api-key": f"extra-key-{self.changes}", "models": [{"name": MODEL}],
        }  # fmt: skip
        path.parent.mkdir(mode=0o700, exist_ok=True)
        beside = path.with_name(".extra.new")
        beside.touch(mode=0o600)
        beside.write_bytes(msgspec.json.encode(account))
        beside.rename(path)

    @contextlib.asynccontextmanager
    async def storm(self) -> AsyncIterator[None]:
        """What goes on meanwhile. Afterwards every vendor is up."""
        tasks = [asyncio.create_task(self._break_vendors()), asyncio.create_task(self._change_settings())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await restart([vendor for vendor in self.vendors if vendor.process is None])

    async def _break_vendors(self) -> None:
        while True:
            vendor = self.vendors[self.kills % len(self.vendors)]
            self.kills += 1
            await vendor.kill()
            await asyncio.sleep(DOWN_SECONDS)
            await vendor.start()
            await self._pause(KILL_SECONDS - DOWN_SECONDS, 2 * self.concurrency)

    async def _change_settings(self) -> None:
        while True:
            await self._pause(CHANGE_SECONDS, self.concurrency // 4)
            self.write_config()
            self.write_account()

    async def _pause(self, seconds: float, streams: int) -> None:
        """For both: on a machine that has other things to do, what breaks must not come more often for each stream."""
        until = self._ended + streams
        await asyncio.sleep(seconds)
        while self._ended < until:
            self._has_ended.clear()
            await self._has_ended.wait()

    # the clients

    async def stream(self, session: aiohttp.ClientSession, count: int) -> Tally:
        """So many streams, `concurrency` at a time."""
        tally, began = Tally(), time.monotonic()
        numbers = iter(range(self._asked, self._asked + count))
        self._asked += count

        async def client() -> None:
            for number in numbers:
                await self._one(session, number, tally)
                self._ended += 1
                self._has_ended.set()

        await asyncio.gather(*(client() for _ in range(self.concurrency)))
        tally.seconds = round(time.monotonic() - began, 1)
        return tally

    async def _one(self, session: aiohttp.ClientSession, number: int, tally: Tally) -> None:
        wire = WIRES[number % len(WIRES)]
        canary = f"canary-{number}"
        path, body = ask(wire, canary)
        is_leaving, is_slow = self.chance.random() < LEAVING, self.chance.random() < SLOW
        reading = Reading(wire, canary)
        try:
            headers = {"content-type": "application/json", "x-request-id": canary}
            async with session.post(path, data=body, headers=headers) as answer:
                if answer.status != 200:
                    told = await answer.read()
                    tally.ends[canary] = "refused" if b'"error"' in told else "refused without an envelope"
                    return
                tally.pairs[f"{wire} <- {answer.headers.get('x-proxy-provider', '')}"] += 1
                async for data in answer.content.iter_any():
                    reading.feed(data)
                    if is_leaving and len(reading.text) > 200:
                        answer.close()
                        tally.judge(reading, "left")
                        return
                    if is_slow:
                        await asyncio.sleep(0.05)
        except (aiohttp.ClientError, TimeoutError) as error:
            tally.ends[canary] = "cut in silence"
            tally.faults.append(f"{canary} {wire}: {error!r} after {len(reading.text)} characters")
            return
        tally.judge(reading, "whole" if reading.ends else "told" if reading.text else "told before content")


def clients(server: Server) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=300)
    return aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(limit=0), timeout=timeout)


async def soak(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    vendors = [Vendor(number, wire, folder / f"books-{number}") for number, wire in enumerate(VENDORS)]
    plan = Soak(folder, vendors, options.concurrency)
    await restart(vendors)
    plan.write_config()
    tallies: dict[str, Tally] = {}
    try:
        async with serving(folder) as server:
            async with clients(server) as session:
                warm_up = await trouble(plan, session, min(WARM_UP_MAX, options.streams // 2), options.concurrency)
                tallies |= {f"warm-up: {name}": tally for name, tally in warm_up.items()}
            await restart(vendors)
            before = await server.at_rest()
            async with clients(server) as session:
                tallies |= await trouble(plan, session, options.streams, options.outage)
            for vendor in vendors:
                await vendor.kill()
            after = await server.at_rest()
            under_way = await server.under_way()
    finally:
        for vendor in vendors:
            await vendor.kill()
    return {
        **figures(folder, vendors, tallies),
        "kills": plan.kills,
        "reloads": plan.changes,
        "descriptors": [before["descriptors"], after["descriptors"]],
        "tasks": [before["tasks"], after["tasks"]],
        "megabytes": [round(each["bytes"] / 2**20, 1) for each in (before, after)],
        "under_way": under_way,
    }


async def trouble(plan: Soak, session: aiohttp.ClientSession, streams: int, outage: int) -> dict[str, Tally]:
    """The storm; then every vendor answers 503; then nobody is there; then they are back, and well. Those who are under
    way when an outage begins may each find out for themselves: they are counted apart.
    """
    async with plan.storm():
        tallies = {"storm": await plan.stream(session, streams)}
    for name in OUTAGES:
        if name == "failing":
            await restart(plan.vendors, "outage")
        else:
            await asyncio.gather(*(vendor.kill() for vendor in plan.vendors))
        tallies[f"{name}: at first"] = await plan.stream(session, plan.concurrency)
        tallies[name] = await plan.stream(session, outage)
    await restart(plan.vendors, "well")
    tallies["back"] = await plan.stream(session, outage)
    return tallies


def figures(folder: Path, vendors: list[Vendor], tallies: dict[str, Tally]) -> dict[str, Any]:
    rows = ledger(folder / "accounts" / "state" / "usage.sqlite")
    books = vendors_books(vendor.books for vendor in vendors)
    ends = {canary: end for tally in tallies.values() for canary, end in tally.ends.items()}
    found = audit(ends, rows, books)
    storm = tallies["storm"].ends
    failed = [canary for canary in storm if any(row.failed for row in rows.get(canary, ()))]
    lost = sum(storm[canary] in LOST_ENDS for canary in storm)
    return {
        "streams": len(storm),
        "ends": {name: dict(tally.counts) for name, tally in tallies.items()},
        "seconds": {name: tally.seconds for name, tally in tallies.items()},
        "vendors": dict(mishaps(storm, books)),
        "pairs": dict(sorted(tallies["storm"].pairs.items())),
        "failed_before_content": len(failed),
        "recovered": round(1 - lost / max(1, len(failed)), 5),
        "calls_per_request": {name: calls(tally, rows) for name, tally in tallies.items()},
        "tokens": {"ledger": found.ledger, "vendors": found.vendors},
        "differences": found.faults[:20],
        "faults": [fault for tally in tallies.values() for fault in tally.faults][:20],
    }


def calls(tally: Tally, rows: dict[str, list[Row]]) -> float:
    """Also those that reached nobody."""
    return round(sum(row.calls for canary in tally.ends for row in rows.get(canary, ())) / max(1, len(tally.ends)), 4)


def verdicts(figures: dict[str, Any]) -> dict[str, bool]:
    ends, per_request = figures["ends"], figures["calls_per_request"]

    def growth(name: str) -> float:
        first, last = figures[name]
        return float(last - first)

    return {
        "every stream ended exactly one way": not figures["faults"] and set().union(*ends.values()) <= GOOD_ENDS,
        "99.9 % of failures before content recovered": figures["recovered"] >= RECOVERED_MIN,
        "the ledger equals the vendors' books": not figures["differences"]
        and figures["tokens"]["ledger"] == figures["tokens"]["vendors"],
        f"at most {CALLS_MAX} calls a request in a total outage": all(
            per_request[name] <= CALLS_MAX for name in OUTAGES
        ),
        "a total outage is told to every client": all(set(ends[name]) <= LOST_ENDS for name in OUTAGES),
        "whoever is back serves at once": not LOST_ENDS & set(ends["back"]),
        "descriptors as before": growth("descriptors") <= DESCRIPTORS_MAX,
        "tasks as before": growth("tasks") <= TASKS_MAX,
        f"at most {MEGABYTES_MAX:.0f} MB more": growth("megabytes") <= MEGABYTES_MAX,
        "nothing is under way": figures["under_way"] == 0,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=10_000, help=f"of {PIECES} pieces each (default: 10000)")
    parser.add_argument("--concurrency", type=int, default=200, help="streams at a time (default: 200)")
    parser.add_argument("--outage", type=int, default=2_000, help="requests to vendors that all fail (default: 2000)")
    parser.add_argument("--keep", type=Path, help="a folder for the log, the ledger and the vendors' books")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = asyncio.run(soak(options, folder.absolute()))
    told = verdicts(found)
    for name, value in found.items():
        print(f"{name:24} {value}", file=sys.stderr)
    for name, is_good in told.items():
        print(f"{'good' if is_good else 'BAD ':5} {name}", file=sys.stderr)
    sys.stdout.write(msgspec.json.format(msgspec.json.encode({**found, "verdicts": told})).decode() + "\n")
    return 0 if all(told.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
