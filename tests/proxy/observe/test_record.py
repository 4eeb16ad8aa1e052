from __future__ import annotations

import stat
from pathlib import Path

import pytest

from auth.secret import Secret
from proxy.errors import ConfigError
from proxy.observe.record import Limits, Recorder
from proxy.observe.recording import Fault, Frame, Pairs, Recording, Request, Response, load
from proxy.observe.scrub import MARK, Scrubber

KEY = "correct-horse-battery-staple"
SSE: Pairs = (("Content-Type", "text/event-stream; charset=utf-8"),)
CHAT = Request(path="/v1/chat/completions", headers=(("Content-Type", "application/json"),), body=b'{"model":"m"}')


class Timer:
    """Each look at it takes half a second."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 0.5
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


def recorder(folder: Path, limits: Limits | None = None) -> Recorder:
    return Recorder(folder, Scrubber([Secret(KEY)]), limits=limits, clock=lambda: 1_795_154_828.5, timer=Timer())


def test_a_stream_comes_back_with_its_timing(folder: Path) -> None:
    writer = recorder(folder)
    take = writer.start("upstream", CHAT, request_id="req/../1")
    take.head(200, SSE)
    take.frame(b"data: 1\n\n")
    take.frame(b"data: [DONE]\n\n")
    take.finish()
    take.finish()
    writer.close()
    assert load(folder) == [
        Recording(
            request=CHAT,
            response=Response(
                headers=SSE,
                frames=(
                    Frame(data=b"data: 1\n\n", after_seconds=0.5),
                    Frame(data=b"data: [DONE]\n\n", after_seconds=0.5),
                ),
                is_streamed=True,
            ),
            side="upstream",
            request_id="req/../1",
            recorded_at="2026-11-20T06:07:08.500Z",
        )
    ]
    assert [path.name for path in folder.iterdir()] == ["20261120T060708.500-000001-upstream-req_1.json"]


def test_pieces_of_an_answer_that_is_no_stream_are_one_body(folder: Path) -> None:
    writer = recorder(folder)
    take = writer.start("client", CHAT)
    take.head(200, (("content-type", "application/json"), ("content-encoding", "gzip"), ("content-length", "9")))
    take.frame(b'{"id"')
    take.frame(b':"x"}')
    take.finish()
    writer.close()
    (recording,) = load(folder)
    assert recording.response == Response(
        headers=(("content-type", "application/json"),), frames=(Frame(data=b'{"id":"x"}'),)
    )
    assert '"id": "x"' in next(folder.iterdir()).read_text()


def test_secrets_stay_outside(folder: Path) -> None:
    writer = recorder(folder)
    request = Request(
        path=f"/v1/{KEY}/x",
        query=(("key", "plain"), ("alt", KEY)),
        headers=(("Authorization", "Bearer anything"), ("x-other", KEY), ("x-bytes", "\udcff")),
        body=f'{{"key":"{KEY}"}}'.encode(),
    )
    take = writer.start("upstream", request, request_id=KEY)
    take.head(200, (*SSE, ("Set-Cookie", "a=b"), ("x-echo", KEY)))
    take.frame(f"data: {KEY[:9]}".encode())
    take.frame(f"{KEY[9:]} end\n\n".encode())
    take.finish()
    writer.close()
    (recording,) = load(folder)
    assert recording.request == Request(
        path=f"/v1/{MARK}/x",
        query=(("key", MARK), ("alt", MARK)),
        headers=(("Authorization", MARK), ("x-other", MARK), ("x-bytes", "?")),
        body=f'{{"key":"{MARK}"}}'.encode(),
    )
    assert recording.response.headers[1:] == (("Set-Cookie", MARK), ("x-echo", MARK))
    assert [frame.data.decode() for frame in recording.response.frames] == [f"data: {MARK}", " end\n\n"]
    (file,) = folder.iterdir()
    assert KEY not in file.read_text()
    assert KEY not in file.name


def test_how_it_went_wrong(folder: Path) -> None:
    writer = recorder(folder)
    writer.start("upstream", CHAT).finish("refuse")
    take = writer.start("upstream", CHAT)
    take.head(200, SSE)
    take.frame(b"data: 1")
    take.finish("cut")
    writer.close()
    assert [recording.fault for recording in load(folder)] == [Fault(kind="refuse"), Fault(kind="cut", after_bytes=7)]


def test_nobody_else_can_read(folder: Path) -> None:
    writer = recorder(folder)
    writer.start("client", CHAT).finish()
    writer.close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600]
    folder.chmod(0o755)
    with pytest.raises(ConfigError, match="chmod 700"):
        recorder(folder)


def test_a_file_is_no_folder(folder: Path) -> None:
    folder.write_text("")
    with pytest.raises(ConfigError, match="cannot hold recordings"):
        recorder(folder)


def test_long_bodies_are_cut_and_say_so(folder: Path) -> None:
    writer = recorder(folder, Limits(body_bytes=10))
    take = writer.start("client", Request(path="/", body=b"x" * 11))
    take.head(200, ())
    take.finish()
    take = writer.start("client", Request(path="/", body=b"x" * 10))
    take.head(200, SSE)
    for _ in range(4):
        take.frame(b"12345678")
    take.finish()
    writer.close()
    first, second = load(folder)
    assert (first.is_truncated, first.request.body) == (True, b"x" * 10)
    assert (second.is_truncated, second.response.body) == (True, b"1234567812")


def test_the_oldest_make_room_also_after_a_restart(folder: Path) -> None:
    (folder).mkdir(mode=0o700)
    (folder / "mine.json").write_text("kept")
    limits = Limits(folder_bytes=1500)
    names = []
    for start in range(3):
        writer = recorder(folder, limits)
        for number in range(3):
            request_id = f"{start}-{number}"
            writer.start("client", Request(path="/", body=b"x" * 200), request_id=request_id).finish()
        writer.close()
        names = sorted(path.name for path in folder.iterdir())
        ours = [path for path in folder.iterdir() if path.name != "mine.json"]
        assert 0 < sum(path.stat().st_size for path in ours) <= 1500
    assert "mine.json" in names
    assert any("2-2" in name for name in names)


def test_when_writing_lags_or_fails_it_is_counted(folder: Path) -> None:
    writer = recorder(folder, Limits(pending_bytes=1))
    writer.close()
    writer.start("client", CHAT).finish()
    writer.start("client", CHAT).finish()
    assert writer.dropped == 2
    writer = recorder(folder)
    folder.rmdir()
    writer.start("client", CHAT).finish()
    writer.close()
    assert writer.dropped == 1
