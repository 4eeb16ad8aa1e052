from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from management.resources.logs import read_lines
from tests.pace import SECONDS_MAX


def line(number: int) -> str:
    return f'{{"timestamp":"2026-11-20T00:00:{number:02}Z","event":"n{number}"}}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "proxy.log"
    path.write_text("".join(f"{line(number)}\n" for number in range(5)))
    return path


def test_the_newest_lines_and_then_what_came_since(path: Path) -> None:
    told = read_lines(path, 2, 0, "")
    assert told["lines"] == [line(3), line(4)]
    assert told["line-count"] == 2
    with path.open("a") as file:
        file.write(f"{line(5)}\n{line(6)[:20]}")
    told = read_lines(path, 100, 0, str(told["next-cursor"]))
    assert told["lines"] == [line(5)]
    assert "cursor-reset" not in told
    with path.open("a") as file:
        file.write(f"{line(6)[20:]}\n")
    assert read_lines(path, 100, 0, str(told["next-cursor"]))["lines"] == [line(6)]


def test_a_file_that_was_turned_over_begins_anew(path: Path) -> None:
    cursor = str(read_lines(path, 100, 0, "")["next-cursor"])
    new = path.with_name("new")
    new.write_text(line(9) + "\n")
    new.replace(path)
    told = read_lines(path, 100, 0, cursor)
    assert (told["lines"], told["cursor-reset"]) == ([line(9)], True)


def test_after_a_time(path: Path) -> None:
    latest = read_lines(path, 1, 0, "")["latest-timestamp"]
    assert isinstance(latest, int)
    assert read_lines(path, 100, latest - 2, "")["lines"] == [line(3), line(4)]


def test_no_file_is_no_fault(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "none", 5, 0, "")["lines"] == []


async def test_the_lines_of_one_request(stage: Any) -> None:
    folder = stage.accounts / "logs"
    folder.mkdir(parents=True)
    assert (await stage.ask("PUT", "/logging-to-file", {"value": True})).status == 200
    for number, name in enumerate(("proxy.log.5", "proxy.log.1", "proxy.log")):
        of_it = f'{{"timestamp":"2026-11-20T00:00:0{number}Z","event":"n","request_id":"r-1"}}'
        (folder / name).write_text(f"{line(9)}\n{of_it}\n{line(8)}\n")
    told = await stage.get("/logs?request_id=r-1")
    assert [each[13:35] for each in told["lines"]] == [f'"2026-11-20T00:00:0{n}Z"' for n in range(3)]
    assert told["line-count"] == 3
    assert len((await stage.get("/logs?request_id=r-1&limit=2"))["lines"]) == 2
    assert (await stage.get("/logs?request_id=r-2"))["lines"] == []
    assert (await stage.ask("GET", "/logs?request_id=%20")).status == 400


async def test_through_the_api(stage: Any) -> None:
    folder = stage.accounts / "logs"
    folder.mkdir(parents=True)
    assert (await stage.ask("PUT", "/logging-to-file", {"value": True})).status == 200
    assert (await stage.get("/logs"))["lines"] == []
    (folder / "proxy.log").write_text("".join(f"{line(number)}\n" for number in range(5)))
    (folder / "proxy.log.1").write_text("older\n")
    told = await stage.get("/logs?limit=2")
    assert told["lines"] == [line(3), line(4)]
    assert (await stage.get(f"/logs?cursor={told['next-cursor']}"))["lines"] == []
    assert (await stage.ask("GET", "/logs?cursor=x")).status == 400
    cleared = await stage.ask("DELETE", "/logs")
    assert cleared.json | {"message": ""} == {"success": True, "message": "", "removed": 2}
    assert [each.name for each in folder.iterdir() if each.name.startswith("proxy.log")] == ["proxy.log"]
    assert (folder / "proxy.log").read_bytes() == b""


