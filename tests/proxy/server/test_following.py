"""Conversations over HTTP: what is kept here, what is asked of the provider that keeps it, and for whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from proxy.dispatch.inquiry import Inquiry, Outcome, Refused, Report, Tie
from proxy.hub.events import Failure
from proxy.server.following import concerns

if TYPE_CHECKING:
    from tests.proxy.server.conftest import Answer, House, Open

KEY, OTHER = "sk-a-long-random-word-1", "sk-a-long-random-word-2"
SAID = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}


class Provider:
    """Answers as one does, whole or streamed. `report`: who did."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.is_relay = False
        self.credential = "key-1"
        self.refuses: Failure | None = None
        self.is_cut = False
        self._count = 0
        house.dispatcher.answer = self.answer

    async def answer(self, inquiry: Inquiry) -> Outcome:
        report = Report(
            request_id=inquiry.request_id, model_asked=inquiry.model, is_relay=self.is_relay, credential=self.credential
        )
        if self.refuses is not None and inquiry.tie is not None and inquiry.tie.is_hard:
            raise Refused(self.refuses, report)
        self._count += 1
        return Outcome(status=200, headers=(), body=self._told(inquiry, f"resp_{self._count}"), report=report)

    async def _told(self, inquiry: Inquiry, name: str) -> AsyncIterator[bytes]:
        response: dict[str, Any] = {"id": name, "object": "response", "status": "completed", "output": [SAID]}
        if not inquiry.is_stream:
            data = msgspec.json.encode(response)
            yield data[:20]
            yield data[20:]
            return
        for kind in ("response.created", "response.completed")[: 1 if self.is_cut else 2]:
            yield b"data: " + msgspec.json.encode({"type": kind, "response": response}) + b"\n\n"

    def sent(self, index: int = -1) -> Any:
        return msgspec.json.decode(self.house.dispatcher.inquiries[index].body)


@pytest.fixture
def provider(house: House) -> Provider:
    return Provider(house)


async def ask(house: House, key: str = "absent", path: str = "/v1/responses", **fields: Any) -> Answer:
    return await house.post(path, {"model": "big", **fields}, x_api_key=key)


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_conversation_goes_on_before_providers_that_store_nothing(
    house: House, provider: Provider, is_stream: bool
) -> None:
    await ask(house, input="one", stream=is_stream)
    await ask(house, input="two", stream=is_stream, previous_response_id="resp_1")
    await ask(house, input="three", stream=is_stream, previous_response_id="resp_2")
    assert [item.get("content") for item in provider.sent()["input"]][::2] == ["one", "two", "three"]
    assert provider.sent()["input"][1] == SAID
    assert "previous_response_id" not in provider.sent()


@pytest.mark.usefixtures("provider")
async def test_bytes_are_touched_only_where_a_conversation_is_put_in(house: House) -> None:
    first = b'{ "model":"big", "input" : "x","previous_response_id":null, "n": 1.0 }'
    await house.post("/v1/responses", first)
    assert house.dispatcher.inquiries[-1].body == first
    unknown = b'{ "model":"big", "input" : "x","previous_response_id":"resp_unheard", "n": 1.0 }'
    await house.post("/v1/responses", unknown)
    assert house.dispatcher.inquiries[-1].body == unknown, "its provider may have heard of it"
    await house.post("/v1/responses", b'{"model":"big","previous_response_id":"resp_1","n": 1.0,"input":[ {"a": 1.0}]}')
    assert house.dispatcher.inquiries[-1].body.startswith(b'{"model":"big","n":1.0,"input":[')
    assert house.dispatcher.inquiries[-1].body.endswith(b',{"a": 1.0}]}')


async def test_items_that_are_only_named_are_put_in(house: House, provider: Provider) -> None:
    await ask(house, input="one")
    reference = {"type": "item_reference", "id": "msg_1"}
    await ask(house, input=[{"role": "user", "content": "one"}, reference, {"role": "user", "content": "two"}])
    assert provider.sent()["input"][1] == SAID
    await ask(house, input=[{"type": "item_reference", "id": "msg_unheard"}])
    assert provider.sent()["input"] == [{"type": "item_reference", "id": "msg_unheard"}]


async def test_what_the_client_wants_stored_nowhere_is_stored_nowhere(house: House, provider: Provider) -> None:
    await ask(house, input="one", store=False)
    assert len(house.app.archive) == 0
    await ask(house, input="two", previous_response_id="resp_1")
    assert provider.sent()["previous_response_id"] == "resp_1"


async def test_but_it_may_go_on_from_what_is_stored(house: House, provider: Provider) -> None:
    await ask(house, input="one")
    await ask(house, input="two", previous_response_id="resp_1", store=False)
    assert len(provider.sent()["input"]) == 3
    assert len(house.app.archive) == 1


