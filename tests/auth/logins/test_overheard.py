from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from auth.logins import overheard
from auth.logins.overheard import Overheard


class Google:
    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: object = {}

    async def tell(self, request: web.Request) -> web.Response:
        self.asked.append((request.raw_path, dict(request.headers), await request.read()))
        return web.json_response(self.answer, status=203)


@pytest.fixture
async def google(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Google]:
    google = Google()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", google.tell)
    async with TestServer(app) as server:
        monkeypatch.setattr(overheard, "GOOGLE", URL(str(server.make_url(""))).origin())
        yield google


@pytest.fixture
async def heard() -> AsyncIterator[Overheard]:
    heard = Overheard({"no_proxy": "example.test"})
    yield heard
    await heard.close()


@pytest.mark.parametrize(
    ("answer", "project"),
    [
        ({"currentTier": {"id": "standard"}, "cloudaicompanionProject": "harbour-1"}, "harbour-1"),
        ({"done": True, "response": {"cloudaicompanionProject": {"id": "harbour-2", "name": "x"}}}, "harbour-2"),
        ({"done": False, "name": "operations/1"}, ""),
        ({"cloudaicompanionProject": 7}, ""),
        ([], ""),
    ],
)
async def test_a_question_goes_on_as_it_came_and_the_project_is_heard(
    google: Google, heard: Overheard, answer: object, project: str
) -> None:
    google.answer = answer
    variables = await heard.open()
    assert variables["NO_PROXY"] == "example.test,127.0.0.1"
    async with aiohttp.ClientSession(headers={"User-Agent": "a-cli/1", "Authorization": "Bearer t"}) as session:
        address = f"{variables['CODE_ASSIST_ENDPOINT']}/v1internal:loadCodeAssist"
        async with session.post(address, data=b'{ "metadata": {} }') as told:
            assert (told.status, msgspec.json.decode(await told.read())) == (203, answer)
    ((path, headers, body),) = google.asked
    assert (path, body) == ("/v1internal:loadCodeAssist", b'{ "metadata": {} }')
    assert (headers["User-Agent"], headers["Authorization"]) == ("a-cli/1", "Bearer t")
    assert heard.project == project


async def test_nobody_else_is_passed_on(google: Google, heard: Overheard) -> None:
    endpoint = URL((await heard.open())["CODE_ASSIST_ENDPOINT"])
    async with aiohttp.ClientSession() as session, session.get(endpoint.with_path("/v1internal:x")) as told:
        assert told.status == 404
    assert google.asked == []


async def test_google_out_of_reach(heard: Overheard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overheard, "GOOGLE", URL("http://127.0.0.1:1"))
    endpoint = (await heard.open())["CODE_ASSIST_ENDPOINT"]
    async with aiohttp.ClientSession() as session, session.get(f"{endpoint}/v1internal:x") as told:
        assert told.status == 502


@pytest.mark.parametrize(
    ("exempt", "is_direct"),
    [("", False), ("*", True), ("googleapis.com", True), (".googleapis.com, x", True), ("apis.com,127.0.0.1", False)],
)
def test_who_is_reached_without_the_egress_proxy(exempt: str, is_direct: bool) -> None:
    assert overheard._is_direct({"NO_PROXY": exempt}) is is_direct
