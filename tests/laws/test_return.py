"""What only its maker can read goes back to its maker, byte for byte, through any client's wire; and to nobody else.

Where a wire has no room for it, `proxy.dispatch.recall` keeps it, by call id or by what was said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from proxy.dispatch.recall import Recall
from proxy.hub.fold import explode
from proxy.hub.parts import Part, Text, Thinking, ToolCall
from proxy.hub.request import Request
from proxy.hub.residue import JsonObject, JsonValue
from proxy.hub.response import Response
from proxy.wire.base import Reply, Wire, dumps
from proxy.wire.table import WIRES, wire_named
from tests.laws.answers import arguments, canonical, folded, squeezed
from tests.laws.recordings import Recording, answers
from tests.laws.targets import able
from tests.laws.validity.streams import frames

MAKERS = ("anthropic", "openai_responses", "gemini")
"""Wires whose answers are signed."""
ASK = "And now?"


def list_of(value: JsonValue) -> list[JsonValue]:
    assert isinstance(value, list)
    return value


def object_of(value: JsonValue) -> JsonObject:
    assert isinstance(value, dict)
    return value


def _anthropic(body: JsonObject, results: list[str]) -> JsonObject:
    answered: list[JsonValue] = [{"type": "tool_result", "tool_use_id": each, "content": "done"} for each in results]
    return {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "Begin."},
            {"role": "assistant", "content": body["content"]},
            {"role": "user", "content": [*answered, {"type": "text", "text": ASK}]},
        ],
    }


def _chat(body: JsonObject, results: list[str]) -> JsonObject:
    message = object_of(object_of(list_of(body["choices"])[0])["message"])
    answered: list[JsonValue] = [{"role": "tool", "tool_call_id": each, "content": "done"} for each in results]
    return {
        "model": "m",
        "reasoning": {},
        "messages": [{"role": "user", "content": "Begin."}, message, *answered, {"role": "user", "content": ASK}],
    }


def _responses(body: JsonObject, results: list[str]) -> JsonObject:
    answered: list[JsonValue] = [
        {"type": "function_call_output", "call_id": each, "output": "done"} for each in results
    ]
    return {
        "model": "m",
        "input": [
            {"role": "user", "content": "Begin."},
            *list_of(body["output"]),
            *answered,
            {"role": "user", "content": ASK},
        ],
    }


def _gemini(body: JsonObject, results: list[str]) -> JsonObject:
    content = object_of(list_of(body["candidates"])[0])["content"]
    calls = [part["functionCall"] for part in object_of(content)["parts"] if "functionCall" in part]  # type: ignore[union-attr, index, operator]  # Gemini's shape
    assert len(calls) == len(results)
    answered: list[JsonValue] = [
        {
            "functionResponse": {
                **({"id": call["id"]} if "id" in call else {}),
                "name": call["name"],
                "response": {"result": "done"},
            }
        }  # type: ignore[index, operator]  # Gemini's shape
        for call in calls
    ]
    return {
        "contents": [
            {"role": "user", "parts": [{"text": "Begin."}]},
            content,
            {"role": "user", "parts": [*answered, {"text": ASK}]},
        ]
    }


BACK: Mapping[str, Callable[[JsonObject, list[str]], JsonObject]] = {
    "anthropic": _anthropic,
    "openai_chat": _chat,
    "openai_responses": _responses,
    "gemini": _gemini,
}
"""What a client sends next: its wire's answer as it stands, results for its calls, and one more text."""


def next_request(client: Wire, response: Response, *, is_stream: bool) -> Request:
    reply = Reply(model="m", request_id="request-1", request=client.parse_request(first(client), model="m"))
    if is_stream:
        renderer = client.stream_renderer(reply)
        data = b"".join(renderer.feed(event) for event in explode(response)) + renderer.finish()
        body = collected(client, data, reply)
    else:
        body = client.render_response(response, reply).body
    calls = [part.id for part in response.parts if isinstance(part, ToolCall)]
    return client.parse_request(BACK[client.name](body, calls), model="m")


def collected(client: Wire, data: bytes, reply: Reply) -> JsonObject:
    """What the client makes of a stream: the whole answer; Gemini's SDKs keep each chunk's parts as they came."""
    if client.name != "gemini":
        return client.render_response(folded(client.stream_parser(maker=client.name), [data]), reply).body
    contents = [object_of(chunk["candidates"][0]["content"]) for _, chunk in frames(data)]
    parts = [part for content in contents for part in list_of(content["parts"])]
    return {"candidates": [{"content": {"role": "model", "parts": parts}}]}


