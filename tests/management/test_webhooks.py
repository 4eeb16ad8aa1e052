"""Signed messages to a real receiver, which checks them as the specification says."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from auth.secret import Secret
from auth.standing import ALL_MODELS, Setback
from management import webhooks
from management.webhooks import key_of, signature
from tests.pace import SECONDS_MAX

WORD = "whsec_" + base64.b64encode(b"a-key-of-twenty-four-bytes").decode()


class Receiver:
    def __init__(self) -> None:
        self.messages: list[tuple[dict[str, str], bytes]] = []
        self.failing = 0
        self.url = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.messages.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        if self.failing:
            self.failing -= 1
            return web.Response(status=503)
        return web.Response(status=204)

    async def told(self, number: int) -> list[Any]:
        async with asyncio.timeout(SECONDS_MAX):
            while len(self.messages) < number:  # noqa: ASYNC110 - the server knows nothing of this list
                await asyncio.sleep(0.01)
        return [msgspec.json.decode(body) for _, body in self.messages]


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    monkeypatch.setattr(webhooks, "PERIOD_SECONDS", 0.02)
    monkeypatch.setattr(webhooks, "FIRST_WAIT_SECONDS", 0.01)
    receiver = Receiver()
    async with RawTestServer(receiver.answer) as server:
        receiver.url = str(server.make_url("/hook?token=x"))
        yield receiver


def config(receiver: Receiver, more: str = "") -> str:
    return f"webhooks: [{{url: '{receiver.url}', secret: '{WORD}'{more}}}]\n"


def break_account(stage: Any, number: int = 0) -> str:
    pool, now = stage.house.pool, stage.house.clock.monotonic()
    credential: str = stage.house.standpoint.snapshot.credentials[number].id
    lease = pool.lend((credential, ALL_MODELS), now)
    pool.fail(lease, Setback(model=ALL_MODELS, why="its key was refused", seconds=None), now)
    pool.give_back(lease)
    return credential


async def test_a_dead_account_and_its_recovery_are_told_and_signed(open_stage: Any, receiver: Receiver) -> None:
    async with open_stage(config(receiver)) as stage:
        credential = break_account(stage)
        (dead,) = await receiver.told(1)
        assert (dead["type"], dead["data"]["account"]) == ("account.dead", credential)
        assert dead["data"]["why"] == "its key was refused"
        headers, body = receiver.messages[0]
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        wanted = base64.b64encode(hmac.new(b"a-key-of-twenty-four-bytes", signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{wanted}"
        stage.house.pool.reset(credential)
        assert [each["type"] for each in await receiver.told(2)] == ["account.dead", "account.recovered"]


async def test_a_key_that_is_refused_again_is_dead_until_it_serves(open_stage: Any, receiver: Receiver) -> None:
    async with open_stage(config(receiver)) as stage:
        pool, now = stage.house.pool, stage.house.clock.monotonic()
        credential: str = stage.house.standpoint.snapshot.credentials[0].id
        refused = Setback(model=ALL_MODELS, why="its key was refused", seconds=60.0, is_refused=True)
        for at in (now - 300, now - 200):
            pool.fail(pool.lend((credential, ALL_MODELS), at), refused, at)
        (dead,) = await receiver.told(1)
        assert (dead["type"], dead["data"]["account"]) == ("account.dead", credential)
        assert (await stage.get("/cooldowns"))["cooldowns"] == [], "its rest is over, and nobody has asked it since"
        pool.succeed(pool.lend((credential, ALL_MODELS), now))
        assert [each["type"] for each in await receiver.told(2)] == ["account.dead", "account.recovered"]


async def test_a_receiver_that_fails_gets_the_same_message_again(open_stage: Any, receiver: Receiver) -> None:
    receiver.failing = 2
    async with open_stage(config(receiver)) as stage:
        break_account(stage)
        first, second, third = await receiver.told(3)
        assert first == second == third
        assert len({headers["webhook-id"] for headers, _ in receiver.messages}) == 1


async def test_only_what_was_asked_for_is_sent(open_stage: Any, receiver: Receiver) -> None:
    async with open_stage(config(receiver, ", events: [pool.empty]")) as stage:
        for number in range(2):
            break_account(stage, number)
        told = await receiver.told(1)
        assert [(each["type"], each["data"]) for each in told] == [
            ("pool.empty", {"provider": "sandbox-claude", "accounts": 2})
        ]


async def test_nobody_listens_and_the_server_goes_on(open_stage: Any, receiver: Receiver) -> None:
    async with open_stage(f"webhooks: [{{url: 'http://127.0.0.1:1/x', secret: '{WORD}'}}]\n") as stage:
        break_account(stage)
        assert (await stage.chat()).status == 200
    assert receiver.messages == []


@pytest.mark.parametrize(
    ("word", "key"),
    [(WORD, b"a-key-of-twenty-four-bytes"), ("plain-word-of-mine", b"plain-word-of-mine"), ("whsec_%", b"whsec_%")],
)
def test_the_word_is_the_key(word: str, key: bytes) -> None:
    assert key_of(Secret(word)) == key


def test_the_specifications_own_example() -> None:
    """From standardwebhooks.com."""
    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    told = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert told == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_webhooks_secret_is_masked_and_its_faults_are_told(open_stage: Any, receiver: Receiver) -> None:
    async with open_stage(config(receiver)) as stage:
        (listed,) = (await stage.get("/webhooks"))["webhooks"]
        assert listed["secret"].startswith("•••")
        answer = await stage.ask("PUT", "/webhooks", [{"url": "ftp://x", "secret": "short"}])
        assert answer.status in {400, 422}
