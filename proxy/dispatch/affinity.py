"""Conversations stay where their prompt is cached: which account serves a client's session, has its files, and gave it
the state of a turn (`proxy.dispatch.turn_state`).

A session is known by the name that its client gives it: a header, else a field of the body. Where there is none and
``routing.prefix-affinity`` asks for it, by the hash of its first turn. Bounded, expiring, kept by client: nobody finds
another's. The clock is passed in.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from proxy.dispatch.asked import FILE_MARKS, Asked
from proxy.dispatch.decision import Candidate
from proxy.dispatch.inquiry import Inquiry, Tie
from proxy.errors import Malformed
from proxy.hub.parts import Media, Part, Text, ToolResult
from proxy.hub.request import Request

ENTRIES_MAX = 50_000
NAME_CHARACTERS_MAX = 512
FILE_SECONDS = 7 * 86400.0
"""How long it is remembered where a file was found; using it begins anew."""
TURN_SECONDS = 6 * 3600.0
"""How long a turn of a coding CLI may go on."""
FILES_MAX = 64
"""Of one request that are looked up."""

RESUMING_HEADER = "x-claude-session-id"
"""Names a session whose history its client leaves to the CLI behind it."""
HEADERS = (
    "x-claude-code-session-id",  # Claude Code
    "session-id",  # Codex
    "session_id",
    "thread-id",
    "x-session-affinity",  # OpenCode, Qwen Code
    "x-session-id",
    RESUMING_HEADER,
    "x-grok-session-id",
    "x-grok-conv-id",
    "x-conversation-id",
    "conversation-id",
    "conversation_id",
)
"""That name a session, the surest first. Not among them: what names a request or a user."""
_LEGACY_USER = re.compile(r"_session_([A-Za-z0-9-]{8,64})$")
"""Claude Code's ``metadata.user_id``, before it became JSON."""


class _Spoken(msgspec.Struct):
    """What a body may say of its session. Everything else is skipped unread."""

    metadata: object = None
    prompt_cache_key: object = None
    session_id: object = None
    sessionId: object = None  # noqa: N815 - the wire's own spelling


NAMES = frozenset(_Spoken.__struct_fields__)
_spoken = msgspec.json.Decoder(_Spoken).decode
_object = msgspec.json.Decoder(dict[str, object]).decode


def session_of(inquiry: Inquiry) -> str | None:
    """The client's name for the session."""
    if inquiry.session:
        return inquiry.session[:NAME_CHARACTERS_MAX]
    named = named_in(inquiry.headers) if inquiry.named is None else inquiry.named
    if named:
        return named
    if inquiry.names is not None and inquiry.names.isdisjoint(NAMES):
        return None
    try:
        spoken = _spoken(inquiry.body)
    except (ValueError, RecursionError):
        return None
    spoken_names = (_in_metadata(spoken.metadata), spoken.prompt_cache_key, spoken.session_id, spoken.sessionId)
    return next((each[:NAME_CHARACTERS_MAX] for each in spoken_names if isinstance(each, str) and each), None)


def named_in(headers: Mapping[str, str]) -> str:
    """Empty: they name none."""
    for header in HEADERS:
        value = headers.get(header)
        if value:
            return value[:NAME_CHARACTERS_MAX]
    return ""


def conversation_of(inquiry: Inquiry) -> str:
    """The session's name, as no other client can have it; empty: there is none."""
    session = session_of(inquiry)
    return "" if session is None else _key(inquiry.client, "conversation", session).hex()


def _in_metadata(metadata: object) -> object:
    """``session_id``, ``sessionId`` (Qwen Code), or inside of ``user_id``, which Claude Code writes as JSON."""
    if not isinstance(metadata, Mapping):
        return None
    for key in ("session_id", "sessionId"):
        if metadata.get(key):
            return metadata[key]
    user = metadata.get("user_id")
    if not isinstance(user, str):
        return None
    match = _LEGACY_USER.search(user)
    if match:
        return match[1]
    try:
        return _object(user).get("session_id")
    except (ValueError, RecursionError):
        return None


def prefix_of(request: Request) -> str:
    """The instructions and everything up to the first turn of the user's, as a hash. Texts alone: cache marks move."""
    digest = hashlib.sha256()
    for text in _texts(request.instructions):
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    for message in request.messages:
        for text in _texts(message.parts):
            digest.update(text.encode("utf-8", "surrogatepass") + b"\1")
        if message.role == "user":
            break
    return f"prefix:{digest.hexdigest()}"


def _texts(parts: tuple[Part, ...]) -> Iterator[str]:
    return (part.text for part in parts if isinstance(part, Text))


def files_of(asked: Asked) -> list[str]:
    """Ids of files that lie with one account of a provider."""
    if asked.marks.isdisjoint(FILE_MARKS):
        return []
    try:
        messages = asked.request.messages
    except Malformed:
        return []  # whoever is asked will say so
    found = [part.file_id for message in messages for part in _media(message.parts) if part.file_id is not None]
    return [*dict.fromkeys(found)][:FILES_MAX]


def _media(parts: tuple[Part, ...]) -> Iterator[Media]:
    for part in parts:
        if isinstance(part, Media):
            yield part
        elif isinstance(part, ToolResult):
            yield from _media(part.parts)


@dataclass(frozen=True, slots=True)
class Place:
    credential: str
    model: str
    expires_at: float


class Affinity:
    """One for all clients."""

    def __init__(self, *, entries_max: int = ENTRIES_MAX) -> None:
        self._places: OrderedDict[bytes, Place] = OrderedDict()
        self._entries_max = entries_max

    def __len__(self) -> int:
        return len(self._places)

    def find(self, key: bytes, now: float) -> Tie | None:
        place = self._places.get(key)
        if place is None:
            return None
        if now >= place.expires_at:
            del self._places[key]
            return None
        return Tie(place.credential, model=place.model)

    def keep(self, key: bytes, candidate: Candidate, until: float) -> None:
        self.put(key, Place(candidate.credential.id, candidate.model, until))

    def find_file(self, client: str, files: list[str], now: float) -> Tie | None:
        """A hard one: no other account has it."""
        for file in files:
            tie = self.find(_key(client, "file", file), now)
            if tie is not None:
                return Tie(tie.credential, is_hard=True)
        return None

    def keep_files(self, client: str, files: list[str], candidate: Candidate, now: float) -> None:
        for file in files:
            self.put(_key(client, "file", file), Place(candidate.credential.id, "", now + FILE_SECONDS))

    def find_turn(self, client: str, state: str, now: float) -> Tie | None:
        """Which account has given this state of a turn to the client."""
        return self.find(_key(client, "turn", state), now)

    def keep_turn(self, client: str, state: str, candidate: Candidate, now: float) -> None:
        self.put(_key(client, "turn", state), Place(candidate.credential.id, "", now + TURN_SECONDS))

    def forget(self, key: bytes) -> None:
        self._places.pop(key, None)

    def put(self, key: bytes, place: Place) -> None:
        self._places[key] = place
        self._places.move_to_end(key)
        if len(self._places) > self._entries_max:
            self._places.popitem(last=False)


def session_key(client: str, session: str, group: str) -> bytes:
    """`group`: the model as it stands in the catalogue: caches are of one model, too."""
    return _key(client, group, session)


def _key(client: str, kind: str, name: str) -> bytes:
    return hashlib.sha256(f"{client}\0{kind}\0{name}".encode("utf-8", "surrogatepass")).digest()[:16]
