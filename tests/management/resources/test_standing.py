from __future__ import annotations

from typing import Any

from auth.quota import Window
from auth.standing import ALL_MODELS, Setback


def cool(stage: Any, account: str, model: str = ALL_MODELS) -> None:
    house = stage.house
    now = house.clock.monotonic()
    lease = house.pool.lend((account, "m"), now)
    house.pool.fail(lease, Setback(model=model, why="the 5-hour window is full", seconds=600, is_stated=True), now)
    house.pool.give_back(lease)


async def test_a_cooldown_is_told_and_ended(stage: Any) -> None:
    first, second = [each.id for each in stage.house.standpoint.snapshot.credentials][:2]
    cool(stage, first)
    cool(stage, second, "m-1")
    told = {each["account"]: each for each in (await stage.get("/cooldowns"))["cooldowns"]}
    assert (told[first]["why"], told[second]["model"]) == ("the 5-hour window is full", "m-1")
    assert 590 < told[first]["until"] - stage.house.clock.unix() < 640
    listed = {each["id"]: each for each in (await stage.get("/auth-files"))["files"]}
    assert (listed[first]["status"], listed[second]["status"]) == ("cooling", "active")
    assert listed[first]["next_retry_after"].endswith("Z")
    answer = await stage.ask("DELETE", f"/cooldowns?auth_index={told[first]['auth_index']}")
    assert answer.json["cleared"] == [first]
    assert [each["account"] for each in (await stage.get("/cooldowns"))["cooldowns"]] == [second]
    assert (await stage.ask("DELETE", "/cooldowns?auth_index=nobody")).status == 404
    assert (await stage.ask("DELETE", "/cooldowns?model=m")).status == 400
    assert (await stage.ask("DELETE", "/cooldowns")).json["cleared"] == [second]
    assert (await stage.get("/cooldowns"))["cooldowns"] == []


async def test_reset_quota(stage: Any) -> None:
    account = stage.house.standpoint.snapshot.credentials[0].id
    cool(stage, account)
    index = (await stage.get("/cooldowns"))["cooldowns"][0]["auth_index"]
    answer = await stage.ask("POST", "/reset-quota", {"auth_index": index})
    assert answer.json == {"status": "ok", "auth_index": index, "models": ["*"]}
    assert (await stage.get("/cooldowns"))["cooldowns"] == []
    assert (await stage.ask("POST", "/reset-quota", {"auth_index": "nobody"})).status == 404
    assert (await stage.ask("POST", "/reset-quota", {})).status == 400


async def test_quota_has_an_age_and_a_source_and_unknown_is_null(stage: Any) -> None:
    account, now = stage.house.standpoint.snapshot.credentials[0].id, stage.house.clock.monotonic()
    windows = [
        Window(
            slot="5h", name="5-hour", read_at=now - 30, source="headers", seconds=18000, used=0.8241, resets_at=now + 60
        ),
        Window(slot="x", name="requests", read_at=now, source="headers"),
    ]
    stage.house.pool.read(account, windows, now)
    told = next(each for each in (await stage.get("/quota"))["accounts"] if each["account"] == account)["windows"]
    assert (told[0]["used_percent"], told[0]["source"], told[0]["is_current"]) == (82.41, "headers", True)
    assert told[0]["age_seconds"] >= 30
    assert 50 < told[0]["resets_at"] - stage.house.clock.unix() <= 61
    assert (told[1]["used_percent"], told[1]["resets_at"]) == (None, None)


async def test_models(stage: Any) -> None:
    assert "sandbox-gpt" in [each["id"] for each in (await stage.get("/models"))["models"]]
