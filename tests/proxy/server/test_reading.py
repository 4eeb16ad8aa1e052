from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import aiohttp
import pytest

from proxy.dispatch.inquiry import Inquiry, Outcome, Report
from proxy.errors import Broken

if TYPE_CHECKING:
    from tests.proxy.server.conftest import Answer, House, Open

SOUND = b"RIFF\0\xff\r\n--\r\n"


def upload(**fields: str) -> tuple[bytes, str]:
    parts = [("file", '; filename="a.wav"', SOUND), *((name, "", value.encode()) for name, value in fields.items())]
    body = b"".join(
        f'--bound\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"
        for name, more, value in parts
    )
    return body + b"--bound--\r\n", "multipart/form-data; boundary=bound"


async def send(house: House, path: str, content: bytes, content_type: str) -> Answer:
    return await house.post(path, content, Content_Type=content_type)


class TestForms:
    @pytest.mark.parametrize(
        ("path", "operation"),
        [
            ("/v1/audio/transcriptions", "transcribe"),
            ("/v1/audio/translations", "translate"),
            ("/v1/images/edits", "edit_image"),
        ],
    )
    async def test_an_upload_arrives_as_it_was_sent(self, house: House, path: str, operation: str) -> None:
        content, content_type = upload(model="ears", prompt="x")
        assert (await send(house, path, content, content_type)).status == 200
        (inquiry,) = house.dispatcher.inquiries
        assert (inquiry.operation, inquiry.model, inquiry.is_stream) == (operation, "ears", False)
        assert inquiry.body == content
        assert inquiry.headers["content-type"] == content_type

    @pytest.mark.parametrize(("said", "expected"), [("true", True), ("false", False), ("", False)])
    async def test_a_form_says_whether_it_wants_a_stream(self, house: House, said: str, expected: bool) -> None:
        await send(house, "/v1/audio/transcriptions", *upload(model="ears", stream=said))
        assert house.dispatcher.inquiries[0].is_stream is expected

    async def test_what_a_real_client_writes_is_read(self, house: House) -> None:
        data = aiohttp.FormData()
        data.add_field("file", SOUND, filename="ä.wav", content_type="audio/wav")
        data.add_field("model", "ears")
        async with house.session.post(house.url + "/v1/audio/transcriptions", data=data) as response:
            assert response.status == 200
        assert house.dispatcher.inquiries[0].model == "ears"

    @pytest.mark.parametrize(
        ("content", "content_type", "code"),
        [
            (*upload(), "invalid_model"),
            (*upload(model=""), "invalid_model"),
            (upload(model="m")[0][:-9], "multipart/form-data; boundary=bound", "invalid_form"),
            (upload(model="m")[0], "multipart/form-data", "invalid_form"),
            (b"{}", "multipart/form-data; boundary=bound", "invalid_form"),
            (b"{}", "application/json", "invalid_model"),
        ],
    )
    async def test_what_is_broken_is_refused(self, house: House, content: bytes, content_type: str, code: str) -> None:
        answer = await send(house, "/v1/audio/transcriptions", content, content_type)
        assert (answer.status, answer.error["code"]) == (400, code)
        assert not house.dispatcher.inquiries

    @pytest.mark.parametrize("path", ["/v1/images/generations", "/v1/audio/speech", "/v1/responses", "/v1/messages"])
    async def test_T04_forms_are_taken_only_where_files_are(self, house: House, path: str) -> None:
        """A web page can send a form without asking anybody."""
        answer = await send(house, path, *upload(model="m"))
        assert answer.status == 415

    async def test_T04_a_web_pages_form_is_refused(self, house: House) -> None:
        content, content_type = upload(model="m")
        answer = await house.post(
            "/v1/audio/transcriptions", content, Content_Type=content_type, Origin="https://evil.example"
        )
        assert answer.status == 403

    async def test_an_upload_has_the_same_limit(self, open_house: Open) -> None:
        house = await open_house(body_bytes_max=100)
        assert (await send(house, "/v1/audio/transcriptions", *upload(model="m" * 100))).status == 413


async def test_moderation_has_a_model_of_its_own(house: House) -> None:
    await house.post("/v1/moderations", {"input": "x"})
    await house.post("/v1/moderations", {"input": "x", "model": "mine"})
    assert [inquiry.model for inquiry in house.dispatcher.inquiries] == ["omni-moderation-latest", "mine"]
    assert (await house.post("/v1/moderations", {"input": "x", "model": 0})).status == 400


class Sound:
    def __init__(self, house: House, *pieces: bytes | Exception) -> None:
        self.pieces = pieces
        house.dispatcher.answer = self.answer

    async def answer(self, inquiry: Inquiry) -> Outcome:
        async def body() -> AsyncIterator[bytes]:
            for piece in self.pieces:
                if isinstance(piece, Exception):
                    raise piece
                yield piece

        return Outcome(
            status=200,
            headers=(("content-type", "audio/mpeg"),),
            body=body(),
            report=Report(request_id=inquiry.request_id, model_asked=inquiry.model),
        )


async def test_sound_is_passed_on_piece_by_piece(house: House) -> None:
    Sound(house, b"ID3", b"\xff\xfb")
    answer = await house.post("/v1/audio/speech", {"model": "tts-1", "input": "hi", "voice": "alloy"})
    assert (answer.headers["Content-Type"], answer.body) == ("audio/mpeg", b"ID3\xff\xfb")
    assert "Content-Length" not in answer.headers


async def test_sound_that_breaks_off_is_no_complete_answer(house: House) -> None:
    Sound(house, b"ID3", Broken("cut"))
    with pytest.raises(aiohttp.ClientPayloadError):
        await house.post("/v1/audio/speech", {"model": "tts-1", "input": "hi", "voice": "alloy"})
    assert house.log()[-1]["error"] == "cut"
