"""Which official CLIs are there, in which version, and getting them: from npm, pinned, checked against its hashes.

Installed ones stand in ``<data folder>/clis/<name>`` and come before those on the PATH. Claude Code, Codex, OpenCode,
Grok and Copilot are native programs; Gemini CLI, Qwen Code and Kimi Code need Node, which comes along on Linux.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import msgspec

from auth.cli.fetch import Locked, NotFetched, fetch, locked, registry_of
from auth.cli.process import CliProcess, Ended
from auth.store import HOMES

CLIS = "clis"
_VERSION = re.compile(rb"\d+\.\d+\.\d+(?:[-+.]\w+)*")
_NPM_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
_OS = {"linux": "linux", "darwin": "darwin"}.get(sys.platform, sys.platform)
_CPU = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine().lower(), "")
_TRIPLE = {
    ("linux", "x64"): "x86_64-unknown-linux-musl",
    ("linux", "arm64"): "aarch64-unknown-linux-musl",
    ("darwin", "x64"): "x86_64-apple-darwin",
    ("darwin", "arm64"): "aarch64-apple-darwin",
}.get((_OS, _CPU), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cli:
    name: str
    """Also what its program is called."""
    whose: str
    package: str
    entries: tuple[str, ...]
    """Below ``node_modules``; the first that is there is started."""
    home_variable: str = ""
    """That names its folder, where ``HOME`` alone does not."""
    needs_node: bool = False
    unpack: str = ""
    """Below ``node_modules``: the package's own script that puts its program in place, below ``HOME``."""
    has_cache: bool = False
    """It unpacks itself into its cache: one for all of its homes, as it is large."""
    npm: str = "ci"
    """npm's command. Both check the hashes of the lock; ``install`` also bears a lock that lacks packages for other
    platforms, which their makers have never published.
    """

    def variables(self, home: Path) -> dict[str, str]:
        variables = {self.home_variable: str(home)} if self.home_variable else {}
        if self.has_cache and home.parent.name == HOMES:
            variables["XDG_CACHE_HOME"] = str(home.parents[1] / CLIS / f"{self.name}-cache")
        return variables


CLAUDE = Cli(
    name="claude",
    whose="Claude Code",
    package="@anthropic-ai/claude-code",
    entries=(
        f"@anthropic-ai/claude-code-{_OS}-{_CPU}/claude",
        f"@anthropic-ai/claude-code-{_OS}-{_CPU}-musl/claude",
    ),
    home_variable="CLAUDE_CONFIG_DIR",
)
CODEX = Cli(
    name="codex",
    whose="Codex",
    package="@openai/codex",
    entries=(f"@openai/codex-{_OS}-{_CPU}/vendor/{_TRIPLE}/bin/codex",),
    home_variable="CODEX_HOME",
)
GEMINI = Cli(
    name="gemini",
    whose="Gemini CLI",
    package="@google/gemini-cli",
    entries=("@google/gemini-cli/bundle/gemini.js",),
    needs_node=True,
)
QWEN = Cli(
    name="qwen",
    whose="Qwen Code",
    package="@qwen-code/qwen-code",
    entries=("@qwen-code/qwen-code/cli-entry.js",),
    needs_node=True,
    npm="install",
)
KIMI = Cli(
    name="kimi",
    whose="Kimi Code",
    package="@moonshot-ai/kimi-code",
    entries=("@moonshot-ai/kimi-code/dist/main.mjs",),
    needs_node=True,
)
GROK = Cli(
    name="grok",
    whose="Grok",
    package="@xai-official/grok",
    entries=("../.grok/bin/grok",),
    unpack="@xai-official/grok/bin/postinstall.js",
    npm="install",
)
COPILOT = Cli(
    name="copilot",
    whose="GitHub Copilot",
    package="@github/copilot",
    entries=(f"@github/copilot-{_OS}-{_CPU}/copilot", f"@github/copilot-{_OS}musl-{_CPU}/copilot"),
    has_cache=True,
)
OPENCODE = Cli(
    name="opencode",
    whose="OpenCode",
    package="opencode-ai",
    entries=(
        f"opencode-{_OS}-{_CPU}/bin/opencode",
        f"opencode-{_OS}-{_CPU}-baseline/bin/opencode",
        f"opencode-{_OS}-{_CPU}-musl/bin/opencode",
    ),
    npm="install",
)
CLI_TABLE = {cli.name: cli for cli in (CLAUDE, CODEX, GEMINI, QWEN, OPENCODE, KIMI, GROK, COPILOT)}


