from __future__ import annotations

import copy

from proxy.wire.gemini.spelling import canonical, written_back


def test_known_keys_are_respelled_and_come_back() -> None:
    body = {
        "contents": {"role": "user", "parts": {"inline_data": {"mime_type": "image/png", "data": "AA=="}}},
        "system_instruction": {"parts": [{"text": "be kind"}]},
        "tools": {"function_declarations": {"name": "f", "parameters_json_schema": {"type": "object"}}},
        "generation_config": {"top_p": 0.5, "thinking_config": {"include_thoughts": True}},
        "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
        "safetySettings": [],
    }
    before = copy.deepcopy(body)
    spelled = canonical(body)
    assert spelled.body == {
        "contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]}],
        "systemInstruction": {"parts": [{"text": "be kind"}]},
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
        "generationConfig": {"topP": 0.5, "thinkingConfig": {"includeThoughts": True}},
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "safetySettings": [],
    }
    assert body == before
    assert written_back(spelled.body, spelled.renamed, spelled.single) == before


def test_a_clients_own_names_are_left_alone() -> None:
    part = {"function_call": {"name": "f", "args": {"inline_data": 1, "top_p": {"mime_type": 2}}}}
    spelled = canonical({"contents": [{"parts": [part]}]})
    assert spelled.body["contents"] == [
        {"parts": [{"functionCall": {"name": "f", "args": {"inline_data": 1, "top_p": {"mime_type": 2}}}}]}
    ]


def test_both_spellings_of_one_key_stay_two_keys() -> None:
    body = {"systemInstruction": {"parts": []}, "system_instruction": {"parts": []}}
    spelled = canonical(body)
    assert spelled.body == body
    assert spelled.renamed == []


def test_places_that_are_gone_are_passed_over() -> None:
    assert written_back({"contents": []}, [["contents", 3, "parts", 0, "inline_data"], "x", []], [["tools"]]) == {
        "contents": []
    }


def test_what_is_no_request_is_left_for_the_reader_to_refuse() -> None:
    assert canonical({"contents": ["hello", 1], "tools": "x"}).body == {"contents": ["hello", 1], "tools": "x"}
