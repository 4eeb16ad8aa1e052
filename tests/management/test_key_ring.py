"""The key at rest, and guesses at it."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import bcrypt
import pytest

from management import key_ring
from management.key_ring import HERE, KNOWN_SECONDS, ROUNDS, KeyRing, hashed, is_hashed, matches, network_of
from management.sieve import Sieve, SieveFile

KEY = "the-right-key-of-this-house"
HASH = hashed(KEY)
HOME, AWAY = ("127.0.0.1", 1), ("192.0.2.7", 2)


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_ring, "DELAY_SECONDS", 0.0)


@pytest.fixture
async def ring() -> AsyncIterator[KeyRing]:
    ring = KeyRing()
    ring.use(stored=HASH)
    yield ring
    ring.close()


async def settled(ring: KeyRing) -> None:
    """What proved right has been kept."""
    assert ring._worker is not None
    await ring._worker


@pytest.mark.parametrize("key", ["x", "k" * 500, "schlüssel-密钥", "with\0nul", "lone\ud800surrogate", "k" * 72 + "a"])
def test_any_text_is_a_key_and_all_of_it_counts(key: str) -> None:
    stored = hashed(key, 4)
    assert is_hashed(stored)
    assert matches(key, stored)
    assert not matches(key + "b", stored)
    assert not matches(key[:-1], stored)


def test_a_hash_is_slow_enough() -> None:
    assert HASH.startswith("$2b$12$")
    assert ROUNDS >= 12


@pytest.mark.parametrize("prefix", [b"2a", b"2b"])
def test_hashes_of_other_programs_are_over_the_key_itself(prefix: bytes) -> None:
    stored = bcrypt.hashpw(KEY.encode(), bcrypt.gensalt(4, prefix=prefix)).decode()
    assert matches(KEY, stored) is (prefix == b"2a")


@pytest.mark.parametrize("stored", ["", "plain", "$2b$12$short", "$2b$12$" + "!" * 53, "$9z$12$" + "a" * 53])
def test_what_is_no_hash_matches_nothing(stored: str) -> None:
    assert not (is_hashed(stored) and matches(KEY, stored))


async def test_right_and_wrong(ring: KeyRing) -> None:
    assert await ring.judge(KEY, HOME) == "right"
    assert await ring.judge("wrong", HOME) == "wrong"
    assert await ring.judge("", HOME) == "wrong"
    assert await ring.judge("k" * 10**6, HOME) == "wrong"


async def test_a_known_key_costs_nothing_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sieve, "lets_pass", lambda _sieve, _key: True)
    now = 0.0
    calls = []
    monkeypatch.setattr(key_ring, "matches", lambda key, _stored: calls.append(key) or key == KEY)
    ring = KeyRing(clock=lambda: now)
    ring.use(stored=HASH)
    for _ in range(5):
        assert await ring.judge(KEY, HOME) == "right"
    assert len(calls) == 1
    now += KNOWN_SECONDS + 1
    assert await ring.judge(KEY, HOME) == "right"
    assert len(calls) == 2
    for _ in range(5):
        assert await ring.judge("the same wrong one", HOME) == "wrong"
    assert len(calls) == 3
    ring.use(stored=hashed("another", 4))
    assert await ring.judge(KEY, HOME) == "right"  # asked again: what was known was known of the other
    assert len(calls) == 4
    ring.close()


async def test_a_plain_key_is_compared_and_stays_known_when_it_becomes_a_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = KeyRing()
    ring.use(stored=KEY, environment="from-the-environment")
    assert [await ring.judge(key, HOME) for key in (KEY, "from-the-environment", "x")] == ["right", "right", "wrong"]
    ring.use(stored=HASH, environment="from-the-environment")
    monkeypatch.setattr(key_ring, "matches", lambda key, _stored: key == KEY)
    assert [await ring.judge(key, HOME) for key in (KEY, "from-the-environment", "x")] == ["right", "right", "wrong"]
    ring.use(stored="")
    assert not ring.is_set
    assert await ring.judge(KEY, HOME) == "wrong"
    ring.close()


async def test_T06_nobody_is_locked_out(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_ring, "matches", lambda key, _stored: key == KEY)
    for number in range(1000):
        assert await ring.judge(f"guess {number}", HOME) == "wrong"
    assert await ring.judge(KEY, HOME) == "right"


async def test_T07_a_wrong_guess_is_told_later_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a time that does not depend on how long it took to judge."""
    now = 0.0

    def weigh(key: str, _stored: str) -> bool:
        nonlocal now
        now += 0.125
        return key == KEY

    monkeypatch.setattr(key_ring, "DELAY_SECONDS", 0.25)
    monkeypatch.setattr(key_ring, "matches", weigh)
    ring = KeyRing(clock=lambda: now)
    ring.use(stored=HASH)
    waited: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await real(0)

    monkeypatch.setattr(key_ring.asyncio, "sleep", sleep)
    for number in range(7):
        await ring.judge(f"guess {number}", AWAY)
    await ring.judge("one from elsewhere", HOME)
    assert waited == [0.125, 0.375, 0.875, 1.875, 3.875, 3.875, 3.875, 0.125]
    await ring.judge("one from elsewhere", HOME)
    assert waited[-1] == 0.5, "known to be wrong: not weighed, and told as late"
    await ring.judge(KEY, AWAY)
    await ring.judge("another", AWAY)
    assert waited[-1] in {0.25, 0.125}, "weighed or not"
    ring.close()


