"""Hosted tools by intent: what runs at the provider's, whatever it is called there (`Profile.hosted_tools`)."""

from __future__ import annotations

import re
from collections.abc import Mapping

_VERSION = re.compile(r"(_preview)?(_20\d\d(_?\d\d){2})?\Z")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_INTENTS: Mapping[str, str] = {
    "web_search": "web_search",  # OpenAI, Anthropic
    "web_search_options": "web_search",  # OpenAI Chat
    "google_search": "web_search",  # Gemini
    "google_search_retrieval": "web_search",
    "code_interpreter": "code_execution",  # OpenAI
    "code_execution": "code_execution",  # Anthropic, Gemini
    "web_fetch": "url_fetch",  # Anthropic
    "url_context": "url_fetch",  # Gemini
}


def intent_of(kind: str) -> str | None:
    """``web_search``, ``code_execution`` or ``url_fetch`` for the kind of a hosted tool's definition in any wire
    (``web_search_preview_2025_03_11``, ``googleSearch``, ``openrouter:web_search``); None: it has no equal elsewhere.
    """
    snake = _HUMP.sub("_", kind.rpartition(":")[2]).lower()
    return _INTENTS.get(_VERSION.sub("", snake))
