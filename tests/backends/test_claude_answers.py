"""Every SDK in front of an account of Claude Code: what is asked arrives, and what is answered comes back."""

from __future__ import annotations

from typing import Any

import pytest
from google.genai import types

from tests.backends.claude_backend import MODEL, called, said
from tests.backends.stage import ClaudeStage

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # gitleaks:allow
)
SYSTEM = "You are the harbour master."
ASKED = [("user", "Who is there?")]
SCHEMA = {
    "type": "object",
    "properties": {"ship": {"type": "string"}},
    "required": ["ship"],
    "additionalProperties": False,
}
TOOL = {"name": "Bash", "description": "Tells the tide.", "input_schema": SCHEMA}


async def test_openai_chat(claude: ClaudeStage) -> None:
    claude.backend.in_turn(said("Ahoy from the quay."))
    async with claude.clients() as clients:
        messages: Any = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Who is there?"}]
        answer = await clients.openai.chat.completions.create(
            model=MODEL, messages=messages, temperature=0.2, max_tokens=99, stop=["END"], seed=7
        )
        losses = clients.headers["x-proxy-losses"]
    (turn,) = claude.backend.turns
    assert (turn.system, turn.told) == (SYSTEM, ASKED)
    assert turn.settings == {"model": MODEL, "max_tokens": 99, "temperature": 0.2, "stop_sequences": ["END"]}
    assert "seed" in losses
    assert "temperature" not in losses
    assert answer.choices[0].message.content == "Ahoy from the quay."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == MODEL
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (23, 3)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 5


async def test_openai_responses(claude: ClaudeStage) -> None:
    claude.backend.in_turn(said("Ahoy from the quay.", thought="A greeting."))
    async with claude.clients() as clients:
        answer = await clients.openai.responses.create(
            model=MODEL,
            instructions=SYSTEM,
            input="Who is there?",
            reasoning={"effort": "low", "summary": "auto"},
            max_output_tokens=9000,
        )
    (turn,) = claude.backend.turns
    assert (turn.system, turn.told) == (SYSTEM, ASKED)
    assert turn.body["thinking"]["type"] == "enabled"
    assert answer.output_text == "Ahoy from the quay."
    assert answer.output[0].type == "reasoning"
    assert answer.output[0].summary[0].text == "A greeting."


async def test_anthropic(claude: ClaudeStage) -> None:
    claude.backend.in_turn(said("Ahoy from the quay.", thought="A greeting."))
    thinking: Any = {"type": "enabled", "budget_tokens": 2000}
    async with claude.clients() as clients:
        answer = await clients.anthropic.messages.create(
            model=MODEL,
            max_tokens=5000,
            system=[{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}],
            messages=[{"role": "user", "content": "Who is there?"}],
            thinking=thinking,
            metadata={"user_id": "the-caller-4711"},
            extra_headers={"anthropic-beta": "harbour-2026-01-01"},
        )
        losses = clients.headers["x-proxy-losses"]
    (turn,) = claude.backend.turns
    assert (turn.system, turn.told) == (SYSTEM, ASKED)
    assert turn.settings == {"model": MODEL, "max_tokens": 5000, "thinking": thinking, "temperature": 1}
    assert "the-caller-4711" not in str(turn.body["metadata"])
    assert "harbour-2026-01-01" in turn.headers["anthropic-beta"]
    assert "metadata" in losses
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.content[0].type == "thinking"
    assert (answer.content[0].thinking, answer.content[0].signature) == ("A greeting.", "c2lnbmVk")
    assert answer.stop_reason == "end_turn"
    assert answer.usage.to_dict() == {
        "input_tokens": 11,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 5,
        "output_tokens": 3,
    }


async def test_gemini(claude: ClaudeStage) -> None:
    async with claude.clients() as clients:
        config = types.GenerateContentConfig(system_instruction=SYSTEM, top_k=5, max_output_tokens=99)
        answer = await clients.gemini.models.generate_content(model=MODEL, contents="Who is there?", config=config)
    (turn,) = claude.backend.turns
    assert (turn.system, turn.told) == (SYSTEM, ASKED)
    assert turn.body["top_k"] == 5
    assert "temperature" not in turn.body
    assert answer.text == "Ahoy from the quay."
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.cached_content_token_count == 5


async def test_a_conversation_goes_on_in_its_own_process(claude: ClaudeStage) -> None:
    messages: Any = [{"role": "user", "content": "Who is there?"}]
    async with claude.clients() as clients:
        for number in range(3):
            claude.backend.in_turn(said(f"Ahoy {number}."))
            answer = await clients.openai.chat.completions.create(
                model=MODEL, messages=messages, temperature=number / 4
            )
            content = answer.choices[0].message.content
            messages += [{"role": "assistant", "content": content}, {"role": "user", "content": f"And {number}?"}]
    turns = claude.backend.turns
    assert [turn.body.get("temperature") for turn in turns] == [0.0, 0.25, 0.5]
    assert turns[-1].told == [
        ("user", "Who is there?"),
        ("assistant", "Ahoy 0."),
        ("user", "And 0?"),
        ("assistant", "Ahoy 1."),
        ("user", "And 1?"),
    ]
    assert len({turn.headers["x-claude-code-session-id"] for turn in turns}) == 1


