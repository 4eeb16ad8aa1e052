"""What the request that reached an upstream carries, read in that upstream's own words."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from anthropic.types import message_create_params
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

from proxy.hub.residue import JsonObject
from proxy.observe.recording import Request
from tests.contract.scenarios import Call, Tool
from tests.contract.sdk_types import Complaints, complaints, gemini_complaints

Body = dict[str, Any]


class Carried(ABC):
    """One request. `thinking`: the members that say how much to think, whole."""

    wire: ClassVar[str]

    def __init__(self, request: Request) -> None:
        self.request = request
        self.body: Body = msgspec.json.decode(request.body)

    @property
    def model(self) -> str:
        return str(self.body["model"])

    @property
    def is_stream(self) -> bool:
        return bool(self.body.get("stream"))

    @abstractmethod
    def complaints(self) -> Complaints:
        """By the types of this upstream's own SDK."""

    @property
    @abstractmethod
    def system(self) -> str: ...

    @property
    @abstractmethod
    def user(self) -> str:
        """All that the user wrote."""

    @property
    @abstractmethod
    def images(self) -> list[tuple[str, bytes]]: ...

    @property
    @abstractmethod
    def tools(self) -> list[Tool]: ...

    @property
    @abstractmethod
    def calls(self) -> list[tuple[str, Call]]:
        """With their ids."""

    @property
    @abstractmethod
    def results(self) -> list[tuple[str, str]]:
        """With the ids of their calls."""

    @property
    @abstractmethod
    def output_tokens_max(self) -> int: ...

    @property
    @abstractmethod
    def thinking(self) -> JsonObject: ...

    @property
    @abstractmethod
    def schema(self) -> JsonObject:
        """Of a structured output."""


def texts(content: Any, *types: str) -> str:
    """A string, or the parts of these types."""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content or [] if part.get("type") in types)


def from_data_url(url: str) -> tuple[str, bytes]:
    head, _, data = url.partition(";base64,")
    return head.removeprefix("data:"), base64.b64decode(data)


def picked(body: Body, *names: str) -> JsonObject:
    return {name: body[name] for name in names if name in body}


