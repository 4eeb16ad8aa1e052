"""A coding agent of another vendor in front of an account of Claude Code: its tools work on its own machine."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import msgspec

from tests.backends.claude_backend import MODEL, Turn, called, said
from tests.backends.stage import KEY, SECONDS_MAX, ClaudeStage


async def run(claude: ClaudeStage, *command: str, **environment: str) -> str:
    """In a folder and a home of its own."""
    work, home = claude.folder / "work", claude.folder / "their-home"
    for folder in (work, home):
        folder.mkdir(exist_ok=True)
    (work / "tide.txt").write_text("The tide is low.")
    process = await asyncio.create_subprocess_exec(
        *command, cwd=work, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={
            "PATH": os.pathsep.join([str(claude.modules / ".bin"), "/usr/bin", "/bin"]), "HOME": str(home),
            "NO_PROXY": "127.0.0.1", "LANG": "C.UTF-8", **environment,
        },
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS_MAX):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return out.decode(errors="replace")


def reads_the_tide(turn: Turn) -> bytes:
    tools = {tool["name"]: tool["input_schema"]["properties"] for tool in turn.body.get("tools") or []}
    results = [block for message in turn.messages for block in message["content"] if block["type"] == "tool_result"]
    if "read" not in tools:
        return said("Tides")  # of the title
    if results:
        return said(f"It says: {msgspec.json.encode(results[-1]['content']).decode()}")
    path = next(name for name in tools["read"] if "path" in name.lower())
    return called(("toolu_1", "read", {path: "tide.txt"}), text="Let me look.")


async def test_opencode(claude: ClaudeStage) -> None:
    claude.backend.plays = reads_the_tide
    options = {"baseURL": f"{claude.url}/v1", "apiKey": KEY}
    provider = {"npm": "@ai-sdk/anthropic", "options": options, "models": {MODEL: {}}}
    settings: dict[str, Any] = {"provider": {"harbour": provider}, "autoupdate": False, "share": "disabled"}
    told = await run(
        claude, "opencode", "run", "-m", f"harbour/{MODEL}", "What does tide.txt say?",
        OPENCODE_CONFIG_CONTENT=msgspec.json.encode(settings).decode(), OPENCODE_DISABLE_AUTOUPDATE="1",
    )  # fmt: skip
    assert "The tide is low." in told
    turns = [turn for turn in claude.backend.turns if turn.body.get("tools")]
    assert len(turns) == 2
    assert len({turn.headers["x-claude-code-session-id"] for turn in turns}) == 1, "it went on where it had waited"
