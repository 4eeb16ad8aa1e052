"""Every SDK in front of an account of Codex: what is asked arrives, and what is answered comes back."""

from __future__ import annotations

from typing import Any

import pytest
from google.genai import types

from tests.backends.codex_backend import MODEL, called, said
from tests.backends.stage import CodexStage

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # gitleaks:allow
)
SYSTEM = "You are the harbour master."


async def test_openai_chat(codex: CodexStage) -> None:
    codex.backend.in_turn(said("Ahoy from the quay.", thought="A greeting."))
    async with codex.clients() as clients:
        messages: Any = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Who is there?"}]
        answer = await clients.openai.chat.completions.create(
            model=MODEL, messages=messages, reasoning_effort="high", temperature=0.2, max_tokens=99
        )
        losses = clients.headers["x-proxy-losses"]
    (turn,) = codex.backend.turns
    assert turn.told == [("developer", SYSTEM), ("user", "Who is there?")]
    assert (turn.body["model"], turn.body["reasoning"], turn.body["store"]) == (MODEL, {"effort": "high"}, False)
    assert turn.tools == []
    assert {"temperature", "max_output_tokens"}.isdisjoint(turn.body)
    assert "temperature" in losses
    assert "max_tokens" in losses
    assert answer.choices[0].message.content == "Ahoy from the quay."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == MODEL
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (30, 9)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 10
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 4


async def test_openai_responses(codex: CodexStage) -> None:
    codex.backend.in_turn(said("Ahoy from the quay.", thought="A greeting."))
    async with codex.clients() as clients:
        answer = await clients.openai.responses.create(
            model=MODEL, instructions=SYSTEM, input="Who is there?", reasoning={"effort": "low", "summary": "auto"}
        )
    (turn,) = codex.backend.turns
    assert turn.told == [("developer", SYSTEM), ("user", "Who is there?")]
    assert turn.body["reasoning"] == {"effort": "low", "summary": "auto"}
    assert answer.output_text == "Ahoy from the quay."
    thought = answer.output[0]
    assert thought.type == "reasoning"
    assert (thought.summary[0].text, thought.encrypted_content) == ("A greeting.", "gAAAAB")
    assert answer.usage is not None
    assert answer.usage.input_tokens_details.cached_tokens == 10


async def test_anthropic(codex: CodexStage) -> None:
    async with codex.clients() as clients:
        answer = await clients.anthropic.messages.create(
            model=MODEL, max_tokens=99, system=SYSTEM, messages=[{"role": "user", "content": "Who is there?"}]
        )
    (turn,) = codex.backend.turns
    assert turn.told == [("developer", SYSTEM), ("user", "Who is there?")]
    assert [block.type for block in answer.content] == ["text"]
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "Ahoy from the quay."
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (20, 10)


async def test_gemini(codex: CodexStage) -> None:
    async with codex.clients() as clients:
        config = types.GenerateContentConfig(system_instruction=SYSTEM)
        answer = await clients.gemini.models.generate_content(model=MODEL, contents="Who is there?", config=config)
    (turn,) = codex.backend.turns
    assert turn.told == [("developer", SYSTEM), ("user", "Who is there?")]
    assert answer.text == "Ahoy from the quay."
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.thoughts_token_count == 4


async def test_a_conversation_outlives_a_restart_of_the_server(codex: CodexStage) -> None:
    codex.backend.in_turn(said("Three boats.", thought="Count them."), said("Quite sure."))
    async with codex.clients() as clients:
        first = await clients.openai.responses.create(model=MODEL, input="How many boats?")
    await codex.close()
    await codex.start()
    history: Any = [{"role": "user", "content": "How many boats?"}, *(item.to_dict() for item in first.output)]
    async with codex.clients() as clients:
        await clients.openai.responses.create(model=MODEL, input=[*history, {"role": "user", "content": "Sure?"}])
    turn = codex.backend.turns[-1]
    assert [each for each, _ in turn.told] == ["user", "reasoning", "assistant", "user"]
    assert turn.items[1]["encrypted_content"] == "gAAAAB"


