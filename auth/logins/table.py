"""The logins that there are. A new kind is a file beside this one and an entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from auth.cli.install import CLAUDE, CODEX, COPILOT, GEMINI, GROK, KIMI, Cli
from auth.logins import device
from auth.logins.base import Driver, Setting
from auth.logins.claude import ClaudeLogin
from auth.logins.codex import CodexLogin
from auth.logins.device import DeviceLogin
from auth.logins.gemini import GeminiLogin


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginKind:
    name: str
    """As in ``type`` of the account's file."""
    cli: Cli
    driver: Callable[[Setting], Driver]
    notice: str
    """What the vendor serves and allows, said before the login."""
    port: int
    """That a browser comes back to, for whoever wants to forward it; 0: one that nobody knows before."""
    has_device: bool = False
    has_browser: bool = True
    """Otherwise there is only the device code."""
    needs_cli: bool = True
    """Own clients need none."""
    logout: tuple[str, ...] = ()
    """The arguments with which the CLI revokes its login. Empty: it cannot."""
    revoke_page: str = ""


_KEPT = "Here it is kept and listed; no client is served with it."

CLAUDE_CODE = LoginKind(
    name="claude-code",
    cli=CLAUDE,
    driver=ClaudeLogin,
    notice="Anthropic's terms allow a subscription's login for Claude Code and Anthropic's own applications; for other "
    "clients they ask for an API key.",
    port=0,
    logout=("auth", "logout"),
)
CODEX_CLI = LoginKind(
    name="codex",
    cli=CODEX,
    driver=CodexLogin,
    notice="OpenAI may suspend accounts whose subscription is shared or pooled.",
    port=1455,
    has_device=True,
    logout=("logout",),
)
GEMINI_CLI = LoginKind(
    name="gemini-cli",
    cli=GEMINI,
    driver=GeminiLogin,
    notice="Since 2026-06-18 Google refuses Gemini CLI for individuals (free, AI Pro, AI Ultra). It serves Code Assist "
    "Standard and Enterprise (name the project: --project-id), API keys and Vertex. Its terms forbid this login to "
    "other software.",
    port=8085,
    revoke_page="https://myaccount.google.com/connections",
)
KIMI_CODE = LoginKind(
    name="kimi-code",
    cli=KIMI,
    driver=partial(DeviceLogin, dialect=device.KIMI),
    notice="Whether Moonshot's terms allow this login to anything but Kimi Code is for you to read; it sells keys too. "
    f"{_KEPT}",
    port=0,
    has_device=True,
    has_browser=False,
    revoke_page="the settings of your Kimi account",
)
GROK_CLI = LoginKind(
    name="grok",
    cli=GROK,
    driver=partial(DeviceLogin, dialect=device.GROK),
    notice=f"Whether xAI's terms allow this login to anything but Grok is for you to read. It sells keys, too. {_KEPT}",
    port=0,
    has_device=True,
    has_browser=False,
    logout=("logout",),
)
COPILOT_CLI = LoginKind(
    name="copilot",
    cli=COPILOT,
    driver=partial(DeviceLogin, dialect=device.COPILOT),
    notice=f"Whether GitHub's terms allow this login to anything but Copilot is for you to read. {_KEPT}",
    port=0,
    has_device=True,
    has_browser=False,
    revoke_page="https://github.com/settings/applications",
)
LOGIN_KINDS = {kind.name: kind for kind in (CLAUDE_CODE, CODEX_CLI, GEMINI_CLI, KIMI_CODE, GROK_CLI, COPILOT_CLI)}
