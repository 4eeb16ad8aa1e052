"""Signed webhooks, by the Standard Webhooks specification: ``webhook-id``, ``-timestamp`` and ``-signature``.

They are looked for every few seconds and sent off the request's path. A receiver that fails is tried again for some
minutes, with the same id; one that stays away costs a line of the log. The queue is bounded: the oldest goes.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

import aiohttp
import msgspec

from auth.secret import Secret
from management.accounts import Teller, accounts
from management.alerts import DEAD, REFUSED, UNCOUNTED, Alert, Low, Picture, Repeats, Seen, alerts
from management.state import State
from proxy.config.webhooks import Webhook
from proxy.providers.base import USER_AGENT

PERIOD_SECONDS = 2.0
TRIES = 5
FIRST_WAIT_SECONDS = 2.0
SECONDS_MAX = 10.0
REPEAT_SECONDS = 300.0
"""So long the same is not told again: an account that comes and goes is one piece of news."""
WAITING_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    id: str
    at: int
    body: bytes

    def headers(self, secret: Secret) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "webhook-id": self.id,
            "webhook-timestamp": str(self.at),
            "webhook-signature": signature(secret, self.id, self.at, self.body),
        }


def signature(secret: Secret, message_id: str, at: int, body: bytes) -> str:
    signed = f"{message_id}.{at}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()


def key_of(secret: Secret) -> bytes:
    """``whsec_`` and base64, as the specification has it; any other word as it stands."""
    text = secret.reveal()
    if text.startswith("whsec_"):
        try:
            return base64.b64decode(text.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return text.encode()


def picture_of(state: State) -> Picture:
    teller, refused = Teller(state), state.pool.refused()
    return {account.id: _seen(teller.told(account), is_refused=account.id in refused) for account in accounts(state)}


def _seen(told: Mapping[str, object], *, is_refused: bool) -> Seen:
    status = str(told["status"])
    windows = cast("Sequence[Mapping[str, object]]", told["windows"])
    return Seen(
        label=str(told["label"]),
        provider=str(told["provider"]),
        state=REFUSED if is_refused and status not in {*DEAD, *UNCOUNTED} else status,
        why=str(told["status_message"]),
        windows={
            str(each["name"]): float(used)
            for each in windows
            if each["is_current"] and isinstance(used := each["used_percent"], int | float)
        },
    )


@dataclass(slots=True)
class Herald:
    """`run` until cancelled."""

    state: State
    _before: Picture = field(default_factory=dict)
    _repeats: dict[str, Repeats] = field(default_factory=dict)
    _low: dict[str, Low] = field(default_factory=dict)
    _sending: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        try:
            while True:
                if self.state.config().webhooks:
                    await self.look()
                await asyncio.sleep(PERIOD_SECONDS)
        finally:
            for each in self._sending:
                each.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    async def look(self) -> None:
        now = await asyncio.to_thread(picture_of, self.state)
        for alert in alerts(self._before, now):
            for webhook in self.state.config().webhooks:
                if self._is_wanted(alert, webhook):
                    self._send(alert, webhook)
        self._before = now
        for webhook in self.state.config().webhooks:
            for alert in self._of(webhook).due(self.state.clock.unix()):
                self._send(alert, webhook)

    def _of(self, webhook: Webhook) -> Repeats:
        return self._repeats.setdefault(webhook.url, Repeats(REPEAT_SECONDS))

    def _is_wanted(self, alert: Alert, webhook: Webhook) -> bool:
        if webhook.events and alert.type not in webhook.events:
            return False
        if alert.type == "quota.low":
            low = self._low.setdefault(webhook.url, Low())
            return low.is_news(alert.subject, alert.used, float(webhook.quota_percent))
        return self._of(webhook).is_news(alert, self.state.clock.unix())

    def _send(self, alert: Alert, webhook: Webhook) -> None:
        if len(self._sending) >= WAITING_MAX:
            self.state.log.error("webhook.dropped", type=alert.type, why=f"{WAITING_MAX} wait already")
            return
        task = asyncio.create_task(self._delivered(_message(alert, self.state.clock.unix()), alert.type, webhook))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _delivered(self, message: Message, kind: str, webhook: Webhook) -> None:
        why = ""
        for attempt in range(TRIES):
            if attempt:
                await self.state.clock.sleep(FIRST_WAIT_SECONDS * 4.0 ** (attempt - 1))
            why = await posted(message, webhook)
            if not why:
                self.state.log.info("webhook.sent", type=kind, id=message.id)
                return
        self.state.log.error("webhook.failed", type=kind, id=message.id, why=why)


def _message(alert: Alert, unix: float) -> Message:
    at = datetime.fromtimestamp(unix, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    body = msgspec.json.encode({"type": alert.type, "timestamp": at, "data": alert.data})
    digest = hashlib.sha256(body + repr(unix).encode()).hexdigest()[:24]
    return Message(id=f"msg_{digest}", at=int(unix), body=body)


async def posted(message: Message, webhook: Webhook) -> str:
    """Empty: it has arrived. Else why not, without the address, which may hold a secret."""
    try:
        async with (
            asyncio.timeout(SECONDS_MAX),
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False) as session,
            session.post(
                webhook.url, data=message.body, headers=message.headers(webhook.secret), allow_redirects=False
            ) as answer,
        ):
            return "" if 200 <= answer.status < 300 else f"the receiver answered {answer.status}"
    except TimeoutError:
        return f"the receiver did not answer within {SECONDS_MAX:.0f} s"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return type(error).__name__
