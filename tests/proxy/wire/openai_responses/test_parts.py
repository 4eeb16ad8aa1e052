from __future__ import annotations

import pytest

from proxy.errors import Malformed
from proxy.hub.parts import CacheMark, Media, Opaque, Refusal, Text
from proxy.hub.residue import JsonObject
from proxy.wire.openai_responses.parts import INPUT, OUTPUT, parse_content, render_content, split_data_url

PNG = "data:image/png;base64,iVBORw0KGgo="


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_text", "text": "x"},
        {"type": "text", "text": "x"},
        {"type": "output_text", "text": "x", "annotations": [], "logprobs": []},
        {"type": "output_text", "text": "x", "annotations": [{"type": "url_citation"}], "logprobs": None},
        {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}},
        {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
        {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "new", "ttl": "1y"}},
        {"type": "refusal", "refusal": "no"},
        {"type": "input_image", "image_url": PNG, "detail": "low"},
        {"type": "input_image", "image_url": "https://x/y.png", "file_id": None},
        {"type": "input_image", "file_id": "file-1", "detail": "auto"},
        {"type": "input_image", "image_url": "https://x/y.png", "file_id": "file-1"},
        {"type": "input_image", "image_url": "data:image/png;charset=x;base64,AA=="},
        {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
        {"type": "input_file", "file_data": "data:image/png;base64,AA==", "filename": "a.png"},
        {"type": "input_file", "file_data": "AA==", "filename": "a.pdf"},
        {"type": "input_file", "file_url": "https://x/y.pdf", "detail": "high"},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_file", "file_data": "AA==", "file_url": "https://x/y.pdf"},
        {"type": "input_file"},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
        {"text": "no type"},
    ],
)
@pytest.mark.parametrize("native", [INPUT, OUTPUT])
def test_every_way_of_writing_is_kept(part: JsonObject, native: str) -> None:
    assert render_content(parse_content(part, "p", native), native) == part


def test_texts() -> None:
    text = parse_content(
        {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}, "p", INPUT
    )
    assert text == Text(text="x", cache=CacheMark("30m"))
    assert parse_content({"type": "refusal", "refusal": "no"}, "p", OUTPUT) == Refusal(text="no")


def test_images_and_files() -> None:
    image = parse_content({"type": "input_image", "image_url": PNG, "detail": "low"}, "p", INPUT)
    assert image == Media(kind="image", media_type="image/png", data="iVBORw0KGgo=", detail="low")
    file = parse_content(
        {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a"}, "p", INPUT
    )
    assert isinstance(file, Media)
    assert (file.kind, file.media_type, file.data, file.name) == ("document", "application/pdf", "AA==", "a")
    stored = parse_content({"type": "input_file", "file_id": "file-1"}, "p", INPUT)
    assert isinstance(stored, Media)
    assert (stored.file_id, stored.origin) == ("file-1", "openai_responses")


def test_what_has_no_word_is_opaque() -> None:
    part = parse_content({"type": "hologram"}, "p", INPUT)
    assert isinstance(part, Opaque)
    assert part.kind == "hologram"


@pytest.mark.parametrize("part", [5, {"type": "input_text"}, {"type": "input_image", "image_url": {"url": "x"}}])
def test_what_is_no_part_is_refused(part: JsonObject) -> None:
    with pytest.raises(Malformed) as refused:
        parse_content(part, "input[0].content[0]", INPUT)
    assert str(refused.value.path).startswith("input[0].content[0]")


@pytest.mark.parametrize("address", ["https://x/y", "data:,hello", "data:text/plain,hello", "data:a;b=c;base64,AA=="])
def test_addresses_that_hold_no_data(address: str) -> None:
    assert split_data_url(address) is None
