from __future__ import annotations

import msgspec

from auth.credential import Credential
from proxy.dispatch.decision import Candidate
from proxy.hub.parts import Text, Thinking, ToolCall
from proxy.hub.request import Message as Said
from proxy.hub.request import Request
from proxy.hub.residue import Residue
from proxy.providers import anthropic
from proxy.workers.memory import SharedAffinity, SharedRecall
from proxy.workers.messages import Kept, Message, Placed

MAKER = "anthropic"


def sent(news: Message) -> Message:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(news), type=Placed | Kept)


def candidate(name: str) -> Candidate:
    return Candidate(anthropic.PROVIDER, Credential(id=name, provider="anthropic", label=name), "m")


class TestAffinity:
    def test_where_a_conversation_is_known_is_told_and_not_again_with_each_word(self) -> None:
        said: list[Placed] = []
        here, there = SharedAffinity(said.append), SharedAffinity(said.append)
        for now in range(0, 50, 10):
            here.keep(b"key", candidate("a"), 3600 + now)
        assert len(said) == 1
        here.keep(b"key", candidate("a"), 3700)
        here.keep(b"key", candidate("b"), 3701)
        assert len(said) == 3
        for news in said:
            told = sent(news)
            assert isinstance(told, Placed)
            there.hear(told)
        tie = there.find(b"key", 3700.5)
        assert tie is not None
        assert (tie.credential, tie.model) == ("b", "m")
        assert len(said) == 3, "what is heard is not told again"
        assert [*there.everything()] == [*here.everything()]

    def test_files_are_known_to_all(self) -> None:
        said: list[Placed] = []
        here, there = SharedAffinity(said.append), SharedAffinity(said.append)
        here.keep_files("client", ["file-1"], candidate("a"), 10)
        there.hear(said[0])
        tie = there.find_file("client", ["file-1"], 20)
        assert tie is not None
        assert (tie.credential, tie.is_hard) == ("a", True)


class TestRecall:
    def test_what_was_thought_is_put_back_by_another(self) -> None:
        said: list[Kept] = []
        here, there = SharedRecall(said.append), SharedRecall(said.append)
        thought = Thinking(
            sections=("first", "second"), signature="signed", origin=MAKER,
            residue=Residue(wire="anthropic", fields={"a": [1, None, "x"]}, shape={"b": True}),
        )  # fmt: skip
        call = ToolCall(id="call-1", name="look", origin=MAKER)
        here.remember("client", [thought, call], 10)
        for news in said:
            told = sent(news)
            assert isinstance(told, Kept)
            there.hear(told)
        request = Request(
            model="m", messages=(Said(role="user", parts=(Text(text="hi"),)), Said(role="assistant", parts=(call,)))
        )
        restored = there.restore("client", request, maker=MAKER, now=20)
        assert restored == here.restore("client", request, maker=MAKER, now=20)
        assert restored.messages[1].parts == (thought, call)
        assert there.restore("another", request, maker=MAKER, now=20) == request
        assert len(said) == 1
        assert [*there.everything()] == said
