"""The same format on both sides: the client's own bytes go up, the upstream's own bytes come down."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import aiohttp
import msgspec
import openai
import pytest

from proxy.observe.recording import Request
from proxy.providers.base import USER_AGENT
from tests.contract.carried import CARRIED
from tests.contract.clients import CONTRACT, Clients
from tests.contract.house import ACCOUNTS, CLIENT_KEY, PREFIX
from tests.contract.judges import JUDGES
from tests.contract.scenarios import OBAN, SCENARIOS
from tests.contract.stage import FORMATS, VENDORS, Stage, answer, capture, header, streamed, whole

pytestmark = CONTRACT

by_format = pytest.mark.parametrize("wire", FORMATS)
by_way = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])

JSON = {"Content-Type": "application/json"}
PATHS: Mapping[str, str] = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/{model}:generateContent",
}
"""Where a client without an SDK asks."""
ODD_BODIES: Mapping[str, str] = {
    "openai_chat": """ {"n" : 1, "temperature": 1e0, "seed": 12345678901234567890,
      "messages":[{"content":"Tide? \\u00f8 ø \\/","role":"user","x_berth":[1.10]}],
      "zz_unheard_of": {"b": 1, "a": [true, null]}, "model": "MODEL", "stream_options":{ "include_usage":true},
      "stream": STREAM}\n""",
    "openai_responses": """{"zz_unheard_of":{"b":1.0,"a":null}, "stream":STREAM ,"model" :"MODEL",
      "input":[{"role":"user","content":"Tide? \\u00f8 ø","x_berth":1.10}], "store":false,"top_p":1e0}""",
    "anthropic": """{"stream": STREAM,"max_tokens":64 , "zz_unheard_of":{"b":1.0,"a":{}},
      "messages":[{"role":"user","content":[{"text":"Tide? \\u00f8 ø","type":"text","x_berth":1.10}]}],
      "model":"MODEL"}""",
    "gemini": """{"generationConfig":{"topP":1e0, "zz_unheard_of":[1.10]},\t
      "contents":[{"parts":[{"text":"Tide? \\u00f8 ø"}],"role":"user"}], "a_zz": {"b":1,"a":2}}""",
}
"""Spelled as no SDK would, with members that nobody knows. A Chat stream's usage is asked for: else we would ask."""


def odd_body(wire: str, model: str, *, is_stream: bool) -> bytes:
    return ODD_BODIES[wire].replace("MODEL", model).replace("STREAM", "true" if is_stream else "false").encode()


def path_of(wire: str, model: str, *, is_stream: bool) -> str:
    if wire == "gemini" and is_stream:
        return f"/v1beta/models/{model}:streamGenerateContent?alt=sse"
    return PATHS[wire].replace("{model}", model)


def renamed(data: bytes, wire: str, name: str) -> bytes:
    """With the client's name for the model in place of the upstream's."""
    return data.replace(f'"{VENDORS[wire].model}"'.encode(), f'"{name}"'.encode())


async def asked(raw: aiohttp.ClientSession, path: str, body: bytes) -> bytes:
    async with raw.post(path, data=body, headers=JSON) as response:
        data = await response.read()
        assert response.status == 200, data
        return data


