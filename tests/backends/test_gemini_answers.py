"""Every SDK in front of an account of Gemini CLI: what is asked arrives, and what is answered comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.genai import types

from tests.backends.gemini_backend import MODEL, called, said
from tests.backends.stage import GeminiStage

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # gitleaks:allow
)
SYSTEM = "You are the harbour master."


async def test_openai_chat(gemini: GeminiStage) -> None:
    gemini.backend.in_turn(said("Ahoy from the quay.", thought="A greeting."))
    async with gemini.clients() as clients:
        messages: Any = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Who is there?"}]
        answer = await clients.openai.chat.completions.create(
            model=MODEL, messages=messages, temperature=0.2, max_tokens=99, stop=["END"], seed=7
        )
    (turn,) = gemini.backend.turns
    assert turn.told == [("user", "Who is there?")]
    assert turn.system == SYSTEM
    assert (turn.body["model"], turn.body["project"]) == (MODEL, "harbour-project")
    assert turn.request["generationConfig"] == {
        "temperature": 0.2, "maxOutputTokens": 99, "stopSequences": ["END"], "seed": 7,
    }  # fmt: skip
    assert turn.tools == []
    assert turn.headers["user-agent"].startswith("GeminiCLI-acp/")
    assert turn.account == "harbour"
    assert answer.choices[0].message.content == "Ahoy from the quay."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == MODEL
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (30, 9)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 10
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 4


async def test_openai_responses(gemini: GeminiStage) -> None:
    async with gemini.clients() as clients:
        answer = await clients.openai.responses.create(model=MODEL, instructions=SYSTEM, input="Who is there?")
    (turn,) = gemini.backend.turns
    assert (turn.system, turn.told) == (SYSTEM, [("user", "Who is there?")])
    assert answer.output_text == "Ahoy from the quay."


async def test_anthropic(gemini: GeminiStage) -> None:
    async with gemini.clients() as clients:
        answer = await clients.anthropic.messages.create(
            model=MODEL, max_tokens=99, system=SYSTEM, messages=[{"role": "user", "content": "Who is there?"}]
        )
    (turn,) = gemini.backend.turns
    assert (turn.system, turn.told) == (SYSTEM, [("user", "Who is there?")])
    assert answer.content[0].to_dict()["text"] == "Ahoy from the quay."
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (20, 10)


async def test_gemini(gemini: GeminiStage) -> None:
    async with gemini.clients() as clients:
        config = types.GenerateContentConfig(
            system_instruction=SYSTEM,
            top_k=7,
            thinking_config=types.ThinkingConfig(thinking_budget=100, include_thoughts=True),
            response_mime_type="application/json",
            response_json_schema={"type": "object", "properties": {"boats": {"type": "integer"}}},
        )
        answer = await clients.gemini.models.generate_content(model=MODEL, contents="Who is there?", config=config)
    (turn,) = gemini.backend.turns
    assert (turn.system, turn.told) == (SYSTEM, [("user", "Who is there?")])
    assert turn.request["generationConfig"] == {
        "topK": 7,
        "thinkingConfig": {"thinkingBudget": 100, "includeThoughts": True},
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object", "properties": {"boats": {"type": "integer"}}},
    }
    assert answer.text == "Ahoy from the quay."
    assert answer.model_version == MODEL
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.thoughts_token_count == 4


async def test_conversations_under_different_instructions_share_a_process(gemini: GeminiStage) -> None:
    """They take turns, and each of them is asked under its own."""
    async with gemini.clients() as clients:

        async def talk(name: str) -> None:
            messages: Any = [{"role": "system", "content": f"You are {name}."}]
            for number in range(4):
                messages.append({"role": "user", "content": f"Question {number}, {name}?"})
                answer = await clients.openai.chat.completions.create(model=MODEL, messages=messages)
                messages.append({"role": "assistant", "content": answer.choices[0].message.content})

        await asyncio.gather(*(talk(name) for name in ("Ada", "Bob", "Cleo", "Dora")))
    assert len(gemini.backend.turns) == 16
    for turn in gemini.backend.turns:
        name = turn.system.removeprefix("You are ").removesuffix(".")
        assert all(text.endswith(f", {name}?") for role, text in turn.told if role == "user")
    assert len(gemini.processes()) == 1


async def test_images(gemini: GeminiStage) -> None:
    async with gemini.clients() as clients:
        source: Any = {"type": "base64", "media_type": "image/png", "data": PIXEL}
        content: Any = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]
        await clients.anthropic.messages.create(
            model=MODEL, max_tokens=99, messages=[{"role": "user", "content": content}]
        )
    (turn,) = gemini.backend.turns
    assert turn.contents == [
        ("user", [{"text": "What is this?"}, {"inlineData": {"mimeType": "image/png", "data": PIXEL}}])
    ]


TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "Tells the weather of a place.",
            "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
        },
    }
    for name in ("weather", "mcp__harbour__tides", "run_shell_command")
]


def fenced(text: str) -> dict[str, str]:
    """As Gemini CLI passes on what a tool of somebody else's has said."""
    return {"output": f"<untrusted_context>\n{text}\n</untrusted_context>"}


