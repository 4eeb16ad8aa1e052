from __future__ import annotations

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dispatch import form
from proxy.errors import Malformed

TYPE = "multipart/form-data; boundary=x-y"


def part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--x-y\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--x-y--\r\n"


FILE = part("file", b"RIFF\r\n--x-\r\n\r\nx-y--x-y\0\xff", '; filename="a.wav"\r\nContent-Type: audio/wav')
FORM = body(FILE, part("model", b"whisper-1"), part("prompt", "ä".encode()))


def test_fields_are_found_between_files() -> None:
    assert [field.name for field in form.fields(FORM, TYPE)] == ["file", "model", "prompt"]
    assert form.values(FORM, TYPE, "model", "prompt", "stream") == {"model": "whisper-1", "prompt": "ä"}


def test_one_value_is_replaced_and_every_other_byte_stays() -> None:
    changed = form.replaced(FORM, TYPE, "model", "upstream-model")
    assert changed == FORM.replace(b"whisper-1", b"upstream-model")
    assert form.replaced(FORM, TYPE, "absent", "x") == FORM


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("multipart/form-data; boundary=x-y", True),
        ('Multipart/Form-Data; charset=utf-8; Boundary="x-y"', True),
        ("application/json", False),
        ("", False),
        ("multipart/mixed; boundary=x-y", False),
    ],
)
def test_which_content_types_are_forms(content_type: str, expected: bool) -> None:
    assert form.is_form(content_type) is expected
    if expected:
        assert form.values(FORM, content_type, "model") == {"model": "whisper-1"}


def test_a_files_name_cannot_pass_for_a_fields() -> None:
    tricky = '; filename="; name=\\"model\\"; x="'
    spoofed = b'--x-y\r\nContent-Disposition: form-data; filename="a; name=model"; name="file"\r\n\r\nevil\r\n'
    told = form.values(body(part("file", b"evil", tricky), spoofed, part("model", b"m")), TYPE, "model")
    assert told == {"model": "m"}


@pytest.mark.parametrize("name", ["model", "MODEL"])
def test_headers_are_read_whatever_their_case(name: str) -> None:
    told = f"--x-y\r\nCONTENT-DISPOSITION: form-data;name={name}\r\n\r\nm\r\n".encode()
    assert [field.name for field in form.fields(body(told), TYPE)] == [name]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{}",
        b"--x-y",
        b"--x-yz\r\n\r\n--x-y--",
        FORM[:-20],
        part("model", b"m"),
        b'--x-y\r\nContent-Disposition: form-data; name="model"\r\nm\r\n--x-y--',
        body(part("model", b"a"), part("model", b"b")),
        body(part("model", b"m" * 2000)),
        body(*[part("a", b"")] * 1001),
    ],
)
def test_what_is_broken_is_refused(broken: bytes) -> None:
    with pytest.raises(Malformed) as raised:
        form.values(broken, TYPE, "model")
    assert raised.value.code == "invalid_form"


def test_a_form_without_a_boundary_is_refused() -> None:
    with pytest.raises(Malformed, match="boundary"):
        form.values(FORM, "multipart/form-data", "model")


def test_an_empty_value_is_one() -> None:
    assert form.values(body(part("model", b"")), TYPE, "model") == {"model": ""}


@given(st.binary(max_size=200), st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=20))
def test_what_an_encoder_writes_is_read(content: bytes, model: str) -> None:
    with aiohttp.MultipartWriter("form-data") as writer:
        for name, value in (("file", content), ("model", model.encode())):
            payload = writer.append(value)
            payload.set_content_disposition("form-data", name=name)
    boundary = writer.boundary.encode()
    data = b"".join(
        b"--" + boundary + b"\r\n" + payload._binary_headers + bytes(payload._value) + b"\r\n"
        for payload, _, _ in writer
    )
    data += b"--" + boundary + b"--\r\n"
    told = form.values(data, writer.headers["Content-Type"], "model")
    assert told == {"model": model}
    assert form.values(
        form.replaced(data, writer.headers["Content-Type"], "model", "n"), writer.content_type, "model"
    ) == {"model": "n"}
