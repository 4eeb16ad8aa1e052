from __future__ import annotations

from typing import Any

THEIRS = b"request-retry: 1\nauth-dir: /x\nclaude-api-key: [{api-key: sk-ant-of-mine, cloak: {}}]\nws-auth: true\n"


async def test_first_a_report_then_in_force(open_stage: Any) -> None:
    async with open_stage("") as stage:
        before = stage.config.read_bytes()
        told = await stage.ask("POST", "/import/config", THEIRS)
        assert told.status == 200, told.body
        assert told.json["applied"] is False
        outcomes = {each["path"]: each["outcome"] for each in told.json["report"]}
        assert outcomes.pop("auth-dir") == outcomes.pop("remote-management") == "kept", "as they are here"
        assert outcomes == {
            "request-retry": "kept",
            "claude-api-key": "kept",
            "claude-api-key[0].cloak": "left-out",
            "ws-auth": "left-out",
        }
        assert b"of-mine" not in told.body
        assert stage.config.read_bytes() == before
        applied = await stage.ask("POST", "/import/config?apply=true", THEIRS)
        assert applied.json["applied"] is True
        assert stage.house.config.request_retry == 1
        assert b"sk-ant-of-mine" in stage.config.read_bytes()
        assert (await stage.get("/request-retry")) == {"request-retry": 1}, "the key is still the same"


async def test_what_is_no_good_changes_nothing(open_stage: Any) -> None:
    async with open_stage("") as stage:
        before = stage.config.read_bytes()
        assert (await stage.ask("POST", "/import/config?apply=true", b"port: x\n")).status == 422
        assert (await stage.ask("POST", "/import/config", b"- x\n")).status == 400
        assert stage.config.read_bytes() == before


async def test_the_management_key_stays_where_theirs_has_none(stage: Any) -> None:
    theirs = b'remote-management: {allow-remote: true, secret-key: ""}\nrequest-retry: 1\n'
    before = stage.house.config.remote_management.secret_key
    applied = await stage.ask("POST", "/import/config?apply=true", theirs, Content_Type="application/yaml")
    assert applied.status == 200, applied.body
    assert {"path": "remote-management.secret-key", "outcome": "kept", "why": "as it is here"} in applied.json["report"]
    now = stage.house.config.remote_management
    assert (now.secret_key, now.allow_remote) == (before, True)
    assert (await stage.get("/request-retry")) == {"request-retry": 1}
