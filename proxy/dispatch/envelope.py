"""Code Assist's envelope around a request: the client's own again, with the account's project and its model in it."""

from __future__ import annotations

from proxy.dispatch.decision import Candidate
from proxy.dispatch.splice import joined, members, raw

_OWN = ("model", "session_id")
"""Members of the inner request that are the envelope's, and not Gemini's."""


def enveloped(envelope: bytes, body: bytes, candidate: Candidate) -> bytes:
    """`envelope`: as it came. `body`: what shall stand in it, in Gemini's words. Members keep their order and bytes.
    What the client believes to be its project is the word that we gave it, and goes no further.
    """
    outer, edited = members(envelope), members(body)
    came = members(bytes(outer["request"]))
    inner = {key: edited.get(key, value) for key, value in came.items() if key in edited or key in _OWN} | edited
    if "model" in came:
        inner["model"] = raw(f"models/{candidate.model}")  # of countTokens
    if "model" in outer:
        outer["model"] = raw(candidate.model)
    if "project" in outer:
        outer["project"] = raw(candidate.credential.project)
    outer["request"] = raw(inner) if inner != came else outer["request"]
    return joined(outer)
