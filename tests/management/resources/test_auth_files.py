"""Files of the auth-dir through the API, each of them in force at once."""

from __future__ import annotations

import stat
from typing import Any

import aiohttp
import msgspec
import pytest

from auth.homes import Homes
from proxy.accounts.enrolment import Enrolment

ONE = {"type": "claude-api-key", "api-key": "sk-ant-one-of-mine", "label": "first", "note": "nights", "x-mine": [1, 2]}
TWO = {"type": "codex-api-key", "api-key": "sk-two-of-mine"}


async def put(stage: Any, name: str, content: object) -> Any:
    return await stage.ask("POST", f"/auth-files?name={name}", content)


async def listed(stage: Any, query: str = "") -> list[Any]:
    found: list[Any] = (await stage.get(f"/auth-files?source=file{query}"))["files"]
    return found


async def test_the_models_of_an_account_that_has_some_that_only_draw(stage: Any) -> None:
    await put(stage, "one.json", ONE)
    await put(stage, "two.json", {"type": "codex-api-key", "api-key": "sk-of-the-second-one"})
    told = (await stage.get("/auth-files/models?name=two.json"))["models"]
    assert {each["type"] for each in told} == {"openai"}
    assert "chatgpt-image-latest" in {each["id"] for each in told}, "a request for it goes to this account"
    (other,) = {each["type"] for each in (await stage.get("/auth-files/models?name=one.json"))["models"]}
    assert other == "anthropic"


async def test_a_file_comes_serves_rests_and_goes(stage: Any) -> None:
    assert (await put(stage, "one.json", ONE)).json == {"status": "ok"}
    path = stage.accounts / "one.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (entry,) = await listed(stage)
    wanted = {
        "name": "one.json", "type": "claude-api-key", "provider": "anthropic", "label": "first", "status": "active",
        "disabled": False, "note": "nights", "source": "file", "cooldowns": [], "windows": [],
    }  # fmt: skip
    assert {name: entry[name] for name in wanted} == wanted
    assert len(entry["auth_index"]) == 16
    names = {each["id"] for each in (await stage.get("/auth-files/models?name=one.json"))["models"]}
    assert names
    off = await stage.ask("PATCH", "/auth-files/status", {"name": "one.json", "disabled": True})
    assert off.json == {"status": "ok", "disabled": True}
    assert (await listed(stage))[0]["status"] == "disabled"
    on = await stage.ask("PATCH", "/auth-files/status", {"auth_index": entry["auth_index"], "disabled": False})
    assert on.json["disabled"] is False
    download = await stage.ask("GET", "/auth-files/download?name=one.json")
    assert download.json == ONE
    assert "attachment" in download.headers["Content-Disposition"]
    assert (await stage.ask("DELETE", "/auth-files?name=one.json")).json == {"status": "ok"}
    assert not path.exists()
    assert await listed(stage) == []


async def test_no_list_holds_a_secret_nor_does_the_audit_log(stage: Any) -> None:
    await put(stage, "one.json", ONE)
    for path in ("/auth-files", "/config", "/audit", "/cooldowns", "/quota", "/health"):
        assert b"of-mine" not in (await stage.ask("GET", path)).body
    assert "of-mine" not in (stage.accounts / "logs" / "audit.log").read_text()


async def test_fields_are_changed_and_the_rest_stays(stage: Any) -> None:
    await put(stage, "one.json", ONE | {"headers": {"X-A": "1", "X-B": "2"}})
    fields = {"name": "one.json", "priority": 9, "note": None, "headers": {"X-A": None, "X-C": "3"}}
    assert (await stage.ask("PATCH", "/auth-files/fields", fields)).json == {"status": "ok"}
    held = msgspec.json.decode((stage.accounts / "one.json").read_bytes())
    assert held == {
        "type": "claude-api-key", "api-key": "sk-ant-one-of-mine", "label": "first", "x-mine": [1, 2],
        "headers": {"X-B": "2", "X-C": "3"}, "priority": 9,
    }  # fmt: skip
    assert (await listed(stage))[0]["priority"] == 9
    for fields, status in (
        ({"name": "one.json"}, 400),
        ({"name": "one.json", "type": "codex-api-key"}, 400),
        ({"name": "one.json", "priority": "high"}, 400),
        ({"name": "none.json", "priority": 1}, 404),
        ({"priority": 1}, 400),
    ):
        assert (await stage.ask("PATCH", "/auth-files/fields", fields)).status == status
    assert msgspec.json.decode((stage.accounts / "one.json").read_bytes()) == held


