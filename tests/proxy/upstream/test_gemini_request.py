"""From a request in Gemini's words to what Gemini CLI is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.upstream.acp_script import Called, Fate, Results, Say, Step, Turn
from proxy.upstream.base import Call, CliAccount
from proxy.upstream.gemini_answer import canned
from proxy.upstream.gemini_request import as_instructions, digest, read_turn, resumed, said

WHO: dict[str, Any] = {"role": "user", "parts": [{"text": "Who is there?"}]}
AHOY: dict[str, Any] = {"role": "model", "parts": [{"text": "Ahoy."}]}
CALLED: dict[str, Any] = {
    "role": "model",
    "parts": [{"functionCall": {"name": name, "args": {}, "id": name}} for name in ("mcp_tides", "mcp_wind")],
}
CALLS = tuple(Called(name, name) for name in ("mcp_tides", "mcp_wind"))


def result(name: str, response: object, **more: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": response, **more}}


def turn(*contents: dict[str, Any], model: str = "gemini-2.5-pro", verb: str = "generateContent", **more: Any) -> Turn:
    body = {"contents": [*contents], **more}
    account = CliAccount(id="a", home=Path("home"), project="p")
    url = f"https://cloudcode-pa.googleapis.com/v1internal:{verb}"
    return read_turn(Call(method="POST", url=url, body=msgspec.json.encode(body), model=model, account=account))


def told(*texts: str) -> Say:
    return Say(tuple({"type": "text", "text": text} for text in texts))


def text(words: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}]}


def test_a_question_is_one_step() -> None:
    assert turn(WHO).steps(0, ()) == (Step(told("Who is there?"), Fate.GOES_ON),)
    assert not turn(WHO).is_stream
    assert turn(WHO, verb="streamGenerateContent?alt=sse").is_stream


def test_what_the_model_said_before_is_heard_from_us() -> None:
    steps = turn(WHO, AHOY, WHO).steps(0, ())
    assert steps == (Step(told("Who is there?"), canned(AHOY["parts"])), Step(told("Who is there?"), Fate.GOES_ON))
    assert turn(WHO, AHOY, WHO).steps(2, ()) == steps[1:]


def test_results_are_told_in_the_order_of_their_calls() -> None:
    answers = [result("mcp_wind", {"output": "calm"}, id="mcp_wind"), result("mcp_tides", {"low": 3}, id="mcp_tides")]
    asked = turn(WHO, CALLED, {"role": "user", "parts": answers})
    last = asked.steps(0, ())[-1]
    assert last == Step(Results(CALLS, (text('{"low":3}'), text("calm"))), Fate.GOES_ON)
    assert asked.steps(2, CALLS) == (last,)


def test_words_beside_results_are_a_prompt_of_their_own() -> None:
    answers = [result("mcp_tides", {"result": "low"}), result("mcp_wind", {"error": "no gauge"}), {"text": "And now?"}]
    steps = turn(WHO, CALLED, {"role": "user", "parts": answers}).steps(0, ())
    assert steps[1:] == (
        Step(Results(CALLS, (text("low"), text('{"error":"no gauge"}'))), Fate.IS_REFUSED),
        Step(told("And now?"), Fate.GOES_ON),
    )


def test_what_a_result_shows_comes_with_it_or_after_it() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    answers = [result("mcp_tides", {"result": "see"}, parts=[image]), result("mcp_wind", {"result": "calm"})]
    block = {"type": "image", "mimeType": "image/png", "data": "aGk="}
    contents = (WHO, CALLED, {"role": "user", "parts": answers})
    (step,) = turn(*contents, model="gemini-2.5-pro").steps(2, CALLS)
    assert step.told == Results(CALLS, ({"content": [*text("see")["content"], block]}, text("calm")))
    first, shown = turn(*contents, model="gemini-3-pro-preview").steps(2, CALLS)
    assert first == Step(Results(CALLS, (text("see"), text("calm"))), Fate.IS_REFUSED)
    assert shown.told == Say(({"type": "text", "text": "[shown by mcp_tides]"}, block))


@pytest.mark.parametrize(
    "parts",
    [
        [result("mcp_tides", {})],
        [result("mcp_tides", {}), result("mcp_tides", {})],
        [result("mcp_tides", {}), result("mcp_wind", {}), result("mcp_wind", {})],
        [{"text": "Never mind."}],
    ],
)
def test_calls_and_results_that_do_not_fit_are_refused(parts: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="contents"):
        turn(WHO, CALLED, {"role": "user", "parts": parts}).steps(0, ())


@pytest.mark.parametrize("contents", [[], [WHO, AHOY], [{"role": "model"}]])
def test_what_no_user_says_last_is_refused(contents: list[Any]) -> None:
    with pytest.raises(ValueError, match="contents"):
        turn(*contents)


@pytest.mark.parametrize(
    "words",
    [
        "/about",
        "  /memory show",
        "$help",
        "/ about",
        "/? x",
        "/init\nnow",
        "$5 help",
        "$(ls)",
        "/usr/bin is",
        "\ufeff/x y",
    ],
)
def test_what_looks_like_a_command_of_the_cli_is_set_apart(words: str) -> None:
    (step,) = turn({"role": "user", "parts": [{"text": words[:2]}, {"text": words[2:]}]}).steps(0, ())
    assert step.told == told(f"\u200b{words[:2]}", words[2:])


@pytest.mark.parametrize("words", ["at /about", "a", "!ls", "@/etc/passwd", "?"])
def test_whatever_else_there_is_stays_as_it_is(words: str) -> None:
    (step,) = turn({"role": "user", "parts": [{"text": words}]}).steps(0, ())
    assert step.told == told(words)


def test_files_are_told_as_they_are() -> None:
    kinds = {"image/png": "image", "audio/wav": "audio", "application/pdf": "image"}
    parts = [{"inlineData": {"mimeType": kind, "data": "aGk="}} for kind in kinds]
    (step,) = turn({"role": "user", "parts": parts}).steps(0, ())
    assert isinstance(step.told, Say)
    assert [(block["mimeType"], block["type"]) for block in step.told.blocks] == [*kinds.items()]
    with pytest.raises(ValueError, match="fileData"):
        turn({"role": "user", "parts": [{"fileData": {"fileUri": "gs://x"}}]}).steps(0, ())


def test_what_the_same_side_says_in_a_row_is_said_at_once() -> None:
    thought = {"role": "model", "parts": [{"text": "Hm.", "thought": True}]}
    steps = turn(WHO, WHO, thought, AHOY, AHOY, WHO).steps(0, ())
    assert steps[0] == Step(told("Who is there?", "Who is there?"), canned([*AHOY["parts"], *AHOY["parts"]]))


def test_tools_settings_and_instructions_make_a_conversation_another() -> None:
    schema = {"type": "object", "properties": {"place": {"type": "string"}}}
    tools = [{"functionDeclarations": [{"name": "mcp_tides", "description": "d", "parametersJsonSchema": schema}]}]
    asked = turn(WHO, tools=tools, generationConfig={"topK": 3}, safetySettings=[], model="gemini-2.5-flash")
    (tool,) = asked.tools
    assert (tool["name"], tool["description"]) == ("tides", "d")
    assert tool["inputSchema"] == {**schema, "$schema": "http://json-schema.org/draft-04/schema#"}
    settings = msgspec.json.decode(asked.settings)
    assert settings["model"] == {"name": "gemini-2.5-flash"}
    alias = {"model": "gemini-2.5-flash", "generateContentConfig": {"topK": 3, "safetySettings": []}}
    assert settings["modelConfigs"] == {"customAliases": {"gemini-2.5-flash": {"modelConfig": alias}}}
    others = [
        turn(WHO),
        turn(WHO, tools=tools),
        turn(WHO, generationConfig={"topK": 3}),
        turn(WHO, systemInstruction={"parts": [{"text": "Be kind."}]}),
        turn(WHO, model="gemini-2.5-flash"),
    ]
    assert len({other.terms for other in [asked, *others]}) == len(others) + 1
    assert turn(AHOY | {"role": "user"}).terms == turn(WHO).terms


def test_instructions_are_as_the_cli_passes_them_on() -> None:
    assert as_instructions("\ufeff\n a\n\n\n\n b\u200b \n") == "a\n\n b\u200b"
    asked = turn(WHO, systemInstruction={"parts": [{"text": "Be kind.\n"}, {"text": "Be brief."}]})
    assert asked.instructions == "Be kind.\n\nBe brief."


def test_a_digest_is_the_same_for_an_answer_and_for_what_clients_send_back_of_it() -> None:
    call = {"name": "mcp_tides", "args": {"place": "Kiel", "wait_for_previous": False}}
    answer: list[Any] = [
        {"text": "Hm.", "thought": True},
        {"text": "Let me "},
        {"text": "see."},
        {"functionCall": {**call, "id": "1"}, "thoughtSignature": "c2ln"},
    ]
    back: list[Any] = [{"text": "Let me see."}, {"functionCall": {"name": "mcp_tides", "args": {"place": "Kiel"}}}]
    assert digest("model", answer) == digest("model", back)
    assert digest("model", back) != digest("user", back)
    assert digest("model", back) != digest("model", back[:1])


def body(*contents: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"contents": [*contents], "generationConfig": {"seed": 7}})


def test_what_was_said_before_stands_in_front_of_what_is_new() -> None:
    assert resumed(body(WHO), [WHO, AHOY]) == body(WHO, AHOY, WHO)
    assert resumed(body(WHO, AHOY, WHO), [WHO]) == body(WHO, AHOY, WHO), "it tells a history of its own"


def test_what_is_kept_is_what_was_asked_and_answered_without_thoughts() -> None:
    thought = {"text": "Hm.", "thought": True}
    signed = {"functionCall": {"name": "mcp_tides", "args": {}}, "thoughtSignature": "c2ln"}
    assert said(body(WHO), [thought, {"text": "Ahoy."}, signed]) == [
        WHO,
        {"role": "model", "parts": [{"text": "Ahoy."}, signed]},
    ]
