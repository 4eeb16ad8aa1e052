"""The driver of ACP CLIs, with a program that stands in for Gemini CLI; the real one is in tests/backends."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from multidict import CIMultiDict

from proxy.errors import Broken, Unreachable, UpstreamError
from proxy.upstream import acp_start, acp_turn
from proxy.upstream.acp import PROFILES, Acp
from proxy.upstream.base import Answer, Call, CliAccount
from proxy.upstream.cli_choice import Room
from proxy.upstream.cli_pool import CliPool
from proxy.upstream.cli_traces import CliTraces
from tests.proxy.upstream.reply import Reply

STAND_IN = Path(__file__).with_name("acp_stand_in.py")
MODEL = "gemini-3-pro-preview"


def said(text: str, finish: str = "STOP") -> tuple[bytes, ...]:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": finish}
    return (b"data: %b\r\n\r\n" % msgspec.json.encode({"response": {"candidates": [candidate]}}),)


class Provider:
    """`proxy.upstream.base.Upstream`. `replies`: in turn; the last one again and again."""

    def __init__(self) -> None:
        self.replies: list[Reply | UpstreamError] = [Reply(said("Ahoy."))]
        self.asked: list[tuple[str, list[tuple[str, str]]]] = []
        """The conversation, and what was said in it."""
        self.calls: list[Call] = []

    async def send(self, call: Call) -> Answer:
        inner = msgspec.json.decode(call.body)["request"]
        told = [(each["role"], "".join(part["text"] for part in each["parts"])) for each in inner["contents"]]
        self.asked.append((inner["session_id"], told))
        self.calls.append(call)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, UpstreamError):
            raise reply
        return reply if reply.held is not None else Reply(reply.pieces, reply.status, reply.headers)

    async def close(self) -> None:
        pass


@dataclass(eq=False)
class Stage:
    folder: Path
    provider: Provider
    pool: CliPool
    acp: Acp

    def call(self, *texts: str, system: str = "", session: str = "", verb: str = "streamGenerateContent") -> Call:
        """The user's and the model's in turn."""
        contents = [{"role": ("user", "model")[n % 2], "parts": [{"text": text}]} for n, text in enumerate(texts)]
        body = {"contents": contents, "systemInstruction": {"parts": [{"text": system}]}}
        return Call(
            method="POST",
            url=f"https://code-assist.test/v1internal:{verb}",
            headers=(("authorization", "Bearer ya29.harbour"),),
            body=msgspec.json.encode(body),
            model=MODEL,
            account=CliAccount(id="gemini-1", home=self.folder / "home", project="p"),
            session=session,
            is_resuming=bool(session),
        )

    async def say(self, *texts: str, **more: Any) -> bytes:
        answer = await self.acp.send(self.call(*texts, **more))
        told = b"".join([piece async for piece in answer.chunks()])
        await answer.release()
        return told

    async def heard(self, method: str) -> dict[str, Any]:
        """What the stand-in was told, by the one process that there is."""
        async with asyncio.timeout(60):
            while True:
                for file in (self.folder / "state").rglob("told.jsonl"):
                    for line in file.read_bytes().splitlines():
                        message: dict[str, Any] = msgspec.json.decode(line)
                        if message.get("method") == method:
                            return message
                await asyncio.sleep(0.01)


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(acp_start, "boxed", lambda command, **_: [*command])  # Python reads all over the place
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gemini").write_text(STAND_IN.read_text())
    (tmp_path / "bin" / "gemini").chmod(0o755)
    (tmp_path / "bin" / "node").symlink_to(sys.executable)
    provider, traces = Provider(), CliTraces(tmp_path / "state")
    pool = CliPool(clock=time.monotonic, log=structlog.get_logger(), room=Room())
    ours = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    acp = Acp(PROFILES[0], pool, provider, data=tmp_path, traces=traces, ours=ours)
    yield Stage(tmp_path, provider, pool, acp)
    await pool.close()
    await acp.close()
    assert [*(tmp_path / "state" / "clis").glob("cli-*")] == []


async def test_the_cli_s_own_request_goes_on_in_the_account_s_name(stage: Stage) -> None:
    told = await stage.say("Who is there?", system="Be kind.")
    assert b'"Ahoy."' in told
    assert b"response" not in told, "without the envelope"
    (call,) = stage.provider.calls
    headers = CIMultiDict(call.headers)
    assert (headers["authorization"], headers["x-own"]) == ("Bearer ya29.harbour", "yes")
    assert call.url == "https://code-assist.test/v1internal:streamGenerateContent?alt=sse"
    assert msgspec.json.decode(call.body)["request"]["systemInstruction"]["parts"] == [{"text": "Be kind."}]


async def test_a_conversation_goes_on_where_it_was_left(stage: Stage) -> None:
    await stage.say("One.")
    await stage.say("One.", "Ahoy.", "Two.")
    await stage.say("Another.")
    (first, _), (second, told), (third, _) = stage.provider.asked
    assert first == second != third
    assert told == [("user", "One."), ("model", "Ahoy."), ("user", "Two.")]
    assert stage.pool.capacity.warm == 1


async def test_a_history_that_it_does_not_know_is_told_and_nobody_asked_about_it(stage: Stage) -> None:
    await stage.say("One.", "Two boats.", "Sure?")
    assert [told for _, told in stage.provider.asked] == [
        [("user", "One."), ("model", "Two boats."), ("user", "Sure?")]
    ]


async def test_a_conversation_is_resumed_by_its_name(stage: Stage) -> None:
    await stage.say("One.", session="abc")
    await stage.say("Two.", session="abc")
    await stage.say("Three.", session="def")
    assert stage.provider.asked[1][1] == [("user", "One."), ("model", "Ahoy."), ("user", "Two.")]
    assert stage.provider.asked[2][1] == [("user", "Three.")]


async def test_whoever_wants_it_whole_gets_it_whole(stage: Stage) -> None:
    answer = await stage.acp.send(stage.call("Who is there?", verb="generateContent"))
    whole = msgspec.json.decode(await answer.read(10_000))
    assert whole["candidates"][0]["content"]["parts"] == [{"text": "Ahoy."}]
    stage.provider.replies = [Reply(said("Aho", finish=""))]
    answer = await stage.acp.send(stage.call("And now?", verb="generateContent"))
    with pytest.raises(Broken, match="cut off"):
        await answer.read(10_000)


async def test_the_provider_s_refusal_is_the_caller_s_and_asked_for_once(stage: Stage) -> None:
    stage.provider.replies = [Reply((b'{"error":{}}',), status=429, headers=CIMultiDict({"retry-after": "7"}))]
    answer = await stage.acp.send(stage.call("Who is there?"))
    assert (answer.status, answer.headers["retry-after"], await answer.read(99)) == (429, "7", b'{"error":{}}')
    assert len(stage.provider.asked) == 1
    stage.provider.replies = [Unreachable("nobody is there")]
    with pytest.raises(Unreachable):
        await stage.acp.send(stage.call("Who is there?"))


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("die", "ended"),
        ("ask nobody", "asked nobody"),
        ("ask another model", "it asks another where gemini-3-pro"),
        ("offer a shell", "it offers tools of its own: run_shell_command"),
    ],
)
async def test_one_that_does_not_ask_what_is_asked_is_another_account_s_chance(
    stage: Stage, how: str, why: str
) -> None:
    with pytest.raises(Broken, match=why):
        await stage.acp.send(stage.call(how))
    assert stage.provider.asked == []
    assert await stage.say("Who is there?")


async def test_one_that_falls_silent_is_not_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await stage.say("Who is there?")
    monkeypatch.setattr(acp_turn, "ASKED_SECONDS_MAX", 0.2)
    with pytest.raises(UpstreamError, match="in time"):
        await stage.acp.send(stage.call("fall silent"))
    await stage.heard("session/cancel")
    assert stage.pool.capacity.active == 0


async def test_a_caller_that_leaves_ends_the_turn(stage: Stage) -> None:
    reply = Reply(said("Ahoy", finish=""), held=asyncio.Event())
    stage.provider.replies = [reply]
    answer = await stage.acp.send(stage.call("Who is there?"))
    assert await anext(answer.chunks())
    answer.abort()
    assert reply.is_aborted, "the provider hears of it first"
    await stage.heard("session/cancel")
    assert stage.pool.capacity.active == 0


async def test_a_version_that_lacks_a_switch_is_refused(stage: Stage) -> None:
    stage.acp._starter._ours = {**stage.acp._starter._ours, "TZ": "0.60.9"}
    with pytest.raises(Broken, match=r"0\.60\.9 is not known to heed"):
        await stage.acp.send(stage.call("Who is there?"))


async def test_what_cannot_be_told_is_refused_with_its_reason(stage: Stage) -> None:
    answer = await stage.acp.send(stage.call("One.", "Ahoy."))
    told = msgspec.json.decode(await answer.read(1000))
    assert (answer.status, told["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "the last one is not the user's" in told["error"]["message"]
    call = stage.call("One.")
    with pytest.raises(Broken, match="no login"):
        await stage.acp.send(Call(method="POST", url=call.url, body=call.body, model=MODEL))