class TestSdk:
    """Through the SDK of that format."""

    @by_format
    @by_way
    @pytest.mark.parametrize("name", SCENARIOS)
    async def test_an_exchange(self, stage: Stage, clients: Clients, wire: str, name: str, is_stream: bool) -> None:
        scenario = SCENARIOS[name]
        stage.plays(answer(wire, name, is_stream=is_stream))
        judge = JUDGES[wire](clients)
        said = await judge.ask(judge.words(scenario.ask, f"{wire}-home"), is_stream=is_stream)
        assert (said.model, said.text, said.thinking) == (f"{wire}-home", scenario.text, scenario.thinking)
        assert said.calls == list(scenario.calls)
        assert len(set(said.ids)) == len(scenario.calls)
        assert said.finish == judge.finish(has_calls=bool(scenario.calls))
        assert said.usage == judge.usage(scenario.usage(wire))
        assert said.parsed == (OBAN if scenario.ask.output else None)
        carried = CARRIED[wire](stage.request)
        assert carried.complaints() == []
        assert (carried.model, carried.is_stream) == (VENDORS[wire].model, is_stream)

    @by_format
    @by_way
    async def test_a_prefix_picks_accounts_and_is_echoed(
        self, stage: Stage, clients: Clients, wire: str, is_stream: bool
    ) -> None:
        stage.plays(answer(wire, "text", is_stream=is_stream))
        judge = JUDGES[wire](clients)
        said = await judge.ask(judge.words(SCENARIOS["text"].ask, f"{PREFIX}/{wire}-home"), is_stream=is_stream)
        assert said.model == f"{PREFIX}/{wire}-home"
        assert CARRIED[wire](stage.request).model == VENDORS[wire].model

    @by_format
    async def test_the_keys_of_a_provider_take_turns(self, stage: Stage, clients: Clients, wire: str) -> None:
        trio = next(each for each in ACCOUNTS[wire] if each.alias == f"{wire}-trio")
        stage.plays(answer(wire, "text", is_stream=False))
        judge = JUDGES[wire](clients)
        for _ in range(9):
            await judge.ask(judge.words(SCENARIOS["text"].ask, trio.alias), is_stream=False)
        used = [credential(wire, received.request) for received in stage.heard]
        assert sorted(used[:3]) == sorted(trio.keys)
        assert used == used[:3] * 3


def credential(wire: str, request: Request) -> str:
    name, scheme = VENDORS[wire].credential
    value = header(request, name)
    assert value is not None
    assert value.startswith(scheme)
    return value.removeprefix(scheme)


class TestUpwards:
    @by_format
    @by_way
    async def test_the_body_is_the_clients_byte_for_byte(
        self, stage: Stage, raw: aiohttp.ClientSession, wire: str, is_stream: bool
    ) -> None:
        model = VENDORS[wire].model
        body = odd_body(wire, model, is_stream=is_stream)
        stage.plays(answer(wire, "text", is_stream=is_stream))
        await asked(raw, path_of(wire, model, is_stream=is_stream), body)
        assert stage.request.body == body

    @by_format
    @by_way
    async def test_an_alias_changes_nothing_but_the_model(
        self, stage: Stage, raw: aiohttp.ClientSession, wire: str, is_stream: bool
    ) -> None:
        """White space between the members at the top is the only thing that may go."""
        body = odd_body(wire, f"{wire}-home", is_stream=is_stream)
        stage.plays(answer(wire, "text", is_stream=is_stream))
        await asked(raw, path_of(wire, f"{wire}-home", is_stream=is_stream), body)
        wanted = msgspec.json.decode(renamed_back(body, wire), type=dict[str, msgspec.Raw])
        got = msgspec.json.decode(stage.request.body, type=dict[str, msgspec.Raw])
        assert [(key, bytes(value)) for key, value in got.items()] == [
            (key, bytes(value)) for key, value in wanted.items()
        ]
        assert CARRIED[wire](stage.request).model == VENDORS[wire].model

    @by_format
    @by_way
    async def test_only_our_own_headers_and_the_accounts_key_go_up(
        self, stage: Stage, clients: Clients, wire: str, is_stream: bool
    ) -> None:
        stage.plays(answer(wire, "text", is_stream=is_stream))
        judge = JUDGES[wire](clients)
        await judge.ask(judge.words(SCENARIOS["text"].ask, f"{wire}-home"), is_stream=is_stream)
        request = stage.request
        names = {name.lower() for name, _ in request.headers}
        usual = {"host", "content-type", "content-length", "accept", "accept-encoding", "user-agent"}
        own = {VENDORS[wire].credential[0], *(["anthropic-version"] if wire == "anthropic" else [])}
        assert names == usual | own
        assert header(request, "user-agent") == USER_AGENT
        assert re.fullmatch(r"proxy/[\d.]+", USER_AGENT)
        assert header(request, "accept") == ("text/event-stream" if is_stream else "application/json")
        assert credential(wire, request) == f"sk-{wire}-home-key-1"
        everything = repr((stage.heard[0].target, request.headers, request.body))
        assert CLIENT_KEY not in everything

    async def test_what_anthropics_clients_say_of_version_and_betas_goes_on(
        self, stage: Stage, clients: Clients
    ) -> None:
        stage.plays(answer("anthropic", "text", is_stream=False))
        await clients.anthropic.beta.messages.create(
            model="anthropic-home",
            max_tokens=64,
            betas=["files-api-2025-04-14", "tide-tables-2026-01-01"],
            messages=[{"role": "user", "content": "Tide?"}],
            extra_headers={"anthropic-version": "2026-10-21"},
        )
        assert header(stage.request, "anthropic-version") == "2026-10-21"
        assert header(stage.request, "anthropic-beta") == "files-api-2025-04-14,tide-tables-2026-01-01"


