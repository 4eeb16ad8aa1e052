from __future__ import annotations

import pytest

from proxy.hub.hosted import intent_of


@pytest.mark.parametrize(
    ("kind", "intent"),
    [
        ("web_search", "web_search"),
        ("web_search_preview", "web_search"),
        ("web_search_preview_2025_03_11", "web_search"),
        ("web_search_2025_08_26", "web_search"),
        ("web_search_20250305", "web_search"),
        ("web_search_options", "web_search"),
        ("googleSearch", "web_search"),
        ("google_search", "web_search"),
        ("openrouter:web_search", "web_search"),
        ("googleSearchRetrieval", "web_search"),
        ("code_interpreter", "code_execution"),
        ("code_execution_20250825", "code_execution"),
        ("codeExecution", "code_execution"),
        ("web_fetch_20250910", "url_fetch"),
        ("urlContext", "url_fetch"),
        ("url_context", "url_fetch"),
    ],
)
def test_one_intent_has_many_names(kind: str, intent: str) -> None:
    assert intent_of(kind) == intent


@pytest.mark.parametrize("kind", ["computer_20250124", "mcp", "file_search", "image_generation", "bash_20250124", ""])
def test_what_has_no_equal_elsewhere(kind: str) -> None:
    assert intent_of(kind) is None
