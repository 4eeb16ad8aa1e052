"""Every setting, once: its type, its default, one sentence. `Config()` is what holds without a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from auth.secret import Secret
from proxy.config import checks
from proxy.config.client_keys import ClientKey, RateLimits, network
from proxy.config.error_rules import ErrorRule
from proxy.config.payload import Payload
from proxy.config.provider_keys import CompatibleProvider, ProviderKey
from proxy.config.settings import Duration, Limits, required, setting
from proxy.config.webhooks import Webhook

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    enable: bool = setting(default=False, sentence="Serve https instead of http.")
    cert: str = setting("", "File with the certificate and its chain, PEM.", Limits(example="/etc/proxy/cert.pem"))
    key: str = setting("", "File with the private key, PEM.", Limits(example="/etc/proxy/key.pem"))

    def faults(self) -> Iterator[tuple[str, str]]:
        for key, value in (("cert", self.cert), ("key", self.key)):
            if self.enable and not value:
                yield key, "is needed where tls.enable is true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    allowed_hosts: tuple[str, ...] = setting(
        (),
        "Names that clients may put into Host, beside loopback and the address that is listened on.",
        Limits(check=checks.host_name, example=["proxy.example.com"]),
    )
    cors_origins: tuple[str, ...] = setting(
        (),
        "Origins whose web pages may call the API; never the management API.",
        Limits(check=checks.origin, example=["https://app.example.com"]),
    )
    body_bytes_max: int = setting(64 * MIB, "The largest request body, after decoding.", Limits(low=1, high=4096 * MIB))
    connections_max: int = setting(1024, "The most connections of clients at a time.", Limits(low=1, high=1_000_000))
    trusted_proxies: tuple[str, ...] = setting(
        (),
        "Addresses and networks of reverse proxies whose X-Forwarded-For is believed.",
        Limits(check=network, example=["10.0.0.2", "172.16.0.0/12"]),
    )
    drain_seconds: int = setting(30, "How long running requests may go on after a SIGTERM.", Limits(low=0, high=3600))


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteManagement:
    allow_remote: bool = setting(default=False, sentence="Let other machines use the management API, with its key.")
    api_call: bool = setting(
        default=False, sentence="Let whoever has the key call an account's own provider with its token."
    )
    secret_key: Secret = setting(
        Secret(""),
        "The management API's key, or its bcrypt hash; empty: there is no management API.",
        Limits(example="a-long-random-word"),
    )

    def faults(self) -> Iterator[tuple[str, str]]:
        if checks.is_sample(self.secret_key):
            yield "secret-key", "is the word of the documentation, which everybody knows; make up your own"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaExceeded:
    switch_project: bool = setting(default=True, sentence="Go on with another account when one has used up its quota.")
    switch_preview_model: bool = setting(
        default=False, sentence="Go on with a model's preview when its quota is used up everywhere, and say so."
    )


_NO_FALLBACKS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    strategy: Literal["round-robin", "weighted-round-robin", "fill-first", "quota-aware"] = setting(
        "round-robin",
        "Who is next: each in turn, in turn by weight, the first while it lasts, or whose quota would expire unused.",
        Limits(short={"rr": "round-robin", "wrr": "weighted-round-robin", "ff": "fill-first"}),
    )
    session_affinity: bool = setting(default=True, sentence="Keep a conversation on its account while that is ready.")
    session_affinity_ttl: Duration = setting(
        Duration(3600.0), "How long a silent conversation is remembered.", Limits(low=1)
    )
    prefix_affinity: bool = setting(
        default=False, sentence="Know a conversation by its first turn, where the client gives it no name."
    )
    fallbacks: Mapping[str, tuple[str, ...]] = setting(
        _NO_FALLBACKS,
        "The models to go on with, in order, when nobody can serve one; x-proxy-fallback says which it was.",
        Limits(check=checks.fallbacks, example={"claude-opus-5": ["claude-sonnet-5", "gpt-5.5"]}),
    )


_SECONDS = Limits(low=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streaming:
    keepalive_seconds: int = setting(
        10,
        "Silence after which a stream gets a heartbeat in the client's format; 0 for none.",
        Limits(low=0, high=3600),
    )
    bootstrap_retries: int = setting(
        2, "How many other candidates a stream may try that breaks before its first content.", Limits(low=0, high=100)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    connect: Duration = setting(Duration(10.0), "For a connection to a provider.", _SECONDS)
    head: Duration = setting(
        Duration(600.0),
        "From a request to the beginning of its answer; of an answer in one piece, to all of it.",
        _SECONDS,
    )
    silence: Duration = setting(Duration(180.0), "Between two pieces of an answer.", _SECONDS)
    total: Duration = setting(Duration(3600.0), "For a whole answer.", _SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountModelAlias:
    name: str = required("The model's name at the provider.", Limits(check=checks.filled, example="upstream-model"))
    alias: str = required("What clients call it.", Limits(check=checks.filled, example="model"))
    fork: bool = setting(default=False, sentence="Offer it by its own name, too.")


_NO_ALIASES: Mapping[str, tuple[AccountModelAlias, ...]] = MappingProxyType({})
_NO_MAP: Mapping[str, str] = MappingProxyType({})
_NO_ERROR_RULES: Mapping[str, tuple[ErrorRule, ...]] = MappingProxyType({})
_NO_EXCLUSIONS: Mapping[str, tuple[str, ...]] = MappingProxyType({})
_DAYS = Limits(low=0, high=36_500)
_FEW = Limits(low=0, high=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    host: str = setting("127.0.0.1", "Address to listen on; empty for all. Beyond loopback only with api-keys.")
    port: int = setting(8317, "Port to listen on; 0 takes a free one.", Limits(low=0, high=65535))
    tls: Tls = setting(Tls(), "HTTPS in this process.")
    workers: int = setting(
        1, "Processes that serve, on one port: as many as there are cores to use.", Limits(low=1, high=64)
    )
    server: Server = setting(Server(), "Who may connect, and within which limits.")
    api_keys: tuple[ClientKey, ...] = setting(
        (), "Keys of clients; a plain key or an object. None: only this machine is served."
    )
    api_keys_file: str = setting(
        "",
        "File with more keys of clients: on each line a key, its hash, or a name, a colon, a blank and one of them.",
        Limits(example="/etc/proxy/keys"),
    )
    limits: RateLimits = setting(RateLimits(), "How much may be asked for in a minute, and at a time.")
    remote_management: RemoteManagement = setting(RemoteManagement(), "The management API under /v0/management.")
    auth_dir: str = setting(
        "~/.proxy", "Folder of the accounts, one file each; ~ is your home.", Limits(check=checks.filled)
    )
    gemini_api_key: tuple[ProviderKey, ...] = setting((), "Gemini API keys (Google AI Studio).")
    claude_api_key: tuple[ProviderKey, ...] = setting((), "Anthropic API keys.")
    codex_api_key: tuple[ProviderKey, ...] = setting((), "OpenAI API keys, for the Responses API.")
    vertex_api_key: tuple[ProviderKey, ...] = setting((), "Vertex AI API keys.")
    xai_api_key: tuple[ProviderKey, ...] = setting((), "API keys of xAI.")
    generative_language_api_key: tuple[ProviderKey, ...] = setting((), "More Gemini API keys, by another name.")
    openai_compatibility: tuple[CompatibleProvider, ...] = setting((), "Providers that speak OpenAI Chat Completions.")
    oauth_model_alias: Mapping[str, tuple[AccountModelAlias, ...]] = setting(
        _NO_ALIASES, "Other names for the models of accounts, by kind of account."
    )
    oauth_excluded_models: Mapping[str, tuple[str, ...]] = setting(
        _NO_EXCLUSIONS,
        "Models never to use with accounts, by kind of account; * stands for anything.",
        Limits(example={"codex": ["*-preview"]}),
    )
    oauth_request_scoped_errors: Mapping[str, tuple[ErrorRule, ...]] = setting(
        _NO_ERROR_RULES, "What errors mean for accounts, by kind of account; the first rule that fits decides."
    )
    force_model_prefix: bool = setting(
        default=False, sentence="Keys and accounts with a prefix serve only requests that name it."
    )
    routing: Routing = setting(Routing(), "Which account serves a request.")
    request_retry: int = setting(3, "Rounds over the candidates after the first, when all failed for a while.", _FEW)
    max_retry_interval: int = setting(
        30, "The longest wait in seconds for a cooling candidate before another round.", Limits(low=0, high=3600)
    )
    max_retry_credentials: int = setting(
        0, "The most candidates that one round tries; 0: all.", Limits(low=0, high=10_000)
    )
    quota_exceeded: QuotaExceeded = setting(QuotaExceeded(), "What to do when a quota is used up.")
    streaming: Streaming = setting(Streaming(), "How streamed answers are kept alive and rescued.")
    timeouts: Timeouts = setting(Timeouts(), "How long a provider is waited for, before another account is asked.")
    strict: bool = setting(
        default=False, sentence="Refuse every request where a translation between formats would lose a part."
    )
    cache_breakpoints: bool = setting(
        default=True, sentence="Mark prompts for Anthropic's cache where the client's format has no word for it."
    )
    model_map: Mapping[str, str] = setting(
        _NO_MAP,
        "Names that stand for other models, whoever serves those; * and ? stand for anything.",
        Limits(check=checks.model_map, example={"gpt-4o": "claude-sonnet-5", "gpt-*-mini": "gemini-3.5-flash"}),
    )
    own_provider_keys: bool = setting(
        default=False,
        sentence="Take a client's own key of a provider (X-OpenAI-API-Key and the like), for its request alone.",
    )
    model_list_hours: int = setting(
        6,
        "How often providers are asked which models they have, in hours, in the background; 0: never.",
        Limits(low=0, high=24 * 365),
    )
    payload: Payload = setting(Payload(), "Rules that change requests on their way to the provider.")
    proxy_url: str = setting(
        "",
        "Egress proxy for all providers (http, https, socks5); empty or direct: none.",
        Limits(check=checks.proxy_url, is_private=True, example="socks5://user:password@127.0.0.1:1080"),
    )
    debug: bool = setting(default=False, sentence="Log more; never bodies or secrets.")
    log_format: Literal["auto", "console", "json"] = setting(
        "auto", "How log lines look; auto: console on a terminal, else json."
    )
    logging_to_file: bool = setting(
        default=False, sentence="Write the log into files under auth-dir/logs, not to stderr."
    )
    request_log: bool = setting(
        default=False, sentence="Record requests and answers in full, secrets taken out, for support."
    )
    error_logs_max_files: int = setting(
        10,
        "How many reports of failed requests are kept, the newest, without what was said; 0: a thousand.",
        Limits(low=0, high=100_000),
    )
    logs_max_total_size_mb: int = setting(
        0,
        "The most MiB that log files, recordings and reports take together, the oldest go first; 0: each has its own.",
        Limits(low=0, high=1_000_000),
    )
    usage_statistics_enabled: bool = setting(
        default=True, sentence="Keep the usage ledger: requests and tokens, no content."
    )
    usage_database: str = setting(
        "",
        "Keep the ledger in PostgreSQL instead of a file, for several servers: a postgresql:// address.",
        Limits(check=checks.database, is_private=True, example="postgresql://proxy:password@127.0.0.1/proxy"),
    )
    usage_retention_days: int = setting(
        90, "How many days the ledger keeps single requests and hours; days are kept for good. 0: all.", _DAYS
    )
    webhooks: tuple[Webhook, ...] = setting(
        (), "Who is told when an account is dead, a quota low or a pool empty, and when that is over."
    )

    def faults(self) -> Iterator[tuple[str, str]]:
        names = [provider.name for provider in self.openai_compatibility]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield "openai-compatibility", f"has several entries named {name}; each needs its own name"
        names = [key.name for key in self.api_keys if key.name]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield "api-keys", f"has several entries named {name}; each needs its own name"
        hashes = [key.hash for key in self.api_keys]
        for name in sorted({key.shown_name for key in self.api_keys if hashes.count(key.hash) > 1}):
            yield "api-keys", f"has the key of {name} several times; each needs its own"

    def hints(self) -> Iterator[tuple[str, str]]:
        if not self.usage_statistics_enabled and any(key.budgets for key in self.api_keys):
            yield "usage-statistics-enabled", "is false: what is used of budgets is forgotten at each restart"