def renamed_back(body: bytes, wire: str) -> bytes:
    return body.replace(f'"{wire}-home"'.encode(), f'"{VENDORS[wire].model}"'.encode())


class TestDownwards:
    @by_format
    @by_way
    @pytest.mark.parametrize("name", SCENARIOS)
    async def test_the_answer_is_the_upstreams_byte_for_byte(
        self, stage: Stage, raw: aiohttp.ClientSession, wire: str, name: str, is_stream: bool
    ) -> None:
        model = VENDORS[wire].model
        stage.plays(answer(wire, name, is_stream=is_stream))
        body = odd_body(wire, model, is_stream=is_stream)
        told = await asked(raw, path_of(wire, model, is_stream=is_stream), body)
        assert told == capture(wire, f"{name}.{'sse' if is_stream else 'json'}")

    @by_format
    @by_way
    async def test_an_alias_is_echoed_and_all_else_is_as_it_was(
        self, stage: Stage, raw: aiohttp.ClientSession, wire: str, is_stream: bool
    ) -> None:
        stage.plays(answer(wire, "tools", is_stream=is_stream))
        body = odd_body(wire, f"{wire}-home", is_stream=is_stream)
        told = await asked(raw, path_of(wire, f"{wire}-home", is_stream=is_stream), body)
        original = capture(wire, f"tools.{'sse' if is_stream else 'json'}")
        assert told == renamed(original, wire, f"{wire}-home") != original

    async def test_a_gemini_stream_without_sse_is_one_array(self, stage: Stage, raw: aiohttp.ClientSession) -> None:
        model = VENDORS["gemini"].model
        stage.plays(answer("gemini", "text", is_stream=True))
        told = await asked(raw, f"/v1beta/models/{model}:streamGenerateContent", b'{"contents":[]}')
        frames = [line[6:] for line in capture("gemini", "text.sse").splitlines() if line.startswith(b"data: ")]
        assert msgspec.json.decode(told) == [msgspec.json.decode(frame) for frame in frames]
        assert header(stage.request, "accept") == "text/event-stream"

    @by_format
    async def test_the_head_says_who_served_and_keeps_what_concerns_one_account(
        self, stage: Stage, raw: aiohttp.ClientSession, wire: str
    ) -> None:
        told = (
            ("request-id", "req_of_upstream"),
            ("Set-Cookie", "berth=1"),
            ("anthropic-ratelimit-requests-remaining", "3"),
            ("x-ratelimit-remaining-tokens", "4"),
            ("Server", "harbour"),
        )
        recording = answer(wire, "text", is_stream=False)
        response = replace(recording.response, headers=(*recording.response.headers, *told))
        stage.plays(replace(recording, response=response))
        model = VENDORS[wire].model
        body = odd_body(wire, model, is_stream=False)
        async with raw.post(path_of(wire, model, is_stream=False), data=body, headers=JSON) as got:
            headers = got.headers
        assert headers["x-proxy-model"] == model
        assert headers["x-proxy-attempts"] == "1"
        assert headers["request-id"] == "req_of_upstream"
        assert not {"set-cookie", "anthropic-ratelimit-requests-remaining", "x-ratelimit-remaining-tokens"} & {
            name.lower() for name in headers
        }