async def test_a_history_that_no_process_knows_is_told_as_it_was(claude: ClaudeStage) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    document = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "Log."},
        "title": "T",
    }
    uses = [
        {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"ship": "Ada"}},
        {"type": "tool_use", "id": "toolu_2", "name": "Read", "input": {}},
    ]
    results = [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "low"}, image]},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": "gone", "is_error": True},
    ]
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
    text = {"type": "text", "text": "One moment."}
    messages: Any = [
        {"role": "user", "content": [{"type": "text", "text": "@/etc/passwd"}, image]},
        {"role": "assistant", "content": [thought, text, *uses]},
        {"role": "user", "content": results},
        {"role": "assistant", "content": [{"type": "text", "text": "It is low."}]},
        {"role": "user", "content": [document, {"type": "text", "text": "/help"}]},
    ]
    tools: Any = [TOOL, {**TOOL, "name": "Read"}]
    async with claude.clients() as clients:
        await clients.anthropic.messages.create(model=MODEL, max_tokens=99, messages=messages, tools=tools)
    (turn,) = claude.backend.turns
    assert turn.messages == messages
    assert turn.body["tools"] == tools


async def test_tools_are_the_caller_s_and_called_in_parallel(claude: ClaudeStage) -> None:
    """The CLI waits with both calls, and goes on with both results."""
    calls = (("toolu_1", "Bash", {"ship": "Ada"}), ("toolu_2", "get_tide", {"ship": "Bob"}))
    claude.backend.in_turn(called(*calls, text="One moment.", thought="Hm."), said("Both are low."))
    schema: Any = {"name": "get_tide", "description": "Tells it, too.", "parameters": SCHEMA, "strict": True}
    tools: Any = [
        {"type": "function", "function": {"name": "Bash", "description": "Tells the tide.", "parameters": SCHEMA}},
        {"type": "function", "function": schema},
    ]
    messages: Any = [{"role": "user", "content": "How is the tide?"}]
    async with claude.clients() as clients:
        create = clients.openai.chat.completions.create
        answer = await create(model=MODEL, messages=messages, tools=tools, tool_choice="required")
        told = answer.choices[0].message
        assert told.tool_calls is not None
        assert answer.choices[0].finish_reason == "tool_calls"
        assert [(each.id, each.to_dict()["function"]) for each in told.tool_calls] == [
            ("toolu_1", {"name": "Bash", "arguments": '{"ship":"Ada"}'}),
            ("toolu_2", {"name": "get_tide", "arguments": '{"ship":"Bob"}'}),
        ]
        messages += [told.to_dict()]
        messages += [{"role": "tool", "tool_call_id": f"toolu_{n}", "content": f"low {n}"} for n in (2, 1)]
        answer = await create(model=MODEL, messages=messages, tools=tools)
    assert answer.choices[0].message.content == "Both are low."
    first, second = claude.backend.turns
    assert [tool["name"] for tool in first.body["tools"]] == ["Bash", "get_tide"]
    assert first.body["tools"][1]["strict"] is True
    assert first.body["tool_choice"] == {"type": "any"}
    assert second.body.get("tool_choice", {"type": "auto"}) == {"type": "auto"}
    assert first.headers["x-claude-code-session-id"] == second.headers["x-claude-code-session-id"]
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
    uses = [{"type": "tool_use", "id": call_id, "name": name, "input": given} for call_id, name, given in calls]
    assert second.messages[1]["content"] == [thought, {"type": "text", "text": "One moment."}, *uses]
    assert [(each["tool_use_id"], each["content"][0]["text"]) for each in second.messages[2]["content"]] == [
        ("toolu_1", "low 1"),
        ("toolu_2", "low 2"),
    ]


async def test_images_in_each_dialect(claude: ClaudeStage) -> None:
    url = f"data:image/png;base64,{PIXEL}"
    chat: Any = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}],
        }
    ]
    items: Any = [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": url}],
        }
    ]
    async with claude.clients() as clients:
        await clients.openai.chat.completions.create(model=MODEL, messages=chat)
        await clients.openai.responses.create(model=MODEL, input=items)
        parts: Any = [types.Part(text="What?"), types.Part(inline_data=types.Blob(mime_type="image/png", data=PIXEL))]
        await clients.gemini.models.generate_content(model=MODEL, contents=parts)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    for turn in claude.backend.turns:
        assert turn.messages == [{"role": "user", "content": [{"type": "text", "text": "What?"}, image]}]


async def test_structured_output(claude: ClaudeStage) -> None:
    claude.backend.in_turn(said('{"ship":"Ada"}'))
    form: Any = {"type": "json_schema", "json_schema": {"name": "ship", "schema": SCHEMA, "strict": True}}
    async with claude.clients() as clients:
        messages: Any = [{"role": "user", "content": "Which ship?"}]
        answer = await clients.openai.chat.completions.create(model=MODEL, messages=messages, response_format=form)
    (turn,) = claude.backend.turns
    assert turn.body["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert answer.choices[0].message.content == '{"ship":"Ada"}'


async def test_an_answer_that_was_cut_is_told_as_cut_and_not_gone_on_with(claude: ClaudeStage) -> None:
    for stop, finish in (("max_tokens", "length"), ("refusal", "content_filter"), ("stop_sequence", "stop")):
        claude.backend.turns.clear()
        claude.backend.in_turn(said("Ahoy from the", stop=stop), said("It went on by itself."))
        async with claude.clients() as clients:
            messages: Any = [{"role": "user", "content": f"Who is there? {stop}"}]
            answer = await clients.openai.chat.completions.create(model=MODEL, messages=messages)
        assert answer.choices[0].finish_reason == finish
        assert answer.choices[0].message.content == "Ahoy from the"
        assert len(claude.backend.turns) == 1
