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
from proxy.upstream.cli_login import saved_login

HOME = "home"
LOGIN = ".credentials.json"
KNOWN = ".claude.json"
_KEPT = ("userID", "machineID")
"""It is the same installation with the same account, by whichever process it asks."""
_PERSONAL = frozenset({"emailAddress", "displayName", "fullName"})
"""Claude Code tells its model the address of whoever is logged in; here strangers could ask the model for it."""
_SCOPES = ["user:inference"]
"""All that is done with this login. With more it would ask at every start whose it is."""


async def furnish(work: Path, account: Path, access: str) -> dict[str, str]:
    """`work`: of the process. `account`: the home that the login is kept in. `access`: the token to ask with. The
    variables that lead to the new home. Raises `OSError`; `ValueError` where there is no login to be read.
    """
    home = work / HOME
    home.mkdir(mode=0o700)
    files = {LOGIN: await saved_login(account / LOGIN, lambda saved: login(saved, access))}
    with contextlib.suppress(FileNotFoundError):
        files[KNOWN] = known((account / KNOWN).read_bytes())
    for name, content in files.items():
        path = home / name
        path.touch(mode=0o600)
        path.write_bytes(content)
    return CLAUDE.variables(home)


def login(saved: bytes, access: str) -> bytes:
    """`access`: the account's file may hold another one by now; empty: the file's. Raises `msgspec.DecodeError` when
    the file is none.
    """
    told = msgspec.json.decode(saved, type=_File).login
    asked = {"accessToken": access} if access else {}
    return msgspec.json.encode(_File({**told, **asked, "refreshToken": "", "scopes": _SCOPES}))


def known(saved: bytes) -> bytes:
    """Which account it is, but not who; nothing, where that cannot be read."""
    told: JsonObject = {}
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        told = msgspec.json.decode(saved, type=dict)
    kept = {name: told[name] for name in _KEPT if name in told}
    account = told.get("oauthAccount")
    if isinstance(account, dict):
        kept["oauthAccount"] = {name: value for name, value in account.items() if name not in _PERSONAL}
    return msgspec.json.encode(kept)


class _File(msgspec.Struct, rename={"login": "claudeAiOauth"}):
    login: dict[str, object]
