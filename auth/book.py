"""What is held against each owner (a credential, a provider, an address), by model, until it is proven wrong.

::

    cooling ──time──▶ half-open: one probe ──success──▶ two at once, four … ──▶ forgotten
       ▲                     │                              │
       └────── setback ──────┴──────────────────────────────┘

A transient fault is forgotten with the first success. After a limit the way back is a slow start: as many requests may
be unproven at once as have succeeded, plus one, so that those who waited do not fall upon it all together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from auth.standing import ALL_MODELS, GUESS_SECONDS_MAX, READY, Setback, Standing, State, cooldown_seconds

PROBE_SECONDS_MAX = 30.0
"""A probe that has not come back by then no longer keeps the others waiting."""
PROVEN_MIN = 64
"""So many successes after a limit, and it is forgotten."""
RECOVERY_SECONDS_MAX = 120.0
"""Or so much time after the first of them."""
MODELS_MAX = 256
"""Of one owner with something held against them; names that clients make up must not fill the memory."""
OWNERS_MAX = 20_000

_RANK: dict[State, int] = {"probing": 1, "cooling": 2, "broken": 3}


def _severity(standing: Standing) -> tuple[bool, int, float]:
    """What may be tried as a last resort comes behind what may not."""
    is_firm = not (standing.is_transient or standing.is_remembered)
    return is_firm, _RANK[standing.state], standing.until or 0.0


@dataclass(slots=True, kw_only=True)
class Record:
    """`until`: None for broken. `wave`: the serial number of the last lease that was under way when the present
    cooldown began. `unproven`: requests lent since it ended, by serial number, and when. `proven`: how many of them
    have succeeded.
    """

    until: float | None
    why: str
    is_transient: bool = False
    is_quota: bool = False
    is_refused: bool = False
    step: int = 1
    wave: int = 0
    window: str = ""
    is_remembered: bool = False
    unproven: dict[int, float] = field(default_factory=dict)
    proven: int = 0

    def standing(self, now: float) -> Standing:
        if self.until is None or now < self.until:
            return Standing(
                "broken" if self.until is None else "cooling",
                self.why,
                self.until,
                is_transient=self.is_transient,
                is_remembered=self.is_remembered,
                is_quota=self.is_quota,
                is_refused=self.is_refused,
            )
        under_way = [lent_at for lent_at in self.unproven.values() if now - lent_at < PROBE_SECONDS_MAX]
        if len(under_way) > self.proven:
            return Standing("probing", self.why, min(under_way) + PROBE_SECONDS_MAX, self.is_transient)
        return READY

    def is_over(self, now: float) -> bool:
        """Nothing has been heard against it for long enough after it came back."""
        return bool(self.proven) and self.until is not None and now >= self.until + RECOVERY_SECONDS_MAX

    def end(self, now: float) -> None:
        """Half-open from now on: something fresher shows room."""
        if self.until is not None:
            self.until = min(self.until, now)


class Book:
    """A page that is empty is torn out."""

    __slots__ = ("pages",)

    def __init__(self) -> None:
        self.pages: dict[str, dict[str, Record]] = {}

    def about(self, owner: str, model: str) -> Iterator[Record]:
        """Of the model, and of all of them."""
        page = self.pages.get(owner)
        if page is not None:
            for each in (model, ALL_MODELS):
                record = page.get(each)
                if record is not None:
                    yield record

    def standing(self, owner: str, model: str, now: float) -> Standing:
        """The worst of what is held against it."""
        found = [record.standing(now) for record in self.about(owner, model)]
        return max((each for each in found if each is not READY), key=_severity, default=READY)

    def put(self, owner: str, model: str, record: Record) -> None:
        page = self.pages.setdefault(owner, {})
        page.pop(model, None)
        page[model] = record
        if len(page) > MODELS_MAX:
            del page[next(iter(page))]
        if len(self.pages) > OWNERS_MAX:
            del self.pages[next(iter(self.pages))]

    def lend(self, owner: str, model: str, serial: int, now: float) -> None:
        """A request goes there: where a cooldown has ended, it is one of those that try whether that is true."""
        if owner not in self.pages:
            return
        for record in list(self.about(owner, model)):
            if record.is_over(now):
                self._forget(owner, record)
            elif record.until is not None and now >= record.until:
                record.unproven[serial] = now

    def succeed(self, owner: str, model: str, serial: int, lent_at: float) -> bool:
        """The request has shown that it serves. True: something has changed."""
        if owner not in self.pages:
            return False
        news = [record for record in self.about(owner, model) if record.until is not None and serial > record.wave]
        for record in news:
            record.unproven.pop(serial, None)
            record.proven += 1
            record.step = 0
            record.is_remembered = False
            record.end(lent_at)
            if record.is_transient or record.proven >= PROVEN_MIN:
                self._forget(owner, record)
        return bool(news)

    def give_back(self, owner: str, model: str, serial: int) -> None:
        if owner not in self.pages:
            return
        for record in self.about(owner, model):
            record.unproven.pop(serial, None)

    def note(self, owner: str, setback: Setback, *, serial: int, latest: int, now: float, chance: float) -> Record:
        """`serial`: of the request that failed; `latest`: of the last that was lent. Failures of requests that were
        under way when the cooldown began are the same wave: the upstream's word may prolong it, but it is no further
        step.
        """
        old = self.pages.get(owner, {}).get(setback.model)
        step, wave = 1, latest
        if old is not None:
            if old.until is None and not old.is_remembered:
                return old  # nothing that comes later mends a revoked login
            if serial <= old.wave:
                step, wave = old.step, old.wave
                if setback.seconds is not None and not setback.is_stated:
                    return old
            elif old.until is not None and (now <= old.until + GUESS_SECONDS_MAX or _is_refused_still(old, setback)):
                step = old.step + 1
        new = Record(
            until=None if setback.seconds is None else now + cooldown_seconds(setback, step, chance),
            why=setback.why,
            is_transient=setback.is_transient,
            is_quota=setback.is_quota,
            is_refused=setback.is_refused,
            step=step,
            wave=wave,
            window=setback.window,
        )
        if (
            old is not None
            and not old.is_remembered
            and old.until is not None
            and new.until is not None
            and new.until < old.until
        ):
            new.until, new.why = old.until, old.why  # never shortened
            new.is_transient, new.is_quota, new.window = old.is_transient, old.is_quota, old.window
            new.is_refused = old.is_refused
        self.put(owner, setback.model, new)
        return new

    def wipe(self, owner: str, model: str | None = None) -> bool:
        """Of one model, or all. True: there was something."""
        page = self.pages.get(owner, {})
        found = [each for each in ([*page] if model is None else [model]) if page.pop(each, None) is not None]
        if not page:
            self.pages.pop(owner, None)
        return bool(found)

    def absolve(self, owner: str) -> bool:
        """Of what its token was refused for; limits and the provider's own faults stay. True: there was something."""
        page = self.pages.get(owner, {})
        refusals = [model for model, each in page.items() if each.is_refused]
        for model in refusals:
            del page[model]
        if not page:
            self.pages.pop(owner, None)
        return bool(refusals)

    def retain(self, owners: Collection[str]) -> bool:
        gone = self.pages.keys() - set(owners)
        for each in gone:
            del self.pages[each]
        return bool(gone)

    def _forget(self, owner: str, record: Record) -> None:
        page = self.pages[owner]
        for model in [model for model, each in page.items() if each is record]:
            del page[model]
        if not page:
            del self.pages[owner]


def _is_refused_still(old: Record, setback: Setback) -> bool:
    """Nothing has come of it in between, however long that was."""
    return old.is_refused and setback.is_refused and not old.proven
