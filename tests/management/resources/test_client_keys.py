from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from proxy.config.client_keys import hash_of
from proxy.config.load import load

PLAIN = "a-plain-key-of-the-tests"


@pytest.fixture
def open_keys(open_stage: Callable[[str], Any]) -> Callable[[], Any]:
    return lambda: open_stage(
        f"""
# who may come in
api-keys:
  - {PLAIN}  # the old one
  - api-key: another-key-of-the-tests
    name: laptop
    requests-per-minute: 60   # enough
    budgets: [{{per: day, tokens: 1000000}}]
"""
    )


def by_name(told: Any) -> dict[str, Any]:
    return {each["name"]: each for each in told["client-keys"]}


async def test_each_key_is_told_with_its_terms_and_without_the_key(open_keys: Any) -> None:
    async with open_keys() as stage:
        await stage.chat(x_api_key="another-key-of-the-tests")
        answer = await stage.ask("GET", "/client-keys")
        told = by_name(answer.json)
        assert b"-of-the-tests" not in answer.body
        laptop = told["laptop"]
        assert (laptop["state"], laptop["source"], laptop["limits"]["requests-per-minute"]) == ("active", "config", 60)
        assert laptop["last_minute"]["requests"] == 1
        (balance,) = laptop["balances"]
        assert (balance["per"], balance["unit"], balance["limit"]) == ("day", "tokens", 1_000_000)
        assert balance["used"] > 0
        assert laptop["budgets"][0]["tokens"] == 1_000_000
        assert f"key-{hash_of(PLAIN)[7:15]}" in told


async def test_a_new_key_is_told_once_works_at_once_and_stands_there_as_a_hash(open_keys: Any) -> None:
    async with open_keys() as stage:
        made = await stage.ask("POST", "/client-keys", {"name": "ci", "models": ["sandbox-gpt"], "concurrency": 2})
        assert made.status == 200
        key = made.json["api-key"]
        assert (await stage.chat(x_api_key=key)).status == 200
        assert (await stage.chat("sandbox-claude", x_api_key=key)).status == 404
        text = stage.config.read_text()
        assert key not in text
        assert hash_of(key) in text
        assert "# the old one" in text
        assert "# enough" in text
        assert by_name((await stage.ask("GET", "/client-keys")).json)["ci"]["models"] == ["sandbox-gpt"]
        again = await stage.ask("POST", "/client-keys", {"name": "ci"})
        assert again.status == 409


async def test_terms_change_one_by_one(open_keys: Any) -> None:
    async with open_keys() as stage:
        changed = await stage.ask("PATCH", "/client-keys/laptop", {"requests-per-minute": 1, "budgets": None})
        assert changed.status == 200
        statuses = [(await stage.chat(x_api_key="another-key-of-the-tests")).status for _ in range(2)]
        assert statuses == [200, 429]
        (_, laptop) = load(stage.config).config.api_keys
        assert (laptop.requests_per_minute, laptop.budgets, laptop.name) == (1, (), "laptop")
        digest = f"key-{hash_of(PLAIN)[7:15]}"
        assert (await stage.ask("PATCH", f"/client-keys/{digest}", {"name": "old one"})).status == 200
        assert (await stage.chat(x_api_key=PLAIN)).status == 200
        assert "old one" in by_name((await stage.ask("GET", "/client-keys")).json)


async def test_another_key_takes_the_place_of_one(open_keys: Any) -> None:
    async with open_keys() as stage:
        key = (await stage.ask("POST", "/client-keys/laptop/rotate")).json["api-key"]
        assert (await stage.chat(x_api_key="another-key-of-the-tests")).status == 401
        assert (await stage.chat(x_api_key=key)).status == 200
        (_, laptop) = load(stage.config).config.api_keys
        assert (laptop.requests_per_minute, laptop.budgets[0].tokens) == (60, 1_000_000)


async def test_one_that_is_removed_lets_nobody_in(open_keys: Any) -> None:
    async with open_keys() as stage:
        assert (await stage.ask("DELETE", "/client-keys/laptop")).status == 200
        assert (await stage.chat(x_api_key="another-key-of-the-tests")).status == 401
        assert (await stage.ask("DELETE", "/client-keys/laptop")).status == 404


async def test_what_one_has_used_is_told_whole_and_by_model(open_keys: Any) -> None:
    async with open_keys() as stage:
        for model in ("sandbox-gpt", "sandbox-claude", "sandbox-gpt"):
            assert (await stage.chat(model, x_api_key="another-key-of-the-tests")).status == 200
        told = await stage.get("/client-keys/laptop/usage")
        assert told["totals"]["requests"] == 3
        assert {each["name"]: each["requests"] for each in told["models"]} == {"sandbox-gpt": 2, "sandbox-claude": 1}
        assert told["balances"][0]["used"] == told["totals"]["tokens"]
        assert (await stage.ask("GET", "/client-keys/nobody/usage")).status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/client-keys", {}, 400),
        ("POST", "/client-keys", [], 400),
        ("POST", "/client-keys", {"name": "a", "expires": "soon"}, 400),
        ("POST", "/client-keys", {"name": "a", "budgets": [{"per": "day"}]}, 400),
        ("PATCH", "/client-keys/laptop", {"api-key": "another"}, 400),
        ("PATCH", "/client-keys/laptop", {"networks": ["home"]}, 400),
        ("PATCH", "/client-keys/nobody", {"strict": True}, 404),
        ("POST", "/client-keys/nobody/rotate", None, 404),
    ],
)
async def test_what_is_no_good_changes_nothing(
    open_keys: Any, method: str, path: str, body: object, status: int
) -> None:
    async with open_keys() as stage:
        before = stage.config.read_text()
        assert (await stage.ask(method, path, body)).status == status
        assert stage.config.read_text() == before


async def test_keys_of_the_file_are_told_and_not_changed_here(open_stage: Callable[[str], Any], tmp_path: Any) -> None:
    file = tmp_path / "keys"
    file.write_text("ci: a-key-in-the-file\n")
    file.chmod(0o600)
    async with open_stage(f"api-keys-file: {file}\n") as stage:
        assert by_name((await stage.ask("GET", "/client-keys")).json)["ci"]["source"] == "file"
        for method, path in (("DELETE", ""), ("PATCH", ""), ("POST", "/rotate")):
            refused = await stage.ask(method, f"/client-keys/ci{path}", {"strict": True} if method == "PATCH" else None)
            assert (refused.status, b"stands in api-keys-file" in refused.body) == (409, True)


async def test_a_key_is_explained_what_it_sees(open_keys: Any) -> None:
    async with open_keys() as stage:
        await stage.ask("PATCH", "/client-keys/laptop", {"accounts": ["nobody"]})
        body = {"model": "sandbox-gpt"}
        assert (await stage.ask("POST", "/explain", body)).status == 200
        told = (await stage.ask("POST", "/explain?key=laptop", body)).json
        assert (told["chosen"], told["refusal"]["status"], told["key"]["accounts"]) == (None, 404, ["nobody"])
        assert (await stage.ask("POST", "/explain?key=stranger", body)).status == 404
