from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.hub.pairing import STUB
from proxy.hub.parts import CacheMark, Media, Opaque, Part, Text, Thinking, ToolCall, ToolResult
from proxy.hub.profile import Profile
from proxy.hub.request import Message, Reasoning, Request, Tool, ToolChoice
from proxy.hub.residue import Residue
from proxy.wire.base import RenderedRequest
from proxy.wire.openai_chat import WIRE
from proxy.wire.openai_chat.history import SKIP_SIGNATURE

PLAIN = Profile(maker="openai_chat")
USER = Message(role="user", parts=(Text(text="go"),))


def rendered(*messages: Message, profile: Profile = PLAIN, **more: Any) -> RenderedRequest:
    return WIRE.render_request(Request(model="m", messages=messages, **more), profile)


def said(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def results(*parts: ToolResult) -> Message:
    return Message(role="tool", parts=parts)


def messages_of(answer: RenderedRequest) -> list[dict[str, Any]]:
    messages = answer.body["messages"]
    assert isinstance(messages, list)
    return [message for message in messages if isinstance(message, dict)]


def paths(answer: RenderedRequest) -> list[str]:
    return [loss.path for loss in answer.losses]


CALL = ToolCall(id="call_1", name="look", arguments='{"at":"x"}')


def test_a_conversation() -> None:
    answer = rendered(
        USER,
        said(Text(text="I look."), CALL),
        results(ToolResult(call_id="call_1", parts=(Text(text="a cat"),))),
        said(Text(text="A cat.")),
        instructions=(Text(text="Be brief."),),
    )
    assert messages_of(answer) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at":"x"}'}}
            ],
        },
        {"role": "tool", "content": "a cat", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "A cat."},
    ]
    assert answer.losses == ()


def test_system_texts_are_one_message_with_their_borders() -> None:
    answer = rendered(USER, instructions=(Text(text="a"), Text(text="b")))
    assert messages_of(answer)[0]["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    strings = rendered(
        USER, instructions=(Text(text="a"), Text(text="b")), profile=replace(PLAIN, has_text_lists=False)
    )
    assert messages_of(strings)[0]["content"] == "a\n\nb"
    image = Media(kind="image", media_type="image/png", data="iVBORw0KGgo=")
    blind = replace(PLAIN, has_text_lists=False, has_media_in_results=False, media=frozenset())
    asked = (USER, said(ToolCall(id="1", name="f")), results(ToolResult(call_id="1", parts=(image,))))
    assert all(
        isinstance(message.get("content") or "", str) for message in messages_of(rendered(*asked, profile=blind))
    )


def test_a_system_text_in_mid_conversation_stays_there() -> None:
    answer = rendered(USER, Message(role="system", parts=(Text(text="now"),)), USER)
    assert [message["role"] for message in messages_of(answer)] == ["user", "system", "user"]


def test_compatible_upstreams_know_no_developer(able: Profile) -> None:
    body = {"model": "m", "messages": [{"role": "developer", "content": "x"}, {"role": "user", "content": "y"}]}
    answer = WIRE.render_request(WIRE.parse_request(body), replace(able, has_developer_role=False))
    assert messages_of(answer)[0] == {"role": "system", "content": "x"}


def test_bug_21_thoughts_alone_are_no_turn() -> None:
    answer = rendered(USER, said(Thinking(sections=("hm",))), USER)
    assert [message["role"] for message in messages_of(answer)] == ["user", "user"]
    assert paths(answer) == ["messages[1].content[0]"]


def test_bug_3_a_signature_of_another_maker_is_dropped_and_its_text_stays_out_of_sight() -> None:
    thought = Thinking(sections=("secret",), signature="sig", origin="anthropic")
    answer = rendered(USER, said(thought, Text(text="hi")), USER)
    assert messages_of(answer)[1] == {"role": "assistant", "content": "hi"}
    assert paths(answer) == ["messages[1].content[0].signature", "messages[1].content[0]"]


def test_bug_18_reasoning_goes_back_to_models_that_want_it() -> None:
    profile = replace(PLAIN, replays_reasoning_text=True)
    answer = rendered(USER, said(Thinking(sections=("a", "b"), origin="anthropic"), CALL), profile=profile)
    assert messages_of(answer)[1]["reasoning_content"] == "a\n\nb"
    assert answer.losses == ()


def test_bug_16_a_signature_goes_to_googles_own_endpoint_and_the_bypass_where_there_is_none() -> None:
    google = Profile(maker="gemini", needs_call_signature=True)
    signed = replace(CALL, signature="sig", origin="gemini")
    other = ToolCall(id="call_2", name="look")
    calls = messages_of(rendered(USER, said(signed, other), said(replace(other, id="call_3")), profile=google))
    assert calls[1]["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "sig"}}
    assert "extra_content" not in calls[1]["tool_calls"][1]
    assert calls[4]["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": SKIP_SIGNATURE}}
    elsewhere = rendered(USER, said(signed))
    assert "extra_content" not in messages_of(elsewhere)[1]["tool_calls"][0]
    assert paths(elsewhere) == ["messages[1].content[0].signature"]


