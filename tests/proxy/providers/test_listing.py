from __future__ import annotations

import msgspec
import pytest

from proxy.providers import anthropic, gemini, openai
from proxy.providers.base import Model, Provider
from proxy.providers.listing import Unreadable, models_of, page_of
from proxy.providers.openai_compatible import provider_named

LOCAL = provider_named("local", "http://127.0.0.1:1/v1", ())


def read(provider: Provider, *entries: object) -> dict[str, Model]:
    key = "models" if provider.wire == "gemini" else "data"
    page = page_of(provider, msgspec.json.encode({key: entries}))
    return {model.id: model for model in models_of(provider, page.entries)}


class TestOpenAi:
    def test_what_we_know_stays_and_what_is_told_is_added(self) -> None:
        told = read(
            openai.PROVIDER, {"id": "gpt-5.5", "object": "model", "created": 1_790_000_000, "owned_by": "openai"}
        )
        known = next(model for model in openai.PROVIDER.models if model.id == "gpt-5.5")
        assert told["gpt-5.5"].context_tokens == known.context_tokens
        assert (told["gpt-5.5"].created, told["gpt-5.5"].owner) == (1_790_000_000, "openai")

    @pytest.mark.parametrize(
        ("name", "operations"),
        [
            ("gpt-7", {"generate", "count_tokens"}),
            ("text-embedding-4", {"embed"}),
            ("gpt-7-transcribe-diarize", {"transcribe", "translate"}),
            ("tts-2", {"speak"}),
            ("gpt-image-9", {"draw", "edit_image"}),
            ("omni-moderation-2027", {"moderate"}),
            ("gpt-3.5-turbo-instruct", {"complete"}),
        ],
    )
    def test_what_a_new_model_is_for_is_in_its_name(self, name: str, operations: set[str]) -> None:
        assert read(openai.PROVIDER, {"id": name})[name].operations == operations

    def test_what_cannot_be_asked_of_us_is_left_out(self) -> None:
        assert [*read(openai.PROVIDER, {"id": "gpt-realtime-2"}, {"id": "sora-3"}, {"id": "gpt-5"})] == ["gpt-5"]

    def test_a_dated_name_is_the_model_that_it_is_of(self) -> None:
        told = read(openai.PROVIDER, {"id": "gpt-4o-2024-08-06"}, {"id": "gpt-5"})
        assert [*told] == ["gpt-4o", "gpt-4o-2024-08-06", "gpt-5"], "and answers to the name without the date"
        assert told["gpt-4o-2024-08-06"].context_tokens == told["gpt-4o"].context_tokens is not None

    def test_limits_as_others_tell_them(self) -> None:
        told = read(
            LOCAL,
            {
                "id": "vendor/large",
                "name": "Vendor: Large",
                "context_length": 131072,
                "top_provider": {"max_completion_tokens": 8192},
                "architecture": {"input_modalities": ["text", "image", "file", 7]},
            },
            {"id": "local-7b", "max_model_len": 4096},
            {"id": "odd", "context_length": "many", "created": True, "max_tokens": -1, "name": 5},
        )
        assert told["vendor/large"] == Model(
            id="vendor/large",
            display_name="Vendor: Large",
            context_tokens=131072,
            output_tokens=8192,
            modalities=("text", "image", "document"),
        )
        assert told["local-7b"].context_tokens == 4096
        assert told["odd"] == Model(id="odd")

    def test_a_bare_array(self) -> None:
        assert page_of(LOCAL, b'[{"id":"a"}]').entries == ({"id": "a"},)


class TestAnthropic:
    def test_pages(self) -> None:
        body = {
            "data": [{"type": "model", "id": "claude-x"}],
            "has_more": True,
            "first_id": "claude-x",
            "last_id": "a&b",
        }
        assert page_of(anthropic.PROVIDER, msgspec.json.encode(body)).following == "after_id=a%26b"
        assert page_of(anthropic.PROVIDER, msgspec.json.encode({**body, "has_more": False})).following == ""

    def test_an_entry(self) -> None:
        entry = {
            "type": "model", "id": "claude-opus-9-20270101", "display_name": "Claude Opus 9",
            "created_at": "2027-01-01T00:00:00Z", "max_input_tokens": 1_000_000, "max_tokens": 128_000,
        }  # fmt: skip
        assert read(anthropic.PROVIDER, entry)["claude-opus-9-20270101"] == Model(
            id="claude-opus-9-20270101",
            display_name="Claude Opus 9",
            context_tokens=1_000_000,
            output_tokens=128_000,
            created=1_798_761_600,
        )


class TestGemini:
    def test_pages(self) -> None:
        body = {"models": [{"name": "models/gemini-x"}], "nextPageToken": "next one"}
        assert page_of(gemini.PROVIDER, msgspec.json.encode(body)).following == "pageToken=next%20one"

    def test_an_entry(self) -> None:
        told = read(
            gemini.PROVIDER,
            {
                "name": "models/gemini-9-pro", "displayName": "Gemini 9 Pro", "inputTokenLimit": 2_000_000,
                "outputTokenLimit": 65_536, "supportedGenerationMethods": ["generateContent", "countTokens", "other"],
            },
            {"name": "models/gemini-embedding-002", "supportedGenerationMethods": ["embedContent"]},
            {"name": "models/veo-9", "supportedGenerationMethods": ["predictLongRunning"]},
        )  # fmt: skip
        assert [*told] == ["gemini-9-pro", "gemini-embedding-002"]
        assert (told["gemini-9-pro"].context_tokens, told["gemini-9-pro"].output_tokens) == (2_000_000, 65_536)
        assert told["gemini-9-pro"].operations == {"generate", "count_tokens"}
        assert told["gemini-embedding-002"].operations == {"embed", "embed_batch"}


class TestWhatIsNone:
    @pytest.mark.parametrize(
        "body", [b"", b"<html>", b"7", b"{}", b'{"data":{}}', b'{"data":null}', b"\xff", b"[" * 100_000]
    )
    @pytest.mark.parametrize("provider", [openai.PROVIDER, anthropic.PROVIDER, gemini.PROVIDER, LOCAL])
    def test_it_is_unreadable(self, provider: Provider, body: bytes) -> None:
        with pytest.raises(Unreadable):
            page_of(provider, body)

    @pytest.mark.parametrize(
        "entries", [[], [{}], [{"id": 7}], [{"id": ""}], [{"id": "a\nb"}], [{"id": "x" * 300}], [3]]
    )
    def test_it_names_nothing(self, entries: list[object]) -> None:
        with pytest.raises(Unreadable):
            read(openai.PROVIDER, *entries)
