from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

WORD = "a passphrase of ours, äöü"
ACCOUNT = {"type": "claude-api-key", "api-key": "sk-ant-of-mine", "label": "mine"}


async def exported(stage: Any) -> bytes:
    answer = await stage.ask("POST", "/bundle/export", {"passphrase": WORD})
    assert answer.status == 200, answer.body
    raw: bytes = answer.body
    return raw


async def taken(stage: Any, raw: bytes, query: str = "", word: str = WORD) -> Any:
    return await stage.ask("POST", f"/bundle/import{query}", raw, X_Bundle_Passphrase=quote(word))


async def test_the_whole_state_goes_out_and_comes_in_again(open_stage: Any) -> None:
    async with open_stage("request-retry: 1\n") as stage:
        await stage.ask("POST", "/auth-files?name=mine.json", ACCOUNT)
        raw = await exported(stage)
        assert b"of-mine" not in raw
        await stage.ask("DELETE", "/auth-files?name=mine.json")
        stage.config.write_text(stage.config.read_text().replace("request-retry: 1", "request-retry: 2"))
        told = (await taken(stage, raw)).json["report"]
        assert {each["path"]: each["outcome"] for each in told} == {"mine.json": "added", "config.yaml": "kept"}
        files = (await stage.get("/auth-files?source=file"))["files"]
        assert [each["label"] for each in files] == ["mine"]
        told = (await taken(stage, raw, "?config=true")).json["report"]
        assert {each["path"]: each["outcome"] for each in told} == {"mine.json": "unchanged", "config.yaml": "replaced"}
        assert stage.house.config.request_retry == 1
        audit = (stage.accounts / "logs" / "audit.log").read_text()
        assert '"exported"' in audit
        assert "of-mine" not in audit
        assert WORD not in audit


async def test_another_account_of_that_name_stays_unless_replaced(open_stage: Any) -> None:
    async with open_stage("") as stage:
        await stage.ask("POST", "/auth-files?name=mine.json", ACCOUNT)
        raw = await exported(stage)
        await stage.ask("POST", "/auth-files?name=mine.json", {**ACCOUNT, "label": "changed"})
        assert (await taken(stage, raw)).json["report"][0]["outcome"] == "kept"
        assert (await taken(stage, raw, "?replace=true")).json["report"][0]["outcome"] == "replaced"
        assert msgspec.json.decode((stage.accounts / "mine.json").read_bytes())["label"] == "mine"


async def test_without_the_passphrase_nothing_happens(open_stage: Any) -> None:
    async with open_stage("") as stage:
        raw = await exported(stage)
        for word in ("", "another passphrase"):
            answer = await taken(stage, raw, word=word)
            assert answer.status == 400
            assert "passphrase is wrong" in answer.json["error"]
        assert (await taken(stage, b"no bundle")).status == 400
        assert (await stage.ask("POST", "/bundle/export", {"passphrase": "short"})).status == 400
