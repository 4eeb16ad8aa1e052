"""Every SDK in front of an account of Codex: what is asked arrives, and what is answered comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.genai import types

from tests.backends.codex_backend import MODEL, called, pieces, said
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


async def test_what_is_said_comes_as_it_is_said(codex: CodexStage) -> None:
    """The rest of the answer waits until the first words have arrived, in each dialect."""
    held = asyncio.Event()

    def slowly(_turn: object) -> list[object]:
        held.clear()
        begun, words, ended = pieces("Ahoy from the quay.")
        return [begun, words, held, ended]

    codex.backend.plays = slowly
    async with codex.clients() as clients, asyncio.timeout(60):
        messages: Any = [{"role": "user", "content": "Who is there?"}]
        told = []
        async for chunk in await clients.openai.chat.completions.create(model=MODEL, messages=messages, stream=True):
            if chunk.choices and chunk.choices[0].delta.content:
                told.append(chunk.choices[0].delta.content)
                held.set()
        async for event in await clients.openai.responses.create(model=MODEL, input="Who is there?", stream=True):
            if event.type == "response.output_text.delta":
                told.append(event.delta)
                held.set()
        async with clients.anthropic.messages.stream(model=MODEL, max_tokens=99, messages=messages) as stream:
            async for text in stream.text_stream:
                told.append(text)
                held.set()
        async for part in await clients.gemini.models.generate_content_stream(model=MODEL, contents="Who is there?"):
            if part.text:
                told.append(part.text)
                held.set()
    assert told == ["Ahoy from the quay."] * 4


async def test_a_conversation_goes_on_in_its_thread_and_nothing_is_told_twice(codex: CodexStage) -> None:
    codex.backend.in_turn(*(said(f"Answer {number}.") for number in range(5)))
    async with codex.clients() as clients:
        messages: Any = [{"role": "system", "content": SYSTEM}]
        for number in range(5):
            messages.append({"role": "user", "content": f"Question {number}?"})
            answer = await clients.openai.chat.completions.create(model=MODEL, messages=messages)
            messages.append({"role": "assistant", "content": answer.choices[0].message.content})
    assert len({turn.body["prompt_cache_key"] for turn in codex.backend.turns}) == 1
    assert codex.backend.turns[-1].told == [
        ("developer", SYSTEM),
        *(
            each
            for number in range(4)
            for each in (("user", f"Question {number}?"), ("assistant", f"Answer {number}."))
        ),
        ("user", "Question 4?"),
    ]


async def test_an_edited_history_is_told_anew(codex: CodexStage) -> None:
    codex.backend.in_turn(said("Three boats."), said("Two boats then."))
    async with codex.clients() as clients:
        first: Any = [{"role": "user", "content": "How many boats?"}]
        await clients.openai.chat.completions.create(model=MODEL, messages=first)
        edited: Any = [*first, {"role": "assistant", "content": "Two boats."}, {"role": "user", "content": "Sure?"}]
        await clients.openai.chat.completions.create(model=MODEL, messages=edited)
    one, other = codex.backend.turns
    assert other.told == [("user", "How many boats?"), ("assistant", "Two boats."), ("user", "Sure?")]
    assert one.body["prompt_cache_key"] != other.body["prompt_cache_key"]


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


async def test_a_conversation_is_resumed_by_its_name_alone(codex: CodexStage) -> None:
    codex.backend.in_turn(said("Three boats.", thought="Count them."), said("Quite sure."), said("As I said."))
    for number, question in enumerate(("How many boats?", "Sure?", "Really?")):
        async with codex.clients() as clients:
            messages: Any = [{"role": "user", "content": question}]
            headers = {"x-claude-session-id": "the-harbour"}
            await clients.openai.chat.completions.create(model=MODEL, messages=messages, extra_headers=headers)
        if number == 1:
            await codex.close()
            await codex.start()
    said_at_last = ["How many boats?", "Three boats.", "Sure?", "Quite sure.", "Really?"]
    for turn, count in zip(codex.backend.turns, (1, 3, 5), strict=True):
        assert [text for role, text in turn.told if role in {"user", "assistant"}] == said_at_last[:count]
    assert codex.backend.turns[-1].items[1]["encrypted_content"] == "gAAAAB"


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


async def test_many_conversations_at_once_in_one_process_are_not_mixed(codex: CodexStage) -> None:
    """The backend answers nobody before all have asked."""
    everybody = asyncio.Event()
    count = 12

    def echo(turn: Any) -> list[object]:
        if len(codex.backend.turns) >= count:
            everybody.set()
        question = turn.told[-1][1]
        return [everybody, said(f"You said: {question}")]

    codex.backend.plays = echo
    async with codex.clients() as clients, asyncio.timeout(90):

        async def talk(number: int) -> None:
            messages: Any = [{"role": "user", "content": f"I am {number}."}]
            for _ in range(2):
                answer = await clients.openai.chat.completions.create(model=MODEL, messages=messages)
                said_back = answer.choices[0].message.content
                assert said_back == f"You said: {messages[-1]['content']}"
                messages += [{"role": "assistant", "content": said_back}]
                messages += [{"role": "user", "content": f"Still {number}."}]

        await asyncio.gather(*(talk(number) for number in range(count)))
        served = [command for command in codex.processes().values() if "--strict-config" in command]
    accounts = {turn.account for turn in codex.backend.turns}
    assert len(accounts) == 1
    assert len(served) <= 2, "the npm package's program is two processes, one of Node and one of Codex"
    for turn in codex.backend.turns:
        numbers = {text.strip(".").split()[-1] for role, text in turn.told if role == "user"}
        assert len(numbers) == 1
