"""What Claude Code is told of a request, and what of it a conversation is known by. Pure.

A Messages body goes three ways into the CLI. The system prompt and the names of the tools are given once, when the
conversation begins. The messages are its input lines. All else (sampling, thinking, output format, the tools as the
caller wrote them) is handed to it as ``CLAUDE_CODE_EXTRA_BODY``, the CLI's own switch for fields that it has none for.

Every tool of the caller's is an alias of one tool that the CLI reaches through us, so that no name can meet one of the
CLI's own, which are all switched off (official-clis.md §6.2; the aliases and the live settings observed with 2.1.328).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from proxy.hub.residue import JsonObject, JsonValue

SERVER = "api"
"""How the CLI calls us, who have its only tool."""
TOOL = "call"
TOOL_NAME = f"mcp__{SERVER}__{TOOL}"
OWN_TOOLS = frozenset(
    {
        "Agent", "AskUserQuestion", "Bash", "BashOutput", "Edit", "EnterPlanMode", "ExitPlanMode", "Glob", "Grep",
        "KillBash", "KillShell", "LS", "LSP", "ListMcpResourcesTool", "MultiEdit", "NotebookEdit", "NotebookRead",
        "PowerShell", "Read", "ReadMcpResourceTool", "SendMessage", "Skill", "SlashCommand", "StructuredOutput", "Task",
        "TaskCreate", "TaskGet", "TaskList", "TaskOutput", "TaskStop", "TaskUpdate", "TodoRead", "TodoWrite",
        "ToolSearch", "WebFetch", "WebSearch", "Workflow", "Write",
    }
)  # fmt: skip
"""The CLI has none of them now. A model that calls one all the same has its call handed back as any other, too: of a
name that the CLI does not know it makes an error, and goes on.
"""
_TOLD_OTHERWISE = frozenset({"messages", "system", "stream", "metadata", "cache_control"})
"""Of the body. The CLI has ``metadata`` and cache marks of its own: the loss is told where the body is rendered."""
_RESULT_CHARACTERS_MAX = 400_000
"""Of the results of one turn. The CLI puts longer ones into files and shows the model the beginning."""
_RESULT_KEYS = frozenset({"type", "tool_use_id", "content", "is_error"})

_encode = msgspec.json.Encoder(order="sorted").encode
_plain = msgspec.json.encode


class Unanswerable(Exception):
    """The CLI cannot be asked that. The message is a sentence for the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaudeRequest:
    """`messages`: merged, so that roles alternate, and without cache marks; the last is the user's. `extra`: what the
    request to the model has besides. `betas`: more names for its ``anthropic-beta``. `terms` and `said`: as in
    `proxy.upstream.cli_choice.Wish`.
    """

    model: str
    system: str
    messages: tuple[JsonObject, ...]
    extra: JsonObject
    betas: str
    is_stream: bool
    terms: bytes
    said: tuple[bytes, ...]

    @property
    def tool_names(self) -> frozenset[str]:
        """Whose calls are the caller's to carry out; none where the caller has no tools."""
        own = frozenset(_names(self.extra.get("tools")))
        return own | OWN_TOOLS | {TOOL_NAME} if own else own

    @property
    def has_history(self) -> bool:
        """Whether the caller tells what the model has said, too."""
        return any(message["role"] == "assistant" for message in self.messages)

    def after(self, before: Sequence[JsonObject]) -> ClaudeRequest:
        """The same, with what was said before in front."""
        told = tuple(digest(message) for message in before)
        return replace(self, messages=(*before, *self.messages), said=(*told, *self.said))


def read(body: bytes, betas: str = "") -> ClaudeRequest:
    """`betas`: the client's ``anthropic-beta``. Raises `Unanswerable`."""
    told = msgspec.json.decode(body)
    if not isinstance(told, dict):
        raise Unanswerable("the request is no JSON object")
    messages = tuple(_merged(told.get("messages")))
    if not messages or messages[-1]["role"] != "user":
        raise Unanswerable("the last message must be the user's: Claude Code answers the user only")
    extra: JsonObject = {key: value for key, value in told.items() if key not in _TOLD_OTHERWISE}
    if "tools" in extra:
        extra["tools"] = _unmarked(extra["tools"])
    system = "\n\n".join(_texts(told.get("system")))
    model = str(told.get("model", ""))
    return ClaudeRequest(
        model=model,
        system=system,
        messages=messages,
        extra=extra,
        betas=betas,
        is_stream=told.get("stream") is True,
        terms=_digest([model, system, extra.get("tools")]),
        said=tuple(digest(message) for message in messages),
    )


