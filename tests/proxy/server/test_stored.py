from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from proxy.dispatch.inquiry import Inquiry, Outcome, Refused, Report, Tie
from proxy.hub.events import Failure

if TYPE_CHECKING:
    from tests.proxy.server.conftest import House, Open

KEY, OTHER = "sk-a-long-random-word-1", "sk-a-long-random-word-2"
TOLD: dict[str, Any] = {"id": "resp_1", "object": "response", "status": "completed", "output": []}


class Provider:
    """Stores what it is asked in its own format (`is_relay`)."""

    def __init__(self, house: House, *, is_relay: bool) -> None:
        self.is_relay = is_relay
        self.has_it = True
        house.dispatcher.answer = self.answer

    async def answer(self, inquiry: Inquiry) -> Outcome:
        report = Report(
            request_id=inquiry.request_id, model_asked=inquiry.model, is_relay=self.is_relay, credential="key-1"
        )
        if not self.has_it:
            raise Refused(Failure(kind="not_found", status=404, message="gone"), report)

        async def body() -> AsyncIterator[bytes]:
            deleted = {"id": "resp_1", "object": "response", "deleted": True, "by": "the provider"}
            yield msgspec.json.encode(deleted if inquiry.operation == "delete" else TOLD)

        return Outcome(status=200, headers=(("content-type", "application/json"),), body=body(), report=report)


async def create(house: House, key: str = "absent", **fields: Any) -> None:
    assert (await house.post("/v1/responses", {"model": "big", "input": "x", **fields}, x_api_key=key)).status == 200


async def test_what_is_kept_here_is_given_here(house: House) -> None:
    Provider(house, is_relay=False)
    await create(house)
    answer = await house.get("/v1/responses/resp_1")
    assert (answer.status, answer.json) == (200, TOLD)
    assert answer.headers["Content-Type"] == "application/json"
    assert len(house.dispatcher.inquiries) == 1
    assert house.log()[-1]["route"] == "/v1/responses/{id}"


async def test_deleted_it_is_gone(house: House) -> None:
    Provider(house, is_relay=False)
    await create(house)
    deleted = await house.ask("DELETE", "/v1/responses/resp_1", None)
    assert (deleted.status, deleted.json) == (200, {"id": "resp_1", "object": "response", "deleted": True})
    gone = await house.get("/v1/responses/resp_1")
    assert (gone.status, gone.error["code"], gone.dialect) == (404, "response_not_found", "openai")
    assert (await house.ask("DELETE", "/v1/responses/resp_1", None)).status == 404


async def test_what_the_provider_stores_is_asked_of_the_account_that_has_it(house: House) -> None:
    Provider(house, is_relay=True)
    await create(house)
    assert (await house.get("/v1/responses/resp_1?key=secret&include=x")).json == TOLD
    inquiry = house.dispatcher.inquiries[-1]
    assert (inquiry.operation, inquiry.resource, inquiry.model, inquiry.body) == ("retrieve", "resp_1", "big", b"")
    assert inquiry.tie == Tie("key-1", is_hard=True)
    assert dict(inquiry.query) == {"include": "x"}
    deleted = await house.ask("DELETE", "/v1/responses/resp_1", None)
    assert deleted.json["by"] == "the provider"
    assert (await house.get("/v1/responses/resp_1")).status == 404


async def test_a_provider_that_has_forgotten_it_says_so(house: House) -> None:
    provider = Provider(house, is_relay=True)
    await create(house)
    provider.has_it = False
    answer = await house.get("/v1/responses/resp_1")
    assert (answer.status, answer.error["message"]) == (404, "gone")


async def test_what_was_not_to_be_stored_is_not(house: House) -> None:
    Provider(house, is_relay=False)
    await create(house, store=False)
    assert (await house.get("/v1/responses/resp_1")).status == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_T21_another_key_finds_nothing(open_house: Open, method: str) -> None:
    house = await open_house(keys=[KEY, OTHER])
    Provider(house, is_relay=False)
    await create(house, KEY)
    assert (await house.ask(method, "/v1/responses/resp_1", None, x_api_key=OTHER)).status == 404
    assert (await house.ask(method, "/v1/responses/resp_1", None)).status == 401
    assert (await house.ask(method, "/v1/responses/resp_1", None, x_api_key=KEY)).status == 200


async def test_it_is_given_whole_only(house: House) -> None:
    Provider(house, is_relay=False)
    await create(house)
    answer = await house.get("/v1/responses/resp_1?stream=true")
    assert (answer.status, answer.error["param"]) == (400, "stream")


async def test_head_is_answered_as_get_without_its_body(house: House) -> None:
    Provider(house, is_relay=False)
    await create(house)
    answer = await house.ask("HEAD", "/v1/responses/resp_1", None)
    assert (answer.status, answer.body) == (200, b"")
