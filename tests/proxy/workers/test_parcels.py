from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.config.load import parse
from proxy.dispatch.decision import Recent
from proxy.dispatch.snapshot import Snapshot
from proxy.observe.casebook import Case, Casebook
from proxy.observe.ledger import Ledger
from proxy.observe.usage import Tokens, Used
from proxy.server.connection import Patience
from proxy.workers.messages import Booked, Choice, Decided, Failed, Parcel
from proxy.workers.parcels import Parcels
from tests.proxy.server.conftest import House

CONFIG = parse(b"claude-api-key: [{api-key: sk-one}]\n").config
USED = Used(
    at=time.time(), request_id="r-1", route="/v1/x", operation="generate", status=200, seconds=0.1, key="laptop",
    tokens=Tokens(input_uncached=3, output=4),
)  # fmt: skip
ASIDE = Used(at=time.time(), request_id="r-2", route="/v1/y", operation="", status=404, seconds=0.1)


@pytest.fixture
def snapshot() -> Snapshot:
    return Snapshot.of(CONFIG)


class Owner:
    def __init__(self, snapshot: Snapshot, folder: Path) -> None:
        self.lines: list[bytes] = []
        self.cases: list[Case] = []
        self.recent = Recent()
        self.app = House(CONFIG, Patience(), "127.0.0.1").app
        self.ledger = self.app.ledger = Ledger(folder / "usage.sqlite")
        self.app.cases = _Cases(self.cases)
        self.parcels = Parcels(self.app, write=self.lines.append, recent=self.recent, snapshot=lambda: snapshot)

    def rows(self) -> list[tuple[object, ...]]:
        query = "SELECT request_id, output FROM request"
        return self.ledger.read(lambda found: [tuple(row) for row in found.execute(query).fetchall()])


class _Cases(Casebook):
    def __init__(self, noted: list[Case]) -> None:
        self._noted = noted

    def note(self, case: Case) -> None:
        self._noted.append(case)


@pytest.fixture
def owner(snapshot: Snapshot, tmp_path: Path) -> Iterator[Owner]:
    made = Owner(snapshot, tmp_path)
    yield made
    made.ledger.close()


def figures(owner: Owner) -> dict[str, float]:
    return {
        f"{sample.name} {' '.join(sample.labels.values())}".strip(): sample.value
        for family in owner.app.metrics.families()
        for sample in family.samples
    }


async def test_each_request_is_a_row_and_a_figure_and_each_line_a_line(owner: Owner) -> None:
    owner.parcels.take(Parcel(booked=[Booked(USED), Booked(ASIDE)], lines=b"one\ntwo\n"))
    owner.parcels.take(Parcel(booked=[Booked(USED, "client_limit")]))
    assert owner.lines == [b"one\ntwo\n"]
    assert owner.rows() == [("r-1", 4), ("r-1", 4)], "what asked nothing of a model has no row"
    found = figures(owner)
    assert (found["proxy_requests_total /v1/x 2xx"], found["proxy_requests_total /v1/y 4xx"]) == (2, 1)
    assert found["proxy_key_tokens_total laptop output"] == 8
    assert found["proxy_key_refusals_total laptop client_limit"] == 1
    assert owner.app.limits.spending.used("laptop", "day", time.time()).tokens == 14


async def test_what_was_lost_on_the_way_is_counted(owner: Owner) -> None:
    owner.parcels.take(Parcel(lost=3))
    assert owner.ledger.dropped == 3


async def test_decisions_are_shown_as_the_owners_own(owner: Owner, snapshot: Snapshot) -> None:
    (credential,) = snapshot.credentials
    tired = Choice(credential.id, "claude-x", "cooling: it is", 9.0, is_quota=True)
    gone = Choice("gone", "claude-x", "cooling")
    decided = [
        Decided("r-1", "round-robin", 2.0, Choice(credential.id, "claude-y"), (tired, gone)),
        Decided("r-2", "round-robin", 2.0, gone),
        Decided("r-3", "nobody", 3.0, None),
    ]
    owner.parcels.take(Parcel(decided=decided))
    assert [request_id for request_id, _ in owner.recent] == ["r-1", "r-3"]
    decision = owner.recent[0][1]
    assert decision.chosen is not None
    assert (decision.chosen.provider.name, decision.chosen.key) == ("anthropic", (credential.id, "claude-y"))
    assert [(each.candidate.key, each.why, each.returns_at) for each in decision.passed_over] == [
        ((credential.id, "claude-x"), "cooling: it is", 9.0)
    ]


async def test_what_failed_is_written_down(owner: Owner) -> None:
    case = Case(used=USED, message="it broke", headers={}, query={}, body=b"{}")
    owner.parcels.report(Failed(case=case))
    assert owner.cases == [case]
