"""One account or key, as an immutable value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from auth.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    id: str
    """Stable over restarts, unique, safe in logs: ``claude-api-key-1f0c…`` (the key's digest), or a file's name."""
    provider: str
    """The name of the provider that it belongs to."""
    label: str
    """What a human calls it. Never an e-mail address or a part of a key."""
    secret: Secret | None = None
    base_url: str | None = None
    """Instead of the provider's own; no trailing slash."""
    proxy_url: str | None = None
    """Egress proxy for this credential; ``direct`` for none."""
    prefix: str = ""
    """Its models are also offered as ``prefix/model``."""
    priority: int = 0
    """Higher is served first; lower only when no higher one is ready."""
    weight: int = 1
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Client's model name → upstream models. Empty: the provider's own list."""
    excluded_models: tuple[str, ...] = ()
    """Wildcards (``*``) over upstream model names."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request of this credential."""
    concurrency: int = 0
    """The most requests under way at a time; 0: any number."""
    reserve_percent: int = 0
    """The share of each usage window that is left to its owner."""
    error_rules: tuple[object, ...] = ()
    """What its errors mean, as its owner says; who judges them knows how to read it."""
    is_http_only: bool = False
    """Its provider is never asked over a WebSocket."""
    project: str = ""
    """The project of its cloud that pays, where requests must name it."""
    home: Path | None = None
    """Where its official CLI keeps the login, if it is one."""
    is_disabled: bool = False
