"""Gemini CLI's own request, on its way to Code Assist with an account of the pool."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from auth.credential import Credential
from auth.secret import Secret
from proxy.config.schema import Config
from proxy.dispatch.decision import Candidate
from proxy.dispatch.envelope import enveloped
from proxy.dispatch.failover import Dispatcher
from proxy.dispatch.snapshot import Snapshot
from proxy.providers import gemini_cli

ACCOUNTS = tuple(
    Credential(
        id=name, provider="gemini-cli", label=name, secret=Secret(f"token-{name}"), project=f"project-{name}",
        models={"alias": ("gemini-3-pro",)},
    )
    for name in ("ada", "bea")
)  # fmt: skip
CANDIDATE = Candidate(gemini_cli.PROVIDER, ACCOUNTS[0], "gemini-3-pro")
CAME = (
    b'{"model":"alias","project":"proxy","user_prompt_id":"u","request":'
    b'{"contents":[{"parts":[{"text":"\\u00e9"}]}],"session_id":"s","generationConfig":{"topP":0.950}},"enabled_credit_types":[]}'
)
BODY = b'{"contents":[{"parts":[{"text":"\\u00e9"}]}],"generationConfig":{"topP":0.950}}'
MARKS = CIMultiDict({"User-Agent": "GeminiCLI/9.9/m (linux)", "x-goog-api-client": "gl-node/24"})
SAID = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Ahoy"}]}, "finishReason": "STOP"}]}
USAGE = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
FRAME = {"response": {**SAID, "usageMetadata": USAGE, "modelVersion": "gemini-3-pro"}, "traceId": "theirs"}


def test_model_and_project_are_replaced_and_the_rest_keeps_its_bytes() -> None:
    assert enveloped(CAME, BODY, CANDIDATE) == CAME.replace(b'"alias"', b'"gemini-3-pro"').replace(
        b'"proxy"', b'"project-ada"'
    )


def test_what_was_edited_takes_its_place() -> None:
    edited = b'{"contents":[],"generationConfig":{"topP":1},"safetySettings":[]}'
    assert msgspec.json.decode(enveloped(CAME, edited, CANDIDATE))["request"] == {
        "contents": [], "session_id": "s", "generationConfig": {"topP": 1}, "safetySettings": []
    }  # fmt: skip
    assert "generationConfig" not in msgspec.json.decode(enveloped(CAME, b'{"contents":[]}', CANDIDATE))["request"]


def test_the_counter_names_the_model_inside_and_no_project() -> None:
    came = b'{"request":{"model":"models/alias","contents":[]}}'
    told = enveloped(came, b'{"contents":[]}', CANDIDATE)
    assert told == b'{"request":{"model":"models/gemini-3-pro","contents":[]}}'


@pytest.fixture
def dispatcher(lab: Any, make: Any) -> Dispatcher:
    """Ada's project is not allowed to."""
    answer = msgspec.json.encode(FRAME)

    def react(call: Any) -> Any:
        asked = msgspec.json.decode(call.body)
        if asked.get("project") == "project-ada":
            return make.whole({"error": {"code": 403, "message": "no licence", "status": "PERMISSION_DENIED"}}, 403)
        if "countTokens" in call.url:
            return make.whole({"totalTokens": 7})
        return make.stream(b"data: " + answer + b"\r\n\r\n") if "stream" in call.url else make.whole(answer)

    lab.dispatcher(Config(), react)
    lab.snapshot = Snapshot.of(Config(), providers=(gemini_cli.PROVIDER,), credentials=ACCOUNTS)
    return Dispatcher(
        snapshot=lambda: lab.snapshot, upstreams={"http": lab.upstream}, pool=lab.pool, clock=lab.time.clock()
    )


@pytest.mark.parametrize("is_stream", [True, False])
async def test_the_next_account_s_project_takes_the_place_of_the_first_s(
    lab: Any, dispatcher: Dispatcher, is_stream: bool
) -> None:
    inquiry = lab.inquiry("gemini", BODY, model="alias", is_stream=is_stream, headers=MARKS, envelope=CAME)
    outcome = await dispatcher.open(inquiry)
    told = (await lab.read(outcome)).removeprefix(b"data: ")
    echoed = {**FRAME, "response": {**FRAME["response"], "modelVersion": "alias"}}  # type: ignore[dict-item]
    assert msgspec.json.decode(told) == echoed, "the envelope is the upstream's own"
    assert [msgspec.json.decode(call.body)["project"] for call in lab.upstream.calls] == ["project-ada", "project-bea"]
    call = lab.upstream.calls[-1]
    assert call.url.startswith("https://cloudcode-pa.googleapis.com/v1internal:")
    assert dict(call.headers)["User-Agent"] == "GeminiCLI/9.9/m (linux)"
    assert dict(call.headers)["authorization"] == "Bearer token-bea"
    assert outcome.report.is_relay
    assert outcome.report.usage is not None
    assert (outcome.report.usage.output_total, outcome.report.finish) == (2, "stop")


async def test_tokens_are_counted_by_whoever_serves(lab: Any, dispatcher: Dispatcher) -> None:
    came = b'{"request":{"model":"models/alias","contents":[]}}'
    counted = lab.inquiry(
        "gemini", b'{"contents":[]}', model="alias", operation="count_tokens", headers=MARKS, envelope=came
    )
    assert await lab.read(await dispatcher.open(counted)) == b'{"totalTokens":7}'
    assert lab.upstream.body() == {"request": {"model": "models/gemini-3-pro", "contents": []}}


@pytest.mark.parametrize(("headers", "envelope"), [(MARKS, b""), (CIMultiDict(), CAME)])
async def test_anybody_else_s_request_is_the_clis_to_make(
    lab: Any, dispatcher: Dispatcher, headers: Any, envelope: bytes
) -> None:
    """And there is none here: over HTTP nothing is sent in its name."""
    with pytest.raises(KeyError, match="gemini-cli"):
        await dispatcher.open(lab.inquiry("gemini", BODY, model="alias", headers=headers, envelope=envelope))
    assert lab.upstream.calls == []
