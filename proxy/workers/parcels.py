"""What followers say of requests that are over, as the owner puts it into the books: each request once."""

from __future__ import annotations

from collections.abc import Callable

from proxy.dispatch.decision import Candidate, Decision, PassedOver, Recent
from proxy.dispatch.snapshot import Snapshot
from proxy.server.access import Client
from proxy.server.app import App
from proxy.server.limits import Caller
from proxy.workers.messages import Choice, Decided, Failed, Parcel

CALLERS_MAX = 4096


class Parcels:
    """`write`: takes lines of the log as they are. `recent`: the decisions."""

    def __init__(
        self, app: App, *, write: Callable[[bytes], object], recent: Recent, snapshot: Callable[[], Snapshot]
    ) -> None:
        self._app = app
        self._write = write
        self._recent = recent
        self._snapshot = snapshot
        self._callers: dict[str, Caller] = {}
        self._known: Snapshot | None = None
        self._candidates: dict[tuple[str, str], Candidate] = {}

    def take(self, parcel: Parcel) -> None:
        app = self._app
        if parcel.lines:
            self._write(parcel.lines)
        app.books.enter([(each.used, each.limit) for each in parcel.booked])
        for each in parcel.booked:
            if each.used.operation:
                app.limits.count(self._caller(each.used.key), each.used)
        if app.ledger is not None and app.edition().config.usage_statistics_enabled:
            app.ledger.dropped += parcel.lost
        for decided in parcel.decided:
            decision = self._decision(decided)
            if decision is not None:
                self._recent.append((decided.request_id, decision))

    def _caller(self, name: str) -> Caller:
        """Whom nothing limits now, but something may one day."""
        if name not in self._callers:
            if len(self._callers) >= CALLERS_MAX:
                self._callers.clear()
            self._callers[name] = Caller(client=Client(name=name))
        return self._callers[name]

    def report(self, failed: Failed) -> None:
        if self._app.cases is not None:
            self._app.cases.note(failed.case)

    def _decision(self, decided: Decided) -> Decision | None:
        """None: it is of accounts that are gone."""
        chosen = None if decided.chosen is None else self._candidate(decided.chosen)
        if chosen is None and decided.chosen is not None:
            return None
        passed_over = tuple(
            PassedOver(
                candidate=candidate,
                why=each.why,
                returns_at=each.returns_at,
                is_transient=each.is_transient,
                is_quota=each.is_quota,
                is_refused=each.is_refused,
                is_busy=each.is_busy,
            )
            for each in decided.passed_over
            if (candidate := self._candidate(each)) is not None
        )
        return Decision(chosen=chosen, rule=decided.rule, passed_over=passed_over, now=decided.now)

    def _candidate(self, choice: Choice) -> Candidate | None:
        snapshot = self._snapshot()
        if snapshot is not self._known:
            self._known, self._candidates = snapshot, {}
        key = (choice.credential, choice.model)
        if key not in self._candidates:
            credential = next((each for each in snapshot.credentials if each.id == choice.credential), None)
            if credential is None:
                return None
            provider = next(each for each in snapshot.providers if each.name == credential.provider)
            self._candidates[key] = Candidate(provider, credential, choice.model)
        return self._candidates[key]
