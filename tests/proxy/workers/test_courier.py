from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec

from proxy.dispatch.decision import Decision, PassedOver, Recent
from proxy.observe.casebook import Case
from proxy.observe.usage import Used
from proxy.workers.courier import BOOKED_MAX, CASES_MAX, DECIDED_MAX, Courier, CourierCases, CourierMetrics
from proxy.workers.messages import Busy, Failed, FromFollower, Message, Parcel, Served
from proxy.workers.pool import SharedPool
from tests.pace import SECONDS_MAX
from tests.proxy.workers.test_memory import candidate

USED = Used(at=1.0, request_id="r", route="/v1/x", operation="generate", status=200, seconds=0.1)


@dataclass
class Stage:
    said: list[Message] = field(default_factory=list)
    is_full: bool = False

    def __post_init__(self) -> None:
        self.heard = asyncio.Event()
        self.pool = SharedPool(self.said.append)
        self.recent = Recent()
        self.count = 0
        self.courier = Courier(self.tell, is_full=lambda: self.is_full, is_terminal=False, pool=self.pool)
        self.courier.follow(self.recent, lambda: self.count)

    def tell(self, message: Message) -> None:
        """As it goes over the link."""
        self.said.append(msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=FromFollower))
        self.heard.set()

    @property
    def parcels(self) -> list[Parcel]:
        return [each for each in self.said if isinstance(each, Parcel)]


async def test_requests_and_lines_are_gathered_and_leave_by_themselves() -> None:
    stage = Stage()
    metrics = CourierMetrics(stage.courier, version="1")
    stage.courier.write(b"one\n")
    for _ in range(3):
        metrics.request_finished(USED)
    stage.courier.write(b"two\n")
    metrics.request_finished(USED, limit="client_limit")
    assert stage.said == []
    async with asyncio.timeout(SECONDS_MAX):
        await stage.heard.wait()
    (parcel,) = stage.parcels
    assert [(each.used, each.limit) for each in parcel.booked] == [*[(USED, None)] * 3, (USED, "client_limit")]
    assert parcel.lines == b"one\ntwo\n"


async def test_many_leave_at_once() -> None:
    stage = Stage()
    for _ in range(BOOKED_MAX * 2 + 1):
        stage.courier.book(USED, None)
    assert [len(each.booked) for each in stage.parcels] == [BOOKED_MAX, BOOKED_MAX]
    stage.courier.send()
    assert sum(len(each.booked) for each in stage.parcels) == BOOKED_MAX * 2 + 1
    stage.courier.send()
    assert len(stage.parcels) == 3, "nothing is no parcel"


async def test_what_is_in_flight_is_told_when_it_changes() -> None:
    stage = Stage()
    for stage.count in (0, 2, 2, 0):
        stage.courier.send()
    assert [each.in_flight for each in stage.parcels] == [2, 0]


async def test_who_does_not_listen_is_told_how_many_are_lost() -> None:
    stage = Stage(is_full=True)
    stage.courier.book(USED, None)
    stage.courier.send_all()
    stage.is_full = False
    stage.courier.send()
    assert [(each.booked, each.lost) for each in stage.parcels] == [([], 1)]


async def test_the_last_decisions_go_along_each_once() -> None:
    stage = Stage()
    chosen, other = candidate("a"), candidate("b")
    tired = PassedOver(candidate=other, why="cooling: it is", returns_at=9.0, is_quota=True)
    for number in range(DECIDED_MAX + 5):
        stage.recent.append((str(number), Decision(chosen=chosen, rule="round-robin", passed_over=(tired,), now=2.0)))
        stage.courier.book(USED, None)
    stage.courier.send()
    stage.recent.append(("last", Decision(chosen=None, rule="nobody", now=3.0)))
    stage.courier.book(USED, None)
    stage.courier.send()
    first, second = (each.decided for each in stage.parcels)
    assert [each.request_id for each in first] == [str(number) for number in range(5, DECIDED_MAX + 5)]
    assert first[0].chosen is not None
    assert (first[0].chosen.credential, first[0].chosen.model, first[0].rule) == ("a", "m", "round-robin")
    assert [(each.credential, each.why, each.returns_at, each.is_quota) for each in first[0].passed_over] == [
        ("b", "cooling: it is", 9.0, True)
    ]
    assert [(each.request_id, each.chosen) for each in second] == [("last", None)]


async def test_of_decisions_that_name_very_many_only_some_go_along() -> None:
    stage = Stage()
    tired = tuple(PassedOver(candidate=candidate(str(number)), why="cooling") for number in range(1500))
    for number in range(3):
        stage.recent.append((str(number), Decision(chosen=None, rule="nobody", passed_over=tired, now=1.0)))
    stage.courier.book(USED, None)
    stage.courier.send()
    assert [each.request_id for each in stage.parcels[0].decided] == ["2"]


async def test_what_failed_is_reported_a_few_times_a_second() -> None:
    stage = Stage()
    cases = CourierCases(stage.courier)
    case = Case(used=USED, message="it broke", headers={"a": "b"}, query={}, body=b"{}")
    for _ in range(CASES_MAX + 5):
        cases.note(case)
    assert [each.case for each in stage.said if isinstance(each, Failed)] == [case] * CASES_MAX
    stage.courier.send_all()
    cases.note(case)
    assert len([each for each in stage.said if isinstance(each, Failed)]) == CASES_MAX + 1


async def test_what_is_under_way_is_told_now_and_then() -> None:
    stage = Stage()
    lease = stage.pool.lend(("a", "m"), 7.0)
    for _ in range(2):
        stage.courier.send_all()
    stage.pool.give_back(lease)
    stage.courier.send_all()
    assert [each.in_flight for each in stage.said if isinstance(each, Busy)] == [{"a": 1}, {}]


async def test_who_has_served_is_told_now_and_then() -> None:
    stage = Stage()
    stage.pool.succeed(stage.pool.lend(("a", "m"), 7.0))
    stage.courier.send_all()
    stage.courier.send_all()
    assert [each.at for each in stage.said if isinstance(each, Served)] == [{"a": 7.0}]
