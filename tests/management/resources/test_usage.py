"""The ledger through the API, after requests that really were."""

from __future__ import annotations

import csv
import io
from typing import Any

from management.resources.usage import as_csv
from proxy.observe.ledger_schema import COLUMNS
from proxy.observe.usage import BUCKETS


async def test_what_was_asked_is_told(open_stage: Any) -> None:
    async with open_stage("") as stage:
        for number in range(3):
            assert (await stage.chat(X_Request_ID=f"r-{number}", X_Session_ID="talk")).status == 200
        assert (await stage.chat("no-such-model", X_Request_ID="r-bad")).status == 404
        told = await stage.get("/usage?group=model")
        assert (told["totals"]["requests"], told["totals"]["failed"]) == (4, 1)
        assert told["totals"]["tokens"] > 0
        assert {each["name"]: each["requests"] for each in told["groups"]} == {"sandbox-gpt": 3, "": 1}
        (point,) = (await stage.get("/usage/series?step=day"))["points"]
        assert point["requests"] == 4
        page = await stage.get("/usage/requests?limit=2")
        rest = await stage.get(f"/usage/requests?before={page['next']}")
        ids = [each["request_id"] for each in (*page["requests"], *rest["requests"])]
        assert ids == ["r-bad", "r-2", "r-1", "r-0"]
        assert {each["session"] for each in rest["requests"]} == {"talk"}
        (tried,) = rest["requests"][0]["attempts"]
        assert tried["tokens"] == {name: n for name in BUCKETS if (n := rest["requests"][0][name]) is not None}
        assert 0 <= tried["first_byte_seconds"] <= tried["seconds"]
        account = rest["requests"][0]["credential"]
        (found,) = [each for each in (await stage.get("/auth-files"))["files"] if each["id"] == account]
        by_index = await stage.get(f"/usage?account={found['auth_index']}")
        assert 1 <= by_index["totals"]["requests"] <= 3
        assert (await stage.get("/usage/requests?status=failed"))["requests"][0]["request_id"] == "r-bad"
        assert (await stage.get("/usage/percentiles"))["seconds"]["samples"] == 3
        export = await stage.ask("GET", "/usage/export?request_id=r-1")
        (line,) = csv.DictReader(io.StringIO(export.body.decode()))
        assert (line["request_id"], line["status"]) == ("r-1", "200")
        assert len(await stage.get("/usage/export?format=json")) == 4
        explained = await stage.get("/explain/r-1")
        assert explained["decisions"][0]["chosen"]["account"]
        for path in ("/usage/requests", "/usage/export", "/decisions"):
            assert b"a-private-prompt" not in (await stage.ask("GET", path)).body


async def test_the_queue_is_popped_once_and_the_ledger_keeps_it(open_stage: Any) -> None:
    async with open_stage("") as stage:
        for number in range(3):
            await stage.chat(X_Request_ID=f"r-{number}")
        first = await stage.get("/usage-queue?count=2")
        assert [each["request_id"] for each in first] == ["r-0", "r-1"]
        assert first[0]["tokens"]["total"] == first[0]["tokens"]["input"] + first[0]["tokens"]["output"] > 0
        assert first[0]["failed"] is False
        assert [each["request_id"] for each in await stage.get("/usage-queue?count=9")] == ["r-2"]
        assert await stage.get("/usage-queue") == []
        for count in ("0", "-1", "x", "1.5"):
            assert (await stage.ask("GET", f"/usage-queue?count={count}")).status == 400
        assert (await stage.get("/usage"))["totals"]["requests"] == 3


async def test_a_restart_forgets_nothing(open_stage: Any) -> None:
    async with open_stage("") as stage:
        await stage.chat()
    async with open_stage("") as stage:
        assert (await stage.get("/usage"))["totals"]["requests"] == 1


async def test_prices_are_the_operators(open_stage: Any) -> None:
    async with open_stage("") as stage:
        await stage.chat()
        assert (await stage.get("/usage"))["totals"]["cost"] is None
        (stage.accounts / "prices.yaml").write_text("sandbox-*: {input: 1, output: 2, cache-read: 1, cache-write: 1}\n")
        await stage.chat()
        newest = (await stage.get("/usage/requests?limit=1"))["requests"][0]
        assert newest["cost"] > 0
        totals = (await stage.get("/usage"))["totals"]
        assert (totals["cost"], totals["unpriced"]) == (None, 1)
        assert totals["cost_known"] == newest["cost"]


def test_a_name_is_no_formula() -> None:
    row: dict[str, object] = dict.fromkeys(("id", *COLUMNS)) | {"key": "=1+1", "losses": [], "attempts": []}
    (line,) = csv.DictReader(io.StringIO(as_csv([row]).decode()))
    assert line["key"] == "'=1+1"
    assert line["losses"] == "[]"
