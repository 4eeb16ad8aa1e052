from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.errors import Untranslatable
from proxy.hub.parts import Text
from proxy.hub.profile import Profile
from proxy.hub.request import Effort, Hints, Message, OutputFormat, Reasoning, Request, Sampling, ToolChoice
from proxy.hub.residue import JsonObject, JsonValue
from proxy.wire.base import dumps
from proxy.wire.openai_responses import WIRE
from tests.proxy.wire.openai_responses.told import ABLE, inner


def rendered(profile: Profile = ABLE, **asked: object) -> tuple[JsonObject, list[str]]:
    """The body, and the paths of the losses."""
    told = WIRE.render_request(replace(Request(model="m"), **asked), profile)
    return told.body, [loss.path for loss in told.losses]


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        (Reasoning(effort="xhigh"), {"effort": "xhigh"}),
        (Reasoning(effort="none"), {"effort": "none"}),
        (Reasoning(budget_tokens=0), {"effort": "none"}),
        (Reasoning(budget_tokens=1024), {"effort": "low"}),
        (Reasoning(budget_tokens=8192), {"effort": "medium"}),
        (Reasoning(budget_tokens=32768), {"effort": "xhigh"}),
        (Reasoning(effort="low", is_visible=True), {"effort": "low", "summary": "auto"}),
        (Reasoning(effort="low", is_visible=False), {"effort": "low"}),
        (Reasoning(is_adaptive=True), None),
        (Reasoning(budget_tokens=-1), None),
        (None, None),
    ],
)
def test_bug_9_how_much_to_think(reasoning: Reasoning | None, expected: JsonValue) -> None:
    """A level is kept, and nothing is switched on that nobody asked for."""
    body, losses = rendered(reasoning=reasoning)
    assert body.get("reasoning") == expected
    assert losses == []


@pytest.mark.parametrize(
    ("effort", "efforts", "expected"),
    [("max", ("low", "high"), "high"), ("minimal", ("low", "high"), "low"), ("xhigh", ("low", "medium"), "medium")],
)
def test_a_level_that_the_model_has_not(effort: Effort, efforts: tuple[Effort, ...], expected: Effort) -> None:
    body, losses = rendered(replace(ABLE, efforts=efforts), reasoning=Reasoning(effort=effort))
    assert body["reasoning"] == {"effort": expected}
    assert losses == ["reasoning.effort"]


def test_bug_10_a_model_that_cannot_be_switched_off_thinks_least() -> None:
    profile = replace(ABLE, efforts=("minimal", "high"), can_stop_thinking=False)
    assert rendered(profile, reasoning=Reasoning(effort="none"))[0]["reasoning"] == {"effort": "minimal"}


def test_a_model_that_does_not_think_or_show_it() -> None:
    asked = Reasoning(effort="high", is_visible=True)
    body, losses = rendered(replace(ABLE, thinking="none"), reasoning=asked)
    assert ("reasoning" in body, "include" in body, losses) == (False, False, ["reasoning"])
    body, losses = rendered(replace(ABLE, thinks_visibly=False), reasoning=asked)
    assert (body["reasoning"], losses) == ({"effort": "high"}, ["reasoning.summary"])


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (OutputFormat(kind="text"), {"type": "text"}),
        (OutputFormat(kind="json"), {"type": "json_object"}),
        (
            OutputFormat(kind="json_schema", schema={"type": "object"}, name="n", description="d", is_strict=True),
            {"type": "json_schema", "name": "n", "description": "d", "schema": {"type": "object"}, "strict": True},
        ),
    ],
)
def test_bug_53_output_formats(output: OutputFormat, expected: JsonValue) -> None:
    body, losses = rendered(output=output)
    assert (inner(body, "text", "format"), losses) == (expected, [])


@pytest.mark.parametrize(("said", "count"), [("Tell me.", 2), ("Tell me as JSON.", 1)])
def test_json_mode_needs_the_word_in_the_input(said: str, count: int) -> None:
    """OpenAI refuses it where no message of the input speaks of JSON; instructions do not count."""
    messages = (Message(role="user", parts=(Text(text=said),)),)
    body, losses = rendered(
        messages=messages, instructions=(Text(text="Answer in JSON."),), output=OutputFormat(kind="json")
    )
    items = body["input"]
    assert isinstance(items, list)
    assert ("json" in dumps(items).decode().lower(), len(items), losses) == (True, count, [])


