from __future__ import annotations

from typing import Any


async def test_a_dry_run_changes_nothing(stage: Any) -> None:
    body = {"model": "sandbox-gpt", "messages": [{"role": "user", "content": "x"}], "stream": True}
    first = (await stage.ask("POST", "/explain", body)).json
    assert first["chosen"]["provider"] == "sandbox-gpt"
    assert {each["why"] for each in first["passed_over"]} == {"ready: not its turn"}
    assert (await stage.ask("POST", "/explain", body)).json["chosen"] == first["chosen"]
    assert (await stage.get("/decisions"))["decisions"] == []
    assert not (stage.accounts / "logs" / "audit.log").exists()


async def test_what_was_decided_for_a_request_can_be_asked_later(stage: Any) -> None:
    await stage.chat(X_Request_ID="mine-1")
    told = await stage.get("/explain/mine-1")
    assert told["request_id"] == "mine-1"
    decision = told["decisions"][0]
    assert abs(decision["at"] - stage.house.clock.unix()) < 60
    newest = (await stage.get("/decisions?limit=1"))["decisions"][0]
    assert newest == {"request_id": "mine-1", **decision}
    assert (told["request"]["request_id"], told["request"]["status"]) == ("mine-1", 200)
    assert (await stage.ask("GET", "/explain/nobody")).status == 404


async def test_the_ledger_remembers_longer_than_the_decisions(open_stage: Any) -> None:
    async with open_stage("") as stage:
        await stage.chat(X_Request_ID="mine-1")
    async with open_stage("") as stage:
        told = await stage.get("/explain/mine-1")
        assert told["decisions"] == []
        (attempt,) = told["request"]["attempts"]
        assert (attempt["provider"], attempt["status"]) == ("sandbox-gpt", 200)


async def test_bodies_of_any_format(stage: Any) -> None:
    contents = [{"role": "user", "parts": [{"text": "x"}]}]
    for path, body in (
        ("/explain?model=sandbox-gemini", {"contents": contents}),
        ("/explain", {"model": "sandbox-gemini", "input": "x"}),
        ("/explain", {"model": "sandbox-gemini", "max_tokens": 5, "messages": []}),
    ):
        assert (await stage.ask("POST", path, body)).json["chosen"]["model"] == "sandbox-gemini"


async def test_what_cannot_be_explained(stage: Any) -> None:
    for body, status in (({}, 400), ([], 400), ({"model": 7}, 400), ({"model": "no-such-model"}, 404)):
        assert (await stage.ask("POST", "/explain", body)).status == status
    assert (await stage.ask("POST", "/explain?wire=telex", {"model": "sandbox-gpt"})).status == 400