async def test_many_files_at_once_each_for_itself(stage: Any) -> None:
    form = aiohttp.FormData()
    for name, content in (("one.json", ONE), ("two.json", TWO), ("bad.json", {"type": "nonsense"}), ("../x.json", TWO)):
        form.add_field("file", msgspec.json.encode(content), filename=name, content_type="application/json")
    answer = await stage.ask("POST", "/auth-files", form)
    assert answer.status == 207
    assert (answer.json["status"], answer.json["uploaded"]) == ("partial", 2)
    assert [each["name"] for each in answer.json["failed"]] == ["bad.json", "..%2Fx.json"]
    assert [each["name"] for each in await listed(stage)] == ["one.json", "two.json"]
    gone = await stage.ask("DELETE", "/auth-files", {"names": ["one.json", "none.json"]})
    assert (gone.status, gone.json["deleted"]) == (207, 1)
    assert (await stage.ask("DELETE", "/auth-files?all=true")).status == 200
    assert await listed(stage) == []


async def test_many_are_put_into_force_together(open_stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    look = Enrolment.look

    async def counted(enrolment: Enrolment) -> None:
        nonlocal looks
        looks += 1
        await look(enrolment)

    monkeypatch.setattr(Enrolment, "look", counted)
    async with open_stage("") as stage:
        form = aiohttp.FormData()
        for number in range(40):
            account = {**ONE, "api-key": f"sk-ant-{number}"}
            form.add_field("file", msgspec.json.encode(account), filename=f"{number}.json")
        before = looks
        assert (await stage.ask("POST", "/auth-files", form)).json["uploaded"] == 40
        assert (await stage.ask("DELETE", "/auth-files?all=true")).json["deleted"] == 40
        assert looks == before + 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("..%2f..%2fconfig.json", ONE),
        ("%2fetc%2fx.json", ONE),
        (".hidden.json", ONE),
        ("x.yaml", ONE),
        ("x%00.json", ONE),
        ("a" * 300 + ".json", ONE),
        ("x.json", {"type": "claude-api-key"}),
        ("x.json", []),
        ("x.json", b"{"),
        ("x.json", b""),
        ("x.json", b'{"type":"claude-api-key","api-key":NaN}'),
    ],
)
async def test_T13_what_is_no_account_is_refused(stage: Any, name: str, content: object) -> None:
    answer = await put(stage, name, content)
    assert answer.status == 400
    assert [path.name for path in stage.accounts.glob("**/*.json")] == ["management-key.json"]


async def test_T13_a_giant_is_not_read(stage: Any) -> None:
    assert (await put(stage, "x.json", b" " * (1024 * 1024 + 1))).status == 413


async def test_a_page_of_hundreds(stage: Any) -> None:
    stage.accounts.mkdir(mode=0o700, exist_ok=True)
    for number in range(120):
        kind = "claude" if number % 2 else "codex"
        content = {"type": f"{kind}-api-key", "api-key": f"sk-{number:04}-of-mine", "disabled": number % 3 == 0}
        path = stage.accounts / f"a-{number:03}.json"
        path.write_bytes(msgspec.json.encode(content))
        path.chmod(0o600)
    await stage.ask("POST", "/reload")
    page = await stage.get("/auth-files?source=file&limit=10&offset=20")
    assert [each["name"] for each in page["files"]] == [f"a-{number:03}.json" for number in range(20, 30)]
    assert (page["total"], page["by_status"]) == (120, {"disabled": 40, "active": 80})
    assert (await stage.get("/auth-files?status=disabled&type=claude-api-key"))["total"] == 20
    assert (await stage.get("/auth-files?q=A-11"))["total"] == 10


