"""Calls with an account's token, and accounts that are tried, through the whole server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from auth.standing import ALL_MODELS, Setback

KEY = "sk-ant-a-secret-of-mine"


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    """A provider that tells everything it was sent."""
    if request.path == "/v1/models":
        return web.json_response({"data": []}, status=200 if request.headers["x-api-key"] == KEY else 401)
    return web.json_response({"headers": dict(request.headers), "path": request.path})


def config(url: str, more: str = "") -> str:
    return f"claude-api-key: [{{api-key: {KEY}, base-url: '{url}', models: [{{name: m}}]}}]\n{more}"


async def test_api_call_is_off_until_it_is_allowed(open_stage: Any) -> None:
    async with open_stage("") as stage:
        answer = await stage.ask("POST", "/api-call", {"method": "GET", "url": "https://x.test/", "auth_index": "x"})
        assert answer.status == 403
        assert "remote-management.api-call" in answer.json["error"]


async def test_api_call_asks_the_accounts_own_provider(open_stage: Any, tmp_path: Path) -> None:
    async with RawTestServer(echo) as provider:
        url = str(provider.make_url("")).rstrip("/")
        async with open_stage(config(url)) as stage:
            stage.house.config  # noqa: B018 - the sandbox is asked for by the stage: the account comes from the file
            text = stage.config.read_text().replace("remote-management:", "remote-management:\n  api-call: true")
            stage.config.write_text(text)
            await stage.ask("POST", "/reload")
            (account,) = [each for each in (await stage.get("/auth-files"))["files"] if each["provider"] == "anthropic"]
            body = {
                "authIndex": account["auth_index"],
                "method": "POST",
                "url": f"{url}/v1/any",
                "header": {"x-api-key": "$TOKEN$"},
                "data": "{}",
            }
            answer = await stage.ask("POST", "/api-call", body)
            assert answer.status == 200, answer.body
            told = msgspec.json.decode(answer.json["body"])
            assert told["path"] == "/v1/any"
            assert KEY.encode() not in answer.body, "the provider has echoed it"
            elsewhere = await stage.ask("POST", "/api-call", {**body, "url": "https://evil.test/"})
            assert elsewhere.status == 403
            audit = (tmp_path / "accounts" / "logs" / "audit.log").read_text()
            assert '"api-call"' in audit
            assert KEY not in audit


async def test_a_probe_ends_what_a_fault_has_brought_about(open_stage: Any) -> None:
    async with open_stage("") as stage:
        credential = stage.house.standpoint.snapshot.credentials[0].id
        pool, now = stage.house.pool, stage.house.clock.monotonic()
        for model, setback in (
            (ALL_MODELS, Setback(model=ALL_MODELS, why="refused", seconds=None)),
            ("m", Setback(model="m", why="limited", seconds=900.0, is_stated=True)),
        ):
            lease = pool.lend((credential, model), now)
            pool.fail(lease, setback, now)
            pool.give_back(lease)
        answer = await stage.ask("POST", "/cooldowns/probe", {"auth_index": credential})
        assert answer.json["works"] is True, answer.body
        assert answer.json["cleared"] == [ALL_MODELS]
        left = [each["model"] for each in (await stage.get("/cooldowns"))["cooldowns"] if each["account"] == credential]
        assert left == ["m"], "a limit is not over because a list of models is given"


async def test_a_probe_needs_an_account(open_stage: Any) -> None:
    async with open_stage("") as stage:
        assert (await stage.ask("POST", "/cooldowns/probe", {})).status == 400
        assert (await stage.ask("POST", "/cooldowns/probe", {"name": "nobody.json"})).status == 404


async def test_a_service_account_is_imported(open_stage: Any) -> None:
    account = {
        "type": "service_account",
        "project_id": "my-project",
        "client_email": "me@my-project.iam.gserviceaccount.com",
        "private_key": "-----BEGIN PRIVATE KEY-----\nof-mine\n-----END PRIVATE KEY-----\n",
        "private_key_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    async with open_stage("") as stage:
        form = aiohttp.FormData()
        form.add_field("location", "europe-west4")
        form.add_field("file", msgspec.json.encode(account), filename="sa.json", content_type="application/json")
        answer = await stage.ask("POST", "/vertex/import", form)
        assert answer.json == {
            "status": "ok",
            "auth-file": "vertex-my-project.json",
            "project_id": "my-project",
            "email": "me@my-project.iam.gserviceaccount.com",
            "location": "europe-west4",
        }
        listed = await stage.ask("GET", "/auth-files?source=file")
        assert [each["name"] for each in listed.json["files"]] == ["vertex-my-project.json"]
        assert b"of-mine" not in listed.body
        wrong = aiohttp.FormData()
        wrong.add_field("file", b'{"type": "authorized_user"}', filename="x.json")
        assert (await stage.ask("POST", "/vertex/import", wrong)).json["error"] == "invalid_file"
        assert (await stage.ask("POST", "/vertex/import", {})).status == 400


async def test_built_in_models_are_listed_by_channel(open_stage: Any) -> None:
    async with open_stage("") as stage:
        for channel in ("claude", "codex", "gemini", "vertex"):
            told = await stage.get(f"/model-definitions/{channel}")
            assert told["channel"] == channel
            assert all(each["id"] for each in told["models"])
            assert told["models"]
        assert (await stage.ask("GET", "/model-definitions/none")).status == 400


async def test_settings_of_the_other_system_are_answered_with_what_holds(open_stage: Any) -> None:
    async with open_stage("") as stage:
        assert await stage.get("/ws-auth") == {"ws-auth": True}
        assert await stage.get("/interactions-api-key") == {"interactions-api-key": []}
        refused = await stage.ask("PUT", "/ws-auth", {"value": False})
        assert refused.status == 409
        assert "cannot be changed" in refused.json["error"]
