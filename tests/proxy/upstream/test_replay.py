from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import pytest

from proxy.errors import Broken, ConfigError, Silent, Unreachable
from proxy.observe.recording import Fault, Frame, Recording, Request, Response, load, render
from proxy.upstream.base import Call, Deadlines, Upstream
from proxy.upstream.replay import Deck, ReplayUpstream


def card(answer: str, path: str = "/v1", body: object = None, fault: str = "", **changes: object) -> Recording:
    request = Request(path=path, body=b"" if body is None else msgspec.json.encode(body))
    response = Response(frames=(Frame(data=answer.encode()),))
    return Recording(request=request, response=response, fault=Fault(kind=fault) if fault else None, **changes)


def drawn(deck: Deck, path: str = "/v1", body: object = None, **changes: object) -> str | None:
    found = deck.draw(Request(path=path, body=msgspec.json.encode(body), **changes))
    return found.response.body.decode() if found else None


class TestDeck:
    def test_in_order_and_then_the_last(self) -> None:
        deck = Deck([card("1"), card("2")])
        assert [drawn(deck) for _ in range(4)] == ["1", "2", "2", "2"]

    def test_in_order_again_and_again(self) -> None:
        deck = Deck([card("1"), card("2")], at_end="loop")
        assert [drawn(deck) for _ in range(5)] == ["1", "2", "1", "2", "1"]

    def test_method_and_path(self) -> None:
        deck = Deck([card("any", path="/v1beta/models/*:generateContent"), card("one")])
        assert drawn(deck, path="/v1beta/models/gemini:generateContent") == "any"
        assert drawn(deck, path="/v1beta/models/gemini:countTokens") is None
        assert drawn(deck, method="GET") is None

    def test_a_query_is_a_preference(self) -> None:
        whole, sse = card("whole"), card("sse")
        sse = replace(sse, request=replace(sse.request, query=(("alt", "sse"), ("key", "•••"))))
        deck = Deck([whole, sse])
        assert drawn(Deck([sse])) == "sse"
        assert drawn(deck) == "whole"
        assert drawn(Deck([sse, whole])) == "whole"
        assert drawn(Deck([sse, whole]), query=(("x", "y"), ("alt", "sse"))) == "sse"

    def test_the_nearest_wins(self) -> None:
        deck = Deck(
            [
                card("rest"),
                card("match", match={"model": "m", "messages": [{"role": "user"}]}),
                card("same", body={"b": 1, "a": [1]}),
            ]
        )
        assert drawn(deck, body={"a": [1], "b": 1}) == "same"
        assert drawn(deck, body={"model": "m", "messages": [{"role": "user", "content": "x"}], "n": 1}) == "match"
        assert drawn(deck, body={"model": "m", "messages": []}) == "rest"

    @pytest.mark.parametrize("body", [{"n": True}, {"n": 1.0}, {"n": None}, {}, [], "n", None])
    def test_a_match_must_be_met(self, body: object) -> None:
        assert drawn(Deck([card("match", match={"n": 1})]), body=body) is None

    def test_looking_is_not_playing(self) -> None:
        deck = Deck([card("1"), card("2")])
        request = Request(path="/v1")
        assert deck.peek(request) == deck.peek(request) == deck.draw(request)
        assert deck.peek(Request(path="/v2")) is None
        assert drawn(deck) == "2"

    def test_an_unknown_fault_is_refused_at_once(self) -> None:
        with pytest.raises(ConfigError, match="/v1: unknown fault 'explode'"):
            Deck([card("", fault="explode")])

    def test_a_folder_is_played_by_name_and_in_a_loop(self, tmp_path: Path) -> None:
        (tmp_path / "deep").mkdir()
        (tmp_path / "b.json").write_bytes(render(card("2")))
        (tmp_path / "deep" / "c.json").write_bytes(render(card("3")))
        (tmp_path / "a.json").write_bytes(render(card("1")))
        deck = Deck.read(tmp_path)
        assert [drawn(deck) for _ in range(4)] == ["1", "2", "3", "1"]


class TestReplayUpstream:
    async def test_calls_anywhere_are_answered_here(self) -> None:
        upstream = ReplayUpstream([card("[1]"), card("[2]")])
        kept: Upstream = upstream
        call = Call(
            method="POST",
            url="https://api.example.com/v1?key=k",
            headers=(("X-Api-Key", "k"),),
            proxy_url="http://127.0.0.1:1",
        )
        assert [await (await kept.send(call)).read(99) for _ in range(2)] == [b"[1]", b"[2]"]
        assert list(upstream.calls) == [call, call]
        assert upstream.server.requests[0].target == "/v1?key=k"
        assert ("X-Api-Key", "k") in upstream.server.requests[0].request.headers
        await upstream.close()

    async def test_no_recording_fits(self) -> None:
        upstream = ReplayUpstream([])
        answer = await upstream.send(Call(method="POST", url="https://api.example.com/v1/x"))
        assert answer.status == 404
        assert b"no recording of POST /v1/x" in await answer.read(1000)
        await upstream.close()

    async def test_faults_are_told_as_outside(self) -> None:
        recordings = [card("", fault="refuse"), card("", fault="stall"), card("", fault="cut"), card("ok")]
        upstream = ReplayUpstream(recordings)
        call = Call(method="POST", url="https://api.example.com/v1", deadlines=Deadlines(head=0.2))
        for expected in (Unreachable, Silent, Broken):
            with pytest.raises(expected):
                await upstream.send(call)
        assert await (await upstream.send(call)).read(9) == b"ok"
        assert len(upstream.server.requests) == 3
        await upstream.close()

    async def test_pace(self) -> None:
        slow = Response(frames=(Frame(data=b"1", after_seconds=3600), Frame(data=b"2", after_seconds=3600)))
        upstream = ReplayUpstream([Recording(request=Request(path="/v1"), response=slow)], pace=0)
        assert await (await upstream.send(Call(method="POST", url="http://x/v1"))).read(9) == b"12"
        await upstream.close()

    async def test_closing_what_was_never_used(self) -> None:
        await ReplayUpstream([]).close()


SHARED = Path(os.environ.get("PROXY_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data")) / "cassettes"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the recorded provider exchanges are not here")
async def test_recordings_of_other_projects_play_over_the_socket() -> None:
    recordings = [recording for recording in load(SHARED / "pydantic-ai") if recording.request.body]
    upstream = ReplayUpstream(Deck(recordings, at_end="loop"))
    known: dict[tuple[str, bytes], list[tuple[int, bytes]]] = {}
    for recording in recordings:
        asked = (recording.request.path, _sorted(recording.request.body))
        known.setdefault(asked, []).append((recording.response.status, recording.response.body))
    differences = []
    for recording in recordings:
        request = recording.request
        url = f"https://provider.test{request.path}?{urlencode(request.query)}"
        call = Call(method=request.method, url=url, body=request.body)
        answer = await upstream.send(call)
        if (answer.status, await answer.read(10**8)) not in known[request.path, _sorted(request.body)]:
            differences.append(request.path)
    await upstream.close()
    assert differences == []
    assert len(recordings) > 100


def _sorted(body: bytes) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(body), order="deterministic")
