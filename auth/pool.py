"""Live state per credential and scope: ready · cooling(until, why) · probing · broken(why) · disabled.

::

    ready ──setback──▶ cooling(until) ──time──▶ half-open: one request probes ──success──▶ ready
                          ▲                              │
                          └──────── setback, ×2 ─────────┘
    broken: until a human, or a new login · disabled: by the operator

Pure and clock-injected: no I/O, no time of its own; `now` is monotonic seconds. One `Pool` lives as long as the process
and survives reloads, keyed by credential id. What decides reads `standing`; what acts calls `lend` and then, on the
lease, `succeed` or `fail`, and always `give_back`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from auth.turns import Turns

State: TypeAlias = Literal["ready", "cooling", "probing", "broken", "disabled"]
Key: TypeAlias = tuple[str, str]
"""A credential's id and a model, or `ALL_MODELS`."""
ALL_MODELS = "*"

TRANSIENT_SECONDS_MAX = 60.0
GUESS_SECONDS_MAX = 15 * 60.0
STATED_SECONDS_MAX = 32 * 86400.0
"""Longer than any window there is: what exceeds it is no reset time."""
JITTERED_SECONDS_MIN = 60.0
PROBE_SECONDS_MAX = 30.0
"""A probe that has not come back by then no longer keeps the others waiting."""
MODELS_MAX = 256
"""Of one credential with something held against them; names that clients make up must not fill the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """What an attempt has shown of its credential.

    `seconds`: how long to leave it alone; the upstream's own word where `is_stated`, else a first guess that doubles
    with each repetition. None: not by time, until somebody acts (`broken`). `is_transient`: the provider's fault or
    the network's rather than the account's: such a cooldown is short, and never takes the last one.
    """

    model: str
    """Or `ALL_MODELS`."""
    why: str
    seconds: float | None
    is_stated: bool = False
    is_transient: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a credential stands for one model. `until`: when that ends by itself; None: it does not."""

    state: State
    why: str = ""
    until: float | None = None
    is_transient: bool = False


READY = Standing("ready")
_DISABLED = Standing("disabled", "disabled by the operator")
_RANK: dict[State, int] = {"ready": 0, "probing": 1, "cooling": 2, "broken": 3, "disabled": 4}


@dataclass(slots=True, eq=False)
class Lease:
    """One attempt's use of a credential."""

    key: Key
    lent_at: float
    serial: int
    is_returned: bool = False


@dataclass(slots=True, kw_only=True)
class _Record:
    """What went wrong with one key, until a success wipes it out. `wave`: the serial number of the last lease that was
    under way when the present cooldown began.
    """

    until: float | None
    why: str
    is_transient: bool
    step: int
    wave: int
    probe: Lease | None = None

    def standing(self, now: float) -> Standing:
        if self.until is None:
            return Standing("broken", self.why)
        if now < self.until:
            return Standing("cooling", self.why, self.until, self.is_transient)
        if self.probe is not None and now - self.probe.lent_at < PROBE_SECONDS_MAX:
            return Standing("probing", self.why, self.probe.lent_at + PROBE_SECONDS_MAX, self.is_transient)
        return READY


class _Book:
    """What is held against each owner (a credential, a provider), by model. A page that is empty is torn out."""

    __slots__ = ("pages",)

    def __init__(self) -> None:
        self.pages: dict[str, dict[str, _Record]] = {}

    def about(self, owner: str, model: str) -> Iterator[_Record]:
        """Of the model, and of all of them."""
        page = self.pages.get(owner)
        if page is not None:
            for each in (model, ALL_MODELS):
                record = page.get(each)
                if record is not None:
                    yield record

    def standing(self, owner: str, model: str, now: float) -> Standing:
        """The worst of what is held against it."""
        worst = READY
        for record in self.about(owner, model):
            standing = record.standing(now)
            if (_RANK[standing.state], standing.until or 0.0) > (_RANK[worst.state], worst.until or 0.0):
                worst = standing
        return worst

    def get(self, owner: str, model: str) -> _Record | None:
        return self.pages.get(owner, {}).get(model)

    def put(self, owner: str, model: str, record: _Record) -> None:
        page = self.pages.setdefault(owner, {})
        page.pop(model, None)
        page[model] = record
        if len(page) > MODELS_MAX:
            del page[next(iter(page))]

    def wipe(self, owner: str, model: str, serial: int) -> None:
        """A lease of that number has shown that it is over."""
        page = self.pages.get(owner)
        if page is None:
            return
        for each in (model, ALL_MODELS):
            record = page.get(each)
            if record is not None and record.until is not None and serial > record.wave:
                del page[each]
        if not page:
            del self.pages[owner]