def test_bug_30_and_31_results_follow_their_calls_in_order_once_each() -> None:
    one, two = replace(CALL, id="a"), replace(CALL, id="b")
    answer = rendered(
        USER,
        said(one, two),
        USER,
        results(ToolResult(call_id="b", parts=(Text(text="B"),)), ToolResult(call_id="gone", parts=(Text(text="?"),))),
        results(ToolResult(call_id="b", parts=(Text(text="B again"),))),
    )
    told = [(message["role"], message.get("tool_call_id"), message.get("content")) for message in messages_of(answer)]
    assert told == [
        ("user", None, "go"),
        ("assistant", None, None),
        ("tool", "a", STUB),
        ("tool", "b", "B"),
        ("user", None, "go"),
    ]
    assert sorted(paths(answer)) == ["messages[3].content[1]", "messages[4].content[0]"]


def test_bug_32_and_33_a_turn_of_calls_has_a_null_content() -> None:
    answer = rendered(USER, said(Text(text=""), CALL))
    assert messages_of(answer)[1]["content"] is None


def test_bug_27_ids_are_legal_and_still_match() -> None:
    long = "call|" + "x" * 80
    answer = rendered(USER, said(replace(CALL, id=long)), results(ToolResult(call_id=long, parts=(Text(text="r"),))))
    call_id = messages_of(answer)[1]["tool_calls"][0]["id"]
    assert len(call_id) <= 64
    assert messages_of(answer)[2]["tool_call_id"] == call_id


@pytest.mark.parametrize("call_id", ["toolu_01ABC", "abc", "abcdefghi", "abcdefgh-", "abcdefghij"])
def test_mistral_wants_ids_of_nine_letters_and_digits(call_id: str) -> None:
    answer = rendered(USER, said(replace(CALL, id=call_id)), profile=replace(PLAIN, call_id_chars=9))
    mapped = messages_of(answer)[1]["tool_calls"][0]["id"]
    assert len(mapped) == 9
    assert mapped.isalnum()
    assert (mapped == call_id) == (call_id == "abcdefghi")
    assert messages_of(answer)[2]["tool_call_id"] == mapped


def test_bug_49_an_empty_result_is_an_empty_text() -> None:
    answer = rendered(USER, said(CALL), results(ToolResult(call_id="call_1")))
    assert messages_of(answer)[2] == {"role": "tool", "content": "", "tool_call_id": "call_1"}


def test_an_error_is_told_in_words() -> None:
    answer = rendered(
        USER, said(CALL), results(ToolResult(call_id="call_1", is_error=True, parts=(Text(text="no such file"),)))
    )
    assert messages_of(answer)[2]["content"] == "Error: no such file"
    assert paths(answer) == ["messages[2].content[0].is_error"]


def test_bug_48_images_of_results_follow_labelled_with_their_own() -> None:
    image = Media(kind="image", media_type="image/png", data="iVBORw0KGgo=")
    second = replace(image, data="iVBORw0KGgoAAA==")
    answer = rendered(
        USER,
        said(replace(CALL, id="a"), replace(CALL, id="b")),
        results(ToolResult(call_id="a", parts=(image,)), ToolResult(call_id="b", parts=(Text(text="see"), second))),
        profile=replace(PLAIN, has_media_in_results=False),
    )
    tool_a, tool_b, aside = messages_of(answer)[2:]
    assert tool_a["content"] == "[image 1 of the result of a: see the next user message]"
    assert tool_b["content"][1]["text"] == "[image 2 of the result of b: see the next user message]"
    assert aside["role"] == "user"
    assert [block.get("text") or block["image_url"]["url"][-6:] for block in aside["content"]] == [
        "[image 1 of the result of a]", "0KGgo=", "[image 2 of the result of b]", "oAAA==",
    ]  # fmt: skip
    assert paths(answer) == ["messages[2].content[0].content[0]", "messages[2].content[1].content[1]"]


def test_cache_marks_are_kept_where_they_are_taken(able: Profile) -> None:
    marked = Text(text="long", cache=CacheMark("5m"))
    result = ToolResult(call_id="call_1", parts=(Text(text="r"),), cache=CacheMark("1h"))
    conversation = (Message(role="user", parts=(marked,)), said(CALL), results(result))
    answer = messages_of(rendered(*conversation, profile=able))
    assert answer[0]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit", "ttl": "30m"}
    assert answer[2]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit", "ttl": "12h"}
    lost = rendered(*conversation)
    assert messages_of(lost)[0]["content"] == "long"
    assert paths(lost) == ["messages[0].content[0].cache_control", "messages[2].content[0].content[0].cache_control"]


def test_no_more_cache_marks_than_the_upstream_takes(able: Profile) -> None:
    marked = tuple(Text(text=str(number), cache=CacheMark()) for number in range(5))
    answer = rendered(Message(role="user", parts=marked), profile=able)
    assert paths(answer) == ["messages[0].content[4].cache_control"]


