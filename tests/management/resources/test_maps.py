from __future__ import annotations

from typing import Any

import yaml


async def test_exclusions_by_kind_of_account(open_stage: Any) -> None:
    async with open_stage("oauth-excluded-models:\n  codex: [a]  # mine\n") as stage:

        def held() -> Any:
            return yaml.safe_load(stage.config.read_text()).get("oauth-excluded-models")

        path = "/oauth-excluded-models"
        assert await stage.get(path) == {"oauth-excluded-models": {"codex": ["a"]}}
        for method, to, content, status in (
            ("PATCH", path, {"provider": "Gemini", "models": ["x", "y"]}, 200),
            ("PATCH", path, {"provider": "nobody", "models": []}, 404),
            ("PATCH", path, {"models": ["x"]}, 400),
            ("PATCH", path, {"provider": "codex", "models": "x"}, 400),
            ("PATCH", path, {"provider": "codex", "models": [{}]}, 400),
        ):
            assert (await stage.ask(method, to, content)).status == status
        assert held() == {"codex": ["a"], "gemini": ["x", "y"]}
        assert "# mine" in stage.config.read_text()
        assert (await stage.ask("PATCH", path, {"provider": "gemini", "models": []})).status == 200
        assert (await stage.ask("DELETE", path)).status == 400
        assert (await stage.ask("DELETE", f"{path}?provider=gemini")).status == 404
        assert (await stage.ask("DELETE", f"{path}?provider=codex")).status == 200
        assert held() is None
        assert (await stage.ask("PUT", path, {"items": {"codex": ["b"]}})).status == 200
        assert (await stage.ask("PUT", path, {"claude": ["c"]})).status == 200
        assert held() == {"claude": ["c"]}


async def test_aliases_by_channel(stage: Any) -> None:
    path = "/oauth-model-alias"
    aliases = [{"name": "m-1", "alias": "mine"}]
    assert (await stage.ask("PATCH", path, {"channel": "codex", "aliases": aliases})).status == 200
    told = (await stage.get(path))["oauth-model-alias"]
    assert [(each["name"], each["alias"]) for each in told["codex"]] == [("m-1", "mine")]
    assert (await stage.ask("PUT", path, told)).status == 200
    assert yaml.safe_load(stage.config.read_text())["oauth-model-alias"] == {"codex": aliases}
    assert (await stage.ask("DELETE", f"{path}?channel=codex")).status == 200
    assert await stage.get(path) == {"oauth-model-alias": {}}