@pytest.mark.parametrize("is_new", [True, False], ids=["a fresh key", "a key that was right before"])
async def test_T07_a_crowd_of_guessers_stops_neither_the_loop_nor_the_owner(
    monkeypatch: pytest.MonkeyPatch, *, is_new: bool
) -> None:
    """Real bcrypt, at full cost; the owner comes from the same address as the crowd, and waits for one guess at most,
    beside his own: half a second on an idle machine. How late the loop is: ``tests/faults/test_guesses.py``.
    """
    now = 0.0
    judged: list[str] = []
    threads: set[int] = set()

    def judge(key: str, stored: str) -> bool:
        judged.append(key)
        threads.add(threading.get_ident())
        return matches(key, stored)

    monkeypatch.setattr(key_ring, "matches", judge)
    ring = KeyRing(clock=lambda: now)
    ring.use(stored=HASH)
    if not is_new:
        assert await ring.judge(KEY, HOME) == "right"
        now += KNOWN_SECONDS + 1
    numbers = itertools.count()

    async def guess(port: int) -> None:
        while True:
            await ring.judge(f"guess {next(numbers)}", ("127.0.0.1", port))

    monkeypatch.setattr(key_ring, "DELAY_SECONDS", 0.02)
    monkeypatch.setattr(key_ring, "DELAY_SECONDS_MAX", 0.05)
    crowd = [asyncio.create_task(guess(port)) for port in range(100, 100 + 3 * key_ring.WAITING_MAX)]
    turns = 0
    while len(judged) < 3:
        await asyncio.sleep(0.005)
        turns += 1
    before = len(judged)
    assert await ring.judge(KEY, ("127.0.0.1", 99)) == "right"
    assert judged[before:].index(KEY) <= 2, "the guess that was under way, and one that was about to be"
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    ring.close()
    assert turns > 3, "the loop had its turns meanwhile"
    assert threading.get_ident() not in threads, "it waits for no bcrypt"