def _texts(system: JsonValue) -> Iterator[str]:
    if isinstance(system, str):
        yield system
    elif isinstance(system, list):
        for block in system:
            if isinstance(block, dict) and isinstance(text := block.get("text"), str):
                yield text


def _merged(messages: JsonValue) -> Iterator[JsonObject]:
    """Consecutive messages of one role are one, as they are for the provider."""
    last: JsonObject | None = None
    for message in messages if isinstance(messages, list) else ():
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(message, dict) or role not in {"user", "assistant"}:
            raise Unanswerable(f"a message's role is {role!r}: Claude Code knows user and assistant")
        blocks = _blocks(message.get("content"))
        if last is not None and last["role"] == role:
            last = {"role": role, "content": [*_blocks(last["content"]), *blocks]}
            continue
        if last is not None:
            yield last
        last = {"role": role, "content": blocks}
    if last is not None:
        yield last


def _blocks(content: JsonValue) -> list[JsonValue]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [_unmarked(block) for block in content] if isinstance(content, list) else []


def _unmarked(value: JsonValue) -> JsonValue:
    """Without cache marks, which stand on blocks and on the blocks inside of results, never inside of a schema."""
    match value:
        case list():
            return [_unmarked(each) for each in value]
        case dict():
            block = {key: each for key, each in value.items() if key != "cache_control"}
            if block.get("type") == "tool_result" and isinstance(block.get("content"), list):
                block["content"] = _unmarked(block["content"])
            return block
        case _:
            return value


def _names(tools: JsonValue) -> Iterator[str]:
    """Of tools with a ``type`` of its own the provider carries out some; Claude Code hands all the others back."""
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and isinstance(name := tool.get("name"), str):
            yield name


# What is known of a message


def digest(message: Mapping[str, JsonValue]) -> bytes:
    """The same for a message as it was answered and as a client sends it back: without thinking, which many clients
    cannot keep and the CLI still has, and with its texts joined.
    """
    blocks = _blocks(message.get("content"))
    told = _heard(blocks) if message.get("role") == "user" else _answered(blocks)
    return _digest([message.get("role"), *told])


def _digest(value: object) -> bytes:
    return hashlib.sha256(_encode(value)).digest()[:16]


def _answered(blocks: Iterable[JsonValue]) -> Iterator[JsonValue]:
    text = ""
    calls: list[JsonValue] = []
    for block in blocks:
        match block:
            case {"type": "text", "text": str(piece)}:
                text += piece
            case {"type": "thinking" | "redacted_thinking"}:
                pass
            case {"type": "tool_use", "id": call_id, "name": name, "input": arguments}:
                calls.append([call_id, name, arguments])
            case _:
                calls.append(block)
    yield text.strip()
    yield from calls


def _heard(blocks: Iterable[JsonValue]) -> Iterator[JsonValue]:
    for block in blocks:
        if isinstance(block, dict) and block.get("type") == "tool_result":
            yield [block.get("tool_use_id"), _blocks(block.get("content")), block.get("is_error") is True]
        else:
            yield block


# What the CLI is told


def beginning(request: ClaudeRequest) -> JsonObject:
    """Of the control request ``initialize``."""
    system: JsonObject = {"systemPrompt": [request.system] if request.system else []}
    names = request.tool_names
    if not names:
        return system
    handshake: JsonObject = {
        "initializeResult": tool_answer("initialize", {}),
        "toolsListResult": tool_answer("tools/list", {}),
    }
    return {
        **system,
        "sdkMcpServers": [SERVER],
        "sdkMcpServerManifests": {SERVER: handshake},  # said before it asks
        "toolAliases": dict.fromkeys(names - {TOOL_NAME}, TOOL_NAME),
    }


