"""What a client asks of the gateway itself, in headers: which accounts, how much thought, which session, whose key.

Every wish only narrows what the client's key may do anyway, or is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from multidict import CIMultiDict

from auth.secret import Secret
from proxy.dispatch.inquiry import Inquiry
from proxy.dispatch.own_key import HEADERS as OWN_KEYS
from proxy.dispatch.own_key import OwnKey
from proxy.dispatch.splice import joined, members
from proxy.dispatch.suffix import split_suffix
from proxy.errors import Malformed
from proxy.hub.request import Reasoning
from proxy.server.sessions import HEADER as SESSION
from proxy.server.sessions import NAME_CHARACTERS_MAX, Sessions
from proxy.wire.base import json_type, loads

PROVIDER, ACCOUNT, CLAUDE_CODE, EFFORT = "x-proxy-provider", "x-proxy-account", "x-claude-code", "x-proxy-effort"
_TRUE = frozenset({"1", "true", "yes"})
_NAME = re.compile(f"[!-~]{{1,{NAME_CHARACTERS_MAX}}}")
_KEY = re.compile("[!-~]{1,1024}")
STEERING = frozenset({PROVIDER, ACCOUNT, CLAUDE_CODE, EFFORT, SESSION, *OWN_KEYS})
WISHES_MAX = 16
"""Names in one header."""


@dataclass(slots=True, kw_only=True)
class Desk:
    """Where wishes are heard. `takes_own_keys`: as the operator says. `now`: on the loop's clock."""

    sessions: Sessions
    takes_own_keys: bool
    now: float
    new_id: Callable[[], str]


def heeded(inquiry: Inquiry, desk: Desk) -> Inquiry:
    """Raises `Malformed`."""
    is_said = "effort" in inquiry.names if inquiry.names is not None else b'"effort"' in inquiry.body
    if is_said and inquiry.wire == "openai_chat" and inquiry.operation == "generate":
        inquiry = _with_said_effort(inquiry)
    headers = inquiry.headers
    if not any(name in headers for name in STEERING):
        return inquiry
    only = tuple(_only(headers))
    inquiry = replace(
        inquiry,
        reach=replace(inquiry.reach, only=only) if only else inquiry.reach,
        reasoning=_effort(headers[EFFORT], EFFORT) if EFFORT in headers else inquiry.reasoning,
        own_key=_own_key(headers, is_taken=desk.takes_own_keys),
        headers=_without_keys(headers),
        said=None if inquiry.said is None else replace(inquiry.said, headers=_without_keys(inquiry.said.headers)),
    )
    if SESSION in headers or _is_claude_code(headers):
        return _in_session(inquiry, _session(inquiry, desk))
    return inquiry


def _in_session(inquiry: Inquiry, name: str) -> Inquiry:
    """As if the client had named it itself: what is said from now on can be resumed by that name."""
    headers = CIMultiDict(inquiry.headers)
    headers[SESSION] = name
    return replace(inquiry, headers=headers, session=name, is_session_told=True)


def told(inquiry: Inquiry) -> tuple[tuple[str, str], ...]:
    """The headers that answer a wish."""
    return ((SESSION, inquiry.session),) if inquiry.is_session_told else ()


def _is_claude_code(headers: Mapping[str, str]) -> bool:
    return headers.get(CLAUDE_CODE, "").strip().lower() in _TRUE


def _only(headers: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for name in (PROVIDER, ACCOUNT):
        if name in headers:
            wanted = tuple(each for each in (part.strip() for part in headers[name].split(",")) if each)
            if not 0 < len(wanted) <= WISHES_MAX:
                raise Malformed(f"{name} must name one to {WISHES_MAX}, with commas between them", path=name)
            yield wanted
    if _is_claude_code(headers):
        yield ("claude-code",)


def _effort(word: str, where: str) -> Reasoning:
    reasoning = split_suffix(f"model({word.strip()})")[1]
    if reasoning is None:
        raise Malformed(
            f"{where} must be none, minimal, low, medium, high, xhigh, max, auto, or a number of tokens", path=where
        )
    return reasoning


def _with_said_effort(inquiry: Inquiry) -> Inquiry:
    """``"effort": "high"`` beside OpenAI's own ``reasoning_effort``, which goes on as it is."""
    fields = members(inquiry.body)
    said = fields.pop("effort", None)
    if said is None:
        return inquiry
    word = loads(bytes(said))
    if word is None:
        return replace(inquiry, body=joined(fields))
    if not isinstance(word, str | int) or isinstance(word, bool):
        raise Malformed(f"effort must be a string or a number, not {json_type(word)}", path="effort")
    return replace(inquiry, body=joined(fields), reasoning=_effort(str(word), "effort"))


def _own_key(headers: Mapping[str, str], *, is_taken: bool) -> OwnKey | None:
    sent = [name for name in OWN_KEYS if name in headers]
    if not sent:
        return None
    if not is_taken:
        raise Malformed(f"{sent[0]} is not taken here: own-provider-keys is off", path=sent[0], code="own_key_refused")
    if len(sent) > 1 or not _KEY.fullmatch(headers[sent[0]].strip()):
        raise Malformed(f"{sent[0]} must be one key, of one provider", path=sent[0], code="own_key_refused")
    return OwnKey(OWN_KEYS[sent[0]], Secret(headers[sent[0]].strip()))


def _without_keys(headers: Mapping[str, str]) -> Mapping[str, str]:
    kept = CIMultiDict(headers)
    for name in OWN_KEYS:
        kept.popall(name, None)
    return kept


def _session(inquiry: Inquiry, desk: Desk) -> str:
    given = inquiry.headers.get(SESSION, "").strip()
    if given and not _NAME.fullmatch(given):
        raise Malformed(f"{SESSION} must be at most {NAME_CHARACTERS_MAX} printable ASCII characters", path=SESSION)
    return desk.sessions.resume(inquiry.client, given, desk.now, desk.new_id)
