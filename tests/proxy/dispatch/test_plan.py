from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from proxy.config.payload import Payload, PayloadModel, PayloadRule
from proxy.config.provider_keys import ModelAlias
from proxy.config.schema import Config
from proxy.dispatch.inquiry import Refused

USER = [{"role": "user", "content": "x"}]
MODEL = "claude-opus-5"
ANSWER = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
    "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}  # fmt: skip
CHAT_ANSWER = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip
RESPONSE = {
    "id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed",
    "output": [{
        "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
    }],
}  # fmt: skip


async def sent(lab: Any, make: Any, config: Config, inquiry: Any, answer: Any = ANSWER) -> Any:
    """The body that reached the upstream."""
    dispatcher = lab.dispatcher(config, lambda _call: make.whole(answer))
    await lab.read(await dispatcher.open(inquiry))
    return lab.upstream.body()


async def test_a_suffix_becomes_the_wires_own_field_at_home(lab: Any, make: Any) -> None:
    """And everything else of the client's stays, also what the hub has no word for."""
    body = {"model": f"{MODEL}(high)", "max_tokens": 9, "messages": USER, "x_new": {"a": 1}}
    told = await sent(lab, make, Config(claude_api_key=make.keys("k")), lab.inquiry("anthropic", body))
    assert told == {**body, "model": MODEL, "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}


@pytest.mark.parametrize(
    ("wire", "provider", "body", "expected"),
    [
        ("openai_responses", "codex_api_key", {"model": "gpt-5.5(xhigh)", "input": "x"}, {"effort": "xhigh"}),
        ("openai_responses", "codex_api_key", {"model": "gpt-5.5(none)", "input": "x"}, {"effort": "none"}),
        (
            "openai_responses", "codex_api_key",
            {"model": "gpt-5.5(low)", "input": "x", "reasoning": {"effort": "high", "summary": "auto"}},
            {"effort": "low", "summary": "auto"},
        ),
    ],
)  # fmt: skip
async def test_a_suffix_beats_the_body(
    lab: Any, make: Any, wire: str, provider: str, body: dict[str, Any], expected: dict[str, Any]
) -> None:
    told = await sent(lab, make, Config(**{provider: make.keys("k")}), lab.inquiry(wire, body), RESPONSE)
    assert told["reasoning"] == expected


async def test_a_budget_for_gemini(lab: Any, make: Any) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}
    answer = {"candidates": [{"content": {"role": "model", "parts": [{"text": "x"}]}, "finishReason": "STOP"}]}
    inquiry = lab.inquiry("gemini", body, model="gemini-2.5-flash(1024)")
    told = await sent(lab, make, Config(gemini_api_key=make.keys("k")), inquiry, answer)
    assert told["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 1024
    assert told["contents"] == body["contents"]


async def test_the_answer_to_a_suffix_is_still_a_relay_with_the_clients_name(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(Config(claude_api_key=make.keys("k")), [make.whole(ANSWER | {"x_new": 1})])
    body = {"model": f"{MODEL}(low)", "max_tokens": 9, "messages": USER}
    outcome = await dispatcher.open(lab.inquiry("anthropic", body))
    assert msgspec.json.decode(await lab.read(outcome)) == {**ANSWER, "x_new": 1, "model": f"{MODEL}(low)"}
    assert outcome.report.is_relay is True


async def test_other_makers_signatures_do_not_reach_an_upstream_of_the_same_wire(lab: Any, make: Any) -> None:
    """The client talked to Gemini before: its history bears tagged blobs that Anthropic would refuse."""
    history = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "px1.gemini.blob"},
            {"type": "text", "text": "y"},
        ]},
        {"role": "user", "content": "z"},
    ]  # fmt: skip
    body = {"model": MODEL, "max_tokens": 9, "messages": history}
    told = await sent(lab, make, Config(claude_api_key=make.keys("k")), lab.inquiry("anthropic", body))
    assert "px1." not in str(told)
    assert "'y'" in str(told)


