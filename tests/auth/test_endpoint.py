from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from auth import endpoint
from auth.endpoint import Answered, Denied, Granted, Unanswered, Unreached
from tests.auth.token_server import TokenServer


@pytest.fixture
async def server() -> AsyncIterator[TokenServer]:
    async with TokenServer() as server:
        yield server


async def test_a_grant(server: TokenServer) -> None:
    answered = await endpoint.post(server.url, {"grant_type": "x y&z"}, headers={"x-own": "1"})
    granted = Granted.of(answered)
    assert (granted.access.reveal(), granted.life_seconds, granted.refresh) == ("access", 3600, None)
    assert server.asked == [{"grant_type": "x y&z"}]
    assert server.headers[0]["x-own"] == "1"
    assert answered.date is not None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (3600, 3600),
        ("3600", 3600),
        (None, None),
        ("soon", None),
        (0, None),
        (-1, None),
        ("nan", None),
        (1e99, 366 * 86400),
    ],
)
def test_how_long_it_lives(said: object, seconds: float | None) -> None:
    answered = Answered(status=200, fields={"access_token": "a", "expires_in": said})  # type: ignore[dict-item]
    assert Granted.of(answered).life_seconds == seconds


def of(status: int, **fields: str) -> Answered:
    return Answered(status=status, fields=fields)


@pytest.mark.parametrize(
    "answered",
    [of(400, error="invalid_grant"), of(401, error="invalid_client"), of(200, error="bad_refresh_token"), of(403)],
)
def test_a_no_is_a_no(answered: Answered) -> None:
    with pytest.raises(Denied) as caught:
        Granted.of(answered)
    assert caught.value.error == answered.text("error")


@pytest.mark.parametrize("answered", [of(500), of(502), of(503), of(408), of(200)])
def test_what_stands_before_a_server_speaks_for_nobody(answered: Answered) -> None:
    with pytest.raises(Unanswered):
        Granted.of(answered)


def test_T31_a_server_s_words_are_shown_short_and_on_one_line() -> None:
    denied = of(400, error="invalid_grant", error_description="no\x1b[31m\r\nX: y" + "z" * 500).denied()
    assert str(denied).startswith("was refused with 400: invalid_grant: no[31mX: y")
    assert len(str(denied)) < 300
    assert str(denied).isprintable()


async def test_nothing_was_sent_where_nobody_listens() -> None:
    with socket.socket() as nobody:  # has a port, and does not listen
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with pytest.raises(Unreached, match=r"127\.0\.0\.1 is not reached"):
            await endpoint.post(f"http://127.0.0.1:{port}/token", {})
        with pytest.raises(Unreached):
            await endpoint.post("http://127.0.0.1:1/token", {}, proxy_url=f"http://127.0.0.1:{port}")
        with pytest.raises(Unreached):
            await endpoint.post("http://127.0.0.1:1/token", {}, proxy_url=f"socks5://127.0.0.1:{port}")
    with pytest.raises(Unreached):
        await endpoint.post("no address", {})


async def test_an_answer_that_is_lost_is_no_failure_to_connect(server: TokenServer) -> None:
    async def breaks_off(_form: dict[str, str]) -> web.StreamResponse:
        return web.Response(body=b'{"access', headers={"content-length": "8"})

    server.act = breaks_off
    with pytest.raises(Unanswered):
        Granted.of(await endpoint.post(server.url, {}))


async def test_a_connection_that_breaks_after_the_question() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        port = listener.getsockname()[1]

        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        served = await asyncio.start_server(hang_up, sock=listener)
        try:
            with pytest.raises(Unanswered, match="took the request"):
                await endpoint.post(f"http://127.0.0.1:{port}/token", {"a": "b"})
        finally:
            served.close()
            await served.wait_closed()


async def test_T17_a_redirect_is_not_followed(server: TokenServer) -> None:
    async def leads_on(_form: dict[str, str]) -> web.StreamResponse:
        raise web.HTTPFound(server.url + "/elsewhere")

    server.act = leads_on
    with pytest.raises(Denied):
        Granted.of(await endpoint.post(server.url, {"secret": "s"}))
    assert len(server.asked) == 1


async def test_T34_an_endless_answer_ends(server: TokenServer) -> None:
    async def floods(_form: dict[str, str]) -> web.StreamResponse:
        return web.Response(body=b" " * (endpoint.ANSWER_BYTES_MAX + 1))

    server.act = floods
    with pytest.raises(Unanswered, match="without an end"):
        await endpoint.get(server.url)


@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b'{"a":' * 100_000, b"[1]", b"null", b'{"access_token": NaN}', b"\xff"]
)
async def test_T13_an_answer_that_is_no_json_object_is_no_grant(server: TokenServer, raw: bytes) -> None:
    async def answers(_form: dict[str, str]) -> web.StreamResponse:
        return web.Response(body=raw, content_type="application/json")

    server.act = answers
    answered = await endpoint.post(server.url, {})
    assert answered.fields == {}
    with pytest.raises(Unanswered):
        Granted.of(answered)


async def test_T18_no_cookie_goes_along(server: TokenServer) -> None:
    async def sets_one(_form: dict[str, str]) -> web.StreamResponse:
        return web.json_response({"access_token": "a"}, headers={"Set-Cookie": "id=1; Path=/"})

    server.act = sets_one
    for _ in range(2):
        await endpoint.post(server.url, {})
    assert ["cookie" in headers for headers in server.headers] == [False, False]
