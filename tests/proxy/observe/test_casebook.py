from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from auth.secret import Secret
from proxy.observe.casebook import BODY_BYTES_MAX, BURST, FILES_MAX, Case, Casebook, outline
from proxy.observe.scrub import Scrubber
from proxy.observe.usage import Tried, Used

SECRET = "sk-of-an-account-0123456789abcdef"
BODY = b'{"model": "m", "max_tokens": 9, "stream": true, "x": null, "messages": [{"content": "private"}], "user": "me"}'


def case(request_id: str = "r-1", *, at: float = 1_700_000_000.0, body: bytes = BODY, message: str = "broken") -> Case:
    tried = Tried(provider="p", credential="c", model="m", status=500, why="it broke")
    used = Used(
        at=at, request_id=request_id, route="POST /v1/messages", operation="generate", status=502, seconds=1.5,
        attempts=(tried,), error="server_error",
    )  # fmt: skip
    headers = {"user-agent": "a client", "x-api-key": "whatever it was", "X-OpenAI-API-Key": "own", "x-team": SECRET}
    return Case(used=used, message=message, headers=headers, query={"key": "abc", "alt": "sse"}, body=body)


class Desk:
    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.most = 3
        self.told: list[str] = []
        self.folder = folder / "logs" / "errors"
        self.book = Casebook(
            self.folder,
            Scrubber([Secret(SECRET)]),
            files_max=lambda: self.most,
            tell=self.told.append,
            clock=lambda: self.now,
        )

    def names(self) -> list[str]:
        return sorted(each.name for each in self.folder.iterdir())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_report_says_everything_but_what_was_said(desk: Desk) -> None:
    desk.book.note(case(message=f"{SECRET} was refused"))
    desk.book.close()
    (name,) = desk.names()
    assert name == "20231114T221320.000-000001-error-r-1.json"
    path = desk.folder / name
    raw = path.read_bytes()
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(desk.folder.stat().st_mode)) == (0o600, 0o700)
    assert SECRET.encode() not in raw
    assert b"private" not in raw
    told = msgspec.json.decode(raw)
    assert (told["request_id"], told["status"], told["error"]) == ("r-1", 502, "server_error")
    assert told["message"] == "••• was refused"
    assert told["headers"] == {"user-agent": "a client", "x-api-key": "•••", "X-OpenAI-API-Key": "•••", "x-team": "•••"}
    assert told["query"] == {"key": "•••", "alt": "sse"}
    assert told["attempts"][0]["why"] == "it broke"
    assert told["body"]["members"] == {
        "model": "m", "max_tokens": 9, "stream": True, "x": None, "messages": "a list of 1", "user": "a text of 2",
    }  # fmt: skip


def test_the_newest_few_are_kept_however_many_there_may_be_just_now(desk: Desk) -> None:
    for number in range(5):
        desk.book.note(case(f"r-{number}", at=1_700_000_000.0 + number))
    desk.book.close()
    assert [name[-8:-5] for name in desk.names()] == ["r-2", "r-3", "r-4"]
    assert FILES_MAX > 10


def test_zero_is_as_many_as_there_are_room_for(desk: Desk) -> None:
    desk.most = 0
    for number in range(5):
        desk.book.note(case(f"r-{number}"))
    desk.book.close()
    assert len(desk.names()) == 5


def test_of_a_flood_one_a_second_is_kept(desk: Desk) -> None:
    desk.most = 0
    for number in range(1000):
        desk.now = number / 100
        desk.book.note(case(f"r-{number}"))
    desk.book.close()
    assert BURST + 8 <= len(desk.names()) <= BURST + 10
    assert desk.book.dropped == 1000 - len(desk.names())


def test_a_disk_that_fails_is_told_of_and_no_more(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where a folder should be")
    desk.book.note(case())
    desk.book.close()
    assert len(desk.told) == 1


def test_what_is_no_name_does_not_become_one(desk: Desk) -> None:
    desk.book.note(case("../../x y"))
    desk.book.close()
    assert [name[27:] for name in desk.names()] == ["error-_x_y.json"]


@pytest.mark.parametrize(
    ("body", "members"),
    [
        (b"", None),
        (b"[1]", None),
        (b'{"a": ', None),
        (b"\xff", None),
        (b'{"input": "hello", "metadata": {"a": "b"}}', {"input": "a text of 5", "metadata": "an object of 1"}),
        (b'{"temperature": 0.5}', {"temperature": 0.5}),
    ],
)
def test_an_outline_has_no_words(body: bytes, members: object) -> None:
    assert outline(body) == {"bytes": len(body), "members": members}


def test_a_giant_is_only_measured() -> None:
    body = b'{"a": "' + b"x" * BODY_BYTES_MAX + b'"}'
    assert outline(body) == {"bytes": len(body)}
