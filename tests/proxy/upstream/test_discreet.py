from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest
from multidict import CIMultiDict

from auth.secret import Secret
from proxy.observe.scrub import Scrubber
from proxy.upstream.base import Answer, Call
from proxy.upstream.discreet import Discreet

KEY = "sk-of-mine-0123456789"


class Echo:
    """Answers with that status, and in two pieces with the key."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.headers: Mapping[str, str] = CIMultiDict({"x-request-id": f"for {KEY}", "retry-after": "7"})
        self.ended: list[str] = []

    async def send(self, _call: Call) -> Answer:
        return self

    async def close(self) -> None:
        self.ended.append("closed")

    async def chunks(self) -> AsyncIterator[bytes]:
        yield f"you sent {KEY[:9]}".encode()
        yield f"{KEY[9:]}, wrongly".encode()

    async def read(self, _bytes_max: int) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])

    async def release(self) -> None:
        self.ended.append("released")

    def abort(self) -> None:
        self.ended.append("aborted")


def discreet(echo: Echo) -> Discreet:
    return Discreet(echo, Scrubber([Secret(KEY)]).data)


@pytest.mark.parametrize("status", [302, 400, 401, 429, 500])
async def test_T18_a_refusal_tells_no_key(status: int) -> None:
    answer = await discreet(Echo(status)).send(Call(method="POST", url="http://x"))
    assert answer.status == status
    assert await answer.read(1000) == "you sent •••, wrongly".encode()
    assert [chunk async for chunk in answer.chunks()] == ["you sent •••, wrongly".encode()]
    assert dict(answer.headers) == {"x-request-id": "for •••", "retry-after": "7"}
    assert answer.headers["Retry-After"] == "7"


async def test_a_good_answer_is_the_same_object() -> None:
    echo = Echo(200)
    assert await discreet(echo).send(Call(method="POST", url="http://x")) is echo


async def test_it_is_ended_as_the_other_one_is() -> None:
    echo = Echo(500)
    upstream = discreet(echo)
    answer = await upstream.send(Call(method="POST", url="http://x"))
    await answer.release()
    answer.abort()
    await upstream.close()
    assert echo.ended == ["released", "aborted", "closed"]
