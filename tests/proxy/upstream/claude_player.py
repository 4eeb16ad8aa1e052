"""A program that speaks as Claude Code does over its pipes, and plays what its prompts say: for tests without the CLI.

A prompt that holds ``use`` calls the tool `tide`; ``hang`` begins an answer and never ends it; ``limit`` is refused
with a 429; ``die`` ends the program in the middle; ``cut`` is cut at its length limit, and would be gone on with;
``odd`` offers a tool of its own. Everything else is answered with how many messages were said before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

past: list[str] = []
waiting: list[str] = []


def say(**line: Any) -> None:
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


def event(**told: Any) -> None:
    say(type="stream_event", event=told)


def begin() -> None:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    event(type="message_start", message={**message, "usage": {"input_tokens": len(past), "output_tokens": 1}})


def block(start: Mapping[str, Any], delta: Mapping[str, Any]) -> None:
    event(type="content_block_start", index=0, content_block=start)
    event(type="content_block_delta", index=0, delta=delta)
    event(type="content_block_stop", index=0)


def end(reason: str) -> None:
    delta = {"stop_reason": reason, "stop_sequence": None}
    event(type="message_delta", delta=delta, usage={"output_tokens": 2})
    event(type="message_stop")


def words(text: str) -> None:
    block({"type": "text", "text": ""}, {"type": "text_delta", "text": text})


def answer(prompt: str) -> None:
    say(type="system", subtype="init", tools=["Bash"] if "odd" in prompt else [], mcp_servers=[])
    if "limit" in prompt:
        say(type="rate_limit_event", rate_limit_info={"status": "rejected", "resetsAt": 4102444800})
        say(type="assistant", message={"model": "<synthetic>", "content": []}, error="rate_limit")
        say(type="result", is_error=True, api_error_status=429, api_error_type="rate_limit_error", result="No more.")
        return
    begin()
    if "hang" in prompt:
        words("Ahoy")
        return
    if "die" in prompt:
        os._exit(1)
    if "use" in prompt:
        waiting.append(prompt)
        block({"type": "tool_use", "id": "toolu_1", "name": "tide", "input": {}}, {"partial_json": "{}"})
        meta = {"claudecode/toolUseId": "toolu_1"}
        message = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "call", "_meta": meta}}
        request = {"subtype": "mcp_message", "server_name": "api", "message": message}
        say(type="control_request", request_id="c1", request=request)
        end("tool_use")
        return
    words(f"{len(past)} before")
    if "cut" in prompt:
        end("max_tokens")
        return
    end("end_turn")
    say(type="result", is_error=False)


def take(line: Mapping[str, Any]) -> None:
    match line:
        case {"type": "control_request", "request_id": serial, "request": {"subtype": "interrupt"}}:
            say(type="control_response", response={"subtype": "success", "request_id": serial})
            say(type="result", is_error=True, result="interrupted")
        case {"type": "control_request", "request_id": serial, "request": {"systemPrompt": ["refuse"]}}:
            say(type="control_response", response={"subtype": "error", "request_id": serial, "error": "no"})
        case {"type": "control_request", "request_id": serial}:
            say(type="control_response", response={"subtype": "success", "request_id": serial, "response": {}})
        case {"type": "control_response", "response": {"response": {"mcp_response": {"result": {"content": content}}}}}:
            begin()
            words(f"{content[0]['text']} tide")
            end("end_turn")
            say(type="result", is_error=False)
        case {"type": "user", "message": {"content": content}}:
            prompt = "".join(each.get("text", "") for each in content)
            if line.get("shouldQuery") is False:
                say(type="result", is_error=False)
            else:
                answer(prompt)
            past.append(prompt)
        case {"type": "assistant"}:
            past.append("assistant")


if __name__ == "__main__":
    if "--version" in sys.argv:
        sys.stdout.write(os.environ.get("CLAUDE_VERSION", "2.1.328") + " (Claude Code)\n")
        sys.exit()
    sys.stderr.write("a warning\n")
    sys.stdout.write("no JSON\n")
    for each in sys.stdin:
        take(msgspec.json.decode(each))
