"""Qwen Code, set up to ask for others: the caller's instructions in place of its own, none of its own tools, no hint of
what to say next, no second try.

It reads a file of instructions as a conversation begins (``QWEN_SYSTEM_MD``), and settings from the conversation's own
folder. The account's key never reaches it.
"""

from __future__ import annotations

from functools import partial

import msgspec

from auth.cli.install import QWEN
from proxy.hub.residue import JsonObject
from proxy.upstream import acp_words
from proxy.upstream.acp_profile import AcpProfile, Place
from proxy.upstream.acp_words import spelled_out
from proxy.upstream.chat_answer import ChatListener
from proxy.upstream.chat_request import Dialect, asked, digest, read_turn, refusal, resumed, said
from proxy.upstream.egress import by_way_of_but_here

TOOL_PREFIX = "mcp__api__"
_SERVER = "api"
_SESSION = "x-session-affinity"
_KEY, _RELAY = "RELAY_KEY", "RELAY_ADDRESS"
"""Variables of ours that its settings name."""
_WAIT_MS = 660_000
_ENDLESS = 100_000_000
"""How much the model reads is the provider's to say; the CLI would shorten the conversation."""
_DRAFT = "http://json-schema.org/draft-04/schema#"
"""A schema that says so is not held against a call's arguments by the CLI, which knows later drafts: whether they will
do is the caller's to judge.
"""
OWN_TOOLS = (
    "agent", "artifact", "ask_user_question", "create_goal", "create_sub_session", "cron_create", "cron_delete",
    "cron_list", "display_image", "edit", "enter_plan_mode", "enter_worktree", "exec", "exit_plan_mode",
    "exit_worktree", "get_goal", "glob", "grep_search", "image_gen", "list_agents", "list_directory", "loop_wakeup",
    "lsp", "monitor", "notebook_edit", "propose_goal", "read_file", "read_mcp_resource", "record_artifact",
    "record_source", "report_findings", "request_shutdown", "run_shell_command", "save_memory", "send_message", "skill",
    "structured_output", "task_create", "task_list", "task_stop", "task_update", "team_create", "team_delete",
    "team_plan_approval", "todo_write", "tool_call", "tool_search", "update_goal", "web_fetch", "web_search",
    "workflow", "write_file", "zoom_image",
)  # fmt: skip
"""Those of the CLI's own, which are kept from the model."""
_ALIKE: JsonObject = {
    "security": {"auth": {"selectedType": "openai"}, "folderTrust": {"enabled": False}},
    "privacy": {"usageStatisticsEnabled": False},
    "general": {
        "enableAutoUpdate": False,
        "disableAutoUpdate": True,
        "preventSystemSleep": False,  # else it starts a program at each answer, which takes it 5 ms
        "chatRecording": False,  # else callers' words are on the disk
    },
    "ui": {"enableFollowupSuggestions": False},
    "model": {"skipStartupContext": True, "skipNextSpeakerCheck": True, "skipLoopDetection": True},
    "outboundCorrelation": {"allowDynamicHeaderValues": True},
    "tools": {"disabled": [*OWN_TOOLS], "toolSearch": {"enabled": False}, "approvalMode": "yolo"},
    "skills": {"disabledLevels": ["project", "user", "extension", "bundled"]},
    "memory": {"enableManagedAutoMemory": False, "enableManagedAutoDream": False, "enableAutoSkill": False},
    "agents": {"crossSessionMessaging": False},
    "disableAllHooks": True,
    "context": {"fileName": "none.md", "includeDirectoryTree": False},
}


def _settings(model: str, _instructions: str, rest: JsonObject) -> bytes:
    """What else is asked goes into the body as it is. A limit of the answer is always named; null: there is none."""
    entry: JsonObject = {
        "id": model,
        "baseUrl": f"${{{_RELAY}}}",
        "envKey": _KEY,
        "generationConfig": {
            "maxRetries": 0,
            "samplingParams": spelled_out({"max_tokens": None, **rest}),
            "customHeaders": {_SESSION: "${session_id}"},
            "modalities": {"image": True, "pdf": True, "audio": True, "video": True},
            "contextWindowSize": _ENDLESS,
        },
    }
    return msgspec.json.encode({"modelProviders": {"openai": [entry]}, "model": {"name": model}})


def _variables(place: Place) -> dict[str, str]:
    """Whatever it would ask of others goes to the relay, which serves no proxies."""
    return {
        _RELAY: place.relay,
        _KEY: place.key,
        **acp_words.VARIABLES,
        "QWEN_SYSTEM_MD": place.instructions,
        **dict.fromkeys(
            (
                "QWEN_DISABLE_AUTO_TITLE", "QWEN_CODE_SUPPRESS_YOLO_WARNING", "QWEN_CODE_DISABLE_CRON",
                "QWEN_CODE_LEGACY_MCP_BLOCKING",  # else a conversation is there before its tools are
            ),
            "1",
        ),
        **dict.fromkeys(("QWEN_CODE_TOOL_EXECUTION_TIMEOUT_MS", "QWEN_CODE_MCP_TOOL_IDLE_TIMEOUT_MS"), f"{_WAIT_MS}"),
        **by_way_of_but_here(place.relay.rpartition("/")[0]),
    }  # fmt: skip


_DIALECT = Dialect(prefix=TOOL_PREFIX, settings=_settings, schema={"$schema": _DRAFT})

PROFILE = AcpProfile(
    name="qwen",
    cli=QWEN,
    version_min=(0, 24, 4),
    arguments=("--acp", "--auth-type", "openai"),
    variables=_variables,
    files={".qwen/settings.json": _ALIKE},
    settings=".qwen/settings.json",
    empty_files=(".qwen/output-language.md",),
    server=_SERVER,
    prefix=TOOL_PREFIX,
    turn_path="chat/completions",
    about={},
    account_headers=frozenset({"authorization"}),
    address=lambda call: call.url,
    refusal=refusal,
    final_status=403,
    read=partial(read_turn, dialect=_DIALECT),
    resumed=resumed,
    said=said,
    asked=partial(asked, session=_SESSION),
    listener=lambda _turn: ChatListener(),
    spelled={},
    digest=digest,
)