def settings(request: ClaudeRequest) -> JsonObject:
    """Of the control request ``apply_flag_settings``; may change with every turn.

    Left to itself the CLI thinks, and sends a temperature where it does not. What the caller did not ask for is kept
    out: thinking by a switch, and the temperature, where it would stand beside another sampler, by thinking that the
    request then says is off.
    """
    extra = dict(request.extra)
    has_sampler = "temperature" not in extra and ("top_p" in extra or "top_k" in extra)
    if has_sampler:
        extra.setdefault("thinking", {"type": "disabled"})
    if request.model.endswith("]"):
        extra.pop("model", None)  # a suffix that the CLI understands, and nobody else
    return {
        "model": request.model,
        "env": {
            "CLAUDE_CODE_EXTRA_BODY": _plain(extra).decode(),
            "CLAUDE_CODE_DISABLE_THINKING": "" if has_sampler else "1",
            "ANTHROPIC_BETAS": request.betas,
        },
    }


def line(message: Mapping[str, JsonValue], model: str, *, is_last: bool) -> JsonObject:
    """One message as an input line. `is_last`: it is to be answered. The CLI answers every other line of the user's
    with an empty result, which has to be awaited, or the order is lost.

    ``client_composed`` keeps the CLI from carrying out what stands in the text: ``@file`` and ``/command``.
    """
    if message["role"] == "user":
        told: JsonObject = {
            "type": "user",
            "message": {"role": "user", "content": message["content"]},
            "parent_tool_use_id": None,
            "session_id": "",
            "client_composed": True,
        }
        return told if is_last else {**told, "shouldQuery": False}
    name = digest(message).hex()
    return {
        "type": "assistant",
        "message": {
            "id": f"msg_{name}",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": message["content"],
        },
        "parent_tool_use_id": None,
        "session_id": "",
        "uuid": "-".join((name[:8], name[8:12], name[12:16], name[16:20], name[20:])),
    }


def results(message: Mapping[str, JsonValue], call_ids: Iterable[str]) -> Mapping[str, JsonObject] | None:
    """The results of just these calls, by id, as the tool protocol has them. None: the message says something else or
    something more, or it would not come through unchanged; then it has to be told as history.
    """
    found: dict[str, JsonObject] = {}
    characters = 0
    for block in _blocks(message.get("content")):
        if not isinstance(block, dict) or block.get("type") != "tool_result" or not block.keys() <= _RESULT_KEYS:
            return None
        content = [_tool_content(each) for each in _blocks(block.get("content"))]
        is_error = block.get("is_error") is True
        kinds = [each["type"] for each in content if each is not None]
        if not content or len(kinds) < len(content) or (is_error and kinds != ["text"]):
            return None
        characters += sum(len(str(each.get("text", ""))) for each in content if each is not None)
        found[str(block.get("tool_use_id"))] = {"content": list[JsonValue](content), "isError": is_error}
    return found if found.keys() == set(call_ids) and characters <= _RESULT_CHARACTERS_MAX else None


def _tool_content(block: JsonValue) -> JsonObject | None:
    match block:
        case {"type": "text", "text": str(text), **rest} if text and not rest:
            return {"type": "text", "text": text}
        case {"type": "image", "source": {"type": "base64", "media_type": str(kind), "data": str(data)}, **rest} if (
            not rest
        ):
            return {"type": "image", "mimeType": kind, "data": data}
        case _:
            return None


def tool_answer(method: str, params: Mapping[str, JsonValue]) -> JsonObject:
    """To what the CLI asks of us as its tool server, but for calls."""
    match method:
        case "initialize":
            return {
                "protocolVersion": params.get("protocolVersion", "2025-06-18"),
                "capabilities": {"tools": {}},
                "serverInfo": {"name": SERVER, "version": "1"},
            }
        case "tools/list":
            # Read-only: calls of one turn are then made at once, and none waits for another.
            only: JsonObject = {
                "name": TOOL,
                "description": "",
                "inputSchema": {"type": "object"},
                "annotations": {"readOnlyHint": True},
                "_meta": {"anthropic/maxResultSizeChars": 500_000},
            }
            return {"tools": [only]}
        case _:
            return {}


def follows(said: int, request: ClaudeRequest) -> tuple[JsonObject, ...]:
    """The messages behind the first `said`."""
    return request.messages[said:]


def goes_on(request: ClaudeRequest, said: int, calls: Iterable[str]) -> bool:
    """Whether the CLI that knows the first `said` messages, and waits for the results of `calls`, can be told the rest
    as it stands.
    """
    rest = follows(said, request)
    if len(rest) != 1:
        return False
    wanted = [*calls]
    if wanted:
        return results(rest[0], wanted) is not None
    return not any(
        isinstance(block, dict) and block.get("type") == "tool_result" for block in _blocks(rest[0]["content"])
    )