def test_names_are_within_limits_everywhere() -> None:
    answer = rendered(USER, said(replace(CALL, name="fs.read")), tools=(Tool(name="fs.read"), Tool(name="fs_read")))
    sent = messages_of(answer)[1]["tool_calls"][0]["function"]["name"]
    tools = answer.body["tools"]
    assert isinstance(tools, list)
    assert [tool["function"]["name"] for tool in tools if isinstance(tool, dict)] == [sent, "fs_read"]
    assert answer.names.to_client(sent) == "fs.read"


def test_a_custom_call_is_wrapped_where_there_are_no_custom_tools() -> None:
    call = replace(CALL, is_custom=True, arguments="ls")
    wrapped = messages_of(rendered(USER, said(call), profile=replace(PLAIN, has_custom_tools=False)))[1]["tool_calls"][
        0
    ]
    assert wrapped["function"] == {"name": "look", "arguments": '{"input":"ls"}'}
    plain = messages_of(rendered(USER, said(call)))[1]["tool_calls"][0]
    assert plain == {"id": "call_1", "type": "custom", "custom": {"name": "look", "input": "ls"}}


def test_a_hosted_tools_call_of_another_wire_is_a_loss() -> None:
    searched = Opaque(wire="anthropic", kind="server_tool_use", value={"type": "server_tool_use"})
    answer = rendered(USER, said(searched, Text(text="found")))
    assert messages_of(answer)[1] == {"role": "assistant", "content": "found"}
    assert paths(answer) == ["messages[1].content[0]"]


def test_citations_of_another_wire_are_a_loss() -> None:
    cited = Text(text="so", residue=Residue(wire="anthropic", fields={"citations": [1]}))
    assert paths(rendered(USER, said(cited))) == ["messages[1].content[0].citations"]


def test_texts_that_touch_are_one_and_others_are_apart() -> None:
    answer = rendered(USER, said(Text(text="a"), Text(text="b"), Thinking(sections=("t",)), Text(text="c")))
    assert messages_of(answer)[1]["content"] == "ab\n\nc"


def test_a_prefill_that_the_model_does_not_go_on_from_is_a_loss() -> None:
    assert paths(rendered(USER, said(Text(text="Once")), profile=replace(PLAIN, has_prefill=False))) == ["messages[1]"]


def test_an_assistants_image_is_a_loss() -> None:
    image = Media(kind="image", media_type="image/png", data="AAAA")
    assert paths(rendered(USER, said(Text(text="see"), image))) == ["messages[1].content[1]"]


def test_calls_of_one_id_in_one_turn_are_told_apart() -> None:
    answers = (ToolResult(call_id="call_1", parts=(Text(text=text),)) for text in "ab")
    answer = messages_of(rendered(USER, said(CALL, CALL), results(*answers)))
    ids = [call["id"] for call in answer[1]["tool_calls"]]
    assert len(set(ids)) == 2
    assert [(message["tool_call_id"], message["content"]) for message in answer[2:]] == [*zip(ids, "ab", strict=True)]


def test_bug_41_names_that_would_collide_stay_apart() -> None:
    answer = rendered(USER, tools=(Tool(name="fs.read"), Tool(name="fs/read"), Tool(name="x" * 70)))
    tools = answer.body["tools"]
    assert isinstance(tools, list)
    assert len({str(tool) for tool in tools}) == 3
    assert len(answer.names.received) == 3


def test_thoughts_alone_are_a_loss_also_where_they_could_be_replayed() -> None:
    answer = rendered(USER, said(Thinking(sections=("hm",))), profile=replace(PLAIN, replays_reasoning_text=True))
    assert len(messages_of(answer)) == 1
    assert paths(answer) == ["messages[1]"]


def test_a_text_document_stays_in_its_result_and_an_unreadable_file_leaves_a_word() -> None:
    note = Media(kind="document", media_type="text/plain", data="aGk=", name="n.txt")
    film = Media(kind="video", url="https://x.test/v")
    answer = rendered(
        USER,
        said(CALL),
        results(ToolResult(call_id="call_1", parts=(note, film))),
        profile=replace(PLAIN, has_media_in_results=False),
    )
    told = [
        {"type": "text", "text": "n.txt:\n\nhi"},
        {"type": "text", "text": "[video left out: the model does not read it]"},
    ]
    assert messages_of(answer)[2:] == [{"role": "tool", "content": told, "tool_call_id": "call_1"}]
    assert paths(answer) == ["messages[2].content[0].content[1]"]


def test_what_another_wire_says_of_thinking_and_choice_is_lost_under_its_path() -> None:
    residue = Residue(wire="openai_responses", fields={"mode": "pro"})
    answer = rendered(
        USER,
        tools=(Tool(name="look"),),
        tool_choice=ToolChoice(mode="auto", residue=residue),
        reasoning=Reasoning(effort="low", residue=residue),
    )
    assert paths(answer) == ["tool_choice.mode", "reasoning.mode"]