async def test_without_a_log_file_it_says_so(stage: Any) -> None:
    for method in ("GET", "DELETE"):
        answer = await stage.ask(method, "/logs")
        assert answer.status == 400
        assert "logging-to-file" in answer.json["error"]


@pytest.mark.parametrize("name", ["..%2f..%2fconfig.yaml", "%2e%2e", "x.yaml", ".hidden.json", "a%00.json"])
async def test_a_name_leads_nowhere_else(stage: Any, name: str) -> None:
    assert (await stage.ask("GET", f"/request-error-logs/{name}")).status in {400, 404}


async def test_recordings_are_listed_and_given_out(stage: Any) -> None:
    folder = stage.accounts / "logs" / "requests"
    folder.mkdir(parents=True)
    for number, name in enumerate(("a", "b")):
        (folder / f"20261120T00000{number}.000-000001-upstream-r-{name}.json").write_text(f'{{"n": "{name}"}}')
    (folder / "evil.json").symlink_to(stage.config)
    names = [each["name"] for each in (await stage.get("/request-error-logs"))["files"]]
    assert names[1].endswith("r-b.json")
    assert (await stage.get("/request-log-by-id/r-a")) == {"n": "a"}
    assert (await stage.get(f"/request-error-logs/{names[1]}")) == {"n": "b"}
    assert (await stage.ask("GET", "/request-error-logs/evil.json")).status == 404


async def test_a_request_that_failed_is_reported_without_a_recording(stage: Any) -> None:
    assert (await stage.ask("PUT", "/error-logs-max-files", {"value": 2})).json == {"status": "ok"}
    for number in range(3):
        assert (await stage.chat("there-is-none", X_Request_ID=f"mine-{number}")).status == 404
    assert (await stage.chat(X_Request_ID="mine-9")).status == 200
    stage.house.shelf.cases.close()  # waits for its thread
    files = (await stage.get("/request-error-logs"))["files"]
    assert [each["name"].rpartition("error-")[2] for each in files] == ["mine-2.json", "mine-1.json"]
    assert files[0]["size"] > 100
    told = await stage.ask("GET", f"/request-error-logs/{files[0]['name']}")
    assert told.json == await stage.get("/request-log-by-id/mine-2")
    assert (told.json["status"], told.json["model_asked"]) == (404, "there-is-none")
    assert "there-is-none" in told.json["message"]
    assert told.json["body"]["members"]["messages"] == "a list of 1"
    assert b"a-private-prompt" not in told.body
    assert (await stage.ask("GET", "/request-log-by-id/mine-9")).status == 404


async def test_who_is_over_his_own_limit_pushes_no_report_out(open_stage: Any) -> None:
    async with open_stage("limits: {ip: {requests-per-minute: 1}}\n") as stage:
        told = [(await stage.chat("there-is-none", X_Request_ID=f"mine-{n}")).status for n in range(3)]
        assert sorted(told) == [404, 429, 429]
        stage.house.shelf.cases.close()
        assert len((await stage.get("/request-error-logs"))["files"]) == 1


async def test_the_recording_of_a_request_is_found_by_its_id(open_stage: Any) -> None:
    text = (
        "request-log: true\nopenai-compatibility:\n  - {name: local, base-url: 'http://127.0.0.1:9/v1', "
        "api-key-entries: [{api-key: an-upstream-key-of-mine}], models: [{name: m}]}\nrequest-retry: 0\n"
    )
    async with open_stage(text) as stage:
        assert (await stage.chat("m", X_Request_ID="mine-9")).status >= 500
        async with asyncio.timeout(SECONDS_MAX):
            while (answer := await stage.ask("GET", "/request-log-by-id/mine-9")).status == 404:
                continue  # a recording is written in a thread of its own
        assert answer.json["request_id"] == "mine-9"
        assert answer.json["fault"]["kind"] == "refuse"
        assert b"an-upstream-key-of-mine" not in answer.body