async def test_T07_a_crowd_that_was_there_first_does_not_keep_the_owner_waiting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A process that has never seen the right key, and guesses that nobody waits for, each on a connection of its own
    from the owner's address. The key proved right in a process before.
    """
    weighed: list[str] = []

    def weigh(key: str, stored: str) -> bool:
        weighed.append(key)
        return matches(key, stored)

    monkeypatch.setattr(key_ring, "matches", weigh)
    file = SieveFile(tmp_path, pytest.fail)
    before = KeyRing(look=file.read, keep=file.keep)
    before.use(stored=HASH)
    assert await before.judge(KEY, HOME) == "right"
    await settled(before)
    before.close()
    ring = KeyRing(look=file.read)
    ring.use(stored=HASH)
    weighed.clear()
    guesses = [asyncio.create_task(ring.judge(f"guess {n}", ("127.0.0.1", n))) for n in range(5000)]
    await asyncio.sleep(0)
    assert await ring.judge(KEY, ("127.0.0.1", 5000)) == "right"
    assert weighed.index(KEY) <= 1, "at most the one that was under way"
    told = await asyncio.gather(*guesses)
    assert set(told) == {"wrong"}
    assert len(weighed) < 30, "of five thousand"
    assert await ring.judge("guess 7", HOME) == "wrong"
    ring.close()


async def test_what_was_kept_of_another_key_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Sieve] = []
    ring = KeyRing(look=lambda: Sieve.of("another key", hashed("another key", 4)), keep=kept.append)
    ring.use(stored=hashed(KEY, 4))
    assert await ring.judge(KEY, HOME) == "right"
    await settled(ring)
    weighed: list[str] = []
    monkeypatch.setattr(key_ring, "matches", lambda key, _stored: weighed.append(key) or key == "next")
    assert [await ring.judge(f"guess {n}", HOME) for n in range(50)] == ["wrong"] * 50
    assert len(weighed) < 5
    assert len(kept) == 1
    ring.use(stored=hashed("next", 4))
    assert await ring.judge("next", HOME) == "right"
    await settled(ring)
    assert len(kept) == 2
    ring.close()


async def test_those_who_guess_most_are_sent_away_first(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_ring, "matches", lambda key, _stored: time.sleep(0.005) or key == KEY)
    judging = [asyncio.create_task(ring.judge(f"{n}", AWAY)) for n in range(key_ring.WAITING_MAX + 20)]
    await asyncio.sleep(0)
    assert await ring.judge(KEY, HOME) == "right"
    told = await asyncio.gather(*judging)
    assert told.count("busy") >= 19
    assert set(told) == {"busy", "wrong"}


async def test_who_goes_away_while_others_crowd_in_is_nobody_s_fault(
    ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_ring, "matches", lambda key, _stored: time.sleep(0.005) or key == KEY)
    gone = [asyncio.create_task(ring.judge(f"gone {n}", AWAY)) for n in range(key_ring.WAITING_MAX)]
    await asyncio.sleep(0)
    crowd = [asyncio.create_task(ring.judge(f"{n}", HOME)) for n in range(20)]
    for task in gone:
        task.cancel()  # which they notice only after the others have come
    told = await asyncio.gather(*crowd)
    assert set(told) <= {"busy", "wrong"}
    await asyncio.gather(*gone, return_exceptions=True)


async def test_who_goes_away_is_not_judged(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(key_ring, "matches", lambda key, _stored: seen.append(key) or time.sleep(0.02) or False)
    first = asyncio.create_task(ring.judge("first", HOME))
    for _ in range(3):  # until it has been taken to the thread
        await asyncio.sleep(0)
    second = asyncio.create_task(ring.judge("second", HOME))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert seen == ["first"]


async def test_T07_keys_are_compared_as_digests_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long it takes: ``tests/faults/test_timing.py``."""
    compared: list[tuple[bytes, bytes]] = []
    real = key_ring.hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(key_ring.hmac, "compare_digest", compare)
    ring = KeyRing()
    ring.use(stored="", environment=KEY)
    for guess in (KEY, KEY[:-1], KEY + "x", "", "k" * 5000):
        assert await ring.judge(guess, HOME) == ("right" if guess == KEY else "wrong")
    assert len(compared) == 5
    assert {len(each) for pair in compared for each in pair} == {32}
    assert KEY.encode() not in {each for pair in compared for each in pair}
    other = KeyRing()
    assert other._digest(KEY) != ring._digest(KEY), "keyed: of no use elsewhere"
    ring.close()
    other.close()


ELSEWHERE = bcrypt.hashpw(KEY.encode(), bcrypt.gensalt(10, prefix=b"2a")).decode()
"""Made by another program, at its usual cost: this one has never seen its key."""


@pytest.fixture
async def unproved(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[KeyRing, list[str]]]:
    """And what was weighed, by real bcrypt."""
    weighed: list[str] = []
    monkeypatch.setattr(key_ring, "matches", lambda key, stored: weighed.append(key) or matches(key, stored))
    ring = KeyRing()
    ring.use(stored=ELSEWHERE)
    assert ring.is_unproved
    yield ring, weighed
    ring.close()


def crowd_of(ring: KeyRing, addresses: list[str], guesses: int = 2000) -> list[asyncio.Task[object]]:
    """Each guess on a connection of its own; nobody waits for the answer."""
    return [
        asyncio.create_task(ring.judge(f"guess {number}", (addresses[number % len(addresses)], 1000 + number)))
        for number in range(guesses)
    ]


async def gone(crowd: list[asyncio.Task[object]]) -> None:
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)


CROWDS = {
    "of one address": ["192.0.2.1"],
    "of twenty": [f"127.0.0.{number}" for number in range(2, 22)],
    "of as many of one network as there are guesses": [f"2001:db8::{number:x}" for number in range(2000)],
}