def test_strict_where_the_model_has_it_not() -> None:
    output = OutputFormat(kind="json_schema", schema={}, name="n", is_strict=True)
    body, losses = rendered(replace(ABLE, has_strict_schema=False), output=output)
    assert "strict" not in str(body["text"])
    assert losses == ["response_format.strict"]


def test_settings_that_this_wire_has_not_are_told() -> None:
    sampling = Sampling(top_k=5, stop=("x",), seed=1, presence_penalty=0.5, frequency_penalty=0.0)
    body, losses = rendered(sampling=sampling)
    assert losses == ["top_k", "stop", "seed", "presence_penalty", "frequency_penalty"]
    assert body.keys() == {"model", "input", "store", "include"}


def test_bug_55_sampling_that_the_model_refuses_is_left_out() -> None:
    profile = replace(ABLE, sampling=frozenset())
    body, losses = rendered(profile, sampling=Sampling(temperature=0.5, top_p=0.5, logprobs=2))
    assert losses == ["temperature", "top_p", "logprobs"]
    assert body.keys() == {"model", "input", "store", "include"}
    assert body["include"] == ["reasoning.encrypted_content"]


def test_limits() -> None:
    body, losses = rendered(replace(ABLE, temperature_max=1.0), sampling=Sampling(temperature=1.5, max_output_tokens=1))
    assert (body["temperature"], body["max_output_tokens"]) == (1.0, 16)
    assert losses == ["max_tokens", "temperature"]
    body, losses = rendered(replace(ABLE, max_output_tokens=16_384), sampling=Sampling(max_output_tokens=64_000))
    assert (body["max_output_tokens"], losses) == (16_384, ["max_tokens"])


def test_a_budget_that_no_word_stands_for_is_a_loss() -> None:
    assert rendered(reasoning=Reasoning(budget_tokens=8192))[1] == []
    assert rendered(reasoning=Reasoning(budget_tokens=2000))[1] == ["reasoning.budget_tokens"]


def test_a_choice_among_no_tools_is_a_loss_where_it_forced_a_call() -> None:
    assert rendered(tool_choice=ToolChoice(mode="required"))[1] == ["tool_choice"]
    assert rendered(tool_choice=ToolChoice(mode="auto"))[1] == []


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [(None, None), (0, ["message.output_text.logprobs"]), (3, ["message.output_text.logprobs"])],
)
def test_logprobs(logprobs: int | None, expected: JsonValue) -> None:
    body, _ = rendered(replace(ABLE, thinking="none"), sampling=Sampling(logprobs=logprobs))
    assert (body.get("include"), body.get("top_logprobs")) == (expected, logprobs)


def test_several_answers_are_refused() -> None:
    with pytest.raises(Untranslatable) as refused:
        rendered(sampling=Sampling(candidates=2))
    assert refused.value.path == "n"
    assert rendered(sampling=Sampling(candidates=1))[1] == []


def test_hints_where_the_model_takes_none() -> None:
    hints = Hints(user="u", metadata={"a": "b"}, service_tier="flex", verbosity="low", cache_key="k")
    body, losses = rendered(replace(ABLE, extras=frozenset()), hints=hints)
    assert losses == ["verbosity", "user", "metadata", "service_tier", "prompt_cache_key"]
    assert body.keys() == {"model", "input"}


def test_long_keys() -> None:
    """Equal cache keys stay equal. A user that is no plain id (a client's own JSON) is nobody else's business."""
    hints = Hints(user="u" * 65, cache_key="k" * 65)
    body, losses = rendered(hints=hints)
    assert len(str(body["prompt_cache_key"])) == 64
    assert body["prompt_cache_key"] == rendered(hints=hints)[0]["prompt_cache_key"]
    assert losses == ["user"]


def test_a_tier_of_another_provider_is_told() -> None:
    body, losses = rendered(hints=Hints(service_tier="on_demand"))
    assert "service_tier" not in body
    assert losses == ["service_tier"]


def test_a_formats_name_is_made_legal() -> None:
    body, losses = rendered(output=OutputFormat(kind="json_schema", schema={}, name="a name"))
    assert body["text"]["format"]["name"] == "a_name"  # type: ignore[index, call-overload]  # its shape is known
    assert losses == ["response_format.name"]
