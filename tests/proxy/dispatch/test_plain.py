from __future__ import annotations

from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from proxy.config.provider_keys import ModelAlias
from proxy.config.schema import Config
from proxy.dispatch.inquiry import Refused, Tie
from proxy.dispatch.plain import comes_whole
from proxy.errors import Broken

IMAGE = {"created": 1, "data": [{"b64_json": "AAAA"}]}
FORM = "multipart/form-data; boundary=b"
UPLOAD = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n\0\xff\r\n'
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n--b--\r\n'
)


def config(make: Any, **settings: Any) -> Config:
    return Config(codex_api_key=make.keys("k1", "k2", **settings))


def inquiry(lab: Any, operation: str, body: object, **fields: Any) -> Any:
    return lab.inquiry("openai_chat", body, operation=operation, **fields)


async def test_json_goes_on_with_the_models_own_name(lab: Any, make: Any) -> None:
    settings = config(make, models=(ModelAlias(name="gpt-image-2", alias="painter"),))
    dispatcher = lab.dispatcher(settings, [make.whole(IMAGE)])
    body = b'{"prompt": "a \\u00e4", "model": "painter", "n": 1.0}'
    outcome = await dispatcher.open(inquiry(lab, "draw", body))
    assert msgspec.json.decode(await lab.read(outcome)) == IMAGE
    (call,) = lab.upstream.calls
    assert (call.method, call.url) == ("POST", "https://api.openai.com/v1/images/generations")
    assert call.body == b'{"prompt":"a \\u00e4","model":"gpt-image-2","n":1.0}'
    assert lab.upstream.header("authorization") == "Bearer k1"
    assert outcome.report.is_relay


async def test_a_form_goes_on_with_the_models_own_name(lab: Any, make: Any) -> None:
    settings = config(make, models=(ModelAlias(name="whisper-1", alias="ears"),))
    dispatcher = lab.dispatcher(settings, [make.whole({"text": "hi"})])
    headers = CIMultiDict({"Content-Type": FORM})
    outcome = await dispatcher.open(inquiry(lab, "transcribe", UPLOAD % b"ears", model="ears", headers=headers))
    await lab.read(outcome)
    assert lab.upstream.calls[0].body == UPLOAD % b"whisper-1"
    assert lab.upstream.header("content-type") == FORM
    assert lab.upstream.calls[0].url.endswith("/v1/audio/transcriptions")


async def test_sound_comes_as_it_is_and_at_once(lab: Any, make: Any) -> None:
    answer = make.Answer(200, [b"ID3\0", b"\xff\xfb"], CIMultiDict({"content-type": "audio/mpeg"}))
    dispatcher = lab.dispatcher(config(make), [answer])
    outcome = await dispatcher.open(inquiry(lab, "speak", {"model": "tts-1", "input": "hi"}))
    assert dict(outcome.headers)["content-type"] == "audio/mpeg"
    assert [chunk async for chunk in outcome.body] == [b"ID3\0", b"\xff\xfb"]
    assert lab.upstream.header("accept") == "*/*"


async def test_sound_that_is_cut_off_does_not_end_in_silence(lab: Any, make: Any) -> None:
    """There is no word for it in its format: the connection has to break."""
    answer = make.Answer(200, [b"ID3\0", Broken("cut")], CIMultiDict({"content-type": "audio/mpeg"}))
    dispatcher = lab.dispatcher(config(make), [answer])
    outcome = await dispatcher.open(inquiry(lab, "speak", {"model": "tts-1", "input": "hi"}))
    with pytest.raises(Broken):
        await lab.read(outcome)
    await outcome.body.aclose()
    assert not lab.pool._in_flight


async def test_text_is_complete_before_it_is_given(lab: Any, make: Any) -> None:
    kind = {"content-type": "text/plain; charset=utf-8"}
    cut = make.Answer(200, [b"1\n00:00", Broken("cut")], CIMultiDict(kind))
    good = make.Answer(200, [b"1\n00:00", b":01"], CIMultiDict(kind))
    dispatcher = lab.dispatcher(config(make), [cut, good])
    headers = CIMultiDict({"Content-Type": FORM})
    outcome = await dispatcher.open(
        inquiry(lab, "translate", UPLOAD % b"whisper-1", model="whisper-1", headers=headers)
    )
    assert await lab.read(outcome) == b"1\n00:00:01"
    assert dict(outcome.headers)["content-type"] == "text/plain; charset=utf-8"
    assert len(lab.upstream.calls) == 2


