"""Gemini CLI, set up to ask for others: nothing of its own in the request but what cannot be left out, no tool of its
own in reach, no second try, no model but the one that is named.

It is pointed at us in the way that its documentation offers to everybody (``CODE_ASSIST_ENDPOINT``, a token in
``GOOGLE_CLOUD_ACCESS_TOKEN``), with a token that is worth nothing but here. The account's own never reaches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from auth.cli.install import GEMINI
from proxy.hub.residue import JsonObject, JsonValue
from proxy.upstream import acp_words
from proxy.upstream.acp_profile import AcpProfile, Asked, Place
from proxy.upstream.acp_script import Turn
from proxy.upstream.base import Call
from proxy.upstream.egress import by_way_of_but_here
from proxy.upstream.gemini_answer import WAIT, GeminiListener
from proxy.upstream.gemini_request import OWN_TOOLS, TOOL_PREFIX, digest, read_turn, resumed, said

_VERB = "v1internal:"
_SETTINGS: JsonObject = {
    "security": {"auth": {"selectedType": "oauth-personal"}, "folderTrust": {"enabled": False}},
    "privacy": {"usageStatisticsEnabled": False},
    "general": {
        "enableAutoUpdate": False,
        "enableAutoUpdateNotification": False,
        "topicUpdateNarration": False,
        "plan": {"enabled": False},
        "sessionRetention": {"enabled": False},
        "maxAttempts": 1,
    },
    "context": {
        "fileName": "none.md", "includeDirectoryTree": False, "discoveryMaxDirs": 0,
        "loadMemoryFromIncludeDirectories": False,
    },
    "model": {"disableLoopDetection": True, "skipNextSpeakerCheck": True, "compressionThreshold": 1_000_000},
    "tools": {"exclude": [*OWN_TOOLS], "useRipgrep": False, "enableToolOutputTruncation": False},
    "skills": {"enabled": False},
    "hooksConfig": {"enabled": False},
    "experimental": {"enableAgents": False, "toolOutputMasking": {"enabled": False}},
    "useWriteTodos": False,
    "admin": {"extensions": {"enabled": False}},
    "advanced": {"autoConfigureMemory": False, "ignoreLocalEnv": True},
}  # fmt: skip


def _variables(place: Place) -> dict[str, str]:
    """Whatever it would ask of others goes to the relay, which serves no proxies."""
    return {
        "CODE_ASSIST_ENDPOINT": place.relay,
        "GOOGLE_GENAI_USE_GCA": "true",
        "GOOGLE_CLOUD_ACCESS_TOKEN": place.key,
        "GEMINI_SYSTEM_MD": place.instructions,
        **acp_words.VARIABLES,
        **by_way_of_but_here(place.relay.rpartition("/")[0]),
    }


def _load(project: str) -> JsonObject:
    tier: JsonObject = {"id": "standard-tier", "name": "Gemini Code Assist"}
    return {"currentTier": tier, "allowedTiers": [tier], "cloudaicompanionProject": project, "gcpManaged": False}


def _quota(_project: str) -> JsonObject:
    """That it may ask for a model that is a preview: whether the account may, the provider says when it is asked."""
    return {"buckets": [{"modelId": "gemini-3-pro-preview", "remainingFraction": 1, "tokenType": "REQUESTS"}]}


def _experiments(_project: str) -> JsonObject:
    return {"experimentIds": [], "flags": []}


def _count(_project: str) -> JsonObject:
    """It counts before it sends an image, to send nothing that is too long: that is the provider's to judge."""
    return {"totalTokens": 1}


def _nothing(_project: str) -> JsonObject:
    return {}


class _Part(msgspec.Struct):
    text: str = ""


class _Content(msgspec.Struct):
    parts: list[_Part] = []


class _Function(msgspec.Struct):
    name: str


class _Tools(msgspec.Struct):
    functionDeclarations: list[_Function] = []  # noqa: N815 - Google's spelling


class _Inner(msgspec.Struct):
    session_id: str
    tools: list[_Tools] = []
    systemInstruction: _Content = msgspec.field(default_factory=_Content)  # noqa: N815 - Google's spelling


class _Request(msgspec.Struct):
    model: str
    request: _Inner


_read_request = msgspec.json.Decoder(_Request).decode


def _asked(body: bytes, _headers: Mapping[str, str]) -> Asked:
    request = _read_request(body)
    instructions = "".join(part.text for part in request.request.systemInstruction.parts)
    tools = frozenset(each.name for group in request.request.tools for each in group.functionDeclarations)
    return Asked(conversation=request.request.session_id, model=request.model, instructions=instructions, tools=tools)


def _address(call: Call) -> str:
    return f"{call.url.partition(_VERB)[0]}{_VERB}streamGenerateContent?alt=sse"


_STATUSES: Mapping[int, str] = MappingProxyType({400: "INVALID_ARGUMENT", 503: "UNAVAILABLE"})


def _refusal(status: int, message: str) -> bytes:
    error: JsonObject = {"code": status, "message": message, "status": _STATUSES.get(status, "UNKNOWN")}
    return msgspec.json.encode({"error": error})


def _listener(turn: Turn) -> GeminiListener:
    return GeminiListener(waits=any(_has_wait(tool.get("inputSchema")) for tool in turn.tools))


def _has_wait(schema: JsonValue) -> bool:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return isinstance(properties, dict) and WAIT in properties


PROFILE = AcpProfile(
    name="gemini-cli",
    cli=GEMINI,
    version_min=(0, 61, 0),
    arguments=("--acp", "--approval-mode", "yolo"),
    variables=_variables,
    files={".gemini/settings.json": _SETTINGS},
    settings=".gemini/settings.json",
    rereading=("default", "yolo"),
    server="mcp",
    prefix=TOOL_PREFIX,
    turn_path=f"{_VERB}streamGenerateContent",
    about={
        "loadCodeAssist": _load,
        "retrieveUserQuota": _quota,
        "listExperiments": _experiments,
        "countTokens": _count,
        "fetchAdminControls": _nothing,
        "recordCodeAssistMetrics": _nothing,
    },
    account_headers=frozenset({"authorization", "x-goog-user-project"}),
    address=_address,
    refusal=_refusal,
    read=read_turn,
    resumed=resumed,
    said=said,
    asked=_asked,
    listener=_listener,
    spelled={"gemini-3.5-flash": "gemini-3-flash"},
    digest=lambda parts: digest("model", parts),
)
