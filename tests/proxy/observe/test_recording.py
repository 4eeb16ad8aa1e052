from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ConfigError
from proxy.observe.recording import (
    Fault,
    Frame,
    Pairs,
    Recording,
    Request,
    Response,
    load,
    parse,
    render,
    sse_frames,
)

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
pairs = st.lists(st.tuples(words, words), max_size=4).map(tuple)
json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | words, lambda x: st.lists(x) | st.dictionaries(words, x)
).map(msgspec.json.encode)
bodies = st.binary(max_size=40) | json_texts | words.map(str.encode)
frames = st.builds(Frame, data=st.binary(max_size=20) | words.map(str.encode), after_seconds=st.floats(0, 100))
requests = st.builds(
    Request, path=words, method=st.sampled_from(["GET", "POST"]), query=pairs, headers=pairs, body=bodies
)
streamed = st.builds(
    Response,
    status=st.integers(100, 599),
    headers=pairs,
    frames=st.lists(frames, max_size=4).map(tuple),
    is_streamed=st.just(True),
)
whole = st.builds(Response, headers=pairs, frames=bodies.map(lambda body: (Frame(data=body),) if body else ()))
recordings = st.builds(
    Recording,
    request=requests,
    response=streamed | whole,
    fault=st.none() | st.builds(Fault, kind=words, after_bytes=st.none() | st.integers(0, 9), seconds=st.floats(0, 9)),
    match=st.dictionaries(words, words),
    side=words,
    is_truncated=st.booleans(),
)


@given(recordings)
def test_what_is_written_is_read_back(recording: Recording) -> None:
    assert parse(render(recording)) == recording


def test_by_hand_with_the_least() -> None:
    assert parse(b'{"request": {"path": "/v1/models"}, "response": {"body": {"data": []}}}') == Recording(
        request=Request(path="/v1/models"), response=Response(frames=(Frame(data=b'{"data":[]}'),))
    )
    assert parse(b'{"request": {"method": "get", "path": "/"}, "fault": {"kind": "refuse"}}') == Recording(
        request=Request(method="GET", path="/"), fault=Fault(kind="refuse")
    )


def test_a_header_may_be_repeated() -> None:
    headers: Pairs = (("Retry-After", "1"), ("x", "y"), ("Retry-After", "2"))
    recording = Recording(request=Request(path="/"), response=Response(headers=headers))
    assert parse(render(recording)).response.headers == headers
    listed = b'{"request": {"path": "/"}, "response": {"headers": {"a": ["1", "2"], "b": "3"}}}'
    assert parse(listed).response.headers == (("a", "1"), ("a", "2"), ("b", "3"))


@pytest.mark.parametrize(
    "body", [b'{"a": 1}', b'{"a":1,"a":2}', b'"text"', b"1e400", b'{"half":"\\ud83d"}', b"[" * 5000]
)
def test_json_that_would_change_is_kept_as_text(body: bytes) -> None:
    written = render(Recording(request=Request(path="/", body=body)))
    assert b'"text"' in written
    assert parse(written).request.body == body


def test_a_stream_as_one_text_is_cut_into_events() -> None:
    stream = b"event: a\ndata: 1\n\ndata: 2\r\n\r\n: ping\n\ndata: [DONE]"
    assert [frame.data for frame in sse_frames(stream)] == [
        b"event: a\ndata: 1\n\n",
        b"data: 2\r\n\r\n",
        b": ping\n\n",
        b"data: [DONE]",
    ]
    response = parse(msgspec.json.encode({"request": {"path": "/"}, "response": {"sse": stream.decode()}})).response
    assert response.is_streamed
    assert response.body == stream


def test_every_complaint_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"request": {"path": 1}, "response": {}}')
    (tmp_path / "b.json").write_bytes(b'{"request": {"path": "/"}}')
    (tmp_path / "c.json").write_bytes(b"{")
    (tmp_path / "d.json").write_bytes(b'{"request": {"path": "/"}, "response": {"base64": "%"}}')
    (tmp_path / "list.json").write_bytes(b"[1]")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    lines = caught.value.message.splitlines()
    assert [line.split(":")[0][-6:] for line in lines] == ["a.json", "b.json", "c.json", "d.json"]
    assert "$.request.path" in lines[0]


def test_a_folder_with_nothing_to_play(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no recording"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        load(tmp_path / "absent")


SHARED = Path(os.environ.get("PROXY_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data")) / "cassettes"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the recorded provider exchanges are not here")
def test_recordings_of_other_projects_are_read() -> None:
    recordings = load(SHARED)
    files = [path for path in SHARED.rglob("*.json") if path.name != "MANIFEST.json"]
    assert len(recordings) == len(files)
    assert all(recording.response.body for recording in recordings)
    for recording in recordings[::20]:
        assert parse(render(recording)) == recording
