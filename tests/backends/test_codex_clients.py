"""Another vendor's real coding CLI in front of an account of Codex: it works there as with its own vendor."""

from __future__ import annotations

import asyncio
import os

from tests.backends.codex_backend import MODEL, Turn, called, said
from tests.backends.stage import KEY, SECONDS_MAX, CodexStage


async def test_claude_code_reads_a_file_for_a_model_of_codex_s(codex: CodexStage) -> None:
    work, home = codex.folder / "work", codex.folder / "their-home"
    work.mkdir()
    home.mkdir()
    (work / "log.txt").write_text("the harbour is open\n")

    def play(turn: Turn) -> bytes:
        if not turn.tools:
            return said("A title.")
        last = turn.items[-1]
        if last["type"] == "function_call_output":
            return said(f"It says: {last['output']}")
        return called(("call_1", "Read", {"file_path": str(work / "log.txt")}), thought="gAAAAC")

    codex.backend.plays = play
    process = await asyncio.create_subprocess_exec(
        codex.modules / ".bin" / "claude", "-p", "What does log.txt say?", "--model", MODEL, "--allowedTools", "Read",
        cwd=work, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.pathsep.join([str(codex.modules / ".bin"), "/usr/bin", "/bin"]), "HOME": str(home),
            "ANTHROPIC_BASE_URL": codex.url, "ANTHROPIC_AUTH_TOKEN": KEY,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1",
        },
    )  # fmt: skip
    async with asyncio.timeout(SECONDS_MAX):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert "the harbour is open" in out.decode()
    asked, answered = [turn for turn in codex.backend.turns if turn.tools]
    assert {"Read", "Bash", "Edit"} <= {tool["name"] for tool in asked.tools}
    assert asked.body["prompt_cache_key"] == answered.body["prompt_cache_key"], "the result went to the waiting turn"
    assert [item["type"] for item in answered.items[-3:]] == ["reasoning", "function_call", "function_call_output"]
