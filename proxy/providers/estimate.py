"""How many tokens a prompt has, roughly, where the upstream has no operation that counts them.

Four bytes of UTF-8 are about one token of prose and code in the vocabularies of today; scripts outside Latin take more
bytes and more tokens alike. Images and documents have no text: what providers charge for a usual one stands in.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.hub.parts import Media, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.request import Request, Tool
from proxy.wire.base import dumps

BYTES_PER_TOKEN = 4
MESSAGE_TOKENS = 4
"""What the roles and borders of one turn cost."""
MEDIA_TOKENS = {"image": 1_600, "document": 3_000, "audio": 1_000, "video": 5_000}


def estimated_tokens(request: Request) -> int:
    texts = list(_texts(request.instructions))
    media = 0
    for message in request.messages:
        texts += _texts(message.parts)
        media += sum(_media(message.parts))
    texts += [_declared(tool) for tool in request.tools]
    size = sum(len(text) for text in texts)
    return -(-size // BYTES_PER_TOKEN) + MESSAGE_TOKENS * len(request.messages) + media


def _declared(tool: Tool | Opaque) -> bytes:
    if isinstance(tool, Opaque):
        return dumps(tool.value)
    return b"".join((tool.name.encode(), (tool.description or "").encode(), dumps(tool.schema or {})))


def _texts(parts: Iterable[Part]) -> Iterable[bytes]:
    for part in parts:
        match part:
            case Text(text=text) | Refusal(text=text):
                yield text.encode("utf-8", "replace")
            case Thinking():
                yield part.text.encode("utf-8", "replace")
            case ToolCall():
                yield f"{part.name}{part.arguments}".encode("utf-8", "replace")
            case ToolResult():
                yield from _texts(part.parts)
            case Opaque():
                yield dumps(part.value)
            case Media():
                pass


def _media(parts: Iterable[Part]) -> Iterable[int]:
    for part in parts:
        if isinstance(part, Media):
            yield MEDIA_TOKENS[part.kind]
        elif isinstance(part, ToolResult):
            yield from _media(part.parts)
