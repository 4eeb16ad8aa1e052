"""Asking an official CLI about the account that it is logged in with. No model is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from auth.cli.dialogue import APP_SERVER, ControlProtocol, Dialogue, Refusal
from auth.cli.process import CliProcess, Ended
from auth.document import JsonValue
from auth.identity import Identity
from auth.logins import claude, codex
from auth.survey import Gauge, Survey, claude_gauges, codex_gauges

Start: TypeAlias = Callable[..., Awaitable[CliProcess]]
"""Starts the CLI at home, with these arguments."""
About: TypeAlias = Callable[[Start, Path], Awaitable[Survey]]
"""Raises `Ended`, `Refusal`, `TimeoutError`."""


async def _claude(start: Start, home: Path) -> Survey:
    process = await start("auth", "status", "--json")
    try:
        identity = claude.identity_of(await process.read(), home)
    finally:
        await process.close()
    dialogue = Dialogue(await start(*claude.SPEAK), ControlProtocol())
    gauges: tuple[Gauge, ...] = ()
    try:
        await dialogue.ask("initialize")
        with contextlib.suppress(Refusal, TimeoutError):
            gauges = claude_gauges(await dialogue.ask("get_usage", {"skip_behaviors": True}))
    finally:
        await dialogue.close()
    return _survey(identity, gauges)


async def _codex(start: Start, home: Path) -> Survey:
    dialogue = Dialogue(await start(*codex.OPTIONS), APP_SERVER)
    gauges: tuple[Gauge, ...] = ()
    try:
        client: dict[str, JsonValue] = {"clientInfo": dict(codex.CLIENT), "capabilities": {"experimentalApi": True}}
        await dialogue.ask("initialize", client)
        await dialogue.tell({"method": "initialized"})
        identity = codex.identity_of(await dialogue.ask("account/read", {}), home)
        with contextlib.suppress(Refusal, TimeoutError):
            gauges = codex_gauges(await dialogue.ask("account/rateLimits/read", {}))
    finally:
        await dialogue.close()
    return _survey(identity, gauges)


def _survey(identity: Identity | None, gauges: tuple[Gauge, ...]) -> Survey:
    if identity is None:
        raise Ended("the CLI says that it is not logged in")
    return Survey(
        email=identity.email,
        organization=identity.organization,
        plan=identity.plan,
        expires_at=identity.expires_at,
        gauges=gauges,
    )


ABOUT: Mapping[str, About] = {"claude-code": _claude, "codex": _codex}
"""By kind of login."""
