"""Single settings, in the words of scripts that know the well-known system."""

from __future__ import annotations

from typing import Any

import pytest

from management.resources.settings import CLOSED, ROUTES, open_settings, path_of
from proxy.config.schema import Config
from proxy.config.settings import settings_of


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/debug", True),
        ("/logging-to-file", True),
        ("/usage-statistics-enabled", False),
        ("/request-log", True),
        ("/request-retry", 5),
        ("/max-retry-credentials", 2),
        ("/max-retry-interval", 7),
        ("/quota-exceeded/switch-project", False),
        ("/quota-exceeded/switch-preview-model", not Config().quota_exceeded.switch_preview_model),
        ("/routing/strategy", "fill-first"),
        ("/proxy-url", "socks5://127.0.0.1:1080"),
        ("/streaming/keepalive-seconds", 3),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_get_put_get(stage: Any, method: str, path: str, value: object) -> None:
    name = path.rpartition("/")[2]
    before = await stage.get(path)
    assert set(before) == {name}
    assert before[name] != value
    answer = await stage.ask(method, path, {"value": value})
    assert (answer.status, answer.json["status"]) == (200, "ok")
    assert await stage.get(path) == {name: value}
    assert (await stage.ask("DELETE", path)).status == 200
    assert await stage.get(path) == before
    assert (await stage.ask("DELETE", path)).status == 200


async def test_short_words_are_understood(stage: Any) -> None:
    assert (await stage.ask("PUT", "/routing/strategy", {"value": "ff"})).status == 200
    assert await stage.get("/routing/strategy") == {"strategy": "fill-first"}


@pytest.mark.parametrize("body", [{}, [], None, {"value": None}, {"valeu": 1}, b"", b"{"])
async def test_without_a_value_it_is_an_invalid_body(stage: Any, body: object) -> None:
    answer = await stage.ask("PUT", "/debug", body)
    assert answer.status == 400
    assert answer.json["error"].startswith("invalid body")


async def test_a_wrong_value_is_told_with_its_line(stage: Any) -> None:
    answer = await stage.ask("PUT", "/request-retry", {"value": "many"})
    assert answer.status == 400
    assert answer.json["lines"][0]["line"] > 0
    assert "request-retry" in answer.json["lines"][0]["message"]


async def test_a_password_in_a_url_is_masked_and_kept(stage: Any) -> None:
    url = "socks5://me:a-proxy-word-of-mine@127.0.0.1:1080"
    assert (await stage.ask("PUT", "/proxy-url", {"value": url})).status == 200
    shown = (await stage.get("/proxy-url"))["proxy-url"]
    assert "of-mine" not in shown
    assert (await stage.ask("PUT", "/proxy-url", {"value": shown})).status == 200
    assert stage.house.config.proxy_url == url


async def test_rules_for_payloads(stage: Any) -> None:
    rules = {"override": [{"models": [{"name": "m-*"}], "params": {"temperature": 0}}]}
    assert (await stage.ask("PUT", "/payload", rules)).status == 200
    told = (await stage.get("/payload"))["payload"]
    assert told["override"][0]["params"] == {"temperature": 0}
    assert (await stage.ask("DELETE", "/payload")).status == 200
    assert (await stage.get("/payload"))["payload"]["override"] == []


def test_each_setting_has_a_route_or_is_closed() -> None:
    tops = {place[0] for place, _ in open_settings()} | CLOSED
    assert tops == {setting.key for setting in settings_of(Config)}  # type: ignore[arg-type]
    assert not [route for route in ROUTES if route.path.startswith("/remote-management")]
    assert path_of(("a", "b")) == "/a/b"
