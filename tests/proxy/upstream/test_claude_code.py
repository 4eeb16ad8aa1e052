from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import structlog

from proxy.errors import Broken, Silent, Unreachable
from proxy.upstream import claude_code
from proxy.upstream.base import Answer, Call, CliAccount, Deadlines
from proxy.upstream.claude_code import ClaudeCode, outdated
from proxy.upstream.claude_home import LOGIN
from proxy.upstream.cli_choice import Room
from proxy.upstream.cli_pool import CliPool
from proxy.upstream.cli_traces import CliTraces
from tests.pace import SECONDS_MAX

PLAYER = Path(__file__).with_name("claude_player.py")


@dataclass(slots=True)
class Harbour:
    folder: Path
    pool: CliPool
    claude: ClaudeCode

    def call(self, *texts: str, stream: bool = True, **more: Any) -> Call:
        """The user's and the model's in turn."""
        messages: list[Any] = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
        return self.asking(messages, stream=stream, **more)

    def asking(self, messages: list[Any], *, account: str = "one", **body: Any) -> Call:
        whole = {"model": "m", "max_tokens": 9, "messages": messages, **body}
        (self.folder / account).mkdir(exist_ok=True)
        (self.folder / account / LOGIN).write_text('{"claudeAiOauth": {"accessToken": "a", "refreshToken": "r"}}')
        return Call(
            method="POST",
            url="https://api.anthropic.com/v1/messages",
            body=msgspec.json.encode(whole),
            executor="claude-code",
            account=CliAccount(id=account, home=self.folder / account),
            deadlines=Deadlines(head=20),
        )

    async def told(self, call: Call) -> dict[str, Any]:
        answer = await self.claude.send(call)
        whole: dict[str, Any] = msgspec.json.decode(await answer.read(10**6))
        return {"status": answer.status, **whole}

    async def said(self, *texts: str, **more: Any) -> str:
        whole = await self.told(self.call(*texts, stream=False, **more))
        return str(whole["content"][0]["text"])


