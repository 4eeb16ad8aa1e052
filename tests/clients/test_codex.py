"""Codex."""

from __future__ import annotations

import pytest

from tests.clients.answers import Say
from tests.clients.scenes import ANSWER, PROMPT, Cli, Scenes, check_own_request, prompted
from tests.clients.stage import CLIENT_KEY, MODELS, Stage

QUIET = """\
[analytics]
enabled = false

[features]
plugins = false
apps = false
"""


class TestCodex(Scenes):
    cli = Cli(
        name="codex",
        wire="openai_responses",
        arguments=("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"),
        tool=("exec_command|shell", "cmd|command"),
        reading=lambda path: f"cat {path}",
    )
    home = {".codex/config.toml": QUIET}  # noqa: RUF012 - see Scenes
    others = ("anthropic", "gemini")

    async def test_its_own_request_reaches_its_vendor(self, stage: Stage) -> None:
        await stage.open(openai_responses=["key-one-of-the-harbour"])
        stage.upstream.in_turn(Say(ANSWER))
        ran = await prompted(self.cli, stage, "openai_responses", url=stage.tap.url)
        assert ran.code == 0, ran
        (said,) = [each for each in stage.tap.said() if each.target == "/v1/responses"]
        (asked,) = stage.upstream.asked
        check_own_request(said, asked, {"authorization": "Bearer key-one-of-the-harbour"})
        assert asked.headers["originator"].startswith("codex")

    @pytest.mark.parametrize("base", ["/v1", "/backend-api/codex"])
    @pytest.mark.parametrize("wire", ["openai_responses", "anthropic"])
    async def test_as_its_own_vendor(self, stage: Stage, base: str, wire: str) -> None:
        """It opens a WebSocket first, and does not mind what becomes of it."""
        await stage.open(**{wire: ["key-one-of-the-harbour"]})
        (stage.home / ".codex" / "config.toml").write_text(f'openai_base_url = "{stage.url}{base}"\n{QUIET}')
        stage.upstream.in_turn(Say(ANSWER))
        ran = await stage.run("codex", *self.cli.arguments, "-m", MODELS[wire], PROMPT, CODEX_API_KEY=CLIENT_KEY)
        assert (ran.code, ANSWER in ran.out) == (0, True), ran
        assert "Reconnecting" not in ran.err

    @pytest.mark.parametrize("path", ["/v1", "/backend-api/codex"])
    async def test_the_catalogue(self, stage: Stage, path: str) -> None:
        """It fetches the list of models where its provider's key comes from a command."""
        await stage.open(anthropic=["key-one-of-the-harbour"])
        provider = (
            f'{{name="p",base_url="{stage.url}{path}",wire_api="responses",'
            'auth={command="printenv",args=["HARBOUR_KEY"]}}'
        )
        stage.upstream.in_turn(Say(ANSWER))
        ran = await stage.run(
            "codex", "-c", 'model_provider="p"', "-c", f"model_providers.p={provider}", *self.cli.arguments,
            "-m", MODELS["anthropic"], PROMPT, HARBOUR_KEY=CLIENT_KEY,
        )  # fmt: skip
        assert (ran.code, ANSWER in ran.out) == (0, True), ran
        assert "failed to refresh available models" not in ran.err
        assert "metadata" not in ran.err, "it does not know the model, for all that it was told"
        (asked,) = stage.upstream.asked
        assert b"You are a coding agent." in asked.request.body
