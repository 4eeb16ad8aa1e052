"""The API as its callers meet it: who may, what is refused, what the document says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import jsonschema
import msgspec
import pytest

from management.api import TABLE
from management.key_ring import HERE, is_hashed
from management.routes import PREFIX
from tests.pace import slowness

KEY = "the-management-key-of-the-tests"


async def test_without_a_key_it_is_as_if_absent(monkeypatch: pytest.MonkeyPatch, open_stage: Any) -> None:
    monkeypatch.setattr("management.key_ring.KeyRing.is_set", False)
    async with open_stage() as stage:
        told = await stage.ask("GET", "/config")
        nowhere = await stage.ask("GET", "/x", base="/v0/nothing")
    assert told.status == nowhere.status == 404
    assert told.json["error"]["code"] == nowhere.json["error"]["code"] == "unknown_route"


@pytest.mark.parametrize("path", ["/config", "/nothing", "", "/auth-files/download?name=x.json"])
async def test_without_the_key_nothing_is_told_of_what_there_is(stage: Any, path: str) -> None:
    for key in (None, "wrong"):
        answer = await stage.ask("GET", path, key=key)
        assert answer.status == 401
        assert answer.json == {"error": "missing management key" if key is None else "invalid management key"}


async def test_both_places_of_the_key(stage: Any) -> None:
    assert (await stage.ask("GET", "/version")).status == 200
    assert (await stage.ask("GET", "/version", key=None, X_Management_Key=KEY)).status == 200
    answer = await stage.ask("GET", "/version", key=None, base=f"{PREFIX}", X_Api_Key=KEY)
    assert answer.status == 401


async def test_a_client_key_is_no_management_key(open_stage: Any) -> None:
    async with open_stage("api-keys: [a-client-key-of-mine]\n") as stage:
        assert (await stage.ask("GET", "/config", key="a-client-key-of-mine")).status == 401
        assert (await stage.chat(Authorization=f"Bearer {KEY}")).status == 401


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP", "Via"])
@pytest.mark.parametrize("word", ["127.0.0.1", "for=127.0.0.1", "::1"])
async def test_T01_T02_a_forwarded_request_is_not_local(stage: Any, header: str, word: str) -> None:
    answer = await stage.ask("GET", "/config", **{header: word})
    assert (answer.status, answer.json) == (403, {"error": "remote management disabled"})


async def test_T02_who_stands_behind_a_proxy_is_let_in_where_that_is_allowed(stage: Any) -> None:
    text = stage.config.read_text().replace("remote-management:\n", "remote-management:\n  allow-remote: true\n")
    stage.config.write_text(text)
    assert (await stage.ask("POST", "/reload")).status == 200
    assert (await stage.ask("GET", "/config", X_Forwarded_For="203.0.113.9")).status == 200


async def test_T07_behind_a_trusted_proxy_guesses_are_counted_by_who_makes_them(open_stage: Any) -> None:
    async with open_stage("server: {trusted-proxies: [127.0.0.1]}\n") as stage:
        text = stage.config.read_text().replace("remote-management:\n", "remote-management:\n  allow-remote: true\n")
        stage.config.write_text(text)
        assert (await stage.ask("POST", "/reload")).status == 200
        for address in ("198.51.100.7", "198.51.100.7, 203.0.113.9", "2001:db8::7"):
            assert (await stage.ask("GET", "/config", key="wrong", X_Forwarded_For=address)).status == 401
        assert (await stage.ask("GET", "/config", key="wrong")).status == 401
        counts = stage.house._management._ring._by_site
        sites = {"198.51.100.7", "203.0.113.9", "2001:db8::/64", HERE}
        assert {site: counts.of(site) for site in sites} == dict.fromkeys(sites, 1)
        assert counts.of("127.0.0.1") == 0


async def test_T03_a_rebound_page_reads_nothing(stage: Any) -> None:
    for host in ("attacker.test", "attacker.test:8317", "127.0.0.1.attacker.test"):
        answer = await stage.ask("GET", "/config", Host=host)
        assert answer.status == 421
        assert b"auth-dir" not in answer.body


async def test_T04_T05_no_page_of_another_site_gets_through(stage: Any) -> None:
    before = stage.config.read_bytes()
    for page in ({"Origin": "https://attacker.test"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        for method, path in (("GET", "/config"), ("PUT", "/debug"), ("DELETE", "/auth-files?all=true")):
            answer = await stage.ask(method, path, {"value": True}, **page)
            assert answer.status == 403
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    asks = {"Origin": "https://attacker.test", "Access-Control-Request-Method": "PUT"}
    answer = await stage.ask("OPTIONS", "/debug", key=None, **asks)
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert stage.config.read_bytes() == before


async def test_T06_a_thousand_keyless_hits_then_a_login_within_a_second(stage: Any) -> None:
    for _ in range(10):
        told = await asyncio.gather(*(stage.ask("GET", "/config", key=None) for _ in range(100)))
        assert {each.status for each in told} == {401}
    began = time.perf_counter()
    assert (await stage.ask("GET", "/version")).status == 200
    assert (time.perf_counter() - began) / slowness() < 1.0


async def test_the_plain_key_becomes_a_hash_and_the_comments_stay(open_stage: Any) -> None:
    async with open_stage() as stage:
        stage.config.write_text(
            f"# my file\nauth-dir: {stage.accounts}\nremote-management:\n  secret-key: another-key-of-mine # keep it\n"
        )
        assert (await stage.ask("POST", "/reload")).status == 200
        assert (await stage.ask("GET", "/version", key="another-key-of-mine")).status == 200
        assert (await stage.ask("GET", "/version")).status == 401
        await stage.house._management._hashing
        text = stage.config.read_text()
        assert "another-key-of-mine" not in text
        assert text.startswith("# my file\n")
        assert text.rstrip().endswith("# keep it")
        assert is_hashed(stage.house.config.remote_management.secret_key.reveal())
        assert (await stage.ask("GET", "/version", key="another-key-of-mine")).status == 200
        assert "another-key-of-mine" not in (stage.accounts / "logs" / "audit.log").read_text()


async def test_what_waits_for_the_next_start_is_said(stage: Any) -> None:
    assert (await stage.ask("PUT", "/port", {"value": 8400})).json == {"status": "ok", "restart-needed": ["port"]}
    assert (await stage.ask("PUT", "/request-retry", {"value": 2})).json == {"status": "ok"}
    text = await stage.ask("GET", "/config.yaml")
    put = await stage.ask("PUT", "/config.yaml", text.body.replace(b"port: 8400", b"port: 8401\nrequest-log: true"))
    assert put.json == {"ok": True, "changed": ["config"], "warnings": [], "restart-needed": ["port"]}


async def test_a_key_that_could_be_guessed_is_named_once(
    open_stage: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MANAGEMENT_PASSWORD", "short-one")
    async with open_stage("") as stage:
        await stage.ask("PUT", "/debug", {"value": True})
        await stage.ask("PUT", "/request-retry", {"value": 2})
    lines = [line for line in capfd.readouterr().err.splitlines() if "key_short" in line]
    assert len(lines) == 1
    assert '"characters":9' in lines[0]
    assert "short-one" not in lines[0]


async def test_a_password_of_the_environment_serves_containers(
    open_stage: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANAGEMENT_PASSWORD", "a-password-of-the-container")
    async with open_stage("") as stage:
        for key in (KEY, "a-password-of-the-container"):
            assert (await stage.ask("GET", "/config", key=key, X_Forwarded_For="203.0.113.9")).status == 200
        config = await stage.ask("GET", "/config")
        assert b"a-password-of-the-container" not in config.body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/debug", 405),
        ("DELETE", "/config.yaml", 405),
        ("GET", "/%2e%2e/healthz", 404),
    ],
)
async def test_what_there_is_not(stage: Any, method: str, path: str, status: int) -> None:
    answer = await stage.ask(method, path)
    assert answer.status == status
    assert set(answer.json) == {"error"}
    if status == 405:
        assert answer.headers["Allow"]


async def test_every_change_is_in_the_audit_log_without_secrets(open_stage: Any) -> None:
    async with open_stage("claude-api-key:\n  - api-key: sk-ant-a-secret-of-mine\n") as stage:
        await stage.ask("PUT", "/debug", {"value": True}, X_Request_ID="mine-1")
        await stage.ask("PATCH", "/claude-api-key", {"index": 0, "value": {"api-key": "sk-ant-the-next-of-mine"}})
        await stage.ask("PUT", "/debug", {"value": "nonsense"})
        changes = (await stage.get("/audit"))["changes"]
        written = (stage.accounts / "logs" / "audit.log").read_text()
    assert [each["action"] for each in changes] == ["PUT /debug", "PATCH /claude-api-key"]
    assert changes[0] | {"at": 0} == {
        "at": 0, "peer": "127.0.0.1", "request_id": "mine-1", "action": "PUT /debug", "status": 200,
        "changes": {"debug": {"before": False, "after": True}},
    }  # fmt: skip
    assert "claude-api-key" in changes[1]["changes"]
    assert "of-mine" not in written


async def test_the_document_and_the_routes_are_the_same(stage: Any) -> None:
    told = await stage.get("/openapi.json")
    assert told["openapi"] == "3.1.0"
    documented = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
    assert documented == {(route.method, PREFIX + route.path) for route in TABLE.routes}
    names = [operation["operationId"] for methods in told["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names)) == len(TABLE.routes)
    for methods in told["paths"].values():
        for operation in methods.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                jsonschema.Draft202012Validator.check_schema(content["schema"])
            for reply in operation["responses"].values():
                for content in reply["content"].values():
                    jsonschema.Draft202012Validator.check_schema(content["schema"])


async def test_answers_are_as_the_document_says(open_stage: Any) -> None:
    """Of all that can be read without an argument."""
    text = (
        "api-keys: [a-client-key-of-mine]\nclaude-api-key: [{api-key: sk-ant-x-of-mine, models: [{name: m}]}]\n"
        "oauth-excluded-models: {codex: [a]}\nlogging-to-file: false\n"
    )
    async with open_stage(text) as stage:
        paths = (await stage.get("/openapi.json"))["paths"]
        for path, methods in paths.items():
            if "get" not in methods or "{" in path or path.endswith(("/events", "-auth-url")):
                continue
            answer = await stage.ask("GET", path.removeprefix(PREFIX))
            assert str(answer.status) in methods["get"]["responses"], (path, answer.status)
            kinds = methods["get"]["responses"][str(answer.status)]["content"]
            if answer.status == 200 and answer.headers["Content-Type"] == "application/json":
                jsonschema.validate(answer.json, {**kinds["application/json"]["schema"]})
            assert b"of-mine" not in answer.body


async def test_T07_a_flood_of_guesses_rotates_no_log_away(open_stage: Any) -> None:
    async with open_stage("logging-to-file: true\n") as stage:
        for number in range(200):
            answer = await stage.ask("GET", "/version", key=f"guess {number}", X_Request_ID="a-guess")
            assert answer.status == 401
        assert (await stage.ask("GET", "/nothing", X_Request_ID="the-owner")).status == 404
    text = (stage.accounts / "logs" / "proxy.log").read_text()
    lines = [line for line in map(msgspec.json.decode, text.splitlines()) if line["level"] != "debug"]
    assert [line["status"] for line in lines if line["event"] == "management.refused"] == [401]
    assert [line["times"] for line in lines if line["event"] == "management.refused_more"] == [{"401": 199}]
    assert [line for line in lines if line.get("request_id") == "a-guess"] == []
    assert [line["status"] for line in lines if line.get("request_id") == "the-owner"] == [404]