async def test_parallel_calls_of_the_caller_s_tools_and_their_results(gemini: GeminiStage) -> None:
    kiel, rome = {"place": "Kiel"}, {"place": "Rome"}
    gemini.backend.in_turn(
        called(("mcp_weather", kiel), ("mcp_mcp__harbour__tides", rome), signature="c2ln", waits=False),
        said("It rains in Kiel."),
        said("Gladly."),
    )
    async with gemini.clients() as clients:
        messages: Any = [{"role": "user", "content": "What is it like?"}]
        first = await clients.openai.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
        calls: Any = first.choices[0].message.tool_calls
        assert [(call.function.name, call.function.arguments) for call in calls] == [
            ("weather", '{"place":"Kiel"}'),
            ("mcp__harbour__tides", '{"place":"Rome"}'),
        ]
        assert first.choices[0].finish_reason == "tool_calls"
        messages += [
            first.choices[0].message.to_dict(),
            {"role": "tool", "tool_call_id": calls[1].id, "content": "low"},
            {"role": "tool", "tool_call_id": calls[0].id, "content": "rain"},
        ]
        second = await clients.openai.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
        messages += [second.choices[0].message.to_dict(), {"role": "user", "content": "Thanks."}]
        await clients.openai.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
    asked, answered, thanked = gemini.backend.turns
    assert [tool["name"] for tool in asked.tools] == [
        "mcp_weather", "mcp_mcp__harbour__tides", "mcp_run_shell_command_",
    ]  # fmt: skip
    schema = asked.tools[0]["parametersJsonSchema"]
    assert schema["properties"].pop("wait_for_previous")["type"] == "boolean"
    schema.pop("$schema")
    assert schema == TOOLS[0]["function"]["parameters"]
    assert [part["functionCall"]["args"]["place"] for part in answered.contents[1][1]] == ["Kiel", "Rome"]
    assert answered.contents[1][1][0]["thoughtSignature"] == "c2ln"
    assert [part["functionResponse"]["response"] for part in answered.contents[2][1]] == [fenced("rain"), fenced("low")]
    assert len({turn.request["session_id"] for turn in gemini.backend.turns}) == 1
    assert thanked.told[-2:] == [("model", "It rains in Kiel."), ("user", "Thanks.")]


async def test_words_and_images_beside_results(gemini: GeminiStage) -> None:
    gemini.backend.in_turn(called(("mcp_weather", {"place": "Kiel"})), said("A grey sky."), said("Gladly."))
    tools: Any = [{"name": "weather", "input_schema": TOOLS[0]["function"]["parameters"]}]
    async with gemini.clients() as clients:
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
        messages += [{"role": "assistant", "content": [block.to_dict() for block in answer.content]}]
        messages += [{"role": "user", "content": "Thanks."}]
        await clients.anthropic.messages.create(model=MODEL, max_tokens=99, messages=messages, tools=tools)
    told, thanked = gemini.backend.turns[1:]
    roles = [role for role, _ in told.contents]
    assert roles == ["user", "model", "user", "model", "user"]
    assert told.contents[2][1][0]["functionResponse"]["response"] == fenced("See:")
    assert told.told[3][1].startswith("[The previous response was interrupted")
    assert told.contents[4][1] == [
        {"text": "[shown by mcp_weather]"},
        {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
        {"text": "And now?"},
    ]
    assert thanked.told[5:] == [("model", "A grey sky."), ("user", "Thanks.")]


async def test_gemini_s_functions(gemini: GeminiStage) -> None:
    gemini.backend.in_turn(called(("mcp_weather", {"place": "Kiel"}), waits=True), said("It rains."))
    function = types.FunctionDeclaration(
        name="weather",
        description="Weather.",
        parameters=types.Schema(type=types.Type.OBJECT, properties={"place": types.Schema(type=types.Type.STRING)}),
    )
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[function])],
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(
                mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["weather"]
            )
        ),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    async with gemini.clients() as clients:
        answer = await clients.gemini.models.generate_content(model=MODEL, contents="What is it like?", config=config)
        assert answer.function_calls is not None
        assert [(call.name, call.args) for call in answer.function_calls] == [("weather", {"place": "Kiel"})]
        assert answer.candidates is not None
        assert answer.candidates[0].content is not None
        result = types.Part.from_function_response(name="weather", response={"rain": True, "mm": 3})
        contents: Any = [
            types.Content(role="user", parts=[types.Part.from_text(text="What is it like?")]),
            answer.candidates[0].content,
            types.Content(role="user", parts=[result]),
        ]
        await clients.gemini.models.generate_content(model=MODEL, contents=contents, config=config)
    asked, answered = gemini.backend.turns
    assert asked.tools[0]["parametersJsonSchema"]["properties"]["place"] == {"type": "string"}
    calling = {"mode": "ANY", "allowedFunctionNames": ["mcp_weather"]}
    assert asked.request["toolConfig"] == {"functionCallingConfig": calling}
    assert answered.contents[2][1][0]["functionResponse"]["response"] == fenced('{"rain":true,"mm":3}')
    assert asked.request["session_id"] == answered.request["session_id"]


async def test_arguments_that_fit_no_schema_are_the_caller_s_to_judge(gemini: GeminiStage) -> None:
    gemini.backend.in_turn(called(("mcp_weather", {"town": 3})), said("Sorry."))
    async with gemini.clients() as clients:
        messages: Any = [{"role": "user", "content": "What is it like?"}]
        first = await clients.openai.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
        calls: Any = first.choices[0].message.tool_calls
        messages += [first.choices[0].message.to_dict()]
        messages += [{"role": "tool", "tool_call_id": calls[0].id, "content": "no place given"}]
        await clients.openai.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
    _, answered = gemini.backend.turns
    assert answered.contents[2][1][0]["functionResponse"]["response"] == fenced("no place given")