async def test_events_are_passed_frame_by_frame_and_a_cut_is_told(lab: Any, make: Any) -> None:
    frame = b'event: image_generation.partial_image\ndata: {"b64_json":"AAAA"}\n\n'
    dispatcher = lab.dispatcher(config(make), [make.stream(frame[:10], frame[10:], frame[:20], Broken("cut"))])
    body = {"model": "gpt-image-2", "prompt": "x", "stream": True}
    told = await lab.read(await dispatcher.open(inquiry(lab, "draw", body, is_stream=True)))
    assert told.startswith(frame)
    error = msgspec.json.decode(told.removeprefix(frame).removeprefix(b"data: "))
    assert error["error"]["message"] == "cut"


async def test_a_whole_answer_to_who_wants_a_stream_is_one_event(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make), [make.whole(IMAGE)])
    body = {"model": "gpt-image-2", "prompt": "x", "stream": True}
    told = await lab.read(await dispatcher.open(inquiry(lab, "draw", body, is_stream=True)))
    assert msgspec.json.decode(told.removeprefix(b"data: ")) == IMAGE


@pytest.mark.parametrize("status", [429, 500])
async def test_another_account_may_do_better(lab: Any, make: Any, status: int) -> None:
    error = {"error": {"message": "no", "type": "server_error"}}
    dispatcher = lab.dispatcher(config(make), [make.whole(error, status), make.whole({"results": []})])
    outcome = await dispatcher.open(inquiry(lab, "moderate", {"model": "omni-moderation-latest", "input": "x"}))
    assert msgspec.json.decode(await lab.read(outcome)) == {"results": []}
    assert [attempt.status for attempt in outcome.report.attempts] == [status, 200]


async def test_an_error_inside_a_200_is_one(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make), lambda _call: make.whole({"error": {"message": "no", "code": "x"}}))
    with pytest.raises(Refused):
        await dispatcher.open(inquiry(lab, "moderate", {"model": "omni-moderation-latest", "input": "x"}))


async def test_rerank_is_for_compatible_providers(lab: Any, make: Any) -> None:
    settings = Config(openai_compatibility=(make.compatible("local", "reranker"),))
    dispatcher = lab.dispatcher(settings, [make.whole({"results": [{"index": 0}]})])
    await lab.read(await dispatcher.open(inquiry(lab, "rerank", {"model": "reranker", "query": "q", "documents": []})))
    assert lab.upstream.calls[0].url == "http://127.0.0.1:1/v1/rerank"


@pytest.mark.parametrize(("operation", "method"), [("retrieve", "GET"), ("delete", "DELETE")])
async def test_a_stored_answer_is_asked_of_the_account_that_has_it(
    lab: Any, make: Any, operation: str, method: str
) -> None:
    failed = {"id": "resp_1", "status": "failed", "error": {"code": "server_error", "message": "it broke"}}
    body: Any = failed if operation == "retrieve" else {"id": "resp_1", "deleted": True}
    dispatcher = lab.dispatcher(config(make), [make.whole(body)])
    second = lab.snapshot.credentials[1].id
    asked = lab.inquiry(
        "openai_responses", b"", model="gpt-5", operation=operation, resource="resp_1", tie=Tie(second, is_hard=True)
    )
    outcome = await dispatcher.open(asked)
    assert msgspec.json.decode(await lab.read(outcome)) == body
    call = lab.upstream.calls[-1]
    assert (call.method, call.url, call.body) == (method, "https://api.openai.com/v1/responses/resp_1", b"")
    assert lab.upstream.header("content-type") is None
    assert outcome.report.credential == second


async def test_T16_what_the_client_names_stays_within_its_place(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(config(make), [make.whole({"id": "x"})])
    asked = lab.inquiry("openai_responses", b"", model="gpt-5", operation="retrieve", resource="../files?x#y")
    await lab.read(await dispatcher.open(asked))
    assert lab.upstream.calls[0].url.endswith("/v1/responses/..%2Ffiles%3Fx%23y")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("text/plain", True),
        ("text/vtt", True),
        ("text/event-stream", False),
        ("audio/mpeg", False),
        ("application/octet-stream", False),
        ("", False),
    ],
)
def test_what_is_text_comes_whole(kind: str, expected: bool) -> None:
    assert comes_whole(kind) is expected
