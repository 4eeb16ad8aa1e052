"""OpenAI's SDKs for what is no answer: pictures, sound, judgements and embeddings; by OpenAI's key and by another."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from email import message_from_bytes
from typing import Any, Protocol

import msgspec
import openai
import pytest
import pytest_asyncio

from proxy.observe.recording import Frame, Recording, Request, Response
from proxy.upstream.replay_server import ReplayServer
from tests.contract.clients import CONTRACT, Clients
from tests.contract.house import CLIENT_KEY, House
from tests.contract.stage import Stage, capture, streamed, whole
from tests.sdks.node import At, Node, Refused

pytestmark = [
    *CONTRACT,
    pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning"),  # so openai calls its translations
]

MODELS = {
    "picture": "gpt-image-2", "scribe": "gpt-4o-transcribe", "translator": "whisper-1", "voice": "tts-1",
    "judge": "omni-moderation-latest", "sounding": "text-embedding-3-small", "writer": "gpt-5.5",
}  # fmt: skip
"""By the alias that clients know, behind the provider's name."""
PROVIDERS = ("ours", "theirs")
"""A key of OpenAI's, and one of somebody who is compatible."""
BYTES = bytes(range(256)) * 300
PICTURE = {"name": "harbour.png", "type": "image/png", "data": base64.b64encode(b"\x89PNG" + BYTES).decode()}
MASK = {"name": "mask.png", "type": "image/png", "data": base64.b64encode(b"\x89PNG" + BYTES[::-1]).decode()}
SOUND = {"name": "ahoy.mp3", "type": "audio/mpeg", "data": base64.b64encode(b"ID3" + BYTES).decode()}
DRAWN = [{"b64_json": "aGFyYm91cg=="}]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(server: ReplayServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    house = House(folder=tmp_path_factory.mktemp("media"))
    own, theirs = ([{"name": name, "alias": f"{who}-{alias}"} for alias, name in MODELS.items()] for who in PROVIDERS)
    house.configure({
        "request-retry": 0, "max-retry-interval": 0, "log-format": "json",
        "api-keys": [{"api-key": CLIENT_KEY, "name": "master"}],
        "codex-api-key": [{"api-key": "sk-own", "base-url": f"{server.url}/v1", "models": own}],
        "openai-compatibility": [{
            "name": "quay", "base-url": f"{server.url}/v1", "models": theirs,
            "api-key-entries": [{"api-key": "sk-quay"}],
        }],
    })  # fmt: skip
    async with house:
        yield house


class Sdk(Protocol):
    async def __call__(self, task: str, alias: str, what: Any, *, is_stream: bool = False) -> Any:
        """Raises `Refused`."""


@pytest_asyncio.fixture(params=["node", "python"], loop_scope="session")
async def sdk(request: pytest.FixtureRequest, house: House, node: Node) -> AsyncIterator[Sdk]:
    async with Clients(house.url, CLIENT_KEY) as clients:

        async def by_node(task: str, alias: str, what: Any, *, is_stream: bool = False) -> Any:
            return await node.ask("openai-chat", task, At(house.url, CLIENT_KEY, alias, is_stream), what)

        async def by_python(task: str, alias: str, what: Any, *, is_stream: bool = False) -> Any:
            try:
                return await PYTHON[task](clients.openai, alias, what, is_stream)
            except openai.APIStatusError as error:
                raise Refused(type(error).__name__, error.message, error.status_code) from error

        yield {"node": by_node, "python": by_python}[request.param]


class Python:
    """The same for Python as media.mjs for Node.js."""

    @staticmethod
    def file(told: Mapping[str, str]) -> tuple[str, bytes, str]:
        return told["name"], base64.b64decode(told["data"]), told["type"]

    @staticmethod
    async def all(stream: Any) -> list[Any]:
        return [each.model_dump(exclude_unset=True) async for each in stream]

    @staticmethod
    async def draw(client: Any, model: str, words: Any, is_stream: bool) -> Any:
        made = await client.images.generate(model=model, stream=is_stream or openai.omit, **words)
        return await Python.all(made) if is_stream else [each.model_dump(exclude_unset=True) for each in made.data]

    @staticmethod
    async def edit(client: Any, model: str, words: Any, _is_stream: bool) -> Any:
        files = {"image": [Python.file(each) for each in words["image"]], "mask": Python.file(words["mask"])}
        made = await client.images.edit(model=model, **{**words, **files})
        return [each.model_dump(exclude_unset=True) for each in made.data]

    @staticmethod
    async def transcribe(client: Any, model: str, words: Any, is_stream: bool) -> Any:
        rest = {key: value for key, value in words.items() if key != "sound"}
        file = Python.file(words["sound"])
        made = await client.audio.transcriptions.create(model=model, file=file, stream=is_stream or openai.omit, **rest)
        return await Python.all(made) if is_stream else made.model_dump(exclude_unset=True)

    @staticmethod
    async def translate(client: Any, model: str, words: Any, _is_stream: bool) -> Any:
        made = await client.audio.translations.create(model=model, file=Python.file(words["sound"]))
        return made.model_dump(exclude_unset=True)

    @staticmethod
    async def speak(client: Any, model: str, words: Any, _is_stream: bool) -> Any:
        return base64.b64encode((await client.audio.speech.create(model=model, **words)).content).decode()

    @staticmethod
    async def moderate(client: Any, model: str, words: Any, _is_stream: bool) -> Any:
        return [
            each.model_dump(exclude_unset=True)
            for each in (await client.moderations.create(model=model, **words)).results
        ]

    @staticmethod
    async def compact(client: Any, model: str, words: Any, _is_stream: bool) -> Any:
        made = await client.responses.compact(model=model, **words)
        return [each.model_dump(exclude_unset=True) for each in made.output]

    @staticmethod
    async def embed(client: Any, model: str, texts: Any, _is_stream: bool) -> Any:
        return [each.embedding for each in (await client.embeddings.create(model=model, input=texts)).data]


PYTHON: Mapping[str, Any] = {
    name: each.__func__ for name, each in vars(Python).items() if isinstance(each, staticmethod)
}


def form(request: Request) -> dict[str, list[Any]]:
    """Each field's values; of a file (its name, its kind, its bytes)."""
    kind = next(value for name, value in request.headers if name.lower() == "content-type")
    assert kind.startswith("multipart/form-data")
    fields: dict[str, list[Any]] = {}
    parts: Any = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + request.body).get_payload()
    for part in parts:
        data = part.get_payload(decode=True)
        file = part.get_filename()
        name = part.get_param("name", header="content-disposition")
        fields.setdefault(name, []).append((file, part.get_content_type(), data) if file else data.decode())
    return fields


