"""What a provider is: endpoint, one wire, headers, patches, profile, models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from auth.credential import Credential
from proxy import __version__
from proxy.config.error_rules import ErrorRule
from proxy.hub.loss import Loss
from proxy.hub.names import NameMap
from proxy.hub.profile import Profile
from proxy.hub.residue import JsonObject

Operation: TypeAlias = Literal[
    "generate", "count_tokens", "complete", "compact", "embed", "embed_batch",
    "draw", "edit_image", "transcribe", "translate", "speak", "moderate", "rerank", "retrieve", "delete",
]  # fmt: skip
"""What a client can ask of a model. `generate` and `count_tokens` cross wires; the others are relayed at home only.
`compact`: a Responses conversation, made shorter. `embed_batch`: Gemini's batchEmbedContents. `transcribe` writes down
what is spoken, `translate` does so in English. `retrieve`, `delete`: an answer that the provider has stored.
"""
PLAIN: frozenset[Operation] = frozenset(
    {"draw", "edit_image", "transcribe", "translate", "speak", "moderate", "rerank", "retrieve", "delete"}
)
"""Those that the hub has no words for: they are passed on unread."""
OF_TEXT: frozenset[Operation] = frozenset({"generate", "count_tokens", "complete", "compact", "retrieve", "delete"})
"""What a model that generates can be asked, where its provider has it."""

USER_AGENT = f"proxy/{__version__}"
"""Who we are, in every request of our own."""

Patch: TypeAlias = Callable[[JsonObject], None]
"""A quirk of a provider: edits the outgoing JSON in place. Has a docstring that says why and cites the source."""


@dataclass(frozen=True, slots=True)
class Limited:
    """What an official CLI made of a request: the losses, and the tools that go by another name."""

    losses: tuple[Loss, ...] = ()
    names: NameMap = field(default_factory=NameMap)


Limits: TypeAlias = Callable[[JsonObject], Limited]
"""Edits the outgoing JSON in place. Raises `Untranslatable`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model as a provider offers it. Limits in tokens; None: not known. `modalities`: what it reads."""

    id: str
    display_name: str | None = None
    context_tokens: int | None = None
    output_tokens: int | None = None
    modalities: tuple[str, ...] = ("text",)
    created: int | None = None
    owner: str | None = None
    operations: frozenset[Operation] = frozenset({"generate", "count_tokens"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`path` is appended to the base URL; ``{model}`` stands for the upstream model, ``{id}`` for a stored answer.
    `stream_path`: when it differs. `wire`: whose format it takes, where that is not its provider's.
    """

    path: str
    stream_path: str | None = None
    method: str = "POST"
    wire: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    name: str
    """One word, in lists, logs and decisions: ``anthropic``, ``openai``, ``gemini``, ``openrouter``."""
    wire: str
    base_url: str
    """Without a trailing slash."""
    endpoints: Mapping[Operation, Endpoint]
    authorize: Callable[[Credential], tuple[tuple[str, str], ...]]
    """The headers that carry the credential."""
    profile: Callable[[str], Profile]
    """What an upstream model can do."""
    maker: str = ""
    """Whose signatures its answers carry; empty: its wire's."""
    headers: tuple[tuple[str, str], ...] = ()
    """Documented headers that each request needs (``anthropic-version``), unless the client sent its own."""
    forwarded: frozenset[str] = frozenset()
    """Lower-case names of the client's headers that go on to the provider in a relay (``anthropic-beta``)."""
    official: tuple[tuple[str, str], ...] = ()
    """By what the requests of its vendor's own CLI are known: each of these headers, lower-case, and how its value
    begins, lower-case.
    """
    is_enveloped: bool = False
    """What it takes stands in Code Assist's envelope; so must the client's own request."""
    own_cli: str = ""
    """It is asked over HTTP with what this CLI has sent itself, known by `official`, and with nothing else; empty: with
    anything.
    """
    patches: tuple[Patch, ...] = ()
    models: tuple[Model, ...] = ()
    """What its credentials offer that name no models of their own."""
    list_path: str = ""
    """Where it lists its models itself, behind the base URL; empty: nowhere."""
    families: tuple[str, ...] = ()
    """Wildcards over names that are not listed but may be asked of it all the same: new and dated models."""
    channel: str = ""
    """Its kind of account, as ``oauth-model-alias`` and ``oauth-excluded-models`` call it; empty: keys, no accounts."""
    error_rules: tuple[ErrorRule, ...] = ()
    """What its operator says that errors mean."""
    executor: Literal["http", "sandbox"] = "http"
    """How an attempt is carried out."""
    has_socket: bool = False
    """Where it is asked to generate it also takes requests over a WebSocket (OpenAI's WebSocket mode)."""
    cli_executor: str = ""
    """How, for every client but its `own_cli`: by that CLI itself, as the upstream of this name; empty: not at all."""
    cli_profile: Callable[[str], Profile] | None = None
    """What an upstream model can do when that CLI asks it; None: all the same."""
    cli_limits: Limits | None = None
    """Cuts a request to what that CLI can say; None: it can say everything."""

    def speaks(self, operation: Operation) -> str:
        """The wire in which it is asked this."""
        endpoint = self.endpoints.get(operation)
        return self.wire if endpoint is None or not endpoint.wire else endpoint.wire


def bearer(credential: Credential) -> tuple[tuple[str, str], ...]:
    """``Authorization: Bearer``; nothing for a local server that asks for no key."""
    return (("authorization", f"Bearer {credential.secret.reveal()}"),) if credential.secret else ()


def header_key(name: str) -> Callable[[Credential], tuple[tuple[str, str], ...]]:
    """The key alone in a header of its own."""
    return lambda credential: ((name, credential.secret.reveal()),) if credential.secret else ()