class CliMissing(Exception):
    """The message is a sentence without its stop, and names the command that repairs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    cli: Cli
    command: tuple[str, ...]
    is_ours: bool
    """In the data folder; otherwise on the PATH."""


def pinned(cli: Cli) -> str:
    """The version that the logins are tested with."""
    raw = (resources.files("auth.cli.pins") / f"{cli.name}.package.json").read_bytes()
    return msgspec.json.decode(raw, type=_Package).dependencies[cli.package]


def find(cli: Cli, data: Path, ours: Mapping[str, str]) -> Installed:
    """`ours`: the environment, for its PATH. Raises `CliMissing`."""
    modules = data / CLIS / cli.name / "node_modules"
    entry = next((path for each in cli.entries if (path := modules / each).is_file()), None)
    if entry is not None:
        return Installed(cli=cli, command=(*_node(cli, modules, ours), str(entry)), is_ours=True)
    program = shutil.which(cli.name, path=ours.get("PATH", os.defpath))
    if program is None:
        raise CliMissing(f"the {cli.name} CLI is not there; get it with: proxy cli install {cli.name}")
    return Installed(cli=cli, command=(program,), is_ours=False)


def _node(cli: Cli, modules: Path, ours: Mapping[str, str]) -> tuple[str, ...]:
    if not cli.needs_node:
        return ()
    own = modules / f"node-{_OS}-{_CPU}" / "bin" / "node"
    node = str(own) if own.is_file() else shutil.which("node", path=ours.get("PATH", os.defpath))
    if node is None:
        raise CliMissing(f"the {cli.name} CLI needs Node 22 or newer on the PATH")
    return (node,)


async def version_of(installed: Installed, scratch: Path, ours: Mapping[str, str]) -> str:
    """`scratch`: a home that holds nothing. Raises `CliMissing` where it does not start."""
    try:
        process = await CliProcess.start([*installed.command, "--version"], home=scratch, ours=ours)
        try:
            told = await process.read()
            last_words = process.told
        finally:
            await process.close()
    except Ended as error:
        raise CliMissing(str(error)) from error
    if found := _VERSION.search(told):
        return found[0].decode()
    why = last_words.splitlines()[-1] if last_words else "it said no version"
    raise CliMissing(f"{installed.command[-1]} does not work: {why}; get a working one: {_repair(installed.cli)}")


def _repair(cli: Cli) -> str:
    return f"proxy cli install {cli.name}"


async def install(cli: Cli, data: Path, ours: Mapping[str, str]) -> Installed:
    """The new one stands complete beside the old one before it takes its place. Raises `CliMissing`."""
    npm = shutil.which("npm", path=ours.get("PATH", os.defpath))
    packages = [] if npm is not None or cli.needs_node or cli.unpack else [*_native(cli)]
    registry = registry_of(ours)
    if npm is None and not (packages and registry):
        way = f", or name npm's registry: npm_config_registry=https://… {_repair(cli)}" if packages else ""
        raise CliMissing(
            f"npm is needed to install {cli.name}: install Node 22 or newer, and then: {_repair(cli)}{way}"
        )
    folder = data / CLIS
    new = folder / f".{cli.name}-{secrets.token_hex(6)}"
    new.mkdir(mode=0o700, parents=True)
    try:
        _lay_out(cli, new)
        if npm is not None:
            await _run([npm, cli.npm, *_NPM_OPTIONS, "--prefix", str(new)], cli, ours)
        for package, pin in packages:
            await fetch(package, pin, new / "node_modules", registry=registry, ours=ours)
        if cli.unpack:
            node = shutil.which("node", path=ours.get("PATH", os.defpath)) or "node"
            await _run([node, str(new / "node_modules" / cli.unpack)], cli, {**ours, "HOME": str(new)})
        _swap(new, folder / cli.name)
    except NotFetched as error:
        raise CliMissing(f"{cli.name} {error}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return find(cli, data, ours)


def _native(cli: Cli) -> Iterator[tuple[str, Locked]]:
    """The package that holds its program on this machine."""
    for entry in cli.entries:
        names = entry.split("/")
        package = "/".join(names[: 2 if entry.startswith("@") else 1])
        if (pin := locked(cli.name, package)) is not None and "musl" not in package:
            yield package, pin


def _lay_out(cli: Cli, folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        raw = (resources.files("auth.cli.pins") / f"{cli.name}.{name}").read_bytes()
        (folder / name).write_bytes(raw)


async def _run(command: list[str], cli: Cli, ours: Mapping[str, str]) -> None:
    """With the user's own npm settings: their registry, their proxy, their cache."""
    settings = {name: value for name, value in ours.items() if name.lower().startswith("npm_config_")}
    process = await CliProcess.start(
        command, home=Path(ours.get("HOME", "/nonexistent")), variables=settings, ours=ours
    )
    try:
        await process.read()
        code = await process.finished()
        told = process.told
    finally:
        await process.close()
    if code != 0:
        why = next((line for line in told.splitlines() if line.strip()), "it did not say why")
        raise CliMissing(f"npm could not install {cli.name}: {why.strip()[:300]}; nothing was changed")


def _swap(new: Path, place: Path) -> None:
    """Not one step, but between the two nobody loses a login: the CLI is missing for that moment."""
    old = place.with_name(f".{place.name}-old-{secrets.token_hex(6)}")
    if place.exists():
        place.rename(old)
    new.rename(place)
    shutil.rmtree(old, ignore_errors=True)


class _Package(msgspec.Struct):
    dependencies: dict[str, str]
