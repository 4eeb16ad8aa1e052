"""Runs a command where there is no network but 127.0.0.1, if this machine lets us: ``offline.py pytest …``.

A Linux user may make a network of their own with nothing in it. Where that is forbidden, or elsewhere, the command runs
all the same: then the tests only watch whom the CLIs ask for.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000
GET_FLAGS, SET_FLAGS, UP = 0x8913, 0x8914, 0x1


def cut_off() -> bool:
    user, group = os.getuid(), os.getgid()
    if not sys.platform.startswith("linux") or ctypes.CDLL(None).unshare(NEW_USER | NEW_NETWORK) != 0:
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(any_socket, GET_FLAGS, request), 16)
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh14x", b"lo", flags | UP))
    return True


if __name__ == "__main__":
    if not cut_off():
        sys.stderr.write("no network of our own can be had here: the clients are watched, and not cut off\n")
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell is wanted
