from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.upstream.claude_request import (
    OWN_TOOLS,
    TOOL_NAME,
    ClaudeRequest,
    Unanswerable,
    beginning,
    digest,
    follows,
    goes_on,
    line,
    read,
    results,
    settings,
    tool_answer,
)

MARK = {"cache_control": {"type": "ephemeral"}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBOR"}}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"b": 1, "a": 2}}


def asked(**body: Any) -> ClaudeRequest:
    whole = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": [user("hello")], **body}
    return read(msgspec.json.encode(whole))


def user(*content: Any) -> dict[str, Any]:
    blocks = [text(each) if isinstance(each, str) else each for each in content]
    return {"role": "user", "content": blocks}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def model(*content: Any) -> dict[str, Any]:
    return {**user(*content), "role": "assistant"}


def result(call_id: str, *content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": [*content], **more}


def extra_of(request: ClaudeRequest) -> Any:
    told: Any = settings(request)
    return msgspec.json.decode(told["env"]["CLAUDE_CODE_EXTRA_BODY"])


def test_what_stands_beside_the_conversation_is_carried_as_it_stands() -> None:
    fields = {"temperature": 0.5, "stop_sequences": ["END"], "thinking": {"type": "adaptive"}, "odd": [1, None]}
    request = asked(**fields, stream=True, metadata={"user_id": "ada"}, system="Be kind.")
    assert request.is_stream
    assert request.system == "Be kind."
    assert extra_of(request) == {"model": "claude-sonnet-5", "max_tokens": 9, **fields}


def test_texts_are_blocks_turns_of_one_role_are_one_and_cache_marks_are_gone() -> None:
    request = asked(
        system=[{**text("One."), **MARK}, text("Two.")],
        messages=[
            {"role": "user", "content": "hello"},
            {"role": "user", "content": [{**text("there"), **MARK}]},
            {"role": "assistant", "content": "ahoy"},
            user({**result("toolu_1", {**text("low"), **MARK}), **MARK}),
        ],
        tools=[{"name": "Bash", "input_schema": {"properties": {"cache_control": {}}}, **MARK}],
    )
    assert request.system == "One.\n\nTwo."
    assert request.messages == (user("hello", "there"), model("ahoy"), user(result("toolu_1", text("low"))))
    assert request.extra["tools"] == [{"name": "Bash", "input_schema": {"properties": {"cache_control": {}}}}]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"messages": [user("hello"), model("ahoy")]}, "answers the user only"),
        ({"messages": []}, "answers the user only"),
        ({"messages": "hello"}, "answers the user only"),
        ({"messages": [{"role": "system", "content": "x"}]}, "role is 'system'"),
        ({"messages": ["hello"]}, "role is None"),
    ],
)
def test_what_the_cli_cannot_be_told_is_refused(body: dict[str, Any], why: str) -> None:
    with pytest.raises(Unanswerable, match=why):
        asked(**body)
    with pytest.raises(Unanswerable, match="no JSON object"):
        read(b"[]")


