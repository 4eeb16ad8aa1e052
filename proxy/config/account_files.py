"""What a file of the auth-dir says: the settings of the config's entries, one account a file, as JSON.

``type`` names the kind, with the config's word for it. Unknown members are somebody else's, and stay in the file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias, cast
from urllib.parse import urlsplit

from auth.secret import Secret
from proxy.config import checks
from proxy.config.complaints import Complaints
from proxy.config.error_rules import KEYS_OWN, ErrorRule
from proxy.config.json_schema import group_schema
from proxy.config.nodes import node_of
from proxy.config.provider_keys import CONCURRENCY, HEADERS, PERCENT, PROXY, WEIGHT, ModelAlias, ProviderKey
from proxy.config.reader import Reader
from proxy.config.settings import Fault, Group, JsonValue, Limits, required, setting, settings_of

LABEL_CHARACTERS_MAX = 100
_HOME = re.compile(r"[a-z][a-z0-9-]{2,60}-[0-9a-f]{12}", re.ASCII)


def label(value: str) -> Fault:
    if len(value) > LABEL_CHARACTERS_MAX or not value.isprintable() or value != value.strip():
        return f"must be one line of at most {LABEL_CHARACTERS_MAX} characters"
    return None


def _service_account(value: Mapping[str, JsonValue]) -> Fault:
    if missing := [key for key in ("client_email", "private_key", "project_id") if not value.get(key)]:
        return f"lacks {', '.join(missing)}: it must be the JSON file of a service account's key, as Google gives it"
    return None


def _home(value: str) -> Fault:
    return None if _HOME.fullmatch(value) else "must be the name of a folder in homes/, as a login makes it"


def _redirect(value: str) -> Fault:
    if not value:
        return None
    if checks.base_url(value) or not value.startswith("http://") or urlsplit(value).hostname not in checks.LOOPBACK:
        return "must be a place on this machine, such as http://127.0.0.1:8976/callback"
    return None


OIDC_PROVIDERS = ("gemini", "vertex", "openai", "anthropic")
"""Those whose API takes a token in place of a key, and whose place is known."""
_NOTHING: Mapping[str, JsonValue] = MappingProxyType({})
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_LABEL = Limits(check=label, example="work")
_ADDRESS = Limits(check=checks.base_url, example="https://api.example.com")
_SAFE_ADDRESS = Limits(check=checks.safe_url, example="https://login.example.com/token")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKey(ProviderKey):
    """A key of a provider that we know."""

    label: str = setting("", "What lists and decisions call it; empty: the file's name.", _LABEL)
    note: str = setting("", "For humans only.", Limits(example="pays for the night runs"))
    disabled: bool = setting(default=False, sentence="Keep it, and do not use it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompatibleAccount(AccountKey):
    """A key of a provider that speaks OpenAI Chat Completions, or a local server that asks for none."""

    name: str = required(
        "Whose it is; files of one name are one provider.", Limits(check=checks.prefix, example="groq")
    )
    base_url: str = required(
        "Where its API is, up to and including /v1.",
        Limits(check=checks.base_url, example="https://openrouter.ai/api/v1"),
    )
    api_key: Secret = setting(Secret(""), "The key; without one it is a local server.", Limits(check=checks.api_key))
    cli: Literal["", "opencode", "qwen"] = setting(
        "", "The official CLI that asks with it for every client but itself; empty: it is asked directly."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What every account without a key of its own may say."""

    proxy_url: str = setting("", "Egress proxy for this account alone; direct for none; empty: the general one.", PROXY)
    prefix: str = setting("", "Its models are also offered as prefix/model.", Limits(check=checks.prefix))
    priority: int = setting(0, "Higher is served first; lower only when nobody higher is ready.")
    weight: int = setting(1, "Its share of the turns under weighted-round-robin; 0 takes none.", WEIGHT)
    concurrency: int = setting(0, "The most requests under way with it at a time; 0: any number.", CONCURRENCY)
    reserve_percent: int = setting(0, "The share of each usage window to leave to its owner.", PERCENT)
    models: tuple[ModelAlias, ...] = setting((), "The models to offer, by which names; empty: the provider's own list.")
    excluded_models: tuple[str, ...] = setting(
        (), "Models never to use with it; * stands for anything.", Limits(check=checks.filled)
    )
    headers: Mapping[str, str] = setting(_NO_HEADERS, "Headers sent with each of its requests.", HEADERS)
    request_scoped_errors: tuple[ErrorRule, ...] = setting((), KEYS_OWN)
    label: str = setting("", "What lists and decisions call it; empty: the file's name.", _LABEL)
    note: str = setting("", "For humans only.")
    disabled: bool = setting(default=False, sentence="Keep it, and do not use it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount(Account):
    """A service account of Google Cloud."""

    service_account: Mapping[str, JsonValue] = required(
        "The key file of the service account, whole.", Limits(check=_service_account, is_private=True)
    )
    project_id: str = setting("", "The project; empty: the service account's own.", Limits(example="my-project"))
    email: str = setting("", "The service account's address.")
    location: str = setting("us-central1", "Where in Google's cloud; global, too.", Limits(check=checks.prefix))
    base_url: str = setting("", "Where Vertex AI is, instead of the location's own place.", _ADDRESS)
    token_url: str = setting(
        "", "Where its tokens come from; empty: the key file's token_uri, which must be Google's.", _SAFE_ADDRESS
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeLogin(Account):
    """Whoever is logged in. Written by a login, except for what is for humans."""

    home: str = required("The folder in homes/ with the login.", Limits(check=_home, example="codex-0123456789ab"))
    account: str = required("What the provider calls the account; a login of the same renews this file.")
    email: str = setting("", "Whose it is.")
    organization: str = setting("", "The workspace or organization.")
    plan: str = setting("", "As the CLI told it at the login.")
    login_expires_at: str = setting("", "When somebody has to log in again, as far as the CLI knows; RFC 3339.")
    project_id: str = setting("", "The Google Cloud project.", Limits(example="my-project"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CliLogin(HomeLogin):
    """A login that an official CLI holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcLogin(HomeLogin):
    """A login through a client of the user's own, and whom its tokens are for."""

    issuer: str = required(
        "Who gives the tokens, exactly as it calls itself.",
        Limits(check=checks.safe_url, example="https://accounts.google.com"),
    )
    client_id: str = required("The client's id there.", Limits(check=checks.filled, example="my-client"))
    client_secret: Secret = setting(Secret(""), "The client's secret; empty: it is a public one.")
    scopes: tuple[str, ...] = setting(
        (), "What to ask for; empty: openid email offline_access.", Limits(check=checks.filled, example=["openid"])
    )
    redirect_uri: str = setting(
        "", "Where the browser comes back to; empty: a free port of 127.0.0.1, /callback.", Limits(check=_redirect)
    )
    provider: str = required(
        "Whom the token is for: gemini, vertex, openai, anthropic; or any other name, with base-url.",
        Limits(check=checks.prefix, example="gemini"),
    )
    base_url: str = setting("", "Where its API is, instead of the provider's own place.", _SAFE_ADDRESS)
    wire: Literal["openai-chat", "openai-responses", "anthropic", "gemini"] = setting(
        "openai-chat", "What an API of another name speaks."
    )
    location: str = setting("us-central1", "For vertex: where in Google's cloud.", Limits(check=checks.prefix))

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.provider not in OIDC_PROVIDERS and not self.base_url:
            yield "base-url", f"is needed: {self.provider} is none of {', '.join(OIDC_PROVIDERS)}"
        if self.provider == "vertex" and not self.project_id:
            yield "project-id", "is needed for vertex"


Settings: TypeAlias = AccountKey | CompatibleAccount | ServiceAccount | CliLogin | OidcLogin
COMPATIBLE = "openai-compatibility"
SERVICE_ACCOUNT = "vertex"
OIDC = "oidc"
KINDS: Mapping[str, type[Settings]] = MappingProxyType(
    {
        "claude-api-key": AccountKey,
        "codex-api-key": AccountKey,
        "gemini-api-key": AccountKey,
        "vertex-api-key": AccountKey,
        "xai-api-key": AccountKey,
        COMPATIBLE: CompatibleAccount,
        SERVICE_ACCOUNT: ServiceAccount,
        "claude-code": CliLogin,
        "codex": CliLogin,
        "gemini-cli": CliLogin,
        "kimi-code": CliLogin,
        "grok": CliLogin,
        "copilot": CliLogin,
        OIDC: OidcLogin,
    }
)
"""``type`` → what stands in such a file. A new kind is a line here and one in `proxy.providers.enrolled`."""

LOGINS: Mapping[str, str] = MappingProxyType(
    {
        "claude": "Claude Code",
        "codex": "Codex",
        "gemini": "Gemini CLI",
        "qwen": "Qwen Code",
        "kimi": "Kimi",
        "xai": "Grok",
        "antigravity": "Antigravity",
        "copilot": "GitHub Copilot",
    }
)
"""``type`` of another program's login → the official CLI that should hold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFile:
    kind: str
    settings: Settings
    hints: tuple[str, ...] = ()
    """What is probably a mistake; ends of sentences that begin with the file's name."""


def interpret(fields: Mapping[str, JsonValue]) -> AccountFile | str:
    """What a file's JSON means; or why it means nothing, as the end of a sentence that begins with the file's name."""
    kind = fields.get("type")
    group = KINDS.get(kind) if isinstance(kind, str) else None
    if kind in LOGINS and "home" not in fields:
        group = None  # another program's file, which may have a word for its kind that is also ours
    if group is None or not isinstance(kind, str):
        return _unknown_kind(kind)
    known = {each.key: each for each in settings_of(_as_group(group))}
    mine: dict[str, JsonValue] = {}
    for key, value in fields.items():
        if (word := key.replace("_", "-")) in known:
            if word in mine:
                return f"says {word} twice, with - and with _"
            mine[word] = value
    complaints = _Sentences()
    settings = Reader(complaints).group(_as_group(group), node_of(mine))
    if complaints.faults or settings is None:
        return "; ".join(complaints.faults)
    return AccountFile(
        kind=kind, settings=cast("Settings", settings), hints=(*complaints.hints, *_misspelt(fields, known))
    )


def _as_group(group: type[Settings]) -> type[Group]:
    return cast("type[Group]", group)


def _unknown_kind(kind: JsonValue) -> str:
    if not isinstance(kind, str):
        return f"needs type: one of {', '.join(KINDS)}"
    if whose := LOGINS.get(kind):
        return (
            f"is a login of {whose} that another program made: a login should have one holder, and this version does "
            "not serve it yet"
        )
    near = difflib.get_close_matches(kind, KINDS, 1)
    return f"has a type that is not known{f'; did you mean {near[0]}?' if near else ': one of ' + ', '.join(KINDS)}"


def _misspelt(fields: Mapping[str, JsonValue], known: Mapping[str, object]) -> Iterator[str]:
    for key in fields:
        word = key.replace("_", "-")
        if word not in known and (near := difflib.get_close_matches(word, known, 1, cutoff=0.8)):
            yield f"has {key[:40]!r}, which is not known; did you mean {near[0]}?"


class _Sentences(Complaints):
    """Without lines: JSON files are short, and mostly written by programs."""

    def __init__(self) -> None:
        super().__init__("")
        self.faults: list[str] = []
        self.hints: list[str] = []

    def add(self, line: int, message: str) -> None:  # noqa: ARG002 - as its base
        self.faults.append(message.strip())

    def warn(self, line: int, message: str) -> None:  # noqa: ARG002 - as its base
        self.hints.append(f"has {message.strip()}")


def account_schema() -> dict[str, JsonValue]:
    """JSON Schema (2020-12) of a file of the auth-dir."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "an account in the auth-dir",
        "oneOf": [_kind_schema(kind, group) for kind, group in KINDS.items()],
    }


def _kind_schema(kind: str, group: type[Settings]) -> JsonValue:
    schema = group_schema(_as_group(group))
    properties = cast("dict[str, JsonValue]", schema["properties"])
    return {
        **schema,
        "title": kind,
        "properties": {"type": {"const": kind}, **properties},
        "required": ["type", *cast("list[JsonValue]", schema.get("required", []))],
        "additionalProperties": True,
    }
