"""What each CLI's benchmark says, in its provider's own dialect, and how the CLI is started for one request alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp

from bench.cli_bench import ANSWER, Bench, Cold, Said
from proxy.upstream.claude_process import ENVIRONMENT
from tests.backends.stage import Stage

WRAPPED, FAST = "cold, as wrappers", "cold, fastest"
ACP_TARGETS = MappingProxyType(
    {"continuing turn": 15, "new conversation": 80, "20 turns of history": 160, "hanging up": 100}
)
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # gitleaks:allow
)


class Claude(Bench):
    targets = MappingProxyType(
        {"continuing turn": 40, "new conversation": 200, "20 turns of history": 400, "hanging up": 100}
    )
    token, called = b"text_delta", b"message_stop"
    path = "/v1/messages"
    is_shared = False

    def body(self, talk: Sequence[Said], *, has_tools: bool) -> Mapping[str, Any]:
        body = {"model": self.stage.says.MODEL, "max_tokens": 99, "system": "Be kind.", "stream": True}
        tools = [{"name": "weather", "input_schema": {"type": "object"}}]
        return {**body, "messages": [*map(self._message, talk)], **({"tools": tools} if has_tools else {})}

    def _message(self, said: Said) -> Mapping[str, Any]:
        match said.by:
            case "call":
                use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
                return {"role": "assistant", "content": [use]}
            case "result":
                result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": said.text}
                return {"role": "user", "content": [result]}
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
        role = "assistant" if said.by == "model" else "user"
        return {"role": role, "content": [*([image] if said.is_shown else []), {"type": "text", "text": said.text}]}

    def own(self) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        return {"authorization": "Bearer direct"}, self.body([Said("user", "Who is there?")], has_tools=False)

    def colds(self, home: Path) -> Mapping[str, Cold]:
        """The wrappers that people have name a model and ask for a stream, and leave all else as the CLI has it."""
        asked = (
            "claude", "-p", "Who is there?", "--model", self.stage.says.MODEL, "--output-format", "stream-json",
            "--verbose", "--include-partial-messages",
        )  # fmt: skip
        off = (
            "--tools", "", "--strict-mcp-config", "--setting-sources", "", "--disable-slash-commands",
            "--no-session-persistence", "--system-prompt", "Be kind.",
        )  # fmt: skip
        known, words = {"CLAUDE_CONFIG_DIR": str(home)}, b"text_delta"
        return {
            WRAPPED: Cold(command=asked, variables=known, words=words),
            FAST: Cold(command=(*asked, *off), variables={**ENVIRONMENT, **known}, words=words),
        }


class Codex(Bench):
    targets = MappingProxyType(
        {"continuing turn": 30, "new conversation": 60, "20 turns of history": 120, "hanging up": 100}
    )
    token, called = b"output_text.delta", b"response.completed"
    path = "/v1/responses"

    def body(self, talk: Sequence[Said], *, has_tools: bool) -> Mapping[str, Any]:
        body = {"model": self.stage.says.MODEL, "instructions": "Be kind.", "stream": True, "store": False}
        tool = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
        return {**body, "input": [*map(self._item, talk)], "tools": [tool] if has_tools else []}

    def _item(self, said: Said) -> Mapping[str, Any]:
        match said.by:
            case "call":
                return {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
            case "result":
                return {"type": "function_call_output", "call_id": "call_1", "output": said.text}
            case "model":
                return {"role": "assistant", "content": said.text}
        image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}
        text = {"type": "input_text", "text": said.text}
        return {"role": "user", "content": [*([image] if said.is_shown else []), text]}

    def own(self) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        return {"chatgpt-account-id": "direct"}, self.body([Said("user", "Who is there?")], has_tools=False)

    def colds(self, home: Path) -> Mapping[str, Cold]:
        self.stage.backend.person.account = "cold"
        asked = ("codex", "exec", "--json", "--skip-git-repo-check", "-m", self.stage.says.MODEL)
        off = ("features.plugins", "features.apps", "analytics.enabled")
        fast = (*asked, "--ephemeral", *(word for name in off for word in ("-c", f"{name}=false")))
        known, words = {"CODEX_HOME": str(home)}, ANSWER.encode()
        return {
            name: Cold(command=(*command, "Who is there?"), variables=known, words=words)
            for name, command in ((WRAPPED, asked), (FAST, fast))
        }


class Gemini(Bench):
    targets = ACP_TARGETS
    token, called = b'"text"', b"functionCall"
    key = "x-goog-api-key"

    @property
    def path(self) -> str:  # type: ignore[override]  # it holds the model
        return f"/v1beta/models/{self.stage.says.MODEL}:streamGenerateContent?alt=sse"

    def body(self, talk: Sequence[Said], *, has_tools: bool) -> Mapping[str, Any]:
        system = {"parts": [{"text": "Be kind."}]}
        tools = [{"functionDeclarations": [{"name": "weather", "description": "Weather."}]}]
        contents = [*map(self._content, talk)]
        return {"contents": contents, "systemInstruction": system, **({"tools": tools} if has_tools else {})}

    def _content(self, said: Said) -> Mapping[str, Any]:
        match said.by:
            case "call":
                return {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {}}}]}
            case "result":
                answer = {"name": "weather", "response": {"result": said.text}}
                return {"role": "user", "parts": [{"functionResponse": answer}]}
        image = {"inlineData": {"mimeType": "image/png", "data": PIXEL}}
        return {"role": said.by, "parts": [*([image] if said.is_shown else []), {"text": said.text}]}

    def own(self) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        body = {"contents": [self._content(Said("user", "Who is there?"))], "session_id": "s"}
        asked = {"model": self.stage.says.MODEL, "project": "p", "request": body}
        return {"authorization": "Bearer ya29.direct-1"}, asked


class Chat(Bench):
    targets = ACP_TARGETS
    token, called = b'"content"', b"[DONE]"
    path = "/v1/chat/completions"
    _call_id = ""

    def _play(self, turn: Any) -> bytes:
        answer = super()._play(turn)
        if found := re.search(rb'"id":"(call_\w+)"', answer):
            self._call_id = found[1].decode()
        return answer

    def body(self, talk: Sequence[Said], *, has_tools: bool) -> Mapping[str, Any]:
        messages = [{"role": "system", "content": "Be kind."}, *map(self._message, talk)]
        tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
        body = {"model": self.stage.says.MODEL, "stream": True, "messages": messages}
        return {**body, **({"tools": [tool]} if has_tools else {})}

    def _message(self, said: Said) -> Mapping[str, Any]:
        match said.by:
            case "call":
                call = {"id": self._call_id, "type": "function", "function": {"name": "weather", "arguments": "{}"}}
                return {"role": "assistant", "content": None, "tool_calls": [call]}
            case "result":
                return {"role": "tool", "tool_call_id": self._call_id, "content": said.text}
            case "model":
                return {"role": "assistant", "content": said.text}
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
        text = {"type": "text", "text": said.text}
        return {"role": "user", "content": [*([image] if said.is_shown else []), text]}

    def own(self) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        key = self.stage.says.login("direct").decode()
        return {"authorization": f"Bearer {key}"}, self.body([Said("user", "Who is there?")], has_tools=False)


BENCHES: Mapping[str, Callable[[Stage, aiohttp.ClientSession], Bench]] = {
    "claude": Claude,
    "codex": Codex,
    "gemini": Gemini,
    "qwen": Chat,
    "opencode": Chat,
}
