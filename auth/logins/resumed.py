"""Whose a login is that stands in a home already, as its CLI tells. No model is asked, and nobody has to sign in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from auth.identity import Identity
from auth.logins.base import Setting
from auth.logins.claude import ClaudeLogin
from auth.logins.codex import CodexLogin
from auth.logins.gemini import GeminiLogin


class _Resuming(Protocol):
    async def resume(self) -> None: ...

    async def identity(self) -> Identity: ...

    async def close(self) -> None: ...


def _resumed(driver: Callable[[Setting], _Resuming]) -> Callable[[Setting], Awaitable[Identity]]:
    async def whose(setting: Setting) -> Identity:
        """Raises `LoginFailed`, `Ended`, `Refusal`, `TimeoutError`."""
        login = driver(setting)
        try:
            await login.resume()
            return await login.identity()
        finally:
            await login.close()

    return whose


RESUMED: Mapping[str, Callable[[Setting], Awaitable[Identity]]] = {
    "claude-code": _resumed(ClaudeLogin),
    "codex": _resumed(CodexLogin),
    "gemini-cli": _resumed(GeminiLogin),
}
"""By kind."""
