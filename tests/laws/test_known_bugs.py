"""Bugs that other proxies had (wires.md §5), where two wires meet. `test_bug_registry` tells where each number is held.

What one wire alone can get wrong is tested beside that wire.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.dispatch.recall import Recall
from proxy.hub.effort import BUDGETS
from proxy.hub.events import Failure, ResponseEnd
from proxy.hub.fold import explode
from proxy.hub.parts import Media, Opaque, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import (
    Effort,
    Message,
    Mode,
    OutputFormat,
    Reasoning,
    Request,
    Sampling,
    Tool,
    ToolChoice,
)
from proxy.hub.residue import JsonObject
from proxy.hub.response import Finish, FinishReason, Response, Usage
from proxy.providers.profiles import profile_of
from proxy.wire.base import Wire
from proxy.wire.table import WIRES, wire_named
from tests.laws.across import (
    asked,
    both,
    by_client,
    by_pair,
    by_upstream,
    followed,
    heard,
    received,
    rendered_events,
    sent,
    spoken,
    streamed,
    text_of,
    told,
)
from tests.laws.answers import REPLY
from tests.laws.targets import able
from tests.laws.validity import JUDGES

ANTHROPIC, GEMINI = wire_named("anthropic"), wire_named("gemini")
CHAT, RESPONSES = wire_named("openai_chat"), wire_named("openai_responses")
BLOB = "U0VDUkVUU0lHTkFUVVJF"
"""A signature; looked for in whole bodies."""
SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"at": {"type": "string"}},
    "required": ["at"],
    "additionalProperties": False,
}
LOOK, NOW = Tool(name="look", description="Looks.", schema=SCHEMA), Tool(name="now", schema=None)
ONE_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def user(*texts: str) -> Message:
    return Message(role="user", parts=tuple(Text(text=text) for text in texts))


def calls(*which: ToolCall) -> Message:
    return Message(role="assistant", parts=which)


def results(*which: ToolResult) -> Message:
    return Message(role="tool", parts=which)


def result(call_id: str, *texts: str) -> ToolResult:
    return ToolResult(call_id=call_id, parts=tuple(Text(text=text) for text in texts))


def complaints(body: JsonObject, upstream: Wire) -> list[str]:
    return list(JUDGES[upstream.name](body, able(upstream)))


def tool_calls(response: Response | Request) -> list[ToolCall]:
    if isinstance(response, Response):
        return [part for part in response.parts if isinstance(part, ToolCall)]
    return [part for message in response.messages for part in message.parts if isinstance(part, ToolCall)]


def tool_results(request: Request) -> list[ToolResult]:
    return [part for message in request.messages for part in message.parts if isinstance(part, ToolResult)]


def said(response: Response) -> str:
    return "".join(part.text for part in response.parts if isinstance(part, Text | Refusal))


def response(*parts: Text | Thinking | ToolCall | Opaque, reason: FinishReason = "stop", **more: object) -> Response:
    return Response(id="r", model="m", parts=parts, finish=Finish(reason), **more)  # type: ignore[arg-type]  # fields are given by name


# Thinking and signatures


@by_client
def test_bug_01_signed_text_is_text_for_every_client(client: Wire) -> None:
    signed = response(Text(text="Hello.", signature=BLOB, origin="gemini"))
    for each in both(signed, GEMINI, client):
        assert said(each) == "Hello."
        assert not any(part.text for part in each.parts if isinstance(part, Thinking))


@by_client
@pytest.mark.parametrize("maker", [wire.name for wire in WIRES])
def test_bug_03_after_a_switch_of_models_a_signature_goes_to_nobody_else(client: Wire, maker: str) -> None:
    thought = Thinking(sections=("Hm.",), signature=BLOB, origin=maker)
    turn = Message(role="assistant", parts=(thought, Text(text="Hello.")))
    brought = spoken(Request(model="m", messages=(user("Hi."), turn, user("And?"))), client)
    for upstream in WIRES:
        if upstream.name == maker:
            continue
        body = text_of(upstream.render_request(brought, able(upstream)).body)
        assert (BLOB in body, "Hello." in body) == (False, True)


@by_client
@pytest.mark.parametrize("signature", [None, ""])
def test_bug_04_no_thinking_without_its_own_signature_reaches_claude(client: Wire, signature: str | None) -> None:
    thought = Thinking(sections=("Hm.",), signature=signature, origin="openai_chat")
    turn = Message(role="assistant", parts=(thought, Text(text="Hello.")))
    body = sent(Request(model="m", messages=(user("Hi."), turn, user("And?"))), client, ANTHROPIC).body
    assert '"type":"thinking"' not in text_of(body)
    assert complaints(body, ANTHROPIC) == []


@by_client
def test_bug_07_claude_is_not_forced_while_it_thinks(client: Wire) -> None:
    request = asked(
        tools=(LOOK,), tool_choice=ToolChoice(mode="required"), reasoning=Reasoning(effort="high"),
        sampling=Sampling(max_output_tokens=9000),
    )  # fmt: skip
    for model in ("claude-haiku-4-5", "claude-opus-4-6", "claude-sonnet-5"):
        profile = profile_of("anthropic", model)
        rendered = sent(request, client, ANTHROPIC, profile)
        assert list(JUDGES["anthropic"](rendered.body, profile)) == []
        if client is not ANTHROPIC:  # which would not have asked for both
            assert {loss.path for loss in rendered.losses} & {"reasoning", "tool_choice"}


@by_client
@pytest.mark.parametrize("tokens", [1, 1024, 1025, 4000])
def test_bug_08_the_budget_is_less_than_the_limit(client: Wire, tokens: int) -> None:
    profile = profile_of("anthropic", "claude-haiku-4-5")
    request = asked(reasoning=Reasoning(effort="high"), sampling=Sampling(max_output_tokens=tokens))
    body = sent(request, client, ANTHROPIC, profile).body
    assert list(JUDGES["anthropic"](body, profile)) == []


@by_pair
@pytest.mark.parametrize("effort", ["low", "medium", "high"])
def test_bug_09_a_level_stays_that_level(client: Wire, upstream: Wire, effort: Effort) -> None:
    rendered = sent(asked(reasoning=Reasoning(effort=effort)), client, upstream)
    reasoning = received(rendered, upstream).reasoning
    assert reasoning is not None
    assert reasoning.effort == effort or reasoning.budget_tokens == BUDGETS[effort]


@by_pair
def test_bug_10_none_is_none_or_the_least(client: Wire, upstream: Wire) -> None:
    if client is GEMINI:  # has no word for it but a budget of nothing
        request = client.parse_request(
            {"contents": [], "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, model="m"
        )
    else:
        request = spoken(asked(reasoning=Reasoning(effort="none")), client)
    can = replace(able(upstream), thinking="budget" if upstream is GEMINI else "effort")
    cannot = replace(can, can_stop_thinking=False, efforts=("low", "high"), budget_tokens_min=1024)
    for profile, levels in ((can, ("none", 0)), (cannot, ("low", 1024))):
        rendered = upstream.render_request(request, profile)
        reasoning = received(rendered, upstream).reasoning
        assert reasoning is not None
        assert {reasoning.effort, reasoning.budget_tokens} & {*levels}
        assert bool(rendered.losses) is (profile is cannot)


def test_bug_14_what_chat_has_no_room_for_is_kept_for_the_client() -> None:
    """And where it was lost, Gemini gets the word that lets the call pass without."""
    call = ToolCall(id="call_1", name="look", arguments='{"at":"x"}', signature=BLOB, origin="gemini")
    recall = Recall()
    recall.remember("a client", heard(response(call), GEMINI, CHAT).parts, now=0)
    recall.remember("a client", (call,), now=0)
    body: JsonObject = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "Go."},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at":"x"}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "seen"},
        ],
    }
    profile = profile_of("gemini", "gemini-3-pro-preview")
    brought = CHAT.parse_request(body)
    kept = recall.restore("a client", brought, maker="gemini", now=1)
    assert BLOB in text_of(GEMINI.render_request(kept, profile).body)
    stranger = recall.restore("another client", brought, maker="gemini", now=1)
    assert "skip_thought_signature_validator" in text_of(GEMINI.render_request(stranger, profile).body)


# Tool calls


@by_pair
def test_bug_24_and_25_parallel_calls_stay_apart_and_in_order(client: Wire, upstream: Wire) -> None:
    two = [ToolCall(id=f"call_{at}", name="look", arguments=f'{{"at":"{at}"}}') for at in "ab"]
    for each in both(response(Text(text="So."), *two, reason="tool_calls"), upstream, client):
        assert [(call.id, call.name, call.arguments) for call in tool_calls(each)] == [
            (call.id, call.name, call.arguments) for call in two
        ]


@by_client
@pytest.mark.parametrize("upstream", [CHAT, GEMINI], ids=["openai_chat", "gemini"])
def test_bug_26_and_28_calls_without_ids_get_ids_that_differ_and_stay(client: Wire, upstream: Wire) -> None:
    same = ToolCall(id="", name="look", arguments='{"at":"x"}')
    for _ in range(2):
        found = [tool_calls(each) for each in both(response(same, same, reason="tool_calls"), upstream, client)]
        ids = {tuple(call.id for call in each) for each in found}
        assert len(ids) == 1, "a stream gives the same ids as a whole answer"
        assert len(set(*ids)) == 2
        assert all(*ids)


@by_pair
@pytest.mark.parametrize("call_id", ["functions.look:0", "x" * 200, "ünï", "a b", "call|1"])
def test_bug_27_ids_are_legal_and_results_match_their_calls(client: Wire, upstream: Wire, call_id: str) -> None:
    request = Request(
        model="m",
        messages=(
            user("Go."),
            calls(ToolCall(id=call_id, name="look"), ToolCall(id=call_id + "2", name="look")),
            results(result(call_id, "one"), result(call_id + "2", "two")),
        ),
        tools=(LOOK,),
    )
    body = upstream.render_request(spoken(request, client), able(upstream)).body
    assert complaints(body, upstream) == []
    seen = upstream.parse_request(body, model="m")
    assert [call.id for call in tool_calls(seen)] == [each.call_id for each in tool_results(seen)]


@by_client
def test_bug_29_a_result_bears_the_name_of_its_call(client: Wire) -> None:
    messages = (user("Go."), calls(ToolCall(id="call_1", name="look")), results(result("call_1", "seen")))
    body = sent(Request(model="m", messages=messages, tools=(LOOK,)), client, GEMINI).body
    assert [each.name for each in tool_results(GEMINI.parse_request(body, model="m"))] == ["look"]


@by_upstream
def test_bug_30_and_31_every_call_has_one_result_and_every_result_a_call(upstream: Wire) -> None:
    messages = (
        user("Go."),
        user("Do."),
        calls(ToolCall(id="a", name="look"), ToolCall(id="b", name="look"), ToolCall(id="c", name="look")),
        user("By the way."),
        results(result("b", "2"), result("x", "nobody's"), result("a", "1"), result("b", "again")),
        Message(role="assistant", parts=(Text(text="Fine."),)),
        user("Well?"),
    )
    rendered = upstream.render_request(Request(model="m", messages=messages, tools=(LOOK,)), able(upstream))
    assert complaints(rendered.body, upstream) == []
    found = tool_results(received(rendered, upstream))
    assert [each.call_id for each in found] == ["a", "b", "c"]
    assert "nobody's" not in text_of(rendered.body)
    assert [loss.what for loss in rendered.losses].count("tool result") == 2


@by_pair
def test_bug_32_and_34_a_call_alone_has_no_empty_text_and_an_empty_object(client: Wire, upstream: Wire) -> None:
    messages = (user("Go."), calls(ToolCall(id="a", name="now", arguments="")), results(result("a", "noon")))
    body = sent(Request(model="m", messages=messages, tools=(NOW,)), client, upstream).body
    (call,) = tool_calls(upstream.parse_request(body, model="m"))
    assert (call.arguments or "{}") == "{}"
    assert '"text":""' not in text_of(body)
    assert '"content":""' not in text_of(body)
    assert complaints(body, upstream) == []


@by_pair
@pytest.mark.parametrize("arguments", ['{"at":', "[1]", "null", '"x"', "look!", "[" * 5000])
def test_bug_35_arguments_that_are_no_object_pass(client: Wire, upstream: Wire, arguments: str) -> None:
    broken = ToolCall(id="a", name="look", arguments=arguments)
    messages = (user("Go."), calls(broken), results(result("a", "?")))
    rendered = sent(Request(model="m", messages=messages, tools=(LOOK,)), client, upstream)
    assert complaints(rendered.body, upstream) == []
    for each in both(response(broken, reason="tool_calls"), upstream, client):
        assert [call.name for call in tool_calls(each)] == ["look"]


@by_pair
def test_bug_38_the_parallel_switch_arrives_or_is_told(client: Wire, upstream: Wire) -> None:
    if client is GEMINI:  # has no such switch
        return
    rendered = sent(asked(tools=(LOOK,), tool_choice=ToolChoice(is_parallel=False)), client, upstream)
    choice = received(rendered, upstream).tool_choice
    arrived = choice is not None and choice.is_parallel is False
    assert arrived is not any(loss.path == "parallel_tool_calls" for loss in rendered.losses)
    assert arrived is (upstream is not GEMINI)
    assert not sent(asked(tool_choice=ToolChoice(is_parallel=False)), client, upstream).body.keys() & {
        "tool_choice", "parallel_tool_calls", "toolConfig",
    }  # fmt: skip


@by_pair
@pytest.mark.parametrize("mode", ["auto", "none", "required", "named"])
def test_bug_39_no_choice_where_there_are_no_tools(client: Wire, upstream: Wire, mode: Mode) -> None:
    choice = ToolChoice(mode=mode, names=("look",) if mode == "named" else ())
    brought = replace(spoken(asked(tools=(LOOK,), tool_choice=choice), client), tools=())
    body = upstream.render_request(brought, able(upstream)).body
    assert not body.keys() & {"tools", "tool_choice", "toolConfig", "parallel_tool_calls"}


@by_pair
@pytest.mark.parametrize("is_strict", [None, True])
@pytest.mark.parametrize("mode", ["none", "required", "named"])
def test_bug_40_a_choice_is_that_choice(client: Wire, upstream: Wire, mode: Mode, is_strict: bool | None) -> None:
    choice = ToolChoice(mode=mode, names=("look",) if mode == "named" else ())
    tools = (replace(LOOK, is_strict=is_strict), NOW)
    rendered = sent(asked(tools=tools, tool_choice=choice), client, upstream)
    arrived = received(rendered, upstream).tool_choice
    assert arrived is not None
    names = tuple(map(rendered.names.to_client, arrived.names))
    assert (arrived.mode, names) == (choice.mode, choice.names) or (
        mode == "named" and (arrived.mode, names) == ("required", choice.names)
    )
    assert [loss for loss in rendered.losses if loss.path.startswith("tool_choice")] == []


@by_pair
def test_bug_41_names_are_legal_distinct_and_come_back(client: Wire, upstream: Wire) -> None:
    names = ["a.b", "a_b", "a b", "1st", "mcp__x" * 20, "mcp__x" * 20 + "y", "ümläut"]
    request = Request(model="m", messages=(user("Go."),), tools=tuple(Tool(name=name, schema=SCHEMA) for name in names))
    asks = client.parse_request(client.render_request(request, able(client)).body, model="m")
    asks = replace(asks, tools=request.tools)  # whatever a client's own wire would have allowed
    rendered = upstream.render_request(asks, able(upstream))
    assert complaints(rendered.body, upstream) == []
    there = [tool.name for tool in received(rendered, upstream).tools if isinstance(tool, Tool)]
    assert len(set(there)) == len(names)
    assert [rendered.names.to_client(name) for name in there] == names


@pytest.mark.parametrize("client", [CHAT, RESPONSES], ids=["openai_chat", "openai_responses"])
@pytest.mark.parametrize("upstream", [ANTHROPIC, GEMINI], ids=["anthropic", "gemini"])
def test_bug_43_a_custom_tool_comes_back_as_free_text(client: Wire, upstream: Wire) -> None:
    request = spoken(asked(tools=(Tool(name="patch", description="Edits.", is_custom=True),)), client)
    seen = received(upstream.render_request(request, able(upstream)), upstream).tools
    (tool,) = seen
    assert isinstance(tool, Tool)
    assert (tool.is_custom, tool.name) == (False, "patch")
    wrapped = ToolCall(id="a", name="patch", arguments='{"input":"*** Begin\\n\\"x\\""}')
    for each in both(response(wrapped, reason="tool_calls"), upstream, client, request):
        (call,) = tool_calls(each)
        assert (call.is_custom, call.arguments) == (True, '*** Begin\n"x"')


@by_pair
def test_bug_45_a_call_that_the_upstream_runs_itself_is_no_clients_call(client: Wire, upstream: Wire) -> None:
    hosted: dict[str, JsonObject] = {
        "anthropic": {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        "openai_chat": {"type": "web_search", "id": "ws_1", "web_search": {"query": "x"}},
        "openai_responses": {
            "type": "web_search_call",
            "id": "ws_1",
            "status": "completed",
            "action": {"type": "search", "query": "x"},
        },
        "gemini": {"executableCode": {"language": "PYTHON", "code": "1"}},
    }
    opaque = Opaque(wire=upstream.name, kind="hosted", value=hosted[upstream.name])
    for each in both(response(opaque, Text(text="Found.")), upstream, client):
        assert tool_calls(each) == []
        assert each.finish is not None
        assert (each.finish.reason, said(each)) == ("stop", "Found.")


# Schema, content, media


def test_bug_46_one_schema_cleaner_for_all_clients() -> None:
    schema: JsonObject = {
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"]},
            "b": {"if": {"type": "string"}, "then": {"minLength": 1}},
            "c": {"const": 4},
        },
        "required": ["a"],
        "additionalProperties": False,
    }
    profile = replace(able(GEMINI), has_full_schema=False)
    request = asked(tools=(Tool(name="look", schema=schema),))
    clients = [client for client in WIRES if client is not GEMINI]
    bodies = [sent(request, client, GEMINI, profile).body["tools"] for client in clients]
    assert bodies[0] == bodies[1] == bodies[2]
    assert '"required":["a"]' in text_of(bodies[0])
    assert all(list(JUDGES["gemini"](sent(request, each, GEMINI, profile).body, profile)) == [] for each in clients)


@by_pair
def test_bug_48_an_image_stays_with_its_own_result(client: Wire, upstream: Wire) -> None:
    image = Media(kind="image", media_type="image/png", data=ONE_PIXEL)
    with_image = ToolResult(call_id="b", parts=(Text(text="two"), image))
    two = (ToolCall(id="a", name="look"), ToolCall(id="b", name="look"))
    request = Request(model="m", messages=(user("Go."), calls(*two), results(result("a", "one"), with_image)))
    rendered = sent(request, client, upstream)
    assert complaints(rendered.body, upstream) == []
    first, second = tool_results(received(rendered, upstream))
    assert not any(isinstance(part, Media) for part in first.parts)
    has_image = any(isinstance(part, Media) for part in second.parts)
    texts = " ".join(part.text for part in second.parts if isinstance(part, Text))
    assert has_image or "image" in texts
    assert text_of(rendered.body).count(ONE_PIXEL) == 1


@by_pair
def test_bug_49_an_empty_result_is_a_result(client: Wire, upstream: Wire) -> None:
    messages = (user("Go."), calls(ToolCall(id="a", name="look")), results(ToolResult(call_id="a")))
    body = sent(Request(model="m", messages=messages, tools=(LOOK,)), client, upstream).body
    assert complaints(body, upstream) == []
    (only,) = tool_results(upstream.parse_request(body, model="m"))
    assert "".join(part.text for part in only.parts if isinstance(part, Text)) == ""


@by_upstream
def test_bug_50_empty_texts_are_dropped(upstream: Wire) -> None:
    empty = Text(text="")
    turns = (Message(role="user", parts=(empty, Text(text="Go."))), Message(role="assistant", parts=(empty,)))
    request = Request(model="m", instructions=(empty,), messages=(*turns, user("So?")))
    body = upstream.render_request(request, able(upstream)).body
    assert complaints(body, upstream) == []
    assert not body.keys() & {"system", "instructions", "systemInstruction"}
    assert '"text":""' not in text_of(body)


@by_pair
def test_bug_53_a_format_of_output_arrives(client: Wire, upstream: Wire) -> None:
    form = OutputFormat(kind="json_schema", schema=SCHEMA, name="answer")
    output = received(sent(asked(output=form), client, upstream), upstream).output
    assert output is not None
    assert (output.kind, output.schema) == ("json_schema", SCHEMA)
    poor = replace(able(upstream), has_json_schema=False)
    rendered = sent(asked(output=form), client, upstream, poor)
    assert '\\"required\\":[\\"at\\"]' in text_of(rendered.body) or '"required":["at"]' in text_of(rendered.body)
    assert [loss for loss in rendered.losses if loss.path.startswith("response_format")]


@by_pair
def test_bug_54_the_limit_arrives(client: Wire, upstream: Wire) -> None:
    rendered = sent(asked(sampling=Sampling(max_output_tokens=1234)), client, upstream)
    assert received(rendered, upstream).sampling.max_output_tokens == 1234


@by_pair
def test_bug_55_what_a_model_refuses_is_left_out_and_told(client: Wire, upstream: Wire) -> None:
    request = asked(sampling=Sampling(max_output_tokens=99, temperature=0.5, top_p=0.9))
    rendered = sent(request, client, upstream, replace(able(upstream), sampling=frozenset()))
    assert received(rendered, upstream).sampling == Sampling(max_output_tokens=99)
    assert {loss.path for loss in rendered.losses} == {"temperature", "top_p"}


# Usage, stops, streams, errors


@by_pair
def test_bug_56_57_58_and_60_every_token_is_counted_once(client: Wire, upstream: Wire) -> None:
    """Whole and streamed; what the upstream's wire can tell."""
    usage = Usage(input_uncached=10, cache_read=100, output=20, reasoning=7)
    full = response(Text(text="So."), usage=usage)
    for each in both(full, upstream, client):
        assert each.usage is not None
        found = (each.usage.input_total, each.usage.cache_read, each.usage.output_total, each.usage.reasoning)
        assert found == (110, 100, 27, 7)


