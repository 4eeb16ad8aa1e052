from __future__ import annotations

from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from auth.credential import Credential
from proxy.dispatch.affinity import HEADERS, Affinity, files_of, prefix_of, session_key, session_of
from proxy.dispatch.asked import Asked
from proxy.dispatch.catalogue import Found
from proxy.dispatch.decision import Candidate
from proxy.dispatch.inquiry import Inquiry, Tie
from proxy.providers import anthropic
from proxy.wire.table import wire_named

UUID = "0b0e4a5c-6f0e-4c43-9a53-2f6b5c0d1e2f"


def inquiry(body: Any = None, wire: str = "anthropic", **headers: str) -> Inquiry:
    return Inquiry(
        request_id="r", wire=wire, operation="generate", model="m", is_stream=False,
        body=body if isinstance(body, bytes) else msgspec.json.encode(body or {}),
        headers=CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()}), query={},
    )  # fmt: skip


def candidate(name: str, model: str = "m") -> Candidate:
    return Candidate(anthropic.PROVIDER, Credential(id=name, provider="anthropic", label=name), model)


# Who names a session, and where


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_names_it(header: str) -> None:
    asked = inquiry({"prompt_cache_key": "other"})
    asked.headers.add(header.upper(), "s-1")  # type: ignore[attr-defined]
    assert session_of(asked) == "s-1"


@pytest.mark.parametrize(
    ("client", "body"),
    [
        ("Claude Code", {"metadata": {"user_id": f'{{"device_id":"d","account_uuid":"","session_id":"{UUID}"}}'}}),
        ("Claude Code, older", {"metadata": {"user_id": f"user_0f3a_account_9c1e_session_{UUID}"}}),
        ("Codex, Kimi, Copilot", {"prompt_cache_key": UUID, "input": "x" * 100}),
        ("Qwen Code", {"metadata": {"sessionId": UUID, "promptId": "p"}}),
        ("somebody", {"metadata": {"session_id": UUID}}),
        ("Gemini CLI", {"session_id": UUID, "contents": []}),
        ("somebody", {"sessionId": UUID}),
    ],
)
def test_a_field_of_the_body_names_it(client: str, body: dict[str, Any]) -> None:
    assert session_of(inquiry(body)) == UUID, client


def test_claude_codes_header_and_body_name_the_same() -> None:
    body = {"metadata": {"user_id": f'{{"session_id":"{UUID}"}}'}}
    assert session_of(inquiry(body, x_claude_code_session_id=UUID)) == session_of(inquiry(body))


@pytest.mark.parametrize(
    "body",
    [
        {}, {"metadata": None}, {"metadata": []}, {"metadata": {"user_id": "u-17"}}, {"metadata": {"user_id": "[]"}},
        {"metadata": {"user_id": 7}}, {"prompt_cache_key": None}, {"prompt_cache_key": 7}, {"session_id": ""},
        {"metadata": {"user_id": '{"session_id":7}'}}, {"user": "alice"}, b"{", b"[]", b"\xff", b'{"a":' * 5000,
    ],
)  # fmt: skip
def test_a_user_is_no_session_and_nonsense_neither(body: Any) -> None:
    assert session_of(inquiry(body, x_client_request_id="of one request")) is None


def test_a_name_of_any_length_is_cut() -> None:
    assert len(session_of(inquiry(x_session_id="s" * 100_000)) or "") == 512


def prefix(*turns: tuple[str, str], system: str = "You are.", mark: bool = False) -> str:
    messages = [
        {
            "role": role,
            "content": [{"type": "text", "text": text, **({"cache_control": {"type": "ephemeral"}} if mark else {})}],
        }
        for role, text in turns
    ]
    body = {"model": "m", "max_tokens": 9, "system": system, "messages": messages}
    return prefix_of(wire_named("anthropic").parse_request(body))  # type: ignore[arg-type]


def test_a_prefix_is_the_whole_first_turn_and_nothing_after_it() -> None:
    """The first hundred characters of a coding agent's prompt are everybody's (management-api.md, D21)."""
    long = "x" * 5000
    one = prefix(("user", long + "a"))
    assert one == prefix(("user", long + "a"), ("assistant", "yes"), ("user", "go on"))
    assert one == prefix(("user", long + "a"), mark=True)  # the mark of the cache moves with each turn
    assert one != prefix(("user", long + "b"))
    assert one != prefix(("user", long + "a"), system="You are not.")


# What is kept


def test_a_place_is_kept_until_it_expires_and_by_client_and_model() -> None:
    affinity = Affinity()
    key = session_key("alice", "s", "m")
    affinity.keep(key, candidate("a"), 100.0)
    assert affinity.find(key, 99.0) == Tie("a", model="m")
    assert affinity.find(session_key("bob", "s", "m"), 99.0) is None
    assert affinity.find(session_key("alice", "s", "other"), 99.0) is None
    assert affinity.find(key, 100.0) is None
    assert len(affinity) == 0


def test_the_least_recently_used_is_forgotten() -> None:
    affinity = Affinity(entries_max=3)
    keys = [session_key("", str(n), "m") for n in range(4)]
    for key in (*keys[:3], keys[0], keys[3]):
        affinity.keep(key, candidate("a"), 100.0)
    assert [affinity.find(key, 0.0) is not None for key in keys] == [True, False, True, True]


# Files


FILE = {"type": "document", "source": {"type": "file", "file_id": "file_011C"}}


def asked(wire: str, body: dict[str, Any]) -> Asked:
    return Asked(inquiry(body, wire), Found("m", (candidate("a"),)), wire_named(wire), created=0)


@pytest.mark.parametrize(
    ("wire", "body", "files"),
    [
        ("anthropic", {"max_tokens": 1, "messages": [{"role": "user", "content": [FILE]}]}, ["file_011C"]),
        (
            "openai_responses",
            {"model": "m", "input": [{"role": "user", "content": [
                {"type": "input_file", "file_id": "file-1"}, {"type": "input_image", "file_id": "file-2"},
                {"type": "input_file", "file_id": "file-1"},
            ]}]},
            ["file-1", "file-2"],
        ),
        (
            "openai_chat",
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
            ["file-1"],
        ),
        (
            "gemini",
            {"contents": [{"role": "user", "parts": [{"fileData": {
                "mimeType": "text/plain", "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}}]}]},
            ["https://generativelanguage.googleapis.com/v1beta/files/abc"],
        ),
        (  # a tool's argument of that name is none
            "anthropic",
            {"model": "m", "max_tokens": 1, "messages": [
                {"role": "user", "content": "x"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f",
                                                   "input": {"file_id": "file_011C"}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "y"}]},
            ]},
            [],
        ),
        ("anthropic", {"max_tokens": 1, "messages": [{"role": "user", "content": 'my "file_id" is'}]}, []),
        ("anthropic", {"messages": '"file_id"', "x": {"file_id": 1}}, []),
    ],
)  # fmt: skip
def test_the_files_of_a_request(wire: str, body: dict[str, Any], files: list[str]) -> None:
    assert files_of(asked(wire, body)) == files


def test_a_file_is_with_one_account_whatever_the_model() -> None:
    affinity = Affinity()
    affinity.keep_files("alice", ["f-1", "f-2"], candidate("a"), 0.0)
    assert affinity.find_file("alice", ["other", "f-2"], 1.0) == Tie("a", is_hard=True)
    assert affinity.find_file("bob", ["f-2"], 1.0) is None
