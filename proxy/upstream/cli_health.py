"""How the official CLIs are, for `/health`."""

from __future__ import annotations

from dataclasses import asdict

from auth.cli import confine
from proxy.hub.residue import JsonObject
from proxy.upstream.cli_pool import CliPool

BOX_VERSION = 6
"""Of Landlock: the first that also keeps signals in."""


def health(pool: CliPool) -> JsonObject:
    landlock = confine.version()
    return {
        "capacity": asdict(pool.capacity),
        "box": box(landlock, bubblewrap="" if landlock else confine.bubblewrap()),
    }


def box(landlock: int, *, bubblewrap: str) -> str:
    """Whether they are kept from the rest of this machine. `bubblewrap`: the program, where it works."""
    if not landlock and bubblewrap:
        return "bubblewrap: other files, programs and processes are out of reach, ports are not"
    if not landlock:
        return (
            "none: this system has no Landlock (Linux 5.13 or newer) and no bubblewrap that works (install bwrap), so "
            "only their own switches keep them from the files of the user that the server runs as; give it a user of "
            "its own"
        )
    if landlock < BOX_VERSION:
        return f"Landlock {landlock}: files and programs are out of reach, signals and some ports are not"
    return f"Landlock {landlock}"
