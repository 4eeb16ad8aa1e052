from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.dispatch.inquiry import Inquiry, Outcome
from proxy.errors import CredentialError, ProxyError

if TYPE_CHECKING:
    from tests.proxy.server.conftest import House


def every(kind: type[ProxyError]) -> list[type[ProxyError]]:
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in every(child))]


@pytest.mark.parametrize("kind", every(ProxyError), ids=lambda kind: kind.__name__)
async def test_nothing_of_the_tree_escapes(house: House, kind: type[ProxyError]) -> None:
    async def answer(_inquiry: Inquiry) -> Outcome:
        error = kind.__new__(kind)
        ProxyError.__init__(error, "what is wrong", path="a.b", retry_after_seconds=0.2)
        if kind.__name__ == "WrongMethod":
            error.allowed = "GET"  # type: ignore[attr-defined]
        raise error

    house.dispatcher.answer = answer
    got = await house.post("/v1/responses")
    assert got.status == kind.status
    assert (got.error["message"], got.error["param"]) == ("what is wrong", "a.b")
    assert got.headers["Retry-After"] == "1"
    assert got.headers["X-Request-ID"] == "made-1"


async def test_a_fault_of_ours_is_a_500_that_tells_nothing(house: House) -> None:
    async def answer(_inquiry: Inquiry) -> Outcome:
        raise KeyError("a detail")

    house.dispatcher.answer = answer
    got = await house.post("/v1/messages", X_Request_ID="mine")
    assert (got.status, got.error["type"], got.json["request_id"]) == (500, "api_error", "mine")
    assert b"a detail" not in got.body
    assert b"request id mine" in got.body
    failed, finished = house.log()
    assert (failed["event"], failed["request_id"], failed["level"]) == ("request.failed", "mine", "error")
    assert "KeyError: 'a detail'" in str(failed["exception"])
    assert finished["status"] == 500
    assert not house.app.exchanges


async def test_a_fault_in_the_telling_is_told_plainly(house: House) -> None:
    async def answer(_inquiry: Inquiry) -> Outcome:
        raise CredentialError("x")

    def break_down(_name: str) -> object:
        raise LookupError("no such wire")

    house.dispatcher.answer = answer
    house.app.wire = break_down  # type: ignore[assignment]  # it breaks
    got = await house.post("/v1/messages")
    assert got.status == 500
    assert got.error == {
        "message": "something went wrong inside the proxy",
        "type": "server_error",
        "param": None,
        "code": "internal_error",
    }


async def test_recursion_is_the_clients_depth(house: House) -> None:
    async def answer(_inquiry: Inquiry) -> Outcome:
        raise RecursionError

    house.dispatcher.answer = answer
    got = await house.post("/v1/messages")
    assert (got.status, got.error["message"]) == (400, "the body is nested too deeply")


async def test_a_connection_that_breaks_behind_us_is_not_the_clients(house: House) -> None:
    async def answer(_inquiry: Inquiry) -> Outcome:
        raise ConnectionResetError("somebody else's")

    house.dispatcher.answer = answer
    assert (await house.post("/v1/messages")).status == 500
