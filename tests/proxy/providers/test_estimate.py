from __future__ import annotations

from proxy.hub.parts import Media, Text, ToolCall, ToolResult
from proxy.hub.request import Message, Request, Tool
from proxy.providers.estimate import MEDIA_TOKENS, MESSAGE_TOKENS, estimated_tokens


def said(*texts: str) -> Request:
    return Request(model="m", messages=tuple(Message(role="user", parts=(Text(text=text),)) for text in texts))


def test_four_bytes_are_a_token() -> None:
    assert estimated_tokens(said("x" * 400)) == 100 + MESSAGE_TOKENS
    assert estimated_tokens(said("漢" * 400)) == 300 + MESSAGE_TOKENS


def test_all_that_is_said_counts() -> None:
    small = estimated_tokens(said("x"))
    for part in (
        ToolCall(id="1", name="f", arguments='{"a":"' + "x" * 99 + '"}'),
        ToolResult(call_id="1", parts=(Text(text="y" * 99),)),
    ):
        assert estimated_tokens(Request(model="m", messages=(Message(role="user", parts=(part,)),))) > small
    tool = Tool(name="f", description="d" * 99, schema={"type": "object"})
    assert estimated_tokens(Request(model="m", tools=(tool,), instructions=(Text(text="s" * 99),))) > small


def test_media_costs_what_a_usual_one_costs() -> None:
    image = Media(kind="image", media_type="image/png", data="A" * 100_000)
    request = Request(model="m", messages=(Message(role="user", parts=(image,)),))
    assert estimated_tokens(request) == MEDIA_TOKENS["image"] + MESSAGE_TOKENS
