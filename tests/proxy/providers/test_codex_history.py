from __future__ import annotations

from typing import Any

import pytest

from proxy.errors import Untranslatable
from proxy.hub.loss import Loss
from proxy.hub.names import NameMap
from proxy.hub.residue import JsonObject
from proxy.providers.codex_history import cut_history

CALL = {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "rain"}


def cut(*items: Any, names: NameMap | None = None) -> tuple[Any, list[tuple[str, str]]]:
    """The items after it, and the path and the thing of each loss."""
    body: JsonObject = {"input": [*items]}
    losses: list[Loss] = []
    cut_history(body, names or NameMap(), losses)
    return body["input"], [(loss.path, loss.what) for loss in losses]


def said(*parts: Any, role: str = "user") -> JsonObject:
    return {"type": "message", "role": role, "content": [*parts]}


@pytest.mark.parametrize(
    "items",
    [
        [{"role": "user", "content": "hello"}],
        [said({"type": "input_text", "text": "hello"})],
        [said({"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "high"})],
        [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}],
        [CALL, RESULT],
        [CALL, {**RESULT, "output": [{"type": "input_text", "text": "rain"}]}],
        [{"type": "web_search_call", "id": "ws_1", "status": "completed"}],
        [{"type": "compaction", "encrypted_content": "gAAAA"}],
    ],
)
def test_what_it_takes_stays_as_it_is(items: list[JsonObject]) -> None:
    assert cut(*items) == (items, [])


def test_a_text_alone_is_the_whole_history() -> None:
    body: JsonObject = {"input": "hello"}
    cut_history(body, NameMap(), [])
    assert body == {"input": "hello"}


def test_calls_go_by_the_names_of_the_tools() -> None:
    names = NameMap({"weather": "weather_"}, {"weather_": "weather"})
    assert cut(CALL, RESULT, names=names)[0][0]["name"] == "weather_"


@pytest.mark.parametrize(
    ("item", "loss"),
    [
        ({"type": "reasoning", "id": "rs_1", "summary": []}, ("input[0]", "reasoning")),
        ({"type": "mcp_call", "id": "m"}, ("input[0]", "mcp_call")),
        ({"type": "code_interpreter_call", "id": "c"}, ("input[0]", "code_interpreter_call")),
    ],
)
def test_what_it_does_not_know_is_left_out_and_named(item: JsonObject, loss: tuple[str, str]) -> None:
    assert cut(item) == ([], [loss])


@pytest.mark.parametrize(
    ("part", "told", "loss"),
    [
        (
            {"type": "input_image", "image_url": "https://example.test/a.png"},
            {"type": "input_text", "text": "[image left out: the model fetches no addresses]"},
            ("input[0].content[0]", "image"),
        ),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
            {"type": "input_text", "text": "[document left out: Codex passes on no files]"},
            ("input[0].content[0]", "document"),
        ),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
            ("input[0].content[0].detail", "detail low"),
        ),
        (
            {"type": "refusal", "refusal": "No."},
            {"type": "output_text", "text": "No."},
            ("input[0].content[0]", "refusal"),
        ),
    ],
)
def test_parts_that_it_does_not_take(part: JsonObject, told: JsonObject, loss: tuple[str, str]) -> None:
    assert cut(said(part)) == ([said(told)], [loss])


def test_an_image_in_a_result() -> None:
    image = {"type": "input_image", "image_url": "https://example.test/a.png"}
    items, losses = cut(CALL, {**RESULT, "output": [image]})
    assert items[1]["output"][0]["type"] == "input_text"
    assert losses == [("input[1].output[0]", "image")]


def test_results_and_calls_without_each_other() -> None:
    assert cut(RESULT)[1] == [("input[0]", "result")]
    assert cut(CALL)[1] == [("input[0]", "open call")]


def test_an_item_that_only_a_server_keeps_is_refused() -> None:
    with pytest.raises(Untranslatable) as refused:
        cut({"type": "item_reference", "id": "msg_1"})
    assert refused.value.path == "input[0]"