def sent(told: Mapping[str, str]) -> tuple[str, str, bytes]:
    return told["name"], told["type"], base64.b64decode(told["data"])


def json(value: object) -> bytes:
    return msgspec.json.encode(value)


@pytest.mark.parametrize("who", PROVIDERS)
class TestMedia:
    async def test_a_picture(self, stage: Stage, sdk: Sdk, who: str) -> None:
        stage.plays(whole("/images/generations", json({"created": 1_795_000_000, "data": DRAWN})))
        words = {"prompt": "a harbour", "size": "1024x1024", "n": 1}
        assert await sdk("draw", f"{who}-picture", words) == DRAWN
        assert stage.body == {"model": "gpt-image-2", **words}

    async def test_a_picture_as_it_comes(self, stage: Stage, sdk: Sdk, who: str) -> None:
        usage = {
            "total_tokens": 3,
            "input_tokens": 1,
            "output_tokens": 2,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": 1},
        }
        more = {"created_at": 1, "size": "1024x1024", "quality": "high", "background": "auto", "output_format": "png"}
        told = [
            {"type": "image_generation.partial_image", "b64_json": "YQ==", "partial_image_index": 0, **more},
            {"type": "image_generation.completed", "b64_json": "YWI=", "usage": usage, **more},
        ]
        sse = b"".join(b"event: %b\ndata: %b\n\n" % (str(each["type"]).encode(), json(each)) for each in told)
        stage.plays(streamed("/images/generations", sse))
        events = await sdk("draw", f"{who}-picture", {"prompt": "a harbour", "partial_images": 1}, is_stream=True)
        assert events == told
        assert stage.body["stream"] is True

    async def test_a_picture_changed(self, stage: Stage, sdk: Sdk, who: str) -> None:
        """Several files, each byte of them."""
        stage.plays(whole("/images/edits", json({"created": 1_795_000_000, "data": DRAWN})))
        words = {"image": [PICTURE, {**PICTURE, "name": "quay.png"}], "mask": MASK, "prompt": "at dusk — später"}
        assert await sdk("edit", f"{who}-picture", words) == DRAWN
        fields = form(stage.request)
        assert fields["model"] == ["gpt-image-2"]
        assert fields["prompt"] == ["at dusk — später"]
        assert fields["image[]"] == [sent(PICTURE), sent({**PICTURE, "name": "quay.png"})]
        assert fields["mask"] == [sent(MASK)]

    async def test_what_was_said(self, stage: Stage, sdk: Sdk, who: str) -> None:
        told = {"text": "Ahoy", "usage": {"type": "duration", "seconds": 2}}
        stage.plays(whole("/audio/transcriptions", json(told)))
        said = await sdk("transcribe", f"{who}-scribe", {"sound": SOUND, "language": "en", "temperature": 0.5})
        assert said == told
        fields = form(stage.request)
        assert fields == {
            "model": ["gpt-4o-transcribe"],
            "language": ["en"],
            "temperature": ["0.5"],
            "file": [sent(SOUND)],
        }

    async def test_what_was_said_as_it_comes(self, stage: Stage, sdk: Sdk, who: str) -> None:
        told = [
            {"type": "transcript.text.delta", "delta": "A"},
            {"type": "transcript.text.delta", "delta": "hoy"},
            {"type": "transcript.text.done", "text": "Ahoy"},
        ]
        stage.plays(streamed("/audio/transcriptions", b"".join(b"data: %b\n\n" % json(each) for each in told)))
        assert await sdk("transcribe", f"{who}-scribe", {"sound": SOUND}, is_stream=True) == told
        assert form(stage.request)["stream"] == ["true"]

    async def test_what_was_said_in_english(self, stage: Stage, sdk: Sdk, who: str) -> None:
        stage.plays(whole("/audio/translations", b'{"text":"Ahoy"}'))
        assert await sdk("translate", f"{who}-translator", {"sound": SOUND}) == {"text": "Ahoy"}
        assert form(stage.request) == {"model": ["whisper-1"], "file": [sent(SOUND)]}

    async def test_speech(self, stage: Stage, sdk: Sdk, who: str) -> None:
        frame = Response(headers=(("Content-Type", "audio/mpeg"),), frames=(Frame(data=BYTES),))
        stage.plays(Recording(request=Request(path="*/audio/speech"), response=frame))
        words = {"input": "Ahoy", "voice": "alloy", "response_format": "mp3"}
        assert base64.b64decode(await sdk("speak", f"{who}-voice", words)) == BYTES
        assert stage.body == {"model": "tts-1", **words}

    async def test_a_judgement(self, stage: Stage, sdk: Sdk, who: str) -> None:
        result = {"flagged": False, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}
        stage.plays(whole("/moderations", json({"id": "m", "model": "omni-moderation-latest", "results": [result]})))
        words = {"input": ["a gentle breeze", "a storm"]}
        assert await sdk("moderate", f"{who}-judge", words) == [result]
        assert stage.body == {"model": "omni-moderation-latest", **words}

    async def test_embeddings(self, stage: Stage, sdk: Sdk, who: str) -> None:
        stage.plays(whole("/embeddings", capture("openai_chat", "embeddings.json")))
        assert await sdk("embed", f"{who}-sounding", ["low", "high"]) == [[0.25, -0.5, 0.125], [-0.0625, 0.75, 1.0]]
        assert stage.body["input"] == ["low", "high"]

    @pytest.mark.parametrize("task", ["draw", "edit"])
    async def test_what_the_provider_says_against_it(self, stage: Stage, sdk: Sdk, who: str, task: str) -> None:
        error = {
            "message": "Your request was rejected by the safety system.",
            "type": "image_generation_user_error",
            "code": "moderation_blocked",
            "param": None,
        }
        stage.plays(
            whole(f"/images/{'generations' if task == 'draw' else 'edits'}", json({"error": error}), status=400)
        )
        words: Any = {"prompt": "x"} if task == "draw" else {"image": [PICTURE], "mask": MASK, "prompt": "x"}
        with pytest.raises(Refused, match="rejected by the safety system") as caught:
            await sdk(task, f"{who}-picture", words)
        assert caught.value.status == 400


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("draw", {"prompt": "a harbour"}),
        ("edit", {"image": [PICTURE], "mask": MASK, "prompt": "x"}),
        ("transcribe", {"sound": SOUND}),
        ("translate", {"sound": SOUND}),
        ("speak", {"input": "Ahoy", "voice": "alloy"}),
    ],
)
async def test_a_model_that_cannot(stage: Stage, sdk: Sdk, task: str, words: Any) -> None:
    with pytest.raises(Refused, match="ours-judge") as caught:
        await sdk(task, "ours-judge", words)
    assert caught.value.status == 404
    assert stage.heard == []


async def test_a_conversation_made_shorter(stage: Stage, sdk: Sdk) -> None:
    """By OpenAI alone: nobody else could read it."""
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAAABharbour"}
    usage = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
    told = {"id": "resp_1", "object": "response.compaction", "created_at": 1, "output": [item], "usage": usage}
    stage.plays(whole("/responses/compact", json(told)))
    words = {"input": [{"role": "user", "content": "Ahoy"}]}
    assert await sdk("compact", "ours-writer", words) == [item]
    assert stage.body == {"model": "gpt-5.5", **words}
    with pytest.raises(Refused, match="theirs-writer") as caught:
        await sdk("compact", "theirs-writer", words)
    assert caught.value.status == 404