class Pool:
    """The cooldowns, leases and turns of all credentials."""

    def __init__(self) -> None:
        self.turns = Turns()
        self._accounts = _Book()
        self._providers = _Book()
        self._disabled: set[str] = set()
        self._in_flight: dict[str, int] = {}
        self._serial = 0

    # what decides reads

    @property
    def is_calm(self) -> bool:
        """Nothing is held against anybody: the usual case, and the quick one."""
        return not (self._accounts.pages or self._providers.pages or self._disabled)

    def is_clear(self, credential_id: str, provider: str) -> bool:
        """Nothing is held against this one, whatever the model."""
        return not (
            credential_id in self._accounts.pages
            or provider in self._providers.pages
            or credential_id in self._disabled
        )

    def standing(self, key: Key, now: float) -> Standing:
        """The worse of what is known of the whole credential and of this model."""
        return _DISABLED if key[0] in self._disabled else self._accounts.standing(*key, now)

    def overload(self, provider: str, model: str, now: float) -> Standing:
        """Of a provider as a whole: no account's fault, so it only moves its candidates behind others."""
        return self._providers.standing(provider, model, now)

    def in_flight(self, credential_id: str) -> int:
        return self._in_flight.get(credential_id, 0)

    def standings(self, now: float) -> Iterator[tuple[Key, Standing]]:
        """Everything that is not ready, for whoever shows it."""
        for credential_id in sorted(self._disabled):
            yield (credential_id, ALL_MODELS), _DISABLED
        for credential_id, page in self._accounts.pages.items():
            for model, record in page.items():
                standing = record.standing(now)
                if standing is not READY and credential_id not in self._disabled:
                    yield (credential_id, model), standing

    # what acts calls

    def lend(self, key: Key, now: float) -> Lease:
        """Counts as the probe of whatever has just cooled down."""
        self._serial += 1
        lease = Lease(key, now, self._serial)
        self._in_flight[key[0]] = self._in_flight.get(key[0], 0) + 1
        for record in self._accounts.about(*key):
            if record.until is not None and now >= record.until and record.standing(now) is READY:
                record.probe = lease
        return lease

    def succeed(self, lease: Lease, provider: str = "") -> None:
        """Content came: whatever was held against the credential before this attempt began is over."""
        self._accounts.wipe(*lease.key, lease.serial)
        self._providers.wipe(provider, lease.key[1], lease.serial)

    def fail(self, lease: Lease, setback: Setback, now: float, chance: float = 0.0) -> Standing:
        """`chance`: a number in [0, 1) for jitter. Failures of attempts that were under way when the cooldown began
        are the same wave: they may prolong it by the upstream's word, and are no further step.
        """
        return self._note(self._accounts, lease.key[0], lease, setback, now, chance).standing(now)

    def fail_provider(self, lease: Lease, provider: str, setback: Setback, now: float, chance: float = 0.0) -> Standing:
        return self._note(self._providers, provider, lease, setback, now, chance).standing(now)

    def _note(self, book: _Book, owner: str, lease: Lease, setback: Setback, now: float, chance: float) -> _Record:
        old = book.get(owner, setback.model)
        step, wave = 1, self._serial
        if old is not None:
            if old.until is None:
                return old  # nothing that comes later mends a revoked login
            if lease.serial <= old.wave:
                step, wave = old.step, old.wave
                if setback.seconds is not None and not setback.is_stated:
                    return old
            elif now <= old.until + GUESS_SECONDS_MAX:
                step = old.step + 1
        new = _Record(
            until=None if setback.seconds is None else now + cooldown_seconds(setback, step, chance),
            why=setback.why,
            is_transient=setback.is_transient,
            step=step,
            wave=wave,
        )
        if old is not None and old.until is not None and new.until is not None and new.until < old.until:
            new.until, new.why, new.is_transient = old.until, old.why, old.is_transient  # never shortened
        book.put(owner, setback.model, new)
        return new

    def give_back(self, lease: Lease) -> None:
        """At the end of the attempt, however it ended. May be called again."""
        if lease.is_returned:
            return
        lease.is_returned = True
        left = self._in_flight.get(lease.key[0], 0) - 1
        if left > 0:
            self._in_flight[lease.key[0]] = left
        else:
            self._in_flight.pop(lease.key[0], None)
        for record in self._accounts.about(*lease.key):
            if record.probe is lease:
                record.probe = None

    # what an operator or a reload calls

    def disable(self, credential_id: str) -> None:
        self._disabled.add(credential_id)

    def enable(self, credential_id: str) -> None:
        self._disabled.discard(credential_id)

    def reset(self, credential_id: str, model: str | None = None) -> None:
        """Whatever is held against it is over: the operator says so, or a fresher reading, or a new login."""
        page = self._accounts.pages.get(credential_id, {})
        for each in list(page) if model is None else [model]:
            page.pop(each, None)
        if not page:
            self._accounts.pages.pop(credential_id, None)

    def retain(self, credential_ids: Collection[str]) -> None:
        """After a reload: the state of credentials that are gone is forgotten."""
        for gone in self._accounts.pages.keys() - set(credential_ids):
            del self._accounts.pages[gone]
        self._disabled.intersection_update(credential_ids)


def cooldown_seconds(setback: Setback, step: int, chance: float) -> float:
    """A stated time of a minute or more gets up to 5 % more (30 s at most), so that not all come back in the same
    instant; what is told in seconds is obeyed to the second. A guess doubles with each step up to its limit, half of it
    by chance.
    """
    assert setback.seconds is not None
    if setback.is_stated:
        stated = min(setback.seconds, STATED_SECONDS_MAX)
        return stated + (min(30.0, stated * 0.05) * chance if stated >= JITTERED_SECONDS_MIN else 0.0)
    limit = TRANSIENT_SECONDS_MAX if setback.is_transient else GUESS_SECONDS_MAX
    guess: float = setback.seconds * 2.0 ** min(step - 1, 20)
    return min(limit, guess) * (0.5 + chance / 2)
