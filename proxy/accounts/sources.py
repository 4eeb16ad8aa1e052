"""Where accounts already are on this machine: environment variables, official CLIs, the well-known system's auth-dir.

Each source is read and never changed. What it gives are findings: a key that can be taken over, or a sentence that says
why something stays where it is. A login stays with its holder: two programs that refresh it end it for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from auth.document import Document, JsonValue
from auth.refusal import Refused
from proxy.accounts.held_logins import HeldLogin, of_cli, of_foreign_file
from proxy.accounts.offers import fields_for
from proxy.config.account_files import KINDS, LOGINS, SERVICE_ACCOUNT
from proxy.config.load import read
from proxy.errors import ConfigError

ONE_HOLDER = "stays where it is: a login should have one holder, as each refresh may end what another program holds"
_OF_A_LOGIN = "was made by a ChatGPT login, and is paid for apart from it; to take it: proxy accounts add openai"
_FLAGS = {
    "claude": "--claude-login",
    "codex": "--codex-login",
    "gemini": "--login",
    "kimi": "--kimi-login",
    "xai": "--grok-login",
    "copilot": "--copilot-login",
}
"""``type`` of another program's login → how to log in here."""
FOREIGN_FOLDER = ".cli-proxy-api"
"""Of the well-known system, in the home folder."""

