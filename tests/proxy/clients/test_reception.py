from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from auth.secret import Secret
from proxy.clients.base import Offer
from proxy.clients.reception import offers
from proxy.errors import AccessDenied, ConfigError, Unreachable
from proxy.observe.recording import Frame, Recording, Request, Response
from proxy.upstream.replay import Deck
from proxy.upstream.replay_server import ReplayServer

KEY = Secret("a-key-of-a-client")


@pytest.fixture
async def server() -> AsyncIterator[ReplayServer]:
    async with ReplayServer(Deck(), pace=0) as server:
        yield server


def says(server: ReplayServer, body: bytes, status: int = 200) -> None:
    request = Request(method="GET", path="/v1/models")
    server.deck = Deck([Recording(request=request, response=Response(status=status, frames=(Frame(data=body),)))])


async def asked(server: ReplayServer) -> tuple[Offer, ...]:
    return await asyncio.to_thread(offers, server.url, KEY)


async def test_what_there_is(server: ReplayServer) -> None:
    says(server, b'{"data":[{"id":"a","context_length":9,"max_completion_tokens":3,"x":1},{"id":"b"}]}')
    assert await asked(server) == (Offer(id="a", context_tokens=9, output_tokens=3), Offer(id="b"))
    assert dict(server.requests[0].request.headers)["Authorization"] == "Bearer a-key-of-a-client"


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (401, b"{}", AccessDenied, "say --key"),
        (200, b"<html>", ConfigError, "is not this server"),
        (404, b"{}", ConfigError, "is not this server"),
        (421, b"{}", ConfigError, "allowed-hosts"),
        (200, b'{"data":[]}', ConfigError, "give it an account first"),
    ],
)
async def test_what_is_wrong_and_what_to_do(
    server: ReplayServer, status: int, body: bytes, error: type[Exception], words: str
) -> None:
    says(server, body, status)
    with pytest.raises(error, match=words):
        await asked(server)


def test_nobody_is_there() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="start the server with `proxy`"):
            offers(f"http://127.0.0.1:{nobody.getsockname()[1]}", KEY)


@pytest.mark.parametrize("url", ["127.0.0.1:8317", "ftp://h", "http://"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ConfigError, match="--url"):
        offers(url, KEY)
