from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.hub.events import Event, PartDelta
from proxy.hub.fold import Fold
from proxy.hub.parts import Media, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import Message, OutputFormat, Reasoning, Request, Sampling, Tool, ToolChoice
from proxy.hub.response import Response
from proxy.providers.sandbox.mind import answer, paced

WEATHER = Tool(
    name="get_weather",
    schema={
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
        "required": ["city", "unit"],
    },
)


def ask(text: str = "Hello", **fields: Any) -> Response:
    messages = fields.pop("messages", (Message(role="user", parts=(Text(text=text),)),))
    return answer(Request(model="sandbox-x", messages=messages, **fields), wire="anthropic")


def text(response: Response) -> str:
    return "".join(part.text for part in response.parts if isinstance(part, Text))


def test_it_says_what_it_is_and_what_it_heard() -> None:
    assert text(ask("Hello there")) == (
        "This is a simulated answer of sandbox-x; no provider was asked. You said: “Hello there”."
    )


def test_the_same_gets_the_same() -> None:
    assert ask("a") == ask("a")
    assert ask("a").id != ask("b").id


def test_usage_is_plausible() -> None:
    usage = ask("word " * 400).usage
    assert usage is not None
    assert usage.input_total == pytest.approx(500, rel=0.1)
    assert usage.output


@pytest.mark.parametrize(
    ("prompt", "choice"),
    [
        ("Please use the tool for Paris", None),
        ("Call get_weather about Paris", None),
        ("Hello Paris", ToolChoice(mode="required")),
        ("Hello Paris", ToolChoice(mode="named", names=("get_weather",))),
    ],
)
def test_it_calls_a_tool_when_it_is_asked_to(prompt: str, choice: ToolChoice | None) -> None:
    response = ask(
        prompt, tools=(Tool(name="other"), WEATHER) if "get_weather" in prompt else (WEATHER,), tool_choice=choice
    )
    (call,) = [part for part in response.parts if isinstance(part, ToolCall)]
    assert (call.name, msgspec.json.decode(call.arguments)) == ("get_weather", {"city": "Paris", "unit": "C"})
    assert response.finish is not None
    assert response.finish.reason == "tool_calls"


def test_it_calls_none_unasked_or_forbidden_and_reads_the_result() -> None:
    assert not [part for part in ask(tools=(WEATHER,)).parts if isinstance(part, ToolCall)]
    assert text(ask("use the tool", tools=(WEATHER,), tool_choice=ToolChoice(mode="none")))
    after = (
        Message(role="user", parts=(Text(text="use the tool"),)),
        Message(role="assistant", parts=(ToolCall(id="1", name="get_weather"),)),
        Message(role="tool", parts=(ToolResult(call_id="1", parts=(Text(text="sunny"),)),)),
    )
    assert "The tool said: sunny" in text(ask(messages=after, tools=(WEATHER,)))


def test_thoughts_are_signed_and_only_there_when_asked_for() -> None:
    thought = ask(reasoning=Reasoning(effort="high")).parts[0]
    assert isinstance(thought, Thinking)
    assert thought.signature
    assert thought.origin == "anthropic"
    for quiet in (None, Reasoning(effort="none"), Reasoning(budget_tokens=0)):
        assert not [part for part in ask(reasoning=quiet).parts if isinstance(part, Thinking)]


def test_limits_and_stop_sequences() -> None:
    short = ask(sampling=Sampling(max_output_tokens=2))
    assert (text(short), short.finish and short.finish.reason) == ("This is ", "length")
    stopped = ask(sampling=Sampling(stop=(" simulated",)))
    assert (text(stopped), stopped.finish and stopped.finish.stop_sequence) == ("This is a", " simulated")


def test_structured_output() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 5}, "ok": {"type": "boolean"}}}
    told = text(ask(output=OutputFormat(kind="json_schema", schema=schema)))
    assert msgspec.json.decode(told) == {"n": 5, "ok": True}
    assert msgspec.json.decode(text(ask(output=OutputFormat(kind="json"))))["simulated"] is True


def test_media_and_wanted_lengths() -> None:
    image = Media(kind="image", media_type="image/png", data="AAAA")
    messages = (Message(role="user", parts=(Text(text="Look, in 50 words"), image, image)),)
    told = text(ask(messages=messages))
    assert "You sent 2 images." in told
    assert len(told.split()) > 50


def test_a_stream_is_the_same_answer_in_pieces() -> None:
    response = ask("a few words more", reasoning=Reasoning(effort="low"))
    events: list[Event] = list(paced(response))
    fold = Fold()
    for event in events:
        fold.feed(event)
    assert fold.finish().parts == response.parts
    assert sum(isinstance(event, PartDelta) for event in events) > 10
