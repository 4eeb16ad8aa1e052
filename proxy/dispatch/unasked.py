"""Usage that an OpenAI Chat stream tells only to whoever asks for it, where the client did not.

The ledger, the budgets of client keys and the usage windows need it all the same. So it is asked for in the client's
place, and the chunk that tells nothing else is kept from the client: it gets what it would have got.
"""

from __future__ import annotations

import re

from proxy.dispatch.asked import Asked
from proxy.dispatch.decision import Candidate
from proxy.dispatch.frames import frames, payloads
from proxy.dispatch.splice import joined, members, raw
from proxy.hub.residue import JsonObject
from proxy.wire.base import loads, loads_upstream

_OPTIONS = b"stream_options"
_ASK = b'"stream_options":{"include_usage":true}'
_USAGE = re.compile(rb'"usage"\s*:\s*\{')


def is_unasked(asked: Asked, candidate: Candidate) -> bool:
    """An official CLI's own request to its provider stays as it is; one that it makes for somebody else always asks."""
    inquiry = asked.inquiry
    if candidate.provider.own_cli and candidate.provider.official:
        return False
    if inquiry.wire != "openai_chat" or inquiry.operation != "generate" or not inquiry.is_stream:
        return False
    if _OPTIONS not in inquiry.body:
        return True
    options = _options(inquiry.body)
    return options is not None and options.get("include_usage") is not True


def _options(body: bytes) -> JsonObject | None:
    """None: they are nothing that a provider would understand, which is for the provider to say."""
    fields = members(body)
    if "stream_options" not in fields:
        return {}
    options = loads(bytes(fields["stream_options"]))
    return {} if options is None else options if isinstance(options, dict) else None


def with_usage(body: bytes) -> bytes:
    """`body`: of which `is_unasked` is true. Every byte of it stays, but for options that it has already."""
    if _OPTIONS not in body:
        start = body.index(b"{") + 1
        return body[:start] + _ASK + b"," + body[start:]
    fields = members(body)
    fields["stream_options"] = raw({**(_options(body) or {}), "include_usage": True})
    return joined(fields)


def without_usage(block: bytes) -> bytes:
    """Complete frames, without those that tell usage and nothing else."""
    if not _USAGE.search(block):
        return block
    return b"".join(frame for frame in frames(block) if not (_USAGE.search(frame) and _is_usage_alone(frame)))


def _is_usage_alone(frame: bytes) -> bool:
    try:
        values = [loads_upstream(value) for value in payloads(frame)]
    except (ValueError, RecursionError):
        return False
    return bool(values) and all(
        isinstance(value, dict) and value.get("choices") == [] and isinstance(value.get("usage"), dict)
        for value in values
    )