async def test_a_conversation_that_the_server_keeps(codex: CodexStage) -> None:
    """Codex's backend keeps nothing; what goes on from an answer goes on all the same."""
    codex.backend.in_turn(said("Three boats."), said("Quite sure."))
    async with codex.clients() as clients:
        first = await clients.openai.responses.create(model=MODEL, input="How many boats?")
        second = await clients.openai.responses.create(model=MODEL, input="Sure?", previous_response_id=first.id)
    assert second.output_text == "Quite sure."
    told = codex.backend.turns[-1].told
    assert told == [("user", "How many boats?"), ("assistant", "Three boats."), ("user", "Sure?")]
    assert len({turn.body["prompt_cache_key"] for turn in codex.backend.turns}) == 1


@pytest.mark.parametrize("model", ["gpt-6-sol", "gpt-99-of-tomorrow"])
async def test_no_history_is_made_shorter_and_tools_go_along_whatever_the_model(codex: CodexStage, model: str) -> None:
    """Codex knows the one, and speaks to it in its own way; of the other it knows nothing."""
    much = b'"input_tokens":30,', b'"input_tokens":900000,'
    codex.backend.in_turn(
        called(("call_1", "weather", {"place": "Kiel"})).replace(*much),
        said("It rains.").replace(*much),
        said("Gladly."),
    )
    async with codex.clients() as clients:
        messages: Any = [{"role": "user", "content": "What is it like?"}]
        first = await clients.openai.chat.completions.create(model=model, messages=messages, tools=TOOLS)
        calls = first.choices[0].message.tool_calls
        assert calls is not None
        assert calls[0].to_dict()["function"] == {"name": "weather", "arguments": '{"place":"Kiel"}'}
        messages += [first.choices[0].message.to_dict(), {"role": "tool", "tool_call_id": "call_1", "content": "rain"}]
        second = await clients.openai.chat.completions.create(model=model, messages=messages, tools=TOOLS)
        messages += [second.choices[0].message.to_dict(), {"role": "user", "content": "Thanks."}]
        await clients.openai.chat.completions.create(model=model, messages=messages, tools=TOOLS)
    told = [item for item in codex.backend.turns[-1].items if item["type"] != "additional_tools"]
    assert [item["type"] for item in told] == [
        "message", "function_call", "function_call_output", "message", "message",
    ]  # fmt: skip
    assert all(turn.body["model"] == model for turn in codex.backend.turns)


async def test_images_and_mid_conversation_instructions(codex: CodexStage) -> None:
    async with codex.clients() as clients:
        source: Any = {"type": "base64", "media_type": "image/png", "data": PIXEL}
        content: Any = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]
        await clients.anthropic.messages.create(
            model=MODEL, max_tokens=99, messages=[{"role": "user", "content": content}]
        )
    (turn,) = codex.backend.turns
    text, image = turn.items[0]["content"]
    assert text["text"] == "What is this?"
    assert image["image_url"] == f"data:image/png;base64,{PIXEL}"


async def test_structured_output(codex: CodexStage) -> None:
    codex.backend.in_turn(said('{"boats":3}'))
    schema: Any = {
        "type": "object",
        "properties": {"boats": {"type": "integer", "minimum": 0}},
        "required": ["boats"],
        "additionalProperties": False,
    }
    async with codex.clients() as clients:
        messages: Any = [{"role": "user", "content": "How many boats?"}]
        wanted: Any = {"type": "json_schema", "json_schema": {"name": "count", "schema": schema, "strict": True}}
        answer = await clients.openai.chat.completions.create(model=MODEL, messages=messages, response_format=wanted)
    (turn,) = codex.backend.turns
    assert (turn.body["text"]["format"]["schema"], turn.body["text"]["format"]["strict"]) == (schema, True)
    assert answer.choices[0].message.content == '{"boats":3}'


TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "Tells the weather of a place.",
            "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
        },
    }
    for name in ("weather", "mcp__harbour__tides", "exec_command")
]


