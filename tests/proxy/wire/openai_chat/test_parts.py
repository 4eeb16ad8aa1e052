from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.hub.parts import Media, Opaque, Part, Text
from proxy.hub.profile import Profile
from proxy.wire.openai_chat.blocks import Blocks
from proxy.wire.openai_chat.parts import parse_part

PDF = "JVBERi0xLjQK"
CASES: list[tuple[dict[str, Any], Part]] = [
    ({"type": "text", "text": "x"}, Text(text="x")),
    (
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        Media(kind="image", media_type="image/png", data="AAAA", detail="low"),
    ),
    (
        {"type": "image_url", "image_url": {"url": "data:image/png;name=a.png;base64,AAAA"}},
        Media(kind="image", media_type="image/png", data="AAAA"),
    ),
    ({"type": "image_url", "image_url": "https://x.test/a"}, Media(kind="image", url="https://x.test/a")),
    ({"type": "image_url", "image_url": {"url": "gs://b/a"}}, Media(kind="image", url="gs://b/a")),
    (
        {"type": "image_url", "image_url": {"url": "data:image/svg+xml,%3Csvg%3E"}},
        Media(kind="image", media_type="image/svg+xml", data="PHN2Zz4="),
    ),
    (
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        Media(kind="audio", media_type="audio/mpeg", data="AAAA"),
    ),
    (
        {"type": "input_audio", "input_audio": {"data": "data:audio/wav;base64,AAAA", "format": "wav"}},
        Media(kind="audio", media_type="audio/wav", data="AAAA"),
    ),
    (
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"}},
        Media(kind="document", media_type="application/pdf", data=PDF, name="a.pdf"),
    ),
    ({"type": "file", "file": {"file_data": PDF}}, Media(kind="document", media_type="application/pdf", data=PDF)),
    (
        {"type": "file", "file": {"file_data": "https://x.test/a.pdf", "filename": "a.pdf"}},
        Media(kind="document", url="https://x.test/a.pdf", name="a.pdf"),
    ),
    (
        {"type": "file", "file": {"file_id": "file-1"}},
        Media(kind="document", file_id="file-1", origin="openai_chat"),
    ),
    ({"type": "video_url", "video_url": {"url": "https://x.test/a"}}, Media(kind="video", url="https://x.test/a")),
    ({"type": "document_url", "document_url": "https://x.test/a"}, Media(kind="document", url="https://x.test/a")),
    ({"type": "file_url", "file_url": {"url": "https://x.test/a"}}, Media(kind="document", url="https://x.test/a")),
    (
        {"type": "of_tomorrow", "x": [1]},
        Opaque(wire="openai_chat", kind="of_tomorrow", value={"type": "of_tomorrow", "x": [1]}),
    ),
    ({"type": "text", "text": "x", "image_url": None, "more": {"a": 1}}, Text(text="x")),
    (
        {"type": "image_url", "image_url": {"url": "https://x.test/a", "format": "png"}, "text": None},
        Media(kind="image", url="https://x.test/a"),
    ),
]


@pytest.mark.parametrize(("block", "part"), CASES, ids=str)
def test_a_block_is_read_and_comes_back(block: dict[str, Any], part: Part, able: Profile) -> None:
    read = parse_part(block, "content[0]")
    assert replace(read, residue=None) == part
    blocks = Blocks(able, is_home=True, losses=[])
    assert blocks.block(read, "content[0]") == block
    assert blocks.losses == []


def test_a_bare_string_is_a_text() -> None:
    assert parse_part("x", "content[0]") == Text(text="x")
