"""The contract's scenarios behind each CLI: what its provider says, from the same captures, and what it was asked,
without what docs/backends.md says that the CLI adds, in the words in which the contract's judges read it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from proxy.observe.recording import Request
from tests.backends import chat_backend, claude_backend, codex_backend, gemini_backend, opencode_backend, qwen_backend
from tests.backends.backend import Refuse
from tests.contract.carried import CARRIED, Body, Carried
from tests.contract.scenarios import Ask, Tool
from tests.contract.stage import capture

ALIAS = "home"
"""By which the model is asked, as in the contract."""
_NAMES = ("tide_table", "wind_forecast")
_FENCE = re.compile(r"\A<untrusted_context>\n(.*)\n</untrusted_context>\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """`wire`: of its provider. `plain`: a turn's body without what the CLI adds. `prefix`: of the names of tools, as
    the model says them. `losses`: the paths of what is named as lost of each request, `of_tools` where there are tools.
    `tool`: what is left of one. `has_limit`: of an answer's length. `unsigned`: whose signatures the CLI leaves out.
    """

    wire: str
    model: str
    plain: Callable[[Any], Body]
    prefix: str = ""
    losses: frozenset[str] = frozenset()
    of_tools: frozenset[str] = frozenset()
    tool: Callable[[Tool], Tool] = lambda tool: tool
    has_limit: bool = True
    unsigned: frozenset[str] = frozenset()

    def says(self, scenario: str) -> bytes:
        """The capture of that name, as the CLI's own provider has it."""
        raw = capture(self.wire, f"{scenario}.sse")
        for name in _NAMES:
            raw = raw.replace(f'"{name}"'.encode(), f'"{self.prefix}{name}"'.encode())
        return _enveloped(raw) if self.wire == "gemini" else raw

    def refuses(self) -> Refuse:
        return Refuse(status=400, body=msgspec.json.decode(capture(self.wire, "error.json")), headers={})

    def carried(self, turn: Any) -> Carried:
        path = f"/v1beta/models/{turn.body['model']}:streamGenerateContent" if self.wire == "gemini" else "/"
        return CARRIED[self.wire](
            Request(path=path, query=(("alt", "sse"),), body=msgspec.json.encode(self.plain(turn)))
        )

    def lost(self, ask: Ask) -> frozenset[str]:
        return self.losses | (self.of_tools if ask.tools else frozenset())


def _enveloped(raw: bytes) -> bytes:
    """As Code Assist sends it."""

    def envelope(found: re.Match[bytes]) -> bytes:
        told = msgspec.json.decode(found[1])
        return b"data: " + msgspec.json.encode(told if "error" in told else {"response": told, "traceId": "t1"})

    return re.sub(rb"^data: ?(.*)$", envelope, raw, flags=re.MULTILINE)


def _claude(turn: claude_backend.Turn) -> Body:
    system = [{"type": "text", "text": turn.system}]
    return {**turn.settings, "system": system, "messages": turn.messages, "stream": True}


def _codex(turn: codex_backend.Turn) -> Body:
    kept = ("model", "instructions", "tools", "tool_choice", "reasoning", "text", "store", "include", "stream")
    told = {key: turn.body[key] for key in kept if key in turn.body}
    if told.get("reasoning") == {}:
        del told["reasoning"]
    return {**told, "input": turn.items}


def _without_limits(tool: Tool) -> Tool:
    """Codex carries no limits of numbers."""
    raw = msgspec.json.encode(tool.schema).replace(b',"minimum":1', b"")
    return replace(tool, schema=msgspec.json.decode(raw))


def _gemini(turn: gemini_backend.Turn) -> Body:
    told: Body = {
        "contents": [{"role": role, "parts": [_unfenced(part) for part in parts]} for role, parts in turn.contents]
    }
    told["systemInstruction"] = turn.request["systemInstruction"]
    spelled = {"responseSchema": "responseJsonSchema"}
    told["generationConfig"] = {spelled.get(key, key): each for key, each in turn.request["generationConfig"].items()}
    if turn.tools:
        told["tools"] = [{"functionDeclarations": [_function(tool, "mcp_") for tool in turn.tools]}]
    return told


def _function(tool: Body, prefix: str) -> Body:
    schema = tool["parametersJsonSchema"]
    properties = {name: each for name, each in schema["properties"].items() if name != "wait_for_previous"}
    bare = {key: value for key, value in schema.items() if key != "$schema"}
    return {
        **tool,
        "name": tool["name"].removeprefix(prefix),
        "parametersJsonSchema": {**bare, "properties": properties},
    }


def _unfenced(part: Body) -> Body:
    if "functionCall" in part:
        call = part["functionCall"]
        return {**part, "functionCall": {**call, "name": call["name"].removeprefix("mcp_")}}
    if "functionResponse" not in part:
        return part
    given = part["functionResponse"]
    found = _FENCE.match(given["response"]["output"])
    assert found is not None
    return {"functionResponse": {**given, "name": given["name"].removeprefix("mcp_"), "response": {"result": found[1]}}}


def _chat(prefix: str, added: Sequence[str]) -> Callable[[chat_backend.Turn], Body]:
    def bare(function: Body) -> Body:
        told = {**function, "name": function["name"].removeprefix(prefix)}
        if "parameters" in told:
            told["parameters"] = {key: value for key, value in told["parameters"].items() if key not in added}
        return told

    def plain(turn: chat_backend.Turn) -> Body:
        own = {"messages", "tools", "tool_choice", "stream_options"}
        told = {key: value for key, value in turn.body.items() if key not in own}
        system = {"role": "system", "content": turn.system}
        messages = [{**each, "content": _said(each["content"])} for each in turn.messages]
        for message in messages:
            if message.get("tool_calls"):
                message["tool_calls"] = [{**call, "function": bare(call["function"])} for call in message["tool_calls"]]
        told["messages"] = [system, *messages]
        if turn.tools:
            told["tools"] = [{"type": "function", "function": bare(tool)} for tool in turn.tools]
        return told

    return plain


def _said(content: Any) -> Any:
    """Without what Qwen Code says of skills."""
    if isinstance(content, str) or content is None:
        return content
    return [part for part in content if not part.get("text", "").startswith("<system-reminder>")]


BACKINGS: Mapping[str, Backing] = {
    "claude": Backing(wire="anthropic", model="claude-opus-4-8", plain=_claude),
    "codex": Backing(
        wire="openai_responses",
        model=codex_backend.MODEL,
        plain=_codex,
        losses=frozenset({"max_tokens"}),
        of_tools=frozenset({"tools[1].parameters"}),
        tool=_without_limits,
        has_limit=False,
    ),
    "gemini": Backing(
        wire="gemini",
        model="gemini-3.1-pro-preview",
        plain=_gemini,
        prefix="mcp_",
        unsigned=frozenset({"text"}),
    ),
    "qwen": Backing(
        wire="openai_chat", model="gpt-oss-120b", plain=_chat("mcp__api__", ("$schema",)), prefix=qwen_backend.PREFIX
    ),
    "opencode": Backing(
        wire="openai_chat",
        model="gpt-oss-120b",
        plain=_chat("api_", ("additionalProperties",)),
        prefix=opencode_backend.PREFIX,
    ),
}
