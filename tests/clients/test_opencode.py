"""OpenCode."""

from __future__ import annotations

from tests.clients.scenes import Cli, Scenes


class TestOpenCode(Scenes):
    cli = Cli(name="opencode", wire="openai_chat", arguments=("run",), tool=("read", "filePath|path"))
    outsiders = (r"models\.opencode\.ai", r"registry\..+")
    others = ("anthropic", "openai_responses", "gemini")