def first(client: Wire) -> JsonObject:
    """A client of Chat that knows where signatures are kept there says so by its dialect."""
    return {
        "anthropic": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Begin."}]},
        "openai_chat": {"model": "m", "reasoning": {}, "messages": [{"role": "user", "content": "Begin."}]},
        "openai_responses": {"model": "m", "input": "Begin."},
        "gemini": {"contents": [{"role": "user", "parts": [{"text": "Begin."}]}]},
    }[client.name]  # type: ignore[return-value]  # JSON all the same


def said(request: Request) -> list[object]:
    """What the assistant said in it, in order; neighbouring texts are one."""
    told: list[object] = []
    for message in request.messages:
        for part in message.parts if message.role == "assistant" else ():
            thing = essence(part)
            if isinstance(thing, str) and told and isinstance(told[-1], str):
                told[-1] += thing
            elif thing is not None:
                told.append(thing)
    return told


def essence(part: Part) -> object:
    match part:
        case Text(signature=None):
            return squeezed(part.text) or None
        case Text():
            return ("text", squeezed(part.text), part.signature)
        case Thinking() if part.signature is not None:
            return ("thinking", part.text, part.signature, part.is_redacted)
        case ToolCall():
            return ("call", part.name, canonical(arguments(part)), part.signature)
        case _:
            return None


def signed_answers(maker: str) -> list[Recording]:
    return [each for each in answers() if each.wire.name == maker and signatures(each.parsed_response())]


def signatures(response: Response) -> list[str]:
    return [
        part.signature
        for part in response.parts
        if isinstance(part, Text | Thinking | ToolCall) and part.signature is not None and len(part.signature) > 8
    ]


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("maker", "client"),
    [pytest.param(maker, wire, id=f"{maker}-{wire.name}") for maker in MAKERS for wire in WIRES if wire.name != maker],
)
def test_signatures_come_back_to_their_maker(maker: str, client: Wire, is_stream: bool) -> None:
    wire = wire_named(maker)
    failures = {}
    for each in signed_answers(maker):
        response = plain(each.parsed_response())
        recall = Recall()
        asked = client.parse_request(first(client), model="m")
        recall.remember("client", response.parts, now=0, after=asked.messages[-1])
        brought = next_request(client, response, is_stream=is_stream)
        brought = recall.restore("client", brought, maker=maker, now=1)
        rendered = wire.render_request(brought, able(wire))
        native = wire.parse_request(BACK[maker](*native_turn(wire, response)), model="m")
        came, went = said(wire.parse_request(rendered.body, model="m")), said(native)
        if came != went:
            failures[each.name] = (went, came)
    assert failures == {}


def plain(response: Response) -> Response:
    """Without hosted tools' calls, which no other client can bring back, and what surrounds them."""
    known = tuple(part for part in response.parts if isinstance(part, Text | Thinking | ToolCall))
    return replace(response, parts=known)


def native_turn(wire: Wire, response: Response) -> tuple[JsonObject, list[str]]:
    body = wire.render_response(response, Reply(model="m", request_id="request-1")).body
    return body, [part.id for part in response.parts if isinstance(part, ToolCall)]


@pytest.mark.parametrize("client", WIRES, ids=lambda wire: wire.name)
@pytest.mark.parametrize("maker", MAKERS)
def test_nobody_else_gets_them(maker: str, client: Wire) -> None:
    """Neither the blob nor the thoughts, in any wire, from any client; and each is told as lost."""
    failures = {}
    for each in signed_answers(maker):
        response = plain(each.parsed_response())
        brought = next_request(client, response, is_stream=False)
        for other in WIRES:
            if other is client:
                continue  # a relay
            stranger = replace(able(other), maker="somebody-else")
            rendered = other.render_request(brought, stranger)
            body = dumps(rendered.body).decode()
            leaked = [blob[:20] for blob in signatures(response) if blob in body]
            thoughts = [part.text for part in response.parts if isinstance(part, Thinking) and len(part.text) > 20]
            leaked += [text[:40] for text in thoughts if dumps(text).decode()[1:-1] in body]
            if leaked:
                failures[f"{each.name} → {other.name}"] = leaked
    assert failures == {}
