"""OpenCode, set up to ask for others: one agent that says what its caller says, none of its own tools, no title, no
summary, no second try.

Each conversation begins with a file of settings of its own (``OPENCODE_CONFIG``, read whenever one begins); where its
provider is, all of them are told alike (``OPENCODE_CONFIG_CONTENT``). The account's key never reaches it. Its parts
speak to each other by a port of this machine, which a password keeps from everybody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec

from auth.cli.install import OPENCODE
from proxy.hub.residue import JsonObject
from proxy.upstream.acp_profile import AcpProfile, Place
from proxy.upstream.chat_answer import ChatListener
from proxy.upstream.chat_request import Dialect, asked, digest, read_turn, refusal, resumed, said
from proxy.upstream.cli_choice import Seats
from proxy.upstream.egress import by_way_of_but_here

TOOL_PREFIX = "api_"
_SERVER = "api"
_PROVIDER = "account"
_AGENT = "caller"
_ITS_OWN = "\nYou are powered by the model named "
"""Begins what it adds to the instructions."""
_SETTINGS = "settings.json"
_ENDLESS = 100_000_000
"""How much the model reads and writes is the provider's to say; the CLI would shorten the conversation."""
_OFF = ("build", "plan", "general", "explore", "title", "summary", "compaction")
_FORMS = ["text", "image", "audio", "video", "pdf"]
_ALIKE: JsonObject = {
    "autoupdate": False,
    "share": "disabled",
    "enabled_providers": [_PROVIDER],
    "default_agent": _AGENT,
    "permission": {"*": "deny", f"{TOOL_PREFIX}*": "allow"},
    "plugin": [],
    "instructions": [],
    "lsp": False,
    "formatter": False,
    "snapshot": False,
    "compaction": {"auto": False, "prune": False},
    "experimental": {"mcp_timeout": 660_000},
}
_OPTIONS: Mapping[str, str] = {"reasoning_effort": "reasoningEffort", "verbosity": "textVerbosity"}
"""What it writes into a body under another name; all else it passes on."""
_FILLED_IN = ("env", "file")
"""``{env:…}`` and ``{file:…}`` in a file of settings are replaced before it is read as JSON."""


def _settings(model: str, instructions: str, rest: JsonObject) -> bytes:
    """What else is asked goes into the body as it is. A limit of the answer is always named; null: there is none."""
    options: JsonObject = {"max_tokens": None, **{_OPTIONS.get(key, key): value for key, value in rest.items()}}
    about: JsonObject = {
        "options": options,
        "attachment": True,
        "tool_call": True,
        "modalities": {"input": [*_FORMS], "output": ["text"]},
        "limit": {"context": _ENDLESS, "output": _ENDLESS},
    }
    agent: JsonObject = {"mode": "primary", "prompt": instructions, "tools": {"*": False, f"{TOOL_PREFIX}*": True}}
    name = f"{_PROVIDER}/{model}"
    told = msgspec.json.encode(
        {
            "model": name,
            "small_model": name,
            "provider": {_PROVIDER: {"models": {model: about}}},
            "agent": {_AGENT: agent, **{each: {"disable": True} for each in _OFF}},
        }
    )
    for word in _FILLED_IN:
        told = told.replace(f"{{{word}:".encode(), f"\\u007b{word}:".encode())
    return told


def _variables(place: Place) -> dict[str, str]:
    """Whatever it would ask of others goes to the relay, which serves no proxies."""
    provider: JsonObject = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": place.relay, "apiKey": place.key},
    }
    alike = msgspec.json.encode({**_ALIKE, "provider": {_PROVIDER: provider}})
    return {
        "OPENCODE_CONFIG": f"{place.talks}/{_SETTINGS}",
        "OPENCODE_CONFIG_CONTENT": alike.decode(),
        "OPENCODE_DB": ":memory:",  # else callers' words are on the disk
        "OPENCODE_SERVER_PASSWORD": place.key,
        "OPENCODE_EXPERIMENTAL_OUTPUT_TOKEN_MAX": f"{_ENDLESS}",
        **dict.fromkeys(
            (
                "OPENCODE_DISABLE_PROJECT_CONFIG", "OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_DISABLE_DEFAULT_PLUGINS",
                "OPENCODE_DISABLE_LSP_DOWNLOAD", "OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_CLAUDE_CODE",
                "OPENCODE_DISABLE_EXTERNAL_SKILLS", "OPENCODE_DISABLE_SHARE",
            ),
            "1",
        ),
        **by_way_of_but_here(place.relay.rpartition("/")[0]),
    }  # fmt: skip


_DIALECT = Dialect(prefix=TOOL_PREFIX, settings=_settings, no_instructions=" ", audio="image")
_NOTHING: Mapping[str, JsonObject] = {}

PROFILE = AcpProfile(
    name="opencode",
    cli=OPENCODE,
    version_min=(1, 18, 33),
    seats=Seats(at_once=8, conversations_max=12, counts_for=3),  # it begins with 600 MB, and each folder adds 26
    shares_folders=True,
    arguments=("acp", "--hostname", "127.0.0.1"),
    listens=(0, 4096),
    variables=_variables,
    files=_NOTHING,
    settings=f"../{_SETTINGS}",
    server=_SERVER,
    prefix=TOOL_PREFIX,
    turn_path="chat/completions",
    about={},
    account_headers=frozenset({"authorization"}),
    address=lambda call: call.url,
    refusal=refusal,
    read=partial(read_turn, dialect=_DIALECT),
    resumed=resumed,
    said=said,
    asked=partial(asked, session="x-session-affinity", until=_ITS_OWN),
    listener=lambda _turn: ChatListener(),
    spelled={},
    digest=digest,
)