async def test_parallel_calls_of_the_caller_s_tools_and_their_results(codex: CodexStage) -> None:
    kiel, rome = {"place": "Kiel"}, {"place": "Rome"}
    codex.backend.in_turn(
        called(("call_1", "weather", kiel), ("call_2", "mcp_harbour__tides", rome), thought="gAAAAC"),
        said("It rains in Kiel."),
        said("Gladly."),
    )
    async with codex.clients() as clients:
        messages: Any = [{"role": "user", "content": "What is it like?"}]
        first = await clients.openai.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
        calls = first.choices[0].message.tool_calls
        assert calls is not None
        assert [
            (call.id, call.function.name, call.function.arguments) for call in calls if call.type == "function"
        ] == [
            ("call_1", "weather", '{"place":"Kiel"}'),
            ("call_2", "mcp__harbour__tides", '{"place":"Rome"}'),
        ]
        assert first.choices[0].finish_reason == "tool_calls"
        messages += [
            first.choices[0].message.to_dict(),
            {"role": "tool", "tool_call_id": "call_2", "content": "low"},
            {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        ]
        second = await clients.openai.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
        messages += [second.choices[0].message.to_dict(), {"role": "user", "content": "Thanks."}]
        await clients.openai.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
    asked, answered, thanked = codex.backend.turns
    assert [tool["name"] for tool in asked.tools] == ["weather", "mcp_harbour__tides", "exec_command_"]
    assert asked.tools[0]["parameters"] == TOOLS[0]["function"]["parameters"]
    assert [(item["type"], item.get("call_id")) for item in answered.items[1:]] == [
        ("reasoning", None),
        ("function_call", "call_1"),
        ("function_call", "call_2"),
        ("function_call_output", "call_1"),
        ("function_call_output", "call_2"),
    ]
    assert [item["output"] for item in answered.items[-2:]] == ["rain", "low"]
    assert len({turn.body["prompt_cache_key"] for turn in codex.backend.turns}) == 1
    assert thanked.told[-2:] == [("assistant", "It rains in Kiel."), ("user", "Thanks.")]


async def test_results_that_say_more_than_text_are_told_anew(codex: CodexStage) -> None:
    codex.backend.in_turn(called(("toolu_1", "weather", {"place": "Kiel"})), said("A grey sky."))
    tools: Any = [{"name": "weather", "input_schema": TOOLS[0]["function"]["parameters"]}]
    async with codex.clients() as clients:
        messages: Any = [{"role": "user", "content": "What is it like?"}]
        first = await clients.anthropic.messages.create(model=MODEL, max_tokens=99, messages=messages, tools=tools)
        assert first.stop_reason == "tool_use"
        source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
        shown = [{"type": "text", "text": "See:"}, {"type": "image", "source": source}]
        result = {"type": "tool_result", "tool_use_id": first.content[0].to_dict()["id"], "content": shown}
        messages += [{"role": "assistant", "content": [block.to_dict() for block in first.content]}]
        messages += [{"role": "user", "content": [result, {"type": "text", "text": "And now?"}]}]
        answer = await clients.anthropic.messages.create(model=MODEL, max_tokens=99, messages=messages, tools=tools)
    assert answer.content[0].to_dict()["text"] == "A grey sky."
    told = codex.backend.turns[-1].items
    assert [item["type"] for item in told] == ["message", "function_call", "function_call_output", "message"]
    text, image = told[2]["output"]
    assert (text["text"], image["image_url"]) == ("See:", f"data:image/png;base64,{PIXEL}")


async def test_gemini_s_functions(codex: CodexStage) -> None:
    codex.backend.in_turn(called(("call_1", "weather", {"place": "Kiel"})))
    schema = TOOLS[0]["function"]["parameters"]
    function = types.FunctionDeclaration(name="weather", description="Weather.", parameters_json_schema=schema)
    async with codex.clients() as clients:
        config = types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[function])],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        answer = await clients.gemini.models.generate_content(model=MODEL, contents="What is it like?", config=config)
    assert answer.function_calls is not None
    assert [(call.name, call.args) for call in answer.function_calls] == [("weather", {"place": "Kiel"})]
    assert codex.backend.turns[0].tools[0]["parameters"] == schema
