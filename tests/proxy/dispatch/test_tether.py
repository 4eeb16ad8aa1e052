"""Playbooks of conversations: which account serves the next turn."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from multidict import CIMultiDict

from auth.standing import ALL_MODELS, Setback
from proxy.config.schema import Config, Routing
from proxy.config.settings import Duration
from proxy.dispatch.inquiry import Refused, Tie
from proxy.dispatch.snapshot import Snapshot
from proxy.dispatch.tether import Tether
from proxy.providers import anthropic, claude_code
from proxy.providers.base import Provider
from proxy.wire.table import wire_named

MODEL = "claude-opus-5"
BODY = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
ANSWER = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
    "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}  # fmt: skip
LIMITED = {"type": "error", "error": {"type": "rate_limit_error", "message": "m"}}
FAILED = {"type": "error", "error": {"type": "api_error", "message": "m"}}
NO_FILE = {"type": "error", "error": {"type": "not_found_error", "message": "File not found: file_011C"}}


class Talk:
    """`script`: by key, what its account answers instead of an answer."""

    def __init__(self, lab: Any, make: Any, config: Config) -> None:
        self.lab = lab
        self.make = make
        self.script: dict[str, Any] = {}
        self.dispatcher = lab.dispatcher(config, self.answer)

    def answer(self, call: Any) -> Any:
        key = dict(call.headers)["x-api-key"]
        return self.script.get(key, self.make.whole(ANSWER))

    async def turn(self, session: str = "s", body: Mapping[str, Any] | None = None, **fields: Any) -> str:
        """Which account served, and by which rule."""
        headers = CIMultiDict({"x-claude-code-session-id": session} if session else {})
        inquiry = self.lab.inquiry("anthropic", body or BODY, headers=headers, **fields)
        await self.lab.read(await self.dispatcher.open(inquiry))
        decision = self.dispatcher.recent[-1][1]
        label = decision.chosen.credential.label if decision.chosen else "nobody"
        return f"{label.rpartition(' ')[2]} {decision.rule}"


def config(make: Any, *priorities: int, **routing: Any) -> Config:
    keys = [make.keys(f"k{n}", priority=priority)[0] for n, priority in enumerate(priorities, 1)]
    return Config(claude_api_key=tuple(keys), routing=Routing(**routing), request_retry=0)


async def test_a_conversation_stays_and_new_ones_take_turns(lab: Any, make: Any) -> None:
    talk = Talk(lab, make, config(make, 0, 0, 0))
    assert [await talk.turn(session) for session in "abcabcaa"] == [
        "1 round-robin", "2 round-robin", "3 round-robin",
        "1 affinity", "2 affinity", "3 affinity", "1 affinity", "1 affinity",
    ]  # fmt: skip


async def test_without_a_name_nobody_is_kept(lab: Any, make: Any) -> None:
    talk = Talk(lab, make, config(make, 0, 0))
    assert [await talk.turn("") for _ in range(3)] == ["1 round-robin", "2 round-robin", "1 round-robin"]


async def test_switched_off_it_is_off(lab: Any, make: Any) -> None:
    talk = Talk(lab, make, config(make, 0, 0, session_affinity=False))
    assert [await talk.turn() for _ in range(3)] == ["1 round-robin", "2 round-robin", "1 round-robin"]


async def test_silence_is_remembered_for_so_long_and_speaking_begins_anew(lab: Any, make: Any) -> None:
    talk = Talk(lab, make, config(make, 0, 0, session_affinity_ttl=Duration(60.0)))
    await talk.turn()
    for _ in range(3):
        lab.time.now += 59
        assert await talk.turn() == "1 affinity"
    lab.time.now += 61
    assert await talk.turn() == "2 round-robin"


async def test_it_survives_a_transient_fault(lab: Any, make: Any) -> None:
    talk = Talk(lab, make, config(make, 0, 0))
    await talk.turn()
    talk.script = {"k1": make.whole(FAILED, 500)}
    assert await talk.turn() == "2 round-robin"
    talk.script = {}
    lab.time.now += 5
    assert await talk.turn() == "1 affinity"


@pytest.mark.parametrize("status", [429, 401, 403])
async def test_it_moves_when_its_account_has_to_rest_and_stays_there(lab: Any, make: Any, status: int) -> None:
    talk = Talk(lab, make, config(make, 0, 0))
    await talk.turn()
    talk.script = {"k1": make.whole(LIMITED, status, retry_after="60")}
    assert await talk.turn() == "2 round-robin"
    talk.script = {}
    lab.time.now += 1800
    assert await talk.turn() == "2 affinity"


async def test_it_moves_when_its_account_is_gone(lab: Any, make: Any) -> None:
    talk = Talk(lab, make, config(make, 0, 0))
    await talk.turn()
    lab.snapshot = Snapshot.of(Config(claude_api_key=make.keys("k2", "k3")))
    assert [await talk.turn() for _ in range(2)] == ["1 round-robin", "1 affinity"]
    assert dict(lab.upstream.calls[-1].headers)["x-api-key"] == "k2"


async def test_priority_comes_before_it_and_it_comes_back(lab: Any, make: Any) -> None:
    """An account of lower priority stood in; the better one is not starved for that (management-api.md, D21)."""
    talk = Talk(lab, make, config(make, 5, 0))
    talk.script = {"k1": make.whole(LIMITED, 429, retry_after="60")}
    assert [await talk.turn() for _ in range(2)] == ["2 round-robin", "2 affinity"]
    talk.script = {}
    lab.time.now += 61
    assert [await talk.turn() for _ in range(2)] == ["1 round-robin", "1 affinity"]


async def test_somebody_busy_is_stood_in_for(lab: Any, make: Any) -> None:
    keys = (*make.keys("k1", concurrency=1), *make.keys("k2"))
    talk = Talk(lab, make, Config(claude_api_key=keys))
    assert await talk.turn() == "1 round-robin"
    lease = lab.pool.lend(talk.dispatcher.recent[-1][1].chosen.key, lab.time.now, at_most=1)
    assert await talk.turn() == "2 round-robin"
    lab.pool.give_back(lease)
    assert await talk.turn() == "1 affinity"


async def test_another_client_of_the_same_session_name_is_another(lab: Any, make: Any) -> None:
    talk = Talk(lab, make, config(make, 0, 0))
    assert await talk.turn(client="alice") == "1 round-robin"
    assert await talk.turn(client="bob") == "2 round-robin"


async def test_a_tie_that_the_server_brings_comes_before_the_sessions(lab: Any, make: Any) -> None:
    talk = Talk(lab, make, config(make, 0, 0, 0))
    await talk.turn()
    other = talk.dispatcher.recent[-1][1].chosen.credential.id
    lab_ids = [each.id for each in lab.snapshot.credentials]
    third = next(each for each in lab_ids[::-1] if each != other)
    assert await talk.turn(tie=Tie(third)) == "3 affinity"
    assert await talk.turn(tie=Tie(third, is_hard=True)) == "3 bound"
    assert await talk.turn() == "1 affinity"


async def test_the_first_turn_names_a_conversation_where_that_is_wanted(lab: Any, make: Any) -> None:
    talk = Talk(lab, make, config(make, 0, 0, prefix_affinity=True))
    second = {**BODY, "messages": [{"role": "user", "content": "y"}]}
    longer = {**BODY, "messages": [*BODY["messages"], {"role": "assistant", "content": "a"},  # type: ignore[misc]
                                   {"role": "user", "content": "b"}]}  # fmt: skip
    assert [await talk.turn("", body) for body in (BODY, second, longer, second)] == [
        "1 round-robin", "2 round-robin", "1 affinity", "2 affinity",
    ]  # fmt: skip


# Files


WITH_FILE = {
    **BODY,
    "messages": [
        {"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "file_011C"}}]}
    ],
}


async def test_a_file_is_looked_for_and_then_binds(lab: Any, make: Any) -> None:
    talk = Talk(lab, make, config(make, 0, 0, 0))
    talk.script = {"k1": make.whole(NO_FILE, 404), "k2": make.whole(NO_FILE, 404)}
    assert await talk.turn("", WITH_FILE) == "3 round-robin"
    assert len(lab.upstream.calls) == 3
    assert list(lab.pool.standings(lab.time.now)) == []
    assert [await talk.turn("", WITH_FILE) for _ in range(3)] == ["3 bound"] * 3
    talk.script = {}
    assert await talk.turn("") == "1 round-robin"


async def test_no_other_account_is_asked_for_a_file_that_it_has_not(lab: Any, make: Any) -> None:
    talk = Talk(lab, make, config(make, 0, 0))
    assert await talk.turn("", WITH_FILE) == "1 round-robin"
    chosen = talk.dispatcher.recent[-1][1].chosen
    limit = Setback(model=ALL_MODELS, why="it is rate limited", seconds=600.0, is_stated=True)
    lab.pool.fail(lab.pool.lend(chosen.key, lab.time.now), limit, lab.time.now)
    with pytest.raises(Refused) as refused:
        await talk.turn("", WITH_FILE)
    assert refused.value.failure.message.splitlines()[1:] == [
        "- anthropic key 1: cooling: it is rate limited; back in 10 min"
    ]


async def test_a_file_that_nobody_has_is_the_clients_mistake(lab: Any, make: Any) -> None:
    talk = Talk(lab, make, config(make, 0, 0))
    talk.script = dict.fromkeys(("k1", "k2"), make.whole(NO_FILE, 404))
    with pytest.raises(Refused) as refused:
        await talk.turn("", WITH_FILE)
    assert (refused.value.failure.status, refused.value.failure.message) == (404, "File not found: file_011C")


async def test_googles_way_of_saying_so_opens_no_login(lab: Any, make: Any) -> None:
    body = {"error": {
        "code": 403, "status": "PERMISSION_DENIED",
        "message": "You do not have permission to access the File abc or it may not exist.",
    }}  # fmt: skip
    dispatcher = lab.dispatcher(
        Config(gemini_api_key=make.keys("k1", "k2"), request_retry=0), lambda _call: make.whole(body, 403)
    )
    uri = "https://generativelanguage.googleapis.com/v1beta/files/abc"
    ask = {"contents": [{"role": "user", "parts": [{"fileData": {"fileUri": uri, "mimeType": "text/plain"}}]}]}
    with pytest.raises(Refused) as refused:
        await dispatcher.open(lab.inquiry("gemini", msgspec.json.encode(ask), model="gemini-3-pro-preview"))
    assert (refused.value.failure.status, refused.value.failure.kind) == (404, "not_found")
    assert list(lab.pool.standings(lab.time.now)) == []


@pytest.mark.parametrize(
    ("provider", "headers", "is_kept"),
    [
        (claude_code.PROVIDER, {}, True),
        (claude_code.PROVIDER, {"user-agent": "claude-cli/2", "x-claude-code-session-id": ""}, False),
        (anthropic.PROVIDER, {}, False),
    ],
    ids=["by the CLI", "the CLI's own", "by a key"],
)
async def test_a_conversation_that_a_cli_remembers_needs_no_name(
    lab: Any, provider: Provider, headers: Mapping[str, str], *, is_kept: bool
) -> None:
    inquiry = lab.inquiry("anthropic", BODY, headers=CIMultiDict(headers))
    asked = SimpleNamespace(
        inquiry=inquiry,
        found=SimpleNamespace(candidates=[SimpleNamespace(provider=provider)] * 2, providers=(provider,)),
        request=wire_named("anthropic").parse_request(BODY),  # type: ignore[arg-type]
    )
    tether = Tether(cast("Any", None), cast("Any", SimpleNamespace(config=Config())), cast("Any", asked))
    assert (tether._prefix() is not None) == is_kept