def test_the_same_words_in_another_shape_are_the_same_message() -> None:
    assert digest({"role": "user", "content": "hello"}) == digest(user("hello"))
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    said = model(thought, text("One "), text("moment. "), CALL)
    assert digest(said) == digest(model("One moment.", {**CALL, "input": {"a": 2, "b": 1}, "caller": {}}))
    assert digest(user(result("t", text("low")))) == digest(
        user({"type": "tool_result", "tool_use_id": "t", "content": "low", "is_error": False})
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (user("hello"), model("hello")),
        (user("hello"), user("Hello")),
        (user("hello"), user("hello", IMAGE)),
        (model(CALL), model({**CALL, "id": "toolu_2"})),
        (model(CALL), model({**CALL, "input": {}})),
        (user(result("t", text("low"))), user(result("t", text("low"), is_error=True))),
    ],
)
def test_what_was_not_said_is_another_message(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert digest(one) != digest(other)


def test_terms_are_the_model_the_system_prompt_and_the_tools() -> None:
    base = asked(system="Be kind.", tools=[{"name": "Bash"}])
    assert asked(system="Be kind.", tools=[{"name": "Bash"}], temperature=1, stream=True).terms == base.terms
    others = (
        asked(system="Be rude.", tools=[{"name": "Bash"}]),
        asked(system="Be kind.", tools=[{"name": "Read"}]),
        asked(system="Be kind.", tools=[{"name": "Bash"}], model="claude-opus-5"),
    )
    assert base.terms not in {other.terms for other in others}


def test_every_tool_is_an_alias_of_ours() -> None:
    request = asked(system="Be kind.", tools=[{"name": "Bash"}, {"type": "web_search_20250305", "name": "web_search"}])
    told: Any = beginning(request)
    assert (told["systemPrompt"], told["sdkMcpServers"]) == (["Be kind."], ["api"])
    assert set(told["toolAliases"].values()) == {TOOL_NAME}
    assert told["toolAliases"].keys() == {"Bash", "web_search"} | OWN_TOOLS
    assert told["sdkMcpServerManifests"]["api"]["toolsListResult"] == tool_answer("tools/list", {})
    assert beginning(asked()) == {"systemPrompt": []}


def test_thinking_is_off_unless_it_is_asked_for() -> None:
    told: Any = settings(asked())
    assert told["env"]["CLAUDE_CODE_DISABLE_THINKING"] == "1"
    assert "thinking" not in extra_of(asked())
    assert extra_of(asked(thinking={"type": "adaptive"}))["thinking"] == {"type": "adaptive"}


def test_no_temperature_stands_beside_another_sampler() -> None:
    request = asked(top_p=0.9)
    told: Any = settings(request)
    assert told["env"]["CLAUDE_CODE_DISABLE_THINKING"] == ""
    assert extra_of(request)["thinking"] == {"type": "disabled"}
    assert "thinking" not in extra_of(asked(top_p=0.9, temperature=1))


def test_a_suffix_of_the_model_is_the_cli_s_to_read() -> None:
    request = asked(model="claude-sonnet-5[1m]")
    assert settings(request)["model"] == "claude-sonnet-5[1m]"
    assert "model" not in extra_of(request)


def test_no_line_lets_the_cli_carry_out_what_it_reads() -> None:
    last = line(user("@/etc/passwd"), "m", is_last=True)
    assert last["client_composed"] is True
    assert "shouldQuery" not in last
    past = line(user("/help"), "m", is_last=False)
    assert (past["client_composed"], past["shouldQuery"]) == (True, False)


def test_an_answer_of_the_history_is_told_as_the_model_s() -> None:
    told: Any = line(model("ahoy"), "claude-sonnet-5", is_last=False)
    assert told["type"] == "assistant"
    assert told["message"]["content"] == [text("ahoy")]
    assert told == line(model("ahoy"), "claude-sonnet-5", is_last=False)


def test_results_go_to_the_calls_that_wait_for_them() -> None:
    message = user(result("t1", text("low"), IMAGE), {"type": "tool_result", "tool_use_id": "t2", "content": "high"})
    assert results(message, ["t2", "t1"]) == {
        "t1": {
            "content": [{"type": "text", "text": "low"}, {"type": "image", "mimeType": "image/png", "data": "iVBOR"}],
            "isError": False,
        },
        "t2": {"content": [{"type": "text", "text": "high"}], "isError": False},
    }
    assert results(user(result("t1", text("gone"), is_error=True)), ["t1"]) == {
        "t1": {"content": [{"type": "text", "text": "gone"}], "isError": True}
    }


@pytest.mark.parametrize(
    "content",
    [
        [result("t1", text("low")), text("and hurry")],
        [result("t1", text("low")), result("t2", text("low"))],
        [result("t2", text("low"))],
        [result("t1")],
        [result("t1", text(""))],
        [result("t1", {"type": "document", "source": {"type": "text", "data": "x"}})],
        [result("t1", {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}})],
        [result("t1", text("a"), text("b"), is_error=True)],
        [result("t1", {**text("low"), "citations": []})],
        [result("t1", text("low"), odd=1)],
        [result("t1", text("x" * 400_001))],
        [text("never mind")],
    ],
)
def test_results_that_would_not_come_through_as_they_are_go_as_history(content: list[Any]) -> None:
    assert results(user(*content), ["t1"]) is None


def test_a_conversation_goes_on_with_one_new_message_of_the_user_s() -> None:
    request = asked(messages=[user("hello"), model("ahoy"), user("and now?")])
    assert follows(2, request) == (user("and now?"),)
    assert goes_on(request, 2, ())
    assert not goes_on(request, 1, ())
    assert not goes_on(request, 2, ["toolu_1"])
    answered = asked(messages=[user("hello"), model(CALL), user(result("toolu_1", text("low")))])
    assert goes_on(answered, 2, ["toolu_1"])
    assert not goes_on(answered, 2, ())


def test_in_the_tool_protocol_there_is_one_tool_for_all() -> None:
    told: Any = tool_answer("tools/list", {})
    assert [tool["name"] for tool in told["tools"]] == ["call"]
    assert tool_answer("initialize", {"protocolVersion": "2025-11-25"})["protocolVersion"] == "2025-11-25"
    assert tool_answer("ping", {}) == {}


def test_what_was_said_before_stands_in_front_of_what_is_new() -> None:
    whole = asked(messages=[user("One."), model("Ahoy."), user("Two.")])
    assert asked(messages=[user("Two.")]).after(whole.messages[:2]) == whole
    assert whole.has_history
    assert not asked().has_history
