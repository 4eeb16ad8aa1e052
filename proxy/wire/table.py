"""Every wire, one line each."""

from __future__ import annotations

from proxy.wire import anthropic, gemini, openai_chat, openai_responses
from proxy.wire.base import Wire

WIRES: tuple[Wire, ...] = (anthropic.WIRE, openai_chat.WIRE, openai_responses.WIRE, gemini.WIRE)

_BY_NAME = {wire.name: wire for wire in WIRES}


def wire_named(name: str) -> Wire:
    """Raises KeyError for a name that no wire has."""
    return _BY_NAME[name]
