"""OpenCode."""

from __future__ import annotations

from tests.clients.scenes import Cli, Scenes, Settled
from tests.clients.stage import Stage

ROUTES = {"anthropic": "/v1/messages", "openai_responses": "/v1/responses", "gemini": "/v1/chat/completions"}


class TestOpenCode(Scenes, Settled):
    cli = Cli(name="opencode", wire="openai_chat", arguments=("run",), tool=("read", "filePath|path"))
    others = tuple(ROUTES)
    outsiders = (r"models\.opencode\.ai", r"registry\..+")

    async def test_a_model_of_another_vendor(self, stage: Stage, other: str) -> None:
        """Each is spoken to as its vendor does, where OpenCode can."""
        await super().test_a_model_of_another_vendor(stage, other)
        asked = {each["route"] for each in stage.log if each["event"] == "request.finished" and each.get("model")}
        assert asked == {ROUTES[other]}
