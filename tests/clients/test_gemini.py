"""Gemini CLI."""

from __future__ import annotations

import pytest

from tests.clients.answers import Say
from tests.clients.scenes import ANSWER, Cli, Live, Scenes, Settled, check_own_request, prompted
from tests.clients.stage import CLIENT_KEY, Stage

QUIET = '{"privacy": {"usageStatisticsEnabled": false}}'
WITH_A_KEY = '{"privacy": {"usageStatisticsEnabled": false}, "security": {"auth": {"selectedType": "gemini-api-key"}}}'


class TestGemini(Scenes, Settled, Live):
    cli = Cli(
        name="gemini",
        wire="gemini",
        arguments=("--skip-trust", "--approval-mode", "yolo", "-p"),
        tool=("read_file", "file_path|absolute_path"),
    )
    home = {".gemini/settings.json": QUIET}  # noqa: RUF012 - see Scenes
    others = ("openai_chat", "openai_responses", "anthropic")
    outsiders = (r"www\.googleapis\.com",)

    async def test_its_key_is_told_to_nobody_else(self, stage: Stage) -> None:
        """It shows its Google token to its vendor; what stands there is not the key."""
        await stage.open(gemini=["key-one-of-the-harbour"])
        stage.upstream.in_turn(Say(ANSWER))
        await prompted(self.cli, stage, "gemini", url=stage.tap.url)
        bearers = {dict(each.headers).get("authorization") for each in stage.tap.said() if "v1internal" in each.target}
        assert bearers == {"Bearer proxy"}

    async def test_a_model_that_it_chooses_itself(self, stage: Stage) -> None:
        """It asks a small model first which one suits the task."""
        stage.has_all_models = True
        await stage.open(gemini=["key-one-of-the-harbour"])
        stage.upstream.small_talk = Say('{"complexity_reasoning": "It is short.", "complexity_score": 5}')
        stage.upstream.in_turn(Say(ANSWER))
        ran = await stage.run(
            "proxy", "run", "--url", stage.url, "gemini", *self.cli.arguments, "hello", PROXY_KEY=CLIENT_KEY
        )
        assert (ran.code, ANSWER in ran.out) == (0, True), ran
        assert len(stage.upstream.aside) == 1


class TestGeminiWithAKey:
    """Who has chosen an API key in its settings is sent along the other way."""

    @pytest.fixture(autouse=True)
    def _furnish(self, stage: Stage) -> None:
        stage.furniture = {".gemini/settings.json": WITH_A_KEY}

    async def test_its_own_request_reaches_its_vendor(self, stage: Stage) -> None:
        await stage.open(gemini=["key-one-of-the-harbour"])
        stage.upstream.in_turn(Say(ANSWER))
        ran = await prompted(TestGemini.cli, stage, "gemini", url=stage.tap.url)
        assert (ran.code, ANSWER in ran.out) == (0, True), ran
        (said,) = [each for each in stage.tap.said() if ":streamGenerateContent" in each.target]
        (asked,) = stage.upstream.asked
        check_own_request(said, asked, {"x-goog-api-key": "key-one-of-the-harbour"})
        assert asked.headers["user-agent"].startswith("GeminiCLI")
