from __future__ import annotations

from typing import Any

import pytest

from proxy.errors import Broken, Rejected
from proxy.hub.parts import Media, Opaque, Part, Refusal, Text, Thinking, ToolCall
from proxy.hub.request import Reasoning, Request, Tool
from proxy.hub.residue import Residue
from proxy.hub.response import Finish, FinishReason, Response, Usage
from proxy.wire.base import Rendered, Reply
from proxy.wire.openai_chat import WIRE

REPLY = Reply(model="m", request_id="r1", created=7)


def answer(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **more}


def parsed(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> Response:
    return WIRE.parse_response(answer(message, finish, **more), maker="openai_chat")


def rendered(
    *parts: Part, reason: FinishReason = "stop", reply: Reply = REPLY, **more: Any
) -> Rendered[dict[str, Any]]:
    response = Response(id="x", model="upstream", parts=parts, finish=Finish(reason, "raw"), **more)
    body, losses = WIRE.render_response(response, reply)
    return Rendered(dict(body), losses)


def choice_of(answered: Rendered[dict[str, Any]]) -> dict[str, Any]:
    choice: dict[str, Any] = answered.body["choices"][0]
    return choice


def test_law_1_an_answer_comes_back_as_it_was(recordings: list[Any]) -> None:
    faults = []
    answers = [each for each in recordings if each.is_answer]
    for each in answers:
        response = WIRE.parse_response(each.body, maker="openai_chat")
        body, losses = WIRE.render_response(response, Reply(model=each.body["model"], request_id="r"))
        if body != each.body or losses:
            faults.append((each.name, losses))
    assert faults == []
    assert len(answers) > 140


MESSAGES: list[dict[str, Any]] = [
    {"content": "hi", "refusal": None, "annotations": []},
    {"content": ""},
    {"content": None},
    {},
    {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True},
            {"type": "text", "text": "hi"},
        ]
    },
    {"content": None, "refusal": "no"},
    {"content": "hi", "reasoning_content": "hm"},
    {"content": "hi", "reasoning": "hm", "reasoning_content": "hm"},
    {"content": "hi", "reasoning": None, "reasoning_details": []},
    {
        "content": "hi",
        "reasoning": "hm",
        "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s"}],
    },
    {"content": "hi", "reasoning_details": [{"type": "reasoning.encrypted", "data": "d", "id": "rs_1", "index": 0}]},
    {"content": "hi", "annotations": [{"type": "url_citation", "url_citation": {"url": "https://x.test"}}]},
    {"content": None, "audio": {"id": "audio_1", "data": "AAAA", "expires_at": 9, "transcript": "hi"}},
    {"content": "", "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
    {"content": None, "function_call": {"name": "look", "arguments": "{}"}},
    {"content": None, "tool_calls": []},
    {"content": None, "tool_calls": None},
    {"content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "look", "arguments": ""}}]},
    {
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "look", "arguments": {"a": 1}}}],
    },
    {"content": None, "tool_calls": [{"id": "", "index": 0, "function": {"name": "look", "arguments": "not json"}}]},
    {"content": None, "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "sh", "input": "ls"}}]},
    {
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": None, "custom": {"name": "sh", "input": "ls"}}],
    },
    {"content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"arguments": "{}"}}]},
    {
        "content": None,
        "tool_calls": [
            {
                "id": "c",
                "type": "function",
                "function": {"name": "look", "arguments": "{}"},
                "extra_content": {"google": {"thought_signature": "sig"}},
            }
        ],
    },
    {"content": "hi", "of_tomorrow": {"a": [1]}, "executed_tools": [{"index": 0}]},
]


@pytest.mark.parametrize("message", MESSAGES, ids=str)
@pytest.mark.parametrize("finish", ["stop", "length", None])
def test_law_1_for_each_dialect(message: dict[str, Any], finish: str | None) -> None:
    body = answer(
        message, finish, usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, citations=["u"]
    )
    again = WIRE.render_response(WIRE.parse_response(body, maker="openai_chat"), REPLY)
    assert again.body == body
    assert again.losses == ()


def test_several_choices_come_back_and_the_first_is_the_answer() -> None:
    body = answer({"content": "one"})
    body["choices"].append({"index": 1, "message": {"role": "assistant", "content": "two"}, "finish_reason": "stop"})
    response = WIRE.parse_response(body, maker="openai_chat")
    assert response.parts == (Text(text="one"),)
    assert WIRE.render_response(response, REPLY).body == body


def test_logprobs_and_citations_are_kept_under_their_paths() -> None:
    body = answer({"content": "hi", "annotations": [{"type": "url_citation"}]}, system_fingerprint="fp")
    body["choices"][0]["logprobs"] = {"content": [{"token": "hi"}]}
    response = WIRE.parse_response(body, maker="openai_chat")
    assert response.residue is not None
    assert response.residue.fields == {
        "choices[0].logprobs": {"content": [{"token": "hi"}]},
        "choices[0].message.annotations": [{"type": "url_citation"}],
    }


def test_an_error_inside_a_success() -> None:
    with pytest.raises(Rejected) as caught:
        WIRE.parse_response({"error": {"message": "busy", "code": "rate_limit_exceeded"}}, maker="m")
    assert (caught.value.message, caught.value.status, caught.value.code) == ("busy", 429, "rate_limit_exceeded")


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [1]}, {"choices": [{"index": 0}]}, {"choices": "x"}])
def test_what_is_no_answer_is_broken(body: Any) -> None:
    with pytest.raises(Broken):
        WIRE.parse_response(body, maker="m")


