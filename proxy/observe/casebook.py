"""What is kept of requests that failed, for whoever looks into them: one file each, the newest few.

Everything but what was said: of a body its size and the members at its top, each with its kind and length; whoever
wants the words switches recordings on. Folder 0700, files 0600, without secrets, written by a thread of its own: a
report never holds up the request that it is about. Of a flood one a second is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from proxy.observe.record import write_private
from proxy.observe.scrub import MARK, Scrubber
from proxy.observe.shapes import is_sensitive, is_sensitive_parameter
from proxy.observe.usage import Used

FILES_MAX = 1000
"""Where the setting says 0."""
BURST = 10
BODY_BYTES_MAX = 8 * 1024 * 1024
"""Of a longer one only the length is told: to read it would keep the others waiting."""
MEMBERS_MAX = 200
TEXT_CHARACTERS_MAX = 1024
"""Of one header or message."""
_OURS = re.compile(r"\d{8}T\d{6}\.\d{3}-\d{6,}-error[A-Za-z0-9._-]*\.json")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_KEYS = ("-key", "token", "secret", "cookie", "authorization")
"""How names of headers end that hold a secret, or may."""
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """`used`: as the ledger has it. `message`: what went wrong. `headers`, `query`, `body`: the client's."""

    used: Used
    message: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


class Casebook:
    """`note` on the event loop, `close` at the end."""

    def __init__(
        self,
        folder: Path,
        scrubber: Scrubber,
        *,
        files_max: Callable[[], int],
        tell: Callable[[str], object],
        clock: Callable[[], float],
    ) -> None:
        """`files_max`: as it is set; 0: `FILES_MAX`. `tell`: gets a sentence about a disk that fails. `clock`: seconds
        from anywhere.
        """
        self.dropped = 0
        self._folder = folder
        self._scrubber = scrubber
        self._files_max = files_max
        self._tell = tell
        self._clock = clock
        self._number = 0
        self._left = float(BURST)
        self._at = clock()
        self._thread: ThreadPoolExecutor | None = None

    def note(self, case: Case) -> None:
        now = self._clock()
        self._left = min(float(BURST), self._left + now - self._at)
        self._at = now
        if self._left < 1.0:
            self.dropped += 1
            return
        self._left -= 1.0
        self._number += 1
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="casebook")
        self._thread.submit(self._write, self._number, case)

    def close(self) -> None:
        """Waits until everything is written."""
        if self._thread is not None:
            self._thread.shutdown()

    def _write(self, number: int, case: Case) -> None:
        at = datetime.fromtimestamp(case.used.at, UTC)
        shown_id = _NOT_IN_A_NAME.sub("_", self._scrubber.text(case.used.request_id))[:64]
        name = f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03d}-{number:06d}-error-{shown_id}.json"
        told = self._scrubber.data(msgspec.json.format(msgspec.json.encode(report(case)), indent=1))
        try:
            self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._trim()
            write_private(self._folder / name, told + b"\n")
        except OSError as error:
            self._tell(f"{self._folder}: {error.strerror}")

    def _trim(self) -> None:
        """To one less than there may be."""
        files = sorted(each for each in self._folder.iterdir() if _OURS.fullmatch(each.name))
        most = self._files_max() or FILES_MAX
        for each in files[: max(0, len(files) - most + 1)]:
            each.unlink(missing_ok=True)


def report(case: Case) -> dict[str, object]:
    """As JSON; what in it may still be a secret is the scrubber's to find."""
    used = msgspec.to_builtins(case.used)
    headers = {
        name: MARK if is_sensitive(name) or name.lower().endswith(_KEYS) else _short(value)
        for name, value in case.headers.items()
    }
    query = {name: MARK if is_sensitive_parameter(name) else _short(value) for name, value in case.query.items()}
    return {**used, "message": _short(case.message), "headers": headers, "query": query, "body": outline(case.body)}


def outline(body: bytes) -> dict[str, object]:
    """``{"bytes": 80, "members": {"model": "m", "stream": true, "messages": "a list of 2"}}``."""
    told: dict[str, object] = {"bytes": len(body)}
    if len(body) > BODY_BYTES_MAX:
        return told
    try:
        members = _members(body)
        told["members"] = {_short(name): _outlined(name, members[name]) for name in [*members][:MEMBERS_MAX]}
    except ValueError:
        told["members"] = None
    return told


def _outlined(name: str, value: msgspec.Raw) -> object:
    raw = bytes(value)
    match raw[:1]:
        case b'"' if name != "model":
            return f"a text of {len(msgspec.json.decode(raw, type=str))}"
        case b"[":
            return f"a list of {len(_items(raw))}"
        case b"{":
            return f"an object of {len(_members(raw))}"
        case _:
            said = msgspec.json.decode(raw)
            return _short(said) if isinstance(said, str) else said


def _short(text: str) -> str:
    return text[:TEXT_CHARACTERS_MAX].encode("utf-8", "replace").decode()