class TestOtherOperations:
    @pytest.mark.parametrize(
        ("model", "upstream_model"),
        [("openai_chat-home", "gpt-oss-120b"), ("openai_responses-soundings", "text-embedding-3-small")],
    )
    async def test_embeddings(self, stage: Stage, clients: Clients, model: str, upstream_model: str) -> None:
        stage.plays(whole("/embeddings", capture("openai_chat", "embeddings.json")))
        made = await clients.openai.embeddings.create(model=model, input=["low", "high"], encoding_format="float")
        assert [each.embedding for each in made.data] == [[0.25, -0.5, 0.125], [-0.0625, 0.75, 1.0]]
        assert made.usage.total_tokens == 9
        assert stage.body == {"model": upstream_model, "input": ["low", "high"], "encoding_format": "float"}

    async def test_completions(self, stage: Stage, clients: Clients) -> None:
        stage.plays(whole("/completions", capture("openai_chat", "completions.json")))
        made = await clients.openai.completions.create(model="openai_chat-home", prompt="At dusk", max_tokens=9)
        assert (made.choices[0].text, made.model) == (" the keeper lit the lamp.", "openai_chat-home")
        assert stage.body == {"model": "gpt-oss-120b", "max_tokens": 9, "prompt": "At dusk"}

    async def test_completions_as_a_stream(self, stage: Stage, clients: Clients) -> None:
        stage.plays(streamed("/completions", capture("openai_chat", "completions.sse")))
        stream = await clients.openai.completions.create(model="openai_chat-home", prompt="At dusk", stream=True)
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].text for chunk in chunks) == " the keeper lit the lamp."
        assert {chunk.model for chunk in chunks} == {"openai_chat-home"}

    @pytest.mark.parametrize("contents", [["low"], ["low", "high"]], ids=["one", "several"])
    async def test_gemini_embeddings(self, stage: Stage, clients: Clients, contents: list[str]) -> None:
        stage.plays(
            whole(":embedContent", capture("gemini", "embed.json")),
            whole(":batchEmbedContents", capture("gemini", "batch_embed.json")),
        )
        made = await clients.gemini.models.embed_content(model="gemini-soundings", contents=contents)
        assert made.embeddings
        assert made.embeddings[0].values == [0.25, -0.5, 0.125]
        requests: Any = stage.body["requests"]
        assert [each["model"] for each in requests] == ["models/gemini-embedding-001"] * len(contents)
        assert [each["content"]["parts"][0]["text"] for each in requests] == contents

    async def test_moderations(self, stage: Stage, clients: Clients) -> None:
        told = (
            b'{"id":"modr-1","model":"gpt-oss-120b","results":[{"flagged":false,"categories":{},"category_scores":{}}]}'
        )
        stage.plays(whole("/moderations", told))
        made = await clients.openai.moderations.create(model="openai_chat-home", input="a gentle breeze")
        assert made.results[0].flagged is False
        assert stage.body == {"model": "gpt-oss-120b", "input": "a gentle breeze"}

    async def test_images(self, stage: Stage, clients: Clients) -> None:
        stage.plays(whole("/images/generations", b'{"created":1795000000,"data":[{"b64_json":"aGFyYm91cg=="}]}'))
        made = await clients.openai.images.generate(model="openai_chat-home", prompt="a harbour", n=1)
        assert made.data
        assert made.data[0].b64_json == "aGFyYm91cg=="
        assert stage.body == {"model": "gpt-oss-120b", "prompt": "a harbour", "n": 1}

    async def test_speech(self, stage: Stage, clients: Clients) -> None:
        sound = bytes(range(256)) * 200
        spoken = whole("/audio/speech", sound)
        response = replace(spoken.response, headers=(("Content-Type", "audio/mpeg"),))
        stage.plays(replace(spoken, response=response))
        made = await clients.openai.audio.speech.create(model="openai_chat-home", voice="alloy", input="Ahoy")
        assert made.content == sound
        assert made.response.headers["content-type"] == "audio/mpeg"

    async def test_transcriptions(self, stage: Stage, clients: Clients) -> None:
        sound = bytes(range(256)) * 200
        stage.plays(whole("/audio/transcriptions", b'{"text":"Ahoy"}'))
        made = await clients.openai.audio.transcriptions.create(model="openai_chat-home", file=("ahoy.mp3", sound))
        assert made.text == "Ahoy"
        assert sound in stage.request.body
        assert b"gpt-oss-120b" in stage.request.body
        assert b"openai_chat-home" not in stage.request.body

    async def test_nobody_else_embeds(self, stage: Stage, clients: Clients) -> None:
        with pytest.raises(openai.NotFoundError, match="embed"):
            await clients.openai.embeddings.create(model="anthropic-home", input="low")
        assert stage.heard == []


