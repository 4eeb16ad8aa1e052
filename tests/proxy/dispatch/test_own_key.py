"""A client's own key, beside the accounts here."""

from __future__ import annotations

import pytest

from auth.secret import Secret
from proxy.config.schema import Config, Routing
from proxy.dispatch.inquiry import Refused
from proxy.dispatch.own_key import LABEL, OwnKey
from proxy.providers import openai
from tests.proxy.dispatch.conftest import Lab, keys, whole

OWN = OwnKey(openai.PROVIDER, Secret("key-of-the-client"))
ASKED = {"model": "gpt-5.5", "input": "Hi"}
WHOLE = {
    "id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5.5",
    "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "Ahoy.", "annotations": []}]}],
    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
}  # fmt: skip


async def test_it_serves_that_request_at_the_provider_s_own_address(lab: Lab) -> None:
    config = Config(codex_api_key=keys("key-of-the-pool", base_url="http://127.0.0.1:9/v1"))
    dispatcher = lab.dispatcher(config, [whole(WHOLE), whole(WHOLE)])
    outcome = await dispatcher.open(lab.inquiry("openai_responses", ASKED, own_key=OWN))
    await outcome.body.aclose()
    assert lab.upstream.header("authorization") == "Bearer key-of-the-client"
    assert lab.upstream.calls[0].url == "https://api.openai.com/v1/responses"
    assert outcome.report.account == LABEL
    outcome = await dispatcher.open(lab.inquiry("openai_responses", ASKED))
    await outcome.body.aclose()
    assert lab.upstream.header("authorization") == "Bearer key-of-the-pool"


@pytest.mark.parametrize("status", [401, 429, 402])
async def test_its_refusal_is_told_as_it_was_said_and_remembered_of_nobody(lab: Lab, status: int) -> None:
    error = {"error": {"message": "that key is no good", "type": "t", "code": "c"}}
    routing = Routing(fallbacks={"gpt-5.5": ("gpt-5",)})
    config = Config(codex_api_key=keys("key-of-the-pool"), routing=routing, request_retry=0, max_retry_interval=0)
    dispatcher = lab.dispatcher(config, lambda _call: whole(error, status))
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            await dispatcher.open(lab.inquiry("openai_responses", ASKED, own_key=OWN))
        assert (caught.value.failure.status, caught.value.failure.message) == (status, "that key is no good")
    assert {lab.upstream.header("authorization", at) for at in range(len(lab.upstream.calls))} == {
        "Bearer key-of-the-client"
    }
    assert [*lab.pool.standings(lab.time.now)] == []
