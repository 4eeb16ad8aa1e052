"""Live state per credential and scope: ready · cooling(until, why) · probing · broken(why) · disabled.

::

    ready ──setback──▶ cooling(until) ──time──▶ half-open: one request probes ──success──▶ slow start ──▶ ready
                          ▲                              │
                          └──────── setback, ×2 ─────────┘
    broken: until a human, or a new login · disabled: by the operator

Pure and clock-injected: no I/O, no time of its own; `now` is monotonic seconds. One `Pool` lives as long as the process
and survives reloads, keyed by credential id; what must survive a restart goes through `cooldowns`, `remember` and
`quotas` (`auth.memory`). What decides reads `standing`; what acts calls `lend` and then, on the lease, `succeed` or
`fail`, and always `give_back`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from auth.book import Book, Record
from auth.quota import Quotas, Window
from auth.standing import ALL_MODELS, DISABLED, READY, UNNAMED, Key, Setback, Standing
from auth.turns import Turns

DOUBTFUL_MAX = 20_000


@dataclass(slots=True, eq=False)
class Lease:
    """One attempt's use of a credential, and of what that shares with others."""

    key: Key
    lent_at: float
    serial: int
    shared: tuple[str, ...] = ()
    is_returned: bool = False


class Pool:
    """The cooldowns, leases, turns and usage windows of all credentials. `revision` changes with whatever is worth
    remembering.
    """

    def __init__(self) -> None:
        self.turns = Turns()
        self.quotas = Quotas()
        self.revision = 0
        self._accounts = Book()
        self._shared = Book()
        self._disabled: set[str] = set()
        self._in_flight: dict[str, int] = {}
        self._full: set[str] = set()
        self._served_at: dict[str, float] = {}
        self._doubtful: dict[Key, None] = {}
        self._serial = 0

    # what decides reads

    @property
    def is_calm(self) -> bool:
        """Nothing is held against anybody: the usual case, and the quick one."""
        return not (self._accounts.pages or self._shared.pages or self._disabled or self._full or self.quotas.has_tight)

    def is_clear(self, credential_id: str, shared: Iterable[str]) -> bool:
        """Nothing is held against this one, nor against what it shares with others, whatever the model."""
        return not (
            credential_id in self._accounts.pages
            or credential_id in self._disabled
            or credential_id in self._full
            or self.quotas.is_tight(credential_id)
        ) and self._shared.pages.keys().isdisjoint(shared)

    def standing(self, key: Key, now: float) -> Standing:
        """The worse of what is known of the whole credential and of this model."""
        return DISABLED if key[0] in self._disabled else self._accounts.standing(*key, now)

    def overload(self, shared: Iterable[str], model: str, now: float) -> Standing:
        """Of a provider as a whole, or of its address: no account's fault, so it only moves its candidates behind
        others.
        """
        found = (self._shared.standing(owner, model, now) for owner in shared)
        return next((standing for standing in found if standing is not READY), READY)

    def is_doubtful(self, key: Key, address: str, now: float) -> bool:
        """It has failed, for no fault of the account's, and not served since; or nobody is reached where it is."""
        return key in self._doubtful or self._shared.standing(address, key[1], now) is not READY

    def in_flight(self, credential_id: str) -> int:
        return self._in_flight.get(credential_id, 0)

    def served_at(self, credential_id: str) -> float | None:
        """When it last served."""
        return self._served_at.get(credential_id)

    def standings(self, now: float) -> Iterator[tuple[Key, Standing]]:
        """Everything that is not ready, for whoever shows it."""
        for credential_id in sorted(self._disabled):
            yield (credential_id, ALL_MODELS), DISABLED
        for credential_id, page in self._accounts.pages.items():
            for model, record in page.items():
                standing = record.standing(now)
                if standing is not READY and credential_id not in self._disabled:
                    yield (credential_id, model), standing

    def refused(self) -> set[str]:
        """Whose key or login was refused, was again when it was asked later, and has not served since."""
        records = ((credential_id, page.get(ALL_MODELS)) for credential_id, page in self._accounts.pages.items())
        return {each for each, record in records if record and record.is_refused and record.step > 1 > record.proven}

    # what acts calls

    def lend(self, key: Key, now: float, *, at_most: int = 0, shared: tuple[str, ...] = ()) -> Lease:
        """Counts as the probe of whatever has just cooled down. `at_most`: so many requests the credential may have
        under way; 0: any number. `shared`: what it has in common with other credentials, and may fail as a whole: its
        provider, its address.
        """
        self._serial += 1
        lease = Lease(key, now, self._serial, shared)
        count = self._in_flight[key[0]] = self._in_flight.get(key[0], 0) + 1
        if at_most and count >= at_most:
            self._full.add(key[0])
        self._accounts.lend(*key, lease.serial, now)
        if self._shared.pages:
            for owner in shared:
                self._shared.lend(owner, key[1], lease.serial, now)
        return lease

    def succeed(self, lease: Lease) -> None:
        """Content came: whatever was held against the credential before this attempt began is over."""
        self._served_at[lease.key[0]] = lease.lent_at
        self._doubtful.pop(lease.key, None)
        if self._accounts.succeed(*lease.key, lease.serial, lease.lent_at):
            self.revision += 1
        if not self._shared.pages:
            return
        for owner in lease.shared:
            self._shared.succeed(owner, lease.key[1], lease.serial, lease.lent_at)

    def fail(self, lease: Lease, setback: Setback, now: float, chance: float = 0.0) -> Standing:
        """`chance`: a number in [0, 1) for jitter. Failures of attempts that were under way when the cooldown began
        are the same wave: they may prolong it by the upstream's word, and are no further step.
        """
        self.revision += 1
        return self._note(self._accounts, lease.key[0], lease, setback, now, chance)

    def fail_shared(self, lease: Lease, owner: str, setback: Setback, now: float, chance: float = 0.0) -> Standing:
        """Of what the credential shares with others: no fault of its own."""
        return self._note(self._shared, owner, lease, setback, now, chance)

    def _note(self, book: Book, owner: str, lease: Lease, setback: Setback, now: float, chance: float) -> Standing:
        if setback.is_transient:
            self._doubtful[lease.key] = None
            if len(self._doubtful) > DOUBTFUL_MAX:
                del self._doubtful[next(iter(self._doubtful))]
        record = book.note(owner, setback, serial=lease.serial, latest=self._serial, now=now, chance=chance)
        return record.standing(now)

    def read(
        self,
        credential_id: str,
        windows: Collection[Window],
        now: float,
        *,
        most: float = 1.0,
        lease: Lease | None = None,
        asked: int = 0,
    ) -> None:
        """What an answer told of the credential's windows; `lease`: to whose request; `asked`: what `mark` gave when it
        was asked for; neither: it was asked for now. A window that has room ends the cooldown that it was the reason
        of, unless that is the younger of the two. `most`: the share of a window that may be used.
        """
        self.revision += 1
        self.quotas.note(credential_id, windows, most=most)
        has_room = {window.slot: not window.is_full for window in windows}
        serial = asked or self._serial + 1 if lease is None else lease.serial
        for record in self._accounts.pages.get(credential_id, {}).values():
            is_answered = has_room.get(record.window, False)
            if record.window == UNNAMED:
                is_answered = bool(has_room) and all(has_room.values())
            if is_answered and serial > record.wave:
                record.end(now)

    def mark(self) -> int:
        """Of a moment, for `read`: what begins later is younger."""
        self._serial += 1
        return self._serial

    def give_back(self, lease: Lease) -> None:
        """At the end of the attempt, however it ended. May be called again."""
        if lease.is_returned:
            return
        lease.is_returned = True
        credential_id = lease.key[0]
        self._full.discard(credential_id)
        left = self._in_flight.get(credential_id, 0) - 1
        if left > 0:
            self._in_flight[credential_id] = left
        else:
            self._in_flight.pop(credential_id, None)
        self._accounts.give_back(*lease.key, lease.serial)
        if self._shared.pages:
            for owner in lease.shared:
                self._shared.give_back(owner, lease.key[1], lease.serial)

    # what an operator, a reload or a restart calls

    def disable(self, credential_id: str) -> None:
        self._disabled.add(credential_id)

    def enable(self, credential_id: str) -> None:
        self._disabled.discard(credential_id)

    def reset(self, credential_id: str, model: str | None = None) -> None:
        """Whatever is held against it is over: the operator says so, or a new login."""
        if self._accounts.wipe(credential_id, model):
            self.revision += 1
        self._doubtful = {key: None for key in self._doubtful if key[0] != credential_id}
        if model is None:
            self.quotas.forget(credential_id)

    def renew(self, credential_id: str) -> None:
        """It has another token: what was held against the one before is over, but no limit of the account is."""
        if self._accounts.absolve(credential_id):
            self.revision += 1

    def retain(self, credential_ids: Collection[str]) -> None:
        """After a reload: the state of credentials that are gone is forgotten."""
        if self._accounts.retain(credential_ids):
            self.revision += 1
        self.quotas.retain(credential_ids)
        self._disabled.intersection_update(credential_ids)
        for gone in self._served_at.keys() - set(credential_ids):
            del self._served_at[gone]
        self._doubtful = {key: None for key in self._doubtful if key[0] in credential_ids}

    def cooldowns(self) -> Iterator[tuple[Key, Record]]:
        """What is held against credentials, to be written down."""
        for credential_id, page in self._accounts.pages.items():
            for model, record in page.items():
                yield (credential_id, model), record

    def remember(self, cooldowns: Iterable[tuple[Key, Record]]) -> None:
        """From before a restart: hypotheses, of which nobody knows how much is still true."""
        for (credential_id, model), record in cooldowns:
            record.is_remembered = True
            self._accounts.put(credential_id, model, record)
