"""The CLIs whose logins serve nobody, looked at again: each with the real program over the Agent Client Protocol, set
up as its documentation lets one, in front of a provider that notes what it is asked.

When one of these fails, that CLI can be set up by now: docs/decisions/2026-11-20-which-clis-ask-for-others.md.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from auth.cli.dialogue import AGENT_CLIENT, Dialogue, Refusal
from auth.cli.install import COPILOT, GROK, KIMI, Cli, find
from auth.cli.process import CliProcess
from proxy.providers.enrolled import NOT_SERVED
from tests.backends.chat_backend import said
from tests.backends.stage import SECONDS_MAX

MODULES = Path(os.environ.get("PROXY_CLIENT_MODULES", Path(__file__).parents[1] / "clients" / "node_modules"))
SYSTEM = "Be the harbour master."
TOOL = {"name": "tide", "description": "The tide.", "inputSchema": {"type": "object", "properties": {}}}


@dataclass(slots=True, kw_only=True)
class Provider:
    """Of a model, and of the caller's tool. `turns`: the bodies of what it was asked."""

    url: str = ""
    turns: list[dict[str, Any]] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        if request.path.endswith("/tools"):
            return await self._tool(request)
        if not request.path.endswith("/chat/completions"):
            return web.json_response({"object": "list", "data": [{"id": "big", "object": "model"}]})
        self.turns.append(msgspec.json.decode(await request.read()))
        return web.Response(body=said("Ahoy."), content_type="text/event-stream")

    async def _tool(self, request: web.BaseRequest) -> web.Response:
        if request.method != "POST":
            return web.Response(status=405)
        asked = msgspec.json.decode(await request.read())
        if "id" not in asked:
            return web.Response(status=202)
        version = asked.get("params", {}).get("protocolVersion")
        about = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}
        told = {"initialize": about, "tools/list": {"tools": [TOOL]}}.get(asked["method"], {})
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": told})


@dataclass(slots=True, kw_only=True)
class SetUp:
    """Of a CLI. `files`: of its home. `about`: of a conversation. `login`: how it is told its key."""

    cli: Cli
    before: Sequence[str] = ()
    arguments: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    login: str = ""


def kimi(url: str) -> SetUp:
    config = (
        f'default_model="big"\ntelemetry=false\n[providers.x]\ntype="kimi"\nbase_url="{url}/v1"\napi_key="k"\n'
        '[models.big]\nprovider="x"\nmodel="big"\nmax_context_size=1000000\n'
    )
    agent = f"---\nname: agent\ndescription: bare\ntools: []\n---\n{SYSTEM}\n"
    files = {f".kimi-code/agents/{name}.md": agent for name in ("agent", "default", "kimi")}
    return SetUp(cli=KIMI, arguments=("acp",), files={".kimi-code/config.toml": config, **files})


def grok(url: str) -> SetUp:
    profile = {"name": "bare", "description": "bare", "tools": ["search_tool", "use_tool"], "prompt": SYSTEM}
    return SetUp(
        cli=GROK,
        arguments=(
            "agent", "--no-leader", "--xai-api-base-url", f"{url}/v1", "--cli-chat-proxy-base-url", f"{url}/v1",
            "stdio",
        ),
        variables={"XAI_API_KEY": "k", "GROK_TURN_SUMMARY": "false", "GROK_MCP_SEARCH": "false"},
        about={"_meta": {"systemPromptOverride": SYSTEM, "agentProfile": {**profile, "promptMode": "full"}}},
        login="xai.api_key",
    )  # fmt: skip


