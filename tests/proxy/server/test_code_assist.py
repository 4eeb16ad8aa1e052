from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from proxy.errors import Malformed
from proxy.server.code_assist import unwrap, wrap
from tests.proxy.server.conftest import chunked, outcome

if TYPE_CHECKING:
    from proxy.dispatch.inquiry import Inquiry, Outcome
    from tests.proxy.server.conftest import House

SAID = b'{"candidates":[{"content":{"parts":[{"text":"hi"}]}}]}'


def test_members_keep_their_bytes_and_the_session_stays_here() -> None:
    opened = unwrap(
        b'{"model":"models/big","project":"p","user_prompt_id":"u",'
        b'"request":{"contents":[{"parts":[{"text":"\\u00e9"}]}],"session_id":"s","generationConfig":{"topP":0.950}}}'
    )
    assert (opened.model, opened.session) == ("big", "s")
    assert opened.body == b'{"contents":[{"parts":[{"text":"\\u00e9"}]}],"generationConfig":{"topP":0.950}}'


def test_the_counter_names_the_model_inside() -> None:
    assert unwrap(b'{"request":{"model":"models/big","contents":[]}}') == (b'{"contents":[]}', "big", "")


@pytest.mark.parametrize(
    ("content", "path"),
    [
        (b'{"model":"big"}', "request"),
        (b'{"model":7,"request":{}}', "model"),
        (b'{"request":{}}', "model"),
        (b"[]", None),
        (b'{"model":"big","request":[]}', None),
    ],
)
def test_what_is_no_envelope_is_refused_with_its_path(content: bytes, path: str | None) -> None:
    with pytest.raises(Malformed) as raised:
        unwrap(content)
    assert raised.value.path == path


def test_an_error_has_no_envelope() -> None:
    assert wrap(SAID, "t") == b'{"response":' + SAID + b',"traceId":"t"}'
    assert wrap(b'{\n "error": {"code": 429}}', "t") == b'{\n "error": {"code": 429}}'


@pytest.mark.parametrize(
    "told",
    [
        b'{"response":{"candidates":[]},"traceId":"theirs"}',
        b'{ "traceId" : "theirs", "response": {}}',
        b'{"remainingCredits":[],"response":{"candidates":[]}}',
    ],
)
def test_an_envelope_of_the_upstream_stays(told: bytes) -> None:
    assert wrap(told, "t") is told


def test_what_only_looks_like_one_gets_one() -> None:
    said = b'{"candidates":[{"content":{"parts":[{"functionCall":{"args":{"response":1}}}]}}]}'
    assert wrap(said, "t").startswith(b'{"response":{"candidates"')


def envelope(**request: object) -> dict[str, object]:
    return {"model": "big", "project": "mine", "request": {"contents": [], **request}}


async def test_a_stream_has_an_envelope_around_each_frame(house: House) -> None:
    async def answer(inquiry: Inquiry) -> Outcome:
        frames = chunked(b"data: " + SAID + b"\r\n\r\ndata: " + SAID + b"\r\n\r\n", b'data: {"error":{}}\r\n\r\n')
        return outcome(inquiry, frames)

    house.dispatcher.answer = answer
    told = await house.post("/v1internal:streamGenerateContent?alt=sse", envelope(), x_request_id="t1")
    assert told.body.split(b"\r\n\r\n") == [
        b'data: {"response":' + SAID + b',"traceId":"t1"}',
        b'data: {"response":' + SAID + b',"traceId":"t1"}',
        b'data: {"error":{}}',
        b"",
    ]
    (inquiry,) = house.dispatcher.inquiries
    assert (inquiry.wire, inquiry.model, inquiry.is_stream, inquiry.framing) == ("gemini", "big", True, "sse")
    assert inquiry.body == b'{"contents":[]}'
    assert msgspec.json.decode(inquiry.envelope) == envelope()


async def test_a_whole_answer_and_a_count(house: House) -> None:
    async def answer(inquiry: Inquiry) -> Outcome:
        return outcome(inquiry, chunked(SAID if inquiry.operation == "generate" else b'{"totalTokens":7}'))

    house.dispatcher.answer = answer
    assert (await house.post("/v1internal:generateContent", envelope())).json["response"] == msgspec.json.decode(SAID)
    count = {"request": {"model": "models/big", "contents": []}}
    assert (await house.post("/v1internal:countTokens", count)).json == {"totalTokens": 7}
    assert [each.model for each in house.dispatcher.inquiries] == ["big", "big"]


async def test_what_the_cli_asks_about_its_account(house: House) -> None:
    loaded = (await house.post("/v1internal:loadCodeAssist", {"metadata": {}})).json
    assert loaded["cloudaicompanionProject"] == "proxy"
    assert "id" in loaded["currentTier"]  # type: ignore[operator]  # an object
    assert (await house.post("/v1internal:onboardUser", {"tierId": "x"})).json["done"] is True
    quota = (await house.post("/v1internal:retrieveUserQuota", {"project": "proxy"})).json
    assert quota["buckets"] == [
        {"modelId": "big", "tokenType": "REQUESTS"},
        {"modelId": "vendor/small", "tokenType": "REQUESTS"},
    ]
    assert (await house.post("/v1internal:listExperiments", {})).json == {"experimentIds": [], "flags": []}
    assert (await house.post("/v1internal:recordCodeAssistMetrics", {})).json == {}


async def test_a_key_is_needed(open_house: object) -> None:
    house: House = await open_house(keys=["a-key-of-a-client"])  # type: ignore[operator]  # the fixture's function
    refused = await house.post("/v1internal:loadCodeAssist", {})
    assert (refused.status, refused.dialect) == (401, "gemini")
