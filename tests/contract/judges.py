"""The official SDKs as judges, one for each format of clients."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from anthropic.types import Message
from google.genai import types
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from pydantic import BaseModel

from proxy.hub.residue import JsonObject
from tests.contract.judge import Judge, Said, Words, arguments, as_json, data_url, told, until_it_breaks, until_text
from tests.contract.scenarios import OUTPUT_TOKENS_MAX, SYSTEM, Ask, Call, Tool, Usage, call_ids


class ChatJudge(Judge):
    wire = "openai_chat"
    finishes: ClassVar = {"stop": "stop", "tool_calls": "tool_calls"}

    def words(self, ask: Ask, model: str) -> Words:
        content: list[Words] = [{"type": "text", "text": ask.text}]
        if ask.image is not None:
            content.append({"type": "image_url", "image_url": {"url": data_url(ask.image)}})
        messages: list[Words] = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": content if ask.image is not None else ask.text},
        ]
        if ask.calls:
            calls = [self._call(*each) for each in zip(call_ids(ask.calls), ask.calls, strict=True)]
            messages.append({"role": "assistant", "content": None, "tool_calls": calls})
        results = zip(call_ids(ask.calls), ask.results, strict=True)
        messages += [{"role": "tool", "tool_call_id": call_id, "content": text} for call_id, text in results]
        words: Words = {"model": model, "messages": messages, "max_completion_tokens": OUTPUT_TOKENS_MAX}
        if ask.tools:
            words["tools"] = [self._tool(tool) for tool in ask.tools]
        if ask.effort:
            words["reasoning_effort"] = ask.effort
        if ask.output:
            words["response_format"] = ask.output
        return words

    def _call(self, call_id: str, call: Call) -> Words:
        function = {"name": call.name, "arguments": as_json(call.arguments)}
        return {"id": call_id, "type": "function", "function": function}

    def _tool(self, tool: Tool) -> Words:
        function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
        return {"type": "function", "function": function}

    async def ask(self, words: Words, *, is_stream: bool) -> Said:
        completions = self.clients.openai.chat.completions
        if not is_stream:
            call = completions.parse if "response_format" in words else completions.create
            return self.said(await call(**words))
        async with completions.stream(**words, stream_options={"include_usage": True}) as stream:
            return self.said(await stream.get_final_completion())

    async def break_off(self, words: Words) -> tuple[str, str]:
        stream = await self.clients.openai.chat.completions.create(**words, stream=True)
        text, error = await until_it_breaks(stream, _chat_text)
        return text, str(error)

    async def leave_early(self, words: Words) -> None:
        stream = await self.clients.openai.chat.completions.create(**words, stream=True)
        await until_text(stream, _chat_text)
        await stream.close()

    def said(self, final: ChatCompletion) -> Said:
        (choice,) = final.choices
        message = choice.message
        calls = message.tool_calls or []
        assert final.usage is not None
        return Said(
            model=final.model,
            text=message.content or "",
            thinking=(message.model_extra or {}).get("reasoning_content") or "",
            calls=[Call(call.function.name, arguments(call.function.arguments)) for call in calls],
            ids=[call.id for call in calls],
            finish=choice.finish_reason,
            usage=told(final.usage.model_dump(exclude_none=True)),
            parsed=getattr(message, "parsed", None),
            final=final,
        )

    def usage(self, usage: Usage) -> JsonObject:
        return told({
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.answer,
            "total_tokens": usage.prompt + usage.answer,
            "prompt_tokens_details": {"cached_tokens": usage.read, "cache_write_tokens": usage.written},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
        })  # fmt: skip


def _chat_text(chunk: Any) -> str:
    return "".join(choice.delta.content or "" for choice in chunk.choices)


class ResponsesJudge(Judge):
    wire = "openai_responses"
    finishes: ClassVar = {"stop": "completed", "tool_calls": "completed"}

    def words(self, ask: Ask, model: str) -> Words:
        content: list[Words] = [{"type": "input_text", "text": ask.text}]
        if ask.image is not None:
            content.append({"type": "input_image", "detail": "auto", "image_url": data_url(ask.image)})
        items: list[Words] = [{"role": "user", "content": content}]
        for call_id, call in zip(call_ids(ask.calls), ask.calls, strict=True):
            name, text = call.name, as_json(call.arguments)
            items.append({"type": "function_call", "call_id": call_id, "name": name, "arguments": text})
        for call_id, text in zip(call_ids(ask.calls), ask.results, strict=True):
            items.append({"type": "function_call_output", "call_id": call_id, "output": text})
        words: Words = {
            "model": model,
            "instructions": SYSTEM,
            "input": items,
            "max_output_tokens": OUTPUT_TOKENS_MAX,
            "store": False,
        }
        if ask.tools:
            words["tools"] = [
                {
                    "type": "function",
                    "name": t.name,
                    "description": t.description,
                    "parameters": t.schema,
                    "strict": False,
                }
                for t in ask.tools
            ]
        if ask.effort:
            words["reasoning"] = {"effort": ask.effort, "summary": "auto"}
            words["include"] = ["reasoning.encrypted_content"]
        if ask.output:
            words["text_format"] = ask.output
        return words

    async def ask(self, words: Words, *, is_stream: bool) -> Said:
        responses = self.clients.openai.responses
        if not is_stream:
            call = responses.parse if "text_format" in words else responses.create
            return self.said(await call(**words))
        async with responses.stream(**words) as stream:
            return self.said(await stream.get_final_response())

    async def break_off(self, words: Words) -> tuple[str, str]:
        """The SDK gives the failure as the last event."""
        events = [event async for event in await self.clients.openai.responses.create(**words, stream=True)]
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        last = events[-1]
        assert last.type == "response.failed"
        assert last.response.error is not None
        assert [event.sequence_number for event in events] == list(range(len(events)))
        return text, last.response.error.message

    async def leave_early(self, words: Words) -> None:
        stream = await self.clients.openai.responses.create(**words, stream=True)
        await until_text(stream, lambda event: getattr(event, "delta", ""))
        await stream.close()

    def said(self, final: Response) -> Said:
        calls = [item for item in final.output if item.type == "function_call"]
        summaries = [part.text for item in final.output if item.type == "reasoning" for part in item.summary]
        assert final.usage is not None
        return Said(
            model=final.model,
            text=final.output_text,
            thinking="\n\n".join(summaries),
            calls=[Call(call.name, arguments(call.arguments)) for call in calls],
            ids=[call.call_id for call in calls],
            finish=str(final.status),
            usage=told(final.usage.model_dump(exclude_none=True)),
            parsed=getattr(final, "output_parsed", None),
            final=final,
        )

    def usage(self, usage: Usage) -> JsonObject:
        return told({
            "input_tokens": usage.prompt,
            "output_tokens": usage.answer,
            "total_tokens": usage.prompt + usage.answer,
            "input_tokens_details": {"cached_tokens": usage.read, "cache_write_tokens": usage.written},
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        })  # fmt: skip


class AnthropicJudge(Judge):
    wire = "anthropic"
    finishes: ClassVar = {"stop": "end_turn", "tool_calls": "tool_use"}

    def words(self, ask: Ask, model: str) -> Words:
        content: list[Words] = [{"type": "text", "text": ask.text}]
        if ask.image is not None:
            source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(ask.image).decode()}
            content.append({"type": "image", "source": source})
        messages: list[Words] = [{"role": "user", "content": content}]
        if ask.calls:
            calls = zip(call_ids(ask.calls), ask.calls, strict=True)
            uses = [{"type": "tool_use", "id": i, "name": call.name, "input": call.arguments} for i, call in calls]
            messages.append({"role": "assistant", "content": uses})
        if ask.results:
            given = zip(call_ids(ask.calls), ask.results, strict=True)
            results = [{"type": "tool_result", "tool_use_id": i, "content": text} for i, text in given]
            messages.append({"role": "user", "content": results})
        words: Words = {"model": model, "system": SYSTEM, "messages": messages, "max_tokens": OUTPUT_TOKENS_MAX}
        if ask.tools:
            words["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in ask.tools
            ]
        if ask.effort:
            words["thinking"] = {"type": "adaptive", "display": "summarized"}
            words["output_config"] = {"effort": ask.effort}
        if ask.output:
            words["output_format"] = ask.output
        return words

    async def ask(self, words: Words, *, is_stream: bool) -> Said:
        messages = self.clients.anthropic.messages
        if not is_stream:
            call = messages.parse if "output_format" in words else messages.create
            return self.said(await call(**words))
        async with messages.stream(**words) as stream:
            return self.said(await stream.get_final_message())

    async def break_off(self, words: Words) -> tuple[str, str]:
        stream = await self.clients.anthropic.messages.create(**words, stream=True)
        text, error = await until_it_breaks(stream, _anthropic_text)
        return text, str(error)

    async def leave_early(self, words: Words) -> None:
        stream = await self.clients.anthropic.messages.create(**words, stream=True)
        await until_text(stream, _anthropic_text)
        await stream.close()

    def said(self, final: Message) -> Said:
        calls = [block for block in final.content if block.type == "tool_use"]
        usage = final.usage.model_dump(include=set(_ANTHROPIC_COUNTS), exclude_none=True)
        return Said(
            model=final.model,
            text="".join(block.text for block in final.content if block.type == "text"),
            thinking="\n\n".join(b.thinking for b in final.content if b.type == "thinking" and b.thinking),
            calls=[Call(call.name, dict(call.input)) for call in calls],
            ids=[call.id for call in calls],
            finish=str(final.stop_reason),
            usage=told(usage),
            parsed=getattr(final, "parsed_output", None),
            final=final,
        )

    def usage(self, usage: Usage) -> JsonObject:
        return told({
            "input_tokens": usage.uncached,
            "cache_read_input_tokens": usage.read,
            "cache_creation_input_tokens": usage.written,
            "output_tokens": usage.answer,
            "output_tokens_details": {"thinking_tokens": usage.reasoning},
        })  # fmt: skip


def _anthropic_text(event: Any) -> str:
    return getattr(getattr(event, "delta", None), "text", "")


_ANTHROPIC_COUNTS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
    "output_tokens_details",
)


class GeminiJudge(Judge):
    wire = "gemini"
    finishes: ClassVar = {"stop": "STOP", "tool_calls": "STOP"}

    def words(self, ask: Ask, model: str) -> Words:
        parts = [types.Part.from_text(text=ask.text)]
        if ask.image is not None:
            parts.append(types.Part.from_bytes(data=ask.image, mime_type="image/png"))
        contents = [types.Content(role="user", parts=parts)]
        if ask.calls:
            calls = zip(call_ids(ask.calls), ask.calls, strict=True)
            made = [types.FunctionCall(id=i, name=call.name, args=call.arguments) for i, call in calls]
            contents.append(types.Content(role="model", parts=[types.Part(function_call=call) for call in made]))
        if ask.results:
            given = zip(call_ids(ask.calls), ask.calls, ask.results, strict=True)
            got = [types.FunctionResponse(id=i, name=c.name, response={"result": text}) for i, c, text in given]
            contents.append(types.Content(role="user", parts=[types.Part(function_response=each) for each in got]))
        return {"model": model, "contents": contents, "config": types.GenerateContentConfig(**self._settings(ask))}

    def _settings(self, ask: Ask) -> Words:
        told: Words = {"system_instruction": SYSTEM, "max_output_tokens": OUTPUT_TOKENS_MAX}
        if ask.tools:
            declared = [
                types.FunctionDeclaration(name=t.name, description=t.description, parameters_json_schema=t.schema)
                for t in ask.tools
            ]
            told["tools"] = [types.Tool(function_declarations=declared)]
        if ask.effort:
            level = types.ThinkingLevel(ask.effort.upper())
            told["thinking_config"] = types.ThinkingConfig(thinking_level=level, include_thoughts=True)
        if ask.output:
            told |= {"response_mime_type": "application/json", "response_schema": ask.output}
        return told

    async def ask(self, words: Words, *, is_stream: bool) -> Said:
        models = self.clients.gemini.models
        if not is_stream:
            return self.said([await models.generate_content(**words)])
        stream = await models.generate_content_stream(**words)
        said = self.said([chunk async for chunk in stream])
        schema = words["config"].response_schema
        return said if schema is None else replace(said, parsed=schema.model_validate_json(said.text))

    async def break_off(self, words: Words) -> tuple[str, str]:
        stream = await self.clients.gemini.models.generate_content_stream(**words)
        text, error = await until_it_breaks(stream, _gemini_text)
        return text, str(error)

    async def leave_early(self, words: Words) -> None:
        """Streams of this SDK cannot be closed: whoever waits for the next chunk is cancelled."""
        has_text = asyncio.Event()

        async def read() -> None:
            async for chunk in await self.clients.gemini.models.generate_content_stream(**words):
                if chunk.text:
                    has_text.set()

        task = asyncio.create_task(read())
        text = asyncio.create_task(has_text.wait())
        await asyncio.wait({task, text}, return_when=asyncio.FIRST_COMPLETED)
        assert text.done(), task.exception()
        task.cancel()
        await asyncio.wait([task])

    def said(self, chunks: list[types.GenerateContentResponse]) -> Said:
        parts = [part for chunk in chunks for part in _parts(chunk)]
        calls = [part.function_call for part in parts if part.function_call]
        last = chunks[-1]
        assert chunks[0].sdk_http_response is not None
        self.clients.headers = chunks[0].sdk_http_response.headers or {}
        assert last.usage_metadata is not None
        assert last.candidates
        parsed = last.parsed if len(chunks) == 1 else None
        return Said(
            model=last.model_version,
            text="".join(part.text or "" for part in parts if not part.thought),
            thinking="".join(part.text or "" for part in parts if part.thought),
            calls=[Call(call.name or "", call.args or {}) for call in calls],
            ids=[call.id or "" for call in calls],
            finish=(last.candidates[0].finish_reason or types.FinishReason.FINISH_REASON_UNSPECIFIED).value,
            usage=told(last.usage_metadata.model_dump(include=set(_GEMINI_COUNTS), exclude_none=True)),
            parsed=parsed if isinstance(parsed, BaseModel) else None,
            final=chunks,
        )

    def usage(self, usage: Usage) -> JsonObject:
        return told({
            "prompt_token_count": usage.prompt,
            "cached_content_token_count": usage.read,
            "candidates_token_count": usage.output,
            "thoughts_token_count": usage.reasoning,
            "total_token_count": usage.prompt + usage.answer,
        })  # fmt: skip


_GEMINI_COUNTS = (
    "prompt_token_count",
    "cached_content_token_count",
    "candidates_token_count",
    "thoughts_token_count",
    "total_token_count",
)


def _gemini_text(chunk: Any) -> str:
    return chunk.text or ""


def _parts(chunk: types.GenerateContentResponse) -> list[types.Part]:
    return [part for c in chunk.candidates or [] if c.content for part in c.content.parts or []]


JUDGES: Mapping[str, type[Judge]] = {
    each.wire: each for each in (ChatJudge, ResponsesJudge, AnthropicJudge, GeminiJudge)
}
