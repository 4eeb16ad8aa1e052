"""How many tokens a request is believed to take before it is sent, for limits that count them. Cheap, and rough.

Four bytes are a token (`proxy.providers.estimate`). What is inside of quotation marks, long and without a blank, is a
picture or a document in base64: its size says nothing. The answer is guessed at what most do not exceed, or at what the
client allows if that is less: clients allow the most there is, and use a hundredth of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from proxy.dispatch.inquiry import Inquiry
from proxy.observe.usage import Tokens
from proxy.providers.estimate import BYTES_PER_TOKEN, MEDIA_TOKENS

OUTPUT_TOKENS = 1000
BLOB_BYTES_MIN = 4096
QUOTES_MAX = 200_000
"""A body with more of them is not looked through."""
_LOOK_BYTES = 256
_NOTHING = Tokens(input_uncached=0, output=0)


class _Asked(msgspec.Struct):
    """What a body may say of its answer's length. Everything else is skipped unread."""

    max_tokens: object = None
    max_completion_tokens: object = None
    max_output_tokens: object = None
    generationConfig: object = None  # noqa: N815 - the wire's own spelling


_asked = msgspec.json.Decoder(_Asked).decode


def forecast(inquiry: Inquiry) -> Tokens:
    """Its input and output; nothing for what is not charged."""
    if inquiry.operation == "count_tokens" or not inquiry.body:
        return _NOTHING
    size, blobs = len(inquiry.body), 0
    if size > BLOB_BYTES_MIN and inquiry.body.count(b'"') <= QUOTES_MAX:
        for piece in inquiry.body.split(b'"'):
            if len(piece) > BLOB_BYTES_MIN and b" " not in piece[:_LOOK_BYTES]:
                size -= len(piece)
                blobs += 1
    said = _said_output(inquiry.body)
    output = OUTPUT_TOKENS if said is None else min(said, OUTPUT_TOKENS)
    return Tokens(input_uncached=-(-size // BYTES_PER_TOKEN) + blobs * MEDIA_TOKENS["image"], output=output)


def _said_output(body: bytes) -> int | None:
    try:
        asked = _asked(body)
    except (ValueError, RecursionError):
        return None
    config = asked.generationConfig
    inner = config.get("maxOutputTokens") if isinstance(config, Mapping) else None
    said = (asked.max_tokens, asked.max_completion_tokens, asked.max_output_tokens, inner)
    return min((each for each in said if isinstance(each, int) and each >= 0), default=None)
