from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from anthropic import AsyncAnthropic
from google import genai
from google.genai.types import HttpOptions
from openai import AsyncOpenAI

from proxy.errors import UnknownModel
from proxy.providers.base import Model
from proxy.server.models import render_list, render_one

if TYPE_CHECKING:
    from tests.proxy.server.conftest import House

KNOWN = Model(
    id="team/big",
    display_name="Big",
    context_tokens=200_000,
    output_tokens=64_000,
    modalities=("text", "image"),
    created=1_700_000_000,
    owner="vendor",
)
UNKNOWN = Model(id="plain")
EMBEDDER = Model(id="words", operations=frozenset({"embed", "embed_batch"}))


class Listing:
    def __init__(self, *models: Model) -> None:
        self._models = models

    def models(self) -> tuple[Model, ...]:
        return self._models


ALL = Listing(KNOWN, UNKNOWN)


def test_openai() -> None:
    listed = render_list("openai_chat", ALL)
    assert listed == {
        "object": "list",
        "data": [
            {
                "id": "team/big",
                "object": "model",
                "created": 1_700_000_000,
                "owned_by": "vendor",
                "display_name": "Big",
                "context_length": 200_000,
                "max_completion_tokens": 64_000,
                "architecture": {"input_modalities": ["text", "image"]},
            },
            {
                "id": "plain",
                "object": "model",
                "created": 0,
                "owned_by": "proxy",
                "architecture": {"input_modalities": ["text"]},
            },
        ],
    }


def test_a_clients_list_shows_what_it_can_use() -> None:
    drawing = Model(id="draws", operations=frozenset({"draw"}))
    everything = Listing(KNOWN, EMBEDDER, drawing)

    def names(wire: str, key: str, name: str) -> list[object]:
        listed = render_list(wire, everything)[key]
        assert isinstance(listed, list)
        return [each[name] for each in listed if isinstance(each, dict)]

    assert names("openai_chat", "data", "id") == ["team/big", "words", "draws"]
    assert names("anthropic", "data", "id") == ["team/big"]
    assert names("gemini", "models", "name") == ["models/team/big", "models/words"]


def test_anthropic() -> None:
    assert render_list("anthropic", ALL) == {
        "data": [
            {
                "type": "model",
                "id": "team/big",
                "display_name": "Big",
                "created_at": "2023-11-14T22:13:20Z",
                "lifecycle": "active",
                "max_input_tokens": 200_000,
                "max_tokens": 64_000,
            },
            {
                "type": "model",
                "id": "plain",
                "display_name": "plain",
                "created_at": "1970-01-01T00:00:00Z",
                "lifecycle": "active",
            },
        ],
        "has_more": False,
        "first_id": "team/big",
        "last_id": "plain",
    }
    assert render_list("anthropic", Listing()) == {"data": [], "has_more": False, "first_id": None, "last_id": None}


def test_gemini() -> None:
    assert render_list("gemini", Listing(KNOWN, EMBEDDER)) == {
        "models": [
            {
                "name": "models/team/big",
                "displayName": "Big",
                "inputTokenLimit": 200_000,
                "outputTokenLimit": 64_000,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            },
            {
                "name": "models/words",
                "displayName": "words",
                "supportedGenerationMethods": ["embedContent", "batchEmbedContents"],
            },
        ]
    }


def test_a_model_that_is_not_there() -> None:
    with pytest.raises(UnknownModel, match="there is no model 'Plain'") as raised:
        render_one("openai_chat", ALL, "Plain")
    assert raised.value.code == "model_not_found"


@pytest.mark.parametrize(
    "name", ["plain", "plain[1m]", "plain(high)", "plain(high)[1m]", "models/plain", "plain[1m](8192)"]
)
def test_a_model_is_there_by_any_name_that_it_may_be_asked_by(name: str) -> None:
    told = render_one("openai_chat", ALL, name)
    assert told == {**render_one("openai_chat", ALL, "plain"), "id": name.removeprefix("models/")}


class TestOfficialClients:
    async def test_openais(self, house: House) -> None:
        async with AsyncOpenAI(base_url=f"{house.url}/v1", api_key="any", max_retries=0) as client:
            listed = [model async for model in client.models.list()]
            assert [model.id for model in listed] == ["big", "vendor/small"]
            assert (await client.models.retrieve("vendor/small")).id == "vendor/small"

    async def test_anthropics(self, house: House) -> None:
        async with AsyncAnthropic(base_url=house.url, api_key="any", max_retries=0) as client:
            listed = [model async for model in client.models.list()]
            assert [(model.id, model.max_input_tokens) for model in listed] == [
                ("big", 200_000),
                ("vendor/small", None),
            ]
            assert (await client.models.retrieve("big")).lifecycle == "active"

    @pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")  # the SDK's own
    async def test_googles(self, house: House) -> None:
        client = genai.Client(api_key="any", http_options=HttpOptions(base_url=house.url))
        try:
            listed = [model async for model in await client.aio.models.list()]
            assert [(model.name, model.input_token_limit) for model in listed] == [
                ("models/big", 200_000),
                ("models/vendor/small", None),
            ]
            one = await client.aio.models.get(model="big")
            assert one.supported_actions == ["generateContent", "countTokens"]
        finally:
            await client.aio.aclose()
            client.close()