async def test_nor_do_those_that_stand_in_bytes(lab: Any, make: Any) -> None:
    """Gemini's signatures are base64, so the tag is, too."""
    seal = b64encode(b"px1.anthropic.blob").decode()
    history = [
        {"role": "user", "parts": [{"text": "x"}]},
        {"role": "model", "parts": [{"text": "hm", "thought": True, "thoughtSignature": seal}, {"text": "y"}]},
        {"role": "user", "parts": [{"text": "z"}]},
    ]
    answer = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}
    config = Config(gemini_api_key=make.keys("k"))
    inquiry = lab.inquiry("gemini", {"contents": history}, model="gemini-3.5-flash")
    told = await sent(lab, make, config, inquiry, answer)
    assert [part["text"] for content in told["contents"] for part in content["parts"]] == ["x", "y", "z"]


async def test_a_tagged_signature_goes_back_to_its_maker(lab: Any, make: Any) -> None:
    history = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "px1.openai_responses.blob"},
            {"type": "text", "text": "y"},
        ]},
        {"role": "user", "content": "z"},
    ]  # fmt: skip
    body = {"model": "gpt-5.5", "max_tokens": 99, "messages": history}
    told = await sent(lab, make, Config(codex_api_key=make.keys("k")), lab.inquiry("anthropic", body), RESPONSE)
    assert [item["encrypted_content"] for item in told["input"] if item["type"] == "reasoning"] == ["blob"]


async def test_strict_refuses_what_would_be_lost_and_names_it(lab: Any, make: Any) -> None:
    body = {"model": MODEL, "messages": USER, "logit_bias": {"1": 2}, "seed": 7}
    dispatcher = lab.dispatcher(Config(claude_api_key=make.keys("k")), [make.whole(ANSWER)])
    with pytest.raises(Refused) as caught:
        await dispatcher.open(lab.inquiry("openai_chat", body, is_strict=True))
    failure = caught.value.failure
    assert (failure.status, failure.code) == (400, "lossy_translation")
    assert "seed" in failure.message
    assert "logit_bias" in failure.message
    assert lab.upstream.calls == []


async def test_without_strict_losses_are_told(lab: Any, make: Any) -> None:
    body = {"model": MODEL, "messages": USER, "seed": 7}
    dispatcher = lab.dispatcher(Config(claude_api_key=make.keys("k")), [make.whole(ANSWER)])
    outcome = await dispatcher.open(lab.inquiry("openai_chat", body))
    assert "seed" in dict(outcome.headers)["x-proxy-losses"]
    await lab.read(outcome)


async def test_what_one_wire_cannot_say_another_candidate_may(lab: Any, make: Any) -> None:
    """Two answers at once: Anthropic has no word for it, a provider at home has. No attempt is wasted."""
    config = Config(
        claude_api_key=make.keys("k", models=(ModelAlias(name=MODEL, alias="m"),)),
        openai_compatibility=(make.compatible("local", "m"),),
    )
    dispatcher = lab.dispatcher(config, lambda _call: make.whole(CHAT_ANSWER))
    for _ in range(4):
        outcome = await dispatcher.open(lab.inquiry("openai_chat", {"model": "m", "messages": USER, "n": 2}))
        await lab.read(outcome)
        assert outcome.report.provider == "local"
        assert len(outcome.report.attempts) == 1