class ChatCarried(Carried):
    wire = "openai_chat"

    def complaints(self) -> Complaints:
        return complaints(self.body, completion_create_params.CompletionCreateParams)

    def _said(self, role: str) -> list[Body]:
        return [message for message in self.body["messages"] if message["role"] == role]

    @property
    def system(self) -> str:
        return "".join(texts(message["content"], "text") for message in self._said("system"))

    @property
    def user(self) -> str:
        return "".join(texts(message["content"], "text") for message in self._said("user"))

    @property
    def images(self) -> list[tuple[str, bytes]]:
        parts = [
            part
            for message in self._said("user")
            if isinstance(message["content"], list)
            for part in message["content"]
        ]
        return [from_data_url(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"]

    @property
    def tools(self) -> list[Tool]:
        functions = [tool["function"] for tool in self.body.get("tools", [])]
        return [Tool(each["name"], each["description"], each["parameters"]) for each in functions]

    @property
    def calls(self) -> list[tuple[str, Call]]:
        calls = [call for message in self._said("assistant") for call in message.get("tool_calls", [])]
        return [
            (call["id"], Call(call["function"]["name"], msgspec.json.decode(call["function"]["arguments"])))
            for call in calls
        ]

    @property
    def results(self) -> list[tuple[str, str]]:
        return [(message["tool_call_id"], texts(message["content"], "text")) for message in self._said("tool")]

    @property
    def output_tokens_max(self) -> int:
        return int(self.body.get("max_completion_tokens") or self.body["max_tokens"])

    @property
    def thinking(self) -> JsonObject:
        return picked(self.body, "reasoning_effort", "reasoning", "thinking")

    @property
    def schema(self) -> JsonObject:
        wanted = self.body["response_format"]
        assert wanted["type"] == "json_schema"
        schema: JsonObject = wanted["json_schema"]["schema"]
        return schema


class ResponsesCarried(Carried):
    wire = "openai_responses"

    def complaints(self) -> Complaints:
        return complaints(self.body, response_create_params.ResponseCreateParams)

    def _items(self, *types: str) -> list[Body]:
        given = self.body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        return [item for item in items if item.get("type", "message") in types]

    def _messages(self, *roles: str) -> list[Body]:
        return [item for item in self._items("message") if item["role"] in roles]

    @property
    def system(self) -> str:
        messages = self._messages("system", "developer")
        return (self.body.get("instructions") or "") + "".join(
            texts(each["content"], "input_text") for each in messages
        )

    @property
    def user(self) -> str:
        return "".join(texts(message["content"], "input_text") for message in self._messages("user"))

    @property
    def images(self) -> list[tuple[str, bytes]]:
        parts = [part for message in self._messages("user") for part in message["content"]]
        return [from_data_url(part["image_url"]) for part in parts if part["type"] == "input_image"]

    @property
    def tools(self) -> list[Tool]:
        return [Tool(each["name"], each["description"], each["parameters"]) for each in self.body.get("tools", [])]

    @property
    def calls(self) -> list[tuple[str, Call]]:
        return [
            (item["call_id"], Call(item["name"], msgspec.json.decode(item["arguments"])))
            for item in self._items("function_call")
        ]

    @property
    def results(self) -> list[tuple[str, str]]:
        return [(item["call_id"], texts(item["output"], "input_text")) for item in self._items("function_call_output")]

    @property
    def output_tokens_max(self) -> int:
        return int(self.body["max_output_tokens"])

    @property
    def thinking(self) -> JsonObject:
        return picked(self.body, "reasoning")

    @property
    def schema(self) -> JsonObject:
        wanted = self.body["text"]["format"]
        assert wanted["type"] == "json_schema"
        schema: JsonObject = wanted["schema"]
        return schema


class AnthropicCarried(Carried):
    wire = "anthropic"

    def complaints(self) -> Complaints:
        return complaints(self.body, message_create_params.MessageCreateParams)

    def _blocks(self, role: str, *types: str) -> list[Body]:
        contents = [message["content"] for message in self.body["messages"] if message["role"] == role]
        blocks = [[{"type": "text", "text": each}] if isinstance(each, str) else each for each in contents]
        return [block for each in blocks for block in each if block["type"] in types]

    @property
    def system(self) -> str:
        return texts(self.body.get("system"), "text")

    @property
    def user(self) -> str:
        return "".join(block["text"] for block in self._blocks("user", "text"))

    @property
    def images(self) -> list[tuple[str, bytes]]:
        sources = [block["source"] for block in self._blocks("user", "image")]
        return [(source["media_type"], base64.b64decode(source["data"])) for source in sources]

    @property
    def tools(self) -> list[Tool]:
        return [Tool(each["name"], each["description"], each["input_schema"]) for each in self.body.get("tools", [])]

    @property
    def calls(self) -> list[tuple[str, Call]]:
        return [(use["id"], Call(use["name"], use["input"])) for use in self._blocks("assistant", "tool_use")]

    @property
    def results(self) -> list[tuple[str, str]]:
        results = self._blocks("user", "tool_result")
        return [(each["tool_use_id"], texts(each["content"], "text")) for each in results]

    @property
    def output_tokens_max(self) -> int:
        return int(self.body["max_tokens"])

    @property
    def thinking(self) -> JsonObject:
        effort = self.body.get("output_config", {}).get("effort")
        return {**picked(self.body, "thinking"), **({"effort": effort} if effort else {})}

    @property
    def schema(self) -> JsonObject:
        wanted = self.body["output_config"]["format"]
        assert wanted["type"] == "json_schema"
        schema: JsonObject = wanted["schema"]
        return schema


class GeminiCarried(Carried):
    wire = "gemini"

    def complaints(self) -> Complaints:
        return gemini_complaints(self.body)

    @property
    def model(self) -> str:
        return self.request.path.rpartition("/models/")[2].partition(":")[0]

    @property
    def is_stream(self) -> bool:
        return self.request.path.endswith(":streamGenerateContent") and ("alt", "sse") in self.request.query

    @property
    def _generation(self) -> Body:
        config: Body = self.body.get("generationConfig", {})
        return config

    def _parts(self, kind: str, role: str) -> list[Any]:
        parts = [part for content in self.body["contents"] if content["role"] == role for part in content["parts"]]
        return [part[kind] for part in parts if kind in part]

    @property
    def system(self) -> str:
        return "".join(part["text"] for part in self.body["systemInstruction"]["parts"])

    @property
    def user(self) -> str:
        return "".join(self._parts("text", "user"))

    @property
    def images(self) -> list[tuple[str, bytes]]:
        return [(each["mimeType"], base64.b64decode(each["data"])) for each in self._parts("inlineData", "user")]

    @property
    def tools(self) -> list[Tool]:
        declared = [each for tool in self.body.get("tools", []) for each in tool["functionDeclarations"]]
        return [Tool(each["name"], each["description"], each["parametersJsonSchema"]) for each in declared]

    @property
    def calls(self) -> list[tuple[str, Call]]:
        return [(call["id"], Call(call["name"], call["args"])) for call in self._parts("functionCall", "model")]

    @property
    def results(self) -> list[tuple[str, str]]:
        """A text stands under ``result``; JSON may stand as it is."""
        return [(each["id"], _result(each["response"])) for each in self._parts("functionResponse", "user")]

    @property
    def output_tokens_max(self) -> int:
        return int(self._generation["maxOutputTokens"])

    @property
    def thinking(self) -> JsonObject:
        return picked(self._generation, "thinkingConfig")

    @property
    def schema(self) -> JsonObject:
        assert self._generation["responseMimeType"] == "application/json"
        schema: JsonObject = self._generation["responseJsonSchema"]
        return schema


def _result(response: Body) -> str:
    if list(response) == ["result"] and isinstance(response["result"], str):
        return response["result"]
    return msgspec.json.encode(response.get("result", response)).decode()


CARRIED: Mapping[str, type[Carried]] = {
    each.wire: each for each in (ChatCarried, ResponsesCarried, AnthropicCarried, GeminiCarried)
}


def outline(schema: Any, root: Any = None) -> Any:
    """What a JSON Schema means, however an SDK spelled it: references in place, titles and strictness left out."""
    root = schema if root is None else root
    if "$ref" in schema:
        target = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return outline(target, root)
    told: Body = {"type": str(schema["type"]).lower()}
    if "properties" in schema:
        told["properties"] = {name: outline(inner, root) for name, inner in schema["properties"].items()}
        told["required"] = sorted(schema.get("required", []))
    if "items" in schema:
        told["items"] = outline(schema["items"], root)
    return told
