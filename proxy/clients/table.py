"""The clients that we know how to start and to set up. A new one is a file and a line here."""

from __future__ import annotations

from proxy.clients import claude, codex, gemini, opencode, qwen
from proxy.clients.base import Client

CLIENTS: tuple[Client, ...] = (claude.CLIENT, codex.CLIENT, gemini.CLIENT, qwen.CLIENT, opencode.CLIENT)


def client_named(name: str) -> Client:
    """Raises KeyError for a name that no client has."""
    return {client.name: client for client in CLIENTS}[name]
