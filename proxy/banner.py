"""What the start prints: one screen that says what stands and how to use it. Plain text when not a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

from proxy.columns import in_columns
from proxy.dispatch.snapshot import Snapshot
from proxy.server.accounts import AccountState

_SIMULATED = "sandbox-"
"""How the names of their providers begin."""
ACCOUNTS_SHOWN_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLine:
    label: str
    provider: str
    state: str
    models: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BannerFacts:
    """`url`: scheme, host and port without a trailing slash. `samples`: a model name for each kind of client."""

    version: str
    url: str
    accounts: Sequence[AccountLine]
    samples: dict[str, str]
    needs_key: bool
    is_sandbox: bool
    notes: Sequence[str] = ()


def facts_of(
    snapshot: Snapshot,
    accounts: Iterable[AccountState],
    *,
    url: str,
    version: str,
    is_sandbox: bool,
    notes: Sequence[str],
) -> BannerFacts:
    offered: Counter[str] = Counter()
    samples: dict[str, str] = {}
    for model in snapshot.catalogue.models():
        if "generate" not in model.operations:
            continue
        candidates = snapshot.catalogue.find(model.id, "generate", "").candidates
        offered.update({candidate.credential.id for candidate in candidates})
        makers = {candidate.provider.wire.partition("_")[0] for candidate in candidates}  # OpenAI has two wires
        if len(makers) == 1:
            samples.setdefault(makers.pop(), model.id)
    anything = next(iter(samples.values()), "")
    return BannerFacts(
        version=version,
        url=url,
        accounts=[
            AccountLine(label=each.label, provider=each.provider, state=each.state, models=offered[each.id])
            for each in accounts
        ],
        samples={maker: samples.get(maker, anything) for maker in ("openai", "anthropic", "gemini") if anything},
        needs_key=bool(snapshot.config.api_keys or snapshot.config.api_keys_file),
        is_sandbox=is_sandbox,
        notes=notes,
    )


def curl_lines(facts: BannerFacts) -> list[str]:
    """Shell lines that work as printed; with client keys, once PROXY_API_KEY holds one of them."""
    key = ' -H "Authorization: Bearer $PROXY_API_KEY"' if facts.needs_key else ""
    lines = []
    if model := facts.samples.get("openai"):
        body = f'{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}]}}'
        lines.append(f"curl {facts.url}/v1/chat/completions{key} -H 'content-type: application/json' -d '{body}'")
    if model := facts.samples.get("anthropic"):
        body = f'{{"model":"{model}","max_tokens":64,"stream":true,"messages":[{{"role":"user","content":"Hello"}}]}}'
        lines.append(f"curl -N {facts.url}/v1/messages{key} -H 'content-type: application/json' -d '{body}'")
    if model := facts.samples.get("gemini"):
        body = '{"contents":[{"parts":[{"text":"Hello"}]}]}'
        path = f"/v1beta/models/{model}:generateContent"
        lines.append(f"curl {facts.url}{path}{key} -H 'content-type: application/json' -d '{body}'")
    return lines


def _accounts(facts: BannerFacts) -> list[str]:
    rows = [
        (f"  {line.label}", line.provider, line.state, f"{line.models} models" if line.models != 1 else "1 model")
        for line in facts.accounts[:ACCOUNTS_SHOWN_MAX]
    ]
    left = len(facts.accounts) - ACCOUNTS_SHOWN_MAX
    return in_columns(rows) + ([f"  … and {left} more"] if left > 0 else [])


def _endpoints(facts: BannerFacts) -> list[str]:
    return in_columns(
        [
            ("  OpenAI", f"{facts.url}/v1", "Chat Completions, Responses, embeddings"),
            ("  Anthropic", facts.url, "Messages"),
            ("  Gemini", facts.url, "generateContent (v1beta)"),
        ]
    )


def _title(text: str) -> str:
    return click.style(text, bold=True)


def render(facts: BannerFacts) -> list[str]:
    """Its lines, styled."""
    lines = [_title(f"proxy {facts.version}")]
    if facts.is_sandbox:
        told = "Sandbox: the accounts below are simulated. No login, no network, nothing is charged."
        if not all(each.provider.startswith(_SIMULATED) for each in facts.accounts):
            told = "Sandbox: simulated accounts stand beside your own, which are asked for real, and charged."
        lines.append(click.style(told, "yellow"))
    lines += ["", _title("Accounts"), *_accounts(facts)]
    lines += ["", _title("Endpoints"), *_endpoints(facts)]
    lines += ["", _title("Try it")]
    if facts.needs_key:
        lines.append("  export PROXY_API_KEY=...   # one of api-keys in your config.yaml")
    lines += curl_lines(facts)
    if facts.notes:
        lines += ["", *facts.notes]
    return [*lines, "", click.style("Stop with Ctrl-C.", dim=True)]


def as_text(facts: BannerFacts) -> str:
    """The banner without any colour, as a pipe gets it."""
    return click.unstyle("\n".join(render(facts))) + "\n"
