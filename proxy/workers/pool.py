"""A pool that tells other processes what it learns, and takes over what they have learnt.

What is told is how something stands, not what happened: whoever hears it twice, or late, stands no worse. Of two
cooldowns the later end counts. What was said before a setback, that all is well again, does not end it. The choice of
who is next stays with each process, as do the probes of an account that comes back: there are as many as processes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from auth.book import Book, Record
from auth.pool import Lease, Pool
from auth.quota import Window
from auth.standing import ALL_MODELS, Setback, Standing
from proxy.workers.messages import Eased, Held, Holding, Read, Renewed, Served, Wiped

Place = tuple[bool, str, str]
"""Whether it is of what credentials share, whose, and of which model."""
PoolNews = Held | Eased | Read | Served | Wiped | Renewed


SETBACKS_MAX = 20_000
"""Whose times are kept."""


class SharedPool(Pool):
    """`tell`: takes news for the others, at once. Usage windows are told by `readings`, unless one is full."""

    def __init__(self, tell: Callable[[PoolNews], None]) -> None:
        super().__init__()
        self._tell = tell
        self._set_back_at: dict[Place, float] = {}
        self._told_at: dict[str, float] = {}
        self._busy: dict[int, dict[str, int]] = {}
        self._unread: dict[str, tuple[dict[tuple[str, str], Window], float]] = {}

    # what this process learns

    def succeed(self, lease: Lease) -> None:
        if not (self._accounts.pages or self._shared.pages or self._doubtful):
            super().succeed(lease)  # the usual case
            return
        places = [*self._places(lease)]
        before = [self._mark(place) for place in places]
        was_doubtful = lease.key in self._doubtful
        super().succeed(lease)
        for place, mark in zip(places, before, strict=True):
            if self._mark(place) != mark:
                self._ease(place, lease.lent_at, lease.key)
                was_doubtful = False
        if was_doubtful:
            self._ease((False, *lease.key), lease.lent_at, lease.key)

    def fail(self, lease: Lease, setback: Setback, now: float, chance: float = 0.0) -> Standing:
        standing = super().fail(lease, setback, now, chance)
        self._hold((False, lease.key[0], setback.model), lease, now)
        return standing

    def fail_shared(self, lease: Lease, owner: str, setback: Setback, now: float, chance: float = 0.0) -> Standing:
        standing = super().fail_shared(lease, owner, setback, now, chance)
        self._hold((True, owner, setback.model), lease, now)
        return standing

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
        places = [(False, credential_id, model) for model in self._accounts.pages.get(credential_id, ())]
        before = [self._mark(place) for place in places]
        was_tight = self.quotas.is_tight(credential_id)
        super().read(credential_id, windows, now, most=most, lease=lease, asked=asked)
        unread, _ = self._unread.get(credential_id, ({}, most))
        unread.update(((window.slot, window.models), window) for window in windows)
        self._unread[credential_id] = unread, most
        if was_tight != self.quotas.is_tight(credential_id):
            self._tell(self._reading(credential_id))
        for place, mark in zip(places, before, strict=True):
            if self._mark(place) != mark:
                self._ease(place, now)

    def readings(self) -> None:
        """Tells what has been read of windows since the last time."""
        for credential_id in [*self._unread]:
            self._tell(self._reading(credential_id))

    def reset(self, credential_id: str, model: str | None = None) -> None:
        super().reset(credential_id, model)
        self._tell(Wiped(credential=credential_id, model=model))

    def renew(self, credential_id: str) -> None:
        if any(record.is_refused for record in self._accounts.pages.get(credential_id, {}).values()):
            self._tell(Renewed(credential=credential_id))
        super().renew(credential_id)

    def _reading(self, credential_id: str) -> Read:
        windows, most = self._unread.pop(credential_id)
        return Read(credential=credential_id, windows=[*windows.values()], most=most)

    def retain(self, credential_ids: Collection[str]) -> None:
        super().retain(credential_ids)
        ids = set(credential_ids)
        self._told_at = {each: at for each, at in self._told_at.items() if each in ids}
        self._set_back_at = {place: at for place, at in self._set_back_at.items() if place[0] or place[1] in ids}
        self._unread = {each: unread for each, unread in self._unread.items() if each in ids}

    def _hold(self, place: Place, lease: Lease, now: float) -> None:
        self._set_back(place, now)
        record = self._record(place)
        if record is not None:
            is_shared, owner, model = place
            self._tell(
                Held(owner=owner, model=model, holding=_holding(record), key=lease.key, at=now, is_shared=is_shared)
            )

    def _ease(self, place: Place, at: float, key: tuple[str, str] | None = None) -> None:
        is_shared, owner, model = place
        record = self._record(place)
        holding = None if record is None else _holding(record)
        self._tell(Eased(owner=owner, model=model, holding=holding, at=at, key=key, is_shared=is_shared))

    # what the others have learnt

    def hear(self, news: PoolNews) -> None:
        match news:
            case Held():
                self._hear_of_setback(news)
            case Eased():
                self._hear_of_success(news)
            case Read(credential=credential, windows=windows, most=most):
                self.revision += 1
                self.quotas.note(credential, windows, most=most)
            case Served(at=served):
                for credential, at in served.items():
                    self._served_at[credential] = self._told_at[credential] = max(
                        at, self._served_at.get(credential, 0.0)
                    )
            case Wiped(credential=credential, model=model):
                super().reset(credential, model)
            case Renewed(credential=credential):
                super().renew(credential)

    def _hear_of_setback(self, news: Held) -> None:
        place = (news.is_shared, news.owner, news.model)
        self._set_back(place, max(news.at, self._set_back_at.get(place, 0.0)))
        self.revision += 1
        if news.holding.is_transient:
            self._doubtful[news.key] = None
        old = self._record(place)
        if old is None or _is_longer(news.holding, old):
            # What is under way here is of the same wave: it is no further step.
            self._put(place, news.holding, old, wave=self._serial)

    def _hear_of_success(self, news: Eased) -> None:
        place = (news.is_shared, news.owner, news.model)
        if news.at < self._set_back_at.get(place, 0.0):
            return
        self.revision += 1
        if news.key is not None:
            self._doubtful.pop(news.key, None)
        if news.holding is None:
            self._set_back_at.pop(place, None)
            self._book(place).wipe(news.owner, news.model)
            return
        old = self._record(place)
        self._put(place, news.holding, old, wave=self._serial if old is None else old.wave)

    def _put(self, place: Place, holding: Holding, old: Record | None, *, wave: int) -> None:
        record = Record(
            until=holding.until,
            why=holding.why,
            is_transient=holding.is_transient,
            is_quota=holding.is_quota,
            is_refused=holding.is_refused,
            step=holding.step,
            wave=wave,
            window=holding.window,
            is_remembered=holding.is_remembered,
            proven=holding.proven,
        )
        if old is not None:
            record.unproven = old.unproven
        _, owner, model = place
        self._book(place).put(owner, model, record)

    # all of it, for whoever has just begun

    def everything(self) -> Iterator[PoolNews]:
        for is_shared, book in ((False, self._accounts), (True, self._shared)):
            for owner, page in book.pages.items():
                for model, record in page.items():
                    at = self._set_back_at.get((is_shared, owner, model), 0.0)
                    held = _holding(record)
                    key = (owner, model)
                    yield Held(owner=owner, model=model, holding=held, key=key, at=at, is_shared=is_shared)
        windows: dict[str, list[Window]] = {}
        for credential_id, window in self.quotas.all():
            windows.setdefault(credential_id, []).append(window)
        for credential_id, found in windows.items():
            most = 0.0 if self.quotas.is_tight(credential_id) else 1.0  # worth a closer look, or not
            yield Read(credential=credential_id, windows=found, most=most)

    # what is under way

    def in_flight(self, credential_id: str) -> int:
        own = super().in_flight(credential_id)
        return own + sum(others.get(credential_id, 0) for others in self._busy.values()) if self._busy else own

    def busy(self) -> dict[str, int]:
        """In this process."""
        return dict(self._in_flight)

    def hear_busy(self, whose: int, in_flight: dict[str, int]) -> None:
        """In another."""
        self._busy.pop(whose, None)
        if in_flight:
            self._busy[whose] = in_flight

    def served(self) -> dict[str, float]:
        """Who has served since this was asked last, and when."""
        new = {each: at for each, at in self._served_at.items() if self._told_at.get(each) != at}
        self._told_at.update(new)
        return new

    # places

    def _places(self, lease: Lease) -> Iterator[Place]:
        """Where something may be held against an attempt."""
        credential_id, model = lease.key
        for is_shared, owner in ((False, credential_id), *((True, each) for each in lease.shared)):
            if owner in (self._shared if is_shared else self._accounts).pages:
                yield is_shared, owner, model
                yield is_shared, owner, ALL_MODELS

    def _set_back(self, place: Place, at: float) -> None:
        self._set_back_at.pop(place, None)
        self._set_back_at[place] = at
        if len(self._set_back_at) > SETBACKS_MAX:
            del self._set_back_at[next(iter(self._set_back_at))]

    def _book(self, place: Place) -> Book:
        return self._shared if place[0] else self._accounts

    def _record(self, place: Place) -> Record | None:
        _, owner, model = place
        return self._book(place).pages.get(owner, {}).get(model)

    def _mark(self, place: Place) -> tuple[object, ...]:
        """Another one when it stands otherwise."""
        record = self._record(place)
        return () if record is None else (record.until, record.proven, record.step, record.is_remembered)


def _holding(record: Record) -> Holding:
    return Holding(
        until=record.until,
        why=record.why,
        is_transient=record.is_transient,
        is_quota=record.is_quota,
        is_refused=record.is_refused,
        step=record.step,
        window=record.window,
        is_remembered=record.is_remembered,
        proven=record.proven,
    )


def _is_longer(new: Holding, old: Record) -> bool:
    """What is only remembered yields to whatever is known."""
    if old.is_remembered or old.until is None:
        return old.is_remembered
    return new.until is None or new.until >= old.until
