from __future__ import annotations

from typing import Any


async def test_the_text_goes_out_masked_and_comes_back_whole(open_stage: Any) -> None:
    text = "# mine\nclaude-api-key:\n  - api-key: sk-ant-one-of-mine # first\n    headers: {X-Team: blue-of-mine}\n"
    async with open_stage(text) as stage:
        before = stage.config.read_text()
        read = await stage.ask("GET", "/config.yaml")
        assert read.headers["Content-Type"].startswith("application/yaml")
        shown = read.body.decode()
        assert "of-mine" not in shown
        assert "# first" in shown
        put = await stage.ask("PUT", "/config.yaml", (shown + "debug: true\n").encode(), If_Match=read.headers["ETag"])
        assert (put.status, put.json) == (
            200,
            {"ok": True, "changed": ["config"], "warnings": [], "restart-needed": ["debug"]},
        )
        assert stage.config.read_text() == before + "debug: true\n"
        assert stage.house.config.debug
        assert put.headers["ETag"] == (await stage.ask("GET", "/config.yaml")).headers["ETag"]


async def test_what_was_read_as_json_is_changed_only_as_long_as_it_is_so(stage: Any) -> None:
    read = await stage.ask("GET", "/config")
    assert read.headers["ETag"] == (await stage.ask("GET", "/config.yaml")).headers["ETag"]
    stage.config.write_text(stage.config.read_text() + "# of somebody else\n")
    stale = await stage.ask("PUT", "/request-retry", {"value": 1}, If_Match=read.headers["ETag"])
    assert stale.status == 412
    fresh = (await stage.ask("GET", "/config")).headers["ETag"]
    assert (await stage.ask("PUT", "/request-retry", {"value": 1}, If_Match=fresh)).status == 200
    stage.config.write_text("prot: 1\n")
    assert "ETag" not in (await stage.ask("GET", "/config")).headers, "that is not what is in force"


async def test_faults_have_codes_and_lines(stage: Any) -> None:
    before = stage.config.read_bytes()
    for text, status, code, line in (
        ("a: [1\n", 400, "invalid_yaml", None),
        ("a: &x 1\nb: *x\n", 400, "invalid_yaml", 1),
        ("debug: true\nprot: 1\n", 422, "invalid_config", 2),
        ("debug: •••12345678\n", 422, "invalid_config", None),
        ("", 400, "invalid_yaml", None),
    ):
        answer = await stage.ask("PUT", "/config.yaml", text.encode())
        assert (answer.status, answer.json["error"]) == (status, code)
        if line is not None:
            assert answer.json["lines"][0]["line"] == line
    assert stage.config.read_bytes() == before


async def test_T13_a_bomb_is_refused_at_once(stage: Any) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{last}'] * 9)}]\n" for last, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert (await stage.ask("PUT", "/config.yaml", bomb.encode())).status == 400
    assert (await stage.ask("PUT", "/config.yaml", b"#" * (1024 * 1024 + 1))).status == 413
    assert (await stage.ask("PUT", "/payload", b'{"a":' * 20_000)).status == 400
    assert (await stage.ask("PUT", "/payload", b"[" * 500_000 + b"]" * 500_000)).status == 400


async def test_the_whole_as_json_has_defaults_and_masks(stage: Any) -> None:
    told = await stage.get("/config")
    assert told["request-retry"] == 3
    assert told["remote-management"]["secret-key"].startswith("•••")
    assert (await stage.get("/config.schema.json"))["title"] == "config.yaml"


async def test_versions_and_health(stage: Any) -> None:
    version = (await stage.get("/version"))["version"]
    assert (await stage.get("/latest-version"))["latest-version"] == version
    health = await stage.get("/health")
    assert (health["status"], health["config_error"]) == ("ok", None)
    stage.config.write_text("debug: 7\n")
    answer = await stage.ask("POST", "/reload")
    assert answer.status == 400
    assert (await stage.get("/health"))["status"] == "degraded"