@pytest.fixture
async def harbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Harbour]:
    """The CLI is a program that plays it; no box, as a script needs its interpreter."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "claude").write_text(f'#!/bin/sh\nexec {sys.executable} -I {PLAYER} "$@"\n')
    (programs / "claude").chmod(0o755)
    monkeypatch.setattr(claude_code, "boxed", lambda program, **_: program)
    log = cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())
    pool = CliPool(clock=time.monotonic, log=log, room=Room(processes_max=4, spares_max=0))
    ours = {"PATH": f"{programs}:/usr/bin:/bin"}
    claude = ClaudeCode(pool, data=tmp_path, traces=CliTraces(tmp_path / "state"), ours=ours)
    yield Harbour(tmp_path, pool, claude)
    await pool.close()
    await claude.close()
    assert [*(tmp_path / "state" / "clis").glob("cli-*")] == []


async def frames(answer: Answer) -> str:
    return b"".join([chunk async for chunk in answer.chunks()]).decode()


async def test_a_stream_is_passed_on(harbour: Harbour) -> None:
    answer = await harbour.claude.send(harbour.call("Who is there?"))
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    told = await frames(answer)
    assert [line[7:] for line in told.splitlines() if line.startswith("event:")] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


async def test_a_whole_answer_is_one_object(harbour: Harbour) -> None:
    told = await harbour.told(harbour.call("Who is there?", stream=False))
    assert told["content"] == [{"type": "text", "text": "0 before"}]
    assert (told["status"], told["stop_reason"], told["usage"]) == (
        200,
        "end_turn",
        {"input_tokens": 0, "output_tokens": 2},
    )


async def test_what_is_new_is_told_to_the_process_that_knows_the_rest(harbour: Harbour) -> None:
    assert await harbour.said("One.") == "0 before"
    assert await harbour.said("One.", "0 before", "Two.") == "1 before"
    assert harbour.pool.capacity.warm == 1
    assert await harbour.said("Eins.", "Ahoi.", "Zwei.") == "2 before"
    assert harbour.pool.capacity.warm == 2


async def test_accounts_have_processes_of_their_own(harbour: Harbour) -> None:
    await harbour.said("One.")
    assert await harbour.said("One.", "0 before", "Two.", account="two") == "2 before"


async def test_another_token_is_another_process(harbour: Harbour) -> None:
    """One that runs has no way to a new one: it cannot renew."""
    old, new = ((("Authorization", f"Bearer {token}"),) for token in ("old", "new"))
    await harbour.told(replace(harbour.call("One.", stream=False), headers=old))
    again = await harbour.told(replace(harbour.call("One.", "0 before", "Two.", stream=False), headers=old))
    assert (again["content"][0]["text"], harbour.pool.capacity.warm) == ("1 before", 1)
    after = await harbour.told(replace(harbour.call("One.", "0 before", "Two.", stream=False), headers=new))
    assert (after["content"][0]["text"], harbour.pool.capacity.warm) == ("2 before", 2)


async def test_a_login_that_cannot_be_read_is_no_reason_to_hang(harbour: Harbour) -> None:
    call = harbour.call("One.")
    (harbour.folder / "one" / LOGIN).write_bytes(b'{"claudeAiOauth": {"accessToken": "\xff')
    with pytest.raises(Unreachable, match="cannot be started"):
        await harbour.claude.send(call)


async def test_a_call_waits_in_its_process_for_the_result(harbour: Harbour) -> None:
    tools = [{"name": "tide", "input_schema": {"type": "object"}}]
    asked: list[Any] = [{"role": "user", "content": "use it"}]
    told = await harbour.told(harbour.asking(asked, tools=tools))
    use = {"type": "tool_use", "id": "toolu_1", "name": "tide", "input": {}}
    assert (told["content"], told["stop_reason"]) == ([use], "tool_use")
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "low"}
    asked += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    told = await harbour.told(harbour.asking(asked, tools=tools))
    assert told["content"][0]["text"] == "low tide"
    assert harbour.pool.capacity.warm == 1


async def test_a_refusal_has_the_provider_s_status_and_windows(harbour: Harbour) -> None:
    answer = await harbour.claude.send(harbour.call("limit"))
    assert (answer.status, answer.headers["anthropic-ratelimit-unified-status"]) == (429, "rejected")
    assert b"No more." in await answer.read(1000)
    answer = await harbour.claude.send(harbour.call("Who is there?"))
    assert "anthropic-ratelimit-unified-status" not in answer.headers, "that was said of then, not of now"
    answer.abort()


async def test_an_answer_that_was_cut_is_complete_and_its_process_is_not_used_again(harbour: Harbour) -> None:
    told = await harbour.told(harbour.call("cut", stream=False))
    assert (told["stop_reason"], told["content"][0]["text"]) == ("max_tokens", "0 before")
    assert harbour.pool.capacity.warm == 0


async def test_who_leaves_takes_the_process_along(harbour: Harbour) -> None:
    answer = await harbour.claude.send(harbour.call("hang"))
    assert harbour.pool.capacity.active == 1
    answer.abort()
    answer.abort()
    assert harbour.pool.capacity.warm == 0
    asking = asyncio.create_task(harbour.claude.send(harbour.call("hang", stream=False)))
    async with asyncio.timeout(SECONDS_MAX):
        while not harbour.pool.capacity.active:  # noqa: ASYNC110 - nobody tells when it has begun
            await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.wait([asking])
    assert harbour.pool.capacity.active == 0


async def test_a_process_that_dies_is_a_broken_answer(harbour: Harbour) -> None:
    with pytest.raises(Broken, match="Claude Code ended"):
        await frames(await harbour.claude.send(harbour.call("die")))
    with pytest.raises(Broken, match="Claude Code ended"):
        await harbour.claude.send(harbour.call("die", stream=False))
    assert harbour.pool.capacity.warm == 0


async def test_a_process_that_hangs_is_a_silent_one(harbour: Harbour) -> None:
    call = replace(harbour.call("hang", stream=False), deadlines=Deadlines(head=2))
    with pytest.raises(Silent, match="fell silent"):
        await harbour.claude.send(call)


async def test_a_cli_that_offers_more_than_the_caller_s_tools_is_ended(harbour: Harbour) -> None:
    with pytest.raises(Broken, match=r"what nobody asked for: \['Bash'\]"):
        await harbour.claude.send(harbour.call("odd"))


async def test_a_cli_that_refuses_to_begin_was_asked_nothing(harbour: Harbour) -> None:
    with pytest.raises(Unreachable, match="refused to begin: no"):
        await harbour.claude.send(harbour.call("One.", system="refuse"))


async def test_an_old_cli_is_refused_with_the_reason(harbour: Harbour) -> None:
    program = harbour.folder / "bin" / "claude"
    program.write_text("#!/bin/sh\necho '2.1.197 (Claude Code)'\n")
    with pytest.raises(Unreachable, match=r"2\.1\.197 is too old .* proxy cli install claude"):
        await harbour.claude.send(harbour.call("One."))
    assert outdated("2.1.328") is outdated("2.2.0-rc.1") is outdated("3.0.0") is None
    program.unlink()
    with pytest.raises(Unreachable, match="the claude CLI is not there"):
        await harbour.claude.send(harbour.call("One."))


async def test_what_cannot_be_asked_is_said_before_anything_is_started(harbour: Harbour) -> None:
    assert (await harbour.told(harbour.call("One.", "Ahoy.")))["status"] == 400
    assert (await harbour.told(replace(harbour.call("One."), body=b"{")))["status"] == 400
    assert (await harbour.told(replace(harbour.call("One."), operation="count_tokens")))["status"] == 501
    with pytest.raises(Unreachable, match="no home"):
        await harbour.claude.send(replace(harbour.call("One."), account=None))
    with pytest.raises(Unreachable, match="egress proxy only"):
        await harbour.claude.send(replace(harbour.call("One."), proxy_url="socks5://127.0.0.1:1"))
    assert harbour.pool.capacity.warm == 0


async def test_who_finds_no_room_is_sent_elsewhere(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    harbour.pool.room = Room(processes_max=1, spares_max=0)
    answer = await harbour.claude.send(harbour.call("hang"))
    monkeypatch.setattr(claude_code, "SEAT_SECONDS_MAX", 0.05)  # the first one starts its process in peace
    busy = await harbour.claude.send(harbour.call("One."))
    assert (busy.status, busy.headers["retry-after"]) == (429, "1")
    answer.abort()


async def test_a_conversation_is_resumed_by_its_name(harbour: Harbour) -> None:
    named = replace(harbour.call("One.", stream=False), session="abc", is_resuming=True)
    await harbour.told(named)
    await harbour.claude.close()
    told = await harbour.told(replace(harbour.call("Two.", stream=False), session="abc", is_resuming=True))
    assert told["content"][0]["text"] == "1 before"
