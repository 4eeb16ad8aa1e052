"""One act upon many accounts, each for itself."""

from __future__ import annotations

from typing import Any

import pytest

from auth.standing import ALL_MODELS, Setback

ONES = {
    f"a-{n}.json": {"type": "claude-api-key", "api-key": f"sk-ant-of-mine-{n}", "label": f"a {n}"} for n in range(3)
}
OTHER = {"type": "codex-api-key", "api-key": "sk-of-mine-other", "label": "other", "note": "nights"}
KEY_IN_CONFIG = "claude-api-key: [{api-key: sk-ant-of-mine-in-config}, sk-ant-of-mine-second]\n"


@pytest.fixture
async def stage(open_stage: Any) -> Any:
    async with open_stage(KEY_IN_CONFIG) as stage:
        for name, content in {**ONES, "other.json": OTHER}.items():
            assert (await stage.ask("POST", f"/auth-files?name={name}", content)).status == 200
        yield stage


async def statuses(stage: Any, query: str = "?source=file") -> dict[str, str]:
    return {each["name"]: each["status"] for each in (await stage.get(f"/auth-files{query}"))["files"]}


async def bulk(stage: Any, action: str, status: int = 200, **who: Any) -> Any:
    answer = await stage.ask("POST", "/auth-files/bulk", {"action": action, **who})
    assert answer.status == status, answer.body
    return answer.json


async def test_by_a_filter(stage: Any) -> None:
    told = await bulk(stage, "disable", filter={"type": "claude-api-key", "source": "file"})
    assert (told["status"], told["matched"], told["done"]) == ("ok", 3, 3)
    assert await statuses(stage) == {**dict.fromkeys(ONES, "disabled"), "other.json": "active"}
    told = await bulk(stage, "enable", filter={"status": "disabled"})
    assert {each["label"] for each in told["results"]} == {"a 0", "a 1", "a 2"}
    assert set((await statuses(stage)).values()) == {"active"}
    assert [each["name"] for each in (await bulk(stage, "clear", filter={"q": "NIGHTS"}))["results"]] == ["other.json"]


async def test_by_names_and_what_nobody_is_called_is_told(stage: Any) -> None:
    (found,) = (await stage.get("/auth-files?name=a-1.json"))["files"]
    told = await bulk(stage, "delete", 207, names=["a-0.json", found["auth_index"], "nobody.json"])
    assert (told["status"], told["matched"], told["done"]) == ("partial", 2, 2)
    assert told["results"][0] == {"account": "", "name": "nobody.json", "error": "there is no such account"}
    assert await statuses(stage) == {"a-2.json": "active", "other.json": "active"}
    assert sorted(path.name for path in stage.accounts.glob("*.json")) == ["a-2.json", "other.json"]


async def test_entries_of_the_configuration_rest_in_one_change_and_are_not_deleted(stage: Any) -> None:
    told = await bulk(stage, "disable", filter={"provider": "anthropic"})
    assert told["done"] == 5
    text = stage.config.read_text()
    assert text.count("'*'") + text.count('"*"') == 2, text
    told = await bulk(stage, "delete", 207, filter={"provider": "anthropic"})
    assert (told["matched"], told["done"]) == (5, 3)
    assert {each.get("error") for each in told["results"] if not each["name"]} == {
        "this account stands in config.yaml: change its entry there"
    }
    assert stage.config.read_text() == text


async def test_simulated_accounts_are_nobodys_entries_and_can_be_probed_and_cleared(open_stage: Any) -> None:
    async with open_stage("") as stage:
        told = await bulk(stage, "disable", 207, filter={"source": "config"})
        assert told["matched"] == len(told["results"]) > 1
        assert told["done"] == 0
        told = await bulk(stage, "probe", all=True)
        assert {(each["works"], tuple(each["cleared"])) for each in told["results"]} == {(True, ())}
        house = stage.house
        now = house.clock.monotonic()
        for each in told["results"]:
            lease = house.pool.lend((each["account"], "m"), now)
            house.pool.fail(lease, Setback(model=ALL_MODELS, why="limited", seconds=600, is_stated=True), now)
            house.pool.give_back(lease)
        assert len((await stage.get("/cooldowns"))["cooldowns"]) == told["matched"]
        told = await bulk(stage, "clear", all=True)
        assert told["done"] == told["matched"]
        assert (await stage.get("/cooldowns"))["cooldowns"] == []


async def test_a_dry_run_says_who_is_meant(stage: Any) -> None:
    told = await bulk(stage, "delete", all=True, **{"dry-run": True})
    assert (told["done"], told["dry-run"]) == (0, True)
    assert len(await statuses(stage)) == 4
    assert len(told["results"]) == told["matched"]


async def test_what_was_done_is_in_the_audit_log_without_secrets(stage: Any) -> None:
    await bulk(stage, "disable", names=["a-0.json"])
    change = (await stage.get("/audit"))["changes"][-1]
    assert change["action"] == "POST /auth-files/bulk"
    assert change["changes"]["auth-files"]["action"] == "disable"
    assert "of-mine" not in (stage.accounts / "logs" / "audit.log").read_text()


@pytest.mark.parametrize(
    "body",
    [
        {"action": "delete"},
        {"action": "delete", "names": [], "filter": {}},
        {"action": "delete", "all": True, "names": ["a-0.json"]},
        {"action": "delete", "filter": {"kind": "x"}},
        {"action": "explode", "all": True},
        {"action": "delete", "everybody": True},
        [],
    ],
)
async def test_who_is_meant_must_be_said_in_one_way(stage: Any, body: object) -> None:
    assert (await stage.ask("POST", "/auth-files/bulk", body)).status == 400
    assert len(await statuses(stage)) == 4