@pytest.mark.parametrize("upstream", [ANTHROPIC, CHAT, GEMINI], ids=["anthropic", "openai_chat", "gemini"])
def test_bug_59_details_of_usage_are_always_there_in_responses(upstream: Wire) -> None:
    body, _ = told(response(Text(text="So."), usage=Usage(input_uncached=1, output=1)), upstream, RESPONSES)
    usage = body["usage"]
    assert isinstance(usage, dict)
    assert usage.keys() >= {"input_tokens_details", "output_tokens_details", "total_tokens"}


@by_pair
@pytest.mark.parametrize("reason", ["stop", "tool_calls", "length", "refusal"])
def test_bug_61_an_answer_ends_for_its_own_reason(client: Wire, upstream: Wire, reason: FinishReason) -> None:
    call = (ToolCall(id="a", name="look"),) if reason == "tool_calls" else ()
    for each in both(response(Text(text="So."), *call, reason=reason), upstream, client):
        assert each.finish is not None
        assert each.finish.reason == reason


@by_pair
@pytest.mark.parametrize("arguments", ['{"at":"he', ""])
def test_bug_62_a_call_that_was_cut_is_not_told_as_whole(client: Wire, upstream: Wire, arguments: str) -> None:
    """Either there is no call, or what came is as broken as it was, and its item incomplete."""
    del upstream  # how it came does not matter: every wire's reader says the same
    cut = response(Text(text="So."), ToolCall(id="a", name="look", arguments=arguments), reason="length")
    body = client.render_response(cut, REPLY).body
    stream = rendered_events(list(explode(cut)), client).decode()
    for each in (client.parse_response(body, maker=client.name), followed(stream.encode(), client)):
        assert each.finish is not None
        assert each.finish.reason == "length"
    if client is RESPONSES:
        assert '"status":"incomplete","type":"function_call"' in text_of(body)
        assert '"status":"completed","type":"function_call"' not in stream
    else:
        assert tool_calls(client.parse_response(body, maker=client.name)) == []
    if client is GEMINI:
        assert "functionCall" not in stream


