"""A removal, a renewal or a login that came to nothing, killed at each of its steps in turn: ``departing.py WHAT``.

A step is whatever Python tells an audit hook of: each file that is opened, renamed, removed. A line of JSON for each:
the home that the account's file speaks of, the homes there are, and those that are there after the next start.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from auth.departures import Departures
from auth.document import Document
from auth.homes import Homes
from auth.store import Store

KILLED = 9
NAME = "a.json"


def store_of(data: Path) -> Store[Document]:
    return Store(data, lambda _name, document: document)


def point(data: Path, home: str) -> None:
    store_of(data).put(NAME, Document.of({"type": "codex", "home": home}))


def fill(home: Path) -> None:
    (home / "auth.json").write_text("{}")
    (home / "sessions").mkdir()
    (home / "sessions" / "one").write_text("{}")


def remove(data: Path, home: str) -> None:
    departures = Departures(data)
    store_of(data).delete(NAME, into=departures.room_for(home))
    departures.released(home)


def renew(data: Path, home: str) -> None:
    departures = Departures(data)
    new = departures.begin("codex")
    with Homes(data).owned(new.name):
        fill(new)
        departures.renewing(home, new.name)
        point(data, new.name)
        departures.released(home)
        departures.settled(new.name)


def give_up(data: Path, _home: str) -> None:
    departures = Departures(data)
    new = departures.begin("codex")
    with Homes(data).owned(new.name):
        fill(new)
    departures.given_up(new.name)


WHAT: Mapping[str, Callable[[Path, str], None]] = {"remove": remove, "renew": renew, "give-up": give_up}


def dies(data: Path, home: str, act: Callable[[Path, str], None], steps: int) -> bool:
    """False: it was done before."""
    child = os.fork()
    if child == 0:
        left = steps

        def step(event: str, _arguments: object) -> None:
            nonlocal left
            if event.startswith(("open", "os.", "shutil.")):
                left -= 1
                if left == 0:
                    os._exit(KILLED)

        sys.addaudithook(step)
        act(data, home)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


def main() -> None:
    act, steps, is_over = WHAT[sys.argv[1]], 0, False
    while not is_over:
        steps += 1
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder)
            home = Homes(data).make("codex")
            fill(home)
            point(data, home.name)
            is_over = not dies(data, home.name, act, steps)
            left = sorted(path.name for path in (data / "homes").iterdir())
            Departures(data).finish()
            told = {
                "before": home.name,
                "named": msgspec.json.decode((data / NAME).read_bytes())["home"] if (data / NAME).exists() else "",
                "left": left,
                "homes": sorted(path.name for path in (data / "homes").iterdir()),
                "whole": all((path / "auth.json").exists() for path in (data / "homes").iterdir()),
                "notes": [path.name for path in (data / "state" / "homes").glob("*")],
            }
        sys.stdout.write(f"{msgspec.json.encode(told).decode()}\n")


if __name__ == "__main__":
    main()
