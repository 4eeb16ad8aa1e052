"""The management key: how it is kept, and how a guess at it is judged without holding anybody up.

At rest it is a bcrypt hash over its SHA-256, so that long and non-ASCII keys work. A guess takes a quarter of a second
in a thread; a key that proved right is known for a few minutes by a keyed digest. Of those who wait, the one goes first
that was right before, then who has guessed least on this connection, then from this site, then who is on this machine,
then who came last. And since most guesses cannot be right, which `management.sieve` sees at once, few wait: the owner
passes a crowd of guessers. Where nothing is known of the key yet (`is_unproved`), he passes it if it is elsewhere.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import hmac
import ipaddress
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal, TypeAlias

import bcrypt

from management.sieve import Sieve

Judgement: TypeAlias = Literal["right", "wrong", "busy"]
Peer: TypeAlias = tuple[str, int]
"""Address and port of the other end."""

ROUNDS = 12
KNOWN_SECONDS = 300.0
WRONG_SECONDS = 300.0
REMEMBERED_MAX = 1024
HERE = "this machine"
"""The site of who comes directly from it, by whichever of its addresses."""
HERE_FREE = 16
"""Guesses from there that count for none: a person mistypes, and a crowd elsewhere has a fresh address for each."""
LOOK_SECONDS = 0.25
"""Between two looks at whether the key was proved elsewhere."""
WAITING_MAX = 64
KEY_CHARACTERS_MAX = 4096
SHORT_CHARACTERS = 16
"""Since the right key is let in at once, whatever crowd is guessing, a thousand can be tried in a second."""
UNPROVED = (
    "its hash was made elsewhere, and the key was never used here: while many guess, its first use from elsewhere may "
    "have to wait. `proxy keys prove` ends that; so does using it once, or writing the key itself into secret-key"
)
DELAY_SECONDS = 0.5
DELAY_SECONDS_MAX = 4.0
FORGIVEN_SECONDS = 900.0
"""A peer that has not guessed for so long starts anew."""
_OURS = "$2b$"
_OTHERS = ("$2a$", "$2y$")
"""Made by other programs, over the key itself."""


def is_hashed(stored: str) -> bool:
    return len(stored) == 60 and stored.startswith((_OURS, *_OTHERS))


def hashed(key: str, rounds: int = ROUNDS) -> str:
    """Blocks for a quarter of a second."""
    return bcrypt.hashpw(_folded(key), bcrypt.gensalt(rounds)).decode()


def matches(key: str, stored: str) -> bool:
    """Blocks, as `hashed` does."""
    raw = _folded(key) if stored.startswith(_OURS) else key.encode("utf-8", "surrogatepass")[:72]
    try:
        return bcrypt.checkpw(raw, stored.encode())
    except ValueError:  # a hash with a broken salt, or a key with a NUL where there may be none
        return False


@functools.lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What guesses are counted by: of IPv6 whoever has one address has as many as he likes, 64 bits of them."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


def _folded(key: str) -> bytes:
    """Of a key itself bcrypt would read 72 bytes, and stop at a NUL."""
    return base64.b64encode(sha256(key.encode("utf-8", "surrogatepass")).digest())


@dataclass(slots=True, eq=False)
class _Guess:
    key: str
    digest: bytes
    peer: Peer
    site: str
    future: asyncio.Future[Judgement] = field(
        repr=False, default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class _Counts:
    """Guesses, by whoever made them, until one is right; bounded, and forgotten with time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: OrderedDict[object, tuple[int, float]] = OrderedDict()

    def of(self, who: object) -> int:
        count, at = self._counts.get(who, (0, 0.0))
        return count if self._clock() - at < FORGIVEN_SECONDS else 0

    def others(self, who: object, free: int = 1) -> int:
        """Beside one of them. Who has been forgotten, for there were too many, is not taken for less of a guesser than
        a newcomer.
        """
        return max(0, self.of(who) - free)

    def add(self, who: object) -> int:
        count = self.of(who) + 1
        self._counts[who] = (count, self._clock())
        self._counts.move_to_end(who)
        while len(self._counts) > REMEMBERED_MAX:
            self._counts.popitem(last=False)
        return count

    def forget(self, who: object) -> None:
        self._counts.pop(who, None)