@by_pair
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_bug_63_a_broken_end_is_an_error_for_every_client(client: Wire, upstream: Wire, kept: float) -> None:
    writer, reader = upstream.stream_renderer(REPLY), upstream.stream_parser(maker=upstream.name)
    data = [writer.feed(event) for event in explode(response(Text(text="So. " * 9)))]
    cut = b"".join(data)[: int(len(b"".join(data)) * kept)]
    events = [*reader.feed(cut), *reader.finish()]
    assert isinstance(events[-1], Failure)
    assert not any(isinstance(event, ResponseEnd) for event in events)
    stream = rendered_events(events, client).decode()
    assert "error" in stream
    assert not any(word in stream for word in ("[DONE]", "message_stop", "response.completed", "finishReason"))


@by_client
def test_bug_65_an_error_in_mid_stream_has_the_clients_form(client: Wire) -> None:
    failure = Failure(kind="overloaded", status=529, message="Overloaded")
    begun = list(explode(response(Text(text="So."))))[:2]
    last = rendered_events([*begun, failure], client).decode().strip().split("\n\n")[-1].split("\r\n\r\n")[-1]
    told_as = {
        "anthropic": '"type":"overloaded_error"',
        "openai_chat": '"code":"server_is_overloaded"',
        "openai_responses": '"type":"response.failed"',
        "gemini": '"status":"UNAVAILABLE"',
    }
    assert told_as[client.name] in last


@by_pair
def test_bug_66_there_is_one_start_and_one_end(client: Wire, upstream: Wire) -> None:
    stream = streamed(response(Thinking(sections=("Hm.",), origin="x"), Text(text="So.")), upstream, client).decode()
    for word in ('"type":"message_start"', '"type":"message_stop"', '"type":"response.created"', "[DONE]"):
        assert stream.count(word) <= 1
    for word in ('"finish_reason":"', '"finishReason"', '"type":"response.completed"'):
        assert stream.count(word) <= 1


@by_pair
def test_bug_70_cache_marks_only_where_they_are_taken(client: Wire, upstream: Wire) -> None:
    body = sent(asked(tools=(LOOK, NOW)), client, upstream, replace(able(upstream), has_cache_marks=False)).body
    text = text_of(body)
    assert "cache_control" not in text
    assert "prompt_cache_breakpoint" not in text
    assert text.index('"look"') < text.index('"now"')