@pytest.mark.parametrize(
    ("message", "raw", "reason"),
    [
        ({"content": "x"}, "stop", "stop"),
        ({"content": "x"}, "length", "length"),
        ({"content": "x"}, "content_filter", "refusal"),
        ({"refusal": "no"}, "stop", "refusal"),
        ({"content": "x"}, "eos", "stop"),
        ({"content": "x"}, "of_tomorrow", "other"),
        ({"content": "x"}, None, "stop"),
        ({"content": "x"}, "tool_calls", "stop"),
        ({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}, "stop", "tool_calls"),
        ({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}, None, "tool_calls"),
        ({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a'}}]}, "length", "length"),
        ({"tool_calls": [{"id": "c", "function": {"arguments": "{}"}}]}, "tool_calls", "malformed_call"),
        ({"function_call": {"name": "f", "arguments": "{}"}}, "function_call", "tool_calls"),
    ],
    ids=str,
)
def test_bug_61_why_it_ended(message: dict[str, Any], raw: str | None, reason: FinishReason) -> None:
    assert parsed(message, raw).finish == Finish(reason, raw)


def test_bug_17_googles_signature_is_read() -> None:
    signed = {"google": {"thought_signature": "sig"}}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": signed}
    part = WIRE.parse_response(answer({"tool_calls": [call]}), maker="gemini").parts[0]
    assert isinstance(part, ToolCall)
    assert (part.signature, part.origin) == ("sig", "gemini")


def test_bug_36_the_wrapper_of_parallel_calls_is_opened_and_comes_back() -> None:
    uses = '{"tool_uses":[{"recipient_name":"functions.a","parameters":{"x":1}},{"recipient_name":"functions.b"}]}'
    call = {"id": "c", "type": "function", "function": {"name": "multi_tool_use.parallel", "arguments": uses}}
    body = answer({"content": None, "tool_calls": [call]}, "tool_calls")
    response = WIRE.parse_response(body, maker="openai_chat")
    told = [(part.id, part.name, part.arguments) for part in response.parts if isinstance(part, ToolCall)]
    assert told == [("c_0", "a", '{"x":1}'), ("c_1", "b", "{}")]
    assert WIRE.render_response(response, REPLY).body == body


@pytest.mark.parametrize("arguments", ["", "no json", "[1]", '{"tool_uses":[1]}', '{"tool_uses":[]}'])
def test_a_wrapper_that_cannot_be_opened_stays_a_call(arguments: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "multi_tool_use.parallel", "arguments": arguments}}
    assert len(parsed({"tool_calls": [call]}).parts) == 1


def test_bug_26_a_made_up_id_is_unique_by_answer_and_always_the_same() -> None:
    calls = [{"function": {"name": "f", "arguments": "{}"}}] * 2
    ids = [
        [part.id for part in parsed({"tool_calls": calls}, id=each).parts if isinstance(part, ToolCall)]
        for each in "aab"
    ]
    assert ids[0] == ids[1]
    assert len({*ids[0], *ids[2]}) == 4


def test_an_answer_of_another_wire() -> None:
    answered = rendered(
        Thinking(sections=("a", "", "b"), signature="sig", origin="anthropic"),
        Text(text="so"),
        ToolCall(id="toolu_1", name="look", arguments='{"a":1}'),
        reason="tool_calls",
        usage=Usage(input_uncached=3, cache_read=2, output=4),
    )
    assert answered.body == {
        "id": "chatcmpl-r1",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "logprobs": None,
                "message": {
                    "role": "assistant",
                    "content": "so",
                    "refusal": None,
                    "reasoning_content": "a\n\nb",
                    "tool_calls": [
                        {"id": "toolu_1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}
                    ],
                },
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 4,
            "total_tokens": 9,
            "prompt_tokens_details": {"cached_tokens": 2},
        },
    }
    assert answered.losses == ()


@pytest.mark.parametrize(
    ("parts", "reason", "word"),
    [
        ((Text(text="x"),), "stop", "stop"),
        ((Text(text="x"),), "length", "length"),
        ((Text(text="x"),), "refusal", "content_filter"),
        ((Refusal(text="no"),), "refusal", "stop"),
        ((Text(text="x"),), "paused", "stop"),
        ((ToolCall(id="c", name="f"),), "tool_calls", "tool_calls"),
    ],
    ids=str,
)
def test_reasons_of_other_wires(parts: tuple[Part, ...], reason: FinishReason, word: str) -> None:
    assert choice_of(rendered(*parts, reason=reason))["finish_reason"] == word


def test_bug_62_a_call_that_was_cut_is_no_call() -> None:
    answered = rendered(Text(text="x"), ToolCall(id="c", name="f", arguments='{"a'), reason="length")
    assert "tool_calls" not in choice_of(answered)["message"]
    assert choice_of(answered)["finish_reason"] == "length"
    assert [loss.path for loss in answered.losses] == ["content[1]"]


def test_bug_45_a_hosted_tools_call_is_never_the_clients() -> None:
    searched = Opaque(wire="anthropic", kind="server_tool_use", value={"name": "web_search"})
    answered = rendered(Text(text="a"), searched, Text(text="b"))
    assert choice_of(answered)["message"] == {"role": "assistant", "content": "a\n\nb", "refusal": None}
    assert [loss.path for loss in answered.losses] == ["content[1]"]


def test_what_another_wire_says_of_a_part_is_a_loss() -> None:
    cited = Text(text="a", residue=Residue(wire="anthropic", fields={"citations": [1]}))
    answered = rendered(cited, residue=Residue(wire="anthropic", fields={"container": {"id": "c"}}))
    assert [loss.path for loss in answered.losses] == ["container", "content[0].citations"]


def test_images_are_told_as_gateways_do() -> None:
    answered = rendered(Media(kind="image", media_type="image/png", data="AAAA"))
    assert choice_of(answered)["message"]["images"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    ]
    assert [loss.what for loss in rendered(Media(kind="video", url="https://x.test/v")).losses] == ["video"]


def test_the_client_of_old_functions_gets_one_in_the_old_form() -> None:
    tools = (Tool(name="look", residue=Residue(wire="openai_chat", shape={"in": "functions"})),)
    reply = Reply(model="m", request_id="r", request=Request(model="m", tools=tools))
    calls = (ToolCall(id="1", name="look"), ToolCall(id="2", name="look"))
    answered = rendered(*calls, reason="tool_calls", reply=reply)
    assert choice_of(answered)["message"]["function_call"] == {"name": "look", "arguments": "{}"}
    assert choice_of(answered)["finish_reason"] == "function_call"
    assert [loss.path for loss in answered.losses] == ["content[1]"]


def test_a_custom_tools_text_is_unwrapped() -> None:
    reply = Reply(model="m", request_id="r", request=Request(model="m", tools=(Tool(name="sh", is_custom=True),)))
    answered = rendered(ToolCall(id="1", name="sh", arguments='{"input":"ls"}'), reply=reply)
    assert choice_of(answered)["message"]["tool_calls"] == [
        {"id": "1", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    ]


def test_thoughts_that_the_client_does_not_want_are_not_shown() -> None:
    reply = Reply(model="m", request_id="r", request=Request(model="m", reasoning=Reasoning(is_visible=False)))
    assert (
        "reasoning_content"
        not in choice_of(rendered(Thinking(sections=("a",)), Text(text="b"), reply=reply))["message"]
    )


def test_counts() -> None:
    assert WIRE.parse_count({"input_tokens": 4}) == 4
    assert WIRE.render_count(4)["input_tokens"] == 4
    with pytest.raises(Broken):
        WIRE.parse_count({})