async def test_what_nobody_can_say_is_the_clients_fault_with_its_path(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(Config(claude_api_key=make.keys("k")), [])
    with pytest.raises(Refused) as caught:
        await dispatcher.open(lab.inquiry("openai_chat", {"model": MODEL, "messages": USER, "n": 2}))
    assert (caught.value.failure.status, caught.value.failure.path) == (400, "n")


async def test_a_malformed_body_is_the_clients_fault_with_its_path(lab: Any, make: Any) -> None:
    dispatcher = lab.dispatcher(Config(claude_api_key=make.keys("k")), [])
    with pytest.raises(Refused) as caught:
        await dispatcher.open(
            lab.inquiry("openai_chat", {"model": MODEL, "messages": [{"role": "user", "content": 7}]})
        )
    assert caught.value.failure.status == 400
    assert caught.value.failure.path == "messages[0].content"


@pytest.mark.parametrize("allowed", [True, False])
async def test_cache_breakpoints_for_clients_that_cannot_ask(lab: Any, make: Any, allowed: bool) -> None:
    config = Config(claude_api_key=make.keys("k"), cache_breakpoints=allowed)
    body = {"model": MODEL, "messages": [{"role": "system", "content": "long"}, *USER]}
    told = await sent(lab, make, config, lab.inquiry("openai_chat", body))
    assert ("cache_control" in str(told)) is allowed


async def test_but_none_for_those_that_can(lab: Any, make: Any) -> None:
    body = {"model": MODEL, "max_tokens": 9, "system": "long", "messages": USER}
    told = await sent(lab, make, Config(claude_api_key=make.keys("k")), lab.inquiry("anthropic", body))
    assert told == body


async def test_the_operators_rules_hold_in_translations_too(lab: Any, make: Any) -> None:
    rule = PayloadRule(models=(PayloadModel(name="claude-*", protocol="claude"),), params={"metadata.user_id": "u"})
    config = Config(claude_api_key=make.keys("k"), payload=Payload(override=(rule,)))
    told = await sent(lab, make, config, lab.inquiry("openai_chat", {"model": MODEL, "messages": USER}))
    assert told["metadata"] == {"user_id": "u"}


async def test_aliases_and_prefixes_are_echoed(lab: Any, make: Any) -> None:
    keys = make.keys("k", prefix="team", models=(ModelAlias(name=MODEL, alias="opus"),))
    for name in ("opus", "team/opus"):
        dispatcher = lab.dispatcher(Config(claude_api_key=keys), [make.whole(ANSWER)])
        body = {"model": name, "max_tokens": 9, "messages": USER}
        told = msgspec.json.decode(await lab.read(await dispatcher.open(lab.inquiry("anthropic", body))))
        assert told == {**ANSWER, "model": name}
        assert lab.upstream.body()["model"] == MODEL


@pytest.mark.parametrize("operation", ["embed", "complete"])
async def test_other_operations_are_relayed_at_home(lab: Any, make: Any, operation: str) -> None:
    aliased = replace(make.compatible("local"), models=(ModelAlias(name="text-embedding-9", alias="e"),))
    config = Config(openai_compatibility=(aliased,))
    answer = {
        "object": "list",
        "data": [{"embedding": [0.1]}],
        "model": "text-embedding-9",
        "usage": {"total_tokens": 1},
    }
    dispatcher = lab.dispatcher(config, [make.whole(answer)])
    outcome = await dispatcher.open(lab.inquiry("openai_chat", {"model": "e", "input": "x"}, operation=operation))
    assert msgspec.json.decode(await lab.read(outcome)) == {**answer, "model": "e"}
    assert lab.upstream.calls[0].url.endswith("/embeddings" if operation == "embed" else "/completions")
    assert lab.upstream.body() == {"model": "text-embedding-9", "input": "x"}


async def test_old_completions_stream_as_they_come(lab: Any, make: Any) -> None:
    frames = [b'data: {"choices":[{"text":"a","index":0}],"model":"m"}\n\n', b"data: [DONE]\n\n"]
    dispatcher = lab.dispatcher(Config(openai_compatibility=(make.compatible("local", "m"),)), [make.stream(*frames)])
    inquiry = lab.inquiry("openai_chat", {"model": "m", "prompt": "x"}, operation="complete", is_stream=True)
    outcome = await dispatcher.open(inquiry)
    assert [chunk async for chunk in outcome.body] == frames
    assert outcome.report.failure is None


async def test_thoughts_are_recalled_for_clients_whose_wire_has_no_room(lab: Any, make: Any) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    first = ANSWER | {
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig-1"},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
        ],
        "stop_reason": "tool_use",
    }
    dispatcher = lab.dispatcher(Config(claude_api_key=make.keys("k")), [make.whole(first), make.whole(ANSWER)])
    asked = {"model": MODEL, "messages": USER, "tools": tools, "reasoning_effort": "high"}
    told = msgspec.json.decode(await lab.read(await dispatcher.open(lab.inquiry("openai_chat", asked, client="me"))))
    message = told["choices"][0]["message"]
    assert "sig-1" not in str(message)
    call = message["tool_calls"][0]
    history = [*USER, {"role": "assistant", "content": None, "tool_calls": [call]},
               {"role": "tool", "tool_call_id": call["id"], "content": "ok"}]  # fmt: skip
    await lab.read(await dispatcher.open(lab.inquiry("openai_chat", asked | {"messages": history}, client="me")))
    assistant = lab.upstream.body()["messages"][1]["content"]
    assert assistant[0] == {"type": "thinking", "thinking": "hm", "signature": "sig-1"}
    assert assistant[1]["type"] == "tool_use"
