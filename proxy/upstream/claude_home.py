"""The home of a Claude Code that asks for others: one for each process, gone with it.

It holds the account's login without the token that could renew it. Claude Code renews by itself whenever it finds that
it should, also in the middle of an answer; and these processes are ended in the middle of answers, outright where the
server is. Who is killed between the provider's answer and the disk has lost the login. So renewing stays with the one
process that has the account's home to itself (`auth.refresh_child`); another token is another process.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from auth.cli.install import CLAUDE
from proxy.hub.residue import JsonObject

HOME = "home"
LOGIN = ".credentials.json"
KNOWN = ".claude.json"
_KEPT = ("userID", "machineID", "oauthAccount")
"""It is the same installation with the same account, by whichever process it asks."""


def furnish(work: Path, account: Path) -> dict[str, str]:
    """`work`: of the process. `account`: the home that the login is kept in. The variables that lead to the new one.
    Raises `OSError`, `msgspec.DecodeError`, `UnicodeDecodeError` where there is no login to be read.
    """
    home = work / HOME
    home.mkdir(mode=0o700)
    files = {LOGIN: login((account / LOGIN).read_bytes())}
    with contextlib.suppress(FileNotFoundError):
        files[KNOWN] = known((account / KNOWN).read_bytes())
    for name, content in files.items():
        path = home / name
        path.touch(mode=0o600)
        path.write_bytes(content)
    return CLAUDE.variables(home)


def login(saved: bytes) -> bytes:
    """Raises `msgspec.DecodeError` when the account's file is none."""
    told = msgspec.json.decode(saved, type=_File).login
    return msgspec.json.encode(_File({**told, "refreshToken": ""}))


def known(saved: bytes) -> bytes:
    """What cannot be read is asked for anew by the CLI."""
    told: JsonObject = {}
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        told = msgspec.json.decode(saved, type=dict)
    return msgspec.json.encode({name: told[name] for name in _KEPT if name in told})


class _File(msgspec.Struct, rename={"login": "claudeAiOauth"}):
    login: dict[str, object]
