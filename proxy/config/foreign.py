"""Keys of the well-known system that are none of ours, each with a sentence: where it went, or why it is not here.

Most are ignored with a warning, so that its users can bring their file. Refused is what would be dangerous to ignore,
and what only serves disguise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    sentence: str
    is_refused: bool = False


def _ignored(sentence: str) -> Foreign:
    return Foreign(sentence=sentence)


def _refused(sentence: str) -> Foreign:
    return Foreign(sentence=sentence, is_refused=True)


_DISGUISE = _refused("it makes requests look like another client's; we always go by our own name")
_UNDISGUISED = _refused("there is no disguise to switch off; take the line out")
_CLUSTER = _ignored("there is no such cluster mode")
_COOLING = _ignored("cooldowns follow what the provider says, are bounded, and never lock out the last account")
_NAMED = _ignored("the client's own name for a model always comes back")
_MODEL = _ignored("it is known from the provider or not needed")
_ANTIGRAVITY = _ignored("there are no Antigravity accounts here")
_PANEL = _ignored("the panel is part of the program: nothing is downloaded, and it shows nothing without the key")

_TOP: Mapping[str, Foreign] = {
    # disguise
    "claude-header-defaults": _DISGUISE,
    "codex-header-defaults": _DISGUISE,
    "disable-claude-cloak-mode": _UNDISGUISED,
    "claude-code": _DISGUISE,
    # dangerous to ignore
    "auth": _refused("list the clients' keys under api-keys"),
    # other providers
    "interactions-api-key": _ignored("Gemini's Interactions API is not served; gemini-api-key takes the same keys"),
    "ampcode": _ignored("Amp needs no settings of its own"),
    "antigravity": _ANTIGRAVITY,
    "antigravity-signature-cache-enabled": _ANTIGRAVITY,
    "antigravity-signature-bypass-strict": _ANTIGRAVITY,
    "codex": _ignored("what it sets needs no setting here"),
    "xai": _ignored("requests get no tools that the client did not ask for"),
    # cooldowns, retries, accounts
    "disable-cooling": _COOLING,
    "save-cooldown-status": _COOLING,
    "transient-error-cooldown-seconds": _COOLING,
    "auth-auto-refresh-workers": _ignored("each login is refreshed by its own official CLI, one at a time"),
    "credential-concurrency": _CLUSTER,
    "credential-in-flight": _CLUSTER,
    # what is always so
    "ws-auth": _ignored("WebSockets ask for a client key like every other request"),
    "passthrough-headers": _ignored("a fixed list of the provider's headers is always passed on"),
    "commercial-mode": _ignored("nothing on the path of a request needs to be switched off"),
    "nonstream-keepalive-interval": _ignored("it would commit to status 200 before the answer is known"),
    "disable-image-generation": _ignored("name such models under excluded-models, or filter the tool under payload"),
    "gpt-image-2-base-model": _ignored("an image model is asked for by its own name"),
    "video-result-auth-cache-ttl": _ignored("videos are not served"),
    # operating it
    "redis-usage-queue-retention-seconds": _ignored("usage is kept in the ledger"),
    "pprof": _ignored("there is no profiler in the program; /metrics has its figures"),
    "plugins": _ignored("there are no plugins"),
}

_FOREIGN: Mapping[str, Mapping[str, Foreign]] = {
    "": _TOP,
    "claude-code": {"disable-cloaking-model-list": _UNDISGUISED},
    "codex": {"identity-confuse": _DISGUISE, "disable-codex-cloaking": _UNDISGUISED},
    "antigravity": {"sensitive-words": _DISGUISE},
    "quota-exceeded": {"antigravity-credits": _ANTIGRAVITY},
    "remote-management": {
        "disable-control-panel": _PANEL,
        "disable-auto-update-panel": _PANEL,
        "panel-github-repository": _PANEL,
    },
    "openai-compatibility[]": {"api-keys": _refused("list the keys under api-key-entries")},
    "*[]": {
        "cloak": _DISGUISE,
        "fingerprint-profile": _DISGUISE,
        "experimental-cch-signing": _DISGUISE,
        "rebuild-mid-system-message": _DISGUISE,
        "disable-cooling": _COOLING,
        "request-retry": _ignored("request-retry holds for all keys"),
        "alpha-search": _ignored("the provider's own list of models is used"),
        "support-prompt-cache-key": _ignored("a prompt cache key is passed on as it came"),
        "display-name": _MODEL,
        "force-mapping": _NAMED,
    },
    "*.models[]": {
        "display-name": _MODEL,
        "force-mapping": _NAMED,
        "max-context-length": _MODEL,
        "is-compat": _MODEL,
        "thinking": _MODEL,
        "image": _MODEL,
        "input-modalities": _MODEL,
        "output-modalities": _MODEL,
    },
}
"""Path of the parent → key → what is known of it. ``*.models[]``: in any list of models; ``*[]``: in any
other list."""

_INDEX = re.compile(r"\[\d+\]")


def foreign(path: str) -> Foreign | None:
    """What is known of a key, by its path (``claude-api-key[0].cloak``)."""
    parent, _, key = path.rpartition(".")
    return foreign_under(parent).get(key)


def foreign_under(parent: str) -> Mapping[str, Foreign]:
    """Key → what is known of it, in the group at `parent` (with or without indexes: ``claude-api-key[]``)."""
    plain = _INDEX.sub("[]", parent)
    pattern = next((pattern for pattern in ("*.models[]", "*[]") if plain.endswith(pattern[1:])), plain)
    return {**_FOREIGN.get(pattern, {}), **_FOREIGN.get(plain, {})}
