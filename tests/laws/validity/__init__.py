"""What upstreams take: each wire's rules for requests, as documented and as recorded. A judge yields complaints.

They know nothing of our renderers: a rule stands here because a provider answers 400 to what breaks it (wires.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from proxy.hub.profile import Profile
from proxy.hub.residue import JsonObject
from tests.laws.validity import anthropic, gemini, openai_chat, openai_responses

JUDGES: Mapping[str, Callable[[JsonObject, Profile], Iterator[str]]] = {
    "anthropic": anthropic.complaints,
    "openai_chat": openai_chat.complaints,
    "openai_responses": openai_responses.complaints,
    "gemini": gemini.complaints,
}