@pytest.mark.parametrize("operation", ["compact", "input_tokens"])
async def test_other_operations_go_on_from_it_too_and_leave_nothing(
    house: House, provider: Provider, operation: str
) -> None:
    await ask(house, input="one")
    await ask(house, path=f"/v1/responses/{operation}", previous_response_id="resp_1")
    assert len(provider.sent()["input"]) == 2
    assert len(house.app.archive) == 1


async def test_T21_another_key_knows_nothing_of_it(open_house: Open) -> None:
    house = await open_house(keys=[KEY, OTHER])
    provider = Provider(house)
    await ask(house, KEY, input="secret")
    await ask(house, OTHER, input="x", previous_response_id="resp_1")
    assert b"secret" not in house.dispatcher.inquiries[-1].body
    await ask(house, KEY, input="x", previous_response_id="resp_1")
    assert len(provider.sent()["input"]) == 3


async def test_T21_not_even_one_of_the_same_name(open_house: Open) -> None:
    house = await open_house(keys=[KEY, OTHER])
    names = {house.edition.keys.find(key).scope for key in (KEY, OTHER)}  # type: ignore[union-attr]
    assert len(names) == 2
    assert not {KEY, OTHER} & names


async def test_a_broken_answer_is_not_kept(house: House, provider: Provider) -> None:
    provider.is_cut = True
    await ask(house, input="one", stream=True)
    assert len(house.app.archive) == 0


class TestWhatAProviderStores:
    @pytest.mark.parametrize("is_stream", [False, True])
    async def test_is_asked_of_the_account_that_has_it(self, house: House, provider: Provider, is_stream: bool) -> None:
        provider.is_relay = True
        await ask(house, input="one", stream=is_stream)
        await ask(house, input="two", stream=is_stream, previous_response_id="resp_1")
        assert house.dispatcher.inquiries[-1].tie == Tie("key-1", is_hard=True)
        assert (provider.sent()["input"], provider.sent()["previous_response_id"]) == ("two", "resp_1")

    async def test_goes_on_elsewhere_when_that_account_has_to_rest(self, house: House, provider: Provider) -> None:
        provider.is_relay = True
        await ask(house, input="one")
        provider.refuses = Failure(kind="quota", status=429, message="spent", code="accounts_exhausted")
        provider.credential = "key-2"
        answer = await ask(house, input="two", previous_response_id="resp_1")
        assert answer.status == 200
        assert len(provider.sent()["input"]) == 3
        provider.refuses = None
        await ask(house, input="three", previous_response_id="resp_2")
        assert house.dispatcher.inquiries[-1].tie == Tie("key-2", is_hard=True)

    async def test_is_not_made_up_where_its_beginning_is_not_known(self, house: House, provider: Provider) -> None:
        provider.is_relay = True
        await ask(house, input="two", previous_response_id="resp_of_another_day")
        provider.refuses = Failure(kind="quota", status=429, message="spent")
        answer = await ask(house, input="three", previous_response_id="resp_1")
        assert answer.status == 429

    async def test_the_clients_own_fault_is_its_own(self, house: House, provider: Provider) -> None:
        provider.is_relay = True
        await ask(house, input="one")
        provider.refuses = Failure(kind="invalid_request", status=400, message="no")
        assert (await ask(house, input="two", previous_response_id="resp_1")).status == 400
        assert len(house.dispatcher.inquiries) == 2


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize("fields", [{"store": "yes"}, {"previous_response_id": "resp_1", "input": 3}])
async def test_what_is_malformed_is_refused_with_its_path(house: House, fields: dict[str, Any]) -> None:
    await ask(house, input="one")
    answer = await ask(house, **fields)
    assert answer.status == 400
    assert answer.error["param"] in {"store", "input"}


async def test_a_conversation_may_not_outgrow_a_request(open_house: Open) -> None:
    house = await open_house(body_bytes_max=1000)
    Provider(house)
    await ask(house, input="x" * 800)
    answer = await ask(house, input="y" * 200, previous_response_id="resp_1")
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")


def test_most_requests_concern_nobody() -> None:
    def inquiry(wire: str, operation: Any, body: bytes) -> Inquiry:
        return Inquiry(
            request_id="r", wire=wire, operation=operation, model="m", is_stream=False, body=body, headers={}, query={}
        )

    assert not concerns(inquiry("openai_chat", "generate", b'{"previous_response_id":"x"}'))
    assert not concerns(inquiry("openai_responses", "count_tokens", b"{}"))
    assert concerns(inquiry("openai_responses", "count_tokens", b'{"previous_response_id":"x"}'))
    assert concerns(inquiry("openai_responses", "generate", b"{}"))