COUNTED = {
    "openai_responses": "/responses/input_tokens",
    "anthropic": "/v1/messages/count_tokens",
    "gemini": "/v1beta/models/*:countTokens",
}


class TestCounting:
    """Across formats, too: with the upstream's own counter, where it has one."""

    @pytest.mark.parametrize("upstream", COUNTED)
    @pytest.mark.parametrize("client", ["openai_responses", "anthropic", "gemini"])
    async def test_with_the_upstreams_counter(self, stage: Stage, clients: Clients, client: str, upstream: str) -> None:
        stage.plays(whole(COUNTED[upstream], capture(upstream, "count_tokens.json")))
        assert await counted(clients, client, f"{upstream}-home") == 789
        body = stage.request.body.decode()
        assert "When do the ferries meet?" in body
        assert "max" not in body

    @pytest.mark.parametrize("client", ["openai_responses", "anthropic", "gemini"])
    async def test_by_estimate_where_it_has_none(self, stage: Stage, clients: Clients, client: str) -> None:
        assert 5 <= await counted(clients, client, "openai_chat-home") <= 20
        assert stage.heard == []


async def counted(clients: Clients, client: str, model: str) -> int:
    text = "When do the ferries meet?"
    if client == "openai_responses":
        return (await clients.openai.responses.input_tokens.count(model=model, input=text)).input_tokens
    if client == "anthropic":
        messages: Any = [{"role": "user", "content": text}]
        return (await clients.anthropic.messages.count_tokens(model=model, messages=messages)).input_tokens
    return (await clients.gemini.models.count_tokens(model=model, contents=text)).total_tokens or 0


class TestModels:
    NAMES = frozenset(
        {name for wire in FORMATS for name in (f"{wire}-home", f"{PREFIX}/{wire}-home", VENDORS[wire].model)}
    )

    async def test_for_openais_clients(self, clients: Clients) -> None:
        listed = {model.id: model async for model in clients.openai.models.list()}
        assert listed.keys() >= self.NAMES
        assert listed["anthropic-home"].owned_by == "anthropic"
        assert await clients.openai.models.retrieve("anthropic-home") == listed["anthropic-home"]
        with pytest.raises(openai.NotFoundError, match="Atlantis"):
            await clients.openai.models.retrieve("Atlantis")

    async def test_for_anthropics_clients(self, clients: Clients) -> None:
        listed = {model.id: model async for model in clients.anthropic.models.list()}
        assert listed.keys() >= self.NAMES
        one = await clients.anthropic.models.retrieve("gemini-home")
        assert one == listed["gemini-home"]
        assert (one.max_input_tokens, one.max_tokens) == (1_048_576, 65_536)

    async def test_for_googles_clients(self, clients: Clients) -> None:
        pager: AsyncIterator[Any] = await clients.gemini.models.list()
        listed = {(model.name or "").removeprefix("models/"): model async for model in pager}
        assert listed.keys() >= self.NAMES
        one = await clients.gemini.models.get(model="openai_responses-home")
        assert one.name == "models/openai_responses-home"
        assert (one.input_token_limit, one.output_token_limit) == (272_000, 128_000)
        assert "generateContent" in (one.supported_actions or [])
