"""``proxy run`` and ``proxy setup``: the plans of `proxy.clients`, carried out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from auth.secret import Secret
from proxy.clients import setup
from proxy.clients.base import KEYLESS, Access, Client, Offer
from proxy.clients.journal import Journal
from proxy.clients.reception import offers
from proxy.config.schema import Config
from proxy.errors import ConfigError

PROBE_SECONDS_MAX = 180.0
ANSWER_CHARACTERS_MAX = 200
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - what one listens on, and no name


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the flags say; None: not given."""

    url: str | None = None
    key: Secret | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupOptions:
    wish: Wish = field(default_factory=Wish)
    is_undone: bool = False
    is_dry: bool = False
    is_sure: bool = False
    is_verified: bool = True


@dataclass(frozen=True, slots=True)
class Talk:
    """`tell` a line; `ask` whether to go on."""

    tell: Callable[[str], None]
    ask: Callable[[str], bool]


def access_to(config: Config, client: Client, wish: Wish) -> Access:
    """Asks the running server. Raises `ProxyError`."""
    url, key = where(config, wish)
    listed = offers(url, key)
    return Access(url=url, key=key, offers=listed, model=client.choose(listed, wish.model))


def where(config: Config, wish: Wish) -> tuple[str, Secret]:
    """The server's URL, and the key."""
    return (wish.url or address(config)).rstrip("/"), wish.key or own_key(config)


def listed(found: Iterable[Offer]) -> str:
    """One model a line: its name, and in tokens what it takes in and says, as far as they are known."""
    rows = [(each.id, _tokens(each.context_tokens), _tokens(each.output_tokens)) for each in found]
    names, into, out = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(f"{row[0]:<{names}}  {row[1]:>{into}}  {row[2]:>{out}}".rstrip() for row in rows)


def _tokens(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def own_key(config: Config) -> Secret:
    """The first that stands there in plain. Raises `ConfigError` where there are others only."""
    keys = [key.api_key for key in config.api_keys if key.api_key]
    if not keys and (config.api_keys or config.api_keys_file):
        raise ConfigError("config.yaml has no key in plain: give one with --key, or as PROXY_KEY")
    return keys[0] if keys else Secret(KEYLESS)


def address(config: Config) -> str:
    """Where the server that this configuration describes is to be found on this machine."""
    host = "127.0.0.1" if config.host in _EVERYWHERE else config.host
    named = f"[{host}]" if ":" in host else host
    return f"{'https' if config.tls.enable else 'http'}://{named}:{config.port}"


def run(
    client: Client, access: Access, arguments: Sequence[str], environment: Mapping[str, str], talk: Talk
) -> NoReturn:
    """Becomes the client. Raises `ConfigError` when it is not installed."""
    program = found(client, environment)
    launch = client.launch(access)
    for note in launch.notes:
        talk.tell(note)
    kept = {name: value for name, value in environment.items() if name not in launch.removed}
    sys.stdout.flush()
    os.execvpe(program, [program, *launch.arguments, *arguments], {**kept, **launch.environment})  # noqa: S606 - no shell is wanted


def found(client: Client, environment: Mapping[str, str]) -> str:
    program = shutil.which(client.program, path=environment.get("PATH"))
    if program is None:
        raise ConfigError(f"{client.title} is not installed: npm install -g {client.package}")
    return program


def set_up(
    client: Client, access: Access, options: SetupOptions, environment: Mapping[str, str], folder: Path, talk: Talk
) -> bool:
    """Whether all went well. `folder`: of the journals. Raises `ConfigError`."""
    edits = client.edits(access, environment)
    differences = [told for edit in edits if (told := setup.difference(setup.planned(edit), [access.key]))]
    for told in differences:
        talk.tell(told)
    if options.is_dry:
        return True
    if not differences:
        talk.tell(f"{client.title} is set up already.")
    elif options.is_sure or talk.ask("Write this?"):
        backups = setup.apply(
            edits, Journal(folder, client.name), datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), access.key
        )
        for backup in backups:
            talk.tell(f"backup: {backup}")
    else:
        return False
    for note in client.notes:
        talk.tell(note)
    return verified(client, environment, talk) if options.is_verified else True


def verified(client: Client, environment: Mapping[str, str], talk: Talk) -> bool:
    """By one real request of the client itself, in an empty folder."""
    program = found(client, environment)
    with tempfile.TemporaryDirectory() as empty:
        try:
            done = subprocess.run(  # noqa: S603 - the user's own CLI, with arguments of ours
                [program, *client.probe],
                cwd=empty,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PROBE_SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired:
            talk.tell(f"{client.title} did not answer within {PROBE_SECONDS_MAX:.0f} s; --undo puts everything back")
            return False
    answer = done.stdout.decode(errors="replace").strip()
    if done.returncode == 0 and answer:
        talk.tell(f"{client.title} answered: {answer[-ANSWER_CHARACTERS_MAX:]}")
        return True
    complaint = done.stderr.decode(errors="replace").strip() or answer or "nothing"
    talk.tell(f"{client.title} failed (exit code {done.returncode}): {complaint[-2000:]}")
    talk.tell(f"`proxy setup {client.name} --undo` puts everything back")
    return False


def undo(client: Client, options: SetupOptions, folder: Path, talk: Talk) -> bool:
    """Whether all went well. Raises `ConfigError`."""
    journal = Journal(folder, client.name)
    touched = journal.read()
    if not touched:
        talk.tell(f"{client.title} was not set up, so there is nothing to undo.")
        return True
    changes = [setup.undone(each) for each in touched.values()]
    keys = [Secret(each.hidden) for each in touched.values()]
    for change in changes:
        if told := setup.difference(change, keys):
            talk.tell(told)
    if options.is_dry:
        return True
    if not (options.is_sure or talk.ask("Put this back?")):
        return False
    for change in changes:
        setup.put_back(change)
    journal.remove()
    for each in touched.values():
        if each.backup is not None:
            talk.tell(f"its backup is still at {each.backup}")
    return True
