"""Each route of the well-known management API, called as its panels and scripts call it, answers in the shape that they
expect: method, path, body, status, and the members that are read from the reply.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.management.conftest import cheap_hash, open_stage, stage

__all__ = ["cheap_hash", "open_stage", "stage"]

OK = {"status": "ok"}
SCALARS: dict[str, object] = {
    "debug": True, "logging-to-file": False, "usage-statistics-enabled": True, "request-log": False, "request-retry": 2,
    "max-retry-credentials": 1, "max-retry-interval": 10, "quota-exceeded/switch-project": False,
    "quota-exceeded/switch-preview-model": False, "proxy-url": "http://127.0.0.1:9", "force-model-prefix": True,
    "logs-max-total-size-mb": 20, "error-logs-max-files": 3,
}  # fmt: skip
LISTS: dict[str, list[object]] = {
    "api-keys": ["a-client-key-of-the-panel"],
    "gemini-api-key": [{"api-key": "AIza-of-the-panel"}],
    "claude-api-key": [{"api-key": "sk-ant-of-the-panel", "base-url": "https://a.test"}],
    "codex-api-key": [{"api-key": "sk-of-the-panel", "base-url": "https://b.test/v1"}],
    "vertex-api-key": [{"api-key": "AQ.of-the-panel"}],
    "xai-api-key": [{"api-key": "xai-of-the-panel", "base-url": "https://api.x.ai/v1"}],
    "openai-compatibility": [
        {"name": "o", "base-url": "https://c.test/v1", "api-key-entries": [{"api-key": "sk-o-1"}]}
    ],
}
MAPS: dict[str, tuple[dict[str, object], dict[str, object], str]] = {
    "oauth-excluded-models": ({"codex": ["gpt-5"]}, {"provider": "claude", "models": ["m-*"]}, "provider=codex"),
    "oauth-model-alias": (
        {"codex": [{"name": "gpt-5", "alias": "five"}]},
        {"channel": "claude", "aliases": [{"name": "m", "alias": "n"}]},
        "channel=codex",
    ),
    "oauth-request-scoped-errors": (
        {"codex": [{"status": 400, "match": ["context"], "action": "stop"}]},
        {"channel": "claude", "rules": [{"status": 429, "match-regexr": ["(?i)slow"], "action": "continue"}]},
        "channel=codex",
    ),
}


def value_of(told: Any, name: str) -> Any:
    return told[name.rpartition("/")[2]]


@pytest.mark.parametrize("name", SCALARS)
async def test_a_scalar(stage: Any, name: str) -> None:
    for method in ("PUT", "PATCH"):
        answer = await stage.ask(method, f"/{name}", {"value": SCALARS[name]})
        assert (answer.status, answer.json | OK) == (200, answer.json)
        assert value_of(await stage.get(f"/{name}"), name) == SCALARS[name]
    bad = await stage.ask("PUT", f"/{name}", {})
    assert (bad.status, bad.json["error"]) == (400, "invalid body")


async def test_a_setting_that_is_none_here_is_read_and_kept_as_it_is(stage: Any) -> None:
    """It is told what holds; the same again is no change, anything else is refused, and says why."""
    held = (await stage.get("/ws-auth"))["ws-auth"]
    assert (await stage.ask("PUT", "/ws-auth", {"value": held})).status == 200
    other = await stage.ask("PUT", "/ws-auth", {"value": not held})
    assert other.status == 409
    assert other.json["error"]


async def test_a_list_that_is_none_here_is_empty_and_says_why(stage: Any) -> None:
    name = "interactions-api-key"
    held = (await stage.get(f"/{name}"))[name]
    assert held == []
    assert (await stage.ask("PUT", f"/{name}", held)).json == OK
    assert (await stage.ask("PUT", f"/{name}", {"items": held})).json == OK
    for method, content in (("PUT", [{"api-key": "a"}]), ("PATCH", {"index": 0, "value": {"api-key": "a"}})):
        refused = await stage.ask(method, f"/{name}", content)
        assert (refused.status, "cannot be changed" in refused.json["error"]) == (409, True)
    assert (await stage.ask("DELETE", f"/{name}?index=0")).status == 404


async def test_there_are_no_plugins(stage: Any) -> None:
    for path in ("/plugins", "/plugin-store"):
        told = await stage.get(path)
        assert (told["plugins_enabled"], told["plugins"]) == (False, [])
    for method, path, content in (
        ("PATCH", "/plugins/x/enabled", {"enabled": True}),
        ("PUT", "/plugins/x/config", {}),
        ("GET", "/plugins/x/config", None),
        ("DELETE", "/plugins/x", None),
        ("POST", "/plugin-store/x/install", {}),
    ):
        refused = await stage.ask(method, path, content)
        assert (refused.status, refused.json["error"]) == (404, "plugin_not_found")
        assert refused.json["message"]


@pytest.mark.parametrize(("short", "long"), [("rr", "round-robin"), ("ff", "fill-first")])
async def test_the_strategy(stage: Any, short: str, long: str) -> None:
    assert (await stage.ask("PUT", "/routing/strategy", {"value": short})).json == OK
    assert await stage.get("/routing/strategy") == {"strategy": long}


@pytest.mark.parametrize("name", LISTS)
async def test_a_list(stage: Any, name: str) -> None:
    for content in (LISTS[name], {"items": LISTS[name]}):
        assert (await stage.ask("PUT", f"/{name}", content)).json == OK
        assert len((await stage.get(f"/{name}"))[name]) == 1
    patch = {"index": 0, "value": "another-key-of-the-panel" if name == "api-keys" else {"priority": 3}}
    assert (await stage.ask("PATCH", f"/{name}", patch)).json == OK
    absent = await stage.ask("PATCH", f"/{name}", {"index": 9, "value": {}})
    assert absent.status in {400, 404}
    assert (await stage.ask("DELETE", f"/{name}")).status == 400
    assert (await stage.ask("DELETE", f"/{name}?index=0")).json == OK
    assert (await stage.get(f"/{name}"))[name] == []


@pytest.mark.parametrize("name", MAPS)
async def test_a_map(stage: Any, name: str) -> None:
    whole, patch, named = MAPS[name]
    for content in (whole, {"items": whole}):
        assert (await stage.ask("PUT", f"/{name}", content)).json == OK
    assert (await stage.ask("PATCH", f"/{name}", patch)).json == OK
    assert set((await stage.get(f"/{name}"))[name]) == {"codex", "claude"}
    assert (await stage.ask("DELETE", f"/{name}?{named}")).json == OK
    assert (await stage.ask("DELETE", f"/{name}?{named}")).status == 404
    assert set((await stage.get(f"/{name}"))[name]) == {"claude"}


async def test_files_of_accounts(stage: Any) -> None:
    account = {"type": "claude-api-key", "api-key": "sk-ant-of-the-panel", "label": "mine"}
    assert (await stage.ask("POST", "/auth-files?name=a.json", account)).json == OK
    (told,) = (await stage.get("/auth-files?name=a.json"))["files"]
    wanted = (
        "id auth_index name type provider label status status_message disabled unavailable runtime_only source size "
        "success failed recent_requests email account_type account project_id modtime updated_at next_retry_after "
        "priority note weight"
    )
    assert set(wanted.split()) <= set(told)
    models = (await stage.get("/auth-files/models?name=a.json"))["models"]
    assert {"id", "display_name", "type", "owned_by"} <= set(models[0])
    off = {"name": "a.json", "auth_index": told["auth_index"], "disabled": True}
    assert (await stage.ask("PATCH", "/auth-files/status", off)).json == {"status": "ok", "disabled": True}
    assert (await stage.ask("PATCH", "/auth-files/fields", {"name": "a.json", "priority": 2})).json == OK
    assert (await stage.ask("PATCH", "/auth-files/fields", {"name": "a.json"})).status == 400
    assert (await stage.ask("GET", "/auth-files/download?name=a.json")).json["label"] == "mine"
    assert (await stage.ask("GET", "/auth-files/download?name=b.json")).status == 404
    reset = await stage.ask("POST", "/reset-quota", {"auth_index": told["auth_index"]})
    assert set(reset.json) == {"status", "auth_index", "models"}
    assert (await stage.ask("DELETE", "/auth-files", {"names": ["a.json", "b.json"]})).json | {"failed": []} == {
        "status": "partial", "deleted": 1, "files": ["a.json"], "failed": [],
    }  # fmt: skip
    assert (await stage.ask("DELETE", "/auth-files?all=true")).json["status"] == "ok"
    nobody = await stage.ask("DELETE", "/auth-files")
    assert (nobody.status, "?name=" in nobody.json["error"]) == (400, True)
    assert {"X-CPA-VERSION", "X-CPA-COMMIT", "X-CPA-BUILD-DATE", "X-CPA-SUPPORT-PLUGIN"} <= set(nobody.headers)


async def test_the_queue_has_the_records_that_consumers_read(stage: Any) -> None:
    assert (await stage.chat()).status == 200
    assert (await stage.chat("there-is-none")).status == 404
    good, bad = await stage.get("/usage-queue?count=5")
    assert datetime.fromisoformat(good["timestamp"]).tzinfo is not None
    assert {"latency_ms", "ttft_ms", "source", "auth_index", "provider", "model", "alias", "endpoint"} <= set(good)
    assert {"input", "output", "reasoning", "cached", "cache_read", "cache_creation", "total"} <= set(good["tokens"])
    assert (good["failed"], good["generate"], bad["failed"], bad["fail"]["status_code"]) == (False, True, True, 404)
    assert await stage.get("/usage-queue?count=5") == []


@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("/config", "debug auth-dir"),
        ("/latest-version", "latest-version"),
        ("/request-error-logs", "files"),
        ("/auth-files", "files"),
        ("/model-definitions/claude", "channel models"),
        ("/ws-auth", "ws-auth"),
        ("/get-auth-status", "status"),
        ("/api-key-usage", ""),
    ],
)
async def test_what_is_only_read(stage: Any, path: str, members: str) -> None:
    assert set(members.split()) <= set(await stage.get(path))


async def test_logs(stage: Any) -> None:
    (stage.accounts / "logs").mkdir(parents=True)
    assert (await stage.ask("PUT", "/logging-to-file", {"value": True})).json["status"] == "ok"
    (stage.accounts / "logs" / "proxy.log").write_text("a line\n")
    told = await stage.get("/logs?limit=5")
    assert {"lines", "line-count", "latest-timestamp", "next-cursor"} <= set(told)
    assert {"success", "message", "removed"} <= set((await stage.ask("DELETE", "/logs")).json)


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/usage-queue?count=0", None, 400),
        ("GET", "/usage-queue?count=5", None, 200),
        ("POST", "/api-call", {"auth_index": "x", "method": "GET", "url": "https://a.test"}, 403),
        ("POST", "/reset-quota", {"auth_index": "nobody"}, 404),
        ("GET", "/model-definitions/nobody", None, 400),
        ("GET", "/request-log-by-id/nobody", None, 404),
        ("POST", "/vertex/import", {}, 400),
        ("DELETE", "/oauth-session", None, 400),
        ("GET", "/get-auth-status?state=%2F", None, 400),
        ("PUT", "/config.yaml", b"debug: [", 400),
        ("PUT", "/config.yaml", b"debug: maybe\n", 422),
    ],
)
async def test_refusals_have_the_same_status(stage: Any, method: str, path: str, content: Any, status: int) -> None:
    answer = await stage.ask(method, path, content)
    assert answer.status == status, answer.body
    if status >= 400:
        assert isinstance(answer.json["error"], str)


async def test_config_yaml(stage: Any) -> None:
    text = await stage.ask("GET", "/config.yaml")
    put = await stage.ask("PUT", "/config.yaml", text.body + b"debug: true\n")
    assert (put.status, put.json["ok"], len(put.json["changed"])) == (200, True, 1)
