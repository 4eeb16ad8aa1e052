"""What a request or an answer says, whatever the wire: the form in which the laws compare."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from proxy.hub.loss import Loss
from proxy.hub.parts import Media, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import Request, Tool
from proxy.hub.residue import JsonValue
from proxy.hub.response import Response

Essence: TypeAlias = dict[str, object]

KEYWORDS: dict[str, tuple[str, ...]] = {
    "result_errors": ("iserror", "error"),
    "results": ("toolresult", "result", "messages"),
    "max_output_tokens": ("maxoutputtokens", "maxtokens", "maxcompletiontokens"),
    "presence_penalty": ("presencepenalty",),
    "frequency_penalty": ("frequencypenalty",),
    "parallel": ("parallel",),
    "choice": ("toolchoice",),
    "output_name": ("name",),
    "effort": ("effort", "reasoning", "thinking"),
}
"""Words by which a loss may name an aspect, where the aspect's own name is not among them."""


def squeezed(text: str) -> str:
    """Without white space: joins may add line breaks."""
    return "".join(text.split())


def of_request(request: Request) -> Essence:
    parts = [(message.role, part) for message in request.messages for part in message.parts]
    choice = request.tool_choice
    return {
        "model": request.model,
        "instructions": squeezed("".join(part.text for part in request.instructions if isinstance(part, Text))),
        "messages": turns(parts),
        "results": [
            (part.call_id, squeezed("".join(each.text for each in part.parts if isinstance(each, Text))))
            for _, part in parts
            if isinstance(part, ToolResult)
        ],
        "result_errors": [part.is_error for _, part in parts if isinstance(part, ToolResult)],
        "tools": [tool_essence(tool) for tool in request.tools if isinstance(tool, Tool)],
        "choice": (choice.mode, choice.names) if choice and choice.mode else ("auto", ()),
        "parallel": choice.is_parallel if choice else None,
        "max_output_tokens": request.sampling.max_output_tokens,
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "top_k": request.sampling.top_k,
        "stop": request.sampling.stop,
        "seed": request.sampling.seed,
        "presence_penalty": request.sampling.presence_penalty,
        "frequency_penalty": request.sampling.frequency_penalty,
        "effort": request.reasoning.effort if request.reasoning else None,
        "output": request.output.schema if request.output else None,
        "output_name": request.output.name if request.output else None,
        "user": request.hints.user,
    }


def turns(parts: list[tuple[str, Part]]) -> list[tuple[str, object]]:
    """Texts, images and calls in their order; runs of text of one role are one text."""
    told: list[tuple[str, object]] = []
    for role, part in parts:
        match part:
            case Text(text=text):
                if told and told[-1][0] == f"{role} text":
                    told[-1] = (f"{role} text", f"{told[-1][1]}{squeezed(text)}")
                elif squeezed(text):
                    told.append((f"{role} text", squeezed(text)))
            case Media():
                told.append((f"{role} {part.kind}", part.data or part.url))
            case ToolCall():
                told.append((f"{role} call", (part.id, part.name, arguments(part))))
            case _:
                pass
    return told


def arguments(call: ToolCall) -> JsonValue:
    value: JsonValue = msgspec.json.decode(call.arguments or "{}")
    return value


def tool_essence(tool: Tool) -> tuple[str, str, JsonValue]:
    schema: JsonValue = tool.schema or {"type": "object", "properties": {}}
    return tool.name, tool.description or "", schema


def of_response(response: Response) -> Essence:
    usage = response.usage
    return {
        "text": squeezed("".join(part.text for part in response.parts if isinstance(part, Text | Refusal))),
        "thinking": squeezed("".join("".join(p.sections) for p in response.parts if isinstance(p, Thinking))),
        "calls": [(part.id, part.name, arguments(part)) for part in response.parts if isinstance(part, ToolCall)],
        "finish": response.finish.reason if response.finish else None,
        "input": usage.input_total if usage else None,
        "cache_read": usage.cache_read if usage else None,
        "output": usage.output_total if usage else None,
        "reasoning": usage.reasoning if usage else None,
    }


def differences(before: Essence, after: Essence, losses: tuple[Loss, ...]) -> dict[str, tuple[object, object]]:
    """The aspects that changed though no loss speaks of them."""
    told = "\n".join(f"{loss.path} {loss.what}" for loss in losses).lower().replace("_", "").replace(" ", "")
    return {
        aspect: (before[aspect], after[aspect])
        for aspect in before
        if before[aspect] != after[aspect]
        and not any(word in told for word in KEYWORDS.get(aspect, (aspect.replace("_", ""),)))
    }