async def test_a_broken_file_is_listed_with_its_reason(stage: Any) -> None:
    await put(stage, "one.json", ONE)
    (stage.accounts / "one.json").write_text("{")
    await stage.ask("POST", "/reload")
    (entry,) = await listed(stage)
    assert entry["status"] == "error"
    assert "JSON" in entry["status_message"]


async def test_keys_of_the_configuration_rest_by_excluding_every_model(open_stage: Any) -> None:
    text = (
        "claude-api-key:\n  - sk-ant-x-of-mine  # one\n"
        "  - api-key: sk-ant-y-of-mine\n    excluded-models: [m-1]  # two\n"
    )
    async with open_stage(text) as stage:
        before = stage.config.read_text()

        async def listed() -> list[tuple[str, str, str]]:
            files = (await stage.get("/auth-files?provider=anthropic"))["files"]
            return [(each["source"], each["name"], each["status"]) for each in files]

        assert await listed() == [("config", "", "active")] * 2
        files = (await stage.get("/auth-files?provider=anthropic"))["files"]
        both = [each["auth_index"] for each in files]
        answer = await stage.ask("PATCH", "/auth-files/status", {"names": both, "disabled": True})
        assert answer.json == {"status": "ok", "disabled": True, "via": "excluded-models", "excluded_pattern": "*"}
        assert await listed() == [("config", "", "disabled")] * 2
        assert "# two" in stage.config.read_text()
        again = await stage.ask("PATCH", "/auth-files/status", {"names": both, "disabled": False})
        assert again.status == 200
        assert await listed() == [("config", "", "active")] * 2
        assert stage.house.config.claude_api_key[1].excluded_models == ("m-1",)
        assert before.count("\n") <= stage.config.read_text().count("\n")


async def test_a_simulated_account_is_nobodys_entry(stage: Any) -> None:
    index = (await stage.get("/auth-files"))["files"][0]["auth_index"]
    assert (await stage.ask("PATCH", "/auth-files/status", {"auth_index": index, "disabled": True})).status == 409


async def test_who_served_how_often_is_in_the_list(stage: Any) -> None:
    await stage.chat()
    files = [each for each in (await stage.get("/auth-files"))["files"] if each["success"]]
    assert [(each["success"], each["failed"], len(each["recent_requests"])) for each in files] == [(1, 0, 20)]
    assert files[0]["recent_requests"][-1]["success"] + files[0]["recent_requests"][-2]["success"] == 1


async def test_figures_by_key_name_no_key(open_stage: Any) -> None:
    async with open_stage(
        "claude-api-key: [{api-key: sk-ant-x-of-mine, base-url: 'https://a.example.com'}]\n"
    ) as stage:
        told = await stage.get("/api-key-usage")
        ((name, figures),) = told["anthropic"].items()
        assert name.startswith("https://a.example.com|•••")
        assert figures == {"success": 0, "failed": 0, "recent_requests": []}


@pytest.mark.parametrize("way", ["one", "bulk"])
async def test_a_login_goes_with_its_last_file(stage: Any, way: str) -> None:
    home = Homes(stage.accounts).make("codex")
    for name in ("ada", "bea"):
        await put(stage, f"{name}.json", {"type": "codex", "home": home.name, "account": name})
    for name in ("ada", "bea"):
        assert home.is_dir()
        if way == "one":
            await stage.ask("DELETE", f"/auth-files?name={name}.json")
        else:
            await stage.ask("POST", "/auth-files/bulk", {"action": "delete", "names": [f"{name}.json"]})
    assert await listed(stage) == []
    assert not home.exists()


async def test_a_form_that_is_none_is_refused(stage: Any) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="a\x1c\x13"\r\n\r\n{}\r\n--b--\r\n'
    for path in ("/auth-files", "/vertex/import"):
        answer = await stage.ask("POST", path, form, Content_Type="multipart/form-data; boundary=b")
        assert (answer.status, answer.json["error"][:27]) == (400, "the form cannot be read: 40")
