"""Homes that are to go: what a killed process has left half-done is done at the next start.

An account's home is removed after its file is gone, or leads to another home. Whoever is killed between the two would
leave a login that nobody knows of. So there is a note before, in ``state/homes/``, a file whose name says all:

    HOME.begun         a login is being made there
    HOME.gone          its account is removed: this is the account's file, renamed, so that both happen at one instant
    OLD.NEW.renewed    its account changes over to another home

Nothing is removed that anybody could still use: not while a file of the auth-dir cannot be read, not where one speaks
of the home, not where a process has it, on this host (by its lock) or another (by its lease). A home without a note is
left alone, whatever leads to it: its file may come back.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from auth import atomic, lease
from auth.homes import Busy, Homes, is_name
from auth.refusal import Refused

PATIENCE_SECONDS = 5.0
"""So long a CLI that has the home is waited for: it refreshes, or tells of the account."""
_STEP_SECONDS = 0.05

Verdict = Literal["remove", "void", "wait"]


@dataclass(frozen=True, slots=True)
class Note:
    """`instead`: the home that the account has now, or was to have; empty: none."""

    path: Path
    home: str
    instead: str = ""

    @classmethod
    def of(cls, path: Path) -> Note | None:
        *homes, kind = path.name.split(".")
        if not all(is_name(home) for home in homes) or len(homes) != _HOMES.get(kind):
            return None
        return cls(path, *homes)


_HOMES = {"begun": 1, "gone": 1, "renewed": 2}
"""How many a note of each kind names."""


class Departures:
    """`data`: the auth-dir. Safe to use from several processes."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "state" / "homes"
        self._homes = Homes(data)

    def begin(self, kind: str) -> Path:
        """A new home, nobody's yet: it goes unless it is `settled` in. Raises `Refused`, with a whole sentence."""
        name = self._homes.new_name(kind)
        self._write(self._begun(name))
        return self._homes.make(kind, name)

    def settled(self, home: str) -> None:
        """There is a login in it, which nothing here takes away any more."""
        with contextlib.suppress(OSError):  # a note about what a file speaks of is void
            self._begun(home).unlink()

    def given_up(self, home: str) -> None:
        """Raises `Refused` where something is left."""
        self._homes.remove(home)
        self.settled(home)

    def room_for(self, home: str) -> Path:
        """Where the file of an account goes that is removed. Raises `Refused`."""
        self._made()
        return self._folder / f"{home}.gone"

    def renewing(self, old: str, new: str) -> None:
        """Before the account changes over; after it `old` is to be `released`. Raises `Refused`."""
        self._write(self._folder / f"{old}.{new}.renewed")

    def released(self, home: str) -> str:
        """After its account's file is gone, or leads to another: what became of the login, in a sentence."""
        if self._homes.is_named(home):
            self._forget(home)
            return f"its login stays in {self._homes.folder / home}"
        latest = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self._remove(home)
            except Busy:
                if time.monotonic() > latest:
                    return "its login is deleted here at the next start, as its CLI is using it now"
            except (Refused, OSError) as error:
                return f"its login stays: {error}"
            else:
                return "its login is deleted here, and was not revoked at the provider"
            time.sleep(_STEP_SECONDS)

    def finish(self) -> list[str]:
        """What killed processes have left. The homes that are gone now."""
        removed = []
        with contextlib.suppress(OSError):
            for path in sorted(self._folder.iterdir()):
                with contextlib.suppress(Refused, OSError):  # somebody is at work there; another time
                    if (note := Note.of(path)) is not None and self._finished(note):
                        removed.append(note.home)
        return removed

    def _finished(self, note: Note) -> bool:
        verdict = self._verdict(note)
        if verdict == "remove":
            self._remove(note.home)
        elif verdict == "void":
            note.path.unlink(missing_ok=True)
        return verdict == "remove"

    def _verdict(self, note: Note) -> Verdict:
        if not self._homes.are_told():
            return "wait"
        if self._homes.is_named(note.home):
            return "void"
        if note.instead and not self._homes.is_named(note.instead) and (self._homes.folder / note.instead).exists():
            return "wait"  # where is the account that changes over?
        return "remove"

    def _remove(self, home: str) -> None:
        """With nobody at it, and nobody who has found a use for it meanwhile. Raises `Busy`, `Refused`."""
        if (self._homes.folder / home).exists():
            with self._homes.owned(home) as path:
                if lease.is_elsewhere(path):
                    raise Busy(f"another host is using the login in {path}")
                if not self._homes.is_named(home):
                    self._homes.remove(home)
        self._forget(home)

    def _forget(self, home: str) -> None:
        for path in self._folder.glob(f"{home}.*"):
            path.unlink(missing_ok=True)

    def _begun(self, home: str) -> Path:
        return self._folder / f"{home}.begun"

    def _write(self, note: Path) -> None:
        """Empty, and there when the power goes. Raises `Refused`."""
        self._made()
        try:
            with atomic.opened(self._folder) as folder:
                os.close(os.open(note.name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, atomic.FILE_MODE, dir_fd=folder))
                os.fsync(folder)
        except OSError as error:
            raise Refused(f"{self._folder} cannot be written: {error.strerror}") from error

    def _made(self) -> None:
        try:
            for folder in (self._folder.parents[1], self._folder.parent, self._folder):
                folder.mkdir(mode=atomic.FOLDER_MODE, exist_ok=True)
        except OSError as error:
            raise Refused(f"{self._folder} cannot be made: {error.strerror}") from error
