from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from proxy.hub.parts import Media, Refusal, Text
from proxy.hub.profile import Profile
from proxy.hub.residue import JsonObject
from proxy.wire.openai_chat.blocks import Blocks

IMAGE = Media(kind="image", media_type="image/png", data="AAAA")
PDF = Media(kind="document", media_type="application/pdf", data="JVBERi0=")
NOTE = Media(kind="document", media_type="text/plain", data=base64.b64encode("né".encode()).decode(), name="n.txt")


def block(media: Media, profile: Profile) -> tuple[JsonObject | None, list[str]]:
    blocks = Blocks(profile, is_home=False, losses=[])
    return blocks.block(media, "at"), [loss.path for loss in blocks.losses]


@pytest.mark.parametrize(
    ("media", "written"),
    [
        (IMAGE, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
        (
            Media(kind="image", data="iVBORw0KGgo="),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        ),
        (
            Media(kind="image", url="https://x.test/a", detail="high"),
            {"type": "image_url", "image_url": {"url": "https://x.test/a", "detail": "high"}},
        ),
        (
            PDF,
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "file.pdf"}},
        ),
        (NOTE, {"type": "text", "text": "n.txt:\n\nné"}),
        (
            Media(kind="audio", media_type="audio/x-wav", data="AAAA"),
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ),
        (Media(kind="video", url="https://x.test/v"), {"type": "video_url", "video_url": {"url": "https://x.test/v"}}),
        (
            Media(kind="document", file_id="file-1", origin="openai_chat"),
            {"type": "file", "file": {"file_id": "file-1"}},
        ),
    ],
    ids=str,
)
def test_files_of_other_wires(media: Media, written: JsonObject, able: Profile) -> None:
    assert block(media, able) == (written, [])


@pytest.mark.parametrize(
    ("media", "change"),
    [
        (IMAGE, {"media": frozenset()}),
        (Media(kind="image", url="https://x.test/a"), {"takes_media_url": False}),
        (Media(kind="document", file_id="file_1", origin="anthropic"), {}),
        (Media(kind="document", url="https://x.test/a.pdf"), {}),
        (Media(kind="audio", media_type="audio/ogg", data="AAAA"), {}),
    ],
    ids=str,
)
def test_what_cannot_be_said_is_a_loss_and_leaves_a_word(media: Media, change: dict[str, Any], able: Profile) -> None:
    written, losses = block(media, replace(able, **change))
    assert losses == ["at"]
    assert written is not None
    assert str(written["text"]).startswith(f"[{media.kind} left out: ")


def test_text_is_read_by_models_that_read_no_documents(able: Profile) -> None:
    assert block(NOTE, replace(able, media=frozenset()))[0] == {"type": "text", "text": "n.txt:\n\nné"}


def test_content_is_a_string_where_that_says_it_all(able: Profile) -> None:
    blocks = Blocks(able, is_home=False, losses=[])
    assert blocks.content((Text(text="a"),), ("p",)) == "a"
    assert blocks.content((Text(text="a"), IMAGE), ("p", "p")) == [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    assert blocks.content((Refusal(text="no"),), ("p",)) == [{"type": "refusal", "refusal": "no"}]
