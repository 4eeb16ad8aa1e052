"""Claude Code."""

from __future__ import annotations

from tests.clients.answers import Say, exhausted
from tests.clients.scenes import (
    ANSWER,
    AWAY_SECONDS,
    Cli,
    Live,
    Scenes,
    Settled,
    check_at_once,
    check_own_request,
    prompted,
)
from tests.clients.stage import CLIENT_KEY, Stage


class TestClaude(Scenes, Settled, Live):
    cli = Cli(
        name="claude",
        wire="anthropic",
        arguments=("--allowedTools", "Read", "-p"),
        tool=("Read", "file_path"),
        live=("--output-format", "stream-json", "--include-partial-messages", "--verbose"),
    )
    others = ("gemini", "openai_responses", "openai_chat")

    async def test_its_own_request_reaches_its_vendor(self, stage: Stage) -> None:
        await stage.open(anthropic=["key-one-of-the-harbour"])
        stage.upstream.in_turn(Say(ANSWER))
        ran = await prompted(self.cli, stage, "anthropic", url=stage.tap.url)
        assert ran.code == 0, ran
        (said,) = [each for each in stage.tap.said() if each.target.startswith("/v1/messages")]
        (asked,) = stage.upstream.asked
        check_own_request(said, asked, {"authorization": "", "x-api-key": "key-one-of-the-harbour"})
        assert asked.headers["user-agent"].startswith("claude-cli/")
        assert "anthropic-beta" in asked.headers

    async def test_a_subscribers_request_too(self, stage: Stage) -> None:
        """It marks its prompts for an hour's cache, and sends the betas of a login."""
        await stage.open(anthropic=["key-one-of-the-harbour"])
        stage.upstream.in_turn(Say(ANSWER))
        ran = await stage.run(
            "claude", *self.cli.arguments, "hello",
            ANTHROPIC_BASE_URL=stage.tap.url, CLAUDE_CODE_OAUTH_TOKEN=CLIENT_KEY, ANTHROPIC_MODEL="claude-sonnet-5",
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        )  # fmt: skip
        assert ran.code == 0, ran
        (said,) = [each for each in stage.tap.said() if each.target.startswith("/v1/messages")]
        (asked,) = stage.upstream.asked
        check_own_request(said, asked, {"authorization": "", "x-api-key": "key-one-of-the-harbour"})
        assert b'"ttl":"1h"' in asked.request.body

    async def test_a_subscriber_is_told_when_nobody_is_left(self, stage: Stage) -> None:
        """It reads the limit from the headers of its own vendor: they are the pool's."""
        await stage.open(anthropic=["key-one-of-the-harbour"])
        stage.upstream.in_turn(exhausted("anthropic", AWAY_SECONDS))
        ran = await stage.run(
            "claude", *self.cli.arguments, "hello",
            ANTHROPIC_BASE_URL=stage.url, CLAUDE_CODE_OAUTH_TOKEN=CLIENT_KEY, ANTHROPIC_MODEL="claude-sonnet-5",
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        )  # fmt: skip
        check_at_once(ran, stage)
        assert "limit" in ran.out
        assert "resets" in ran.out

    async def test_without_keys_any_word_will_do(self, stage: Stage) -> None:
        """A newcomer: no key, and the accounts of the sandbox."""
        await stage.open()
        ran = await stage.run("proxy", "run", "--url", stage.url, "claude", "-p", "hello")
        assert ran.code == 0, ran
        assert "simulated answer" in ran.out
