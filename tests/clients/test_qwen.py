"""Qwen Code."""

from __future__ import annotations

from tests.clients.scenes import Cli, Live, Scenes, Settled

QUIET = """\
{
  "privacy": {"usageStatisticsEnabled": false},
  "memory": {"enableManagedAutoMemory": false, "enableManagedAutoDream": false, "enableAutoSkill": false}
}
"""


class TestQwen(Scenes, Settled, Live):
    cli = Cli(
        name="qwen",
        wire="openai_chat",
        arguments=("--approval-mode", "yolo", "-p"),
        tool=("read_file", "file_path|absolute_path"),
        live=("--output-format", "stream-json", "--include-partial-messages"),
    )
    others = ("anthropic", "gemini", "openai_responses")
    home = {".qwen/settings.json": QUIET}  # noqa: RUF012 - see Scenes
