"""The same request gives the same bytes, and a longer conversation begins with the bytes of the shorter one: prompt
caches live on both.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Untranslatable
from proxy.hub.parts import Text, ToolCall, ToolResult
from proxy.hub.request import Message, Request
from proxy.hub.residue import JsonObject
from proxy.wire.base import Wire, dumps
from proxy.wire.table import WIRES
from tests.laws.campaign import examples
from tests.laws.essence import of_request
from tests.laws.recordings import cli_requests, own
from tests.laws.recordings import requests as recorded
from tests.laws.strategies import requests
from tests.laws.targets import ALL, Target, crossing

by_wire = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)

CONVERSATION: Mapping[str, str] = {
    "anthropic": "messages",
    "openai_chat": "messages",
    "openai_responses": "input",
    "gemini": "contents",
}
PREFIX: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("tools", "system"),
    "openai_chat": ("tools",),
    "openai_responses": ("tools", "instructions"),
    "gemini": ("tools", "systemInstruction"),
}
"""What stands before the conversation in what the model reads."""


@by_wire
@given(request=requests(), data=st.data())
@examples(25)
def test_the_same_request_gives_the_same_bytes(wire: Wire, request: Request, data: st.DataObject) -> None:
    target = data.draw(st.sampled_from([target for target in ALL if target.wire is wire]))
    first = dumps(wire.render_request(request, target.profile).body)
    assert first == dumps(wire.render_request(request, target.profile).body)


def bodies(target: Target, requests_: list[Request]) -> list[JsonObject]:
    return [target.wire.render_request(each, target.profile).body for each in requests_]


def check_prefix(before: JsonObject, after: JsonObject, wire: Wire) -> None:
    """Byte for byte, but for the last turn, which may go on where turns are merged."""
    for key in PREFIX[wire.name]:
        assert dumps(before.get(key)) == dumps(after.get(key)), key
    key = CONVERSATION[wire.name]
    short, long = before[key], after[key]
    assert isinstance(short, list)
    assert isinstance(long, list)
    assert dumps(short[:-1]) == dumps(long[: len(short) - 1])
    assert begins_with(long[len(short) - 1], short[-1])


def begins_with(longer: object, shorter: object) -> bool:
    """A turn as it was, or with more of the same behind it; a text that stood alone may stand in a list now."""
    if longer == shorter:
        return True
    if not isinstance(longer, dict) or not isinstance(shorter, dict):
        return False
    for key in ("content", "parts"):
        was, now = shorter.get(key), longer.get(key)
        if isinstance(was, str) and isinstance(now, list):
            was = [{"type": "text", "text": was}]
        if isinstance(was, list) and isinstance(now, list) and now[: len(was)] == was:
            return True
    return False


@by_wire
@given(request=requests(is_orderly=True), data=st.data())
@examples(25)
def test_a_conversation_grows_behind_its_prefix(wire: Wire, request: Request, data: st.DataObject) -> None:
    """Marks move with the conversation and are no part of what is cached: they are left out here."""
    request = unmarked(request)
    target = data.draw(st.sampled_from([target for target in ALL if target.wire is wire]))
    grown = replace(request, messages=(*request.messages, *NEXT_TURNS))
    before, after = bodies(target, [request, grown])
    if ends_with_calls(request) or request.messages[-1].role == "assistant" or not of_request(request).said:
        return  # a question that is answered now, a prefill that is one no more, or nothing at all
    check_prefix(before, after, wire)


def unmarked(request: Request) -> Request:
    def bare(message: Message) -> Message:
        return replace(message, parts=tuple(replace(part, cache=None) for part in message.parts))

    return replace(
        request,
        tools=tuple(replace(tool, cache=None) for tool in request.tools),
        instructions=tuple(replace(part, cache=None) for part in request.instructions),
        messages=tuple(bare(message) for message in request.messages),
    )


NEXT_TURNS = (
    Message(
        role="assistant", parts=(Text(text="I look."), ToolCall(id="call_next1", name="look", arguments='{"at":"x"}'))
    ),
    Message(role="tool", parts=(ToolResult(call_id="call_next1", parts=(Text(text="a cat"),)),)),
    Message(role="user", parts=(Text(text="Thanks."),)),
)


def ends_with_calls(request: Request) -> bool:
    return any(isinstance(part, ToolCall) for part in request.messages[-1].parts)


@by_wire
def test_recorded_conversations_keep_their_prefix(wire: Wire) -> None:
    """Each turn of a recorded history, rendered up to there, for each model of another wire."""
    failures = {}
    found = [(each.name, each.parsed_request()) for each in recorded() if each.wire is wire]
    found += [(each.name, each.parsed()) for each in cli_requests() if each.wire is wire]
    for name, asked in found:
        request = unmarked(asked)
        ends = [at for at, message in enumerate(request.messages) if message.role == "user"][:-1]
        for target in crossing(wire, ALL[::3]):
            try:
                whole, *shorter = bodies(target, [request, *(cut(request, at) for at in ends[-3:])])
            except Untranslatable:
                continue
            for body in shorter:
                try:
                    check_prefix(body, whole, target.wire)
                except AssertionError:
                    failures[f"{name} → {target.name}"] = body
    assert failures == {}


def cut(request: Request, at: int) -> Request:
    return replace(request, messages=request.messages[: at + 1])


_PRINT = """
import hashlib, sys
from tests.laws.essence import of_request
from tests.laws.recordings import own
from tests.laws.targets import ALL
from proxy.wire.base import dumps
digest = hashlib.sha256()
for each in own():
    if each.request is not None:
        request = each.parsed_request()
        for target in ALL:
            digest.update(dumps(target.wire.render_request(request, target.profile).body))
print(digest.hexdigest())
"""


def test_another_process_gives_the_same_bytes() -> None:
    """Sets are iterated in an order that changes from process to process: none may show."""
    root = Path(__file__).parents[2]
    digests = {
        subprocess.run(
            [sys.executable, "-c", _PRINT],
            cwd=root,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root), "PROXY_SHARED_DATA": "/nonexistent"},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(digests) == 1
    assert len(own()) > 10