def copilot(url: str) -> SetUp:
    return SetUp(
        cli=COPILOT,
        arguments=(
            "--acp", "--no-auto-update", "--allow-all-tools", "--available-tools", "api-tide",
            "--no-custom-instructions", "--disable-builtin-mcps",
        ),
        variables={
            "COPILOT_PROVIDER_BASE_URL": f"{url}/v1", "COPILOT_PROVIDER_TYPE": "openai", "COPILOT_OFFLINE": "true",
            "COPILOT_PROVIDER_WIRE_API": "completions", "COPILOT_PROVIDER_API_KEY": "k", "COPILOT_MODEL": "big",
        },
    )  # fmt: skip


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    playing = Provider()
    handlers = web.Server(playing.answer)
    server = await asyncio.get_running_loop().create_server(handlers, "127.0.0.1", 0)
    playing.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield playing
    finally:
        server.close()
        await handlers.shutdown(0)


async def asked(made: SetUp, playing: Provider, prompt: str, folder: Path) -> list[dict[str, Any]]:
    """What the provider is asked, when the CLI is."""
    home, work = folder / "home", folder / "work"
    work.mkdir()
    for name, content in made.files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content)
    ours = {"PATH": os.pathsep.join([str(MODULES / ".bin"), "/usr/bin", "/bin"])}
    installed = find(made.cli, MODULES / ".more", ours)
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), playing.url)
    variables = {**made.variables, **nowhere, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    command = [*installed.command, *made.arguments]
    process = await CliProcess.start(command, home=home, variables=variables, ours=ours, work=work)
    dialogue = Dialogue(process, AGENT_CLIENT)
    try:
        await dialogue.ask("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
        if made.login:
            await dialogue.ask("authenticate", {"methodId": made.login})
        tools: Any = [{"type": "http", "name": "api", "url": f"{playing.url}/tools", "headers": []}]
        begun = await dialogue.ask("session/new", {"cwd": str(work), "mcpServers": tools, **made.about})
        said_to: Any = {"sessionId": begun["sessionId"], "prompt": [{"type": "text", "text": prompt}]}
        try:
            await dialogue.ask("session/prompt", said_to)
        except (Refusal, TimeoutError):
            assert playing.turns, "it has asked nobody"
    finally:
        await dialogue.close()
    return playing.turns


def system_of(turn: Mapping[str, Any]) -> str:
    return "".join(str(each["content"]) for each in turn["messages"] if each["role"] in {"system", "developer"})


def tools_of(turn: Mapping[str, Any]) -> set[str]:
    return {tool["function"]["name"] for tool in turn.get("tools", [])}


async def test_kimi_code_keeps_its_own_tools_and_instructions(tmp_path: Path) -> None:
    async with provider() as playing, asyncio.timeout(SECONDS_MAX):
        turn, *_ = await asked(kimi(playing.url), playing, "Who is there?", tmp_path)
    assert {"Bash", "Write"} < tools_of(turn)
    assert SYSTEM not in system_of(turn)
    assert "tools and instructions" in NOT_SERVED["kimi-code"]


async def test_grok_reads_what_a_text_names_and_hides_a_caller_s_tools(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the tide is at four")
    async with provider() as playing, asyncio.timeout(SECONDS_MAX):
        turns = await asked(grok(playing.url), playing, f"Who is there? @{secret}", tmp_path)
    assert "the tide is at four" in str(turns)
    assert {"use_tool"} <= set().union(*map(tools_of, turns))
    assert not any("tide" in name for turn in turns for name in tools_of(turn))
    assert "reads files" in NOT_SERVED["grok"]


async def test_copilot_keeps_its_own_instructions_and_its_login_to_itself(tmp_path: Path) -> None:
    """By a key it can be led here, under its own instructions; there is no base URL for its login."""
    async with provider() as playing, asyncio.timeout(SECONDS_MAX):
        turn, *_ = await asked(copilot(playing.url), playing, "Who is there?", tmp_path)
    assert "Copilot" in system_of(turn)
    assert len(system_of(turn)) > 1000
    assert "lead nowhere but to GitHub" in NOT_SERVED["copilot"]


@pytest.mark.parametrize("kind", sorted(NOT_SERVED))
def test_whose_login_serves_nobody_says_why(kind: str) -> None:
    assert NOT_SERVED[kind][0].isupper()
    assert not NOT_SERVED[kind].endswith(".")
