"""Loopback ports: taking one, on both loopback addresses and on nothing else, and telling who has it."""

from __future__ import annotations

import contextlib
import errno
import re
import socket
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"
_SOCKET = re.compile(r"socket:\[(\d+)\]")


class PortTaken(Exception):
    """The message names the port and its owner."""

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(f"port {port} is taken by {owner_of(port)}")


def take(port: int) -> list[socket.socket]:
    """Listening on 127.0.0.1 and, where there is IPv6, ::1; 0: any port, the same on both. Raises `PortTaken`.

    SO_REUSEADDR lets a port be taken again right after it was closed; two listeners would need SO_REUSEPORT.
    """
    taken: list[socket.socket] = []
    try:
        taken.append(_listener(socket.AF_INET, "127.0.0.1", port))
        found = taken[0].getsockname()[1]
        with contextlib.suppress(_NoIPv6):
            taken.append(_listener(socket.AF_INET6, "::1", found))
    except PortTaken:
        for each in taken:
            each.close()
        raise
    return taken


def is_free(port: int) -> bool:
    """Whether it could be taken right now."""
    try:
        taken = take(port)
    except PortTaken:
        return False
    for each in taken:
        each.close()
    return True


class _NoIPv6(Exception):
    pass


def _listener(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _NoIPv6 from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(16)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if family == socket.AF_INET6 and error.errno == errno.EADDRNOTAVAIL:
            raise _NoIPv6 from error
        raise PortTaken(port) from error
    return listener


def owner_of(port: int) -> str:
    """``codex (process 4711)``, as far as the system tells us."""
    inodes = set(_inodes(port))
    for process in sorted(_PROC.glob("[0-9]*"), key=lambda each: int(each.name)):
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                found = _SOCKET.fullmatch(str(descriptor.readlink()))
                if found and found[1] in inodes:
                    return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return "a program that this user may not look at" if inodes else "another program"


def _inodes(port: int) -> Iterator[str]:
    """Of the sockets that listen there. Columns: ``sl local_address rem_address st … inode``."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                    yield columns[9]