_KEYS: tuple[tuple[str, str, str], ...] = (
    ("ANTHROPIC_API_KEY", "claude", "ANTHROPIC_BASE_URL"),
    ("OPENAI_API_KEY", "openai", "OPENAI_BASE_URL"),
    ("CODEX_API_KEY", "openai", ""),
    ("GEMINI_API_KEY", "gemini", "GOOGLE_GEMINI_BASE_URL"),
    ("GOOGLE_API_KEY", "gemini", "GOOGLE_GEMINI_BASE_URL"),
    ("OPENROUTER_API_KEY", "openrouter", ""),
    ("GROQ_API_KEY", "groq", ""),
    ("DEEPSEEK_API_KEY", "deepseek", ""),
    ("MISTRAL_API_KEY", "mistral", ""),
    ("XAI_API_KEY", "xai", ""),
    ("MOONSHOT_API_KEY", "moonshot", ""),
    ("DASHSCOPE_API_KEY", "qwen", ""),
)
"""Variable, provider, and the variable that sends the key elsewhere."""
_KEPT = frozenset(
    {"disabled", "prefix", "proxy-url", "priority", "weight", "note", "headers", "excluded-models", "label"}
    | {"request-scoped-errors"}
    | {"project-id", "email", "location", "service-account", "models"}
)
"""Members of the well-known system's files that mean the same here."""
_TELL_TALE = {"fingerprint-profile", "timezone"}
_WITHOUT_EQUIVALENT = frozenset(
    {"websockets", "request-retry", "disable-cooling", "model-aliases", "tool-prefix-disabled"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`fields`: of the file that it would become; None: it stays where it is, for the reason `why`. `name`: of that
    file, where it should keep one. `dropped`: members without an equivalent here.
    """

    source: str
    why: str = ""
    fields: Mapping[str, JsonValue] | None = field(default=None, repr=False)
    name: str | None = None
    dropped: tuple[str, ...] = ()
    login: HeldLogin | None = field(default=None, repr=False)
    """That stays where it is, unless the person wants it taken over."""


def everywhere(home: Path, environment: Mapping[str, str]) -> Iterator[Finding]:
    """All the usual places; nothing is said of those that are not there."""
    yield from variables(environment)
    places: tuple[tuple[Path, Callable[[Path], Iterator[Finding]]], ...] = (
        (home / FOREIGN_FOLDER, auth_folder),
        (Path(environment.get("CLAUDE_CONFIG_DIR") or home / ".claude"), claude),
        (Path(environment.get("CODEX_HOME") or home / ".codex"), codex),
        (home / ".gemini", gemini),
    )
    for folder, look in places:
        if folder.is_dir():
            yield from look(folder)


def at(path: Path) -> Iterator[Finding]:
    """What the person names: a file, an auth-dir, or an official CLI's folder. Raises `Refused`."""
    if path.is_file():
        yield from auth_file(path)
        return
    if not path.is_dir():
        raise Refused(f"{path} is not there")
    for tell_tale, look in (
        (".credentials.json", claude),
        ("auth.json", codex),
        ("oauth_creds.json", gemini),
        ("google_accounts.json", gemini),
    ):
        if (path / tell_tale).exists():
            yield from look(path)
            return
    yield from auth_folder(path)


def variables(environment: Mapping[str, str]) -> Iterator[Finding]:
    seen: set[str] = set()
    for variable, provider, elsewhere in _KEYS:
        key = environment.get(variable, "").strip()
        if not key:
            continue
        if key in seen:
            yield Finding(source=variable, why="is the same key as one above")
        elif address := environment.get(elsewhere, ""):
            host = urlsplit(address).hostname or "another server"
            yield Finding(source=variable, why=f"is a key of {host}, to which {elsewhere} leads")
        else:
            yield Finding(source=variable, fields=fields_for(provider, key, None))
        seen.add(key)
    if place := environment.get("GOOGLE_APPLICATION_CREDENTIALS"):
        yield from auth_file(Path(place))


def claude(folder: Path) -> Iterator[Finding]:
    if (folder / ".credentials.json").exists():
        yield _held(folder / ".credentials.json", "claude", of_cli("claude-code", folder))
    for path, inner, key in (
        (folder / "settings.json", "env", "ANTHROPIC_API_KEY"),
        (folder.parent / ".claude.json", "", "primaryApiKey"),
    ):
        yield from _key_in(path, inner, key, "claude", "ANTHROPIC_BASE_URL")


def codex(folder: Path) -> Iterator[Finding]:
    path = folder / "auth.json"
    if _fields(path).get("auth_mode") == "chatgpt":
        if _fields(path).get("OPENAI_API_KEY"):
            yield Finding(source=f"{path}: OPENAI_API_KEY", why=_OF_A_LOGIN)
    else:
        yield from _key_in(path, "", "OPENAI_API_KEY", "openai", "")
    if _fields(path).get("tokens"):
        yield _held(path, "codex", of_cli("codex", folder))


def gemini(folder: Path) -> Iterator[Finding]:
    if (folder / "oauth_creds.json").exists():
        yield _held(folder / "oauth_creds.json", "gemini", of_cli("gemini-cli", folder))
    for finding in variables(_dotenv(folder / ".env")):
        yield Finding(source=f"{folder / '.env'}: {finding.source}", why=finding.why, fields=finding.fields)


def auth_folder(folder: Path) -> Iterator[Finding]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".json" and not path.name.startswith("."))
    except OSError as error:
        yield Finding(source=str(folder), why=f"cannot be read: {error.strerror}")
        return
    if not paths:
        yield Finding(source=str(folder), why="holds no accounts")
    for path in paths:
        yield from auth_file(path)


def auth_file(path: Path) -> Iterator[Finding]:
    """One of the well-known system's, one of ours from another host, or a service account's key as Google gives it."""
    try:
        fields = Document.parse(_bytes(path)).fields
    except Refused as error:
        yield Finding(source=str(path), why=str(error))
        return
    kind = fields.get("type")
    if kind == "service_account":
        yield Finding(source=str(path), fields={"type": SERVICE_ACCOUNT, "service-account": dict(fields)})
    elif isinstance(kind, str) and kind in LOGINS:
        yield _held(path, kind, of_foreign_file(fields))
    elif kind == SERVICE_ACCOUNT:
        yield _translated(path, fields)
    elif kind in KINDS:
        yield Finding(source=str(path), fields=fields, name=path.name)
    else:
        yield Finding(source=str(path), why="is no account of a kind that is known")


def _held(path: Path, kind: str, login: HeldLogin | None) -> Finding:
    """Why it is not taken by itself, and what can be done."""
    ways = ["take it over: proxy import --logins"] if login is not None else []
    ways += [f"log in here, too: proxy {_FLAGS[kind]}"] if kind in _FLAGS else []
    why = f"a login of {LOGINS[kind]}, which {ONE_HOLDER}"
    return Finding(source=str(path), why="; ".join([why, " — or ".join(ways)] if ways else [why]), login=login)


def _translated(path: Path, fields: Mapping[str, JsonValue]) -> Finding:
    words = {key: key.replace("_", "-") for key in fields}
    dropped = tuple(
        word
        for word in words.values()
        if word in _WITHOUT_EQUIVALENT or word in _TELL_TALE or word.startswith(("cloak", "refresh-interval"))
    )
    kept: dict[str, JsonValue] = {"type": SERVICE_ACCOUNT}
    kept |= {word: fields[key] for key, word in words.items() if word in _KEPT}
    return Finding(source=str(path), fields=kept, name=path.name, dropped=dropped)


def _key_in(path: Path, inner: str, key: str, provider: str, elsewhere: str) -> Iterator[Finding]:
    fields = _fields(path)
    held = fields.get(inner) if inner else fields
    value = held.get(key) if isinstance(held, dict) else None
    if isinstance(held, dict) and isinstance(value, str) and value.strip():
        if elsewhere and held.get(elsewhere):
            yield Finding(source=f"{path}: {key}", why=f"is a key of another server, to which {elsewhere} leads")
        else:
            yield Finding(source=f"{path}: {key}", fields=fields_for(provider, value.strip(), None))


def _fields(path: Path) -> dict[str, JsonValue]:
    """Nothing, where there is nothing that can be read."""
    try:
        return dict(Document.parse(_bytes(path)).fields)
    except Refused:
        return {}


def _bytes(path: Path) -> bytes:
    """Somebody else's file: followed through symlinks, never waited for, never changed."""
    try:
        raw = read(path)
    except ConfigError as error:
        raise Refused(error.message.removeprefix(f"{path}: ")) from error
    if raw is None:
        raise Refused("is not there")
    return raw


def _dotenv(path: Path) -> Mapping[str, str]:
    """``NAME=value`` lines, as Gemini CLI reads them."""
    try:
        lines = _bytes(path).decode("utf-8", "replace").splitlines()
    except Refused:
        return {}
    pairs = (line.removeprefix("export ").partition("=") for line in map(str.strip, lines) if not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, separator, value in pairs if separator}