@pytest.mark.parametrize("addresses", CROWDS.values(), ids=CROWDS)
async def test_T07_a_key_that_nothing_is_known_of_passes_a_crowd_from_elsewhere(
    unproved: tuple[KeyRing, list[str]], addresses: list[str]
) -> None:
    """The first use of a hash that was made elsewhere: after the guess that is under way."""
    ring, weighed = unproved
    crowd = crowd_of(ring, addresses)
    while len(weighed) < 2:  # noqa: ASYNC110 - a thread weighs
        await asyncio.sleep(0.01)
    crowd += crowd_of(ring, addresses)
    await asyncio.sleep(0)
    before = len(weighed)
    crowd.append(asyncio.create_task(ring.judge("one more", (addresses[0], 1))))
    assert await ring.judge(KEY, HOME) == "right"
    assert weighed[before - 1 :].index(KEY) <= 1, "at most the one that was under way"
    await gone(crowd)
    assert not ring.is_unproved, "from now on it passes any crowd"
    crowd = crowd_of(ring, ["127.0.0.1"])
    await asyncio.sleep(0)
    before = len(weighed)
    ring._known.clear()
    assert await ring.judge(KEY, HOME) == "right"
    assert weighed[before:].index(KEY) <= 1
    await gone(crowd)


async def test_T07_from_amid_the_crowd_it_passes_as_soon_as_that_pauses(unproved: tuple[KeyRing, list[str]]) -> None:
    """Nothing tells the right one from the others then but weighing them, four a second: the newest goes first."""
    ring, weighed = unproved
    crowd = crowd_of(ring, ["127.0.0.1"])
    while len(weighed) < 2:  # noqa: ASYNC110 - a thread weighs
        await asyncio.sleep(0.01)
    owner = asyncio.create_task(ring.judge(KEY, ("127.0.0.1", 1)))
    await asyncio.sleep(0)
    crowd += crowd_of(ring, ["127.0.0.1"])
    assert await owner == "busy", "so many came after him"
    before = len(weighed)
    assert await ring.judge(KEY, ("127.0.0.1", 2)) == "right"
    assert weighed[before - 1 :].index(KEY) <= 2
    await gone(crowd)


BOTS = [f"198.51.{number >> 8}.{number & 255}" for number in range(2000)]


async def test_T07_who_is_at_the_machine_passes_a_crowd_with_a_fresh_address_for_each_guess(
    unproved: tuple[KeyRing, list[str]],
) -> None:
    """The first use of a hash that was made elsewhere, after some that were mistyped; also behind a reverse proxy here,
    whose crowd comes from this machine's own address, and says in a header that it does not.
    """
    ring, weighed = unproved
    for number in range(3):
        assert await ring.judge(f"mistyped {number}", HOME, HERE) == "wrong"
    crowd = crowd_of(ring, BOTS) + crowd_of(ring, ["127.0.0.1"])
    while len(weighed) < 5:  # noqa: ASYNC110 - a thread weighs
        await asyncio.sleep(0.01)
    owner = asyncio.create_task(ring.judge(KEY, ("127.0.0.1", 9), HERE))
    await asyncio.sleep(0)
    before = len(weighed)
    crowd += crowd_of(ring, [bot.replace("198.", "203.") for bot in BOTS])
    assert await owner == "right"
    assert weighed[before - 1 :].index(KEY) <= 2, "the one that was under way, and one that was about to be"
    await gone(crowd)


async def test_T07_a_key_that_is_proved_beside_the_server_passes_the_crowd_that_it_is_amid(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``proxy keys prove``, while they guess from the owner's own address: ``tests/faults/test_guesses.py``."""
    weighed: list[str] = []
    monkeypatch.setattr(key_ring, "matches", lambda key, stored: weighed.append(key) or matches(key, stored))
    monkeypatch.setattr(key_ring, "LOOK_SECONDS", 0.0)
    file = SieveFile(tmp_path, pytest.fail)
    ring = KeyRing(look=file.read, keep=file.keep)
    ring.use(stored=ELSEWHERE)
    crowd = crowd_of(ring, ["127.0.0.1"])
    while len(weighed) < 2:  # noqa: ASYNC110 - a thread weighs
        await asyncio.sleep(0.01)
    assert ring.is_unproved
    file.keep(Sieve.of(KEY, ELSEWHERE))
    owner = asyncio.create_task(ring.judge(KEY, ("127.0.0.1", 1)))
    await asyncio.sleep(0)
    assert not ring.is_unproved
    crowd += crowd_of(ring, ["127.0.0.1"])
    before = len(weighed)
    assert await owner == "right"
    assert len(weighed) - before < 20, "of four thousand"
    await gone(crowd)
    ring.close()


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_guesses_are_counted_by_network(address: str, network: str) -> None:
    assert network_of(address) == network
