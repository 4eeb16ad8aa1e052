"""How Codex is set up to ask for others: nothing of its own in the request, no tool of its own in reach.

Each process has a ``CODEX_HOME`` of its own that holds these settings, the models that this version knows, and the
account's login without the token that could renew it. Renewing stays with the one process that has the account's home
to itself (`auth.refresh_child`): Codex has no lock against others, and a token that is used twice loses the login.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from proxy.hub.residue import JsonObject
from proxy.upstream.egress import by_way_of_but_here

VERSION_MIN = (0, 169, 0)
"""Earlier ones lack some of these settings. A later one that has lost one refuses to start (``--strict-config``)."""
HOME = "home"
EMPTY = "empty"
"""Where it works."""
CONFIG = "config.toml"
LOGIN = "auth.json"
MODELS = "models.json"
INSTALLATION = "installation_id"
TOKENS_MAX = 10**9
"""No tool's result is shortened."""
CONTEXT_TOKENS_MAX = 10**12
"""No history is made shorter than the caller has sent it."""

FEATURES_OFF = (
    "apps", "auth_elicitation", "browser_use", "browser_use_external", "computer_use", "daemon_auto_start",
    "deferred_tool_world_state", "goals", "guardian_approval", "hooks", "image_generation", "in_app_browser",
    "memories", "multi_agent", "multi_agent_v2", "plugins", "remote_plugin", "shell_snapshot", "shell_tool",
    "skill_search", "sleep_tool", "tool_suggest", "unified_exec", "view_image", "workspace_dependencies",
)  # fmt: skip
_OFF = (
    "include_environment_context",
    "include_permissions_instructions",
    "include_apps_instructions",
    "include_collaboration_mode_instructions",
    "check_for_update_on_startup",
    "analytics.enabled",
    "skills.include_instructions",
    "tools.experimental_request_user_input.enabled",
    "tools.update_plan.enabled",
)
_NOT_OFFERED = (
    "apply_patch_tool_type", "default_reasoning_level", "default_verbosity", "model_messages", "multi_agent_version",
    "tool_mode", "upgrade",
)  # fmt: skip
"""Of a model: what would make a tool of it, or say something that nobody asked for."""
_VERSION = re.compile(r"/(\d+)\.(\d+)\.(\d+)")


def config(folder: Path, *, relay: str) -> str:
    """`relay`: the address to which it sends everything, for a model and about its account alike."""
    said: JsonObject = {
        "cli_auth_credentials_store": "file",
        "openai_base_url": f"{relay}/codex",
        "chatgpt_base_url": f"{relay}/backend-api",
        "model_catalog_json": str(folder / MODELS),
        "model_auto_compact_token_limit": CONTEXT_TOKENS_MAX,
        "model_context_window": CONTEXT_TOKENS_MAX,
        "tool_output_token_limit": TOKENS_MAX,
        "web_search": "disabled",
        "project_doc_max_bytes": 0,
        "approval_policy": "never",
        "sandbox_mode": "read-only",
        **dict.fromkeys(_OFF, False),
        **{f"features.{name}": False for name in FEATURES_OFF},
    }
    return "".join(f"{key} = {msgspec.json.encode(value).decode()}\n" for key, value in said.items())


def variables(folder: Path, *, proxy: str) -> dict[str, str]:
    """Its databases, which repeat what is said, are private and as short-lived as it is itself. `proxy`: whom it asks
    for all the world but this machine.
    """
    own = {"CODEX_HOME": str(folder), "CODEX_SQLITE_HOME": str(folder), "RUST_LOG": "off"}
    return {**own, **by_way_of_but_here(proxy)}


def models(bundled: bytes) -> bytes:
    """The models as `codex debug models --bundled` tells them, but each takes the caller's tools and words as they are.
    Raises `msgspec.ValidationError` when that is no list of models.
    """
    told = msgspec.json.decode(bundled, type=_Models)
    return msgspec.json.encode({"models": [_plain(model) for model in told.models]})


def _plain(model: dict[str, object]) -> dict[str, object]:
    return {
        **model,
        **dict.fromkeys(_NOT_OFFERED),
        "base_instructions": "",
        "experimental_supported_tools": [],
        "default_reasoning_summary": "none",
        "supports_image_detail_original": False,
        "truncation_policy": {"mode": "tokens", "limit": TOKENS_MAX},
        "context_window": CONTEXT_TOKENS_MAX,
        "max_context_window": CONTEXT_TOKENS_MAX,
    }


def login(saved: bytes, access: str) -> bytes:
    """`access`: the token to ask with, as the account's file may hold another one by now; empty: the file's. Raises
    `msgspec.DecodeError` when the file is none.
    """
    told = msgspec.json.decode(saved, type=dict[str, object])
    tokens = told.get("tokens")
    if not isinstance(tokens, dict):
        raise msgspec.ValidationError("it holds no tokens")
    asked = {"access_token": access} if access else {}
    return msgspec.json.encode({**told, "tokens": {**tokens, **asked, "refresh_token": ""}})


def refusal(user_agent: str) -> str | None:
    """Why this version does not serve, of which it told us in answer to ``initialize``; None: it does."""
    found = _VERSION.search(user_agent)
    if found is None:
        return "it does not tell its version"
    version = tuple(int(number) for number in found.groups())
    if version >= VERSION_MIN:
        return None
    return f"version {_dotted(version)} cannot be set up to ask for others; {_dotted(VERSION_MIN)} and later can"


def _dotted(version: Iterable[int]) -> str:
    return ".".join(str(number) for number in version)


class _Models(msgspec.Struct):
    models: list[dict[str, object]]
