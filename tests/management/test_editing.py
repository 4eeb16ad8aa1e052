"""config.yaml with several writers: nothing of anybody's is lost, nothing is ever half there."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
import yaml

from auth.atomic import locked
from management.editing import lines_of
from proxy.config.load import parse
from proxy.errors import ConfigError

ROUNDS = int(os.environ.get("PROXY_FAULT_ROUNDS", "12"))


async def test_T14_two_writers_and_an_editor_lose_nothing(open_stage: Any) -> None:
    """Two scripts add keys through the API, a human adds comments with an editor that renames. It looks once more right
    before it does, and is not interrupted there: an editor that does not look overwrites whomever it likes.
    """
    async with open_stage("# the top\napi-keys:  # of clients\n  - the-first-key-of-all\n") as stage:
        torn: list[bytes] = []
        is_over, turn = asyncio.Event(), asyncio.Event()

        async def script(name: str) -> None:
            for number in range(ROUNDS):
                wanted = {"old": "none", "new": f"key-{name}-{number:03}"}
                answer = await stage.ask("PATCH", "/api-keys", wanted)
                assert answer.status == 200, answer.body
                turn.set()

        async def editor() -> None:
            for number in range(ROUNDS):
                await turn.wait()  # no human saves faster than a script is answered
                turn.clear()
                while True:
                    before = stage.config.read_bytes()
                    new = stage.config.with_suffix(".swp")
                    new.write_bytes(before + f"# note {number}\n".encode())
                    with locked(stage.config.parent):
                        if stage.config.read_bytes() == before:
                            new.replace(stage.config)
                            break

        async def reader() -> None:
            seen = b""
            while not is_over.is_set():
                raw = stage.config.read_bytes()
                try:
                    parse(raw if raw != seen else b"")
                except ConfigError:
                    torn.append(raw)
                seen = raw
                await asyncio.sleep(0.001)

        reading = asyncio.create_task(reader())
        await asyncio.gather(script("a"), script("b"), editor())
        is_over.set()
        await reading
        assert torn == []
        text = stage.config.read_text()
        keys = yaml.safe_load(text)["api-keys"]
        expected = ["the-first-key-of-all", *(f"key-{name}-{n:03}" for name in "ab" for n in range(ROUNDS))]
        assert sorted(keys) == sorted(expected)
        assert [line for line in text.splitlines() if line.startswith("# note")] == [
            f"# note {number}" for number in range(ROUNDS)
        ]
        assert text.startswith(("# the top", "auth-dir"))
        assert "# of clients" in text
        assert (await stage.ask("POST", "/reload")).status == 200
        assert len(stage.house.config.api_keys) == len(keys)


async def test_a_change_of_what_somebody_else_has_changed_is_refused_where_that_is_wanted(stage: Any) -> None:
    read = await stage.ask("GET", "/config.yaml")
    etag = read.headers["ETag"]
    assert (await stage.ask("PUT", "/debug", {"value": True}, If_Match=etag)).status == 200
    for method, path, content in (
        ("PUT", "/debug", {"value": False}),
        ("PUT", "/config.yaml", b"debug: false\n"),
    ):
        answer = await stage.ask(method, path, content, If_Match=etag)
        assert (answer.status, answer.json["error"]) == (412, "changed")
    assert stage.house.config.debug is True
    assert (await stage.ask("PUT", "/debug", {"value": False}, If_Match="*")).status == 200


async def test_a_faulty_file_is_not_edited_piece_by_piece(stage: Any) -> None:
    good = stage.config.read_text()
    stage.config.write_text(good + "debg: true\n")
    answer = await stage.ask("PUT", "/debug", {"value": True})
    assert answer.status == 409
    assert answer.json["lines"] == [{"line": 4, "message": answer.json["lines"][0]["message"]}]
    assert "debg" in answer.json["lines"][0]["message"]
    assert stage.config.read_text() == good + "debg: true\n"
    assert (await stage.ask("PUT", "/config.yaml", good.encode())).status == 200


async def test_what_could_not_be_in_force_is_not_written(open_stage: Any) -> None:
    async with open_stage("api-keys: [a-client-key-of-mine]\n") as stage:
        before = stage.config.read_bytes()
        stage.house._options = type(stage.house._options)(host="0.0.0.0", port=0, is_sandbox=True)
        answer = await stage.ask("PUT", "/api-keys", [])
        assert answer.status == 400
        assert "api-keys is empty" in answer.json["error"]
        assert stage.config.read_bytes() == before


async def test_nobody_shuts_himself_out(stage: Any) -> None:
    before = stage.config.read_bytes()
    for content in (b"debug: true\n", b"{}", b"remote-management: {allow-remote: true}\n"):
        answer = await stage.ask("PUT", "/config.yaml", content)
        assert (answer.status, answer.json["error"]) == (422, "invalid_config")
        assert "secret-key would be gone" in answer.json["message"]
    assert stage.config.read_bytes() == before
    assert (await stage.ask("GET", "/version")).status == 200


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        ("config.yaml:3: is wrong: so it is", [{"line": 3, "message": "is wrong: so it is"}]),
        ("host: is open", [{"line": None, "message": "host: is open"}]),
        ("a.yaml:1: x\na.yaml:2: y", [{"line": 1, "message": "x"}, {"line": 2, "message": "y"}]),
    ],
)
def test_complaints_have_lines(message: str, lines: list[dict[str, object]]) -> None:
    assert lines_of(ConfigError(message)) == lines
