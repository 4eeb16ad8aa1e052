"""Who is simulated: providers on each wire, and their accounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from auth.credential import Credential
from proxy.providers import anthropic, gemini, openai
from proxy.providers.base import Endpoint, Model, Provider
from proxy.providers.openai_compatible import provider_named

ACCOUNT_HEADER = "x-sandbox-account"
FLAKY = "sandbox-flaky"
LIMITED = "sandbox-limited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """So many requests in each window of so many seconds; 0: no limit. `mishaps`: what goes wrong, call by call; then
    all over again.
    """

    requests: int = 0
    seconds: float = 60.0
    mishaps: tuple[str, ...] = ()


def _authorize(credential: Credential) -> tuple[tuple[str, str], ...]:
    return ((ACCOUNT_HEADER, credential.id),)


def _models(*names: str) -> tuple[Model, ...]:
    return tuple(
        Model(
            id=name,
            display_name=f"{name.replace('-', ' ').title()} (simulated)",
            context_tokens=200_000,
            output_tokens=8_192,
            modalities=("text", "image", "document"),
            owner="proxy",
        )
        for name in names
    )


def _simulated(name: str, like: Provider, model: str) -> Provider:
    return replace(
        like,
        name=name,
        base_url=f"sandbox://{name}",
        authorize=_authorize,
        models=_models(model, FLAKY, LIMITED),
        families=(),
        executor="sandbox",
        channel="sandbox",
    )


_CHAT = provider_named("", "", ("any",))

PROVIDERS: tuple[Provider, ...] = (
    _simulated("sandbox-claude", anthropic.PROVIDER, "sandbox-claude"),
    _simulated("sandbox-gpt", openai.PROVIDER, "sandbox-gpt"),
    _simulated(
        "sandbox-chat",
        replace(_CHAT, endpoints={"generate": Endpoint(path="/chat/completions")}),
        "sandbox-gpt",
    ),
    _simulated("sandbox-gemini", gemini.PROVIDER, "sandbox-gemini"),
)


def _account(provider: str, number: int, label: str, *models: str) -> Credential:
    return Credential(
        id=f"{provider}-{number}",
        provider=provider,
        label=f"simulated {label} account {number}",
        models={model: (model,) for model in models},
    )


CREDENTIALS: tuple[Credential, ...] = (
    _account("sandbox-claude", 1, "Claude", "sandbox-claude", FLAKY),
    _account("sandbox-claude", 2, "Claude", "sandbox-claude", LIMITED),
    _account("sandbox-gpt", 1, "GPT", "sandbox-gpt", FLAKY),
    _account("sandbox-gpt", 2, "GPT", "sandbox-gpt", LIMITED),
    _account("sandbox-chat", 1, "Chat Completions", "sandbox-gpt"),
    _account("sandbox-gemini", 1, "Gemini", "sandbox-gemini", FLAKY),
    _account("sandbox-gemini", 2, "Gemini", "sandbox-gemini", LIMITED),
)

_TWO_A_MINUTE = Allowance(requests=2)

ALLOWANCES: Mapping[tuple[str, str], Allowance] = MappingProxyType(
    {
        # One account of each kind tires, so that failover shows in everyday use, too.
        ("sandbox-claude-1", "sandbox-claude"): Allowance(requests=5),
        ("sandbox-gpt-1", "sandbox-gpt"): Allowance(requests=5),
        ("sandbox-gemini-1", "sandbox-gemini"): Allowance(requests=5),
        ("sandbox-claude-2", LIMITED): _TWO_A_MINUTE,
        ("sandbox-gpt-2", LIMITED): _TWO_A_MINUTE,
        ("sandbox-gemini-2", LIMITED): _TWO_A_MINUTE,
        ("sandbox-claude-1", FLAKY): Allowance(mishaps=("overloaded", "cut", "reset")),
        ("sandbox-gpt-1", FLAKY): Allowance(mishaps=("web page", "", "server error", "")),
    }
)
"""By account and model. What is not here has no limit and never fails."""
