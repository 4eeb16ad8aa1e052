"""What Codex asks beside its requests: which models there are, and how much of its allowance is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from yarl import URL

from proxy.hub.residue import JsonObject, JsonValue
from proxy.providers import codex, openai
from proxy.providers.base import Model
from proxy.server.accounts import AccountState
from proxy.server.models import Listing

_INSTRUCTIONS = """\
You are a coding agent. You work in the terminal of the person who talks to you, in the folder that they have opened, \
with the tools that you are given.

Work until what was asked is done, and then stop.
- Look before you act: read the files that matter, and search for others that may. Do not guess what a file holds.
- Change as little as the task needs. Keep to the style of the code around your change. Files that were changed by \
others are none of your business: never revert them.
- Instructions in files named AGENTS.md apply to everything below their folder; deeper ones win, and the person's own \
words beat them all.
- Check your work with whatever the project has for it: its tests, its linter, running the program. When you cannot \
check something, say so.
- Never run what destroys work or publishes it (hard resets, forced pushes, removals outside the task) unless you were \
asked to.
- Before a group of commands, tell in a sentence what you are about to do. At the end tell what you did, where, and \
what is left, in a few plain sentences; do not repeat files that can be opened.
"""
"""The catalogue has to bring them, and Codex uses them instead of its own for the models that it lists."""
_KNOWN = openai.PROVIDER.families
PLAN = "team"
"""Codex knows no word for a pool."""
_ORIGIN = str(URL(codex.PROVIDER.base_url).origin())
"""It heeds no other, and asks where it is told to all the same."""
_TRUNCATION: JsonObject = {"mode": "tokens", "limit": 10_000}


def catalogue(listing: Listing) -> JsonObject:
    """Without OpenAI's own models: Codex knows those, and keeps its own instructions for what is not listed here."""
    others = [
        model
        for model in listing.models()
        if "generate" in model.operations and not any(fnmatchcase(model.id, each) for each in _KNOWN)
    ]
    entries: list[JsonValue] = [_entry(model, number) for number, model in enumerate(others, 1)]
    return {"models": entries}


def _entry(model: Model, priority: int) -> JsonObject:
    """As Codex 0.169 reads it: all but the limits and the display name's words must be there."""
    seen: list[JsonValue] = ["text", *(["image"] if "image" in model.modalities else [])]
    entry: JsonObject = {
        "slug": model.id,
        "display_name": model.display_name or model.id,
        "description": f"Served by {model.owner}" if model.owner else None,
        "supported_reasoning_levels": [
            {"effort": effort, "description": f"{effort.capitalize()} effort"} for effort in ("low", "medium", "high")
        ],
        "shell_type": "unified_exec",
        "visibility": "list",
        "supported_in_api": True,
        "priority": priority,
        "upgrade": None,
        "base_instructions": _INSTRUCTIONS,
        "supports_reasoning_summaries": True,
        "support_verbosity": False,
        "default_verbosity": None,
        "apply_patch_tool_type": None,
        "truncation_policy": _TRUNCATION,
        "supports_parallel_tool_calls": True,
        "experimental_supported_tools": [],
        "input_modalities": seen,
    }
    if model.context_tokens is not None:
        entry["context_window"] = entry["max_context_window"] = model.context_tokens
    return entry


def usage(accounts: Sequence[AccountState], now: float) -> JsonObject:
    """The pool's: which share of its accounts has to rest, and when the first of those is back. `now`: Unix seconds."""
    counted = [each for each in accounts if each.state != "disabled"]
    resting = [each for each in counted if each.state not in {"ready", "probing"}]
    is_exhausted = len(resting) == len(counted)
    window: JsonValue = None
    returns = [each.until for each in resting if each.until is not None]
    if returns:
        seconds = max(1, round(min(returns) - now))
        window = {
            "used_percent": round(100 * len(resting) / len(counted)),
            "limit_window_seconds": seconds,
            "reset_after_seconds": seconds,
            "reset_at": round(min(returns)),
        }
    limit: JsonObject = {"allowed": not is_exhausted, "limit_reached": is_exhausted, "primary_window": window}
    return {"plan_type": PLAN, "rate_limit": {**limit, "secondary_window": None}, "credits": None}


def account(headers: Mapping[str, str]) -> JsonObject:
    """The client's own, as it names it: without such an entry Codex 0.169 asks no model at all. `headers`: its own."""
    own_id = headers.get(codex.ACCOUNT_HEADER) or "proxy"
    entry: JsonObject = {
        "id": own_id,
        "plan_type": PLAN,
        "name": "proxy",
        "workspace_backend_origin": _ORIGIN,
        "account_routing_override": "NO_CONSTRAINT",
    }
    return {"accounts": [entry], "default_account_id": own_id, "account_ordering": [own_id]}