class KeyRing:
    """`use` what is configured, at the start and after each reload; then `judge`. Lives on one event loop.

    `look`: what an earlier process has kept, or another one keeps; `keep`: for the next one. Both block, the former
    for no longer than it takes to read a few bytes.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        look: Callable[[], Sieve | None] = lambda: None,
        keep: Callable[[Sieve], object] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._look = look
        self._keep = keep
        self._sieve: Sieve | None = None
        self._looked_at = -math.inf
        self._is_sifting = False
        self._salt = secrets.token_bytes(32)
        self._stored = ""
        self._plain: frozenset[bytes] = frozenset()
        self._known: dict[bytes, float] = {}
        self._wrong: OrderedDict[bytes, float] = OrderedDict()
        self._by_connection = _Counts(clock)
        self._by_site = _Counts(clock)
        self._waiting: list[_Guess] = []
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="management-key")

    @property
    def is_set(self) -> bool:
        return bool(self._stored or self._plain)

    @property
    def is_unproved(self) -> bool:
        """There is a hash, and nothing is known of its key: no guess can be told from it but by weighing."""
        return bool(self._stored) and not self._is_sifting and not self._known

    def use(self, *, stored: str, environment: str = "") -> bool:
        """`stored`: the configured key, plain or hashed; `environment`: one more, plain. Empty: none. Gives whether
        that is news.
        """
        plain = [key for key in (environment, "" if is_hashed(stored) else stored) if key]
        digests = frozenset(self._digest(key) for key in plain)
        kept = stored if is_hashed(stored) else ""
        if (kept, digests) == (self._stored, self._plain):
            return False
        if kept and self._plain - digests:
            # The plain key has become a hash: whoever knows it need not wait for a crowd.
            self._known = dict.fromkeys(self._plain - digests, self._clock() - KNOWN_SECONDS)
        else:
            self._known = {}
        self._wrong.clear()
        self._stored, self._plain = kept, digests
        self._is_sifting, self._looked_at = self._sieve is not None and self._sieve.is_of(kept), -math.inf
        self._learn_of_others()
        return True

    def _learn_of_others(self) -> None:
        """Whether another process has seen the key prove right: not more often than it is worth."""
        if self._is_sifting or not self._stored or self._clock() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = self._clock()
        sieve = self._look()
        if sieve is not None and sieve.is_of(self._stored):
            self._sieve, self._is_sifting = sieve, True

    async def learn(self, key: str, stored: str) -> None:
        """That `stored` is the hash of `key`: what shows of it at once is kept."""
        self._sieve = sieve = Sieve.of(key, stored)
        self._is_sifting = sieve.is_of(self._stored)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._keep, sieve)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def judge(self, key: str, peer: Peer, site: str = "") -> Judgement:
        """`site`: what guesses are counted by; empty: the peer's network. ``busy``: too many guesses wait already.
        Whatever is not right is told late, later each time: so late that nobody sees whether it was weighed.
        """
        began = self._clock()
        if len(key) > KEY_CHARACTERS_MAX:
            key = ""
        digest = self._digest(key)
        site = site or network_of(peer[0])
        judgement, count = self._at_once(key, digest), 0
        if judgement != "right":  # counted before it is weighed: many are made by who does not wait for an answer
            self._by_connection.add(peer)
            count = self._by_site.add(site)
        judgement = judgement or await self._queued(_Guess(key, digest, peer, site))
        if judgement == "right":
            self._by_connection.forget(peer)
            self._by_site.forget(site)
        else:
            delay = min(DELAY_SECONDS_MAX, DELAY_SECONDS * 2.0 ** min(count - 1, 10))
            await asyncio.sleep(max(0.0, began + delay - self._clock()))
        return judgement

    def _digest(self, key: str) -> bytes:
        return hmac.digest(self._salt, key.encode("utf-8", "surrogatepass"), "sha256")

    def _at_once(self, key: str, digest: bytes) -> Judgement | None:
        now = self._clock()
        if any(hmac.compare_digest(digest, each) for each in self._plain):
            return "right"
        if now - self._known.get(digest, -KNOWN_SECONDS) < KNOWN_SECONDS:
            return "right"
        if not self._stored or now - self._wrong.get(digest, -WRONG_SECONDS) < WRONG_SECONDS:
            return "wrong"
        self._learn_of_others()
        if self._is_sifting and self._sieve is not None and not self._sieve.lets_pass(key):
            return "wrong"
        return None

    async def _queued(self, guess: _Guess) -> Judgement:
        self._waiting.append(guess)
        if len(self._waiting) > WAITING_MAX:
            last = max(self._waiting, key=self._rank)
            self._waiting.remove(last)
            if not last.future.done():  # whoever asked may be going just now
                last.future.set_result("busy")
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        try:
            return await guess.future
        finally:
            if guess in self._waiting:  # nobody waits for it any more
                self._waiting.remove(guess)

    def _rank(self, guess: _Guess) -> tuple[bool, int, int, bool]:
        """The least goes first; among equals who came last: he is the least likely to belong to a crowd."""
        return (
            guess.digest not in self._known,
            self._by_connection.others(guess.peer),
            self._by_site.others(guess.site, HERE_FREE if guess.site == HERE else 1),
            guess.site != HERE,
        )

    async def _work(self) -> None:
        while self._waiting:
            guess = min(reversed(self._waiting), key=self._rank)
            self._waiting.remove(guess)
            stored = self._stored
            judgement = self._at_once(guess.key, guess.digest)
            is_news = judgement is None
            if judgement is None:
                judgement = await self._weighed(guess, stored)
            if is_news and judgement == "right" and not self._is_sifting:
                await self.learn(guess.key, stored)
            if not guess.future.done():
                guess.future.set_result(judgement)

    async def _weighed(self, guess: _Guess, stored: str) -> Judgement:
        is_right = await asyncio.get_running_loop().run_in_executor(self._thread, matches, guess.key, stored)
        if stored == self._stored:
            self._note(guess.digest, is_right=is_right)
        return "right" if is_right else "wrong"

    def _note(self, digest: bytes, *, is_right: bool) -> None:
        if is_right:
            self._known = {digest: self._clock()}
            return
        self._wrong[digest] = self._clock()
        while len(self._wrong) > REMEMBERED_MAX:
            self._wrong.popitem(last=False)
