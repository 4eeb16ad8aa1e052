from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from proxy.hub.loss import Loss
from proxy.hub.names import NameMap
from proxy.hub.parts import CacheMark, Media, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from proxy.hub.profile import Profile
from proxy.hub.residue import JsonObject
from proxy.wire.anthropic.parts import PartWriter

PROFILE = Profile(maker="anthropic", has_cache_marks=True)
PNG = "iVBORw0KGgoAAAANSUhEUg=="
PDF = "JVBERi0xLjQK"


def written(part: Part, profile: Profile = PROFILE) -> JsonObject | None:
    return PartWriter(profile, NameMap(), is_home=False).write(part, "p")


def lost(part: Part, profile: Profile = PROFILE) -> list[Loss]:
    writer = PartWriter(profile, NameMap(), is_home=False)
    writer.write(part, "p")
    return writer.losses


def base64_image(media_type: str, data: str) -> JsonObject:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


@pytest.mark.parametrize(
    ("media", "block"),
    [
        (Media(kind="image", media_type="image/png", data=PNG), base64_image("image/png", PNG)),
        (Media(kind="image", media_type="image/jpeg", data=PNG), base64_image("image/png", PNG)),
        (Media(kind="image", data=PNG), base64_image("image/png", PNG)),
        (Media(kind="image", media_type="image/jpg", data="AAAA"), base64_image("image/jpeg", "AAAA")),
        (
            Media(kind="image", url="https://example.com/a.png", detail="auto"),
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        ),
        (
            Media(kind="image", file_id="file_1", origin="anthropic"),
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        ),
        (
            Media(kind="document", media_type="application/pdf", data=PDF, name="a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "title": "a.pdf",
            },
        ),
        (
            Media(kind="document", media_type="text/csv; charset=utf-8", data=base64.b64encode(b"a,b").decode()),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}},
        ),
        (
            Media(kind="document", media_type="application/json", data=base64.b64encode(b"{}").decode()),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "{}"}},
        ),
    ],
)
def test_media(media: Media, block: JsonObject) -> None:
    assert written(media) == block
    assert lost(media) == []


@pytest.mark.parametrize(
    ("media", "why"),
    [
        (Media(kind="audio", media_type="audio/wav", data="UklGRg=="), "it reads no audio"),
        (Media(kind="video", url="https://example.com/a.mp4"), "it reads no video"),
        (Media(kind="image", media_type="image/tiff", data="AAAA"), "it reads no image/tiff"),
        (Media(kind="image", data="AAAA"), "it reads no image of unknown type"),
        (Media(kind="document", media_type="application/zip", data="AAAA"), "it reads no application/zip"),
        (Media(kind="document", media_type="text/plain", data="//4="), "it reads no text/plain"),
        (Media(kind="image", file_id="file-1", origin="openai_responses"), "the file lies at openai_responses"),
        (Media(kind="image", url="gs://bucket/a.png"), "it fetches no such address"),
    ],
)
def test_media_that_cannot_be_sent(media: Media, why: str) -> None:
    assert written(media) == {"type": "text", "text": f"[{media.kind} left out: {why}]"}
    assert lost(media) == [Loss("p", media.kind, why)]


def test_what_the_profile_does_not_read() -> None:
    blind = replace(PROFILE, media=frozenset())
    assert lost(Media(kind="image", data=PNG), blind) == [Loss("p", "image", "it reads no image")]
    cut_off = replace(PROFILE, takes_media_url=False)
    assert len(lost(Media(kind="image", url="https://example.com/a.png"), cut_off)) == 1


def test_how_closely_an_image_is_looked_at_is_lost() -> None:
    media = Media(kind="image", data=PNG, detail="high", name="a.png")
    assert written(media) == base64_image("image/png", PNG)
    assert [loss.path for loss in lost(media)] == ["p.detail", "p.name"]


def test_bug_48_an_image_stays_with_its_own_result() -> None:
    result = ToolResult(call_id="c", parts=(Text(text="see"), Media(kind="image", data=PNG)), is_error=True)
    assert written(result) == {
        "type": "tool_result",
        "tool_use_id": "c",
        "content": [{"type": "text", "text": "see"}, base64_image("image/png", PNG)],
        "is_error": True,
    }
    plain = replace(PROFILE, has_media_in_results=False)
    told = written(result, plain)
    assert told is not None
    assert "image left out" in str(told["content"])
    assert [loss.path for loss in lost(result, plain)] == ["p.content[1]"]


def test_refusals_are_told_as_text() -> None:
    assert written(Refusal(text="No.")) == {"type": "text", "text": "No."}
    assert [loss.what for loss in lost(Refusal(text="No."))] == ["refusal"]


def test_history_of_other_wires_hosted_tools_is_lost() -> None:
    part = Opaque(wire="openai_responses", kind="web_search_call", value={})
    assert written(part) is None
    assert [loss.what for loss in lost(part)] == ["web_search_call"]


def test_other_makers_signatures_are_lost() -> None:
    for part in (
        Text(text="a", signature="s", origin="gemini"),
        ToolCall(id="1", name="f", signature="s", origin="gemini"),
    ):
        assert [loss.path for loss in lost(part)] == ["p.signature"]


def test_thinking_bears_no_mark() -> None:
    part = Thinking(sections=("a",), signature="s", origin="anthropic", cache=CacheMark())
    assert written(part) == {"type": "thinking", "thinking": "a", "signature": "s"}
    assert [loss.path for loss in lost(part)] == ["p.cache_control"]


def test_marks_within_results_count_in_the_prompts_order() -> None:
    writer = PartWriter(PROFILE, NameMap(), is_home=False)
    inner = Text(text="a", cache=CacheMark())
    writer.write(ToolResult(call_id="c", parts=(inner,), cache=CacheMark("1h")), "p")
    assert [path for _, path in writer.marked] == ["p.content[0]", "p"]
